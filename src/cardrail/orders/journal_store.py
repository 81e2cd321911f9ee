"""The statements behind the journal and the release of a restored database: none of them is on the order path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from cardrail.kernel import Mode, OrderId, to_micros
from cardrail.orders.tables import orders
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
_MARK_REVEALED: Final = (
    sa.update(orders)
    .where(orders.c.mode == Mode.LIVE.value, orders.c.revealed_at.is_(None), orders.c.charged_minor > 0)
    .values(revealed_at=sa.bindparam("now"))
)


def newest_change(tx: Tx) -> int | None:
    """When an order last changed, in microseconds; None if there is no order."""
    at: int | None = tx.execute(_NEWEST).scalar()
    return at


def changed_orders(tx: Tx, since: datetime) -> Iterator[list[OrderId]]:
    """The orders that changed at that moment or later, a page at a time. The ids of events are time-ordered."""
    after = "evt_" + _first_body(since)
    while rows := tx.execute(_CHANGED, {"after": after}).all():
        yield sorted({OrderId(row.subject_id) for row in rows})
        after = rows[-1].id


def mark_all_revealed(tx: Tx, now: int) -> int:
    """Take it that the codes of every live order were seen; returns how many orders had not been known to be."""
    return tx.execute(_MARK_REVEALED, {"now": now}).rowcount


def _first_body(moment: datetime) -> str:
    """The lowest body of an id made at this moment: UUID version 7 begins with 48 bits of milliseconds."""
    number = (max(0, to_micros(moment)) // 1_000) << 80
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)])
