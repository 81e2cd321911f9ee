"""Withdrawing an order that has not started, by its partner or because its time to be paid is over."""

from __future__ import annotations

from cardrail.kernel import Clock, HoldId, OrderId, from_micros, to_micros
from cardrail.ledger import void_hold
from cardrail.orders import store
from cardrail.orders.errors import NotCancellable
from cardrail.orders.history import change_state
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Buyer, Order
from cardrail.orders.states import OrderState
from cardrail.storage import Database, Tx

EXPIRE_BATCH = 200


def cancel_order(db: Database, clock: Clock, buyer: Buyer, order_id: OrderId) -> Order:
    """Withdraw a PLACED order and free its money. Raises OrderNotFound, NotCancellable. Cancelling twice is harmless."""
    with db.transaction() as tx:
        order = lock_order(tx, order_id, partner_id=buyer.partner_id, mode=buyer.mode)
        if order.state is not OrderState.CANCELLED:
            _cancel(tx, order, because="cancelled by the partner", actor=buyer.actor, now=to_micros(clock.now()))
        return order


def expire_unpaid(db: Database, clock: Clock) -> int:
    """Cancel unpaid orders whose time is over; how many. Run from time to time: paying one is refused from its deadline on anyway."""
    now = to_micros(clock.now())
    with db.transaction() as tx:
        expired = store.load_orders(tx, store.load_expired_unpaid(tx, now, EXPIRE_BATCH), lock=True)
        for order in expired:
            if order.state is OrderState.PLACED and order.pay_until is not None:
                _cancel(tx, order, because="not paid in time", actor="system", now=now)
    return len(expired)


def _cancel(tx: Tx, order: Order, *, because: str, actor: str, now: int) -> None:
    if order.state is not OrderState.PLACED:
        raise NotCancellable(state=order.state.value)
    for item in order.items:
        item.state = OrderState.CANCELLED
    for hold_id in sorted({item.hold_id for item in order.items if item.hold_id}):
        void_hold(tx, HoldId(hold_id), now=from_micros(now))
    order.pay_until = None
    change_state(tx, order, OrderState.CANCELLED, because=because, actor=actor, now=now)
