"""Client partners: the businesses that a partner sells to as an intermediary, and whether it may. Registered by the partner, decided
by the operator; never deleted, because orders name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cardrail.access import store
from cardrail.access.errors import ClientPartnerNotFound, InvalidClientPartner
from cardrail.access.model import ClientPartner, ClientPartnerEvent, ClientPartnerState, checked_name
from cardrail.kernel import ClientPartnerId, Clock, Mode, PartnerId, is_id, new_id
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx

CLIENT_PARTNERS_MAX: Final = 10_000
"""Of one partner and mode: a list of them is one answer."""
DETAILS_MAX: Final = 30
DETAIL_MAX: Final = 500


def register_client_partner(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    partner_id: PartnerId,
    mode: Mode,
    *,
    name: str,
    details: Mapping[str, str],
    actor: str,
    origin: str | None = None,
) -> ClientPartner:
    """A new client partner of the partner, pending. Raises InvalidClientPartner."""
    now = clock.now()
    made = ClientPartner(
        id=ClientPartnerId(new_id("clp")),
        partner_id=partner_id,
        mode=mode,
        name=checked_name(name, InvalidClientPartner),
        details=_checked(details),
        state=ClientPartnerState.PENDING,
        created_at=now,
        updated_at=now,
    )

    def work(tx: Tx) -> None:
        store.lock_partners(tx, [partner_id])
        if store.count_client_partners(tx, partner_id, mode) >= CLIENT_PARTNERS_MAX:
            raise InvalidClientPartner(maximum=CLIENT_PARTNERS_MAX)
        store.insert_client_partner(tx, made)
        entry = audit_entry(
            now, actor, "client_partner.registered", made.id, partner_id=partner_id, origin=origin, details={"name": made.name}
        )
        audit.append(tx, [entry])

    in_tx(db, work)
    return made


def change_client_partner(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    partner_id: PartnerId,
    mode: Mode,
    client_id: str,
    *,
    name: str | None = None,
    details: Mapping[str, str | None] | None = None,
    actor: str,
    origin: str | None = None,
) -> ClientPartner:
    """Change what is known of it; a detail that is None is taken away, what is not named stays. Its state stays too.

    Raises ClientPartnerNotFound, InvalidClientPartner.
    """

    def work(tx: Tx) -> ClientPartner:
        old = _own(tx, client_id, partner_id, mode, lock=True)
        merged = {key: value for key, value in {**old.details, **(details or {})}.items() if value is not None}
        new = replace(old, name=old.name if name is None else checked_name(name, InvalidClientPartner), details=_checked(merged))
        if new == old:
            return old
        new = replace(new, updated_at=clock.now())
        store.update_client_partner(tx, new)
        changed = sorted(key for key in old.details.keys() | new.details if old.details.get(key) != new.details.get(key))
        facts = {"changed": [*(["name"] if new.name != old.name else []), *changed]}
        entry = audit_entry(
            new.updated_at, actor, "client_partner.changed", old.id, partner_id=partner_id, origin=origin, details=facts
        )
        audit.append(tx, [entry])
        return new

    return in_tx(db, work)


def decide_client_partner(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    client_id: str,
    event: ClientPartnerEvent,
    *,
    partner_id: PartnerId | None = None,
    mode: Mode | None = None,
    actor: str,
    origin: str | None = None,
) -> ClientPartner:
    """Approve, reject or revoke it; of this partner and mode, where given. Raises ClientPartnerNotFound, ClientPartnerEventRefused."""

    def work(tx: Tx) -> ClientPartner:
        old = _own(tx, client_id, partner_id, mode, lock=True)
        new = old.after(event, clock.now())
        store.update_client_partner(tx, new)
        facts = {"state": [old.state.value, new.state.value], "mode": old.mode.value}
        entry = audit_entry(
            new.updated_at, actor, "client_partner.decided", old.id, partner_id=old.partner_id, origin=origin, details=facts
        )
        audit.append(tx, [entry])
        return new

    return in_tx(db, work)


def get_client_partner(tx: Tx, partner_id: PartnerId, mode: Mode, client_id: str) -> ClientPartner:
    """The partner's client partner. Raises ClientPartnerNotFound."""
    return _own(tx, client_id, partner_id, mode)


def list_client_partners(tx: Tx, partner_id: PartnerId, mode: Mode) -> list[ClientPartner]:
    """All of the partner's, in the order of their registration."""
    return store.load_client_partners(tx, partner_id, mode, CLIENT_PARTNERS_MAX)


def _own(tx: Tx, client_id: str, partner_id: PartnerId | None, mode: Mode | None, *, lock: bool = False) -> ClientPartner:
    found = store.load_client_partner(tx, client_id, lock=lock) if is_id("clp", client_id) else None
    if found is None or partner_id not in (None, found.partner_id) or mode not in (None, found.mode):
        raise ClientPartnerNotFound
    return found


def _checked(details: Mapping[str, str]) -> dict[str, str]:
    """Raises InvalidClientPartner."""
    if len(details) > DETAILS_MAX:
        raise InvalidClientPartner(field="details")
    for key, value in details.items():
        if len(value) > DETAIL_MAX or "\0" in value:
            raise InvalidClientPartner(field=key)
    return dict(details)
