"""A surface of a dialect: its routes, how its callers authenticate, and its envelope for whatever goes wrong.

There is no framework under it: orders come this way, and every answer, also one to an unknown path, a wrong method, a broken body or a
fault of ours, must look like the vendor's. A handler gets a Call and gives an Answer, or raises; ``refuse`` makes an Answer of what was
raised.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
import structlog

from cardrail.access import AddressNotAllowed, InvalidKey, NotAuthenticated, PartnerSuspended, Principal, TooManyRequests
from cardrail.api.desk import Desk
from cardrail.api.errors import BodyTooLarge, InternalFault, InvalidQuery, MethodNotAllowed, RouteNotFound, UnsupportedMediaType
from cardrail.api.gate import HEADERS, ORIGIN, PRINCIPAL, buyer_of
from cardrail.api.http import ClientGone, Headers, check_content_type, decode_body, decoder_for, read_body
from cardrail.api.placing import Placing
from cardrail.api.render import Codes
from cardrail.kernel import CardrailError, Mode
from cardrail.orders import Buyer, Order, OrderRequest

W = TypeVar("W")

JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_NO_STORE: Final = (b"cache-control", b"no-store")
_QUERY_FIELDS_MAX: Final = 50
_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")
_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Answer:
    """What goes back. It is not frozen, which would cost as much as its encoding."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)


def json_answer(value: Any, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """An answer in JSON that nobody may keep, unless a header says so."""
    if not headers:
        return Answer(status, _encode(value), [JSON, _NO_STORE])
    given = [JSON, *headers]
    if not any(name == b"cache-control" for name, _ in given):
        given.append(_NO_STORE)
    return Answer(status, _encode(value), given)


@dataclass(slots=True)
class Call:
    """One request: what a handler needs of it."""

    desk: Desk
    surface: Surface
    scope: Any
    receive: Any
    path: str
    """Below the surface's root; begins with a slash."""
    request_id: str
    origin: str | None
    params: dict[str, str] = field(default_factory=dict)
    """The parts of the path that the route names."""
    route: Route | None = None
    _principal: Principal | None = None
    _body: bytes | None = None
    _sent: dict[bytes, bytes] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """What the surface notes for itself, from ``authenticate`` to ``refuse``."""

    @property
    def principal(self) -> Principal:
        """Who asks; only where the route is not public."""
        assert self._principal is not None
        return self._principal

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method

    @property
    def raw_path(self) -> str:
        """The path as it was sent, with the dialect's root before it, for who signs it."""
        raw: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        return raw.partition(b"?")[0].decode("latin-1")

    @property
    def query_string(self) -> str:
        """As it was sent, without the question mark."""
        raw: bytes = self.scope["query_string"]
        return raw.decode("latin-1")

    @property
    def sent(self) -> dict[bytes, bytes]:
        """The headers by their lower-case names; of those that came twice, the first."""
        if self._sent is None:
            self._sent = dict(reversed(self.scope["headers"]))
        return self._sent

    def header(self, name: str) -> str | None:
        """The first header of this name, in lower case."""
        found = self.sent.get(name.encode())
        return None if found is None else found.decode("latin-1")

    def _all(self, name: bytes) -> Sequence[bytes]:
        """The values of a header that may come more than once."""
        found = self.sent.get(name)
        if found is None:
            return ()
        headers = self.scope["headers"]
        return (found,) if len(self.sent) == len(headers) else [value for one, value in headers if one == name]

    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, each with its values in their order. Raises InvalidQuery."""
        try:
            pairs = parse_qsl(
                self.query_string, keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=_QUERY_FIELDS_MAX
            )
        except ValueError:
            raise InvalidQuery(detail="It is not percent-encoded UTF-8 of the form name=value.") from None
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            found.setdefault(name, []).append(value)
        return found

    def buyer(self, currency_code: str | None = None, mode: Mode | None = None) -> Buyer:
        """On whose behalf the call's commands run, paid from the wallet of that currency. Raises UnknownCurrency."""
        return buyer_of(self.principal, self.origin, currency_code, mode)

    async def body_bytes(self) -> bytes:
        """The raw body, bounded while it arrives. Raises BodyTooLarge, UnsupportedMediaType (a compressed one)."""
        if self._body is None:
            limit = self.desk.parts.settings.body_bytes_max
            for length in self._all(b"content-length"):
                if not length.isdigit() or len(length) > 18 or int(length) > limit:
                    raise BodyTooLarge(limit=limit)
            for coding in self._all(b"content-encoding"):
                if coding.strip().lower() not in (b"", b"identity"):
                    raise UnsupportedMediaType(given=coding.decode("latin-1")[:64])
            self._body = await read_body(self.receive, limit)
        return self._body

    async def body(self, wire_type: type[W], *, check_type: bool = False) -> W:
        """The body, decoded strictly as its wire type. ``check_type``: its content type must say JSON.

        Raises BodyTooLarge, UnsupportedMediaType, MalformedBody, and InvalidBody or one of its kinds (with a pointer, RFC 6901).
        """
        if check_type:
            check_content_type(self.scope["headers"], self.desk.parts.settings.body_bytes_max)
        return decode_body(decoder_for(wire_type), await self.body_bytes())

    async def place(
        self, request_of: Callable[[Principal], OrderRequest], *, reveal_repeated: bool = True
    ) -> tuple[Order, list[Codes | None], bool]:
        """Place or pay an order: as it stands, its opened codes by line, and whether this call made (or paid) it.

        ``request_of`` makes the command; it may be called again if the credential changed meanwhile. Raises whatever refuses it.
        """

        async def again() -> Principal:
            found = await self.surface.authenticate(self)
            if self.route is not None and self.route.scope is not None:
                found.require(self.route.scope)
            self._principal = found
            return found

        placing = self.surface.placing
        order, is_new = await placing.place(self.principal, request_of, again, reveal_repeated=reveal_repeated)
        return order, await placing.opened(order), is_new

    async def opened(self, order: Order) -> list[Codes | None]:
        """The codes of an order that was read with them (``orders.reveal_order``), by line."""
        return await self.surface.placing.opened(order)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``path`` is below the surface's root; ``{name}`` stands for one part of it."""

    method: str
    path: str
    handler: Handler
    scope: str | None = None
    """The scope that the credential must have; None: any credential."""
    is_public: bool = False
    """Whether no credential is needed."""
    is_order: bool = False
    """Whether it puts an order on the lane: then the credential is checked there, and not read anew before."""


class Surface(ABC):
    """One protocol surface. A dialect has one or several, each with a root of its own below the dialect's."""

    name: str
    """For metrics: dialect and surface."""
    slash_is_same: bool = False
    """Whether a trailing slash makes no difference."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.placing = Placing(desk)
        self._static: dict[str, dict[str, Route]] = {}
        self._dynamic: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        self._templates: dict[str, str] = {}
        for route in self.routes:
            self._templates[route.path] = f"/compat/{self.name}{route.path}"
            if "{" in route.path:
                patterns.setdefault(route.path, {})[route.method] = route
            else:
                self._static.setdefault(route.path, {})[route.method] = route
        for path, methods in patterns.items():
            pattern = "".join(
                [f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(_PARAMETER.split(path))]
            )
            self._dynamic.append((re.compile(pattern), methods))

    @property
    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """What it answers."""

    @abstractmethod
    async def authenticate(self, call: Call) -> Principal:
        """Who asks. Raises what ``by_token`` and ``by_key`` raise; ``NotAuthenticated`` and its like are counted by the caller."""

    @abstractmethod
    def refuse(self, call: Call, error: CardrailError) -> Answer:
        """The dialect's envelope for a refusal or fault; ``InternalFault`` stands for whatever is ours."""

    def rate_of(self, principal: Principal) -> int | None:
        """Requests per minute that the vendor allows this credential; None: any number."""
        return None

    async def before_authentication(self, call: Call) -> None:  # noqa: B027  # most surfaces have nothing to do here
        """The place to refuse an address unheard."""

    async def count_failure(self, call: Call, refusal: NotAuthenticated | AddressNotAllowed | PartnerSuspended) -> None:
        """Note a failed authentication. Raises TooManyFailures where there were too many."""
        await self.desk.gate.count_failure(call.origin, refusal)

    # --- what authenticate is made of -----------------------------------------------------------------------------------

    async def by_token(self, call: Call, token: str, dialect: str) -> Principal:
        """Whose token this is. Raises what ``Gate.recognise`` raises; InvalidKey for one of another dialect's."""
        return self._own(await self.desk.gate.recognise(token, call.origin), dialect)

    async def by_key(self, call: Call, key_id: Any, dialect: str) -> Principal:
        """Whose key this is that was proven by a signature or a token of the dialect's own."""
        return self._own(await self.desk.gate.recognise_key(key_id, call.origin), dialect)

    @staticmethod
    def _own(principal: Principal, dialect: str) -> Principal:
        if principal.dialect != dialect:
            raise InvalidKey
        return principal

    # --- serving ----------------------------------------------------------------------------------------------------------

    async def answer(self, call: Call) -> Answer:
        """The answer to a call, whatever happens but the client's hanging up (ClientGone)."""
        try:
            return await self._answer(call)
        except ClientGone:
            raise
        except CardrailError as refusal:
            return self._refused(call, refusal)
        except Exception as fault:  # the rim notes it; the caller sees the dialect's envelope
            call.scope["cardrail.fault"] = fault
            return self._refused(call, InternalFault())

    def _refused(self, call: Call, refusal: CardrailError) -> Answer:
        call.scope.setdefault("cardrail.refusal", refusal)
        return self.refuse(call, refusal)

    async def _answer(self, call: Call) -> Answer:
        route = self._find(call)
        call.route = route
        call.scope["path_template"] = self._templates.get(route.path, "none")
        gate = self.desk.gate
        if not route.is_public:
            if not route.is_order:
                await gate.freshen()
            await self.before_authentication(call)
            try:
                principal = await self.authenticate(call)
            except (NotAuthenticated, AddressNotAllowed, PartnerSuspended) as refusal:
                await self.count_failure(call, refusal)
                raise
            call._principal = call.scope[PRINCIPAL] = principal  # noqa: SLF001  # its own class, set once
            structlog.contextvars.bind_contextvars(partner_id=principal.partner_id)
            await self._limit(principal)
            if route.scope is not None:
                principal.require(route.scope)
        return await route.handler(call)

    def _find(self, call: Call) -> Route:
        """Raises RouteNotFound, MethodNotAllowed."""
        path = call.path
        if self.slash_is_same and len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        methods = self._static.get(path)
        if methods is None:
            for pattern, found in self._dynamic:
                match = pattern.fullmatch(path)
                if match is not None:
                    call.params = match.groupdict()
                    methods = found
                    break
            else:
                raise RouteNotFound
        route = methods.get(call.method)
        if route is None:
            allowed: Headers = call.scope.setdefault(HEADERS, [])
            allowed.append((b"allow", ", ".join(sorted(methods)).encode()))
            raise MethodNotAllowed
        return route

    async def _limit(self, principal: Principal) -> None:
        if principal.limits is not None:
            await self._hold_to(principal, principal.limits.requests_per_minute)
        own = principal.requests_per_minute
        await self._hold_to(principal, self.rate_of(principal) if own is None else own or None)

    async def _hold_to(self, principal: Principal, per_minute: int | None) -> None:
        if per_minute is not None:
            rate = await self.desk.gate.count("key", principal.api_key_id, per_minute, 60)
            if rate is not None and not rate.allowed:
                raise TooManyRequests(limit=rate.limit, retry_after=rate.reset_seconds)


def call_of(desk: Desk, surface: Surface, scope: Any, receive: Any, path: str, request_id: str) -> Call:
    """The call of a request, from the rim."""
    origin = scope[ORIGIN] = desk.gate.origin_of(scope)
    return Call(desk, surface, scope, receive, path, request_id, origin)
