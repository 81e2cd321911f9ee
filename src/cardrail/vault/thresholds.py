"""Low stock: the operator sets a threshold for a sku, and an event tells once that fewer unsold codes are left."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import Mode, new_event_id, to_micros
from cardrail.storage import AuditLog, Tx, audit_entry, events, insert_events
from cardrail.vault.store import stock_counts
from cardrail.vault.tables import stock_thresholds

_t = stock_thresholds.c
_SET: Final = postgresql.insert(stock_thresholds).values(
    denomination_id=sa.bindparam("of"),
    sku=sa.bindparam("sku"),
    threshold=sa.bindparam("threshold"),
    is_low=sa.false(),
    changed_at=sa.bindparam("at"),
)
_SET_OR_CHANGE: Final = _SET.on_conflict_do_update(
    index_elements=["denomination_id"],
    set_={"sku": _SET.excluded.sku, "threshold": _SET.excluded.threshold, "changed_at": _SET.excluded.changed_at},
)
_DELETE: Final = sa.delete(stock_thresholds).where(_t.denomination_id == sa.bindparam("of"))
_ALL: Final = sa.select(stock_thresholds).order_by(_t.denomination_id)
_LOW: Final = sa.select(_t.denomination_id).where(_t.is_low.is_(sa.true()))
_MARK: Final = (
    sa.update(stock_thresholds)
    .where(_t.denomination_id == sa.bindparam("of"), _t.is_low != sa.bindparam("low"))
    .values(is_low=sa.bindparam("low"), changed_at=sa.bindparam("at"))
)
_LAST_STEP: Final = sa.select(sa.func.coalesce(sa.func.max(events.c.subject_seq), 0)).where(
    events.c.subject_id == sa.bindparam("of")
)


def set_stock_threshold(
    tx: Tx, now: datetime, audit: AuditLog, denomination_id: str, sku: str, threshold: int, *, actor: str
) -> None:
    """Tell when fewer codes of it than this can be sold; 0 takes the threshold away."""
    if threshold:
        tx.execute(_SET_OR_CHANGE, {"of": denomination_id, "sku": sku, "threshold": threshold, "at": to_micros(now)})
    else:
        tx.execute(_DELETE, {"of": denomination_id})
    details = {"sku": sku, "threshold": threshold}
    audit.append(tx, [audit_entry(now, actor, "stock.threshold_set", denomination_id, details=details)])


def tell_low_stock(tx: Tx, now: datetime) -> int:
    """Write an event for each sku that has fallen below its threshold since the last look; how many."""
    at = to_micros(now)
    rows = tx.execute(_ALL).all()
    left: dict[str, int] = {}
    for (denomination_id, _), count in stock_counts(tx, Mode.LIVE, [row.denomination_id for row in rows], at).items():
        left[denomination_id] = left.get(denomination_id, 0) + count
    told = 0
    for row in rows:
        in_stock = left.get(row.denomination_id, 0)
        is_low = in_stock < row.threshold
        if tx.execute(_MARK, {"of": row.denomination_id, "low": is_low, "at": at}).rowcount and is_low:
            insert_events(tx, [_event(tx, row, in_stock, at)])
            told += 1
    return told


def low_denominations(tx: Tx) -> set[str]:
    """Those of which fewer codes were left than their threshold, at the last look."""
    return set(tx.execute(_LOW).scalars())


def _event(tx: Tx, row: Any, in_stock: int, at: int) -> tuple[Any, ...]:
    step = int(tx.execute(_LAST_STEP, {"of": row.denomination_id}).scalar_one()) + 1
    data = msgspec.json.encode({"sku": row.sku, "in_stock": in_stock, "threshold": row.threshold}).decode()
    mode = Mode.LIVE.value
    return (new_event_id(), "stock.low", None, mode, row.denomination_id, step, None, None, None, "system", at, data)
