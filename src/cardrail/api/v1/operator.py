"""What an operator's own programs are shown: suppliers, costs, routes. Partners' keys do not open these routes, whatever their scopes."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from cardrail.api.desk import HttpRequest, answer, describe, desk_of
from cardrail.api.render import money
from cardrail.api.wire_operator import AttemptTraceOut, LineTraceOut, OrderTraceOut, TraceStepOut
from cardrail.kernel import OrderId, from_micros, is_id, rfc3339
from cardrail.orders import OrderNotFound, SupplyStory, find_orders, supply_story
from cardrail.sourcing import Attempt


@get(
    "/v1/operator/orders/{order_id:str}/trace",
    opt=describe(
        "How an order was bought",
        OrderTraceOut,
        tag="Operator",
        scope="operator:read",
        is_operator=True,
        errors=("order_not_found",),
        description="Of any partner's order, in words: who was asked, in which order and why, what each answered and charged.",
    ),
)
async def order_trace(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """The route of each item that waited for suppliers."""
    desk = desk_of(request)
    if not is_id("ord", order_id):
        raise OrderNotFound(order_id=order_id[:64])

    def look() -> OrderTraceOut:
        found = find_orders(desk.parts.db, ids=[OrderId(order_id)])
        if not found:
            raise OrderNotFound(order_id=order_id)
        order = found[0]
        stories = supply_story(desk.parts.db, order.id)
        return OrderTraceOut(order.id, order.partner_id, order.mode.value, order.state.value, [_line(one) for one in stories])

    return answer(await desk.read(look))


def _line(story: SupplyStory) -> LineTraceOut:
    waits = story.procurement
    steps = [TraceStepOut(_at(at), text) for at, text in story.told]
    attempts = [_attempt(one, story.names) for one in story.attempts]
    return LineTraceOut(waits.line, waits.state.value, waits.quantity, waits.delivered, steps, attempts)


def _attempt(one: Attempt, names: dict[str, str]) -> AttemptTraceOut:
    cost = money(one.cost_minor, one.cost_currency) if one.cost_minor is not None else None
    facts: dict[str, Any] = {name: getattr(one, name) for name in ("id", "n", "supplier_id", "supplier_sku", "supplier_order_id")}
    return AttemptTraceOut(
        **facts,
        supplier=names.get(one.supplier_id, one.supplier_id),
        state=one.state.value,
        quantity=one.quantity,
        delivered=one.delivered,
        expected_cost=money(one.expected_cost_minor, one.cost_currency),
        cost=cost,
        asked_at=_at(one.asked_at),
        answered_at=_at(one.answered_at) if one.answered_at is not None else None,
    )


def _at(micros: int) -> str:
    return rfc3339(from_micros(micros))


OPERATOR_ROUTES = (order_trace,)
