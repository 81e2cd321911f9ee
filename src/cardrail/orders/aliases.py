"""Finding an order by what a caller of another dialect calls it: a range of ids, or its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cardrail.kernel import number_of
from cardrail.orders import store
from cardrail.orders.errors import OrderNotFound
from cardrail.orders.model import Buyer, Order
from cardrail.storage import Database, Tx, in_tx

_ATTEMPTS_MAX: Final = 8


def get_order_between(db: Database, buyer: Buyer, first: str, last: str) -> Order:
    """The partner's order whose id lies in the range (``kernel.ids_of_hex24``), without codes. Raises OrderNotFound."""
    with db.read() as tx:
        found = store.load_between(tx, buyer.partner_id, buyer.mode, first, last)
    if not found:
        raise OrderNotFound
    return found[0]


def get_order_numbered(db: Database, buyer: Buyer, number: int) -> Order:
    """The partner's order of this number, without codes. Raises OrderNotFound."""
    with db.read() as tx:
        found = store.load_numbered(tx, buyer.partner_id, buyer.mode, number)
    if not found:
        raise OrderNotFound
    return found[0]


def number_orders(db: Database, orders: Sequence[Order]) -> None:
    """Give a number to each of these orders that has none yet; from then on it is the order's for ever, and ``order.number``.

    An order that is placed through such a dialect has its number (``kernel.new_number``) from the beginning: then nothing is written.
    """
    bare = [one for one in orders if one.number is None]
    if not bare:
        return

    def work(tx: Tx) -> dict[str, int | None]:
        known = store.load_numbers(tx, [one.id for one in bare])
        for one in bare:
            if known[one.id] is None:
                number = _free_number(tx, one.id)
                store.set_number(tx, one.id, number)
        return store.load_numbers(tx, [one.id for one in bare])

    numbers = in_tx(db, work)
    for one in bare:
        one.number = numbers[one.id]


def _free_number(tx: Tx, order_id: str) -> int:
    for attempt in range(_ATTEMPTS_MAX):
        number = number_of(order_id, attempt)
        if not store.is_number_taken(tx, number):
            return number
    raise AssertionError(f"no free number for {order_id}")
