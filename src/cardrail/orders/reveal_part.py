"""Reading the codes of a part of an order for its recipient: the whole order, a line, or one unit of a line."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cardrail.kernel import OrderId, to_micros
from cardrail.orders import store
from cardrail.orders.errors import OrderNotFound
from cardrail.orders.model import Order
from cardrail.orders.read import attach_units, withhold
from cardrail.orders.replacements.held import with_successors
from cardrail.orders.states import OrderState
from cardrail.storage import AuditLog, Tx, audit_entry
from cardrail.vault import Allocation


def reveal_part(
    tx: Tx,
    audit: AuditLog,
    order_id: OrderId,
    *,
    line: int = 0,
    unit: int = 0,
    now: datetime,
    actor: str,
    origin: str | None,
) -> Order:
    """The order with the sealed codes of this part only, each range of them noted in the audit log. Raises OrderNotFound.

    ``line`` 0 is all lines, ``unit`` 0 all units of them; units count from 1 in the order of their allocation. An order that was
    invalidated gives none. The codes are opened by the caller, after the commit.
    """
    found = store.load_orders(tx, [order_id], lock=True)
    if not found:
        raise OrderNotFound(order_id=order_id)
    order = found[0]
    if order.state is OrderState.INVALIDATED:
        return order
    with_successors(tx, [order])
    for item in order.items:
        item.allocations = _part(item.allocations, unit) if line in (0, item.line) else []
    attach_units(tx, order.items)
    shown = withhold(tx, order)
    if not shown:
        return order
    if order.revealed_at is None:
        order.revealed_at = to_micros(now)
        store.mark_revealed(tx, order.id, order.revealed_at)
    reveals = [[order.id, actor, origin, one.lot_id, one.first_seq, one.count] for one in shown]
    entry = audit_entry(
        now, actor, "code.revealed", subject=order.id, partner_id=order.partner_id, origin=origin, details={"reveals": reveals}
    )
    audit.append(tx, [entry])
    return order


def _part(ranges: list[Allocation], unit: int) -> list[Allocation]:
    """The range of the one unit; all of them for unit 0."""
    if unit == 0:
        return ranges
    passed = 0
    for one in ranges:
        if unit <= passed + one.count:
            return [replace(one, first_seq=one.first_seq + unit - passed - 1, count=1)]
        passed += one.count
    return []
