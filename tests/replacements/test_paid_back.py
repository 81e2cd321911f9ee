"""Refunds and claims meet: a unit is paid back once, by whichever of them, and has no other code once it is."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cardrail.kernel import from_micros
from cardrail.orders import (
    CodeAt,
    InvalidTransition,
    NothingToReplaceWith,
    Order,
    OrderError,
    RefundTooLarge,
    ReplacementDecision,
    ReplacementPolicy,
    ReplacementState,
    UnitRefunded,
    find_replacements,
    invalidate_order,
    refund_order,
    wake_replacements,
)
from cardrail.storage import Journal, JournalReading, journal_files, read_journal
from tests.build import POLICY
from tests.replacements.build import NODE, Claims

S, D = ReplacementState, ReplacementDecision


def pay_back(shop: Claims, order: Order, *positions: int, amount: int | None = None, **wish: Any) -> Order:
    units = [CodeAt(1, one) for one in positions]
    facts: dict[str, Any] = {"node": NODE, "because": "goodwill", "actor": "cli", "units": units, **wish}
    return refund_order(shop.db, shop.clock, shop.audit, order.id, amount, **facts)


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """What the jobs came to, done at the same moment; a refusal is its type."""
    start, came = threading.Barrier(len(jobs)), []

    def one(job: Callable[[], Any]) -> None:
        start.wait()
        try:
            came.append(job())
        except Exception as error:
            came.append(type(error))

    threads = [threading.Thread(target=one, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_a_unit_that_was_refunded_is_not_claimed_and_its_neighbours_are(shop: Claims) -> None:
    shop.policy = ReplacementPolicy(unasked="stock")
    shop.stock("TEA", 4)
    order = shop.sold("TEA", 3)
    pay_back(shop, order, 2)
    with pytest.raises(UnitRefunded):
        shop.claim(order, 1, 2)
    assert (shop.settle(shop.claim(order, 1)).state, shop.in_stock("TEA"), shop.findings()) == (S.REPLACED, 0, [])


def test_a_claim_ends_when_its_unit_is_refunded(shop: Claims) -> None:
    shop.stock("TEA", 4)
    order = shop.sold("TEA", 2)
    first, second = shop.claim(order, 1), shop.claim(order, 2)
    pay_back(shop, order, 1)
    assert (shop.now(first).because, shop.now(second).is_open) == ("it was paid back", True)
    with pytest.raises(InvalidTransition):
        shop.decide(first, D.REFUND)
    assert (shop.balance(), shop.findings()) == ("999905.00", [])


def test_a_unit_that_a_claim_paid_back_is_not_refunded_again(shop: Claims) -> None:
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    shop.decide(shop.claim(order, 2), D.REFUND)
    with pytest.raises(UnitRefunded):
        pay_back(shop, order, 2)
    assert pay_back(shop, order, quantity=1).items[0].refunded == (1, 2)
    for again in ({"quantity": 1}, {"amount": 9_500}, {"amount": None}):
        with pytest.raises(RefundTooLarge):
            pay_back(shop, order, **again)
    assert (shop.balance(), shop.findings()) == ("1000000.00", [])


def test_what_a_claim_paid_back_is_not_in_what_a_partner_gets_with_the_whole_order(shop: Claims) -> None:
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    shop.decide(shop.claim(order, 2), D.REFUND)
    policy = type(POLICY)(POLICY.window, allow_revealed=True)
    place = (shop.db, shop.clock, shop.audit, shop.partner, order.id, policy)
    with pytest.raises(RefundTooLarge):
        invalidate_order(*place, node=NODE, because="all of it", expected_minor=19_000)
    invalidate_order(*place, node=NODE, because="all of it", expected_minor=9_500)
    assert (shop.balance(), shop.findings()) == ("1000000.00", [])


def test_a_replaced_unit_is_refunded_once_and_then_not_claimed(shop: Claims) -> None:
    shop.stock("TEA", 3)
    order = shop.sold("TEA", 2)
    shop.decide(shop.claim(order, 1), D.STOCK)
    assert pay_back(shop, order, 1).refunded_minor == 9_500
    with pytest.raises(UnitRefunded):
        shop.claim(order, 1)


def test_a_rebate_is_taken_off_what_a_claim_pays_and_leaves_the_code_claimable(shop: Claims) -> None:
    shop.policy = ReplacementPolicy(unasked="refund")
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    pay_back(shop, order, amount=1_000)
    assert [shop.settle(shop.claim(order, one)).refunded_minor for one in (1, 2)] == [9_000, 9_000]
    assert (shop.balance(), shop.findings()) == ("1000000.00", [])


@pytest.mark.parametrize("unasked", ["stock", "refund"])
def test_where_a_unit_may_have_been_meant_by_a_rebate_a_human_looks(shop: Claims, unasked: Any) -> None:
    shop.policy = ReplacementPolicy(unasked=unasked)
    shop.stock("TEA", 4)
    order = shop.sold("TEA", 3)
    pay_back(shop, order, amount=9_500, is_rebate=True)
    one = shop.settle(shop.claim(order, 3))
    assert (one.state, shop.in_stock("TEA"), shop.balance()) == (S.NEEDS_REVIEW, 1, "999810.00")


@pytest.mark.parametrize("decision", [D.REFUND, D.STOCK])
def test_a_claim_that_is_decided_while_its_unit_is_refunded_gives_one_of_both(
    shop: Claims, decision: ReplacementDecision
) -> None:
    shop.stock("TEA", 6)
    orders = [shop.sold("TEA", 1) for _ in range(3)]
    for order in orders:
        one = shop.claim(order)
        came = together(lambda: shop.decide(one, decision), lambda: pay_back(shop, order, 1))  # noqa: B023  # done before the next turn
        lost = {UnitRefunded, InvalidTransition, NothingToReplaceWith} & {each for each in came if isinstance(each, type)}
        done = shop.now(one)
        if decision is D.REFUND:
            assert len(lost) == 1
        else:  # a code, and then the money for a unit that has a good code: the operator's own wish; or the money alone
            assert done.state is (S.REFUSED if lost else S.REPLACED)
        assert shop.stands(order).refunded_minor == 9_500
    assert (shop.balance(), shop.findings()) == ("1000000.00", [])


def test_of_all_ways_to_end_a_claim_at_the_same_moment_one_is_taken(shop: Claims) -> None:
    shop.stock("TEA", 4)
    order = shop.sold("TEA", 2)
    one = shop.claim(order, 2)
    came = together(*[lambda how=how: shop.decide(one, how) for how in (D.STOCK, D.REFUND, D.REFUSE, D.STOCK, D.REFUND)])
    assert sum(not isinstance(each, type) for each in came) == 1
    given = 4 - 2 - shop.in_stock("TEA") + shop.stands(order).refunded_minor // 9_500
    assert (given <= 1, shop.findings()) == (True, [])


def test_a_storm_of_claims_decisions_and_refunds_pays_nothing_twice(shop: Claims) -> None:
    shop.policy = ReplacementPolicy(unasked="stock", unasked_least=4)
    shop.stock("TEA", 40, cost="80")
    orders = [shop.sold("TEA", 4) for _ in range(3)]

    def worker(seed: int) -> int:
        dice, done = random.Random(seed), 0
        for _ in range(12):
            order, position = dice.choice(orders), dice.randint(1, 4)
            try:
                match dice.randint(0, 5):
                    case 0 | 1:
                        shop.claim(order, position)
                    case 2 | 3:
                        waiting = [one for one in find_replacements(shop.db, order_id=order.id) if one.is_open]
                        if waiting:
                            shop.decide(dice.choice(waiting), dice.choice([*D]))
                    case 4:
                        pay_back(shop, order, position)
                    case _:
                        pay_back(shop, order, amount=dice.choice([700, 9_500]))
                done += 1
            except OrderError:
                continue
        return done

    came = together(*[lambda seed=seed: worker(seed) for seed in range(4)])
    assert all(isinstance(one, int) and one for one in came), came
    for _ in range(3):
        shop.later(minutes=1)
        wake_replacements(shop.desk)
    stand = [shop.stands(order) for order in orders]
    given = [one for one in find_replacements(shop.db, limit=200) if one.state is S.REPLACED]
    kept = sum(one.charged_minor - one.refunded_minor for one in stand)
    assert (shop.balance(), shop.findings()) == (f"{(100_000_000 - kept) / 100:.2f}", [])
    assert shop.in_stock("TEA") == 40 - 12 - len(given)
    assert len({code for order in orders for code in shop.shown(order)}) == 12


# --- how much is decided unasked --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unasked", ["stock", "refund"])
def test_a_partners_word_is_enough_for_a_share_of_what_he_bought(shop: Claims, unasked: Any) -> None:
    shop.policy = ReplacementPolicy(unasked=unasked, unasked_least=1, unasked_bps=2_000)
    shop.stock("TEA", 20)
    order = shop.sold("TEA", 10)
    states = [shop.settle(shop.claim(order, position)).state for position in (1, 2, 3)]
    assert states[:2] == [S.REPLACED if unasked == "stock" else S.REFUNDED] * 2
    assert (states[2], shop.findings()) == (S.NEEDS_REVIEW, [])
    shop.sold("TEA", 5)
    assert shop.settle(shop.claim(order, 4)).state is not S.NEEDS_REVIEW


def test_the_share_is_each_partners_own_and_of_the_last_days(shop: Claims) -> None:
    shop.policy = ReplacementPolicy(unasked="stock", unasked_least=1, unasked_bps=0, patience=timedelta(days=1))
    shop.stock("TEA", 20)
    order, other = shop.sold("TEA", 4), shop.order("TEA", 1, buyer=(stranger := shop.a_partner("INR", "1000.00")))
    assert [shop.settle(shop.claim(order, one)).state for one in (1, 2)] == [S.REPLACED, S.NEEDS_REVIEW]
    assert shop.settle(shop.claim(other, buyer=stranger)).state is S.REPLACED
    shop.later(days=32)
    assert shop.settle(shop.claim(order, 3)).state is S.REPLACED


# --- the journal ------------------------------------------------------------------------------------------------------


def test_a_code_whose_giver_died_before_its_line_is_journalled_by_whoever_looks_after_claims(
    shop: Claims, tmp_path: Path
) -> None:
    shop.stock("TEA", 2)
    order = shop.sold()
    shop.decide(shop.claim(order), D.STOCK)  # this process keeps no journal: as if it had died
    journal = Journal(tmp_path / "journal", "another")
    object.__setattr__(shop.buying, "journal", journal)
    wake_replacements(shop.desk)
    assert ranges(journal, order) == set()
    shop.later(seconds=31)
    assert [wake_replacements(shop.desk), wake_replacements(shop.desk)] == [0, 0]
    assert len(ranges(journal, order)) == 2
    lines = sum(1 for _ in entries(journal, order))
    shop.later(minutes=5)
    wake_replacements(shop.desk)
    assert (lines, sum(1 for _ in entries(journal, order))) == (1, 1)
    journal.close()


def entries(journal: Journal, order: Order) -> Any:
    files = journal_files([journal.folder], from_micros(order.created_at) - timedelta(days=1))
    return [one for one in read_journal(files, 0, JournalReading()) if one.order_id == order.id]


def ranges(journal: Journal, order: Order) -> set[tuple[str, int]]:
    return {(lot, first) for one in entries(journal, order) for lot, first, _ in one.ranges}
