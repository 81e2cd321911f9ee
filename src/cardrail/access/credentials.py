"""Credentials of other dialects: an API key like any other (partner, mode, scopes, networks, end), with what that dialect's callers
present instead of our token, or beside it.

Each dialect has one kind, in KINDS. What can be hashed is; a secret that signs is sealed, and opened only in memory.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from uuid_utils import uuid4

from cardrail.access import store
from cardrail.access.authenticate import CACHED_MAX, KeyCache
from cardrail.access.errors import InvalidKey, InvalidKeyRequest, UnknownDialect
from cardrail.access.keys import add_key, note_key
from cardrail.access.model import ApiKey, checked_name, checked_scopes
from cardrail.access.networks import parse_networks
from cardrail.access.sealed import SecretSealer
from cardrail.access.tokens import hint_of
from cardrail.kernel import ApiKeyId, Clock, Mode, PartnerId, Secret, new_id
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx, read_version, retrying

_passwords: Final = PasswordHasher()


@dataclass(frozen=True, slots=True)
class CredentialKind:
    """What a dialect's callers have; the names are the dialect's own words. A name that is None does not exist there."""

    token: str | None = None
    """The bearer of it is the caller; kept as a hash."""
    token_prefix: str = ""
    """What it begins with, with {mode}; empty: a random UUID."""
    login: str | None = None
    """Who the caller says he is."""
    login_prefix: str = ""
    password: str | None = None
    """What he proves it with, once; kept as an argon2id hash."""
    secret: str | None = None
    """What he signs with, or sends beside the token; sealed."""
    signing_secret: str | None = None
    """What he signs with where the secret is sent; sealed."""


KINDS: Final[dict[str, CredentialKind]] = {
    "oneclickdz": CredentialKind(token="api_key"),
    "foxreload": CredentialKind(token="api_key", token_prefix="fr_{mode}_", secret="webhook_secret"),
    "finperks": CredentialKind(login="client_id", login_prefix="fp_{mode}_", secret="client_secret"),
    "starship": CredentialKind(
        token="api_key",
        token_prefix="sk_{mode}_",
        login="username",
        login_prefix="client-",
        password="password",
        secret="api_secret",
        signing_secret="signing_secret",
    ),
}
"""The dialects that a key can be made for."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request of another dialect is checked against."""

    key_id: ApiKeyId
    dialect: str
    login: str | None
    password_hash: str | None
    secret: Secret | None
    signing_secret: Secret | None

    def has_password(self, password: str) -> bool:
        """Whether it is this one. It takes a tenth of a second on purpose: call it on a thread, after failures were counted."""
        try:
            return self.password_hash is not None and _passwords.verify(self.password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def waste_time_on_password(password: str) -> None:
    """As long as ``has_password`` takes: for a user name that does not exist, so that the time does not tell."""
    _passwords.hash(password)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential, with what is shown once."""

    key: ApiKey
    fields: dict[str, Secret]
    """The dialect's own names of its parts → their values."""


def create_credential(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    sealer: SecretSealer,
    partner_id: PartnerId,
    mode: Mode,
    dialect: str,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    networks: Iterable[str] = (),
    requests_per_minute: int | None = None,
    actor: str,
    origin: str | None = None,
) -> Issued:
    """A new credential of a dialect; its secrets are not shown again. ``requests_per_minute`` 0 lifts the dialect's own limit.

    Raises UnknownDialect, and what ``create_key`` raises; two of a partner, mode and dialect may be valid at a time.
    """
    kind = KINDS.get(dialect)
    if kind is None:
        raise UnknownDialect(dialect=dialect, known=" ".join(sorted(KINDS)))
    if requests_per_minute is not None and requests_per_minute < 0:
        raise InvalidKeyRequest(field="requests_per_minute")
    token = _new_token(kind, mode)
    fields, password = _new_parts(kind, mode, token)
    key = ApiKey(
        id=ApiKeyId(new_id("key")),
        partner_id=partner_id,
        mode=mode,
        name=checked_name(name, InvalidKeyRequest),
        hint=hint_of((fields[kind.login] if kind.login else token).reveal()),
        scopes=checked_scopes(frozenset(scopes)),
        networks=tuple([str(network) for network in parse_networks(networks)]),
        created_at=clock.now(),
        expires_at=expires_at,
        revoked_at=None,
        dialect=dialect,
    )

    def sealed(part: str | None) -> bytes | None:
        return None if part is None else sealer.seal(fields[part], key.id, part)

    row = {
        "key_id": key.id,
        "dialect": dialect,
        "login": fields[kind.login].reveal() if kind.login else None,
        "password_hash": _passwords.hash(password.reveal()) if password is not None else None,
        "secret": sealed(kind.secret),
        "signing_secret": sealed(kind.signing_secret),
        "requests_per_minute": requests_per_minute,
    }
    details = {
        "name": key.name,
        "mode": mode.value,
        "dialect": dialect,
        "scopes": sorted(key.scopes),
        "networks": list(key.networks),
    }

    def work(tx: Tx) -> None:
        add_key(tx, clock, key, token)
        store.insert_credential(tx, row)
        entry = audit_entry(clock.now(), actor, "key.created", key.id, partner_id=partner_id, origin=origin, details=details)
        note_key(tx, audit, entry)

    in_tx(db, work)
    return Issued(key, fields)


def _new_token(kind: CredentialKind, mode: Mode) -> Secret:
    """The token; where the dialect has none, one that nobody is ever told."""
    if kind.token is None or kind.token_prefix:
        return Secret(kind.token_prefix.format(mode=mode.value) + secrets.token_urlsafe(30).replace("-", "x").replace("_", "y"))
    return Secret(str(UUID(int=uuid4().int)))


def _new_parts(kind: CredentialKind, mode: Mode, token: Secret) -> tuple[dict[str, Secret], Secret | None]:
    fields: dict[str, Secret] = {}
    password: Secret | None = None
    if kind.token:
        fields[kind.token] = token
    if kind.login:
        fields[kind.login] = Secret(kind.login_prefix.format(mode=mode.value) + secrets.token_hex(8))
    if kind.password:
        password = fields[kind.password] = Secret(secrets.token_urlsafe(18))
    if kind.secret:
        fields[kind.secret] = Secret(("whsec_" if kind.secret == "webhook_secret" else "") + secrets.token_urlsafe(32))
    if kind.signing_secret:
        fields[kind.signing_secret] = Secret("whsec_" + secrets.token_urlsafe(32))
    return fields, password


class CredentialBook:
    """Credentials by login or key, from memory where they were seen before at the present version of the access data."""

    def __init__(self, db: Database, sealer: SecretSealer, keys: KeyCache) -> None:
        self._db = db
        self._sealer = sealer
        self._keys = keys
        self._known: dict[tuple[str, str], tuple[int, Credential]] = {}
        self._guard = threading.Lock()

    def lookup(self, dialect: str, login: str) -> Credential | None:
        """The credential of a login from memory, without any I/O; None where only ``load`` can tell."""
        return self._remembered((dialect, login))

    def load(self, dialect: str, login: str) -> Credential:
        """The credential of a login from the database: call it on a thread. Raises InvalidKey; Unavailable."""
        return self._remembered((dialect, login)) or self._load(
            (dialect, login), lambda tx: store.find_credential(tx, dialect, login)
        )

    def lookup_key(self, key_id: ApiKeyId) -> Credential | None:
        """``lookup`` for a key that was found by its token."""
        return self._remembered(("", key_id))

    def load_key(self, key_id: ApiKeyId) -> Credential:
        """``load`` for a key that was found by its token."""
        return self._remembered(("", key_id)) or self._load(("", key_id), lambda tx: store.find_credential_of(tx, key_id))

    def _remembered(self, name: tuple[str, str]) -> Credential | None:
        version, found = self._known.get(name, (-1, None))
        return found if version == self._keys.current_version else None

    def _load(self, name: tuple[str, str], find: Any) -> Credential:
        def read() -> tuple[int, Any]:
            with self._db.read() as tx:
                return read_version(tx, "access"), find(tx)

        version, row = retrying(read)
        if row is None:
            raise InvalidKey
        found = self._of(row)
        with self._guard:
            if len(self._known) >= CACHED_MAX:
                self._known.clear()
            self._known[name] = (version, found)
        return found

    def _of(self, row: Any) -> Credential:
        kind = KINDS[row.dialect]

        def opened(sealed: bytes | None, part: str | None) -> Secret | None:
            return None if sealed is None or part is None else self._sealer.open(bytes(sealed), row.key_id, part)

        return Credential(
            key_id=ApiKeyId(row.key_id),
            dialect=row.dialect,
            login=row.login,
            password_hash=row.password_hash,
            secret=opened(row.secret, kind.secret),
            signing_secret=opened(row.signing_secret, kind.signing_secret),
        )
