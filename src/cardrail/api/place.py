"""`POST /v1/orders`, the bare way: parse, place (``placing``), render. Most of the load is here, so no framework is."""

from __future__ import annotations

from typing import Any, Final

from litestar.types import Receive, Send

from cardrail.access import Principal
from cardrail.api.desk import Desk, money_in
from cardrail.api.errors import InvalidHeader, problem_response
from cardrail.api.gate import ORIGIN, buyer_of
from cardrail.api.http import check_content_type, decode_body, decoder_for, header, read_body, send_response
from cardrail.api.placing import Placing
from cardrail.api.render import encode, order_out
from cardrail.api.rim import REQUEST_ID, note_fault
from cardrail.api.wire import MoneyIn, OrderIn, OrderItemIn
from cardrail.kernel import CardrailError, Money, OrderId, Reference, currency, new_order_id
from cardrail.orders import Buyer, ItemRequest, PlaceOrder, place_order_command

KEY_MAX: Final = 255

NEEDED: Final = "orders:write"
"""The scope that placing an order needs."""

_HEADERS: Final = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_REPLAYED: Final = [*_HEADERS, (b"idempotency-replayed", b"true")]


class PlaceEndpoint:
    """The ASGI application that places orders."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._placing = Placing(desk)
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
        order_id = new_order_id()

        def command(principal: Principal) -> PlaceOrder:
            return command_of(order_id, wanted, buyer_of(principal, scope[ORIGIN], wanted.currency), key)

        async def again() -> Principal:
            found = await self._desk.gate.authenticate(scope)
            found.require(NEEDED)
            return found

        order, is_new = await self._placing.place(principal, command, again)
        codes = await self._placing.opened(order)
        return 201 if is_new else 200, _HEADERS if is_new else _REPLAYED, encode(order_out(order, codes))


def command_of(order_id: OrderId, wanted: OrderIn, buyer: Buyer, key: str | None) -> PlaceOrder:
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
        order_id,
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
