"""POST /v1/orders/{order_id}/replacement (specs/foxreload.md, sections 2.2 and 3.5)."""

from __future__ import annotations

from datetime import timedelta

from cardrail.api.compat import Answer, Call
from cardrail.api.dialects.foxreload.v1.orders import V1Orders
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.wire import ReplacementIn
from cardrail.kernel import from_micros
from cardrail.orders import InvalidationRefused, InvalidTransition, Order


class V1Replacements:
    """Another code for one that failed."""

    def __init__(self, orders: V1Orders, profile: V1Profile) -> None:
        self._orders = orders
        self._profile = profile

    async def create(self, call: Call) -> Answer:
        """Nobody decides claims here yet, so each is refused: by its own reason where it has one, else to be sent to the operator."""
        await call.body(ReplacementIn)
        order = await self._orders.find(call, call.params["order_id"])
        await self._check(call, order)
        raise InvalidationRefused(detail="Claims are taken by the operator's support.")

    async def _check(self, call: Call, order: Order) -> None:
        """Raises InvalidTransition (not delivered), InvalidationRefused (beyond the window, counted from the delivery)."""
        delivered_at = await self._orders.delivered_at(call, order)
        if delivered_at is None:
            raise InvalidTransition(current=order.state.value, wanted="replaced")
        if call.desk.parts.clock.now() > from_micros(delivered_at) + timedelta(days=self._profile.replacement_days):
            raise InvalidationRefused(because="the window is over")
