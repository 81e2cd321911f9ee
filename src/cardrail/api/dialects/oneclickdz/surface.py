"""The one surface of OneClickDz: its key, its limits, its block of addresses, its envelope, and its routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cardrail.access import AddressNotAllowed, NotAuthenticated, PartnerSuspended, Principal, TooManyFailures, neighbourhood
from cardrail.api.compat import Answer, Call, Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.oneclickdz.account import Account
from cardrail.api.dialects.oneclickdz.catalog import Catalog
from cardrail.api.dialects.oneclickdz.errors import failure, unknown_route, words_of
from cardrail.api.dialects.oneclickdz.orders import Orders
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.system import KEY_HEADER, System
from cardrail.api.errors import MissingCredentials
from cardrail.kernel import CardrailError, Mode, Unavailable

NAME: Final = "oneclickdz"
_TOKEN_MAX: Final = 256
_BAD_KEYS: Final = "oneclickdz-bad-keys"
_BLOCKS: Final = "oneclickdz-blocks"

_ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
_PREFLIGHT: Final = [
    _ANY_ORIGIN,
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"x-access-token, content-type, accept, idempotency-key, x-request-id"),
    (b"access-control-max-age", b"600"),
]


class OneClickDz(Surface):
    """OneClickDz Flexy API v3, gift cards."""

    name = NAME

    def __init__(self, desk: Desk, profile: Profile) -> None:
        self._profile = profile
        self._words = words_of(profile)
        system, account = System(desk, profile), Account(desk, profile)
        catalog, orders = Catalog(desk, profile), Orders(desk, profile)
        self._routes = (
            Route("GET", "/v3/ping", system.ping, is_public=True),
            Route("GET", "/v3/validate", system.validate),
            Route("GET", "/v3/account/balance", account.show_balance, "balances:read"),
            Route("GET", "/v3/account/transactions", account.list_transactions, "transactions:read"),
            Route("GET", "/v3/gift-cards/catalog", catalog.show_catalog, "catalog:read"),
            Route("GET", "/v3/gift-cards/checkProduct/{product_id}", catalog.check_product, "catalog:read"),
            Route("POST", "/v3/gift-cards/placeOrder", orders.place_order, "orders:write", is_order=True),
            Route("GET", "/v3/gift-cards/checkOrder/{order_id}", orders.check_order, "orders:read"),
            Route("GET", "/v3/gift-cards/list", orders.list_orders, "orders:read"),
        )
        super().__init__(desk)

    @property
    def routes(self) -> Sequence[Route]:
        return self._routes

    async def answer(self, call: Call) -> Answer:
        """As every surface; and a browser that asks first is told yes (section 1.3)."""
        if not self._profile.has_cors:
            return await super().answer(call)
        if call.method == "OPTIONS" and call.header("access-control-request-method") is not None:
            return Answer(204, b"", list(_PREFLIGHT))
        given = await super().answer(call)
        return Answer(given.status, given.body, [*given.headers, _ANY_ORIGIN])

    async def authenticate(self, call: Call) -> Principal:
        """Whose X-Access-Token it is. Raises MissingCredentials, and what ``Gate.recognise`` raises."""
        token = (call.header(KEY_HEADER) or "").strip()
        if not token:
            raise MissingCredentials
        call.facts["is_authenticating"] = True
        try:
            principal = await self.by_token(call, token[:_TOKEN_MAX], NAME)
        except Unavailable:
            raise
        except CardrailError:
            call.facts["is_authenticating"] = False
            raise
        call.facts["is_authenticating"] = False
        return principal

    async def before_authentication(self, call: Call) -> None:
        """Refuse a blocked address, whatever its key (section 1.7). Raises TooManyFailures."""
        profile = self._profile
        if profile.bad_keys_before_block:
            seconds = await self.desk.gate.blocked(_BLOCKS, neighbourhood(call.origin), 1, profile.block_seconds)
            if seconds:
                raise TooManyFailures(retry_after=seconds)

    async def count_failure(self, call: Call, refusal: NotAuthenticated | AddressNotAllowed | PartnerSuspended) -> None:
        """Count a bad key against its address, and tell how many more are let pass."""
        await super().count_failure(call, refusal)
        most, seconds = self._profile.bad_keys_before_block, self._profile.block_seconds
        if not most or not isinstance(refusal, NotAuthenticated):
            return
        where = neighbourhood(call.origin)
        rate = await self.desk.gate.count(_BAD_KEYS, where, most, seconds)
        if rate is None:
            return
        call.facts["attempts_left"] = rate.remaining
        if not rate.remaining:
            await self.desk.gate.count(_BLOCKS, where, 1, seconds)

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        if error.code in ("route_not_found", "method_not_allowed") and not self._profile.enveloped_unknown_routes:
            return unknown_route(call)
        principal = call._principal  # noqa: SLF001  # there is none where nobody was let in yet
        return failure(call, error, self._words, principal.currency if principal is not None else None)

    def rate_of(self, principal: Principal) -> int | None:
        """Section 1.8: by the environment of the key."""
        profile = self._profile
        is_test = principal.mode is Mode.TEST
        return (profile.requests_per_minute_sandbox if is_test else profile.requests_per_minute_production) or None
