"""Client partners: registered by the partner, decided by the operator, each step in the audit log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.access.build import AUDIT, a_partner

from cardrail.access import (
    ClientPartner,
    ClientPartnerEvent,
    ClientPartnerEventRefused,
    ClientPartnerNotFound,
    ClientPartnerState,
    InvalidClientPartner,
    Partner,
    change_client_partner,
    decide_client_partner,
    get_client_partner,
    list_client_partners,
    register_client_partner,
)
from cardrail.kernel import FrozenClock, Mode
from cardrail.storage import AuditFilter, Database, list_audit


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


E, S = ClientPartnerEvent, ClientPartnerState


def registered(db: Database, clock: FrozenClock, partner: Partner, mode: Mode = Mode.LIVE, **facts: Any) -> ClientPartner:
    return register_client_partner(
        db, clock, AUDIT, partner.id, mode, **{"name": "Acme", "details": {"city": "Wien"}, "actor": "key_1"} | facts
    )


def decided(db: Database, clock: FrozenClock, one: ClientPartner, event: ClientPartnerEvent) -> ClientPartner:
    return decide_client_partner(db, clock, AUDIT, one.id, event, actor="cli")


def test_one_is_kept_as_it_was_registered(db: Database, clock: FrozenClock) -> None:
    partner = a_partner(db, clock)
    made = registered(db, clock, partner)
    assert (made.state, made.details) == (S.PENDING, {"city": "Wien"})
    with db.read() as tx:
        assert get_client_partner(tx, partner.id, Mode.LIVE, made.id) == made
        assert list_client_partners(tx, partner.id, Mode.LIVE) == [made]
        assert list_client_partners(tx, partner.id, Mode.TEST) == []


def test_another_partner_and_the_other_mode_do_not_know_it(db: Database, clock: FrozenClock) -> None:
    partner, other = a_partner(db, clock), a_partner(db, clock)
    made = registered(db, clock, partner)
    for who, mode in ((other, Mode.LIVE), (partner, Mode.TEST)):
        with db.read() as tx, pytest.raises(ClientPartnerNotFound):
            get_client_partner(tx, who.id, mode, made.id)
        with pytest.raises(ClientPartnerNotFound):
            change_client_partner(db, clock, AUDIT, who.id, mode, made.id, name="X", actor="key_2")


TABLE = [
    (S.PENDING, E.APPROVE, S.APPROVED),
    (S.PENDING, E.REJECT, S.REJECTED),
    (S.PENDING, E.REVOKE, None),
    (S.APPROVED, E.APPROVE, None),
    (S.APPROVED, E.REJECT, None),
    (S.APPROVED, E.REVOKE, S.REVOKED),
    *[(state, event, None) for state in (S.REJECTED, S.REVOKED) for event in E],
]
PATHS: dict[ClientPartnerState, tuple[ClientPartnerEvent, ...]] = {
    S.PENDING: (),
    S.APPROVED: (E.APPROVE,),
    S.REJECTED: (E.REJECT,),
    S.REVOKED: (E.APPROVE, E.REVOKE),
}


@pytest.mark.parametrize(("state", "event", "then"), TABLE)
def test_each_event_in_each_state(
    db: Database, clock: FrozenClock, state: ClientPartnerState, event: ClientPartnerEvent, then: ClientPartnerState | None
) -> None:
    made = registered(db, clock, a_partner(db, clock))
    for step in PATHS[state]:
        made = decided(db, clock, made, step)
    if then is not None:
        assert decided(db, clock, made, event).state is then
        return
    with pytest.raises(ClientPartnerEventRefused):
        decided(db, clock, made, event)


def test_of_two_opposite_decisions_at_once_one_holds(db: Database, clock: FrozenClock) -> None:
    made = registered(db, clock, a_partner(db, clock))

    def decide(event: ClientPartnerEvent) -> bool:
        try:
            decided(db, clock, made, event)
        except ClientPartnerEventRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(decide, [E.APPROVE, E.REJECT] * 2)) == 1


def test_a_change_merges_and_keeps_the_state(db: Database, clock: FrozenClock) -> None:
    partner = a_partner(db, clock)
    made = decided(db, clock, registered(db, clock, partner), E.APPROVE)
    details = {"city": None, "phone": "1"}
    new = change_client_partner(db, clock, AUDIT, partner.id, Mode.LIVE, made.id, name="Acme AG", details=details, actor="key_1")
    assert (new.name, new.details, new.state) == ("Acme AG", {"phone": "1"}, S.APPROVED)


def test_each_step_is_in_the_audit_log_without_the_companys_data(db: Database, clock: FrozenClock) -> None:
    partner = a_partner(db, clock)
    made = registered(db, clock, partner)
    change_client_partner(db, clock, AUDIT, partner.id, Mode.LIVE, made.id, details={"phone": "555"}, actor="key_1")
    change_client_partner(db, clock, AUDIT, partner.id, Mode.LIVE, made.id, details={"phone": "555"}, actor="key_1")  # no change
    decided(db, clock, made, E.APPROVE)
    with db.read() as tx:
        rows = list_audit(tx, AuditFilter(subject=made.id)).items
    found = sorted((one.entry.action, one.entry.actor) for one in rows)
    assert found == [
        ("client_partner.changed", "key_1"),
        ("client_partner.decided", "cli"),
        ("client_partner.registered", "key_1"),
    ]
    assert "555" not in str([one.entry.details for one in rows])


@pytest.mark.parametrize(
    "facts", [{"name": " "}, {"name": "a\0"}, {"details": {"city": "x" * 501}}, {"details": {"city": "\0"}},
              {"details": {str(n): "x" for n in range(31)}}]
)  # fmt: skip
def test_what_is_not_valid_is_refused(db: Database, clock: FrozenClock, facts: dict[str, Any]) -> None:
    with pytest.raises(InvalidClientPartner):
        registered(db, clock, a_partner(db, clock), **facts)


def test_a_partner_has_only_so_many(db: Database, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardrail.access.client_partners.CLIENT_PARTNERS_MAX", 1)
    partner = a_partner(db, clock)
    registered(db, clock, partner)
    with pytest.raises(InvalidClientPartner):
        registered(db, clock, partner)
    registered(db, clock, partner, Mode.TEST)
