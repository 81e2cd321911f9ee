"""The statements behind the journal and the release of a restored database: none of them is on the order path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from cardrail.kernel import Mode, OrderId, to_micros
from cardrail.orders.states import OrderState
from cardrail.orders.tables import allocations, order_items, orders
from cardrail.storage import Tx, events

PAGE: Final = 500
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_NEWEST: Final = sa.select(events.c.at).where(events.c.type.startswith("order.")).order_by(events.c.id.desc()).limit(1)
_CHANGED: Final = (
    sa.select(events.c.id, events.c.subject_id)
    .where(events.c.id > sa.bindparam("after"), events.c.type.startswith("order."))
    .order_by(events.c.id)
    .limit(PAGE)
)
_REPLACED: Final = (
    sa.select(events.c.id, events.c.subject_id)
    .where(events.c.id > sa.bindparam("after"), events.c.type == "code.replaced")
    .order_by(events.c.id)
    .limit(PAGE)
)
_has_codes: Final = sa.exists().where(order_items.c.order_id == orders.c.id, order_items.c.lot_id.is_not(None))
_MARK_REVEALED: Final = (
    sa.update(orders)
    .where(orders.c.mode == Mode.LIVE.value, orders.c.revealed_at.is_(None), _has_codes)
    .values(revealed_at=sa.bindparam("now"))
)


_FIRST_HOLDERS: Final = (
    sa.select(orders.c.id, orders.c.partner_id, order_items.c.first_seq, order_items.c.code_count)
    .join(order_items, order_items.c.order_id == orders.c.id)
    .where(
        order_items.c.lot_id == sa.bindparam("lot"),
        order_items.c.first_seq < sa.bindparam("end"),
        order_items.c.first_seq + order_items.c.code_count > sa.bindparam("first"),
        order_items.c.state != OrderState.INVALIDATED.value,
    )
)
_MORE_HOLDERS: Final = (
    sa.select(orders.c.id, orders.c.partner_id, allocations.c.first_seq, allocations.c.code_count)
    .join(allocations, allocations.c.order_id == orders.c.id)
    .join(order_items, sa.and_(order_items.c.order_id == allocations.c.order_id, order_items.c.line == allocations.c.line))
    .where(
        allocations.c.lot_id == sa.bindparam("lot"),
        allocations.c.first_seq < sa.bindparam("end"),
        allocations.c.first_seq + allocations.c.code_count > sa.bindparam("first"),
        order_items.c.state != OrderState.INVALIDATED.value,
    )
)


def newest_change(tx: Tx) -> int | None:
    """When an order last changed, in microseconds; None if there is no order."""
    at: int | None = tx.execute(_NEWEST).scalar()
    return at


def changed_orders(tx: Tx, since: datetime) -> Iterator[list[OrderId]]:
    """The orders that changed at that moment or later, a page at a time. The ids of events are time-ordered."""
    return _subjects(tx, _CHANGED, since)


def replaced_orders(tx: Tx, since: datetime) -> Iterator[list[OrderId]]:
    """The same for orders of which a code was replaced."""
    return _subjects(tx, _REPLACED, since)


def _subjects(tx: Tx, query: sa.Select[tuple[str, str]], since: datetime) -> Iterator[list[OrderId]]:
    after = "evt_" + _first_body(since)
    while rows := tx.execute(query, {"after": after}).all():
        yield sorted({OrderId(row.subject_id) for row in rows})
        after = rows[-1].id


def mark_all_revealed(tx: Tx, now: int) -> int:
    """Take it that the codes of every live order were seen; returns how many orders had not been known to be."""
    return tx.execute(_MARK_REVEALED, {"now": now}).rowcount


def holders(tx: Tx, lot_id: str, first: int, end: int) -> Iterator[tuple[str, str, int]]:
    """(order, partner, how many) of the orders here that hold codes of this span; invalidated ones hold none."""
    for query in (_FIRST_HOLDERS, _MORE_HOLDERS):
        for order_id, partner_id, start, count in tx.execute(query, {"lot": lot_id, "first": first, "end": end}):
            yield order_id, partner_id, min(end, start + count) - max(first, start)


def _first_body(moment: datetime) -> str:
    """The lowest body of an id made at this moment: UUID version 7 begins with 48 bits of milliseconds."""
    number = (max(0, to_micros(moment)) // 1_000) << 80
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])
