"""Lists of products from memory: everything sorted once, so that a page is a binary search and a slice.

Places in ``ProductIndex`` are positions in the list of all products by id. Each filter value has its sorted places; several filters are
an intersection, kept for the next page.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cardrail.catalog.model import Category, Product

PAGE_MAX: Final = 1_000
KEPT_MAX: Final = 128
"""Combinations of filters whose result is kept."""


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """What a list of products is narrowed to; None is anything. All that are given must hold."""

    brand: str | None = None
    """Slug or id."""
    category: str | None = None
    """Slug or id; what stands below it counts too."""
    country: str | None = None
    currency: str | None = None
    kind: str | None = None
    search: str | None = None
    """Words that must all occur in name, brand, code or sku."""
    updated_since: datetime | None = None
    """What changed then or later, retired products included: they are the tombstones."""
    include_retired: bool = False


@dataclass(frozen=True, slots=True)
class ProductPage:
    """Some products by id, and the id after which the next page starts (None at the end)."""

    products: Sequence[Product]
    after: str | None


class ProductIndex:
    """All products, ready to be listed."""

    def __init__(self, products: Sequence[Product], categories: Sequence[Category]) -> None:
        self._products = products
        self._ids = [product.id for product in products]
        self._live = _places(i for i, product in enumerate(products) if product.retired_at is None)
        self._all = _places(range(len(products)))
        self._parents = {one.id: one.parent_id for one in categories}
        self._slugs = {one.id: one.slug for one in categories}
        self._by_value: dict[tuple[str, str], array[int]] = {}
        for place, product in enumerate(products):
            for key in self._keys(product):
                self._by_value.setdefault(key, array("L")).append(place)
        self._texts = [_text(product) for product in products]
        by_time = sorted(range(len(products)), key=lambda i: products[i].updated_at)
        self._by_time = by_time
        self._times = [products[i].updated_at for i in by_time]
        self._kept: OrderedDict[ProductFilter, array[int]] = OrderedDict()

    def page(self, wanted: ProductFilter, after: str | None, limit: int) -> ProductPage:
        """The next ``limit`` products after an id."""
        places = self._matching(wanted)
        limit = max(1, min(limit, PAGE_MAX))
        start = bisect_left(places, bisect_right(self._ids, after)) if after else 0
        taken = places[start : start + limit]
        products = [self._products[place] for place in taken]
        return ProductPage(products, products[-1].id if start + limit < len(places) else None)

    def count(self, wanted: ProductFilter) -> int:
        """How many products the filter lets through."""
        return len(self._matching(wanted))

    def _matching(self, wanted: ProductFilter) -> array[int]:
        kept = self._kept.get(wanted)
        if kept is None:
            kept = self._kept[wanted] = self._find(wanted)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return kept

    def _find(self, wanted: ProductFilter) -> array[int]:
        sets: list[Sequence[int]] = []
        for field in ("brand", "category", "country", "currency", "kind"):
            value = getattr(wanted, field)
            if value is not None:
                sets.append(self._by_value.get((field, value.lower()), array("L")))
        if wanted.updated_since is not None:
            sets.append(sorted(self._by_time[bisect_left(self._times, wanted.updated_since) :]))
        elif not wanted.include_retired:
            sets.append(self._live)
        found = self._intersect(sets)
        if wanted.search:
            words = wanted.search.lower().split()[:8]
            found = [place for place in found if all(word in self._texts[place] for word in words)]
        return found if isinstance(found, array) else _places(found)

    def _intersect(self, sets: list[Sequence[int]]) -> Sequence[int]:
        if not sets:
            return self._all
        sets.sort(key=len)
        found = sets[0]
        for other in sets[1:]:
            if len(other) < len(self._products):
                members = frozenset(other)
                found = [place for place in found if place in members]
        return found

    def _keys(self, product: Product) -> list[tuple[str, str]]:
        keys = {
            ("brand", product.brand.slug.lower()),
            ("brand", product.brand.id.lower()),
            ("currency", product.currency.code.lower()),
            ("kind", product.kind),
            *[("country", country.lower()) for country in product.countries],
        }
        shelf = product.category.id if product.category else None
        for _ in range(16):  # shelves on shelves; a circle must not hang the load
            if shelf is None:
                break
            keys |= {("category", shelf.lower()), ("category", self._slugs.get(shelf, shelf).lower())}
            shelf = self._parents.get(shelf)
        return sorted(keys)


def _places(numbers: Iterable[int]) -> array[int]:
    return array("L", numbers)


def _text(product: Product) -> str:
    skus = "\n".join([offer.sku for offer in product.offers])
    return f"{product.name}\n{product.brand.name}\n{product.code}\n{skus}".lower()
