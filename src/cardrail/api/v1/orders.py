"""Orders after they were placed; placing itself is the bare endpoint's (``cardrail.api.place``)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.access import Principal
from cardrail.api.desk import Desk, HttpRequest, answer, buyer_in, describe, desk_of, kept_in, order_id_in, principal_of, query_of
from cardrail.api.gate import ORIGIN, buyer_of
from cardrail.api.http import parse_moment
from cardrail.api.placing import Placing
from cardrail.api.render import Codes, encode, history_out, line_codes_out, order_out
from cardrail.api.wire import (
    HistoryStepOut,
    InvalidateIn,
    ListOut,
    OrderOut,
    OrderQuery,
    OrderWithHistoryOut,
)
from cardrail.api.wire_replacements import OrderAllCodesOut, OrderLineCodesOut
from cardrail.orders import (
    Buyer,
    InvalidationPolicy,
    Order,
    OrderFilter,
    OrderState,
    PayOrder,
    cancel_order,
    get_order,
    invalidate_order,
    list_orders,
    open_codes,
    order_history,
    reveal_order,
    reveal_replaced,
)

_FIELDS: Final = OrderOut.__struct_fields__


@get(
    "/v1/orders",
    opt=describe(
        "List orders",
        ListOut[OrderOut],
        tag="Orders",
        scope="orders:read",
        query=OrderQuery,
        errors=("invalid_cursor",),
        description="Newest first, without codes.",
    ),
)
async def list_own_orders(request: HttpRequest) -> Response[bytes]:
    """A page of the partner's orders."""
    query = query_of(request, OrderQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    scope = _scope("orders", buyer, query)
    before = desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None
    filters = OrderFilter(
        state=OrderState(query.state) if query.state else None,
        reference=query.reference,
        customer_id=query.customer_id,
        since=parse_moment(query.since, "since") if query.since else None,
        until=parse_moment(query.until, "until") if query.until else None,
    )
    found = await desk.read(lambda: list_orders(desk.parts.db, buyer, filters, before=before, limit=query.limit))
    page = found[: query.limit]
    following = desk.parts.cursors.seal(scope, page[-1].id) if len(found) > query.limit else None
    return answer(ListOut([order_out(one) for one in page], following))


def _scope(name: str, buyer: Buyer, query: Any) -> str:
    """What a cursor must not survive a change of: the list, whose it is, and its filters."""
    filters = encode(msgspec.structs.replace(query, cursor=None, limit=1)).decode()
    return f"{name}|{buyer.partner_id}|{buyer.mode.value}|{filters}"


@get(
    "/v1/orders/{order_id:str}",
    opt=describe(
        "See an order",
        OrderWithHistoryOut,
        tag="Orders",
        scope="orders:read",
        errors=("order_not_found",),
        description="With its history, without its codes.",
    ),
)
async def show_order(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """One order of the partner, and how it came to stand as it does."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)

    def look() -> tuple[Order, list[HistoryStepOut]]:
        return get_order(desk.parts.db, buyer, wanted), history_out(order_history(desk.parts.db, wanted))

    order, history = await desk.read(look)
    shown = order_out(order)
    return answer(OrderWithHistoryOut(**{name: getattr(shown, name) for name in _FIELDS}, history=history))


@get(
    "/v1/orders/{order_id:str}/codes",
    opt=describe(
        "Reveal the codes of an order",
        OrderAllCodesOut,
        tag="Orders",
        scope="codes:read",
        errors=("order_not_found",),
        description="Each call is noted in the operator's audit log. An invalidated order gives none. A code that was replaced is shown as "
        "`REPLACED`, before the one that was given for it. Of a top-up, `code` is the receipt's number.",
    ),
)
async def reveal_codes(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """The order's codes, in the clear."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    parts = desk.parts
    order = await desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, wanted))
    ended = await desk.write(lambda: reveal_replaced(parts.db, parts.clock, parts.audit, buyer, order))
    opened = await desk.on_thread(lambda: opened_codes(desk, order))
    former = await desk.on_thread(lambda: [(one.replacement, one.open(parts.opener)) for one in ended])
    items = [
        OrderLineCodesOut(item.line, item.sku, line_codes_out(item, codes or (), former))
        for item, codes in zip(order.items, opened, strict=True)
    ]
    return answer(OrderAllCodesOut(order.id, order.state.value, items))


def opened_codes(desk: Desk, order: Order) -> list[Codes | None]:
    """The opened codes of each item whose ciphertext was read, in the order of the items. Slow for many: on a thread."""
    return [open_codes(desk.parts.opener, item) if item.units else None for item in order.items]


@post(
    "/v1/orders/{order_id:str}/cancel",
    status_code=200,
    opt=describe(
        "Cancel an order",
        OrderOut,
        tag="Orders",
        scope="orders:write",
        errors=("order_not_found", "not_cancellable"),
        description="Only what has not started can be cancelled: an unpaid or waiting order. Its money is free again.",
    ),
)
async def cancel(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """Withdraw an order."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    order = await desk.write(lambda: cancel_order(desk.parts.db, desk.parts.clock, buyer, wanted))
    desk.meters.order(order.state.value)
    return answer(order_out(order))


@post(
    "/v1/orders/{order_id:str}/invalidate",
    status_code=200,
    opt=describe(
        "Take an order back",
        OrderOut,
        tag="Orders",
        scope="orders:write",
        body=InvalidateIn,
        body_is_optional=True,
        errors=("order_not_found", "invalid_transition", "invalidation_refused"),
        description="Within the operator's window, and only if its codes were never revealed unless the operator allows more. "
        "The charge is returned.",
    ),
)
async def invalidate(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """Return an order's charge and take its codes back."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    asked = await desk.body(request, InvalidateIn, is_optional=True)
    parts, settings = desk.parts, desk.parts.settings
    policy = InvalidationPolicy(timedelta(hours=settings.invalidate_window_hours), settings.invalidate_revealed)
    order = await desk.write(
        lambda: invalidate_order(
            parts.db, parts.clock, parts.audit, buyer, wanted, policy, node=parts.shop.books.node, because=asked.reason
        )
    )
    desk.meters.order(order.state.value)
    return answer(order_out(order))


@post(
    "/v1/orders/{order_id:str}/pay",
    status_code=200,
    opt=describe(
        "Pay an unpaid order",
        OrderOut,
        tag="Orders",
        scope="orders:write",
        errors=("order_not_found", "not_payable", "insufficient_funds", "out_of_stock", "limit_exceeded", "credential_changed"),
        description="At the price that was fixed when it was placed, for all of it or nothing. Paying twice is harmless.",
    ),
)
async def pay(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """Pay an order that was placed with `payment: later`."""
    desk, wanted, origin = desk_of(request), order_id_in(order_id), kept_in(request, ORIGIN)
    buyer = buyer_in(request)
    unpaid = await desk.read(lambda: get_order(desk.parts.db, buyer, wanted))
    units = sum([item.quantity for item in unpaid.items])

    def command(principal: Principal) -> PayOrder:
        return PayOrder(wanted, buyer_of(principal, origin, unpaid.currency), units)

    async def again() -> Principal:
        found = await desk.gate.authenticate(request.scope)
        found.require("orders:write")
        return found

    placing = Placing(desk)
    order, _ = await placing.place(principal_of(request), command, again)
    return answer(order_out(order, await placing.opened(order)))


ORDER_ROUTES: Final = (list_own_orders, show_order, reveal_codes, cancel, invalidate, pay)
