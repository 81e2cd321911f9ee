"""Keys of the operator's own programs: a dashboard, a script that watches orders. They see what no partner may: suppliers, costs, routes.

They are kept apart from API keys on purpose: another table, another form of token, no partner. So no API key, whatever its scopes, is ever
looked at where an operator's key is asked for, and no operator's key can place an order. Only a command on the server makes one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from cardrail.access.errors import (
    AddressNotAllowed,
    InvalidKey,
    InvalidKeyRequest,
    KeyExpired,
    KeyNotFound,
    KeyRevoked,
    ScopeMissing,
    UnknownScope,
)
from cardrail.access.model import checked_name
from cardrail.access.networks import is_inside, parse_networks
from cardrail.access.tables import operator_keys
from cardrail.kernel import Clock, Secret, from_micros, new_id, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx

OPERATOR_SCOPES: Final[dict[str, str]] = {
    "operator:read": "See how any partner's order was bought: the route, each attempt, its supplier and what it cost. Never a code.",
    "operator:alerts": "See alerts, and what suppliers' webhooks said.",
    "operator:acknowledge": "Acknowledge alerts.",
}
"""Every scope that an operator's key may have. None of them is a scope of API keys."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM: Final = 40
_FORM: Final = re.compile(rf"cr_op_[{_ALPHABET}]{{{_RANDOM}}}")


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """What is known of one; the token itself is kept nowhere."""

    id: str
    name: str
    hint: str
    """The token's last four characters."""
    scopes: frozenset[str]
    networks: tuple[str, ...]
    """CIDR blocks it may be used from; empty: from anywhere."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def require(self, scope: str) -> None:
        """Raises ScopeMissing."""
        if scope not in self.scopes:
            raise ScopeMissing(scope=scope)


def create_operator_key(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    *,
    name: str,
    scopes: Iterable[str],
    networks: Iterable[str] = (),
    expires_at: datetime | None = None,
    actor: str,
) -> tuple[OperatorKey, Secret]:
    """A new key and its token, which is not shown again. Raises InvalidKeyRequest, UnknownScope, InvalidNetwork."""
    now = clock.now()
    wanted = frozenset(scopes)
    unknown = sorted(wanted - OPERATOR_SCOPES.keys())
    if unknown:
        raise UnknownScope(scope=unknown[0])
    if not wanted:
        raise InvalidKeyRequest(field="scopes")
    if expires_at is not None and expires_at <= now:
        raise InvalidKeyRequest(field="expires_at")
    token = Secret("cr_op_" + "".join([secrets.choice(_ALPHABET) for _ in range(_RANDOM)]))
    key = OperatorKey(
        id=new_id("opk"),
        name=checked_name(name, InvalidKeyRequest),
        hint=token.reveal()[-4:],
        scopes=wanted,
        networks=tuple([str(one) for one in parse_networks(networks)]),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )

    def work(tx: Tx) -> None:
        tx.execute(sa.insert(operator_keys).values(_row(key) | {"token_hash": _hash(token.reveal())}))
        details = {"name": key.name, "scopes": sorted(key.scopes), "networks": list(key.networks)}
        audit.append(tx, [audit_entry(now, actor, "operator_key.created", subject=key.id, details=details)])

    in_tx(db, work)
    return key, token


def revoke_operator_key(db: Database, clock: Clock, audit: AuditLog, key_id: str, *, actor: str) -> OperatorKey:
    """End a key now, for ever. Raises KeyNotFound."""
    now = clock.now()

    def work(tx: Tx) -> OperatorKey:
        row = tx.execute(sa.select(operator_keys).where(_k.id == key_id).with_for_update()).first()
        if row is None:
            raise KeyNotFound(key=key_id[:64])
        key = _key(row)
        if key.revoked_at is not None:
            return key
        tx.execute(sa.update(operator_keys).where(_k.id == key_id).values(revoked_at=to_micros(now)))
        audit.append(tx, [audit_entry(now, actor, "operator_key.revoked", subject=key_id)])
        return replace(key, revoked_at=now)

    return in_tx(db, work)


def list_operator_keys(tx: Tx) -> list[OperatorKey]:
    """All of them, the oldest first."""
    return [_key(row) for row in tx.execute(sa.select(operator_keys).order_by(_k.id))]


def load_operator_key(db: Database, clock: Clock, token: str, origin: str | None) -> OperatorKey:
    """Whose token this is, read anew each time: a revoked key is refused at once. It blocks.

    Raises InvalidKey, KeyRevoked, KeyExpired, AddressNotAllowed; Unavailable.
    """
    if not _FORM.fullmatch(token):
        raise InvalidKey
    wanted = _hash(token)
    with db.read() as tx:
        row = tx.execute(sa.select(operator_keys).where(_k.token_hash == wanted)).first()
    if row is None or not hmac.compare_digest(bytes(row.token_hash), wanted):
        raise InvalidKey
    key = _key(row)
    if key.revoked_at is not None:
        raise KeyRevoked
    if key.expires_at is not None and key.expires_at <= clock.now():
        raise KeyExpired
    if key.networks and not is_inside(parse_networks(key.networks), origin):
        raise AddressNotAllowed
    return key


_k = operator_keys.c


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _row(key: OperatorKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "hint": key.hint,
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "networks": " ".join(key.networks) or None,
        "created_at": to_micros(key.created_at),
        "expires_at": to_micros(key.expires_at) if key.expires_at is not None else None,
        "revoked_at": None,
    }


def _key(row: Any) -> OperatorKey:
    return OperatorKey(
        id=row.id,
        name=row.name,
        hint=row.hint,
        scopes=frozenset(row.scopes.split()),
        networks=tuple((row.networks or "").split()),
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at) if row.expires_at is not None else None,
        revoked_at=from_micros(row.revoked_at) if row.revoked_at is not None else None,
    )
