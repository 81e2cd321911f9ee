"""Making, rotating and revoking API keys."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.access.build import AUDIT, a_key, a_partner

from cardrail.access import (
    ALL_SCOPES,
    SCOPES,
    InvalidKey,
    InvalidKeyRequest,
    InvalidNetwork,
    KeyNotFound,
    KeyNotValid,
    PartnerNotFound,
    TooManyKeys,
    UnknownScope,
    check_token,
    list_keys,
    new_token,
    revoke_key,
    rotate_key,
)
from cardrail.access.tables import api_keys
from cardrail.access.tokens import _checksum
from cardrail.kernel import ApiKeyId, CardrailError, FrozenClock, Mode, PartnerId
from cardrail.storage import AuditFilter, Database, list_audit, read_version


def actions(db: Database, subject: str) -> list[str]:
    with db.read() as tx:
        return [row.entry.action for row in list_audit(tx, AuditFilter(subject=subject)).items]


def version(db: Database) -> int:
    with db.read() as tx:
        return read_version(tx, "access")


@pytest.mark.parametrize("mode", list(Mode))
def test_a_token_says_its_mode_and_checks_itself(mode: Mode) -> None:
    token = new_token(mode).reveal()
    assert token.startswith(f"cr_{mode.value}_")
    assert check_token(token) is mode


def test_any_one_character_mistyped_is_refused_without_a_look_up() -> None:
    token = "cr_live_0123456789ABCDEFGHJKMNPQRSTVWXYZ0123" + _checksum("cr_live_0123456789ABCDEFGHJKMNPQRSTVWXYZ0123")
    check_token(token)
    for place in range(8, len(token)):
        for typo in set("0Z") - {token[place]}:
            with pytest.raises(InvalidKey):
                check_token(token[:place] + typo + token[place + 1 :])


@pytest.mark.parametrize("token", ["", "cr_live_", "cr_live_" + "0" * 40, "Bearer x", "cr_tost_" + "0" * 40, "\ud800", "é" * 48])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidKey):
        check_token(token)


def test_tokens_do_not_repeat() -> None:
    assert len({new_token(Mode.LIVE).reveal() for _ in range(1_000)}) == 1_000


def test_a_token_is_kept_nowhere_but_its_hash(db: Database) -> None:
    clock = FrozenClock()
    key, token = a_key(db, clock, a_partner(db, clock))
    with db.read() as tx:
        row = tx.execute(sa.select(api_keys)).one()
        audit = list_audit(tx, AuditFilter()).items
    assert token not in f"{row} {audit}"
    assert token[8:-4] not in f"{row} {audit}"
    assert key.hint == token[-4:]


def test_a_new_key_is_listed_and_audited_and_moves_the_version(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    before = version(db)
    key, _ = a_key(db, clock, partner, scopes=["orders:read"], networks=["192.0.2.7", "2001:db8::/32"])
    with db.read() as tx:
        assert list_keys(tx, partner.id) == [key]
    assert (set(key.scopes), key.networks) == ({"orders:read"}, ("192.0.2.7/32", "2001:db8::/32"))
    assert actions(db, key.id) == ["key.created"]
    assert version(db) == before + 1


REFUSALS: list[tuple[dict[str, Any], type[CardrailError]]] = [
    ({"scopes": ["orders:destroy"]}, UnknownScope),
    ({"scopes": []}, InvalidKeyRequest),
    ({"name": "  "}, InvalidKeyRequest),
    ({"name": "a\nb"}, InvalidKeyRequest),
    ({"name": "x" * 201}, InvalidKeyRequest),
    ({"networks": ["10.0.0.5/8"]}, InvalidNetwork),
    ({"networks": ["everywhere"]}, InvalidNetwork),
    ({"expires_at": FrozenClock().now()}, InvalidKeyRequest),
]


@pytest.mark.parametrize(("facts", "error"), REFUSALS)
def test_a_key_that_makes_no_sense_is_refused_and_nothing_is_written(
    db: Database, facts: dict[str, Any], error: type[CardrailError]
) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    before = version(db)
    with pytest.raises(error):
        a_key(db, clock, partner, **facts)
    with db.read() as tx:
        assert list_keys(tx, partner.id) == []
    assert version(db) == before


def test_a_key_for_nobody_is_refused(db: Database) -> None:
    nobody = replace(a_partner(db, FrozenClock()), id=PartnerId("par_0"))
    with pytest.raises(PartnerNotFound):
        a_key(db, FrozenClock(), nobody)


def test_two_keys_overlap_and_a_third_waits_for_a_revocation(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    first, _ = a_key(db, clock, partner)
    a_key(db, clock, partner)
    with pytest.raises(TooManyKeys):
        a_key(db, clock, partner)
    a_key(db, clock, partner, Mode.TEST)
    revoke_key(db, clock, AUDIT, first.id, actor="cli")
    a_key(db, clock, partner)
    with db.read() as tx:
        assert len(list_keys(tx, partner.id)) == 4


def test_an_expired_key_makes_room(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    for _ in range(2):
        a_key(db, clock, partner, expires_at=clock.now() + timedelta(hours=1))
    clock.advance(hours=1)
    a_key(db, clock, partner)


def test_keys_made_at_the_same_moment_are_two_at_most(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    refused: list[Exception] = []

    def work() -> None:
        try:
            a_key(db, clock, partner)
        except TooManyKeys as error:
            refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as tx:
        assert len(list_keys(tx, partner.id)) == 2
    assert len(refused) == 4


def test_a_rotated_key_goes_on_for_the_overlap_and_its_successor_is_alike(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    lifetime = timedelta(days=90)
    old, _ = a_key(db, clock, partner, scopes=["orders:read"], networks=["192.0.2.0/24"], expires_at=clock.now() + lifetime)
    clock.advance(days=10)
    new, token = rotate_key(db, clock, AUDIT, old.id, overlap=timedelta(hours=2), actor="cli")
    with db.read() as tx:
        kept_old, kept_new = list_keys(tx, partner.id)
    assert (new.scopes, new.networks, new.mode, new.name) == (old.scopes, old.networks, old.mode, old.name)
    assert new.expires_at == clock.now() + lifetime
    assert kept_old.expires_at == clock.now() + timedelta(hours=2)
    assert kept_new == new
    assert check_token(token.reveal()) is Mode.LIVE
    assert actions(db, old.id) == ["key.rotated", "key.created"]


def test_an_overlap_never_makes_a_key_live_longer(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    old, _ = a_key(db, clock, partner, expires_at=clock.now() + timedelta(hours=1))
    rotate_key(db, clock, AUDIT, old.id, overlap=timedelta(days=1), actor="cli")
    with db.read() as tx:
        assert list_keys(tx, partner.id)[0].expires_at == old.expires_at


def test_a_key_under_rotation_cannot_be_rotated_again(db: Database) -> None:
    clock = FrozenClock()
    old, _ = a_key(db, clock, a_partner(db, clock))
    rotate_key(db, clock, AUDIT, old.id, actor="cli")
    with pytest.raises(TooManyKeys):
        rotate_key(db, clock, AUDIT, old.id, actor="cli")


def test_a_revoked_key_cannot_be_rotated_and_stays_revoked(db: Database) -> None:
    clock = FrozenClock()
    key, _ = a_key(db, clock, a_partner(db, clock))
    revoked = revoke_key(db, clock, AUDIT, key.id, actor="cli")
    clock.advance(hours=1)
    assert revoke_key(db, clock, AUDIT, key.id, actor="cli") == revoked
    with pytest.raises(KeyNotValid):
        rotate_key(db, clock, AUDIT, key.id, actor="cli")
    assert actions(db, key.id) == ["key.revoked", "key.created"]


def test_a_key_that_does_not_exist_is_neither_rotated_nor_revoked(db: Database) -> None:
    for use_case in (rotate_key, revoke_key):
        with pytest.raises(KeyNotFound):
            use_case(db, FrozenClock(), AUDIT, ApiKeyId("key_0"), actor="cli")


def test_every_scope_has_its_sentence() -> None:
    assert all(sentence.endswith(".") for sentence in SCOPES.values())
    assert SCOPES.keys() == ALL_SCOPES
