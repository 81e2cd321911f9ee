"""The order of locks (DESIGN.md, section 7) for whoever changes one order: its wallet first, then the order; slices come after both."""

from __future__ import annotations

from cardrail.kernel import Mode, OrderId
from cardrail.ledger import load_wallets, wallet
from cardrail.orders import store
from cardrail.orders.errors import OrderNotFound
from cardrail.orders.model import Order
from cardrail.storage import Tx


def lock_known_order(tx: Tx, seen: Order) -> Order:
    """The same for an order that the caller has seen before; whose wallet pays it never changes."""
    load_wallets(tx, [wallet(seen.partner_id, seen.currency, seen.mode)])
    return store.load_orders(tx, [seen.id], lock=True)[0]


def lock_order(tx: Tx, order_id: OrderId, *, partner_id: str | None = None, mode: Mode | None = None) -> Order:
    """The order, held together with the wallet that paid it until the transaction ends. Raises OrderNotFound.

    It is looked at once before, because only the order says which wallet that is: the one who pays it takes the wallet first.
    """
    for seen in store.load_orders(tx, [order_id], partner_id=partner_id, mode=mode):
        return lock_known_order(tx, seen)
    raise OrderNotFound(order_id=order_id)
