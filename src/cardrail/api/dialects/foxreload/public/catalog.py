"""Categories and products (specs/foxreload.md, section 2.3). Everything is made on a thread, from the catalog in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.queries import OFFSET_MAX, Query
from cardrail.api.dialects.foxreload.public.shelf import Node, Shelves
from cardrail.api.dialects.foxreload.public.view import View, view_of
from cardrail.api.dialects.foxreload.public.wire import (
    BranchOut,
    CategoryOut,
    CategoryPageOut,
    ProductOut,
    ProductPageOut,
    ProductScrollOut,
    TreeOut,
)
from cardrail.api.errors import InvalidQuery
from cardrail.catalog import Offer, ProductNotFound

DEPTH_MAX: Final = 100


class Catalog:
    """The routes of categories and products."""

    def __init__(self, profile: PublicProfile, shelves: Shelves) -> None:
        self._profile = profile
        self._shelves = shelves

    def routes(self) -> tuple[Route, ...]:
        scope = "catalog:read"
        return (
            Route("GET", "/categories", self.list_categories, scope),
            Route("GET", "/categories/tree", self.show_tree, scope),
            Route("GET", "/categories/{category}", self.show_category, scope),
            Route("GET", "/products", self.list_products, scope),
            Route("GET", "/products/search", self.search_products, scope),
            Route("GET", "/products/{product}", self.show_product, scope),
        )

    async def _looked(self, call: Call, look: Callable[[View], Any]) -> Any:
        return await call.desk.read(lambda: look(view_of(call, self._profile, self._shelves)))

    # --- categories -----------------------------------------------------------------------------------------------------

    async def list_categories(self, call: Call) -> Answer:
        """Those on a category, or those on none; by slug."""
        query = Query(call)
        parent, tag = query.text("parent_id_or_slug"), query.text("tag")
        limit = query.number("limit", self._profile.category_limit, 1, self._profile.limit_max)
        cursor, stock_only = query.text("cursor"), query.flag("withStockOnly")
        cursors = call.desk.parts.cursors
        scope = f"foxreload.categories|{parent}|{tag}|{stock_only}"
        after = cursors.open(scope, cursor) if cursor is not None else ""

        def look(view: View) -> CategoryPageOut:
            found = [one for one in _children(view, parent) if one.slug > after]
            if stock_only or tag is not None:
                found = [one for one in found if _is_wanted(view.category_out(one), tag, stock_only=stock_only)]
            page = found[:limit]
            following = cursors.seal(scope, page[-1].slug) if len(found) > limit else None
            return CategoryPageOut([view.category_out(one) for one in page], limit, following)

        return json_answer(await self._looked(call, look))

    async def show_category(self, call: Call) -> Answer:
        """One category, by id or slug."""
        wanted = call.params["category"]
        return json_answer(await self._looked(call, lambda view: view.category_out(_node(view, wanted))))

    async def show_tree(self, call: Call) -> Answer:
        """Categories with the categories on them, as deep as is asked for."""
        query = Query(call)
        parent, stock_only = query.text("parentId"), query.flag("withStockOnly")
        depth = query.number("depth", DEPTH_MAX, 1, DEPTH_MAX)

        def branch(view: View, node: Node, left: int) -> BranchOut:
            children = [branch(view, one, left - 1) for one in _by_slug(node.children)] if left > 1 else []
            if stock_only:
                children = [one for one in children if one.in_stock_count]
            return BranchOut(**view.category(node), children=children)

        def look(view: View) -> TreeOut:
            found = [branch(view, one, depth) for one in _children(view, parent)]
            return TreeOut([one for one in found if one.in_stock_count or not stock_only])

        return json_answer(await self._looked(call, look))

    # --- products -------------------------------------------------------------------------------------------------------

    async def list_products(self, call: Call) -> Answer:
        """A category's products by place, or those below a category (or all) by cursor. Raises InvalidQuery for neither form."""
        query = Query(call)
        limit = query.number("limit", self._profile.product_limit, 1, self._profile.limit_max)
        stock_only, below = query.flag("withStockOnly"), query.flag("includeDescendants")
        category = query.text("category_id_or_slug")
        if category is not None:
            offset = query.number("offset", 0, 0, OFFSET_MAX)

            def page(view: View) -> ProductPageOut:
                places = _places(view, _node(view, category), below=below, stock_only=stock_only)
                return ProductPageOut(_products(view, places[offset : offset + limit]), limit, offset, len(places))

            return json_answer(await self._looked(call, page))
        if not any(query.has(name) for name in ("includeDescendants", "categoryId", "cursor")):
            raise InvalidQuery(parameter="category_id_or_slug", detail="Name a category, or ask with includeDescendants=true.")
        return json_answer(await self._looked(call, self._scroll(call, query, limit, stock_only=stock_only, below=below)))

    def _scroll(
        self, call: Call, query: Query, limit: int, *, stock_only: bool, below: bool
    ) -> Callable[[View], ProductScrollOut]:
        category, cursor = query.text("categoryId"), query.text("cursor")
        cursors = call.desk.parts.cursors
        scope = f"foxreload.products|{category}|{stock_only}|{below}"
        after = cursors.open(scope, cursor) if cursor is not None else ""

        def look(view: View) -> ProductScrollOut:
            node = _node(view, category) if category is not None else None
            places = _places(view, node, below=below or node is None, stock_only=stock_only)
            first = view.shelf.place_after(after)
            left = [place for place in places if place >= first]
            page = left[:limit]
            following = cursors.seal(scope, view.shelf.offers[page[-1]].denomination_id) if len(left) > limit else None
            return ProductScrollOut(_products(view, page), limit, following, len(places))

        return look

    async def search_products(self, call: Call) -> Answer:
        """Products whose name, brand, code or sku have all the words: a bare array (7, A16)."""
        query = Query(call)
        words = (query.text("query") or "").lower().split()[:8]
        if not words:
            raise InvalidQuery(parameter="query", detail="Name what is looked for.")
        category, stock_only = query.text("category_id_or_slug"), query.flag("withStockOnly")
        limit = query.number("limit", self._profile.product_limit, 1, self._profile.limit_max)
        offset = query.number("offset", 0, 0, OFFSET_MAX)

        def look(view: View) -> list[ProductOut]:
            node = _node(view, category) if category is not None else None
            texts = _texts(view)
            places = [
                place
                for place in _places(view, node, below=True, stock_only=stock_only)
                if all(word in texts[place] for word in words)
            ]
            return _products(view, places[offset : offset + limit])

        return json_answer(await self._looked(call, look))

    async def show_product(self, call: Call) -> Answer:
        """One product, by id or slug, with what is there now."""
        wanted = call.params["product"]

        def look(view: View) -> ProductOut:
            found = view.shelf.listed(wanted, wallet=view.test_wallet)
            if found is None:
                raise ProductNotFound(said="There is no such product.")
            return view.product(found, view.present([found]))

        return json_answer(await self._looked(call, look))


def _node(view: View, id_or_slug: str) -> Node:
    """Raises ProductNotFound."""
    found = view.shelf.node(id_or_slug)
    if found is None:
        raise ProductNotFound(said="There is no such category.")
    return found


def _children(view: View, parent: str | None) -> list[Node]:
    """The categories on one, or those on none, by slug."""
    if parent is None:
        return [one for one in view.shelf.nodes if one.parent is None]
    return _by_slug(_node(view, parent).children)


def _by_slug(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda one: one.slug)


def _is_wanted(one: CategoryOut, tag: str | None, *, stock_only: bool) -> bool:
    return (tag is None or tag in one.tags) and bool(one.in_stock_count or not stock_only)


def _places(view: View, node: Node | None, *, below: bool, stock_only: bool) -> list[int]:
    """Where the products of a category are; None: all of them."""
    places = list(range(len(view.shelf.offers))) if node is None else sorted(node.below) if below else node.own
    if stock_only:
        present = view.in_stock()
        places = [place for place in places if place in present]
    return places


def _products(view: View, places: Iterable[int]) -> list[ProductOut]:
    """These products, with what is there now."""
    offers: list[Offer] = [view.shelf.offers[place] for place in places]
    present = view.present(offers)
    return [view.product(one, present) for one in offers]


def _texts(view: View) -> list[str]:
    """What a search looks at, a text for each product."""
    kept = view.shelf.kept.get("texts")
    if not isinstance(kept, list):
        kept = view.shelf.kept["texts"] = [_text(view, one) for one in view.shelf.offers]
    return kept


def _text(view: View, offer: Offer) -> str:
    product = view.shelf.product_of(offer)
    names = [one.name or "" for one in product.translations.values()] if product is not None else []
    brand = product.brand.name if product is not None else ""
    return "\n".join([offer.name, brand, offer.product_code, offer.sku, *names]).lower()
