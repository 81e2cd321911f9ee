"""Short-lived access tokens (JWT, RFC 7519) made from an API key, for callers that should not hold the key itself.

A token says which API key it came from, and is believed no longer than that key: who it is for is looked up in the same cache, so
revoking the key, or suspending the partner, ends its tokens too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final, NamedTuple

import jwt

from cardrail.access.authenticate import KeyCache
from cardrail.access.errors import InvalidAccessToken, InvalidKeyRequest, ScopeMissing
from cardrail.access.model import Principal
from cardrail.kernel import ApiKeyId, Clock, Secret, is_id, new_body

ISSUER: Final = "cardrail"
AUDIENCE: Final = "cardrail-api"
TTL_MAX: Final = timedelta(hours=1)
_ALGORITHM: Final = "HS256"
_KEY_BYTES_MIN: Final = 32


class Proven(NamedTuple):
    """What a verified token says."""

    key_id: ApiKeyId
    scopes: frozenset[str]


class AccessTokens:
    """Issues and checks access tokens. ``key`` is a service key of this installation, of at least 32 bytes."""

    def __init__(self, key: bytes, clock: Clock, keys: KeyCache) -> None:
        if len(key) < _KEY_BYTES_MIN:
            raise ValueError("the key is too short for HMAC-SHA-256")
        self._key = key
        self._clock = clock
        self._keys = keys

    def issue_jwt(self, principal: Principal, ttl: timedelta, scopes: Iterable[str] | None = None) -> Secret:
        """A token for the principal's scopes, or for some of them.

        Raises InvalidKeyRequest for a lifetime of more than an hour, ScopeMissing for a scope that the key has not.
        """
        if not timedelta(0) < ttl <= TTL_MAX:
            raise InvalidKeyRequest(field="ttl")
        wanted = principal.scopes if scopes is None else frozenset(scopes)
        beyond = sorted(wanted - principal.scopes)
        if beyond:
            raise ScopeMissing(scope=beyond[0])
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": principal.api_key_id,
            "iat": now,
            "exp": now + int(ttl.total_seconds()),
            "jti": new_body(),
            "scope": " ".join(sorted(wanted)),
        }
        return Secret(jwt.encode(claims, self._key, algorithm=_ALGORITHM))

    def authenticate_jwt(self, token: str, origin: str | None) -> Principal:
        """The API key's principal with the token's scopes. May read the database: call it on a thread.

        Raises InvalidAccessToken, and what ``KeyCache.load`` raises for the key that it came from.
        """
        return self.load_proven(self.verify_jwt(token), origin)

    def lookup_proven(self, proven: Proven, origin: str | None) -> Principal | None:
        """The principal of a verified token from memory, without any I/O; None where only ``load_proven`` can tell."""
        principal = self._keys.lookup_id(proven.key_id, origin)
        return replace(principal, scopes=principal.scopes & proven.scopes) if principal is not None else None

    def load_proven(self, proven: Proven, origin: str | None) -> Principal:
        """The principal of a verified token; it may read the database. Raises what ``KeyCache.load`` raises."""
        principal = self._keys.lookup_id(proven.key_id, origin) or self._keys.load_id(proven.key_id, origin)
        return replace(principal, scopes=principal.scopes & proven.scopes)

    def verify_jwt(self, token: str) -> Proven:
        """What a token says that we signed and whose time is not over: no I/O. Raises InvalidAccessToken."""
        # The library would take the time from the machine; ours comes from the clock.
        options: jwt.types.Options = {
            "require": ["iss", "aud", "sub", "iat", "exp", "scope"],
            "verify_exp": False,
            "verify_iat": False,
        }
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options)
        except (jwt.InvalidTokenError, UnicodeError):
            raise InvalidAccessToken from None
        subject, issued, expires, scope = claims["sub"], claims["iat"], claims["exp"], claims["scope"]
        if not (isinstance(issued, int) and isinstance(expires, int) and isinstance(scope, str) and is_id("key", subject)):
            raise InvalidAccessToken
        if expires <= self._clock.now().timestamp() or expires - issued > TTL_MAX.total_seconds():
            raise InvalidAccessToken
        return Proven(ApiKeyId(subject), frozenset(scope.split()))
