"""The public surface, which is what FoxReload speaks today (specs/foxreload.md, sections 1.3 and 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, Surface, json_answer
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.errors import status_of
from cardrail.kernel import CardrailError

__all__ = ["public_surface"]

_ROUTES: Final[tuple[Route, ...]] = ()


class PublicSurface(Surface):
    """Where callers of the public API arrive."""

    name = "foxreload/public"
    slash_is_same = True

    def __init__(self, desk: Desk, profile: PublicProfile) -> None:
        self.profile = profile
        super().__init__(desk)

    @property
    def routes(self) -> Sequence[Route]:
        return _ROUTES

    async def authenticate(self, call: Call) -> Principal:
        return await self.by_token(call, call.header("x-api-key") or "", "foxreload")

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        return json_answer({"code": error.code.upper(), "detail": error.message}, status_of(error))


def public_surface(desk: Desk, profile: PublicProfile) -> Surface:
    """The surface, ready to answer."""
    return PublicSurface(desk, profile)
