"""Partners: created, changed, suspended, resumed. A partner is never deleted: its orders and its money name it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import msgspec

from cardrail.access import store
from cardrail.access.errors import InvalidPartner, PartnerNotFound
from cardrail.access.model import Limits, Partner, PartnerState, check_partner, checked_name
from cardrail.kernel import Clock, Page, PartnerId, PriceListId, new_partner_id
from cardrail.storage import AuditLog, Database, Tx, audit_entry, bump_version, in_tx


class Unchanged:
    """The kind of KEEP."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Unchanged()
"""Stands for a field that stays as it is, where None means that it becomes empty."""


@dataclass(frozen=True, slots=True)
class PartnerChanges:
    """What to change of a partner."""

    name: str | Unchanged = KEEP
    currency: str | Unchanged = KEEP
    timezone: str | Unchanged = KEEP
    country: str | Unchanged | None = KEEP
    price_list_id: PriceListId | Unchanged | None = KEEP
    limits: Limits | Unchanged | None = KEEP

    def given(self) -> dict[str, Any]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value is not KEEP}


def create_partner(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    *,
    name: str,
    currency: str,
    timezone: str = "UTC",
    country: str | None = None,
    price_list_id: PriceListId | None = None,
    limits: Limits | None = None,
    actor: str,
    origin: str | None = None,
) -> Partner:
    """A new, active partner whose default wallet is in ``currency``. Raises InvalidPartner, InvalidLimits, UnknownCurrency."""
    now = clock.now()
    partner = Partner(
        id=new_partner_id(),
        name=checked_name(name, InvalidPartner),
        state=PartnerState.ACTIVE,
        currency=currency,
        timezone=timezone,
        country=country,
        price_list_id=price_list_id,
        limits=limits,
        created_at=now,
        updated_at=now,
    )
    check_partner(partner)

    def work(tx: Tx) -> None:
        store.insert_partner(tx, partner)
        details = {"name": partner.name, "currency": partner.currency}
        entry = audit_entry(now, actor, "partner.created", partner.id, partner_id=partner.id, origin=origin, details=details)
        audit.append(tx, [entry])

    in_tx(db, work)
    return partner


def change_partner(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    partner_id: PartnerId,
    changes: PartnerChanges,
    *,
    actor: str,
    origin: str | None = None,
) -> Partner:
    """Change a partner's data. Raises PartnerNotFound, InvalidPartner, InvalidLimits, UnknownCurrency."""
    given = changes.given()
    if "name" in given:
        given["name"] = checked_name(given["name"], InvalidPartner)
    return _change(db, clock, audit, partner_id, given, action="partner.changed", actor=actor, origin=origin)


def suspend_partner(
    db: Database, clock: Clock, audit: AuditLog, partner_id: PartnerId, *, actor: str, origin: str | None = None
) -> Partner:
    """Refuse all of a partner's keys until it is resumed. Raises PartnerNotFound."""
    given = {"state": PartnerState.SUSPENDED}
    return _change(db, clock, audit, partner_id, given, action="partner.suspended", actor=actor, origin=origin)


def resume_partner(
    db: Database, clock: Clock, audit: AuditLog, partner_id: PartnerId, *, actor: str, origin: str | None = None
) -> Partner:
    """Let a suspended partner's keys work again. Raises PartnerNotFound."""
    return _change(
        db, clock, audit, partner_id, {"state": PartnerState.ACTIVE}, action="partner.resumed", actor=actor, origin=origin
    )


def get_partner(tx: Tx, partner_id: PartnerId) -> Partner:
    """Raises PartnerNotFound."""
    partner = store.load_partner(tx, partner_id)
    if partner is None:
        raise PartnerNotFound(partner=partner_id)
    return partner


def list_partners(tx: Tx, after: str | None = None, limit: int = 50) -> Page[Partner]:
    """Partners in the order of their creation, from the one after the id ``after``."""
    found = store.load_partners(tx, after or "", limit + 1)
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _change(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    partner_id: PartnerId,
    given: dict[str, Any],
    *,
    action: str,
    actor: str,
    origin: str | None,
) -> Partner:
    """Write what differs, with the old and the new in the audit log; nothing where nothing does."""

    def work(tx: Tx) -> Partner:
        old = store.load_partner(tx, partner_id, lock=True)
        if old is None:
            raise PartnerNotFound(partner=partner_id)
        changed = {name: value for name, value in given.items() if getattr(old, name) != value}
        if not changed:
            return old
        new = check_partner(replace(old, **changed, updated_at=clock.now()))
        store.update_partner(tx, new)
        bump_version(tx, "access")
        details = {name: [_plain(getattr(old, name)), _plain(value)] for name, value in changed.items()}
        entry = audit_entry(clock.now(), actor, action, partner_id, partner_id=partner_id, origin=origin, details=details)
        audit.append(tx, [entry])
        return new

    return in_tx(db, work)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
