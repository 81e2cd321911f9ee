"""Orders and their lines as plain figures, many at a time: for statements, exports and reconciliation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.orders.tables import allocations, order_items, orders
from cardrail.storage import Tx


class SoldLine(NamedTuple):
    """What was agreed on for one line of an order; none of it changes after the order was placed."""

    order_id: str
    line: int
    sku: str
    name: str
    quantity: int
    unit_price_minor: int
    unit_fee_minor: int
    tax_bps: int
    face_minor: int
    face_currency: str
    fx_rate_e10: int | None


class OrderFigures(NamedTuple):
    """An order as it stands, without its lines."""

    id: str
    partner_id: str
    mode: str
    state: str
    currency: str
    total_minor: int
    charged_minor: int
    refunded_minor: int
    reference: str | None
    created_at: int
    updated_at: int


class ItemFigures(NamedTuple):
    """A line as it stands."""

    order_id: str
    partner_id: str
    mode: str
    currency: str
    reference: str | None
    created_at: int
    order_state: str
    order_charged_minor: int
    line: int
    sku: str
    denomination_id: str
    name: str
    state: str
    quantity: int
    delivered: int
    face_minor: int
    face_currency: str
    unit_price_minor: int
    unit_fee_minor: int
    tax_bps: int
    charged_minor: int
    fx_rate_e10: int | None
    lot_id: str | None
    first_seq: int | None
    code_count: int


_o, _i = orders.c, order_items.c
_LINES: Final = (
    sa.select(
        _i.order_id,
        _i.line,
        _i.sku,
        _i.name,
        _i.quantity,
        _i.unit_price_minor,
        _i.unit_fee_minor,
        _i.tax_bps,
        _i.face_minor,
        _i.face_currency,
        _i.fx_rate_e10,
    )
    .where(_i.order_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(_i.order_id, _i.line)
)
_ORDERS: Final = sa.select(*[_o[name] for name in OrderFigures._fields])
_FROM_ORDER: Final = ("partner_id", "mode", "currency", "reference", "created_at")
_FROM_ITEM: Final = (*ItemFigures._fields[8:],)
_ITEMS: Final = sa.select(
    _o.id,
    *[_o[name] for name in _FROM_ORDER],
    _o.state.label("order_state"),
    _o.charged_minor.label("order_charged"),
    *[_i[name] for name in _FROM_ITEM],
).select_from(orders.join(order_items, _i.order_id == _o.id))
_MORE: Final = (
    sa.select(allocations.c.order_id, allocations.c.line, allocations.c.lot_id, allocations.c.first_seq, allocations.c.code_count)
    .where(allocations.c.order_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(allocations.c.order_id, allocations.c.line, allocations.c.lot_id, allocations.c.first_seq)
)


def sold_lines(tx: Tx, order_ids: Iterable[str]) -> dict[str, list[SoldLine]]:
    """The lines of these orders, each order's in their order."""
    found: dict[str, list[SoldLine]] = defaultdict(list)
    for row in tx.execute(_LINES, {"ids": list(order_ids)}).fetchall():
        found[row[0]].append(SoldLine._make(row))
    return dict(found)


def _narrowed(
    query: sa.Select[Any],
    *,
    partner_id: str | None,
    mode: Mode | None,
    since: int | None,
    until: int | None,
    state: str | None,
    sku: str | None,
    of_item: bool,
) -> sa.Select[Any]:
    for given, condition in (
        (partner_id, _o.partner_id.__eq__),
        (mode.value if mode else None, _o.mode.__eq__),
        (since, _o.created_at.__ge__),
        (until, _o.created_at.__lt__),
        (state, _i.state.__eq__ if of_item else _o.state.__eq__),
    ):
        if given is not None:
            query = query.where(condition(given))
    if sku is not None:
        query = query.where(_i.sku == sku if of_item else sa.exists().where(_i.order_id == _o.id, _i.sku == sku))
    return query


def orders_after(
    tx: Tx,
    after: str,
    limit: int,
    *,
    partner_id: str | None = None,
    mode: Mode | None = None,
    since: int | None = None,
    until: int | None = None,
    state: str | None = None,
    sku: str | None = None,
    currency: str | None = None,
) -> list[OrderFigures]:
    """Orders by id, behind ``after`` (""); ``sku`` is in one of their lines."""
    query = _narrowed(
        _ORDERS.where(_o.id > after),
        partner_id=partner_id,
        mode=mode,
        since=since,
        until=until,
        state=state,
        sku=sku,
        of_item=False,
    )
    if currency is not None:
        query = query.where(_o.currency == currency)
    return [OrderFigures._make(row) for row in tx.execute(query.order_by(_o.id).limit(limit))]


def items_after(
    tx: Tx,
    after: tuple[str, int],
    limit: int,
    *,
    partner_id: str | None = None,
    mode: Mode | None = None,
    since: int | None = None,
    until: int | None = None,
    state: str | None = None,
    sku: str | None = None,
) -> list[ItemFigures]:
    """Lines by order id and line, behind ``after`` (("", 0))."""
    behind = sa.or_(_o.id > after[0], sa.and_(_o.id == after[0], _i.line > after[1]))
    query = _narrowed(
        _ITEMS.where(_o.id >= after[0], behind),
        partner_id=partner_id,
        mode=mode,
        since=since,
        until=until,
        state=state,
        sku=sku,
        of_item=True,
    )
    return [ItemFigures._make(row) for row in tx.execute(query.order_by(_o.id, _i.line).limit(limit))]


def count_orders(tx: Tx, *, partner_id: str | None, mode: Mode | None, since: int | None, until: int | None, most: int) -> int:
    """How many orders there are, counted up to ``most``."""
    some = _narrowed(
        sa.select(_o.id), partner_id=partner_id, mode=mode, since=since, until=until, state=None, sku=None, of_item=False
    ).limit(most)
    return int(tx.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one())


def further_allocations(tx: Tx, order_ids: Iterable[str]) -> dict[tuple[str, int], list[tuple[str, int, int]]]:
    """(lot id, first seq, count) of what items got besides their first allocation, by order and line."""
    found: dict[tuple[str, int], list[tuple[str, int, int]]] = defaultdict(list)
    for order_id, line, lot_id, first, count in tx.execute(_MORE, {"ids": list(order_ids)}):
        found[order_id, line].append((lot_id, first, count))
    return dict(found)
