"""Closing: what is in a statement, what is not, and that it never changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from cardrail.access import PartnerChanges, change_partner
from cardrail.kernel import Mode
from cardrail.ledger import balances
from cardrail.orders import Buyer
from cardrail.settlement import (
    STATEMENT_CHECKS,
    MovementsWaiting,
    PeriodOpen,
    Statement,
    StatementNotFound,
    close_and_tell,
    close_statement,
    draft_statement,
    get_statement,
    list_statements,
    sequence_now,
    set_schedule,
    statement_lines,
)
from cardrail.storage import Finding, events, metadata
from tests.settlement.build import Ledgers, check_file


def live(statements: list[Statement]) -> list[Statement]:
    return [one for one in statements if one.mode is Mode.LIVE]


def findings(ledgers: Ledgers) -> list[Finding]:
    with ledgers.world.db.read() as tx:
        return [found for check in STATEMENT_CHECKS for found in check.run(tx)]


def test_a_month_that_is_over_is_closed_with_the_ledgers_balance(ledgers: Ledgers) -> None:
    ledgers.sell(quantity=2)
    ledgers.until(2026, 2, 1, 1)
    (one,) = live(ledgers.close().closed)
    assert (one.opening_minor, one.closing_minor, one.totals) == (0, 99981000, {"credit": 100000000, "sale": -19000})
    assert (one.period_from, one.period_to) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    assert findings(ledgers) == []


def test_a_line_says_what_was_sold_and_what_is_left(ledgers: Ledgers) -> None:
    order = ledgers.sell(quantity=2, reference="invoice-7")
    ledgers.until(2026, 2, 1, 1)
    (one,) = live(ledgers.close().closed)
    line = ledgers.lines(one)[1]
    assert (line.kind, line.change_minor, line.balance_minor, line.order_id, line.reference) == (
        "sale",
        -19000,
        99981000,
        order.id,
        "invoice-7",
    )
    (item,) = line.items
    assert (item.sku, item.name, item.ordered, item.units, item.unit_price_minor) == (
        order.items[0].sku,
        order.items[0].name,
        2,
        2,
        9500,
    )


def test_the_file_alone_proves_the_statement_and_its_predecessor(ledgers: Ledgers) -> None:
    ledgers.refund(ledgers.sell(quantity=2), 100)
    ledgers.until(2026, 3, 2, 1)
    january, february = live(ledgers.close().closed)
    lines = list(check_file(ledgers.file(january), january.hash))
    assert [one["kind"] for one in lines] == ["credit", "sale", "refund"]
    assert list(check_file(ledgers.file(february), february.hash)) == []
    assert (february.previous_hash, february.opening_minor) == (january.hash, january.closing_minor)


def test_what_commits_late_stands_in_the_next_statement_with_its_own_time(ledgers: Ledgers) -> None:
    ledgers.until(2026, 1, 31, 23, 59)
    ledgers.take("1.00")
    ledgers.until(2026, 2, 1, 0, 5)
    ledgers.take("2.00")
    sequence_now(ledgers.world.db)
    ledgers.until(2026, 1, 31, 23, 58)
    ledgers.take("4.00")  # made before the month's end, sequenced behind something of the next month
    ledgers.until(2026, 2, 1, 1)
    (january,) = live(ledgers.close().closed)
    assert [one.change_minor for one in ledgers.lines(january)] == [100000000, -100]
    ledgers.until(2026, 3, 1, 1)
    (february,) = live(ledgers.close().closed)
    assert [(one.change_minor, one.at[:16]) for one in ledgers.lines(february)] == [
        (-200, "2026-02-01T00:05"),
        (-400, "2026-01-31T23:58"),
    ]


def test_a_period_that_is_not_over_or_ended_just_now_stays_open(ledgers: Ledgers) -> None:
    world = ledgers.world
    for moment in ((2026, 1, 31, 23), (2026, 2, 1, 0, 9)):
        ledgers.until(*moment)
        sequence_now(world.db)
        with pytest.raises(PeriodOpen):
            close_statement(world.db, world.clock, world.audit, world.partner.partner_id, "INR", Mode.LIVE, actor="test")


def test_nothing_is_closed_over_a_movement_without_a_position(ledgers: Ledgers) -> None:
    world = ledgers.world
    with world.db.transaction() as tx:
        tx.execute(sa.update(metadata.tables["transfers"]).values(position=None))
    ledgers.until(2026, 2, 1, 1)
    with pytest.raises(MovementsWaiting):
        close_statement(world.db, world.clock, world.audit, world.partner.partner_id, "INR", Mode.LIVE, actor="test")


def test_a_wallet_that_was_never_used_has_no_statement(ledgers: Ledgers) -> None:
    world = ledgers.world
    with pytest.raises(StatementNotFound):
        close_statement(world.db, world.clock, world.audit, world.partner.partner_id, "EUR", Mode.LIVE, actor="test")


def test_a_wallet_that_cannot_be_closed_keeps_no_other_from_closing(ledgers: Ledgers) -> None:
    world = ledgers.world
    partners = metadata.tables["partners"]
    ids = sorted([world.partner.partner_id, *(world.a_partner("INR", "10.00").partner_id for _ in range(2))])
    with world.db.transaction() as tx:
        tx.execute(sa.update(partners).where(partners.c.id == ids[0]).values(timezone="Mars/Olympus"))
    ledgers.until(2026, 2, 1, 1)
    with capture_logs() as logs:
        done = ledgers.close()
    assert {one.partner_id for one in live(done.closed)} == set(ids[1:])
    (failed,) = [one for one in done.failed if one.subject.endswith("live")]
    assert failed.subject == f"{ids[0]} INR live"
    assert {("error", one.subject) for one in done.failed} == {(one["log_level"], one["wallet"]) for one in logs}


def test_the_chore_says_what_failed_and_tells_the_operator(ledgers: Ledgers) -> None:
    world = ledgers.world
    partners = metadata.tables["partners"]
    with world.db.transaction() as tx:
        tx.execute(sa.update(partners).where(partners.c.id == world.partner.partner_id).values(timezone="Mars/Olympus"))
    world.a_partner("INR", "10.00")
    ledgers.until(2026, 2, 1, 1)
    sequence_now(world.db)
    said = close_and_tell(world.db, ledgers.clock, world.audit)
    with world.db.read() as tx:
        (told,) = tx.execute(sa.select(events.c.data).where(events.c.type == "books.drift")).scalars()
    failed = msgspec.json.decode(told)["findings"]
    assert failed >= 1
    assert said.endswith(f" closed, {failed} failed")


def test_closing_again_closes_nothing_and_tells_nobody_twice(ledgers: Ledgers) -> None:
    ledgers.until(2026, 2, 1, 1)
    (one,) = live(ledgers.close().closed)
    assert ledgers.close().closed == []
    with ledgers.world.db.read() as tx:
        told = tx.execute(sa.select(events).where(events.c.subject_id == one.id)).all()
    assert [row.type for row in told] == ["settlement.closed"]


def test_a_correction_after_closing_goes_into_the_next(ledgers: Ledgers) -> None:
    order = ledgers.sell()
    ledgers.until(2026, 2, 1, 1)
    (january,) = live(ledgers.close().closed)
    before = ledgers.file(january)
    ledgers.refund(order)
    ledgers.until(2026, 3, 1, 1)
    (february,) = live(ledgers.close().closed)
    assert ledgers.file(january) == before
    assert [one.kind for one in ledgers.lines(february)] == ["refund"]


def test_days_and_weeks_are_those_of_the_partners_calendar(ledgers: Ledgers) -> None:
    world = ledgers.world
    change_partner(
        world.db, world.clock, world.audit, world.partner.partner_id, PartnerChanges(timezone="Asia/Kolkata"), actor="test"
    )
    set_schedule(world.db, world.clock, world.audit, world.partner.partner_id, "daily", actor="test")
    ledgers.until(2026, 1, 11, 18, 41)  # 00:11 in Kolkata on the 12th
    days = live(ledgers.close().closed)
    assert [one.period_to for one in days] == [
        datetime(2026, 1, 10, 18, 30, tzinfo=UTC),
        datetime(2026, 1, 11, 18, 30, tzinfo=UTC),
    ]
    set_schedule(world.db, world.clock, world.audit, world.partner.partner_id, "weekly", actor="test")
    ledgers.until(2026, 1, 19, 0)
    (week,) = live(ledgers.close().closed)
    assert (week.period_from, week.period_to) == (days[-1].period_to, datetime(2026, 1, 18, 18, 30, tzinfo=UTC))


def test_a_draft_shows_what_is_there_and_writes_nothing(ledgers: Ledgers) -> None:
    world = ledgers.world
    ledgers.sell()
    sequence_now(world.db)
    draft = draft_statement(world.db, world.clock, world.partner.partner_id, "INR", Mode.LIVE)
    assert (draft.state, draft.closing_minor, draft.movements) == ("draft", 99990500, 2)
    assert list_statements(world.db, world.partner.partner_id, Mode.LIVE).items == []


def test_held_money_moves_no_balance_and_is_shown_beside_it(ledgers: Ledgers) -> None:
    world = ledgers.world
    order = world.order("TEST_PENDING", buyer=buyer_in_test(ledgers))
    ledgers.until(2026, 2, 1, 1)
    (one,) = [found for found in ledgers.close().closed if found.mode is Mode.TEST]
    assert (one.closing_minor, one.closing_held_minor) == (100000000, order.total_minor)
    with world.db.read() as tx:
        (balance,) = balances(tx, world.partner.partner_id, Mode.TEST)
    assert (balance.balance_minor, balance.held_minor) == (one.closing_minor, one.closing_held_minor)


def buyer_in_test(ledgers: Ledgers) -> Buyer:
    return replace(ledgers.world.partner, mode=Mode.TEST)


def test_lines_can_be_turned_page_by_page(ledgers: Ledgers) -> None:
    for _ in range(4):
        ledgers.take("1.00")
    ledgers.until(2026, 2, 1, 1)
    (one,) = live(ledgers.close().closed)
    found, mark = [], None
    while True:
        page, mark = statement_lines(ledgers.world.db, one, after=mark, limit=2)
        found += page
        if mark is None:
            break
    assert found == ledgers.lines(one)
    assert [line.n for line in found] == [1, 2, 3, 4, 5]


def test_another_partners_statement_is_as_unknown_as_none(ledgers: Ledgers) -> None:
    ledgers.until(2026, 2, 1, 1)
    (one,) = live(ledgers.close().closed)
    assert get_statement(ledgers.world.db, one.id, partner_id=one.partner_id).hash == one.hash
    with pytest.raises(StatementNotFound):
        get_statement(ledgers.world.db, one.id, partner_id="par_other")
    with pytest.raises(StatementNotFound):
        get_statement(ledgers.world.db, one.id, partner_id=one.partner_id, mode=Mode.TEST)


@pytest.mark.parametrize(
    ("table", "change", "check"),
    [
        ("statements", {"closing_minor": 1}, "statements"),
        ("statements", {"hash": "0" * 64}, "statements"),
        ("statements", {"opening_minor": 5}, "statement_chains"),
        ("transfers", {"amount_minor": 99}, "statement_chains"),
        ("transfers", {"reference": "other"}, "statements"),
    ],
)
def test_verify_finds_what_was_changed_behind_a_closed_statement(
    ledgers: Ledgers, table: str, change: dict[str, object], check: str
) -> None:
    ledgers.until(2026, 2, 1, 1)
    ledgers.close()
    with ledgers.world.db.transaction() as tx:
        tx.execute(sa.update(metadata.tables[table]).values(change))
    assert check in {one.check for one in findings(ledgers)}
