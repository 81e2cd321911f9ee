"""`POST /v1/orders`, the bare way: parse, place (``placing``), render. Most of the load is here, so no framework is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec
from litestar.types import Receive, Send

from cardrail.access import Principal
from cardrail.api.claim import claim_out
from cardrail.api.desk import Desk, money_in
from cardrail.api.errors import InvalidHeader, problem_response
from cardrail.api.gate import ORIGIN, buyer_of
from cardrail.api.http import check_content_type, decode_body, decoder_for, header, parse_moment, read_body, send_response
from cardrail.api.placing import Placing
from cardrail.api.render import encode, order_out
from cardrail.api.rim import REQUEST_ID, note_fault
from cardrail.api.wire import ClaimOut, DeliveryIn, MoneyIn, OrderIn, OrderItemIn
from cardrail.delivery import Wish, check_channels, check_wish, claims_of, deliver_order
from cardrail.kernel import CardrailError, Money, OrderId, Reference, currency, new_order_id
from cardrail.orders import Buyer, ItemRequest, Order, OrderState, PlaceOrder, place_order_command

KEY_MAX: Final = 255

WAIT_SECONDS_LIMIT: Final = 60.0
SYNC_SECONDS: Final = 20.0
"""How long `processing_mode: sync` waits for suppliers, where no `Prefer` header says it."""

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
        waits = _wait_seconds(headers, wanted.processing_mode)
        needed = (
            (NEEDED,) if wanted.delivery is None else (NEEDED, "codes:read")
        )  # whoever has a link, or says where it goes, has the codes
        if wanted.delivery is not None:
            principal.require("codes:read")
            check_channels(self._desk.parts.office, wish_in(wanted.delivery))
        order_id = new_order_id()

        def command(principal: Principal) -> PlaceOrder:
            return command_of(order_id, wanted, buyer_of(principal, scope[ORIGIN], wanted.currency), key)

        async def again() -> Principal:
            found = await self._desk.gate.authenticate(scope)
            for one in needed:
                found.require(one)
            return found

        order, is_new = await self._placing.place(principal, command, again)
        if order.state is OrderState.PROCESSING and waits:
            order = await self._placing.settled(order, command(principal).buyer, waits)
        codes = await self._placing.opened(order)
        if wanted.delivery is not None:
            shown = order_out(order, codes)
            shown.claims = await self._claims(scope, order, is_new=is_new)
            return 201 if is_new else 200, _HEADERS if is_new else _REPLAYED, encode(shown)
        return 201 if is_new else 200, _HEADERS if is_new else _REPLAYED, encode(order_out(order, codes))

    async def _claims(self, scope: Any, order: Order, *, is_new: bool) -> list[ClaimOut]:
        """The order's links: made now where it is final, with their PINs; else those that there are."""
        desk, parts = self._desk, self._desk.parts
        made = await desk.write(lambda: deliver_order(parts.office, order.id)) if is_new else None
        if made is not None:
            return [claim_out(desk, scope, one.claim, one.pin) for one in made]
        return [claim_out(desk, scope, one) for one in await desk.read(lambda: claims_of(parts.db, order.id))]


def wish_in(given: DeliveryIn) -> Wish:
    """What is to be delivered, to whom. Raises InvalidDelivery, InvalidQuery."""
    return check_wish(
        Wish(
            per=given.per,
            protection=given.protection,
            expires_days=given.expires_days,
            email=given.email,
            telegram=given.telegram,
            language=given.language,
            recipient=given.recipient,
            deliver_at=parse_moment(given.deliver_at, "deliver_at") if given.deliver_at is not None else None,
            include_codes=given.include_codes,
        )
    )


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
    if wanted.delivery is not None:
        details["delivery"] = msgspec.to_builtins(wish_in(wanted.delivery))
        buyer = replace(buyer, may_reveal=False)
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


def _wait_seconds(headers: Any, mode: str | None) -> float:
    """How long to wait for suppliers: as `Prefer: wait=n` says (RFC 7240), else some seconds where the order is to be processed at once."""
    given = header(headers, b"prefer") or b""
    for preference in given.split(b","):
        name, _, value = preference.partition(b"=")
        seconds = value.strip()
        if name.strip().lower() == b"wait" and seconds.isdigit():
            return min(float(int(seconds)), WAIT_SECONDS_LIMIT) if len(seconds) <= 4 else WAIT_SECONDS_LIMIT
    return SYNC_SECONDS if mode == "sync" else 0.0


def _idempotency_key(headers: Any) -> str | None:
    """The Idempotency-Key: 1 to 255 printable ASCII characters. Raises InvalidHeader."""
    given = header(headers, b"idempotency-key")
    if given is None:
        return None
    key = given.decode("latin-1")
    if not 0 < len(key) <= KEY_MAX or not key.isascii() or not key.isprintable():
        raise InvalidHeader(parameter="Idempotency-Key")
    return key
