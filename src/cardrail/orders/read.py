"""Reading orders: scoped by partner and mode in the query itself, so that another's id is as unknown as one that never was."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from cardrail.kernel import Clock, OrderId, first_body, to_micros
from cardrail.orders import store
from cardrail.orders.errors import OrderNotFound
from cardrail.orders.model import Buyer, Order, OrderItem, Unit, binding
from cardrail.orders.replacements.held import with_successors
from cardrail.orders.states import FINAL, OrderState
from cardrail.storage import AuditLog, Database, Tx, all_restores, audit_entry
from cardrail.vault import Allocation, LotKey, load_lot_keys, read_sealed, withheld

SETTLED_MILLIS: Final = 3_600_000
"""An order that is older than this was committed, or never will be."""
TOTALS_KEPT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What a partner may narrow the list of his orders by."""

    state: OrderState | None = None
    reference: str | None = None
    customer_id: str | None = None
    since: int | None = None
    """Microseconds; orders placed at or after it."""
    until: int | None = None
    unpaid: bool | None = None
    """Of the orders that are PLACED, only those that wait for their payment, or only the others."""
    currency: str | None = None
    """Of the wallet that pays."""


def get_order(db: Database, buyer: Buyer, order_id: OrderId) -> Order:
    """The partner's order, without its codes. Raises OrderNotFound."""
    with db.read() as tx:
        return _own(tx, buyer, order_id)


def list_orders(
    db: Database,
    buyer: Buyer,
    filters: OrderFilter,
    *,
    states: Sequence[OrderState] = (),
    before: str | None,
    limit: int,
) -> list[Order]:
    """The partner's orders, newest first; one more than ``limit`` if there are more. ``states`` are any of these."""
    conditions = _conditions(buyer, filters, states)
    with db.read() as tx:
        return store.load_page(tx, buyer.partner_id, buyer.mode, conditions, before=before, limit=limit + 1)


def slice_orders(
    db: Database,
    buyer: Buyer,
    filters: OrderFilter,
    *,
    states: Sequence[OrderState] = (),
    standings: Sequence[tuple[OrderState, bool | None]] = (),
    sku: str | None = None,
    skus: Sequence[str] = (),
    offset: int,
    limit: int,
) -> tuple[list[Order], int]:
    """The partner's orders, newest first, from the ``offset``-th on, and their number: for callers who count pages.

    ``states`` are any of these, ``standings`` likewise with whether some unit was delivered (None: whatever); ``sku``, or one of ``skus``,
    is in one of the items. The native API's cursors (``list_orders``) cost less: of a list by state or customer all orders are counted
    each time, of any other only those of the last hours (``PageTotals``).
    """
    conditions = _conditions(buyer, filters, states, sku)
    conditions += store.standing_conditions([(state.value, has_units) for state, has_units in standings], skus)
    moves = states or standings or filters.state or filters.customer_id is not None or filters.unpaid is not None
    with db.read() as tx:
        if moves:
            total = store.count_orders(tx, buyer.partner_id, buyer.mode, conditions)
        else:
            total = _totals.setdefault(db, PageTotals()).count(tx, buyer, (filters, sku, tuple(skus)), conditions)
        if offset >= total:
            return [], total
        return store.load_slice(tx, buyer.partner_id, buyer.mode, conditions, offset=offset, limit=limit), total


class PageTotals:
    """How many orders there are in lists that nothing but a new order changes. Old orders are counted once: none is ever taken away, and
    none comes that is older than the time that an order may take to be committed, whoever's clock made its id."""

    def __init__(self, settled_millis: int = SETTLED_MILLIS) -> None:
        self._settled = settled_millis
        self._known: dict[Any, tuple[str, int]] = {}

    def count(self, tx: Tx, buyer: Buyer, what: Any, conditions: Sequence[Any]) -> int:
        """The number of the buyer's orders that meet the conditions, which ``what`` names."""
        key = (buyer.partner_id, buyer.mode, what)
        now = time.time_ns() // 1_000_000
        mark, count = self._known.get(key, ("", 0))
        if mark > _first_id(now - self._settled):  # the clock was ahead then, and what it took for old is not
            mark, count = "", 0
        if mark < _first_id(now - 2 * self._settled):
            settled = _first_id(now - self._settled)
            count += store.count_orders(tx, buyer.partner_id, buyer.mode, conditions, since=mark, before=settled)
            mark = settled
            if len(self._known) >= TOTALS_KEPT_MAX:
                self._known.clear()
            self._known[key] = (mark, count)
        return count + store.count_orders(tx, buyer.partner_id, buyer.mode, conditions, since=mark)


_totals: Final[WeakKeyDictionary[Database, PageTotals]] = WeakKeyDictionary()


def _first_id(millis: int) -> str:
    return f"ord_{first_body(millis)}"


def _conditions(buyer: Buyer, filters: OrderFilter, states: Sequence[OrderState], sku: str | None = None) -> list[Any]:
    """What narrows a list."""
    return store.conditions_of(
        states=[one.value for one in (states or ([filters.state] if filters.state else []))],
        reference_hash=binding(buyer, "reference", filters.reference) if filters.reference is not None else None,
        customer_id=filters.customer_id,
        since=filters.since,
        until=filters.until,
        sku=sku,
        unpaid=filters.unpaid,
        currency=filters.currency,
    )


def find_bound(db: Database, buyer: Buyer, key: str) -> OrderId | None:
    """The partner's order that this idempotency key is bound to, if there is one."""
    with db.read() as tx:
        found = store.load_bindings(tx, "key_hash", [binding(buyer, "key", key)])
    return OrderId(found[0][1]) if found else None


def find_orders(
    db: Database,
    *,
    ids: Sequence[OrderId] | None = None,
    state: OrderState | None = None,
    partner_id: str | None = None,
    limit: int = 50,
) -> list[Order]:
    """The operator's look: these orders, or the newest of any partner; without codes."""
    with db.read() as tx:
        if ids is not None:
            return store.load_orders(tx, ids)
        return store.load_all(tx, state=state.value if state else None, partner_id=partner_id, limit=limit)


def order_history(db: Database, order_id: OrderId) -> list[Any]:
    """The order's events, oldest first. The caller has checked whose order it is."""
    with db.read() as tx:
        return store.load_history(tx, order_id)


def ended_at(db: Database, orders: Iterable[Order]) -> dict[OrderId, int]:
    """When (microseconds) each of these orders came to its end: delivered, failed or cancelled. Those that go on are not in it.

    What happens afterwards (a refund, an invalidation) changes nothing about it.
    """
    final = [one for one in orders if one.state in FINAL]
    found = {one.id: one.created_at for one in final if one.updated_at == one.created_at}  # final when it was placed
    changed = [one for one in final if one.id not in found]
    if changed:
        with db.read() as tx:
            endings = store.load_endings(tx, [one.id for one in changed])
        found |= {one.id: endings.get(one.id, one.updated_at) for one in changed}
    return found


def reveal_order(db: Database, clock: Clock, audit: AuditLog, buyer: Buyer, order_id: OrderId) -> Order:
    """The partner's order with its sealed codes, each allocation noted in the audit log. Raises OrderNotFound.

    The codes are opened by the caller, after the commit. An order that was invalidated or has nothing gives none, and
    a code that a restored database knows to be another order's is left out. Where a code was replaced, the new one stands in its place.
    """
    found = reveal_orders(db, clock, audit, buyer, [order_id])
    if not found:
        raise OrderNotFound(order_id=order_id)
    return found[0]


def reveal_orders(db: Database, clock: Clock, audit: AuditLog, buyer: Buyer, order_ids: Sequence[OrderId]) -> list[Order]:
    """``reveal_order`` for several at once, by id; those that are not the partner's are not in it."""
    now = clock.now()
    with db.transaction() as tx:
        found = store.load_orders(tx, order_ids, partner_id=buyer.partner_id, mode=buyer.mode, lock=True)
        with_successors(tx, found)
        for order in found:
            if order.state is OrderState.INVALIDATED or not any(item.delivered for item in order.items):
                continue
            attach_units(tx, order.items)
            shown = withhold(tx, order)
            if order.revealed_at is None:
                order.revealed_at = to_micros(now)
                store.mark_revealed(tx, order.id, order.revealed_at)
            details = {"reveals": [reveal_row(order, buyer, one) for one in shown]}
            entry = audit_entry(
                now,
                buyer.actor,
                "code.revealed",
                subject=order.id,
                partner_id=order.partner_id,
                origin=buyer.origin,
                details=details,
            )
            audit.append(tx, [entry])
        return found


def reveal_row(order: Order, buyer: Buyer, allocation: Allocation) -> list[Any]:
    """What the audit log keeps of one reveal: order, who, from where, lot, first code, how many."""
    return [order.id, buyer.actor, buyer.origin, allocation.lot_id, allocation.first_seq, allocation.count]


def withhold(tx: Tx, order: Order) -> list[Allocation]:
    """Take out the codes that another order got, as the release of a restored database found; returns the ranges that are left."""
    ranges = [one for item in order.items for one in item.allocations]
    if not all_restores(tx):
        return ranges
    gone = withheld(tx, [(one.lot_id, one.first_seq, one.count) for one in ranges])
    if not gone:
        return ranges
    for item in order.items:
        item.units = [one for one in item.units if (one.lot_id, one.seq) not in gone]
    singles = [(one, seq) for one in ranges for seq in range(one.first_seq, one.first_seq + one.count)]
    return [replace(one, first_seq=seq, count=1) for one, seq in singles if (one.lot_id, seq) not in gone]


def attach_units(tx: Tx, items: Iterable[OrderItem], keys: dict[str, LotKey] | None = None) -> None:
    """Read the ciphertext of the items' codes into ``units``, which are empty; nothing is opened. ``keys`` are lot keys that are known
    already."""
    items = [item for item in items if item.allocations]
    keys = dict(keys or {})
    wanted = [one for item in items for one in item.allocations]
    missing = sorted({one.lot_id for one in wanted} - keys.keys())
    if missing:
        keys.update(load_lot_keys(tx, missing))
    sealed = read_sealed(tx, wanted)
    for item in items:
        for one in item.allocations:
            lot_id, lot, expires_at = one.lot_id, keys[one.lot_id], one.expires_at
            for seq in range(one.first_seq, one.first_seq + one.count):
                place = len(item.units) + 1
                item.units.append(Unit(lot_id, 0 if lot.is_shared else seq, sealed[lot_id, seq], lot, expires_at, place))


def _own(tx: Tx, buyer: Buyer, order_id: OrderId) -> Order:
    found = store.load_orders(tx, [order_id], partner_id=buyer.partner_id, mode=buyer.mode)
    if not found:
        raise OrderNotFound(order_id=order_id)
    return found[0]
