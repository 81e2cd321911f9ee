"""Log-in, renewal and log-out of the first generation (specs/starship.md, section 1.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec

from cardrail.access import (
    REFRESH,
    AddressNotAllowed,
    Credential,
    InvalidKey,
    Lifetimes,
    NotAuthenticated,
    PartnerSuspended,
    Principal,
    SessionTokens,
    TooManyRequests,
    neighbourhood,
    waste_time_on_password,
)
from cardrail.api.compat import Answer, Call, Route, Surface, json_answer
from cardrail.api.dialects.starship.amounts import when
from cardrail.api.dialects.starship.errors import Refusal, Words
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.api.dialects.starship.reading import body_of
from cardrail.kernel import Mode, number_of

NAME: Final = "starship"
TEXT_MAX: Final = 1_024
TOKEN_MAX: Final = 4_096

_NO_LOGIN: Final = Words(400, "validation_error", "", "Username and password are required")
_NO_TOKEN: Final = Words(400, "validation_error", "", "Refresh token is required")
_BAD_LOGIN: Final = Words(401, "unauthorized", "", "Invalid credentials")
_BAD_TOKEN: Final = Words(401, "unauthorized", "", "Invalid refresh token")


class TokensOut(msgspec.Struct):
    """A pair of tokens."""

    access_token: str
    refresh_token: str
    access_expires_at: str
    refresh_expires_at: str
    client_id: int


class Auth:
    """The token endpoints, and /status."""

    def __init__(self, surface: Surface, profile: StarshipProfile) -> None:
        self._surface = surface
        self._profile = profile
        self._lives = Lifetimes(timedelta(seconds=profile.access_seconds), timedelta(seconds=profile.refresh_seconds))

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/auth/login", self.log_in, is_public=True),
            Route("POST", "/auth/refresh", self.renew, is_public=True),
            Route("POST", "/auth/logout", self.log_out),
            Route("GET", "/status", self.status, is_public=True),
        ]

    async def status(self, call: Call) -> Answer:
        """Whether the service answers."""
        return json_answer({"status": "ok"})

    async def log_in(self, call: Call) -> Answer:
        """A new session for a user name and its password."""
        given = await body_of(call)
        name = given.text("username", longest=TEXT_MAX) or given.text("email", longest=TEXT_MAX)
        password = given.text("password", longest=TEXT_MAX)
        if name is None or password is None:
            raise Refusal(_NO_LOGIN, shape="A")
        principal = await self._proven(call, name, password)
        parts = call.desk.parts
        tokens = await call.desk.write(
            lambda: parts.sessions.open(parts.audit, principal.api_key_id, principal.partner_id, NAME, self._lives, call.origin)
        )
        return _tokens(tokens, principal)

    async def renew(self, call: Call) -> Answer:
        """The next pair for a refresh token, which is used up by it."""
        given = await body_of(call)
        token = given.text("refresh_token", longest=TOKEN_MAX)
        if token is None:
            raise Refusal(_NO_TOKEN, shape="A")
        parts = call.desk.parts
        try:
            proof = parts.sessions.verify(token, NAME, REFRESH)
            principal = await self._surface.by_key(call, proof.key_id, NAME)
        except (NotAuthenticated, PartnerSuspended):
            raise Refusal(_BAD_TOKEN, shape="A") from None
        if principal.requests_per_minute is None:
            await self._count(call, "refreshes", principal.api_key_id, principal)
        tokens = await call.desk.write(
            lambda: parts.sessions.renew(parts.audit, proof, principal.partner_id, NAME, self._lives, call.origin)
        )
        if tokens is None:
            raise Refusal(_BAD_TOKEN, shape="A")
        return _tokens(tokens, principal)

    async def log_out(self, call: Call) -> Answer:
        """End all sessions of the client."""
        parts, principal = call.desk.parts, call.principal
        await call.desk.write(
            lambda: parts.sessions.end_all(parts.audit, principal.api_key_id, principal.partner_id, call.origin)
        )
        return json_answer({"message": "Successfully logged out"})

    # --- inside -----------------------------------------------------------------------------------------------------------

    async def _proven(self, call: Call, name: str, password: str) -> Principal:
        """Who has this user name and password. Hashing is dear, so whoever failed or tried too often is refused before it.

        Raises Refusal, TooManyFailures, TooManyRequests, AddressNotAllowed, QueueFull.
        """
        gate, threads = call.desk.gate, call.desk.passwords
        await gate.check_failures(call.origin)
        await gate.freshen()
        credential: Credential | None = None
        principal: Principal | None = None
        elsewhere: AddressNotAllowed | None = None
        try:
            credential = await gate.credential(NAME, name, call.origin)
            principal = await self._surface.by_key(call, credential.key_id, NAME)
        except AddressNotAllowed as refusal:
            elsewhere = refusal
        except (NotAuthenticated, PartnerSuspended):
            credential = None
        await self._count(call, "logins", f"{name}\0{neighbourhood(call.origin)}", principal)
        if credential is None:
            await threads.run(lambda: waste_time_on_password(password))
        elif await threads.run(lambda: credential.has_password(password)):
            if elsewhere is not None:
                raise elsewhere
            assert principal is not None
            return principal
        await gate.count_failure(call.origin, InvalidKey())
        raise Refusal(_BAD_LOGIN, shape="A")

    async def _count(self, call: Call, kind: str, name: str, principal: Principal | None) -> None:
        is_test = principal is not None and principal.mode is Mode.TEST
        most: Any = getattr(self._profile, f"{kind}_per_minute{'_test' if is_test else ''}")
        rate = await call.desk.gate.count(f"{NAME}-{kind}", name, most, 60)
        if rate is not None and not rate.allowed:
            raise TooManyRequests(limit=rate.limit, retry_after=rate.reset_seconds)


def _tokens(tokens: SessionTokens, principal: Principal) -> Answer:
    return json_answer(
        TokensOut(
            tokens.access.reveal(),
            tokens.refresh.reveal(),
            when(tokens.access_expires_at),
            when(tokens.refresh_expires_at),
            number_of(principal.api_key_id),
        )
    )
