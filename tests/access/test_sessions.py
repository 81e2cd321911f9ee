"""Sessions: a refresh token is good once, and a copy that is used later ends the session of both."""

from __future__ import annotations

from datetime import timedelta

import jwt
import pytest

from cardrail.access import (
    ACCESS,
    ALL_SCOPES,
    REFRESH,
    AccessTokens,
    InvalidAccessToken,
    KeyCache,
    Lifetimes,
    Sessions,
    SessionTokens,
    create_key,
    create_partner,
)
from cardrail.kernel import FrozenClock, Mode
from cardrail.storage import AuditFilter, AuditLog, Database, list_audit

KEY = b"k" * 32
LIVES = Lifetimes(timedelta(hours=1), timedelta(days=7))


class Desk:
    """A key that sessions are opened with."""

    def __init__(self, db: Database) -> None:
        self.db, self.clock = db, FrozenClock()
        self.audit = AuditLog(b"a" * 32, "main/tasks")
        self.partner = create_partner(db, self.clock, self.audit, name="P", currency="INR", actor="test")
        self.key, self.token = create_key(
            db, self.clock, self.audit, self.partner.id, Mode.LIVE, name="k", scopes=ALL_SCOPES, actor="test"
        )
        self.sessions = Sessions(db, self.clock, KEY)

    def open(self) -> SessionTokens:
        return self.sessions.open(self.audit, self.key.id, self.partner.id, "starship", LIVES, None)

    def renew(self, tokens: SessionTokens) -> SessionTokens | None:
        proof = self.sessions.verify(tokens.refresh.reveal(), "starship", REFRESH)
        return self.sessions.renew(self.audit, proof, self.partner.id, "starship", LIVES, None)

    def stands(self, tokens: SessionTokens, sessions: Sessions | None = None) -> bool:
        """Whether an access token is good, as another process sees it."""
        proof = (sessions or self.sessions).verify(tokens.access.reveal(), "starship", ACCESS)
        return Sessions(self.db, self.clock, KEY).look(proof.session_id)

    def actions(self) -> list[str]:
        with self.db.read() as tx:
            return [one.entry.action for one in list_audit(tx, AuditFilter()).items if one.entry.action.startswith("session.")]


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db)


def test_a_refresh_token_is_exchanged_for_the_next_pair(desk: Desk) -> None:
    first = desk.open()
    second = desk.renew(first)
    assert second is not None
    assert second.refresh != first.refresh
    assert desk.stands(first)
    assert desk.stands(second)
    assert desk.renew(second) is not None


def test_a_refresh_token_that_is_used_twice_ends_the_session_of_thief_and_owner(desk: Desk) -> None:
    first = desk.open()
    second = desk.renew(first)
    assert second is not None
    assert desk.renew(first) is None
    assert not desk.stands(second)
    assert desk.renew(second) is None
    assert desk.actions() == ["session.reused", "session.opened"]


def test_another_session_of_the_same_key_is_not_touched_by_that(desk: Desk) -> None:
    first, other = desk.open(), desk.open()
    desk.renew(first)
    desk.renew(first)
    assert desk.stands(other)


def test_logging_out_ends_every_session_of_the_key_at_once(desk: Desk) -> None:
    first, other = desk.open(), desk.open()
    session = desk.sessions.verify(first.access.reveal(), "starship", ACCESS).session_id
    assert desk.sessions.look(session)
    assert desk.sessions.is_open(session)
    assert desk.sessions.end_all(desk.audit, desk.key.id, desk.partner.id, None) == 2
    assert desk.sessions.is_open(session) is False
    assert not desk.stands(first)
    assert not desk.stands(other)
    assert desk.renew(other) is None


def test_tokens_end_with_their_time(desk: Desk) -> None:
    tokens = desk.open()
    assert desk.sessions.verify(tokens.access.reveal(), "starship", ACCESS)
    desk.clock.advance(hours=1)
    with pytest.raises(InvalidAccessToken):
        desk.sessions.verify(tokens.access.reveal(), "starship", ACCESS)
    assert desk.renew(tokens) is not None
    desk.clock.advance(days=7)
    with pytest.raises(InvalidAccessToken):
        desk.sessions.verify(tokens.refresh.reveal(), "starship", REFRESH)


def test_an_opening_forgets_what_is_over(desk: Desk) -> None:
    old = desk.open()
    session = desk.sessions.verify(old.access.reveal(), "starship", ACCESS).session_id
    desk.clock.advance(days=8)
    desk.open()
    assert Sessions(desk.db, desk.clock, KEY).look(session) is False


@pytest.mark.parametrize(("audience", "use"), [("other", ACCESS), ("starship", REFRESH)])
def test_a_token_is_good_for_its_own_audience_and_use_only(desk: Desk, audience: str, use: str) -> None:
    tokens = desk.open()
    assert desk.sessions.verify(tokens.access.reveal(), "starship", ACCESS)  # and is not remembered for another
    with pytest.raises(InvalidAccessToken):
        desk.sessions.verify(tokens.access.reveal(), audience, use)


def test_it_is_no_token_of_the_native_api_nor_the_other_way_round(desk: Desk) -> None:
    keys = KeyCache(desk.db, desk.clock)
    native = AccessTokens(KEY, desk.clock, keys)
    with pytest.raises(InvalidAccessToken):
        native.verify_jwt(desk.open().access.reveal())
    issued = native.issue_jwt(keys.load(desk.token.reveal(), None), timedelta(minutes=5))
    with pytest.raises(InvalidAccessToken):
        desk.sessions.verify(issued.reveal(), "starship", ACCESS)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\udc80.b.c", "é.é.é"])
def test_what_is_no_token_is_refused(desk: Desk, token: str) -> None:
    with pytest.raises(InvalidAccessToken):
        desk.sessions.verify(token, "starship", ACCESS)


def test_a_token_without_a_signature_or_of_another_key_is_refused(desk: Desk) -> None:
    claims = jwt.decode(desk.open().access.reveal(), options={"verify_signature": False})
    for forged in (jwt.encode(claims, "", algorithm="none"), jwt.encode(claims, b"x" * 32, algorithm="HS256")):
        with pytest.raises(InvalidAccessToken):
            desk.sessions.verify(forged, "starship", ACCESS)


def test_a_short_key_is_refused(db: Database) -> None:
    with pytest.raises(ValueError, match="too short"):
        Sessions(db, FrozenClock(), b"short")
