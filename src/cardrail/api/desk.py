"""Where the routes work: the parts of the installation, the gate, and the two ways to the database.

A read runs on a thread, a write goes through the lane; nothing here waits for the database on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from cardrail.access import OPERATOR_SCOPES, SCOPES, Principal
from cardrail.api.gate import ORIGIN, PRINCIPAL, Gate, buyer_of
from cardrail.api.http import check_content_type, decode_body, decode_query, decoder_for, read_body
from cardrail.api.meters import Meters
from cardrail.api.parts import Installation
from cardrail.api.readers import Readers
from cardrail.api.render import encode
from cardrail.kernel import InvalidAmount, OrderId, is_id, parse_minor
from cardrail.orders import Buyer, OrderNotFound
from cardrail.storage import retrying

T = TypeVar("T")
W = TypeVar("W", bound=msgspec.Struct)
HttpRequest = Request[Any, Any, Any]

OPERATION: Final = "operation"
"""Where a route keeps its description."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does, for its guard and for the OpenAPI description."""

    summary: str
    answer: Any
    """The wire type of the answer, or a media type where it is no JSON; None: there is no body."""
    tag: str
    scope: str | None = None
    """The scope that a key must have; None: any key."""
    is_public: bool = False
    """Whether no key is needed."""
    is_operator: bool = False
    """Whether it is for operators' keys: then ``scope`` is one of theirs, and no partner's key is even looked up."""
    is_page: bool = False
    """Whether it is a page for people, which the OpenAPI description leaves out."""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    body_is_optional: bool = False
    takes_key: bool = False
    """Whether an `Idempotency-Key` binds the request; repeated under it, the answer is 200."""
    errors: tuple[str, ...] = ()
    """Codes that it may answer with, besides those that every route may."""
    also: tuple[str, ...] = ()
    """Further media types that the answer may have."""
    description: str = ""
    examples: Mapping[str, Any] | None = None
    """Name → request body."""


def describe(summary: str, answer: Any, *, tag: str, **facts: Any) -> dict[str, Operation]:
    """The ``opt`` of a route."""
    return {OPERATION: Operation(summary, answer, tag, **facts)}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes stand on. One per server."""

    parts: Installation
    gate: Gate
    meters: Meters
    threads: Readers
    passwords: Readers
    """Where passwords are hashed, which takes long on purpose and so must not hold up reads."""

    async def read(self, look: Callable[[], T]) -> T:
        """Run a read on a thread, again if somebody was in the way. Raises Unavailable when the database is, QueueFull."""
        return await self.threads.run(lambda: retrying(look))

    async def write(self, use_case: Callable[[], T]) -> T:
        """Run a use case that writes; on SQLite it shares the lane's thread and commits."""
        return await self.parts.lane.run(use_case)

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Run what is still to be done for something that was written: it is not refused however many wait."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def body(self, request: HttpRequest, wire_type: type[W], *, is_optional: bool = False) -> W:
        """The request's body, decoded strictly. An optional one that is empty is the type's own defaults.

        Raises UnsupportedMediaType, BodyTooLarge, MalformedBody, InvalidBody.
        """
        headers, limit = request.scope["headers"], self.parts.settings.body_bytes_max
        if is_optional and not _announces_body(headers):
            return decode_body(decoder_for(wire_type), b"{}")
        check_content_type(headers, limit)
        body = await read_body(request.receive, limit)
        return decode_body(decoder_for(wire_type), b"{}" if is_optional and not body else body)


def _announces_body(headers: Any) -> bool:
    """Whether a body follows; a content type alone, which some clients send with everything, says nothing."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in headers)


def desk_of(request: HttpRequest) -> Desk:
    """The desk of the application that serves this request."""
    desk: Desk = request.app.state.desk
    return desk


def kept_in(request: HttpRequest, name: str) -> Any:
    """What rim and gate have put into the request's scope."""
    return cast("dict[str, Any]", request.scope)[name]


def principal_of(request: HttpRequest) -> Principal:
    """Who asks: the guard has put it there."""
    principal: Principal = kept_in(request, PRINCIPAL)
    return principal


def buyer_in(request: HttpRequest, currency_code: str | None = None) -> Buyer:
    """On whose behalf the request's commands run. Raises UnknownCurrency."""
    return buyer_of(principal_of(request), kept_in(request, ORIGIN), currency_code)


def query_of(request: HttpRequest, wire_type: type[W]) -> W:
    """The request's query, decoded strictly. Raises InvalidQuery."""
    return decode_query(wire_type, request.scope["query_string"])


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """An answer in JSON."""
    return json_answer(encode(value), status, headers)


def json_answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """An answer of JSON that is encoded already. It is nobody else's to keep, unless the headers say so."""
    kept = {"cache-control": "no-store"} if headers is None else headers
    return Response(body, status_code=status, media_type="application/json", headers=kept)


def check_described(routes: Iterable[HTTPRouteHandler]) -> None:
    """Refuse to start with a route that nobody has described: the guard would let everybody in."""
    for route in routes:
        found = route.opt.get(OPERATION)
        if not isinstance(found, Operation):
            raise TypeError(f"the route {sorted(route.paths)} has no description")
        known = OPERATOR_SCOPES if found.is_operator else SCOPES
        if (found.scope is None and found.is_operator) or (found.scope is not None and found.scope not in known):
            raise TypeError(f"the route {sorted(route.paths)} has the scope of another kind of key")


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let nobody in whom the route's description does not."""
    operation: Operation | None = handler.opt.get(OPERATION)
    if operation is None or operation.is_public:  # none: only the framework's own answers to OPTIONS (``check_described``)
        return
    desk: Desk = connection.app.state.desk
    if operation.is_operator:
        await desk.gate.admit_operator(connection.scope, operation.scope)
        return
    await desk.gate.admit(connection.scope, operation.scope)


def order_id_in(text: str) -> OrderId:
    """The order that a path names. Raises OrderNotFound: what has not the form of an id is as unknown as what was never there."""
    if not is_id("ord", text):
        raise OrderNotFound(order_id=text[:64])
    return OrderId(text)


def money_in(amount: str, currency_code: str, digits: int, pointer: str) -> int:
    """Minor units of an amount that a request names. Raises InvalidAmount."""
    try:
        return parse_minor(amount, digits)
    except InvalidAmount as error:
        raise InvalidAmount(**{**error.facts, "currency": currency_code, "pointer": pointer}) from None
