"""A wallet's entries: one for what an order took, one for each refund, one for each movement by hand."""

from __future__ import annotations

import pytest
from tests.ledger.build import PARTNER, Desk

from cardrail.kernel import FrozenClock, Mode
from cardrail.ledger import WalletEntry, entries_between, order_entry, slice_entries
from cardrail.storage import Database

LIVE = Mode.LIVE
Row = tuple[bool, int, str, str]


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db, FrozenClock())


def entries(desk: Desk, **options: object) -> list[WalletEntry]:
    with desk.db.read() as tx:
        found, total = slice_entries(tx, PARTNER, LIVE, **{"offset": 0, "limit": 100} | options)  # type: ignore[arg-type]
    assert total == len(found)
    return found


def rows(desk: Desk, **options: object) -> list[Row]:
    """(is credit, amount, state, purpose), newest first."""
    return [(one.is_credit, one.amount_minor, one.state, one.purpose) for one in entries(desk, **options)]


def test_money_by_hand_is_an_entry_each(desk: Desk) -> None:
    desk.credit(1_000)
    desk.debit(300)
    assert rows(desk) == [(False, 300, "completed", "debit"), (True, 1_000, "completed", "credit")]


def test_an_order_is_one_entry_with_its_number_kept(desk: Desk) -> None:
    desk.credit(1_000)
    order = desk.sell(250)
    (sale, _) = entries(desk)
    assert (sale.order_id, sale.amount_minor, sale.state, sale.is_credit) == (order, 250, "completed", False)
    with desk.db.read() as tx:
        assert order_entry(tx, PARTNER, LIVE, order) == sale
        assert order_entry(tx, "par_B", LIVE, order) is None
        assert order_entry(tx, PARTNER, Mode.TEST, order) is None


def test_held_money_is_pending_until_it_is_posted_or_given_back(desk: Desk) -> None:
    desk.credit(1_000)
    hold = desk.hold(400)
    assert rows(desk)[0] == (False, 400, "pending", "sale")
    desk.post(hold, 150)
    assert rows(desk)[0] == (False, 400, "pending", "sale")
    desk.void(hold)
    assert rows(desk)[0] == (False, 150, "completed", "sale")
    other = desk.hold(200)
    desk.void(other)
    assert rows(desk)[0] == (False, 200, "failed", "sale")


def test_the_parts_of_a_refund_are_one_entry_and_two_refunds_are_two(desk: Desk) -> None:
    desk.credit(1_000)
    order = desk.sell(500)
    desk.clock.advance(seconds=1)
    desk.refund(order, 100)
    desk.clock.advance(seconds=1)
    desk.refund(order, 50)
    assert rows(desk, is_credit=True)[:2] == [(True, 50, "completed", "refund"), (True, 100, "completed", "refund")]


def test_entries_are_narrowed_sorted_and_paged(desk: Desk) -> None:
    desk.credit(1_000)
    desk.sell(300)
    desk.sell(100)
    hold = desk.hold(200)
    assert [one.amount_minor for one in entries(desk, sort="amount", descending=False)] == [100, 200, 300, 1_000]
    assert [one.amount_minor for one in entries(desk, is_credit=False, state="completed")] == [100, 300]
    assert [one.amount_minor for one in entries(desk, state="pending")] == [200]
    assert entries(desk, currency="USD") == []
    with desk.db.read() as tx:
        page, total = slice_entries(tx, PARTNER, LIVE, offset=1, limit=2)
        beyond = slice_entries(tx, PARTNER, LIVE, offset=9, limit=2)
    assert (total, [one.amount_minor for one in page]) == (4, [100, 300])
    assert beyond == ([], 4)
    desk.void(hold)


def test_the_entries_add_up_to_what_may_be_spent(desk: Desk) -> None:
    desk.credit(5_000)
    order = desk.sell(1_200)
    desk.refund(order, 200)
    hold = desk.hold(700)
    desk.post(hold, 300)
    desk.void(desk.hold(50))
    moved = sum([one.amount_minor * (1 if one.is_credit else -1) for one in entries(desk) if one.state != "failed"])
    wallet = desk.wallet()
    assert wallet is not None
    assert moved == wallet.available


def test_an_entry_that_is_no_orders_is_found_by_the_range_of_its_id(desk: Desk) -> None:
    desk.credit(1_000)
    order = desk.sell(500)
    desk.refund(order, 100)
    with desk.db.read() as tx:
        for one in entries(desk):
            found = entries_between(tx, PARTNER, LIVE, one.id, one.id + "~")
            assert found == ([] if one.purpose == "sale" else [one])
            assert entries_between(tx, "par_B", LIVE, one.id, one.id + "~") == []
