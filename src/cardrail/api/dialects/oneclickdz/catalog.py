"""What is sold, and what there is of it now (specs/oneclickdz.md, sections 2.5 and 2.6)."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Supply, json_answer, json_number, load_supply
from cardrail.api.desk import Desk
from cardrail.api.dialects.oneclickdz.envelope import CatalogSuccessOut, meta_of, request_id_of, success
from cardrail.api.dialects.oneclickdz.goods import find_product, is_offered, kinds_of, unit_price
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.wire import CategoryOut, CheckedProductOut, ProductOut, TypeOut
from cardrail.api.gate import buyer_of
from cardrail.catalog import CatalogSnapshot, Product, ProductFilter
from cardrail.kernel import Mode, hex24_of

_encode: Final = msgspec.json.Encoder().encode
_PAGE: Final = 1_000


class Catalog:
    """The handlers. The catalog is encoded once for each version of it."""

    def __init__(self, desk: Desk, profile: Profile) -> None:
        self._desk = desk
        self._profile = profile
        self._shown: tuple[CatalogSnapshot, int, int, msgspec.Raw] | None = None

    async def show_catalog(self, call: Call) -> Answer:
        """All categories with all products."""
        snapshot = self._desk.parts.catalog.current()
        shown = self._shown
        if shown is None or shown[0] is not snapshot:
            shown = self._shown = await self._desk.read(lambda: self._render(snapshot))
        _, categories, products, data = shown
        request_id = request_id_of(call, self._profile)
        return json_answer(CatalogSuccessOut(True, categories, products, data, meta_of(call), request_id))

    async def check_product(self, call: Call) -> Answer:
        """A product's types, what they cost the caller, and how many there are."""
        snapshot, principal = self._desk.parts.catalog.current(), call.principal
        product = find_product(snapshot, call.params["product_id"])
        supply: Supply | None = None
        if principal.mode is Mode.LIVE:
            supply = await self._desk.read(lambda: load_supply(self._desk.parts, product.offers, self._profile.on_demand_stock))
        types = self._types(snapshot, product, principal, supply)
        return success(call, self._profile, CheckedProductOut(call.params["product_id"], product.name, types))

    def _render(self, snapshot: CatalogSnapshot) -> tuple[CatalogSnapshot, int, int, msgspec.Raw]:
        shelves: dict[str, list[ProductOut]] = {one.name: [] for one in snapshot.categories}
        after: str | None = None
        while True:
            page = snapshot.products(ProductFilter(include_retired=self._profile.shows_retired), after=after, limit=_PAGE)
            for one in page.products:
                title = one.category.name if one.category else self._profile.other_category
                shelves.setdefault(title, []).append(_product_out(one))
            after = page.after
            if after is None:
                break
        filled = [CategoryOut(title, products) for title, products in shelves.items() if products]
        count = sum([len(one.products) for one in filled])
        return snapshot, len(filled), count, msgspec.Raw(_encode({"categories": filled}))

    def _types(self, snapshot: CatalogSnapshot, product: Product, principal: Principal, supply: Supply | None) -> list[TypeOut]:
        """``supply`` is None in the sandbox, which has plenty of everything."""
        buyer, profile, is_sold = buyer_of(principal, None), self._profile, is_offered(product)
        types = []
        for one in kinds_of(product, profile.range_types_max, supply.in_stock if supply is not None else ()):
            price = unit_price(snapshot, one, buyer)
            quantity = 0
            if is_sold and price is not None:
                quantity = profile.sandbox_stock if supply is None else supply.count(one.offer.denomination_id, one.face_minor)
            types.append(TypeOut(one.id, one.name, json_number(price or 0, buyer.currency), quantity))
        return types


def _product_out(product: Product) -> ProductOut:
    """The region is the country's code, where there is one country."""
    region = product.countries[0].lower() if len(product.countries) == 1 else UNSET
    return ProductOut(hex24_of(product.id), product.name, is_offered(product), region)
