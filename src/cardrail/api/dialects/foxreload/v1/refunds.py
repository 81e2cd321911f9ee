"""POST /v1/refunds (specs/foxreload.md, section 2.2): an object of its own, which leaves the order's state alone.

A caller can have back what nobody has seen, within the operator's window; then the refund is complete in its own answer. What was
revealed is the operator's to refund (`cardrail order refund`), after a look at it.
"""

from __future__ import annotations

from datetime import timedelta

from cardrail.api.compat import Answer, Call, decimal_text, json_answer, minor_of
from cardrail.api.dialects.foxreload.v1.orders import V1Orders
from cardrail.api.dialects.foxreload.v1.wire import RefundIn, RefundOut
from cardrail.kernel import InvalidAmount
from cardrail.orders import InvalidationPolicy, Order, OrderState, RefundTooLarge, invalidate_order


class V1Refunds:
    """Giving back what was paid."""

    def __init__(self, orders: V1Orders) -> None:
        self._orders = orders

    async def create(self, call: Call) -> Answer:
        """Take an order back as a whole: 201, completed; again for who repeats it."""
        wanted = await call.body(RefundIn)
        order = await self._orders.find(call, wanted.order_id)
        amount = minor_of(wanted.amount_usd, order.currency)
        if not amount:
            raise InvalidAmount(currency=order.currency)
        is_repeat = order.state is OrderState.INVALIDATED and amount == order.refunded_minor
        if not is_repeat:
            left = order.charged_minor - order.refunded_minor
            if left and amount != left:
                raise RefundTooLarge(detail=f"An order is given back as a whole: {decimal_text(left, order.currency)}.")
            order = await self._take_back(call, order, wanted.reason)
        return json_answer(_refund_out(order, amount), 201)

    async def _take_back(self, call: Call, order: Order, reason: str) -> Order:
        """Raises InvalidTransition, InvalidationRefused."""
        parts, settings, buyer = call.desk.parts, call.desk.parts.settings, call.buyer()
        policy = InvalidationPolicy(timedelta(hours=settings.invalidate_window_hours), settings.invalidate_revealed)
        taken = await call.desk.write(
            lambda: invalidate_order(
                parts.db, parts.clock, parts.audit, buyer, order.id, policy, node=parts.shop.books.node, because=reason
            )
        )
        call.desk.meters.order(taken.state.value)
        return taken


def _refund_out(order: Order, amount: int) -> RefundOut:
    """An order is given back once, so its id names the refund."""
    return RefundOut("rfd_" + order.id.partition("_")[2], order.id, decimal_text(amount, order.currency), "completed")
