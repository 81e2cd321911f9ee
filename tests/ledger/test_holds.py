"""Money set aside: several posts, several voids, and a deadline that frees nothing."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa
from tests.ledger.build import LIVE, NODE, PARTNER, SALES, WALLET, Desk

from cardrail.kernel import HoldId, new_id, new_order_id, to_micros
from cardrail.ledger import (
    HoldExceeded,
    NewHold,
    Phase,
    Postings,
    Purpose,
    TransferPurpose,
    WalletOverdrawn,
    load_order_holds,
    load_order_transfers,
    load_wallets,
    overdue_holds,
    place_holds,
    platform,
    supplier_account,
    void_hold,
)
from cardrail.storage import Database, Tx


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


# --- many at once -----------------------------------------------------------------------------------------------------------


def test_postings_of_many_holds_are_what_each_alone_would_be(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1_000)
    first, second = desk.hold(300), desk.hold(200)
    tax, supplier = platform(Purpose.TAX, "EUR", LIVE, NODE), supplier_account("sup_A", "EUR", LIVE)

    def post(tx: Tx) -> None:
        postings = Postings.of(tx, load_wallets(tx, [WALLET]), [first, second])
        for hold, amount, credit in ((first, 100, None), (second, 150, None), (first, 20, tax), (first, 80, None)):
            postings.post_hold(hold, amount, now=desk.clock.now(), credit=credit)
        facts = {"currency": "EUR", "mode": LIVE, "node": NODE, "purpose": TransferPurpose.PURCHASE, "now": desk.clock.now()}
        postings.book(debit=Purpose.COST_OF_GOODS, credit=supplier, amount_minor=70, **facts)  # type: ignore[arg-type]
        postings.write()
        postings.write()  # there is nothing left to write

    desk.do(post)
    assert desk.figures() == (650, 500, 0)
    assert desk.findings() == []
    with db.read() as tx:
        after = tx.execute(
            sa.text("SELECT wallet_after_minor FROM transfers WHERE phase = 'posted' AND hold_id IS NOT NULL ORDER BY id")
        )
        assert list(after.scalars()) == [900, 750, 730, 650]


def test_postings_take_no_more_than_a_hold_has(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1_000)
    hold = desk.hold(100)

    def post(tx: Tx, amount: int) -> None:
        postings = Postings.of(tx, load_wallets(tx, [WALLET]), [hold])
        postings.post_hold(hold, 60, now=desk.clock.now())
        postings.post_hold(hold, amount, now=desk.clock.now())
        postings.write()

    with pytest.raises(HoldExceeded):
        desk.do(lambda tx: post(tx, 41))
    assert desk.figures() == (1_000, 900, 0)
    desk.do(lambda tx: post(tx, 40))
    assert desk.figures() == (900, 900, 0)
