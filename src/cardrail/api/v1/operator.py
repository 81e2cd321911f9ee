"""What an operator's own programs are shown: suppliers, costs, routes. Partners' keys do not open these routes, whatever their scopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.access import OperatorKey
from cardrail.alerts import Alert, AlertNotFound, list_alerts, sentence
from cardrail.api.desk import Desk, HttpRequest, answer, describe, desk_of, kept_in, order_id_in, query_of
from cardrail.api.gate import OPERATOR_KEY
from cardrail.api.render import encode, money
from cardrail.api.wire import ListOut
from cardrail.api.wire_operator import (
    AlertOut,
    AlertQuery,
    AttemptTraceOut,
    LineTraceOut,
    NoticeOut,
    NoticeQuery,
    OrderTraceOut,
    TraceStepOut,
)
from cardrail.kernel import from_micros, is_id, rfc3339
from cardrail.orders import OrderNotFound, SupplyStory, find_orders, supply_story
from cardrail.sourcing import Attempt, list_notices


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
    desk, wanted = desk_of(request), order_id_in(order_id)

    def look() -> OrderTraceOut:
        found = find_orders(desk.parts.db, ids=[wanted])
        if not found:
            raise OrderNotFound(order_id=wanted)
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


@get(
    "/v1/operator/alerts",
    opt=describe(
        "List alerts",
        ListOut[AlertOut],
        tag="Operator",
        scope="operator:alerts",
        is_operator=True,
        query=AlertQuery,
        errors=("invalid_cursor",),
        description="What is so now, or with `state=all` what is over, too. Newest first.",
    ),
)
async def show_alerts(request: HttpRequest) -> Response[bytes]:
    """What runs low, is down, or waits for the operator."""
    desk, query = desk_of(request), query_of(request, AlertQuery)
    scope, before = _list_of("alerts", desk, query)

    def look() -> list[Alert]:
        with desk.parts.db.read() as tx:
            return list_alerts(tx, everything=query.state == "all", kind=query.kind, limit=query.limit + 1, before=before)

    found = await desk.read(look)
    return answer(ListOut([_alert(one) for one in found[: query.limit]], _following(scope, desk, query, found)))


@post(
    "/v1/operator/alerts/{alert_id:str}/acknowledge",
    status_code=200,
    opt=describe(
        "Acknowledge an alert",
        AlertOut,
        tag="Operator",
        scope="operator:acknowledge",
        is_operator=True,
        errors=("alert_not_found",),
        description="Somebody knows: no reminders until it is over and comes back. Again it changes nothing.",
    ),
)
async def acknowledge_alert(request: HttpRequest, alert_id: FromPath[str]) -> Response[bytes]:
    """Say that somebody knows; the audit log names the key."""
    desk = desk_of(request)
    key: OperatorKey = kept_in(request, OPERATOR_KEY)
    if not is_id("alr", alert_id):
        raise AlertNotFound(alert_id=alert_id[:64])
    return answer(_alert(await desk.write(lambda: desk.parts.alerts.acknowledge(alert_id, actor=key.id))))


@get(
    "/v1/operator/supplier-notices",
    opt=describe(
        "List suppliers' webhooks",
        ListOut[NoticeOut],
        tag="Operator",
        scope="operator:alerts",
        is_operator=True,
        query=NoticeQuery,
        errors=("invalid_cursor",),
        description="What suppliers' signed webhooks said, and what came of it; `state=review` waits for a human. Newest first.",
    ),
)
async def show_supplier_notices(request: HttpRequest) -> Response[bytes]:
    """Never a body, a code or an amount: none is kept."""
    desk, query = desk_of(request), query_of(request, NoticeQuery)
    scope, before = _list_of("notices", desk, query)

    def look() -> list[Any]:
        with desk.parts.db.read() as tx:
            return list_notices(tx, supplier_id=query.supplier_id, state=query.state, limit=query.limit + 1, before=before)

    found = await desk.read(look)
    return answer(ListOut([_notice(one) for one in found[: query.limit]], _following(scope, desk, query, found)))


def _list_of(name: str, desk: Desk, query: AlertQuery | NoticeQuery) -> tuple[str, str | None]:
    """What a cursor must not survive a change of (the list and its filters), and the id that the page before ended with."""
    scope = f"operator:{name}|{encode(msgspec.structs.replace(query, cursor=None, limit=1)).decode()}"
    return scope, desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None


def _following(scope: str, desk: Desk, query: AlertQuery | NoticeQuery, found: Sequence[Any]) -> str | None:
    """Where the next page begins, if there is one."""
    return desk.parts.cursors.seal(scope, found[query.limit - 1].id) if len(found) > query.limit else None


def _alert(one: Alert) -> AlertOut:
    times = {name: _maybe(getattr(one, name)) for name in ("told_at", "acknowledged_at", "cleared_at")}
    return AlertOut(
        id=one.id,
        kind=one.kind,
        subject=one.subject,
        state=one.state.value,
        text=sentence(one),
        count=one.count,
        opened_at=_at(one.opened_at),
        last_at=_at(one.last_at),
        acknowledged_by=one.acknowledged_by,
        **times,
    )


def _notice(row: Any) -> NoticeOut:
    names = ("id", "supplier_id", "supplier", "event", "event_id", "supplier_order_id", "state", "result", "attempt_id")
    facts: dict[str, Any] = {name: getattr(row, name) for name in names}
    return NoticeOut(**facts, received_at=_at(row.received_at), done_at=_maybe(row.done_at))


def _maybe(micros: int | None) -> str | None:
    return None if micros is None else _at(micros)


OPERATOR_ROUTES = (order_trace, show_alerts, acknowledge_alert, show_supplier_notices)
