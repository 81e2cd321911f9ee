"""POST /v1/refunds (specs/foxreload.md, section 2.2): an object of its own, which leaves the order's state alone.

A caller can have back what nobody has seen, within the operator's window; then the refund is complete in its own answer. What was
revealed is the operator's to refund (`cardrail order refund`), after a look at it.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from cardrail.api.compat import Answer, Call, decimal_text, json_answer, minor_of
from cardrail.api.dialects.foxreload.v1.orders import V1Orders
from cardrail.api.dialects.foxreload.v1.wire import RefundIn, RefundOut
from cardrail.kernel import InvalidAmount
from cardrail.orders import InvalidationPolicy, Order, OrderState, RefundTooLarge, invalidate_order, order_history
from cardrail.storage import retrying


class V1Refunds:
    """Giving back what was paid."""

    def __init__(self, orders: V1Orders) -> None:
        self._orders = orders

    async def create(self, call: Call) -> Answer:
        """Take an order back as a whole: 201, completed; again for who repeats it. No other amount is confirmed, and nothing twice."""
        wanted = await call.body(RefundIn)
        order = await self._orders.find(call, wanted.order_id)
        amount = minor_of(wanted.amount_usd, order.currency)
        if not amount:
            raise InvalidAmount(currency=order.currency)
        if order.state is not OrderState.INVALIDATED:
            left = order.charged_minor - order.refunded_minor
            if amount != left:
                raise RefundTooLarge(detail=_detail(left, order.currency))
            order = await self._take_back(call, order, amount, wanted.reason)
        given = await call.desk.on_thread(lambda: retrying(lambda: _given_back(call, order)))
        if amount != given:
            raise RefundTooLarge(detail=_detail(0, order.currency))
        return json_answer(_refund_out(order, given), 201)

    async def _take_back(self, call: Call, order: Order, amount: int, reason: str) -> Order:
        """The order, taken back now or by somebody who was faster. Raises InvalidTransition, InvalidationRefused, RefundTooLarge."""
        parts, settings, buyer = call.desk.parts, call.desk.parts.settings, call.buyer()
        policy = InvalidationPolicy(timedelta(hours=settings.invalidate_window_hours), settings.invalidate_revealed)
        taken = await call.desk.write(
            lambda: invalidate_order(
                parts.db,
                parts.clock,
                parts.audit,
                buyer,
                order.id,
                policy,
                node=parts.shop.books.node,
                because=reason,
                expected_minor=amount,
            )
        )
        call.desk.meters.order(taken.state.value)
        return taken


def _given_back(call: Call, order: Order) -> int:
    """What the invalidation of this order returned; the operator may have refunded a part before it."""
    told = [one.data for one in order_history(call.desk.parts.db, order.id) if one.type == "order.invalidated" and one.data]
    return int(msgspec.json.decode(told[-1])["refunded_minor"]) if told else order.refunded_minor


def _detail(left: int, currency: str) -> str:
    if left <= 0:
        return "Nothing of this order is left to be given back."
    return f"An order is given back as a whole: {decimal_text(left, currency)}."


def _refund_out(order: Order, amount: int) -> RefundOut:
    """An order is given back once, so its id names the refund."""
    return RefundOut("rfd_" + order.id.partition("_")[2], order.id, decimal_text(amount, order.currency), "completed")
