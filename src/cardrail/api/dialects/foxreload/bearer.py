"""What G and V1 have in common: the bearer key, the rate limit per key, and their envelope (specs/foxreload.md, sections 1.1 and 1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.errors import Words, error_answer
from cardrail.api.errors import MissingCredentials
from cardrail.kernel import CardrailError

_KEY_MAX = 256


class BearerSurface(Surface):
    """A surface whose callers send ``Authorization: Bearer <key>``."""

    def __init__(
        self,
        desk: Desk,
        name: str,
        routes: Sequence[Route],
        words: Words,
        requests_per_minute: int | None,
        words_of: Mapping[str, Words] | None = None,
    ) -> None:
        """``words_of`` are other words for some paths."""
        self.name = name
        self._routes = routes
        self._words = words
        self._words_of = words_of or {}
        self._requests_per_minute = requests_per_minute
        super().__init__(desk)

    @property
    def routes(self) -> Sequence[Route]:
        return self._routes

    async def authenticate(self, call: Call) -> Principal:
        """Raises MissingCredentials, and what ``Gate.recognise`` raises."""
        kind, _, token = (call.header("authorization") or "").partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not 0 < len(token) <= _KEY_MAX:
            raise MissingCredentials
        return await self.by_token(call, token, "foxreload")

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        words = self._words_of.get(call.route.path, self._words) if call.route is not None else self._words
        return error_answer(error, words)

    def rate_of(self, principal: Principal) -> int | None:
        return self._requests_per_minute
