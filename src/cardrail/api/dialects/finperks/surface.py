"""The surface: what is checked before a handler is asked, in the sheet's order (section 7.7), and the envelope for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Never, TypeVar

import structlog

from cardrail.access import Credential, InvalidKey, PartnerSuspended, Principal
from cardrail.api.compat import Answer, Call, Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.finperks import signing
from cardrail.api.dialects.finperks.errors import error_answer
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.errors import InvalidBody, InvalidHeader, MethodNotAllowed, RouteNotFound
from cardrail.api.http import decode_body, decoder_for
from cardrail.kernel import CardrailError, Mode

DIALECT_NAME: Final = "finperks"
_SANDBOX_PREFIX: Final = "fp_test_"
_FORMS_KEPT_MAX: Final = 10_000

W = TypeVar("W")

log = structlog.get_logger("cardrail.api")


class FinperksSurface(Surface):
    """One version of the vendor's API."""

    name = DIALECT_NAME

    def __init__(self, desk: Desk, profile: FinperksProfile, routes: Sequence[Route]) -> None:
        self.profile = profile
        self._routes = routes
        self._live_hosts = frozenset([host.lower() for host in profile.live_hosts])
        self._sandbox_hosts = frozenset([host.lower() for host in profile.sandbox_hosts])
        self._skew = timedelta(seconds=profile.clock_skew_seconds)
        self._hosts = self._live_hosts | self._sandbox_hosts
        self._forms: dict[str, str] = {}
        super().__init__(desk)

    @property
    def routes(self) -> Sequence[Route]:
        return self._routes

    def rate_of(self, principal: Principal) -> int | None:
        return self.profile.requests_per_minute or None

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        return error_answer(error, self.profile, call.request_id)

    def _find(self, call: Call) -> Route:
        """A path that does not exist is told to those only who signed: the others learn nothing of what there is."""
        try:
            return super()._find(call)
        except (RouteNotFound, MethodNotAllowed) as refusal:
            return Route(call.method, "/{unknown}", _refuse_with(refusal))

    # --- who signed -------------------------------------------------------------------------------------------------------

    async def authenticate(self, call: Call) -> Principal:
        """Host, size, date, then the signature; raises InvalidHeader, BodyTooLarge, InvalidKey and what the gate raises."""
        host = self.profile.public_host or call.header("host") or ""
        forms = signing.host_forms(host)
        if self._hosts and signing.split_host(host)[0].lower() not in self._hosts:
            raise InvalidHeader(parameter="Host")
        body = await call.body_bytes()
        date = call.header("date") or ""
        self._check_date(date)
        key_id, given = signing.parse_authorization(call.header("authorization"))
        credential = await self.desk.gate.credential(DIALECT_NAME, key_id, call.origin)
        if credential.secret is None or not self._is_signed(call, body, forms, date, credential, given):
            raise InvalidKey(reason="mismatch")
        try:
            principal = await self.by_key(call, credential.key_id, DIALECT_NAME)
        except PartnerSuspended as refusal:
            if key_id.startswith(_SANDBOX_PREFIX):
                raise PartnerSuspended(is_sandbox=True) from refusal
            raise
        if self._hosts:
            self._check_mode(principal, host)
        return principal

    def _check_date(self, date: str) -> None:
        if abs(self.desk.parts.clock.now() - signing.parse_date(date)) > self._skew:
            raise InvalidHeader(parameter="Date")

    def _check_mode(self, principal: Principal, host: str) -> None:
        """Live and sandbox have hosts of their own, where the operator named them (section 5)."""
        name = signing.split_host(host)[0].lower()
        is_test = principal.mode is Mode.TEST
        if name in (self._sandbox_hosts if is_test else self._live_hosts):
            return
        if is_test and name in self._live_hosts:
            raise PartnerSuspended(reason="a sandbox credential at a live host")
        if not is_test and name in self._sandbox_hosts:
            raise InvalidKey(reason="live")

    def _is_signed(self, call: Call, body: bytes, forms: tuple[str, ...], date: str, credential: Credential, given: str) -> bool:
        """Whether one of the forms that a client may have signed fits; the last one that did is tried first."""
        secret, key_id = credential.secret, credential.key_id
        assert secret is not None
        parts = {
            "method": call.method,
            "query": call.query_string,
            "date": date,
            "idempotency_key": call.header("idempotency-key") or "",
            "body_digest": signing.body_digest(body),
        }
        usual = self._forms.get(key_id)
        if usual is not None and usual != forms[0] and usual in forms:
            forms = (usual, *forms)
        lines, separator = self.profile.signed_lines, self.profile.signed_separator
        for parts["path"] in self._paths(call):
            for form in forms:
                parts["host_port"] = form
                if signing.is_signature(secret, signing.string_to_sign(parts, lines, separator), given):
                    if usual != form:
                        self._note_form(key_id, form)
                    return True
        return False

    def _paths(self, call: Call) -> list[str]:
        """The path as it came, and as a client saw it in front of a proxy that changes paths."""
        root = self.profile.public_root
        if not root:
            return [call.raw_path]
        own_root = len(call.scope["path"]) - len(call.path)
        return [root + call.raw_path[own_root:], call.raw_path]

    def _note_form(self, key_id: str, form: str) -> None:
        if len(self._forms) >= _FORMS_KEPT_MAX:
            self._forms.clear()
        self._forms[key_id] = form
        log.info("finperks signature", key_id=key_id, host_line=form)


def _refuse_with(refusal: CardrailError) -> Callable[[Call], Awaitable[Answer]]:
    async def handler(call: Call) -> Never:
        raise refusal

    return handler


async def body_of(call: Call, wire_type: type[W]) -> W:
    """The body as its wire type. What is no JSON at all is told so, whatever is wrong before the place where it breaks off.

    Raises MalformedBody, InvalidBody and its kinds, BodyTooLarge, UnsupportedMediaType.
    """
    body = await call.body_bytes()
    try:
        return decode_body(decoder_for(wire_type), body)
    except InvalidBody:
        decode_body(decoder_for(Any), body)
        raise


def finperks(call: Call) -> FinperksSurface:
    """The surface that a call is for, with its profile."""
    surface = call.surface
    assert isinstance(surface, FinperksSurface)
    return surface
