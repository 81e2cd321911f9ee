"""Sessions of callers who log in with a user name and password: an access token for a while, and a refresh token that is exchanged for
the next pair.

Both are JWTs (RFC 7519) of an audience of their own, so neither is a token of the native API. The session's row counts the exchanges: a
refresh token of an earlier count was exchanged already, so somebody has a copy of it, and the whole session ends. Whoever holds a
session is still only as trusted as the API key that it was opened with.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import jwt
import sqlalchemy as sa

from cardrail.access.errors import InvalidAccessToken
from cardrail.access.tables import partner_sessions
from cardrail.kernel import ApiKeyId, Clock, PartnerId, Secret, is_id, new_body, new_id, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx, retrying

ISSUER: Final = "cardrail"
ACCESS: Final = "access"
REFRESH: Final = "refresh"

SESSIONS_KEPT_MAX: Final = 20_000
FRESH_SECONDS: Final = 1.0
"""How long another process's end of a session may go unseen here; an end in this process is seen at once."""

_ALGORITHM: Final = "HS256"
_KEY_BYTES_MIN: Final = 32

_c = partner_sessions.c
_BY_ID = sa.select(*_c).where(_c.id == sa.bindparam("of"))
_LOCKED = _BY_ID.with_for_update()


class SessionProof(NamedTuple):
    """What a verified token says."""

    session_id: str
    key_id: ApiKeyId
    rotation: int
    expires_at: int
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """A pair of tokens, shown once."""

    access: Secret
    refresh: Secret
    access_expires_at: datetime
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long the tokens of a pair live."""

    access: timedelta
    refresh: timedelta


class _Seen(NamedTuple):
    is_open: bool
    checked_at: float


class Sessions:
    """Opens, renews, ends and checks sessions. One per process; any thread may use it. ``key`` is a service key of 32 bytes or more."""

    def __init__(self, db: Database, clock: Clock, key: bytes) -> None:
        if len(key) < _KEY_BYTES_MIN:
            raise ValueError("the key is too short for HMAC-SHA-256")
        self._db = db
        self._clock = clock
        self._key = key
        self._seen: dict[str, _Seen] = {}
        self._verified: dict[bytes, SessionProof] = {}
        self._guard = threading.Lock()

    # --- what changes them ------------------------------------------------------------------------------------------------

    def open(
        self, audit: AuditLog, key_id: ApiKeyId, partner_id: PartnerId, audience: str, lives: Lifetimes, origin: str | None
    ) -> SessionTokens:
        """A new session of this key; what of its sessions is over is forgotten."""
        now = self._clock.now()
        session_id = new_id("ses")
        entry = audit_entry(now, key_id, "session.opened", session_id, partner_id=partner_id, origin=origin)
        row = {
            "id": session_id,
            "key_id": key_id,
            "rotation": 0,
            "created_at": to_micros(now),
            "expires_at": to_micros(now + lives.refresh),
        }

        def work(tx: Tx) -> None:
            tx.execute(sa.delete(partner_sessions).where(_c.key_id == key_id, _c.expires_at < to_micros(now)))
            tx.execute(sa.insert(partner_sessions), row)
            audit.append(tx, [entry])

        in_tx(self._db, work)
        return self._issue(session_id, key_id, 0, audience, lives, now)

    def renew(
        self, audit: AuditLog, proof: SessionProof, partner_id: PartnerId, audience: str, lives: Lifetimes, origin: str | None
    ) -> SessionTokens | None:
        """The next pair for a verified refresh token. None where it is no longer good; one that was exchanged before ends its session."""
        now = self._clock.now()
        reused = audit_entry(now, proof.key_id, "session.reused", proof.session_id, partner_id=partner_id, origin=origin)

        def work(tx: Tx) -> bool:
            row = tx.execute(_LOCKED, {"of": proof.session_id}).one_or_none()
            if row is None or row.ended_at is not None or row.key_id != proof.key_id or row.expires_at <= to_micros(now):
                return False
            of_session = sa.update(partner_sessions).where(_c.id == proof.session_id)
            if row.rotation != proof.rotation:
                tx.execute(of_session.values(ended_at=to_micros(now)))
                audit.append(tx, [reused])
                return False
            tx.execute(of_session.values(rotation=proof.rotation + 1, expires_at=to_micros(now + lives.refresh)))
            return True

        if in_tx(self._db, work):
            return self._issue(proof.session_id, proof.key_id, proof.rotation + 1, audience, lives, now)
        self._forget([proof.session_id])
        return None

    def end_all(self, audit: AuditLog, key_id: ApiKeyId, partner_id: PartnerId, origin: str | None) -> int:
        """End every session of a key; how many there were."""
        now = to_micros(self._clock.now())
        entry = audit_entry(self._clock.now(), key_id, "session.ended", key_id, partner_id=partner_id, origin=origin)

        def work(tx: Tx) -> list[str]:
            ending = sa.update(partner_sessions).where(_c.key_id == key_id, _c.ended_at.is_(None)).values(ended_at=now)
            ended = list(tx.execute(ending.returning(_c.id)).scalars())
            if ended:
                audit.append(tx, [entry])
            return ended

        ended = in_tx(self._db, work)
        self._forget(ended)
        return len(ended)

    # --- who holds one ----------------------------------------------------------------------------------------------------

    def verify(self, token: str, audience: str, use: str) -> SessionProof:
        """What a token says that we signed for this audience and use, and whose time is not over: no I/O. Raises InvalidAccessToken."""
        digest = hashlib.sha256(f"{audience}\0{use}\0{token}".encode("utf-8", "surrogatepass")).digest()
        proof = self._verified.get(digest)
        if proof is None:
            proof = self._decode(token, audience, use)
            with self._guard:
                if len(self._verified) >= SESSIONS_KEPT_MAX:
                    self._verified.clear()
                self._verified[digest] = proof
        if proof.expires_at <= self._clock.now().timestamp():
            raise InvalidAccessToken
        return proof

    def is_open(self, session_id: str) -> bool | None:
        """Whether a session still stands, from memory; None where only ``look`` can tell."""
        seen = self._seen.get(session_id)
        return None if seen is None or time.monotonic() - seen.checked_at > FRESH_SECONDS else seen.is_open

    def look(self, session_id: str) -> bool:
        """Whether a session still stands, from the database: call it on a thread. Raises Unavailable."""
        asked_at = time.monotonic()

        def read() -> Any:
            with self._db.read() as tx:
                return tx.execute(_BY_ID, {"of": session_id}).one_or_none()

        row = retrying(read)
        is_open = row is not None and row.ended_at is None and row.expires_at > to_micros(self._clock.now())
        with self._guard:
            seen = self._seen.get(session_id)
            if seen is None or seen.is_open or seen.checked_at < asked_at:  # an end that was seen meanwhile stands
                if len(self._seen) >= SESSIONS_KEPT_MAX:
                    self._seen.clear()
                self._seen[session_id] = _Seen(is_open and (seen is None or seen.is_open), asked_at)
        return is_open

    # --- inside -------------------------------------------------------------------------------------------------------------

    def _forget(self, session_ids: list[str]) -> None:
        with self._guard:
            for one in session_ids:
                self._seen[one] = _Seen(False, time.monotonic())

    def _issue(
        self, session_id: str, key_id: ApiKeyId, rotation: int, audience: str, lives: Lifetimes, now: datetime
    ) -> SessionTokens:
        now = now.replace(microsecond=0)
        access_ends, refresh_ends = now + lives.access, now + lives.refresh
        return SessionTokens(
            access=self._encode(session_id, key_id, rotation, audience, ACCESS, now, access_ends),
            refresh=self._encode(session_id, key_id, rotation, audience, REFRESH, now, refresh_ends),
            access_expires_at=access_ends,
            refresh_expires_at=refresh_ends,
        )

    def _encode(
        self, session_id: str, key_id: ApiKeyId, rotation: int, audience: str, use: str, now: datetime, ends: datetime
    ) -> Secret:
        claims = {
            "iss": ISSUER,
            "aud": _audience(audience),
            "sub": key_id,
            "sid": session_id,
            "rot": rotation,
            "use": use,
            "iat": int(now.timestamp()),
            "exp": int(ends.timestamp()),
            "jti": new_body(),
        }
        return Secret(jwt.encode(claims, self._key, algorithm=_ALGORITHM))

    def _decode(self, token: str, audience: str, use: str) -> SessionProof:
        # The library would take the time from the machine; ours comes from the clock.
        options: jwt.types.Options = {
            "require": ["iss", "aud", "sub", "sid", "rot", "use", "exp"],
            "verify_exp": False,
            "verify_iat": False,
        }
        try:
            claims = jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], audience=_audience(audience), issuer=ISSUER, options=options
            )
        except (jwt.InvalidTokenError, UnicodeError):
            raise InvalidAccessToken from None
        session_id, key_id, rotation, expires = claims["sid"], claims["sub"], claims["rot"], claims["exp"]
        if claims["use"] != use or not isinstance(rotation, int) or not isinstance(expires, int):
            raise InvalidAccessToken
        if not isinstance(session_id, str) or not is_id("ses", session_id) or not is_id("key", key_id):
            raise InvalidAccessToken
        return SessionProof(session_id, ApiKeyId(key_id), rotation, expires)


def _audience(name: str) -> str:
    """Whose tokens they are: "cardrail:starship". The native API's audience is another word."""
    return f"cardrail:{name}"
