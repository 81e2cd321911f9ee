"""API keys: made, rotated, revoked. A token is shown once, to whoever makes it; what is kept is its hash.

Every change moves the version "access" on, in the same transaction: from its commit no process trusts an older copy of any key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from cardrail.access import store
from cardrail.access.errors import InvalidKeyRequest, KeyNotFound, KeyNotValid, PartnerNotFound, TooManyKeys
from cardrail.access.model import KEYS_VALID_MAX, ApiKey, checked_name, checked_scopes
from cardrail.access.networks import parse_networks
from cardrail.access.tokens import hash_token, hint_of, new_token
from cardrail.kernel import ApiKeyId, Clock, Mode, PartnerId, Secret, new_id
from cardrail.storage import AuditEntry, AuditLog, Database, Tx, audit_entry, bump_version, in_tx


def create_key(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    partner_id: PartnerId,
    mode: Mode,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    networks: Iterable[str] = (),
    actor: str,
    origin: str | None = None,
) -> tuple[ApiKey, Secret]:
    """A new key of the native API and its token, which is not shown again (for other dialects: ``create_credential``).

    Raises PartnerNotFound, TooManyKeys (two of a partner and mode may be valid at a time), InvalidKeyRequest, UnknownScope,
    InvalidNetwork.
    """
    token = new_token(mode)
    key = ApiKey(
        id=ApiKeyId(new_id("key")),
        partner_id=partner_id,
        mode=mode,
        name=checked_name(name, InvalidKeyRequest),
        hint=hint_of(token.reveal()),
        scopes=checked_scopes(frozenset(scopes)),
        networks=tuple([str(network) for network in parse_networks(networks)]),
        created_at=clock.now(),
        expires_at=expires_at,
        revoked_at=None,
    )

    def work(tx: Tx) -> None:
        add_key(tx, clock, key, token)
        details = {"name": key.name, "mode": mode.value, "scopes": sorted(key.scopes), "networks": list(key.networks)}
        note_key(
            tx,
            audit,
            audit_entry(clock.now(), actor, "key.created", key.id, partner_id=key.partner_id, origin=origin, details=details),
        )

    in_tx(db, work)
    return key, token


def rotate_key(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    key_id: ApiKeyId,
    *,
    overlap: timedelta = timedelta(days=1),
    actor: str,
    origin: str | None = None,
) -> tuple[ApiKey, Secret]:
    """A new key like this one, and its token; the old one goes on for the overlap. A lifetime is taken over, counted from now.

    Raises KeyNotFound, KeyNotValid (also for another dialect's: create a second one there), TooManyKeys (a rotation is under way
    already), InvalidKeyRequest (negative overlap).
    """
    if overlap < timedelta(0):
        raise InvalidKeyRequest(field="overlap")

    def work(tx: Tx) -> tuple[ApiKey, Secret]:
        old = _locked_key(tx, key_id)
        now = clock.now()
        if not old.is_valid(now) or old.dialect is not None:
            raise KeyNotValid(key=key_id)
        token = new_token(old.mode)
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        new = replace(
            old,
            id=ApiKeyId(new_id("key")),
            hint=hint_of(token.reveal()),
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        add_key(tx, clock, new, token)
        ends_at = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
        store.end_key(tx, replace(old, expires_at=ends_at))
        details = {"successor": new.id, "old_expires_at": ends_at.isoformat()}
        note_key(
            tx,
            audit,
            audit_entry(clock.now(), actor, "key.rotated", old.id, partner_id=old.partner_id, origin=origin, details=details),
        )
        return new, token

    return in_tx(db, work)


def revoke_key(db: Database, clock: Clock, audit: AuditLog, key_id: ApiKeyId, *, actor: str, origin: str | None = None) -> ApiKey:
    """End a key now, for ever; a key that is revoked stays as it is. Raises KeyNotFound."""

    def work(tx: Tx) -> ApiKey:
        key = _locked_key(tx, key_id)
        if key.revoked_at is not None:
            return key
        revoked = replace(key, revoked_at=clock.now())
        store.end_key(tx, revoked)
        note_key(
            tx, audit, audit_entry(clock.now(), actor, "key.revoked", revoked.id, partner_id=revoked.partner_id, origin=origin)
        )
        return revoked

    return in_tx(db, work)


def list_keys(tx: Tx, partner_id: PartnerId) -> list[ApiKey]:
    """All keys of a partner, the oldest first. Raises PartnerNotFound."""
    if store.load_partner(tx, partner_id) is None:
        raise PartnerNotFound(partner=partner_id)
    return store.load_keys(tx, partner_id)


def add_key(tx: Tx, clock: Clock, key: ApiKey, token: Secret) -> None:
    """Write the key if there is room for it. Locks the partner, so that two at once cannot both find room."""
    if store.load_partner(tx, key.partner_id, lock=True) is None:
        raise PartnerNotFound(partner=key.partner_id)
    now = clock.now()
    if key.expires_at is not None and key.expires_at <= now:
        raise InvalidKeyRequest(field="expires_at")
    valid = [
        one
        for one in store.load_keys(tx, key.partner_id)
        if (one.mode, one.dialect) == (key.mode, key.dialect) and one.is_valid(now)
    ]
    if len(valid) >= KEYS_VALID_MAX:
        raise TooManyKeys(mode=key.mode.value, keys=" ".join([one.id for one in valid]))
    store.insert_key(tx, key, hash_token(token.reveal()))


def _locked_key(tx: Tx, key_id: ApiKeyId) -> ApiKey:
    """The key as it is once its partner is locked. Raises KeyNotFound."""
    found = store.load_key(tx, key_id)
    if found is not None:
        store.lock_partners(tx, [found.partner_id])
        found = store.load_key(tx, key_id)
    if found is None:
        raise KeyNotFound(key=key_id)
    return found


def note_key(tx: Tx, audit: AuditLog, entry: AuditEntry) -> None:
    """What belongs to every change of a key: the new version, and the row in the audit log."""
    bump_version(tx, "access")
    audit.append(tx, [entry])
