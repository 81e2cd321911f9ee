"""Orders that need a human: put aside with what is known, and resolved by one of three answers.

Nothing is bought again while an order is here, and its money stays held or charged as it was.
"""

from __future__ import annotations

from cardrail.kernel import Clock, HoldId, OrderId, to_micros
from cardrail.ledger import void_hold
from cardrail.orders.errors import InvalidTransition
from cardrail.orders.history import change_state
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order
from cardrail.orders.states import OrderState, advance, state_of
from cardrail.storage import AuditLog, Database, audit_entry


def send_to_review(db: Database, clock: Clock, audit: AuditLog, order_id: OrderId, *, because: str, actor: str) -> Order:
    """Put every unfinished item of the order into review. Raises OrderNotFound, InvalidTransition (nothing is unfinished)."""
    now = clock.now()
    with db.transaction() as tx:
        order = lock_order(tx, order_id)
        waiting = [item for item in order.items if item.state in (OrderState.PLACED, OrderState.PROCESSING)]
        if not waiting or order.pay_until is not None:
            raise InvalidTransition(current=order.state.value, wanted=OrderState.NEEDS_REVIEW.value)
        for item in waiting:
            path = (
                (OrderState.PROCESSING, OrderState.NEEDS_REVIEW)
                if item.state is OrderState.PLACED
                else (OrderState.NEEDS_REVIEW,)
            )
            item.state = advance(item.state, *path)
        path = (
            (OrderState.PROCESSING, OrderState.NEEDS_REVIEW) if order.state is OrderState.PLACED else (OrderState.NEEDS_REVIEW,)
        )
        change_state(tx, order, *path, because=because, actor=actor, now=to_micros(now))
        entry = audit_entry(
            now,
            actor,
            "order.sent_to_review",
            subject=order.id,
            partner_id=order.partner_id,
            origin=None,
            details={"reason": because},
        )
        audit.append(tx, [entry])
        return order


def resolve_as_failed(db: Database, clock: Clock, audit: AuditLog, order_id: OrderId, *, because: str, actor: str) -> Order:
    """Decide that the items in review bought nothing: their money is freed. Raises OrderNotFound, InvalidTransition."""
    now = clock.now()
    with db.transaction() as tx:
        order = lock_order(tx, order_id)
        if order.state is not OrderState.NEEDS_REVIEW:
            raise InvalidTransition(current=order.state.value, wanted=OrderState.FAILED.value)
        reviewed = [item for item in order.items if item.state is OrderState.NEEDS_REVIEW]
        for item in reviewed:
            item.state = advance(item.state, OrderState.FAILED)
        for hold_id in sorted({item.hold_id for item in reviewed if item.hold_id}):
            void_hold(tx, HoldId(hold_id), now=now)
        change_state(tx, order, state_of([item.state for item in order.items]), because=because, actor=actor, now=to_micros(now))
        entry = audit_entry(
            now,
            actor,
            "order.resolved",
            subject=order.id,
            partner_id=order.partner_id,
            origin=None,
            details={"as": "failed", "reason": because},
        )
        audit.append(tx, [entry])
        return order
