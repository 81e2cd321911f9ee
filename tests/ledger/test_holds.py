"""Money set aside: several posts, several voids, and a deadline that frees nothing."""

from __future__ import annotations

import msgspec
import pytest
from tests.ledger.build import LIVE, NODE, PARTNER, SALES, WALLET, Desk

from cardrail.kernel import HoldId, new_id, new_order_id, to_micros
from cardrail.ledger import (
    HoldExceeded,
    NewHold,
    Phase,
    Purpose,
    TransferPurpose,
    WalletOverdrawn,
    load_order_holds,
    load_order_transfers,
    overdue_holds,
    place_holds,
    platform,
    void_hold,
)
from cardrail.storage import Database


def test_three_suppliers_make_three_posts_and_the_rest_is_voided(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1_000)
    hold = desk.hold(900)
    for amount in (100, 200, 300):
        desk.post(hold, amount)
    desk.void(hold)
    assert desk.figures() == (400, 400, 0)
    assert desk.findings() == []


def test_a_post_may_earn_fees_and_tax_too(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1_000)
    hold = desk.hold(120)
    desk.post(hold, 100)
    desk.post(hold, 20, credit=platform(Purpose.TAX, "EUR", LIVE, NODE))
    assert desk.figures() == (880, 880, 0)
    assert desk.findings() == []


def test_nothing_is_left_to_void_of_a_hold_that_was_posted_wholly(db: Database) -> None:
    desk = Desk(db)
    desk.credit(100)
    hold = desk.hold(100)
    desk.post(hold, 100)
    assert desk.do(lambda tx: void_hold(tx, hold, now=desk.clock.now())) is None
    with pytest.raises(HoldExceeded):
        desk.post(hold, 1)


def test_a_void_repays_debt_first(db: Database) -> None:
    desk = Desk(db)
    desk.credit(100)
    hold = desk.hold(100)
    desk.debit(30, allow_debt=True)
    assert desk.figures() == (70, -30, 30)
    desk.void(hold)
    assert desk.figures() == (70, 70, 0)


def test_holds_of_one_batch_are_taken_together_or_not_at_all(db: Database) -> None:
    desk = Desk(db)
    desk.credit(100)
    now = to_micros(desk.clock.now())
    rows = [
        NewHold(HoldId(new_id("hld")), WALLET, SALES, "EUR", LIVE, 60, PARTNER, new_order_id(), line, now, now) for line in (1, 2)
    ]
    with pytest.raises(WalletOverdrawn):
        desk.do(lambda tx: place_holds(tx, rows))
    assert (desk.figures(), desk.count("holds")) == ((100, 100, 0), 0)


def test_an_order_finds_its_holds_and_its_transfers(db: Database) -> None:
    desk = Desk(db)
    desk.credit(100)
    hold = desk.hold(60)
    desk.post(hold, 20)
    desk.void(hold)
    with db.read() as tx:
        order = tx.exec_driver_sql("SELECT order_id FROM holds").scalar_one()
        (found,) = load_order_holds(tx, order)
        moved = [(one.phase, one.purpose, one.amount_minor, one.hold_id) for one in load_order_transfers(tx, order)]
    assert (found.posted_minor, found.voided_minor, found.rest_minor) == (20, 40, 0)
    assert moved == [
        (Phase.PENDING, TransferPurpose.HOLD, 60, hold),
        (Phase.POSTED, TransferPurpose.SALE, 20, hold),
        (Phase.VOID, TransferPurpose.VOID, 40, hold),
    ]


def test_a_deadline_tells_once_and_frees_nothing(db: Database) -> None:
    desk = Desk(db)
    desk.credit(100)
    hold, ended = desk.hold(60, hours=1), desk.hold(10, hours=1)
    desk.void(ended)
    assert desk.do(lambda tx: overdue_holds(tx, desk.clock.now())) == []
    desk.clock.advance(hours=1)
    assert [one.id for one in desk.do(lambda tx: overdue_holds(tx, desk.clock.now()))] == [hold]
    assert desk.do(lambda tx: overdue_holds(tx, desk.clock.now())) == []
    with db.read() as tx:
        kind, data = tx.exec_driver_sql("SELECT type, data FROM events WHERE subject_id = '" + hold + "'").one()
    assert (kind, msgspec.json.decode(data)["rest_minor"]) == ("hold.overdue", 60)
    assert desk.figures() == (100, 40, 0)
