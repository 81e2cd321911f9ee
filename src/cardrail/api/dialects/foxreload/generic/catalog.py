"""GET /catalog, /stock/:sku and /prices/:sku (specs/foxreload.md, section 2.1)."""

from __future__ import annotations

from itertools import islice

from cardrail.api.compat import Answer, Call, decimal_text, json_answer
from cardrail.api.dialects.foxreload.asked import cursor_scope, limit_of, opened_cursor, sealed_cursor, seconds, text_of
from cardrail.api.dialects.foxreload.generic.profile import GenericProfile
from cardrail.api.dialects.foxreload.generic.wire import CatalogOut, ItemOut, PriceOut, StockOut
from cardrail.api.dialects.foxreload.wares import Shelves, Ware, count_units, find_ware, price_of, region_of
from cardrail.catalog import CatalogError, CatalogSnapshot, line_total
from cardrail.kernel import to_micros

LIMIT_DEFAULT = 100


class GenericCatalog:
    """What there is, whether it is there, and what it costs."""

    def __init__(self, profile: GenericProfile) -> None:
        self._profile = profile
        self._shelves = Shelves(profile.range_face_values, takes_input=False)  # 2.4: no top-up input on G

    async def catalog(self, call: Call) -> Answer:
        """A page of skus, by sku."""
        query = call.query()
        limit, region = limit_of(query, LIMIT_DEFAULT), text_of(query, "region")
        scope = cursor_scope(call, "catalog", region)
        after = opened_cursor(call, query, scope)
        snapshot = call.desk.parts.catalog.current()

        def look() -> tuple[list[ItemOut], str | None]:
            wares = self._shelves.of(snapshot).after(after or "")
            found = list(islice((one for one in wares if region is None or self._is_in(one, region)), limit + 1))
            page = found[:limit]
            stock = count_units(call, page, self._profile.untold_units)
            items = [self._item(snapshot, call, one, count) for one, count in zip(page, stock, strict=True)]
            return items, page[-1].sku if len(found) > limit else None

        items, last = await call.desk.read(look)
        return json_answer(CatalogOut(items, sealed_cursor(call, scope, last)))

    async def stock(self, call: Call) -> Answer:
        """Whether a sku can be had, and about how many units of it."""
        snapshot = call.desk.parts.catalog.current()
        ware = find_ware(snapshot, call.params["sku"], call.principal.mode, call.principal.currency)
        (count,) = await call.desk.read(lambda: count_units(call, [ware], self._profile.untold_units))
        if not count or not _has_price(snapshot, call, ware):
            return json_answer(StockOut(ware.sku, False, 0, 0))
        return json_answer(StockOut(ware.sku, True, *span_of(count, self._profile.stock_steps)))

    async def price(self, call: Call) -> Answer:
        """What a unit costs now, fees and tax included."""
        wallet = call.principal.currency
        snapshot = call.desk.parts.catalog.current()
        ware = find_ware(snapshot, call.params["sku"], call.principal.mode, wallet)
        cost = line_total(price_of(snapshot, call, ware, wallet), 1)
        now = seconds(to_micros(call.desk.parts.clock.now()))  # it is worked out anew for each answer
        return json_answer(PriceOut(ware.sku, decimal_text(cost, wallet), wallet, now))

    def _is_in(self, ware: Ware, region: str) -> bool:
        label = region_of(ware.product, self._profile.region_everywhere)
        return region == label or region in label.split("+")

    def _item(self, snapshot: CatalogSnapshot, call: Call, ware: Ware, count: int) -> ItemOut:
        return ItemOut(
            sku=ware.sku,
            name=ware.name,
            denomination=ware.face_text,
            currency=ware.offer.currency.code,
            region=region_of(ware.product, self._profile.region_everywhere),
            available=count > 0 and _has_price(snapshot, call, ware),
        )


def _has_price(snapshot: CatalogSnapshot, call: Call, ware: Ware) -> bool:
    """Whether the caller could buy it, if it were in stock."""
    try:
        price_of(snapshot, call, ware, call.principal.currency)
    except CatalogError:
        return False
    return True


def span_of(count: int, steps: tuple[int, ...]) -> tuple[int, int | None]:
    """The steps between which a count lies: (10, 50) for 23, and no upper one beyond the last."""
    reached = [step for step in steps if step <= count]
    beyond = [step for step in steps if step > count]
    return max(reached, default=1), min(beyond, default=None)
