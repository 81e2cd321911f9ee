"""Answers that come when somebody else has gone on: none of them undoes what is known, none is thrown away, and nothing is bought twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cardrail.kernel import OrderId
from cardrail.sourcing import AttemptState, Capabilities, Lookup, load_attempts, save_attempt
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK

BY_MATCH = replace(QUICK, lookup=Lookup.BY_MATCH, settle_seconds=0.0)
IDEMPOTENT = replace(QUICK, lookup=Lookup.NONE, is_idempotent=True)
KILLABLE = replace(QUICK, lookup=Lookup.NONE, can_invalidate=True)


def visit_later(shop: Supplied, order_id: OrderId, seconds: float) -> None:
    """Another worker comes by after so long."""
    shop.frozen.advance(seconds=seconds)
    shop.visit(order_id)


def visits_later(shop: Supplied, order_id: OrderId) -> None:
    """Another worker comes by later, once that is settled, and once more: a "no" is said twice."""
    for seconds in (100, 11, 6):
        visit_later(shop, order_id, seconds)


@pytest.mark.parametrize("word", ["refuse:out_of_stock", "unreached", "busy", "dropped"])
def test_a_slow_answer_does_not_undo_what_was_accepted_since(shop: Supplied, word: str) -> None:
    fake = shop.supplier("A", word, "accept", abilities=IDEMPOTENT)
    placed = shop.order("CARD", 2)
    fake.meanwhile.append(lambda: visit_later(shop, placed.id, 8))
    shop.visit(placed)
    assert of(shop.attempts(placed)) == [("accepted", 2, 0)]
    fake.ready()
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), fake.units, shop.findings()) == ("FULFILLED", fake.codes, 2, [])


def test_who_was_stopped_before_his_call_does_not_undo_what_was_accepted_since(shop: Supplied) -> None:
    fake = shop.supplier("A", "accept", abilities=IDEMPOTENT)
    placed = shop.order("CARD", 2)
    stop = _Stopping(lambda: visit_later(shop, placed.id, 8))
    object.__setattr__(shop.buying, "journal", stop)
    shop.visit(placed)
    assert (of(shop.attempts(placed)), len(fake.asked)) == ([("accepted", 2, 0)], 1)
    fake.ready()
    assert (states(shop.finish(placed))[0], fake.units) == ("FULFILLED", 2)


def test_a_slow_acceptance_tells_whose_order_it_is_and_nothing_else(shop: Supplied) -> None:
    fake = shop.supplier("A", "accept")
    placed = shop.order("CARD", 2)
    fake.looks.append("silent")
    fake.meanwhile.append(lambda: visit_later(shop, placed.id, 8))
    shop.visit(placed)
    (attempt,) = shop.attempts(placed)
    assert (attempt.state.value, attempt.supplier_order_id) == ("unknown", "a-1")
    fake.ready()
    done = shop.finish(placed)
    assert (states(done)[0], fake.units, shop.findings()) == ("FULFILLED", 2, [])


@pytest.mark.parametrize(
    ("abilities", "words", "ended"),
    [(QUICK, [], "absent"), (IDEMPOTENT, ["refuse:invalid"] * 2, "refused")],
)
def test_codes_that_come_after_the_attempt_was_given_up_are_kept(
    shop: Supplied, abilities: Capabilities, words: list[str], ended: str
) -> None:
    fake = shop.supplier("A", "deliver", *words, abilities=abilities)
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    seen = []

    def other_worker() -> None:
        visits_later(shop, placed.id)
        seen.append(shop.attempts(placed)[0].state.value)

    fake.meanwhile.append(other_worker)
    shop.visit(placed)
    done = shop.finish(placed)
    first = shop.attempts(placed)[0]
    assert (seen, first.state.value, first.delivered, first.cost_minor, first.refusal) == ([ended], "delivered", 0, 16_000, None)
    assert (states(done)[0], fake.units + other.units, shop.in_stock("CARD")) == ("FULFILLED", 4, 2)
    assert shop.findings() == []


def test_codes_of_a_purchase_that_was_killed_are_nobodys(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost", abilities=KILLABLE)
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)

    def other_worker() -> None:
        visit_later(shop, placed.id, 8)
        visit_later(shop, placed.id, 20)
        assert shop.attempts(placed)[0].state.value == "invalidated"

    fake.script[0] = "deliver"
    fake.meanwhile.append(other_worker)
    shop.visit(placed)
    done = shop.finish(placed)
    first = shop.attempts(placed)[0]
    assert (first.state.value, first.delivered, first.cost_minor) == ("invalidated", 0, None)
    assert first.story[-1][1] == "2 codes came after that: they are kept, and blocked"
    assert (states(done)[0], shop.shown(done), shop.in_stock("CARD")) == ("FULFILLED", other.codes, 0)
    assert (shop.owed(), shop.findings()) == (17_000, [])


def test_codes_that_come_after_others_of_the_same_purchase_are_kept(shop: Supplied) -> None:
    fake = shop.supplier("A", "deliver")
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)

    def one_of_them_is_seen() -> None:
        fake._sell(fake.asked[0], 1, is_ready=True)
        visit_later(shop, placed.id, 8)

    fake.meanwhile.append(one_of_them_is_seen)
    shop.visit(placed)
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), shop.in_stock("CARD")) == ("FULFILLED", [fake.codes[0], *other.codes], 2)
    assert (shop.owed(), shop.findings()) == (16_000 + 8_500, [])


def test_a_clock_that_jumps_ahead_gives_up_no_call_that_is_under_way(shop: Supplied) -> None:
    fake = shop.supplier("A", "deliver")
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)

    def jump() -> None:
        for seconds in (3_600, 2, 6):  # an hour by the clock, eight seconds in truth
            visit_later(shop, placed.id, seconds)

    fake.meanwhile.append(jump)
    shop.visit(placed)
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), fake.units, other.units) == ("FULFILLED", fake.codes, 2, 0)


@pytest.mark.parametrize(("abilities", "words"), [(IDEMPOTENT, ["refuse:invalid"] * 2), (QUICK, [])], ids=["refused", "absent"])
def test_an_order_that_was_given_up_and_is_accepted_after_all_is_followed_up(
    shop: Supplied, abilities: Capabilities, words: list[str]
) -> None:
    fake = shop.supplier("A", "accept", *words, abilities=abilities)
    shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    fake.meanwhile.append(lambda: visits_later(shop, placed.id))
    shop.visit(placed)
    first, second = shop.attempts(placed)
    assert (first.state.value, first.supplier_order_id, second.state.value) == ("accepted", fake.sold[-1].id, "delivered")
    assert (states(shop.stands(placed))[0], [one.state.value for one in shop.procurements(placed)]) == ("FULFILLED", ["review"])
    fake.ready()
    done = shop.finish(placed)
    assert (of(shop.attempts(placed))[0], shop.in_stock("CARD"), shop.findings()) == (("delivered", 2, 0), 2, [])
    assert [one.state.value for one in shop.procurements(done)] == ["done"]


def test_an_unknown_order_whose_number_is_known_keeps_no_other_like_it_waiting(shop: Supplied) -> None:
    fake = shop.supplier("A", "accept", abilities=BY_MATCH)
    first, second = shop.order("CARD", 2), shop.order("CARD", 2)
    shop.visit(first)
    with shop.db.transaction() as tx:
        (known,) = load_attempts(tx, first.id)
        save_attempt(tx, replace(known, state=AttemptState.UNKNOWN), from_state=known.state)
    shop.visit(second)
    assert [of(shop.attempts(one)) for one in (first, second)] == [[("unknown", 2, 0)], [("delivered", 2, 2)]]
    fake.ready()
    shop.finish(first)
    shown = shop.shown(shop.stands(first)) + shop.shown(shop.stands(second))
    assert (len(set(shown)), sorted(shown), shop.findings()) == (4, sorted(fake.codes), [])


def test_two_visitors_at_the_same_instant_look_once(shop: Supplied) -> None:
    fake = shop.supplier("A", "dropped", abilities=BY_MATCH)
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    fake.meanwhile.append(lambda: visit_later(shop, placed.id, 0))
    visit_later(shop, placed.id, 2)
    (attempt,) = shop.attempts(placed)
    assert (fake.looked, attempt.state.value, attempt.misses) == (1, "unknown", 1)


def test_a_no_that_was_asked_for_before_another_look_does_not_count(shop: Supplied) -> None:
    fake = shop.supplier("A", "dropped", abilities=BY_MATCH)
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    fake.meanwhile.append(lambda: visit_later(shop, placed.id, 8))
    visit_later(shop, placed.id, 2)
    (attempt,) = shop.attempts(placed)
    assert (fake.looked, attempt.state.value, attempt.misses) == (2, "unknown", 1)


class _Stopping:
    """A journal over which its first writer is stopped for a while."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = [meanwhile]

    def append(self, _lines: object) -> None:
        if self.meanwhile:
            self.meanwhile.pop()()
