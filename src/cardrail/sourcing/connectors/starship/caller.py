"""Who we are to the supplier: a bearer token that is renewed before it ends, or key and secret, signed where the supplier wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from cardrail.kernel import Secret
from cardrail.sourcing.connector import Setup
from cardrail.sourcing.connectors.starship.signing import sign
from cardrail.sourcing.connectors.starship.wire import FailureIn, TokensIn, WrappedTokensIn
from cardrail.sourcing.errors import CredentialsRefused, InvalidSupplierConfig, OddAnswer
from cardrail.sourcing.http import Answer, SupplierHttp

W = TypeVar("W")

MODES: Final = ("jwt", "api_key", "api_key_hmac")
NEEDED: Final = {
    "jwt": ("username", "password"),
    "api_key": ("api_key", "api_secret"),
    "api_key_hmac": ("api_key", "api_secret", "signing_secret"),
}
EARLY: Final = timedelta(minutes=5)
"""How long before its end a token is renewed (documented advice)."""
CALL_SECONDS: Final = 10.0

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Caller:
    """Sends calls as the account that the setup names. Safe from several threads."""

    def __init__(self, setup: Setup) -> None:
        base_url = setup.config.get("base_url")
        if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
            raise InvalidSupplierConfig(field="base_url", reason="an address that begins with https://")
        self.mode = str(setup.config.get("auth_mode") or "jwt")
        if self.mode not in MODES:
            raise InvalidSupplierConfig(field="auth_mode", reason=f"one of {', '.join(MODES)}")
        self._secrets = {name: _given(setup, name) for name in NEEDED[self.mode]}
        self._root = urlsplit(base_url).path.rstrip("/")
        self._http = SupplierHttp(base_url, seconds=CALL_SECONDS, headers={"accept": "application/json"})
        self._tokens: TokensIn | None = None
        self._ends = datetime.min.replace(tzinfo=UTC)
        self._guard = threading.Lock()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, wire_type: type[W], query: Mapping[str, str] | None = None) -> W:
        """What is there. Raises SupplierError's kinds."""
        return self.data(self.send("GET", path, query=query), wire_type)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """The answer; after a refused token once more with a new one, for a refusal at the door bought nothing."""
        content = b"" if body is None else _encode(body)
        text = urlencode(query or {})
        for is_last in (False, True):
            mine = self._headers(method, path, text, content) | dict(headers or {})
            if content:
                mine["content-type"] = "application/json"
            target = f"{path}?{text}" if text else path
            answer = self._http.request(method, target, content=content or None, headers=mine, seconds=seconds)
            if answer.status != 401 or self.mode != "jwt" or is_last:
                return answer
            self._forget(mine["authorization"])
        raise AssertionError("unreachable: the last try returns")

    @staticmethod
    def data(answer: Answer, wire_type: type[W]) -> W:
        """The body of a success. Raises CredentialsRefused, OddAnswer."""
        if answer.status in (401, 403) and code_of(answer):  # a page of somebody in between says nothing about us
            raise CredentialsRefused(given=code_of(answer))
        if answer.status != 200:
            raise OddAnswer(status=answer.status, given=code_of(answer))
        found: W = answer.json(wire_type)
        return found

    # --- who we are ---------------------------------------------------------------------------------------------------------

    def _headers(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        if self.mode == "jwt":
            return {"authorization": f"Bearer {self._token()}"}
        headers = {"x-api-key": self._secrets["api_key"].reveal(), "x-api-secret": self._secrets["api_secret"].reveal()}
        if self.mode == "api_key_hmac":
            secret = self._secrets["signing_secret"].reveal()
            headers["x-signature"] = sign(secret, method, self._root + path, query, body, int(time.time()))
        return headers

    def _token(self) -> str:
        """A token that is good for a while. Raises CredentialsRefused, and what the call raises."""
        with self._guard:
            if self._tokens is None or datetime.now(UTC) > self._ends - EARLY:
                self._tokens = self._renewed() or self._logged_in()
                self._ends = _moment(self._tokens.access_expires_at)
            return self._tokens.access_token

    def _renewed(self) -> TokensIn | None:
        """The next pair; None where there is none, or it is refused: then we log in again."""
        if self._tokens is None:
            return None
        answer = self._http.request("POST", "/auth/refresh", json={"refresh_token": self._tokens.refresh_token})
        return _tokens_of(answer) if answer.is_ok else None

    def _logged_in(self) -> TokensIn:
        body = {name: self._secrets[name].reveal() for name in ("username", "password")}
        answer = self._http.request("POST", "/auth/login", json=body)
        if answer.status in (400, 401, 403) and code_of(answer):
            raise CredentialsRefused(given=code_of(answer))
        if not answer.is_ok:
            raise OddAnswer(status=answer.status, given=code_of(answer))
        return _tokens_of(answer)

    def _forget(self, authorization: str) -> None:
        with self._guard:
            if self._tokens is not None and authorization == f"Bearer {self._tokens.access_token}":
                self._ends = datetime.min.replace(tzinfo=UTC) + EARLY


def code_of(answer: Answer) -> str | None:
    """The error's code in any of the vendor's shapes; None where the answer is none of his."""
    try:
        failure: FailureIn = answer.json(FailureIn)
    except OddAnswer:
        return None
    return failure.code[:64]


def _given(setup: Setup, name: str) -> Secret:
    found = setup.secrets.get(name)
    if found is None:
        found = Secret(str(setup.config.get(name) or ""))
    if not found.reveal() or not found.reveal().isascii() or not found.reveal().isprintable():
        raise InvalidSupplierConfig(field=name, reason="it is required")
    return found


def _tokens_of(answer: Answer) -> TokensIn:
    try:
        found: TokensIn = answer.json(TokensIn)
    except OddAnswer:
        wrapped: WrappedTokensIn = answer.json(WrappedTokensIn)
        return wrapped.data
    return found


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise OddAnswer(because="a token without an end") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
