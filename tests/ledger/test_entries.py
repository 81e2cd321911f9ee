"""A wallet's entries: one for what an order took, one for each refund, one for each movement by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.ledger.build import PARTNER, Desk

from cardrail.kernel import FrozenClock, Mode
from cardrail.ledger import WalletEntry, entries_between, order_entry, slice_entries
from cardrail.ledger.entries import EntryTotals, Kinds
from cardrail.storage import Database

LIVE = Mode.LIVE
Row = tuple[bool, int, str, str]


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db, FrozenClock())


def entries(desk: Desk, **options: object) -> list[WalletEntry]:
    with desk.db.read() as tx:
        found, total = slice_entries(tx, PARTNER, LIVE, **{"offset": 0, "limit": 100} | options)  # type: ignore[arg-type]  # by their names
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


def test_kept_totals_are_those_of_a_count_from_the_beginning_whatever_moved_since(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look makes all that was there old, so each step is seen against what was kept before it."""
    kept, fresh = EntryTotals(settled_millis=0), Kinds()
    desk.credit(10_000)
    order = desk.sell(1_200)
    hold = desk.hold(700)
    other = desk.hold(50)
    steps: list[Callable[[], object]] = [
        lambda: desk.refund(order, 100),
        lambda: desk.post(hold, 300),
        lambda: desk.void(other),
        lambda: desk.clock.advance(seconds=1),
        lambda: desk.refund(order, 50),
        lambda: desk.void(hold),
        lambda: desk.debit(30),
        lambda: desk.sell(10),
    ]
    for step in [lambda: None, *steps]:
        step()
        if step is steps[4]:
            monkeypatch.setattr("cardrail.ledger.entries.MOVED_MAX", 0)  # as where very many moved at once
        with desk.db.read() as tx:
            fresh = +EntryTotals(settled_millis=3_600_000).kinds(tx, PARTNER, LIVE)
            assert +kept.kinds(tx, PARTNER, LIVE) == fresh
        time.sleep(0.002)  # ids of another millisecond
    assert sum(fresh.values()) == len(entries(desk)) == 8
    with desk.db.read() as tx:
        assert kept.count(tx, "par_B", LIVE, None, None, None) == 0


def test_every_page_is_the_same_however_it_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardrail.ledger.entries.PIECE", 3)
    desk.credit(10_000)
    for number in range(3):
        desk.clock.advance(seconds=1)
        order, hold = desk.sell(100 + number), desk.hold(10 + number)
        desk.refund(order, 5)
        if number % 2:
            desk.void(hold)
    filters: list[dict[str, object]] = [
        {"is_credit": side, "state": state} for side, state in ((None, None), (True, None), (False, "pending"), (None, "failed"))
    ]
    for options in filters:
        for descending in (True, False):
            plain = sorted(entries(desk, sort="created_at", **options), key=lambda one: one.id, reverse=descending)
            assert entries(desk, descending=descending, **options) == plain
            with desk.db.read() as tx:
                pages = [
                    slice_entries(tx, PARTNER, LIVE, descending=descending, offset=at, limit=4, **options)[0]  # type: ignore[arg-type]
                    for at in range(0, 12, 4)
                ]
            assert [one for page in pages for one in page] == plain
