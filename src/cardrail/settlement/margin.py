"""Margin: what orders brought in less what their codes cost, in integers of each currency, and in one base currency by dated rates.

Revenue, fees and tax are what was charged for what was delivered, less what was given back: a refund's transfer that names its line is
taken off that line, any other is split over the order's lines in proportion to what is left of their charge, so that nothing is lost. The
cost of goods is each code's share of its lot, or what a supplier took for it on demand. Where a bad code was replaced or paid back, what
the new one cost is in it, what was lost with the bad one is not (that is in the write-offs), and what its supplier gave back is taken off.
A refund counts on the day on which its order was placed.

In the base currency, revenue and cost are taken at the rate of the day of the order. What a cost was at the rate of the day on which the
lot was bought is also known; the difference is the exchange effect: a gain where the currency of the cost has become dearer since. Where a
rate is not known the base figures stay empty and the pair is named; nothing is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from itertools import groupby
from typing import Any, Final

from cardrail.catalog import CatalogSnapshot, FxRate, Rates
from cardrail.kernel import Mode, apply_bps, divide_half_up, from_micros
from cardrail.ledger import RefundPart, refund_transfers
from cardrail.orders import (
    ItemFigures,
    OrderState,
    ReplacementCost,
    further_allocations,
    items_after,
    load_refund_lines,
    replacement_costs,
)
from cardrail.settlement.formats import Column, Kind, Row
from cardrail.sourcing import delivered_purchases
from cardrail.storage import Tx
from cardrail.vault import Lot, cost_of, load_lots

PAGE: Final = 2_000
UNDONE: Final = frozenset({OrderState.INVALIDATED.value, OrderState.CANCELLED.value, OrderState.FAILED.value})
"""States of a line whose codes nobody has: they went back to stock, or their cost to write-offs."""

_FIGURES: Final = (
    Column("currency", Kind.WORD),
    Column("units", Kind.NUMBER),
    Column("revenue", Kind.MONEY, "currency"),
    Column("fees", Kind.MONEY, "currency"),
    Column("tax", Kind.MONEY, "currency"),
    Column("cost", Kind.MONEY, "cost_currency"),
    Column("cost_currency", Kind.WORD),
    Column("units_without_cost", Kind.NUMBER),
    Column("base_currency", Kind.WORD),
    Column("base_revenue", Kind.MONEY, "base_currency"),
    Column("base_fees", Kind.MONEY, "base_currency"),
    Column("base_cost", Kind.MONEY, "base_currency"),
    Column("base_fx_effect", Kind.MONEY, "base_currency"),
    Column("base_margin", Kind.MONEY, "base_currency"),
    Column("unknown_rates", Kind.WORD),
)
_GROUPS: Final = {
    "product": (Column("product", Kind.TEXT), Column("name", Kind.TEXT)),
    "partner": (Column("partner_id", Kind.WORD),),
    "supplier": (Column("supplier", Kind.TEXT),),
    "day": (Column("day", Kind.WORD),),
}
NO_SUPPLIER: Final = "(none named)"


def margin_columns(by: str) -> tuple[Column, ...]:
    """The columns of a margin report: what it is grouped by, then its figures. A row for each group, currency, and currency of the cost."""
    return (*_GROUPS[by], *_FIGURES)


@dataclass(slots=True)
class Part:
    """What one line of an order, or a part of it from one supplier, adds."""

    units: int
    price_minor: int
    fee_minor: int
    tax_minor: int
    cost_minor: int | None
    cost_currency: str | None
    bought_on: date | None
    supplier: str | None


@dataclass(slots=True)
class _Sums:
    """One row of the report, before it is converted."""

    units: int = 0
    without_cost: int = 0
    tax_minor: int = 0
    cost_minor: int = 0
    by_day: dict[date, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    """Day of the order → price and fees."""
    costs: dict[tuple[date, date], int] = field(default_factory=lambda: defaultdict(int))
    """Day of the order and day of the purchase → cost."""


def margin_rows(
    tx: Tx,
    catalog: CatalogSnapshot,
    *,
    by: str,
    mode: Mode,
    partner_id: str | None = None,
    since: int | None = None,
    until: int | None = None,
    sku: str | None = None,
    base_currency: str | None = None,
) -> Iterator[Row]:
    """The rows of a margin report. Orders pass by; what is kept grows with the groups, not with the orders."""
    sums: dict[tuple[tuple[str | None, ...], str, str | None], _Sums] = defaultdict(_Sums)
    lots: dict[str, Lot] = {}
    narrowed: dict[str, Any] = {"partner_id": partner_id, "mode": mode, "since": since, "until": until}
    for orders in _by_order(tx, narrowed):
        facts = _Facts.load(tx, [items[0].order_id for items in orders], orders, lots)
        for items in orders:
            for item, parts in zip(items, parts_of(items, facts), strict=True):
                if sku not in (None, item.sku):
                    continue
                day = from_micros(item.created_at).astimezone(UTC).date()
                for part in parts:
                    _add(sums[_group(by, item, part, catalog, day), item.currency, part.cost_currency], part, day)
    exchange = _Exchange(catalog.fx_rates, base_currency)
    for (group, currency, cost_currency), one in sorted(sums.items(), key=_by_names):
        yield (*group, *_figures(one, currency, cost_currency, exchange))


def _by_names(one: tuple[tuple[tuple[str | None, ...], str, str | None], Any]) -> Any:
    (group, currency, cost_currency), _ = one
    return [text or "" for text in group], currency, cost_currency or ""


def _by_order(tx: Tx, narrowed: Mapping[str, Any]) -> Iterator[list[list[ItemFigures]]]:
    """Whole orders, a page at a time: the last of a full page is read again with the next one."""
    after = ("", 0)
    while page := items_after(tx, after, PAGE, **narrowed):
        orders = [list(items) for _, items in groupby(page, key=lambda one: one.order_id)]
        is_last = len(page) < PAGE
        if not is_last:
            orders.pop()  # an order has at most 100 lines, so a full page has more than one
        yield orders
        if is_last:
            return
        after = (orders[-1][-1].order_id, orders[-1][-1].line)


@dataclass(slots=True)
class _Facts:
    """What is known about the orders of one page besides their lines."""

    refunds: Mapping[str, Sequence[RefundPart]]
    refund_lines: Mapping[str, int]
    """The line of each refund's transfer that names one."""
    further: Mapping[tuple[str, int], Sequence[tuple[str, int, int]]]
    purchases: Mapping[tuple[str, int], Sequence[Any]]
    lots: Mapping[str, Lot]
    replaced: Mapping[tuple[str, int], Sequence[ReplacementCost]]

    @classmethod
    def load(cls, tx: Tx, ids: Sequence[str], orders: Iterable[Sequence[ItemFigures]], lots: dict[str, Lot]) -> _Facts:
        further = further_allocations(tx, ids)
        wanted = {item.lot_id for items in orders for item in items if item.lot_id is not None}
        wanted |= {lot_id for several in further.values() for lot_id, _, _ in several}
        missing = wanted - lots.keys()
        if missing:
            lots.update(load_lots(tx, sorted(missing)))
        refunds = refund_transfers(tx, ids)
        lines = load_refund_lines(tx, list(refunds))
        return cls(refunds, lines, further, delivered_purchases(tx, ids), lots, replacement_costs(tx, ids))


def parts_of(items: Sequence[ItemFigures], facts: _Facts) -> list[list[Part]]:
    """For each line of an order its parts by where the codes came from; together they are what was kept of its charge."""
    charges = [list(_charge(one)) for one in items]
    of_line = {item.line: charge for item, charge in zip(items, charges, strict=True)}
    rest = [0, 0, 0]
    for one in facts.refunds.get(items[0].order_id, ()):
        line = facts.refund_lines.get(one.transfer_id)
        (rest if line is None else of_line[line])[one.place] += one.amount_minor if line is None else -one.amount_minor
    whole = [sum(charge[place] for charge in charges) for place in range(3)]
    passed, found = [0, 0, 0], []
    for item, charge in zip(items, charges, strict=True):
        net = []
        for place in range(3):
            before, passed[place] = passed[place], passed[place] + charge[place]
            given = _up_to(rest[place], passed[place], whole[place]) - _up_to(rest[place], before, whole[place])
            net.append(charge[place] - given)
        found.append(_split(item, net, facts))
    return found


def _up_to(refund: int, passed: int, whole: int) -> int:
    """The part of a refund that falls on the first lines of an order."""
    return refund * passed // whole if whole else 0


def _charge(one: ItemFigures) -> tuple[int, int, int]:
    """What the line was charged, as price, fees and tax: they sum to its charge."""
    price, fee = one.unit_price_minor * one.delivered, one.unit_fee_minor * one.delivered
    tax = apply_bps(price + fee, one.tax_bps) if one.tax_bps else 0
    return price + (one.charged_minor - price - fee - tax), fee, tax


def _split(item: ItemFigures, net: Sequence[int], facts: _Facts) -> list[Part]:
    """The line's net charge over its sources, by units."""
    sources = _sources(item, facts)
    units = sum(source[0] for source in sources)
    parts, done = [], 0
    for count, cost, currency, bought_on, supplier in sources:
        before, done = done, done + count
        price, fee, tax = [minor * done // units - minor * before // units for minor in net]
        parts.append(Part(count, price, fee, tax, cost, currency, bought_on, supplier))
    return parts or [Part(0, net[0], net[1], net[2], None, None, None, None)]


def _sources(item: ItemFigures, facts: _Facts) -> list[tuple[int, int | None, str | None, date | None, str | None]]:
    """(units, cost, its currency, day of purchase, supplier) of each lot or purchase that the line's codes came from."""
    key = (item.order_id, item.line)
    is_kept = item.state not in UNDONE
    spans = [(item.lot_id, item.first_seq or 0, item.code_count)] if item.lot_id is not None and item.code_count else []
    bought = list(facts.purchases.get(key, ()))
    found: list[tuple[int, int | None, str | None, date | None, str | None]] = []
    for lot_id, first, count in [*spans, *facts.further.get(key, ())]:
        lot = facts.lots.get(lot_id)
        if lot is None or (bought and lot.kind.value == "bound"):
            continue  # what was bought on demand is told by its purchase
        cost = cost_of(lot, first, count) if lot.cost_currency else None
        day = from_micros(lot.created_at).astimezone(UTC).date()
        found.append((count, cost if is_kept or cost is None else 0, lot.cost_currency, day, lot.supplier))
    for one in bought:
        if one.delivered:
            day = from_micros(one.asked_at).astimezone(UTC).date()
            known = one.cost_minor is not None
            cost = one.cost_minor if is_kept or not known else 0
            found.append((one.delivered, cost, one.cost_currency if known else None, day, one.supplier))
    for changed in facts.replaced.get(key, ()) if is_kept else ():  # codes in place of others: they add no unit
        day = from_micros(changed.at).astimezone(UTC).date()
        found.append((0, changed.change_minor, changed.currency, day, changed.supplier))
    return found


def _group(by: str, item: ItemFigures, part: Part, catalog: CatalogSnapshot, day: date) -> tuple[str | None, ...]:
    if by == "partner":
        return (item.partner_id,)
    if by == "supplier":
        return (part.supplier or NO_SUPPLIER,)
    if by == "day":
        return (day.isoformat(),)
    offer = catalog.denomination(item.denomination_id)
    product = catalog.product(offer.product_id) if offer else None
    return (product.code, product.name) if product else (item.sku, item.name)


def _add(sums: _Sums, part: Part, day: date) -> None:
    sums.units += part.units
    sums.tax_minor += part.tax_minor
    figures = sums.by_day[day]
    figures[0] += part.price_minor
    figures[1] += part.fee_minor
    if part.cost_minor is None:
        sums.without_cost += part.units
    else:
        sums.cost_minor += part.cost_minor
        sums.costs[day, part.bought_on or day] += part.cost_minor


# --- the base currency ------------------------------------------------------------------------------------------------


class _Exchange:
    """Amounts in the base currency at the rate of a day, without any margin on the rate."""

    def __init__(self, rows: Sequence[FxRate], base: str | None) -> None:
        self.base = base
        self._rows = rows
        self._by_day: dict[date, Rates] = {}

    def convert(self, minor: int, code: str, day: date) -> int | None:
        """The amount in the base currency; None where no rate of that day or earlier is known."""
        if not minor or code == self.base or self.base is None:
            return minor
        rates = self._by_day.get(day)
        if rates is None:
            rates = self._by_day[day] = Rates(self._rows, day)
        found = rates.find(code, self.base)
        return None if found is None else divide_half_up(minor * found.numerator, found.denominator)


def _figures(one: _Sums, currency: str, cost_currency: str | None, exchange: _Exchange) -> Row:
    revenue = sum(price for price, _ in one.by_day.values())
    fees = sum(fee for _, fee in one.by_day.values())
    has_cost = cost_currency is not None
    own = (
        currency,
        one.units,
        revenue,
        fees,
        one.tax_minor,
        one.cost_minor if has_cost else None,
        cost_currency,
        one.without_cost,
    )
    if exchange.base is None:
        return (*own, None, None, None, None, None, None, None)
    unknown: set[str] = set()

    def total(amounts: Iterable[tuple[int, str, date]]) -> int | None:
        found = [(exchange.convert(minor, code, day), code, day) for minor, code, day in amounts]
        unknown.update(f"{code}/{exchange.base} {day.isoformat()}" for minor, code, day in found if minor is None)
        return None if any(minor is None for minor, _, _ in found) else sum(minor or 0 for minor, _, _ in found)

    base_revenue = total((price, currency, day) for day, (price, _) in one.by_day.items())
    base_fees = total((fee, currency, day) for day, (_, fee) in one.by_day.items())
    code = cost_currency or currency
    at_sale = total((cost, code, sold_on) for (sold_on, _), cost in one.costs.items())
    at_purchase = total((cost, code, bought_on) for (_, bought_on), cost in one.costs.items())
    effect = None if at_sale is None or at_purchase is None else at_sale - at_purchase
    if one.without_cost or base_revenue is None or base_fees is None or at_sale is None or effect is None:
        margin = None
    else:
        margin = base_revenue + base_fees - at_sale + effect
    return (*own, exchange.base, base_revenue, base_fees, at_sale, effect, margin, "; ".join(sorted(unknown)) or None)
