"""Orders that are to be delivered to somebody: found when they are final, and done once."""

from __future__ import annotations

from typing import Final

from cardrail.kernel import OrderId
from cardrail.orders import store
from cardrail.orders.states import FINAL, OrderState
from cardrail.storage import Tx

_ENDED: Final = tuple(sorted({one.value for one in FINAL} | {OrderState.FULFILLED.value, OrderState.PARTIALLY_FULFILLED.value}))


def deliveries_waiting(tx: Tx, count: int) -> list[OrderId]:
    """Orders that have ended, one way or the other, and whose delivery waits: the oldest, at most ``count``."""
    return store.load_deliveries(tx, _ENDED, count)


def end_delivery(tx: Tx, order_id: OrderId) -> bool:
    """Note in this transaction that the order was delivered, or never will be. False where somebody did before, or nobody wanted it."""
    return store.end_delivery(tx, order_id)
