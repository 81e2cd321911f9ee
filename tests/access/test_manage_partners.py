"""Partners: what may be said of them, and that each change is written down."""

from __future__ import annotations

from typing import Any

import pytest
from tests.access.build import AUDIT, a_partner

from cardrail.access import (
    InvalidLimits,
    InvalidPartner,
    Limits,
    PartnerChanges,
    PartnerNotFound,
    PartnerState,
    change_partner,
    get_partner,
    list_partners,
    resume_partner,
    suspend_partner,
)
from cardrail.kernel import CardrailError, FrozenClock, PartnerId, PriceListId, UnknownCurrency
from cardrail.storage import AuditFilter, Database, list_audit, read_version


def test_a_partner_is_kept_as_it_was_given(db: Database) -> None:
    limits = Limits({"INR": 100}, {"INR": 1_000}, 5, 6, 7, 8)
    partner = a_partner(
        db, FrozenClock(), name=" Holi ", timezone="UTC", country="IN", price_list_id=PriceListId("pls_1"), limits=limits
    )
    with db.read() as tx:
        assert get_partner(tx, partner.id) == partner
    assert (partner.name, partner.state, partner.limits) == ("Holi", PartnerState.ACTIVE, limits)


REFUSALS: list[tuple[dict[str, Any], type[CardrailError]]] = [
    ({"name": ""}, InvalidPartner),
    ({"name": "a\x00b"}, InvalidPartner),
    ({"currency": "XXX"}, UnknownCurrency),
    ({"currency": "inr"}, UnknownCurrency),
    ({"timezone": "Mars/Olympus"}, InvalidPartner),
    ({"timezone": "../../etc/passwd"}, InvalidPartner),
    ({"timezone": ""}, InvalidPartner),
    ({"country": "India"}, InvalidPartner),
    ({"limits": Limits(orders_per_day_max=-1)}, InvalidLimits),
    ({"limits": Limits(requests_per_minute=0)}, InvalidLimits),
    ({"limits": Limits(order_amount_minor_max={"RUPEES": 1})}, InvalidLimits),
    ({"limits": Limits(amount_minor_per_day_max={"INR": -1})}, InvalidLimits),
]


@pytest.mark.parametrize(("facts", "error"), REFUSALS)
def test_a_partner_that_makes_no_sense_is_refused(db: Database, facts: dict[str, Any], error: type[CardrailError]) -> None:
    with pytest.raises(error):
        a_partner(db, FrozenClock(), **facts)
    partner = a_partner(db, FrozenClock())
    with pytest.raises(error):
        change_partner(db, FrozenClock(), AUDIT, partner.id, PartnerChanges(**facts), actor="cli")
    with db.read() as tx:
        assert list_partners(tx).items == [partner]


def test_a_change_touches_what_is_named_and_is_audited_with_old_and_new(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock, country="IN", limits=Limits(orders_per_day_max=1))
    changed = change_partner(
        db, clock, AUDIT, partner.id, PartnerChanges(name="Pongal", limits=None), actor="cli", origin="192.0.2.1"
    )
    assert (changed.name, changed.limits, changed.country) == ("Pongal", None, "IN")
    with db.read() as tx:
        entry = list_audit(tx, AuditFilter(action="partner.changed")).items[0].entry
        assert read_version(tx, "access") == 1
    assert (entry.actor, entry.partner_id, entry.origin) == ("cli", partner.id, "192.0.2.1")
    assert entry.details is not None
    assert entry.details["name"] == ["Diwali Gifts", "Pongal"]
    assert entry.details["limits"][0]["orders_per_day_max"] == 1


def test_a_change_that_changes_nothing_writes_nothing(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    assert change_partner(db, clock, AUDIT, partner.id, PartnerChanges(name=partner.name), actor="cli") == partner
    assert resume_partner(db, clock, AUDIT, partner.id, actor="cli") == partner
    with db.read() as tx:
        assert [row.entry.action for row in list_audit(tx, AuditFilter()).items] == ["partner.created"]


def test_suspending_and_resuming_are_audited(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    assert suspend_partner(db, clock, AUDIT, partner.id, actor="cli").state is PartnerState.SUSPENDED
    clock.advance(seconds=1)
    assert resume_partner(db, clock, AUDIT, partner.id, actor="cli").state is PartnerState.ACTIVE
    with db.read() as tx:
        actions = [row.entry.action for row in list_audit(tx, AuditFilter(subject=partner.id)).items]
    assert set(actions) == {"partner.resumed", "partner.suspended", "partner.created"}


def test_a_partner_that_does_not_exist_is_not_found(db: Database) -> None:
    for use_case in (suspend_partner, resume_partner):
        with pytest.raises(PartnerNotFound):
            use_case(db, FrozenClock(), AUDIT, PartnerId("par_0"), actor="cli")
    with pytest.raises(PartnerNotFound), db.read() as tx:
        get_partner(tx, PartnerId("par_0"))


def test_partners_are_listed_in_pages(db: Database) -> None:
    made = [a_partner(db, FrozenClock()) for _ in range(5)]
    seen, after = [], None
    with db.read() as tx:
        while True:
            page = list_partners(tx, after, limit=2)
            seen += page.items
            after = page.after
            if after is None:
                break
    assert seen == made
