"""`POST /v1/orders`, the bare way: parse, put on the lane, wait, render. Most of the load is here, so no framework is.

The order's own transaction checks that the credential still holds; one that changed meanwhile is read again and the order put on the
lane once more. A client that hangs up does not cancel its order: the lane has it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar.types import Receive, Send

from cardrail.access import Principal
from cardrail.api.desk import Desk, money_in
from cardrail.api.errors import InvalidHeader, problem_response
from cardrail.api.gate import ORIGIN, buyer_of
from cardrail.api.http import check_content_type, decode_body, decoder_for, header, read_body, send_response
from cardrail.api.render import Codes, encode, order_out
from cardrail.api.rim import REQUEST_ID, note_fault
from cardrail.api.wire import MoneyIn, OrderIn, OrderItemIn
from cardrail.kernel import CardrailError, Money, Reference, currency, new_order_id
from cardrail.orders import (
    Buyer,
    CredentialChanged,
    ItemRequest,
    Order,
    Placed,
    PlaceOrder,
    Refused,
    Repeated,
    get_order,
    open_codes,
    place_order_command,
    reveal_order,
)

TRIES_MAX: Final = 3
"""How often an order whose credential changed under it is put on the lane again."""

CODES_ON_LOOP_MAX: Final = 20
"""More codes than this are opened on a thread, so that one large order does not keep the others waiting."""

KEY_MAX: Final = 255

NEEDED: Final = "orders:write"
"""The scope that placing an order needs."""

_HEADERS: Final = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_REPLAYED: Final = [*_HEADERS, (b"idempotency-replayed", b"true")]


class PlaceEndpoint:
    """The ASGI application that places orders."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parts = desk.parts
        self._decoder = decoder_for(OrderIn)
        self._limit = desk.parts.settings.body_bytes_max

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            status, headers, body = await self._answer(scope, receive)
        except CardrailError as refusal:
            note_fault(refusal)
            status, headers, body = problem_response(refusal, scope[REQUEST_ID])
        await send_response(send, status, headers, body)

    async def _answer(self, scope: Any, receive: Receive) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        principal = await self._desk.gate.admit(scope, NEEDED, fresh=False)
        headers = scope["headers"]
        check_content_type(headers, self._limit)
        wanted = decode_body(self._decoder, await read_body(receive, self._limit))
        key = _idempotency_key(headers)
        order, is_new = await self._place(scope, principal, wanted, key)
        codes = await self._opened(order)
        if is_new:
            self._desk.meters.order(order.state.value)
        return 201 if is_new else 200, _HEADERS if is_new else _REPLAYED, encode(order_out(order, codes))

    async def _place(self, scope: Any, principal: Principal, wanted: OrderIn, key: str | None) -> tuple[Order, bool]:
        """The order with its sealed codes, and whether it is new. Raises whatever refuses it."""
        loop, gate = asyncio.get_running_loop(), self._desk.gate
        for _ in range(TRIES_MAX):
            buyer = buyer_of(principal, scope[ORIGIN], wanted.currency)
            outcome = await self._parts.lane.submit(command_of(wanted, buyer, key), loop)
            if isinstance(outcome, Placed):
                return outcome.order, True
            if isinstance(outcome, Repeated):
                return await self._repeated(buyer, outcome), False
            assert isinstance(outcome, Refused)
            if not isinstance(outcome.error, CredentialChanged):
                raise outcome.error
            await gate.refresh()
            principal = await gate.authenticate(scope)
            principal.require(NEEDED)
        raise CredentialChanged

    async def _repeated(self, buyer: Buyer, outcome: Repeated) -> Order:
        parts = self._parts
        if buyer.may_reveal:
            return await self._desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, outcome.order_id))
        return await self._desk.read(lambda: get_order(parts.db, buyer, outcome.order_id))

    async def _opened(self, order: Order) -> list[Codes | None]:
        if sum([len(item.units) for item in order.items]) > CODES_ON_LOOP_MAX:
            return await self._desk.on_thread(lambda: self._open(order))
        return self._open(order)

    def _open(self, order: Order) -> list[Codes | None]:
        opener = self._parts.opener
        return [open_codes(opener, item) if item.units else None for item in order.items]


def command_of(wanted: OrderIn, buyer: Buyer, key: str | None) -> PlaceOrder:
    """The command that a body asks for. Raises InvalidAmount, UnknownCurrency."""
    details: dict[str, Any] = {
        name: value
        for name, value in (
            ("metadata", wanted.metadata),
            ("country", wanted.country),
            ("client_partner", wanted.client_partner),
        )
        if value
    }
    return place_order_command(
        new_order_id(),
        buyer,
        tuple([_item(number, one) for number, one in enumerate(wanted.items)]),
        key=key,
        reference=Reference(wanted.reference) if wanted.reference is not None else None,
        allow_partial=wanted.partial == "allow",
        max_total=_money(wanted.max_price, "/max_price") if wanted.max_price is not None else None,
        quote_id=wanted.quote_id,
        pay_later=wanted.payment == "later",
        customer_id=wanted.customer_id,
        details=details or None,
        currency=wanted.currency,
    )


def _item(number: int, one: OrderItemIn) -> ItemRequest:
    face = _money(one.face_value, f"/items/{number}/face_value") if one.face_value is not None else None
    return ItemRequest(one.sku, one.quantity, face, one.fields)


def _money(given: MoneyIn, pointer: str) -> Money:
    unit = currency(given.currency)
    return Money(money_in(given.amount, given.currency, unit.digits, pointer + "/amount"), unit)


def _idempotency_key(headers: Any) -> str | None:
    """The Idempotency-Key: 1 to 255 printable ASCII characters. Raises InvalidHeader."""
    given = header(headers, b"idempotency-key")
    if given is None:
        return None
    key = given.decode("latin-1")
    if not 0 < len(key) <= KEY_MAX or not key.isascii() or not key.isprintable():
        raise InvalidHeader(parameter="Idempotency-Key")
    return key
