"""Undoing orders: invalidate, and in the sandbox refund (specs/finperks.md, sections 2.3 and 2.4)."""

from __future__ import annotations

from datetime import timedelta

from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.finperks.errors import REFUNDED
from cardrail.api.dialects.finperks.orders import order_id_in
from cardrail.api.dialects.finperks.render import order_out
from cardrail.api.dialects.finperks.states import COMPLETED, is_refunded, state_of
from cardrail.api.dialects.finperks.surface import finperks
from cardrail.api.errors import RouteNotFound
from cardrail.kernel import Mode
from cardrail.orders import (
    InvalidationPolicy,
    InvalidationRefused,
    InvalidTransition,
    get_order,
    invalidate_order,
    refund_order,
)


async def invalidate(call: Call) -> Answer:
    """Take an order back: its card is dead and its price returned. Raises OrderNotFound, InvalidTransition, InvalidationRefused."""
    parts, buyer, order_id = call.desk.parts, call.buyer(), order_id_in(call)
    order = await call.desk.read(lambda: get_order(parts.db, buyer, order_id))
    if is_refunded(order):
        raise InvalidationRefused(because="it was refunded")
    if state_of(order, finperks(call).profile) != COMPLETED:
        raise InvalidTransition(current=order.state.value)
    policy = _policy(call)
    order = await call.desk.write(
        lambda: invalidate_order(
            parts.db,
            parts.clock,
            parts.audit,
            buyer,
            order_id,
            policy,
            node=parts.shop.books.node,
            because="taken back by the partner",
        )
    )
    call.desk.meters.order(order.state.value)
    return json_answer(order_out(call, order))


async def refund(call: Call) -> Answer:
    """What the vendor's support does, for the sandbox to try out: all is given back. Raises OrderNotFound, InvalidTransition."""
    if call.principal.mode is not Mode.TEST:
        raise RouteNotFound
    parts, buyer, order_id = call.desk.parts, call.buyer(), order_id_in(call)
    order = await call.desk.read(lambda: get_order(parts.db, buyer, order_id))
    if state_of(order, finperks(call).profile) != COMPLETED:
        raise InvalidTransition(current=order.state.value, wanted=REFUNDED)
    order = await call.desk.write(
        lambda: refund_order(
            parts.db,
            parts.clock,
            parts.audit,
            order_id,
            None,
            node=parts.shop.books.node,
            because="refunded in the sandbox",
            actor=buyer.actor,
            reference="sandbox-refund",
        )
    )
    return json_answer(order_out(call, order))


def _policy(call: Call) -> InvalidationPolicy:
    """The installation's rules, narrowed by the profile's; test codes are worth nothing, so seeing them costs nobody anything."""
    settings, profile = call.desk.parts.settings, finperks(call).profile
    window = min(timedelta(hours=settings.invalidate_window_hours), timedelta(minutes=profile.invalidate_minutes))
    in_sandbox = call.principal.mode is Mode.TEST and profile.invalidate_revealed_in_sandbox
    return InvalidationPolicy(window, settings.invalidate_revealed or in_sandbox)
