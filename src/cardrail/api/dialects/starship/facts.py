"""What is known of orders beside their rows, for who shows their sub status: attempts at suppliers, claims of links, reconciliation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cardrail.api.compat import Call
from cardrail.api.dialects.starship.goods import Goods
from cardrail.api.dialects.starship.states import Facts, facts_of
from cardrail.delivery import claims_of
from cardrail.kernel import OrderId, to_micros
from cardrail.orders import Order, OrderState
from cardrail.settlement import reconciled_orders
from cardrail.sourcing import load_attempts

_SOUGHT = (OrderState.PROCESSING, OrderState.NEEDS_REVIEW)


async def facts_about(call: Call, goods: Goods, orders: Sequence[Order]) -> Mapping[OrderId, Facts]:
    """The facts of each order, read together."""
    db, now = call.desk.parts.db, to_micros(call.desk.parts.clock.now())

    def look() -> Mapping[OrderId, Facts]:
        with db.read() as tx:
            settled = reconciled_orders(tx, [one.id for one in orders])
            tried = {one.id: load_attempts(tx, one.id) for one in orders if one.state in _SOUGHT}
        claims = {one.id: claims_of(db, one.id) for one in orders if one.state is OrderState.FULFILLED}
        found = {}
        for order in orders:
            first = order.items[0]
            states = [claim.state(now) for claim in claims.get(order.id, ())]
            found[order.id] = facts_of(
                order,
                is_link=goods.product_of(first.denomination_id, first.sku)[1] == "link",
                attempts=tuple([one.state.value for one in tried.get(order.id, ())]),
                link_claims=tuple([state == "CLAIMED" for state in states if state != "REVOKED"]),
                is_reconciled=order.id in settled,
            )
        return found

    return await call.desk.read(look)
