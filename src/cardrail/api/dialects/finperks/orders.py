"""POST /orders and GET /orders/{id} (specs/finperks.md, sections 2.1 and 2.2): one order is one card.

A refusal makes no order and does not use up its key; the same key with the same request answers with the first one's order.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any, Final

import msgspec

from cardrail.access import ClientPartnerNotFound, ClientPartnerState, Principal, get_client_partner
from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.compat.surface import JSON
from cardrail.api.dialects.finperks.products import ItemMemory, Line, wrong
from cardrail.api.dialects.finperks.render import order_out
from cardrail.api.dialects.finperks.states import COMPLETED, state_of
from cardrail.api.dialects.finperks.surface import body_of, finperks
from cardrail.api.dialects.finperks.wire import OrderIn, OrderOut, PlainOrderIn
from cardrail.api.errors import InvalidBody, InvalidHeader
from cardrail.api.render import Codes
from cardrail.delivery import is_address
from cardrail.kernel import OrderId, OutcomeUnknown, is_id, new_order_id
from cardrail.orders import (
    FINAL,
    Order,
    OrderNotFound,
    PlaceOrder,
    find_bound,
    get_order,
    place_order_command,
    reveal_order,
)

_encode: Final = msgspec.json.Encoder().encode
_details: Final = msgspec.json.Decoder(dict[str, Any]).decode
_HEADERS: Final = [JSON, (b"cache-control", b"no-store")]

POLL_SECONDS: Final = 0.1
"""How often a synchronous order that waits for a supplier is looked at."""


class Buying:
    """Answers POST /orders."""

    def __init__(self) -> None:
        self._items = ItemMemory()

    async def answer(self, call: Call) -> Answer:
        """Buy one card: 201 with it, or 202 before it is there."""
        wanted, key, (item, usual_code) = await self._asked(call)
        details = _details_of(wanted, usual_code)
        is_mailed = wanted.delivery_method.type == "email"
        if is_mailed:
            call.principal.require("codes:read")  # whoever says where codes go, has them
        await _check_client_partner(call, details.get("client_partner"), key)
        is_sync = wanted.processing_mode == "sync"
        order_id = new_order_id()

        def command(_: Principal) -> PlaceOrder:
            buyer = call.buyer()
            # An asynchronous order is answered without its code, and a mailed one too, so nobody has seen it.
            buyer = buyer if is_sync and not is_mailed else replace(buyer, may_reveal=False)
            return place_order_command(order_id, buyer, (item,), key=key, customer_id=wanted.customer.id, details=details)

        order, codes, _ = await call.place(command, reveal_repeated=is_sync and not is_mailed)
        if not is_sync:
            return _answer(
                202,
                order_out(
                    call,
                    order,
                    details=details,
                    code=wanted.product_code,
                    as_processing=not finperks(call).profile.async_shows_state,
                ),
            )
        if order.state not in FINAL:
            order, codes = await _finished(call, order.id)
        return _answer(201, order_out(call, order, codes, details=details, code=wanted.product_code))

    async def _asked(self, call: Call) -> tuple[PlainOrderIn, str, Line]:
        """The order that the body asks for, its key, and its line. Raises what is wrong with them."""
        known = self._items.known(call, await call.body_bytes())
        if known is not None:
            return known[0], _key_of(call), known[1]
        try:
            wanted = await body_of(call, OrderIn)
        except InvalidBody:
            _key_of(call)  # what the key header is, is told before what the parameters are
            raise
        key, line = _key_of(call), self._items.line_of(call, wanted)
        if wanted.delivery_method.type == "email" and wanted.delivery_method.email is None:
            raise wrong("delivery_method.email", "It is required.")
        if wanted.delivery_method.type == "email" and not is_address(wanted.delivery_method.email or ""):
            raise wrong("delivery_method.email", "It is not an address that can be written to.")
        return wanted, key, line


async def show_order(call: Call) -> Answer:
    """An order, with its code if it is completed and the credential may see codes."""
    order, codes = await look_at(call, order_id_in(call))
    return json_answer(order_out(call, order, codes))


def _answer(status: int, order: OrderOut) -> Answer:
    return Answer(status, _encode(order), [*_HEADERS])


def order_id_in(call: Call) -> OrderId:
    """The id of the path. Raises OrderNotFound for what has not the form of one."""
    text = call.params["id"]
    if not is_id("ord", text):
        raise OrderNotFound
    return OrderId(text)


async def look_at(call: Call, order_id: OrderId) -> tuple[Order, list[Codes | None]]:
    """The order, and its codes where they may be shown. Raises OrderNotFound."""
    parts, buyer = call.desk.parts, call.buyer()
    order = await call.desk.read(lambda: get_order(parts.db, buyer, order_id))
    if not buyer.may_reveal or state_of(order, finperks(call).profile) != COMPLETED or _is_mailed(order):
        return order, []
    order = await call.desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, order_id))
    return order, await call.opened(order)


def _is_mailed(order: Order) -> bool:
    """Whether the recipient got it by mail; then no answer shows its code."""
    return order.details is not None and "delivery" in _details(order.details)


async def _finished(call: Call, order_id: OrderId) -> tuple[Order, list[Codes | None]]:
    """The order once it is final. Raises OutcomeUnknown after the deadline; the order goes on, and answers to its key (7.13)."""
    parts, buyer = call.desk.parts, call.buyer()
    until = time.monotonic() + finperks(call).profile.sync_seconds
    while True:
        order = await call.desk.read(lambda: get_order(parts.db, buyer, order_id))
        if order.state in FINAL:
            return await look_at(call, order_id)
        if time.monotonic() >= until:
            raise OutcomeUnknown
        await asyncio.sleep(POLL_SECONDS)


def _key_of(call: Call) -> str:
    """The idempotency key. Raises InvalidHeader."""
    key = call.header("idempotency-key") or ""
    if not 0 < len(key) <= finperks(call).profile.idempotency_key_max or not key.isascii() or not key.isprintable():
        raise InvalidHeader(parameter="Idempotency-Key")
    return key


def _details_of(wanted: PlainOrderIn, usual_code: str) -> dict[str, Any]:
    """What the order keeps of its request; what goes without saying is left out (``render`` knows it)."""
    details: dict[str, Any] = {"country": wanted.country}
    if wanted.product_code != usual_code:
        details["product_code"] = wanted.product_code
    if wanted.processing_mode != "sync":
        details["processing_mode"] = wanted.processing_mode
    delivery = wanted.delivery_method
    if delivery.email is not None:
        details["delivery_method"] = {"type": delivery.type, "email": delivery.email}
        if delivery.type == "email":
            details["delivery"] = {"email": delivery.email}
    elif delivery.type != "code":
        details["delivery_method"] = {"type": delivery.type}
    if wanted.client_partner is not None:
        details["client_partner"] = wanted.client_partner if isinstance(wanted.client_partner, str) else wanted.client_partner.id
    return details


async def _check_client_partner(call: Call, named: str | None, key: str) -> None:
    """Raises InvalidBody where the order's client partner may not be ordered for, unless it was when the order was placed."""
    if named is None:
        if finperks(call).profile.client_partner_required and not await _is_repeated(call, key):
            raise wrong("client_partner", "It is required.")
    elif not await _is_approved(call, named) and not await _is_repeated(call, key):
        raise wrong("client_partner", "It is not an approved client partner.")


async def _is_approved(call: Call, client_id: str) -> bool:
    db, principal = call.desk.parts.db, call.principal

    def look() -> bool:
        with db.read() as tx:
            found = get_client_partner(tx, principal.partner_id, principal.mode, client_id)
        return found.state is ClientPartnerState.APPROVED

    try:
        return await call.desk.read(look)
    except ClientPartnerNotFound:
        return False


async def _is_repeated(call: Call, key: str) -> bool:
    """Whether an order was placed under this key: what was allowed then is not asked again."""
    db, buyer = call.desk.parts.db, call.buyer()
    return await call.desk.read(lambda: find_bound(db, buyer, key)) is not None
