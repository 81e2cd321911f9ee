"""Balances now and at a moment, lists of transfers, and what is written beside them."""

from __future__ import annotations

import msgspec
import pytest
from tests.ledger.build import LIVE, PARTNER, Desk

from cardrail.kernel import Mode
from cardrail.ledger import Balance, Purpose, TransferNotFound, balances, get_transfer, list_transfers, platform_balances
from cardrail.storage import Database


def test_a_balance_at_a_moment_is_what_it_was(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1_000)
    first = desk.clock.now()
    desk.clock.advance(hours=1)
    hold = desk.hold(300)
    second = desk.clock.now()
    desk.clock.advance(hours=1)
    desk.post(hold, 100)
    desk.void(hold)
    with db.read() as tx:
        assert balances(tx, PARTNER, LIVE, at=first) == [Balance("EUR", LIVE, 1_000, 0, 0, 0)]
        assert balances(tx, PARTNER, LIVE, at=second) == [Balance("EUR", LIVE, 1_000, 300, 0, 0)]
        assert balances(tx, PARTNER, at=desk.clock.now()) == balances(tx, PARTNER) == [Balance("EUR", LIVE, 900, 0, 0, 0)]


def test_before_a_wallet_was_opened_there_is_no_balance(db: Database) -> None:
    desk = Desk(db)
    before = desk.clock.now()
    desk.clock.advance(seconds=1)
    desk.credit(1)
    with db.read() as tx:
        assert balances(tx, PARTNER, at=before) == []


def test_another_partner_and_another_mode_see_nothing(db: Database) -> None:
    desk = Desk(db)
    made = desk.credit(1).transfer.id
    with db.read() as tx:
        assert balances(tx, "par_B") == []
        assert list_transfers(tx, PARTNER, Mode.TEST).items == []
        assert get_transfer(tx, made, partner_id=PARTNER, mode=LIVE).id == made
        for stranger in ({"partner_id": "par_B"}, {"mode": Mode.TEST}):
            with pytest.raises(TransferNotFound):
                get_transfer(tx, made, **stranger)


def test_transfers_are_listed_newest_first_page_by_page(db: Database) -> None:
    desk = Desk(db)
    made = [desk.credit(amount).transfer.id for amount in range(1, 6)]
    seen, after = [], None
    with db.read() as tx:
        while True:
            page = list_transfers(tx, PARTNER, LIVE, after=after, limit=2)
            seen += [one.id for one in page.items]
            if page.after is None:
                break
            after = page.after
    assert seen == made[::-1]


def test_transfers_are_listed_between_two_moments(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1)
    desk.clock.advance(hours=1)
    since = desk.clock.now()
    desk.credit(2)
    desk.clock.advance(hours=1)
    desk.credit(3)
    with db.read() as tx:
        found = list_transfers(tx, PARTNER, LIVE, currency="EUR", since=since, until=desk.clock.now())
        assert list_transfers(tx, PARTNER, LIVE, currency="USD").items == []
    assert [one.amount_minor for one in found.items] == [2]


def test_each_transfer_says_the_balance_after_it_and_what_it_changed(db: Database) -> None:
    desk = Desk(db)
    desk.credit(500)
    desk.debit(120)
    with db.read() as tx:
        found = list_transfers(tx, PARTNER, LIVE).items
    assert [(one.wallet_change_minor, one.wallet_after_minor) for one in found] == [(-120, 380), (500, 500)]


def test_platform_balances_are_sums_over_the_nodes(db: Database) -> None:
    desk = Desk(db)
    desk.credit(500)
    desk.sell(200)
    with db.read() as tx:
        found = {one.purpose: one.balance_minor for one in platform_balances(tx)}
    assert found == {Purpose.BANK: 500, Purpose.SALES: -200}


def test_a_credit_leaves_an_event_and_an_audit_row(db: Database) -> None:
    desk = Desk(db)
    made = desk.credit(500, "line 7").transfer
    desk.reverse(made.id)
    desk.limit(5)
    with db.read() as tx:
        told = tx.exec_driver_sql("SELECT type, subject_seq, reason FROM events ORDER BY subject_seq").all()
        audited = tx.exec_driver_sql("SELECT action, partner_id, details FROM audit ORDER BY seq").all()
    assert [tuple(row) for row in told] == [
        ("balance.credited", 1, None),
        ("balance.debited", 2, "reversal"),
        ("balance.credit_limit_changed", 3, None),
    ]
    assert [row[0] for row in audited] == ["ledger.credited", "ledger.reversed", "ledger.limit_set"]
    assert msgspec.json.decode(audited[0][2])["reference"] == "line 7"
