"""Changing an order's state after it was placed: the one function that does it, and the event that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cardrail.kernel import new_event_id
from cardrail.orders import store
from cardrail.orders.model import Order
from cardrail.orders.states import OrderState, advance
from cardrail.storage import Tx, insert_events

EVENT_OF_STATE = {
    OrderState.PLACED: "order.placed",
    OrderState.PROCESSING: "order.processing",
    OrderState.FULFILLED: "order.fulfilled",
    OrderState.PARTIALLY_FULFILLED: "order.partially_fulfilled",
    OrderState.FAILED: "order.failed",
    OrderState.NEEDS_REVIEW: "order.needs_review",
    OrderState.CANCELLED: "order.cancelled",
    OrderState.INVALIDATED: "order.invalidated",
}
"""The event that tells of each state."""


def change_state(
    tx: Tx, order: Order, *path: OrderState, because: str, actor: str, now: int, data: dict[str, Any] | None = None
) -> None:
    """Take the order along ``path``, write it with whatever else was set on it, and append the event. Its row is locked by the caller."""
    before = order.state
    order.state = advance(before, *path)
    order.updated_at = now
    store.update_order(tx, order, from_version=order.version)
    record(tx, order, EVENT_OF_STATE[order.state], before=before, because=because, actor=actor, now=now, data=data)


def record(
    tx: Tx,
    order: Order,
    kind: str,
    *,
    before: OrderState | None,
    because: str,
    actor: str,
    now: int,
    data: dict[str, Any] | None = None,
) -> None:
    """Append one step to the order's history."""
    insert_events(tx, [_step(order, kind, store.next_step(tx, order.id), before, because, actor=actor, now=now, data=data)])


@dataclass(frozen=True, slots=True)
class Change:
    """An order whose sums, items or state were set, and not written."""

    order: Order
    before: OrderState
    """The state that its row has."""
    because: str
    now: int


def write_changes(tx: Tx, changes: Sequence[Change], *, actor: str) -> None:
    """Write these orders, each once, and an event for each whose state is another one now. Their rows are locked by the caller."""
    store.update_orders(tx, [(one.order, one.order.version) for one in changes])
    told = [one for one in changes if one.order.state is not one.before]
    steps = store.next_steps(tx, [one.order.id for one in told])
    rows = [
        _step(one.order, EVENT_OF_STATE[one.order.state], steps[one.order.id], one.before, one.because, actor=actor, now=one.now)
        for one in told
    ]
    insert_events(tx, rows)


def _step(
    order: Order,
    kind: str,
    step: int,
    before: OrderState | None,
    because: str,
    *,
    actor: str,
    now: int,
    data: dict[str, Any] | None = None,
) -> tuple[Any, ...]:
    return (
        new_event_id(),
        kind,
        order.partner_id,
        order.mode.value,
        order.id,
        step,
        before.value if before else None,
        order.state.value,
        because,
        actor,
        now,
        msgspec.json.encode(data).decode() if data else None,
    )
