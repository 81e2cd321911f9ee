"""The one surface of this dialect: who calls (a bearer token, or key and secret), how often, and the envelope of a refusal."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from typing import Final

from cardrail.access import (
    ACCESS,
    AddressNotAllowed,
    InvalidAccessToken,
    InvalidKey,
    NotAuthenticated,
    PartnerSuspended,
    Principal,
    ScopeMissing,
    TooManyRequests,
)
from cardrail.api.compat import Answer, Call, Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.starship.auth import Auth
from cardrail.api.dialects.starship.errors import FORBIDDEN, UNAUTHORIZED, Refusal, answer_a, answer_b, words_of
from cardrail.api.dialects.starship.goods import Goods
from cardrail.api.dialects.starship.orders import Orders
from cardrail.api.dialects.starship.products import Products
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.api.dialects.starship.reference import ReferenceData
from cardrail.api.dialects.starship.signing import Signed, is_signed
from cardrail.api.dialects.starship.transactions import Transactions
from cardrail.api.dialects.starship.wallets import Wallets
from cardrail.api.dialects.starship.webhooks import Webhooks
from cardrail.api.errors import MissingCredentials
from cardrail.kernel import CardrailError, Mode

NAME: Final = "starship"
GENERATION: Final = "generation"
COUNTED: Final = "counted"

_REFUSED_KEY: Final = UNAUTHORIZED._replace(
    code="E_UNAUTHORIZED_ACCESS", message="Invalid API key, secret, signature or address."
)
_TOKEN_REFUSED: Final = (NotAuthenticated, MissingCredentials)


class StarshipSurface(Surface):
    """Everything below /compat/starship: /auth, /status and /api/v1."""

    name = NAME
    slash_is_same = True

    def __init__(self, desk: Desk, profile: StarshipProfile) -> None:
        self.profile = profile
        self._looks: dict[str, asyncio.Future[bool]] = {}
        goods = Goods(desk.parts.catalog, sandbox=profile.sandbox_products)
        wallets = Wallets(desk)
        self._routes: list[Route] = [
            *Auth(self, profile).routes,
            *Products(profile, goods, wallets).routes,
            *Orders(profile, goods, wallets).routes,
            *wallets.routes,
            *Transactions(wallets).routes,
            *ReferenceData(profile, goods).routes,
            *Webhooks().routes,
        ]
        super().__init__(desk)

    @property
    def routes(self) -> Sequence[Route]:
        return self._routes

    # --- who calls --------------------------------------------------------------------------------------------------------

    async def authenticate(self, call: Call) -> Principal:
        second = call.header("x-api-key")
        if second is not None:
            call.facts[GENERATION] = 2
            principal = await self._by_secret(call, second)
        else:
            principal = await self._by_session(call)
        if COUNTED not in call.facts:
            call.facts[COUNTED] = True
            await self._count(call, principal)
        return principal

    async def _by_session(self, call: Call) -> Principal:
        """The bearer of an access token of ours."""
        kind, _, token = (call.header("authorization") or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise MissingCredentials
        sessions = self.desk.parts.sessions
        proof = sessions.verify(token.strip(), NAME, ACCESS)
        is_open = sessions.is_open(proof.session_id)
        if is_open is None:
            is_open = await self._look(proof.session_id)
        if not is_open:
            raise InvalidAccessToken
        return await self.by_key(call, proof.key_id, NAME)

    async def _look(self, session_id: str) -> bool:
        """Whether a session still stands, from the database; requests that come while it is looked for share the look."""
        looking = self._looks.get(session_id)
        if looking is None:
            sessions = self.desk.parts.sessions
            looking = self._looks[session_id] = asyncio.ensure_future(self.desk.threads.run(lambda: sessions.look(session_id)))
            looking.add_done_callback(lambda _: self._looks.pop(session_id, None))
        return await asyncio.shield(looking)

    async def _by_secret(self, call: Call, key: str) -> Principal:
        """Key and secret, and the signature where the credential must sign."""
        principal = await self.by_token(call, key, NAME)
        credential = await self.desk.gate.credential_of(principal.api_key_id)
        given = call.sent.get(b"x-api-secret", b"")
        if credential.secret is None or not hmac.compare_digest(credential.secret.reveal().encode(), given):
            raise InvalidKey
        profile = self.profile
        if profile.signature_required or principal.api_key_id in profile.signature_required_for:
            assert credential.signing_secret is not None
            signed = Signed(call.method, (call.path, call.raw_path), call.query_string, await call.body_bytes())
            now = self.desk.parts.clock.now().timestamp()
            secret = credential.signing_secret.reveal()
            if not is_signed(call.header("x-signature"), secret, signed, now, profile.signature_tolerance_seconds):
                raise InvalidKey
        return principal

    async def count_failure(self, call: Call, refusal: NotAuthenticated | AddressNotAllowed | PartnerSuspended) -> None:
        """A token that is over is no guess: the client renews it, and must not be locked out for having tried it first."""
        if not isinstance(refusal, InvalidAccessToken):
            await super().count_failure(call, refusal)

    # --- how often --------------------------------------------------------------------------------------------------------

    async def _count(self, call: Call, principal: Principal) -> None:
        """Refuse a client that asks too often; a credential's own limit replaces these. Raises TooManyRequests."""
        if principal.requests_per_minute is not None:
            return
        kind = self._kind_of(call)
        most = getattr(self.profile, f"{kind}_per_minute{'_test' if principal.mode is Mode.TEST else ''}")
        rate = await self.desk.gate.count(f"{NAME}-{kind}", principal.api_key_id, most, 60)
        if rate is not None and not rate.allowed:
            raise TooManyRequests(limit=rate.limit, retry_after=rate.reset_seconds)

    @staticmethod
    def _kind_of(call: Call) -> str:
        if call.method == "GET":
            return "reads"
        return "orders" if call.route is not None and call.route.is_order else "charges"

    # --- what is refused --------------------------------------------------------------------------------------------------

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        words = words_of(error)
        if isinstance(error, Refusal) and error.shape == "A":
            return answer_a(error, words.status, words.message, name=words.code)
        is_second = call.facts.get(GENERATION) == 2 or call.header("x-api-key") is not None
        if call.path.startswith("/auth/"):
            return self._refuse_token_call(call, error)
        if isinstance(error, _TOKEN_REFUSED):
            if is_second:
                return answer_b(error, _REFUSED_KEY)
            if self.profile.unauthorized_shape == "A":
                return answer_a(error, 401, UNAUTHORIZED.message, name="Unauthorized")
            return answer_b(error, UNAUTHORIZED)
        if isinstance(error, AddressNotAllowed):
            return answer_b(error, _REFUSED_KEY if is_second else FORBIDDEN._replace(message="IP address not authorized"))
        if isinstance(error, (ScopeMissing, PartnerSuspended)) and not is_second and self.profile.unauthorized_shape == "A":
            return answer_a(error, 403, FORBIDDEN.message, name="Forbidden")
        if words.code == "NOT_FOUND" and words.status == 400:
            words = words._replace(status=self.profile.product_not_found_status)
        return answer_b(error, words)

    def _refuse_token_call(self, call: Call, error: CardrailError) -> Answer:
        words = words_of(error)
        if words.status == 429:
            return answer_a(error, 429, "Too many login attempts. Please try again later.")
        if isinstance(error, _TOKEN_REFUSED):
            return answer_a(error, 401, "Authentication required")
        if isinstance(error, AddressNotAllowed):
            return answer_a(error, 403, "IP address not authorized", name="Forbidden")
        return answer_a(error, words.status, words.message)
