"""Who asks, from where, and how often: the checks that come before a request's body is read.

``Gate.admit`` is all of it, for the bare order endpoint and the routes alike. A key that was seen before costs no I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import structlog

from cardrail.access import (
    AccessError,
    AddressNotAllowed,
    Credential,
    CredentialBook,
    InvalidKey,
    KeyCache,
    NotAuthenticated,
    OperatorKey,
    PartnerSuspended,
    Principal,
    Rate,
    TooManyFailures,
    TooManyRequests,
    is_inside,
    load_operator_key,
    parse_address,
    parse_networks,
)
from cardrail.api.errors import MissingCredentials
from cardrail.api.http import Headers
from cardrail.api.parts import Installation
from cardrail.api.readers import Readers
from cardrail.kernel import ApiKeyId, Mode, currency
from cardrail.orders import Buyer

T = TypeVar("T")
Scope = MutableMapping[str, Any]

PRINCIPAL: Final = "cardrail.principal"
ORIGIN: Final = "cardrail.origin"
OPERATOR_KEY: Final = "cardrail.operator_key"
HEADERS: Final = "cardrail.headers"
"""Where in a request's scope its principal, its client's address, and headers for its answer are kept."""

FRESH_SECONDS: Final = 0.25
"""How old the copies of keys and catalog may be when a request that is no order is answered from them."""

_TOKEN_MAX: Final = 4_096
_FORWARDED_MAX: Final = 1_024
"""Bytes at the end of X-Forwarded-For that are looked at: some twenty proxies of ours, one behind the other."""


class Gate:
    """Authenticates, limits and checks scopes. One per server, used on its event loop only."""

    def __init__(self, parts: Installation, threads: Readers) -> None:
        self._db, self._clock = parts.db, parts.clock
        self._keys: KeyCache = parts.keys
        self._tokens = parts.tokens
        self._credentials: CredentialBook = parts.credentials
        self._rates = parts.rates
        self._operator_per_minute: int = parts.settings.operator_requests_per_minute
        self._catalog = parts.catalog
        self._threads = threads
        self._proxies = parse_networks(parts.settings.trusted_proxies.split())
        self._origins = lru_cache(maxsize=4_096)(self._origin)
        self._fresh_at = float("-inf")

    async def admit(self, scope: Any, needed: str | None, *, fresh: bool = True) -> Principal:
        """The request's principal, who has the scope ``needed`` and is within its rate limit; kept in the request's scope too.

        ``fresh=False`` is for orders: their own transaction checks that the credential still holds.
        Raises MissingCredentials, what ``KeyCache.load`` raises, TooManyFailures, TooManyRequests, ScopeMissing; Unavailable.
        """
        if fresh:
            await self.freshen()
        principal = await self.authenticate(scope)
        structlog.contextvars.bind_contextvars(partner_id=principal.partner_id)
        await self._limit(
            scope, principal.api_key_id, principal.limits.requests_per_minute if principal.limits is not None else None
        )
        if needed is not None:
            principal.require(needed)
        return principal

    async def admit_operator(self, scope: Any, needed: str | None) -> OperatorKey:
        """The operator's key of the request, which has the scope ``needed`` and is within its rate limit. No partner's credential is looked
        up here.

        Raises MissingCredentials, what ``load_operator_key`` raises, TooManyFailures, TooManyRequests, ScopeMissing; Unavailable.
        """
        origin = scope[ORIGIN] = self.origin_of(scope)
        token = token_of(scope["headers"])
        await self.check_failures(origin)
        try:
            key = await self._on_thread(lambda: load_operator_key(self._db, self._clock, token, origin))
        except (NotAuthenticated, AddressNotAllowed) as refusal:
            await self.count_failure(origin, refusal)
            raise
        structlog.contextvars.bind_contextvars(operator_key=key.id)
        await self._limit(scope, key.id, self._operator_per_minute or None)
        if needed is not None:
            key.require(needed)
        scope[OPERATOR_KEY] = key
        return key

    async def authenticate(self, scope: Any) -> Principal:
        """Who the request's credential belongs to, wherever it may be used. Raises as ``admit`` does, but for limits and scopes."""
        origin = scope[ORIGIN] = self.origin_of(scope)
        token = token_of(scope["headers"])
        try:
            if is_signed(
                token
            ):  # proven before failures are looked at: a neighbour's mistakes lock nobody out who has a token of ours
                proven = self._tokens.verify_jwt(token)
                principal = self._tokens.lookup_proven(proven, origin)
                if principal is None:
                    principal = await self._on_thread(lambda: self._tokens.load_proven(proven, origin))
            else:
                principal = self._keys.lookup_cached(token, origin)
                if principal is None:
                    await self.check_failures(origin)
                    principal = await self._on_thread(lambda: self._keys.load(token, origin))
            if principal.dialect is not None:
                raise InvalidKey
        except (NotAuthenticated, AddressNotAllowed, PartnerSuspended) as refusal:
            await self.count_failure(origin, refusal)
            raise
        scope[PRINCIPAL] = principal
        return principal

    async def recognise(self, token: str, origin: str | None) -> Principal:
        """Whose token of another dialect's form this is; the caller checks which dialect's, and counts failures.

        Raises what ``KeyCache.load`` raises, TooManyFailures.
        """
        principal = self._keys.lookup_cached(token, origin)
        if principal is None:
            await self.check_failures(origin)
            principal = await self._on_thread(lambda: self._keys.load(token, origin, is_own=False))
        return principal

    async def recognise_key(self, key_id: ApiKeyId, origin: str | None) -> Principal:
        """Whose key this is that was proven otherwise: by a signature, a password, a token of the dialect's own."""
        principal = self._keys.lookup_id(key_id, origin)
        if principal is None:
            principal = await self._on_thread(lambda: self._keys.load_id(key_id, origin))
        return principal

    async def credential(self, dialect: str, login: str, origin: str | None) -> Credential:
        """What requests of this login are checked against. Raises InvalidKey, TooManyFailures."""
        found = self._credentials.lookup(dialect, login)
        if found is None:
            await self.check_failures(origin)
            found = await self._on_thread(lambda: self._credentials.load(dialect, login))
        return found

    async def credential_of(self, key_id: ApiKeyId) -> Credential:
        """What requests of this key are checked against. Raises InvalidKey."""
        found = self._credentials.lookup_key(key_id)
        return found if found is not None else await self._on_thread(lambda: self._credentials.load_key(key_id))

    async def count(self, kind: str, name: str, most: int, seconds: int) -> Rate | None:
        """``RateLimiter.count``."""
        return await self._counted(lambda: self._rates.count(kind, name, most, seconds))

    async def blocked(self, kind: str, name: str, most: int, seconds: int) -> int:
        """``RateLimiter.blocked``."""
        return await self._counted(lambda: self._rates.blocked(kind, name, most, seconds))

    async def freshen(self) -> None:
        """See to it that keys and catalog are no older than FRESH_SECONDS; what is being read anyway is not waited for twice."""
        now = time.monotonic()
        if now - self._fresh_at > FRESH_SECONDS:
            self._fresh_at = now
            await self.refresh()

    async def refresh(self) -> None:
        """Read the versions of keys and catalog now, and whatever has changed."""
        await self._on_thread(self._keys.refresh)
        await self._on_thread(self._catalog.refresh)

    def origin_of(self, scope: Any) -> str | None:
        """The client's address: the peer, or what a trusted proxy in front of us says it is."""
        client = scope.get("client")
        peer: str | None = client[0] if client else None
        if not self._proxies:
            return peer
        forwarded = b",".join([value for name, value in scope["headers"] if name == b"x-forwarded-for"])
        if len(forwarded) > _FORWARDED_MAX:  # the proxies' own words are at its end, and what is remembered is small
            forwarded = forwarded[-_FORWARDED_MAX:].partition(b",")[2]
        return self._origins(peer, forwarded) if forwarded else peer

    def _origin(self, peer: str | None, forwarded: bytes) -> str | None:
        """The last address in the chain that is no proxy of ours: what stands before it, anybody may have written."""
        origin = peer
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            if not is_inside(self._proxies, origin):
                break
            address = parse_address(hop.strip())
            if address is None:
                break
            origin = str(address)
        return origin

    async def _limit(self, scope: Any, key_id: str, per_minute: int | None) -> None:
        """Count a request of this key. Raises TooManyRequests."""
        if per_minute is None:
            return
        rate = await self._counted(lambda: self._rates.hit(key_id, per_minute))
        if rate is None:
            return
        headers: Headers = scope.setdefault(HEADERS, [])
        headers += [
            (name.lower().encode(), value.encode()) for name, value in rate.headers().items() if name.lower() != "retry-after"
        ]
        if not rate.allowed:
            raise TooManyRequests(limit=rate.limit, retry_after=rate.reset_seconds)

    async def check_failures(self, origin: str | None) -> None:
        """Refuse an address with too many failed authentications, before anything is done for it. Raises TooManyFailures."""
        seconds = await self._counted(lambda: self._rates.blocked_seconds(origin))
        if seconds:
            raise TooManyFailures(retry_after=seconds)

    async def count_failure(self, origin: str | None, refusal: AccessError) -> None:
        """Note a failed authentication from an address. Raises TooManyFailures where there were too many before it."""
        await self.check_failures(origin)
        await self._counted(lambda: self._rates.count_failure(origin))
        structlog.get_logger("cardrail.api").info("authentication refused", code=refusal.code, origin=origin)

    async def _counted(self, work: Callable[[], T]) -> T:
        """Counting is quick in memory, and a network call elsewhere."""
        return work() if self._rates.is_local else await self._on_thread(work)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await self._threads.run(work)


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The credential of a request: ``Authorization: Bearer …``, or else ``X-API-Key: …``. Raises MissingCredentials."""
    spare: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            kind, _, token = value.partition(b" ")
            if kind.lower() == b"bearer" and 0 < len(token.strip()) <= _TOKEN_MAX:
                return token.strip().decode("latin-1")
        elif name == b"x-api-key" and 0 < len(value) <= _TOKEN_MAX:
            spare = value
    if spare is None:
        raise MissingCredentials
    return spare.strip().decode("latin-1")


def is_signed(token: str) -> bool:
    """Whether it has the form of a JWT; our keys have no dot."""
    return token.count(".") == 2


def buyer_of(
    principal: Principal,
    origin: str | None,
    currency_code: str | None = None,
    mode: Mode | None = None,
    *,
    may_reveal: bool = True,
) -> Buyer:
    """On whose behalf a command of this principal runs, paid from the wallet of that currency. Raises UnknownCurrency.

    ``mode`` is for dialects in which a live credential may place a test order; a test credential stays in its mode. With ``may_reveal``
    false no answer of the command shows codes, whatever the credential's scopes.
    """
    return Buyer(
        partner_id=principal.partner_id,
        mode=principal.mode if mode is None or principal.mode is Mode.TEST else mode,
        currency=principal.currency if currency_code is None else currency(currency_code).code,
        actor=principal.api_key_id,
        origin=origin,
        price_list_id=principal.price_list_id,
        limits=principal.limits,
        access_version=principal.version,
        may_reveal=may_reveal and "codes:read" in principal.scopes,
    )
