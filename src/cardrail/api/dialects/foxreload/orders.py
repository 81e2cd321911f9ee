"""Looking at the caller's orders, for G and V1: with codes only where there are some and the key may see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cardrail.api.compat import Call
from cardrail.api.render import Codes
from cardrail.kernel import OrderId, is_id
from cardrail.orders import FINAL, Order, OrderNotFound, OrderState, get_order, reveal_order


async def find_order(call: Call, order_id: str) -> Order:
    """The caller's order, without codes. Raises OrderNotFound, also for another partner's."""
    if not is_id("ord", order_id):
        raise OrderNotFound
    buyer = call.buyer()
    return await call.desk.read(lambda: get_order(call.desk.parts.db, buyer, OrderId(order_id)))


async def readable_order(call: Call, order: Order) -> tuple[Order, Sequence[Codes | None]]:
    """The order as it stands now, with its opened codes by line; that is noted in the audit log.

    While it is not final it shows none, though some may have come: neither surface has codes before (2.1, 2.2).
    """
    buyer, parts = call.buyer(), call.desk.parts
    is_delivered = order.state in FINAL and order.state is not OrderState.INVALIDATED
    has_codes = is_delivered and any(item.delivered for item in order.items)
    if not has_codes or not buyer.may_reveal:
        return order, [None] * len(order.items)
    order = await call.desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, order.id))
    return order, await call.opened(order)


def reference_of(order: Order) -> str | None:
    """The store's own name for the order: the one that binds, or on V1, where it need not be unique, the one that is only kept."""
    if order.reference is not None or order.details is None:
        return order.reference
    kept = (msgspec.json.decode(order.details).get("metadata") or {}).get("reference")
    return kept if isinstance(kept, str) else None
