"""GET /v1/catalog, /v1/catalog/{sku_id} and /v1/catalog/inventory (specs/foxreload.md, section 2.2).

What has no price for the caller is not in his catalog: the price is a text, never null.
"""

from __future__ import annotations

from collections.abc import Iterator

from cardrail.api.compat import Answer, Call, decimal_text, json_answer
from cardrail.api.dialects.foxreload.asked import cursor_scope, limit_of, opened_cursor, sealed_cursor, seconds, text_of
from cardrail.api.dialects.foxreload.v1.money import wallet_of
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.wire import CatalogOut, InventoryItem, InventoryOut, SkuOut
from cardrail.api.dialects.foxreload.wares import Shelves, Ware, count_units, find_ware, price_of, region_of
from cardrail.catalog import CatalogError, CatalogSnapshot, UnknownSku, line_total
from cardrail.kernel import Mode, to_micros

LIMIT_DEFAULT = 100


class V1Catalog:
    """What there is, at what price, and how much of it."""

    def __init__(self, profile: V1Profile) -> None:
        self._profile = profile
        self._shelves = Shelves(profile.range_face_values)
        self._inventory: dict[Mode, tuple[int, CatalogSnapshot, Answer]] = {}

    async def catalog(self, call: Call) -> Answer:
        """A page of skus, by sku."""
        query = call.query()
        limit, region, category = limit_of(query, LIMIT_DEFAULT), text_of(query, "region"), text_of(query, "category")
        scope = cursor_scope(call, "v1/catalog", region, category)
        after = opened_cursor(call, query, scope)
        snapshot, wallet = call.desk.parts.catalog.current(), wallet_of(call, self._profile)

        def priced() -> Iterator[tuple[Ware, int]]:
            for ware in self._shelves.of(snapshot).after(after or ""):
                if self._is_wanted(ware, region, category):
                    cost = _cost(snapshot, call, ware, wallet)
                    if cost is not None:
                        yield ware, cost

        def look() -> tuple[list[SkuOut], str | None]:
            found = []
            for one in priced():
                found.append(one)
                if len(found) > limit:
                    break
            page = found[:limit]
            stock = count_units(call, [ware for ware, _ in page], self._profile.untold_units)
            rows = [self._sku_out(ware, cost, wallet, count) for (ware, cost), count in zip(page, stock, strict=True)]
            return rows, page[-1][0].sku if len(found) > limit else None

        rows, last = await call.desk.read(look)
        return json_answer(CatalogOut(rows, sealed_cursor(call, scope, last)))

    async def sku(self, call: Call) -> Answer:
        """One sku."""
        snapshot, wallet = call.desk.parts.catalog.current(), wallet_of(call, self._profile)
        ware = find_ware(snapshot, call.params["sku_id"], call.principal.mode, wallet)
        cost = _cost(snapshot, call, ware, wallet)
        if cost is None:
            raise UnknownSku(sku=ware.sku)
        (count,) = await call.desk.read(lambda: count_units(call, [ware], self._profile.untold_units))
        return json_answer(self._sku_out(ware, cost, wallet, count))

    async def inventory(self, call: Call) -> Answer:
        """The stock of all skus, as it was up to a minute ago: one snapshot for everybody."""
        snapshot, mode = call.desk.parts.catalog.current(), call.principal.mode
        now = to_micros(call.desk.parts.clock.now())
        kept = self._inventory.get(mode)
        if kept is not None and kept[1] is snapshot and now - kept[0] < self._profile.inventory_seconds * 1_000_000:
            return kept[2]

        def look() -> Answer:
            wares = self._shelves.of(snapshot).wares
            counts = count_units(call, wares, self._profile.untold_units)
            items = [InventoryItem(ware.sku, count) for ware, count in zip(wares, counts, strict=True)]
            return json_answer(InventoryOut(seconds(now), items))

        answer = await call.desk.read(look)
        self._inventory[mode] = (now, snapshot, answer)
        return answer

    def _is_wanted(self, ware: Ware, region: str | None, category: str | None) -> bool:
        label = self._region(ware)
        return (region is None or region == label or region in label.split("+")) and category in (None, self._category(ware))

    def _region(self, ware: Ware) -> str:
        return region_of(ware.product, self._profile.region_everywhere)

    def _category(self, ware: Ware) -> str:
        category = ware.product.category if ware.product is not None else None
        named = self._profile.category_by_slug.get(category.slug) if category is not None else None
        return named or self._profile.categories.get(ware.offer.kind, "gift-card")

    def _sku_out(self, ware: Ware, cost: int, wallet: str, stock: int) -> SkuOut:
        return SkuOut(
            sku_id=ware.sku,
            name=ware.name,
            category=self._category(ware),
            region=self._region(ware),
            face_value=ware.face_text,
            face_currency=ware.offer.currency.code,
            wholesale_cost_usd=decimal_text(cost, wallet),
            in_stock=stock > 0,
            stock=stock,
        )


def _cost(snapshot: CatalogSnapshot, call: Call, ware: Ware, wallet: str) -> int | None:
    """What a unit costs the caller, fees and tax included; None where there is no price."""
    try:
        return line_total(price_of(snapshot, call, ware, wallet), 1)
    except CatalogError:
        return None
