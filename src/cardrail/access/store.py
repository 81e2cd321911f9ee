"""Every statement of access, and how rows become models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.access.model import ApiKey, ClientPartner, ClientPartnerState, Limits, Partner, PartnerState
from cardrail.access.tables import api_keys, client_partners, credentials, limit_usage, partners
from cardrail.kernel import ApiKeyId, ClientPartnerId, Mode, PartnerId, PriceListId, from_micros, to_micros
from cardrail.storage import Bulk, Tx

UsageKey = tuple[str, str, str]
"""(partner, mode, name of the counter)."""
UsageRow = tuple[str, str, str, int, int, int]
"""(partner, mode, name, window_at, added, expires_at)."""

_CHUNK: Final = 1_000

# --- partners ----------------------------------------------------------------------------------------------------------

_PARTNER = sa.select(*partners.c)
_PARTNER_BY_ID = _PARTNER.where(partners.c.id == sa.bindparam("of"))
_PARTNER_LOCKED = _PARTNER_BY_ID.with_for_update()
_PARTNERS_AFTER = _PARTNER.where(partners.c.id > sa.bindparam("after")).order_by(partners.c.id).limit(sa.bindparam("count"))
# key_share: rows that point to the partner (a key, an order) may still be written meanwhile.
_LOCK_PARTNERS = (
    sa.select(partners.c.id)
    .where(partners.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(partners.c.id)
    .with_for_update(key_share=True)
)


def insert_partner(tx: Tx, partner: Partner) -> None:
    tx.execute(sa.insert(partners), _partner_row(partner))


def update_partner(tx: Tx, partner: Partner) -> None:
    row = _partner_row(partner)
    tx.execute(sa.update(partners).where(partners.c.id == partner.id).values(row))


def load_partner(tx: Tx, partner_id: str, *, lock: bool = False) -> Partner | None:
    row = tx.execute(_PARTNER_LOCKED if lock else _PARTNER_BY_ID, {"of": partner_id}).one_or_none()
    return None if row is None else partner_of(row)


def load_partners(tx: Tx, after: str, count: int) -> list[Partner]:
    """By id, which is the order of creation."""
    return [partner_of(row) for row in tx.execute(_PARTNERS_AFTER, {"after": after, "count": count})]


def lock_partners(tx: Tx, partner_ids: Sequence[str]) -> None:
    """Lock in id order, until the commit."""
    tx.execute(_LOCK_PARTNERS, {"ids": list(partner_ids)}).all()


def partner_of(row: Any) -> Partner:
    return Partner(
        id=PartnerId(row.id),
        name=row.name,
        state=PartnerState(row.state),
        currency=row.currency,
        timezone=row.timezone,
        country=row.country,
        price_list_id=None if row.price_list_id is None else PriceListId(row.price_list_id),
        limits=limits_of(row.limits),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


def limits_of(text: str | None) -> Limits | None:
    return None if text is None else msgspec.json.decode(text, type=Limits)


def _partner_row(partner: Partner) -> dict[str, Any]:
    return {
        "id": partner.id,
        "name": partner.name,
        "state": partner.state.value,
        "currency": partner.currency,
        "timezone": partner.timezone,
        "country": partner.country,
        "price_list_id": partner.price_list_id,
        "limits": None if partner.limits is None else msgspec.json.encode(partner.limits).decode(),
        "created_at": to_micros(partner.created_at),
        "updated_at": to_micros(partner.updated_at),
    }


# --- client partners ---------------------------------------------------------------------------------------------------

_CLIENT = sa.select(*client_partners.c).where(client_partners.c.id == sa.bindparam("of"))
_CLIENTS_OF = (
    sa.select(*client_partners.c)
    .where(client_partners.c.partner_id == sa.bindparam("of"), client_partners.c.mode == sa.bindparam("in_mode"))
    .order_by(client_partners.c.id)
    .limit(sa.bindparam("count"))
)
_COUNT_CLIENTS = sa.select(sa.func.count()).where(
    client_partners.c.partner_id == sa.bindparam("of"), client_partners.c.mode == sa.bindparam("in_mode")
)


def insert_client_partner(tx: Tx, one: ClientPartner) -> None:
    tx.execute(sa.insert(client_partners), _client_row(one))


def update_client_partner(tx: Tx, one: ClientPartner) -> None:
    tx.execute(sa.update(client_partners).where(client_partners.c.id == one.id).values(_client_row(one)))


def load_client_partner(tx: Tx, client_id: str, *, lock: bool = False) -> ClientPartner | None:
    row = tx.execute(_CLIENT.with_for_update() if lock else _CLIENT, {"of": client_id}).one_or_none()
    return None if row is None else _client_of(row)


def load_client_partners(tx: Tx, partner_id: str, mode: Mode, count: int) -> list[ClientPartner]:
    """By id, which is the order of creation."""
    return [_client_of(row) for row in tx.execute(_CLIENTS_OF, {"of": partner_id, "in_mode": mode.value, "count": count})]


def count_client_partners(tx: Tx, partner_id: str, mode: Mode) -> int:
    return int(tx.execute(_COUNT_CLIENTS, {"of": partner_id, "in_mode": mode.value}).scalar_one())


def _client_of(row: Any) -> ClientPartner:
    return ClientPartner(
        id=ClientPartnerId(row.id),
        partner_id=PartnerId(row.partner_id),
        mode=Mode(row.mode),
        name=row.name,
        details=msgspec.json.decode(row.details, type=dict[str, str]),
        state=ClientPartnerState(row.state),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


def _client_row(one: ClientPartner) -> dict[str, Any]:
    return {
        "id": one.id,
        "partner_id": one.partner_id,
        "mode": one.mode.value,
        "name": one.name,
        "details": msgspec.json.encode(one.details, order="sorted").decode(),
        "state": one.state.value,
        "created_at": to_micros(one.created_at),
        "updated_at": to_micros(one.updated_at),
    }


# --- API keys ----------------------------------------------------------------------------------------------------------

_KEY = sa.select(*[column for column in api_keys.c if column.name != "token_hash"], credentials.c.dialect).outerjoin_from(
    api_keys, credentials, credentials.c.key_id == api_keys.c.id
)
_KEY_BY_ID = _KEY.where(api_keys.c.id == sa.bindparam("of"))
_KEYS_OF_PARTNER = _KEY.where(api_keys.c.partner_id == sa.bindparam("of")).order_by(api_keys.c.id)
_AUTHENTICATION = sa.select(
    *api_keys.c,
    partners.c.state.label("partner_state"),
    partners.c.currency,
    partners.c.price_list_id,
    partners.c.limits,
    credentials.c.dialect,
    credentials.c.requests_per_minute,
).select_from(
    api_keys.join(partners, partners.c.id == api_keys.c.partner_id).outerjoin(credentials, credentials.c.key_id == api_keys.c.id)
)
_AUTHENTICATION_BY_HASH = _AUTHENTICATION.where(api_keys.c.token_hash == sa.bindparam("of"))
_AUTHENTICATION_BY_ID = _AUTHENTICATION.where(api_keys.c.id == sa.bindparam("of"))


def insert_key(tx: Tx, key: ApiKey, token_hash: bytes) -> None:
    row = {
        "id": key.id,
        "partner_id": key.partner_id,
        "mode": key.mode.value,
        "token_hash": token_hash,
        "hint": key.hint,
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "networks": " ".join(key.networks) or None,
        "created_at": to_micros(key.created_at),
        "expires_at": None if key.expires_at is None else to_micros(key.expires_at),
        "revoked_at": None if key.revoked_at is None else to_micros(key.revoked_at),
    }
    tx.execute(sa.insert(api_keys), row)


def end_key(tx: Tx, key: ApiKey) -> None:
    """Write when the key ends; nothing else of a key ever changes."""
    values = {
        "expires_at": None if key.expires_at is None else to_micros(key.expires_at),
        "revoked_at": None if key.revoked_at is None else to_micros(key.revoked_at),
    }
    tx.execute(sa.update(api_keys).where(api_keys.c.id == key.id).values(values))


def load_key(tx: Tx, key_id: str) -> ApiKey | None:
    row = tx.execute(_KEY_BY_ID, {"of": key_id}).one_or_none()
    return None if row is None else key_of(row)


def load_keys(tx: Tx, partner_id: str) -> list[ApiKey]:
    """All keys of a partner, the oldest first."""
    return [key_of(row) for row in tx.execute(_KEYS_OF_PARTNER, {"of": partner_id})]


def find_by_hash(tx: Tx, token_hash: bytes) -> Any:
    """The key's row with its partner's, or None."""
    return tx.execute(_AUTHENTICATION_BY_HASH, {"of": token_hash}).one_or_none()


def find_by_id(tx: Tx, key_id: str) -> Any:
    """The key's row with its partner's, or None."""
    return tx.execute(_AUTHENTICATION_BY_ID, {"of": key_id}).one_or_none()


def key_of(row: Any) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row.id),
        partner_id=PartnerId(row.partner_id),
        mode=Mode(row.mode),
        name=row.name,
        hint=row.hint,
        scopes=frozenset(row.scopes.split()),
        networks=tuple((row.networks or "").split()),
        created_at=from_micros(row.created_at),
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
        revoked_at=None if row.revoked_at is None else from_micros(row.revoked_at),
        dialect=row.dialect,
    )


# --- credentials of other dialects -------------------------------------------------------------------------------------

_CREDENTIAL_BY_LOGIN = sa.select(*credentials.c).where(
    credentials.c.dialect == sa.bindparam("dialect"), credentials.c.login == sa.bindparam("login")
)
_CREDENTIAL_BY_KEY = sa.select(*credentials.c).where(credentials.c.key_id == sa.bindparam("key_id"))


def insert_credential(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(sa.insert(credentials), row)


def find_credential(tx: Tx, dialect: str, login: str) -> Any:
    """The row of a dialect's login, or None."""
    return tx.execute(_CREDENTIAL_BY_LOGIN, {"dialect": dialect, "login": login}).one_or_none()


def find_credential_of(tx: Tx, key_id: str) -> Any:
    """The row of a key, or None."""
    return tx.execute(_CREDENTIAL_BY_KEY, {"key_id": key_id}).one_or_none()


# --- use of limits -----------------------------------------------------------------------------------------------------

_u = limit_usage.c
_USAGE = sa.select(_u.partner_id, _u.mode, _u.name, _u.used).where(
    _u.window_at == sa.bindparam("at"),
    sa.tuple_(_u.partner_id, _u.mode, _u.name).in_(sa.bindparam("keys", expanding=True)),
)
_new = postgresql.insert(limit_usage).values({column.name: sa.bindparam(column.name) for column in limit_usage.c})
_add = Bulk(
    _new.on_conflict_do_update(
        index_elements=["partner_id", "mode", "name", "window_at"], set_={"used": _u.used + _new.excluded.used}
    ),
    [column.name for column in limit_usage.c],
)


def load_usage(tx: Tx, keys: Sequence[UsageKey], window_at: int) -> dict[UsageKey, int]:
    """Counters of one window, a thousand to a statement."""
    found: dict[UsageKey, int] = {}
    for start in range(0, len(keys), _CHUNK):
        rows = tx.execute(_USAGE, {"at": window_at, "keys": list(keys[start : start + _CHUNK])})
        found |= {(partner, mode, name): used for partner, mode, name, used in rows}
    return found


def add_usage(tx: Tx, rows: Sequence[UsageRow]) -> None:
    """Add to counters. Rows come sorted by key, so that two writers meet in the same order."""
    _add(tx, rows)


def delete_usage(tx: Tx, before: int) -> int:
    return tx.execute(sa.delete(limit_usage).where(_u.expires_at < before)).rowcount


def erase_usage(tx: Tx, partner_id: str, customer_id: str) -> int:
    """Forget what was counted for one customer of a partner; how many rows."""
    c = limit_usage.c
    return tx.execute(sa.delete(limit_usage).where(c.partner_id == partner_id, c.name == f"customer:{customer_id}")).rowcount
