"""Who is asking: an API key's token becomes a Principal, from memory where it was seen before.

A cached answer holds only for the version of the access data that it was read at. Every process learns of a new version within a second
(``refresh``), and an order's own transaction compares it once more, so that a revoked key places no order.
"""

from __future__ import annotations

import hmac
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cardrail.access import store
from cardrail.access.errors import AccessError, AddressNotAllowed, InvalidKey, KeyExpired, KeyRevoked, PartnerSuspended
from cardrail.access.model import PartnerState, Principal
from cardrail.access.networks import is_inside, parse_networks
from cardrail.access.tokens import check_token, hash_token
from cardrail.kernel import ApiKeyId, Clock
from cardrail.storage import Database, read_version, retrying

CACHED_MAX: Final = 50_000
REFUSED_MAX: Final = 10_000
REFUSED_FOR: Final = timedelta(seconds=5)
"""How long a refusal may be answered from memory."""
ORIGINS_MAX: Final = 64


@dataclass(slots=True)
class _Entry:
    """What is known of one key: who it is, or why it is refused."""

    token_hash: bytes
    version: int
    principal: Principal | None
    refusal: type[AccessError] | None
    read_at: datetime
    allowed: set[str] = field(default_factory=set)
    """Addresses that were found to lie in the key's networks."""


class KeyCache:
    """Authenticates tokens. One per process; any thread may use it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._known: dict[bytes, _Entry] = {}
        self._refused: dict[bytes, _Entry] = {}
        self._by_id: dict[str, _Entry] = {}
        self._version = 0
        self._guard = threading.Lock()

    @property
    def current_version(self) -> int:
        """The newest version of the access data that this process knows of."""
        return self._version

    def authenticate(self, token: str, origin: str | None) -> Principal:
        """``lookup_cached``, else ``load``. Raises what they raise."""
        return self.lookup_cached(token, origin) or self.load(token, origin)

    def lookup_cached(self, token: str, origin: str | None) -> Principal | None:
        """The principal from memory, without any I/O; None where only ``load`` can tell. Raises as ``load`` does."""
        token_hash = hash_token(token)
        entry = self._known.get(token_hash)
        if entry is None:
            entry = self._refused.get(token_hash)
        if entry is None or entry.version != self._version or not hmac.compare_digest(entry.token_hash, token_hash):
            return None
        return self._admit(entry, origin)

    def load(self, token: str, origin: str | None, *, is_own: bool = True) -> Principal:
        """The principal from the database: it blocks, so call it on a thread. ``is_own`` false: a token of another dialect's form.

        Raises InvalidKey, KeyRevoked, KeyExpired, PartnerSuspended, AddressNotAllowed; Unavailable.
        """
        if is_own:
            check_token(token)
        token_hash = hash_token(token)
        entry = self._read(lambda tx: store.find_by_hash(tx, token_hash), token_hash)
        return self._answer(entry, origin)

    def lookup_id(self, key_id: ApiKeyId, origin: str | None) -> Principal | None:
        """``lookup_cached`` for a key that was proven otherwise (a signed access token)."""
        entry = self._by_id.get(key_id)
        return self._admit(entry, origin) if entry is not None and entry.version == self._version else None

    def load_id(self, key_id: ApiKeyId, origin: str | None) -> Principal:
        """``load`` for a key that was proven otherwise (a signed access token)."""
        return self._answer(self._read(lambda tx: store.find_by_id(tx, key_id), b""), origin)

    def refresh(self) -> int:
        """Learn of changes made by other processes: one row is read. Raises Unavailable."""

        def read() -> int:
            with self._db.read() as tx:
                return read_version(tx, "access")

        self._learn(retrying(read))
        return self._version

    @staticmethod
    def is_current(principal: Principal, version: int) -> bool:
        """Whether nothing of the access data has changed since the principal was read; ``version`` was read just now."""
        return principal.version == version

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _read(self, find: Any, token_hash: bytes) -> _Entry:
        def read() -> _Entry:
            with self._db.read() as tx:
                return _entry_of(find(tx), token_hash, read_version(tx, "access"), self._clock.now())

        entry = retrying(read)
        self._learn(entry.version)
        with self._guard:
            if entry.principal is None:
                _put(self._refused, entry.token_hash, entry, REFUSED_MAX)
            else:
                _put(self._known, entry.token_hash, entry, CACHED_MAX)
                _put(self._by_id, entry.principal.api_key_id, entry, CACHED_MAX)
        return entry

    def _learn(self, version: int) -> None:
        """Go on to a newer version: all that was read before it is forgotten."""
        with self._guard:
            if version > self._version:
                self._version = version
                self._known.clear()
                self._refused.clear()
                self._by_id.clear()

    def _admit(self, entry: _Entry, origin: str | None) -> Principal | None:
        """The entry's answer; None for a refusal that is no longer fresh."""
        if entry.refusal is not None and self._clock.now() - entry.read_at >= REFUSED_FOR:
            return None
        return self._answer(entry, origin)

    def _answer(self, entry: _Entry, origin: str | None) -> Principal:
        principal = entry.principal
        if principal is None:
            raise (entry.refusal or InvalidKey)
        if principal.expires_at is not None and self._clock.now() >= principal.expires_at:
            raise KeyExpired
        if principal.networks and origin not in entry.allowed:
            if origin is None or not is_inside(principal.networks, origin):
                raise AddressNotAllowed(address=origin)
            if len(entry.allowed) < ORIGINS_MAX:
                entry.allowed.add(origin)
        return principal


def _entry_of(row: Any, token_hash: bytes, version: int, now: datetime) -> _Entry:
    """What a row says, or its absence."""
    if row is None:
        return _Entry(token_hash, version, None, InvalidKey, now)
    key = store.key_of(row)
    stored = bytes(row.token_hash)
    if key.revoked_at is not None:
        return _Entry(stored, version, None, KeyRevoked, now)
    if not key.is_valid(now):
        return _Entry(stored, version, None, KeyExpired, now)
    if row.partner_state != PartnerState.ACTIVE.value:
        return _Entry(stored, version, None, PartnerSuspended, now)
    principal = Principal(
        partner_id=key.partner_id,
        api_key_id=key.id,
        mode=key.mode,
        scopes=key.scopes,
        networks=parse_networks(key.networks),
        expires_at=key.expires_at,
        currency=row.currency,
        price_list_id=row.price_list_id,
        limits=store.limits_of(row.limits),
        partner_state=PartnerState(row.partner_state),
        version=version,
        dialect=row.dialect,
        requests_per_minute=row.requests_per_minute,
    )
    return _Entry(stored, version, principal, None, now)


def _put(entries: dict[Any, _Entry], name: Any, entry: _Entry, most: int) -> None:
    """Keep an entry; the oldest makes room."""
    entries.pop(name, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[name] = entry
