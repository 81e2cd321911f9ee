"""Changing where a replacement stands: the row, its event and its audit row, in one transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec

from cardrail.kernel import new_event_id, to_micros
from cardrail.orders import store
from cardrail.orders.model import Order
from cardrail.orders.replacements.model import Replacement, ReplacementState, advance_replacement, told
from cardrail.orders.replacements.store import load_of_orders, save_replacement
from cardrail.orders.units import CodeAt
from cardrail.storage import AuditLog, Tx, audit_entry, insert_events

S: Final = ReplacementState

EVENT_OF_STATE: Final = {
    S.REQUESTED: "replacement.requested",
    S.NEEDS_REVIEW: "replacement.needs_review",
    S.REPLACED: "code.replaced",
    S.REFUNDED: "replacement.refunded",
    S.REFUSED: "replacement.refused",
}
"""The event that tells of each state. That a supplier is asked is the operator's own affair."""


def change(
    tx: Tx,
    audit: AuditLog,
    order: Order,
    one: Replacement,
    to: ReplacementState,
    *,
    because: str,
    actor: str,
    now: datetime,
    **changes: Any,
) -> Replacement:
    """Take the replacement to another state. Its row and its order's are locked by the caller. Raises InvalidTransition."""
    at = to_micros(now)
    state = advance_replacement(one.state, to)
    if state not in (S.ASKING_SUPPLIER,):
        changes = {"because": because, **changes}
    if state in (S.REPLACED, S.REFUNDED, S.REFUSED):
        changes = {"decided_by": actor, "wake_at": one.wake_at if one.is_looked_after else None, **changes}
    changed = told(one, f"{_WORDS[state]}: {because}", at, state=state, **changes)
    save_replacement(tx, changed)
    if state in EVENT_OF_STATE:
        insert_events(tx, [event_row(tx, order, changed, one.state, because, actor, at)])
    details = {
        "order_id": order.id,
        "line": one.line,
        "position": one.position,
        "from": one.state.value,
        "to": state.value,
        "reason": because,
        "refunded_minor": changed.refunded_minor,
        "new_code": [changed.new_lot_id, changed.new_seq] if changed.new_lot_id is not None else None,
    }
    entry = audit_entry(
        now,
        actor,
        f"replacement.{state.value.lower()}",
        subject=one.id,
        partner_id=order.partner_id,
        origin=None,
        details={name: value for name, value in details.items() if value},
    )
    audit.append(tx, [entry])
    return changed


def refuse_open(
    tx: Tx, audit: AuditLog, order: Order, *, because: str, actor: str, now: datetime, only: Collection[CodeAt] | None = None
) -> None:
    """Refuse what is open of an order that is taken back, or of units of it that are paid back; what a supplier still sends becomes stock.
    The order is locked by the caller."""
    units = None if only is None else set(only)
    for one in load_of_orders(tx, [order.id], lock=True):
        if one.is_open and (units is None or CodeAt(one.line, one.position) in units):
            change(tx, audit, order, one, S.REFUSED, because=because, actor=actor, now=now)


def event_row(
    tx: Tx, order: Order, one: Replacement, before: ReplacementState | None, because: str, actor: str, at: int
) -> tuple[Any, ...]:
    """The event of the state that the replacement is in now. ``code.replaced`` is the order's, the others are the replacement's own."""
    kind = EVENT_OF_STATE[one.state]
    place = {"line": one.line, "position": one.position}
    if one.state is S.REPLACED:
        subject: str = order.id
        data: dict[str, Any] = {"replacement_id": one.id, **place}
        states: tuple[str | None, str] = (order.state.value, order.state.value)
    else:
        subject, data = one.id, {"order_id": order.id, **place, "code_reason": one.reason.value}
        states = (before.value if before is not None else None, one.state.value)
    if one.state is S.REFUNDED:
        data |= {"refunded_minor": one.refunded_minor, "currency": order.currency}
    step = store.next_step(tx, subject)
    text = msgspec.json.encode(data).decode()
    return (new_event_id(), kind, order.partner_id, order.mode.value, subject, step, *states, because, actor, at, text)


_WORDS: Final = {
    S.REQUESTED: "requested",
    S.ASKING_SUPPLIER: "asking the supplier",
    S.NEEDS_REVIEW: "needs review",
    S.REPLACED: "replaced",
    S.REFUNDED: "refunded",
    S.REFUSED: "refused",
}
