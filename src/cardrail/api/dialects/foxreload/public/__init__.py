"""The public surface, which is what FoxReload speaks today (specs/foxreload.md, sections 1.3 and 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.public.account import Account
from cardrail.api.dialects.foxreload.public.catalog import Catalog
from cardrail.api.dialects.foxreload.public.errors import error_answer
from cardrail.api.dialects.foxreload.public.orders import Orders
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.shelf import Shelves
from cardrail.api.errors import MissingCredentials
from cardrail.kernel import CardrailError

__all__ = ["public_surface"]

_KEY_MAX: Final = 256


class PublicSurface(Surface):
    """Where callers of the public API arrive: ``X-API-Key``, bare answers, {"code", "detail"} for refusals."""

    name = "foxreload/public"
    slash_is_same = True

    def __init__(self, desk: Desk, profile: PublicProfile) -> None:
        shelves = Shelves(profile)
        self.profile = profile
        self._routes = (
            *Catalog(profile, shelves).routes(),
            *Orders(profile, shelves).routes(),
            *Account(profile).routes(),
        )
        super().__init__(desk)

    @property
    def routes(self) -> Sequence[Route]:
        return self._routes

    async def authenticate(self, call: Call) -> Principal:
        """Raises MissingCredentials, and what ``Gate.recognise`` raises."""
        token = (call.header("x-api-key") or "").strip()
        if not 0 < len(token) <= _KEY_MAX:
            raise MissingCredentials
        return await self.by_token(call, token, "foxreload")

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        return error_answer(error, call.facts)

    def rate_of(self, principal: Principal) -> int | None:
        return self.profile.requests_per_minute


def public_surface(desk: Desk, profile: PublicProfile) -> Surface:
    """The surface, ready to answer."""
    return PublicSurface(desk, profile)
