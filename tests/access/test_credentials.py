"""Credentials of other dialects: made once, sealed or hashed, looked up by login, ended like any key."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag

from cardrail.access import (
    ALL_SCOPES,
    KINDS,
    CredentialBook,
    InvalidKey,
    InvalidKeyRequest,
    Issued,
    KeyCache,
    KeyNotValid,
    KeyRevoked,
    SecretSealer,
    UnknownDialect,
    create_credential,
    create_partner,
    list_keys,
    revoke_key,
    rotate_key,
)
from cardrail.kernel import FrozenClock, Mode, Secret
from cardrail.storage import AuditLog, Database, metadata

AUDIT = AuditLog(b"a" * 32, "test")
SEALER = SecretSealer(b"s" * 32)


class Desk:
    """One partner, and what authenticates him."""

    def __init__(self, db: Database) -> None:
        self.db, self.clock = db, FrozenClock()
        self.partner = create_partner(db, self.clock, AUDIT, name="A", currency="EUR", actor="test").id
        self.keys = KeyCache(db, self.clock)
        self.book = CredentialBook(db, SEALER, self.keys)

    def issue(self, dialect: str, mode: Mode = Mode.LIVE, **options: Any) -> Issued:
        made = create_credential(
            self.db, self.clock, AUDIT, SEALER, self.partner, mode, dialect, name="x", scopes=ALL_SCOPES, actor="test", **options
        )
        self.keys.refresh()
        return made


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db)


@pytest.mark.parametrize("dialect", sorted(KINDS))
def test_each_kind_is_issued_with_its_own_parts_and_none_is_kept_in_clear(desk: Desk, dialect: str) -> None:
    kind, issued = KINDS[dialect], desk.issue(dialect)
    parts = {kind.token, kind.login, kind.password, kind.secret, kind.signing_secret} - {None}
    assert set(issued.fields) == parts
    with desk.db.read() as tx:
        kept = " ".join([repr(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables])
    for name, secret in issued.fields.items():
        assert (secret.reveal() in kept) == (name == kind.login)
        assert secret.reveal() not in repr(issued)


def test_a_token_of_a_dialect_is_its_keys_principal(desk: Desk) -> None:
    issued = desk.issue("oneclickdz", Mode.TEST, requests_per_minute=5)
    principal = desk.keys.load(issued.fields["api_key"].reveal(), None, is_own=False)
    assert (principal.api_key_id, principal.mode, principal.dialect) == (issued.key.id, Mode.TEST, "oneclickdz")
    assert principal.requests_per_minute == 5


def test_a_login_leads_to_its_sealed_secrets(desk: Desk) -> None:
    issued = desk.issue("starship")
    login = issued.fields["username"].reveal()
    assert desk.book.lookup("starship", login) is None
    found = desk.book.load("starship", login)
    assert (found.secret, found.signing_secret) == (issued.fields["api_secret"], issued.fields["signing_secret"])
    assert desk.book.lookup("starship", login) is found
    assert desk.book.load_key(issued.key.id).login == login


def test_a_password_is_the_right_one_or_not(desk: Desk) -> None:
    issued = desk.issue("starship")
    found = desk.book.load("starship", issued.fields["username"].reveal())
    assert found.has_password(issued.fields["password"].reveal())
    assert not found.has_password("guess")


def test_a_login_of_another_dialect_is_unknown(desk: Desk) -> None:
    login = desk.issue("finperks").fields["client_id"].reveal()
    with pytest.raises(InvalidKey):
        desk.book.load("starship", login)


def test_what_changes_access_is_forgotten_at_once(desk: Desk) -> None:
    issued = desk.issue("finperks")
    login = issued.fields["client_id"].reveal()
    desk.book.load("finperks", login)
    revoke_key(desk.db, desk.clock, AUDIT, issued.key.id, actor="test")
    desk.keys.refresh()
    assert desk.book.lookup("finperks", login) is None
    with pytest.raises(KeyRevoked):
        desk.keys.load_id(issued.key.id, None)


def test_its_key_is_listed_with_its_dialect_and_cannot_be_rotated_in_place(desk: Desk) -> None:
    issued = desk.issue("finperks")
    with desk.db.read() as tx:
        assert [one.dialect for one in list_keys(tx, desk.partner)] == ["finperks"]
    with pytest.raises(KeyNotValid):
        rotate_key(desk.db, desk.clock, AUDIT, issued.key.id, actor="test")


def test_two_of_each_dialect_are_valid_at_a_time(desk: Desk) -> None:
    for dialect in KINDS:
        first, second = desk.issue(dialect), desk.issue(dialect)
        assert first.key.id != second.key.id


def test_an_unknown_dialect_and_a_negative_limit_are_refused(desk: Desk) -> None:
    with pytest.raises(UnknownDialect):
        desk.issue("nobody")
    with pytest.raises(InvalidKeyRequest):
        desk.issue("oneclickdz", requests_per_minute=-1)


def test_a_sealed_secret_opens_only_where_it_belongs() -> None:
    sealed = SEALER.seal(Secret("hush"), "key_1", "client_secret")
    assert SEALER.open(sealed, "key_1", "client_secret") == Secret("hush")
    for owner, name, sealer in (
        ("key_2", "client_secret", SEALER),
        ("key_1", "other", SEALER),
        ("key_1", "client_secret", SecretSealer(b"t" * 32)),
    ):
        with pytest.raises(InvalidTag):
            sealer.open(sealed, owner, name)
