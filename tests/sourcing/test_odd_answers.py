"""Suppliers that answer what no supplier should: nothing is charged without a code, bought again while unknown, or lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cardrail.kernel import Money, PlainCode, currency
from cardrail.sourcing import (
    Accepted,
    Delivered,
    Invalidated,
    InvalidateOutcome,
    Lookup,
    LookupRequest,
    Outcome,
    PlaceRequest,
    Refused,
    Unknown,
    sound,
    sound_end,
    sound_seconds,
)
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK, ScriptedSupplier

INR = currency("INR")
ONE, TWO = PlainCode("ODD-0001"), PlainCode("ODD-0002")


@dataclass
class Odd(ScriptedSupplier):
    """It answers as it is told, in purchases and looks alike; then the truth."""

    answers: deque[Any] = field(default_factory=deque)

    def place(self, request: PlaceRequest) -> Outcome:
        outcome = super().place(request)
        return self.answers.popleft() if self.answers else outcome

    def lookup(self, about: LookupRequest) -> Any:
        outcome = super().lookup(about)
        return self.answers.popleft() if self.answers else outcome

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        outcome = super().invalidate(about)
        return self.answers.popleft() if self.answers else outcome


def odd(shop: Supplied, *answers: Any, **facts: Any) -> Odd:
    fake = shop.supplier("A", **facts)
    shop.fakes["A"] = made = Odd(**{name: getattr(fake, name) for name in ("name", "capabilities", "unit_cost", "script")})
    made.answers = deque(answers)
    shop.connectors.put(shop.suppliers["A"], made)
    return made


def delivered(*codes: Any, cost: Any = None, order: Any = None) -> Delivered:
    return Delivered(codes, cost, order)


NONSENSE = [
    None,
    {"status": "ok"},
    delivered(),
    delivered(PlainCode(""), TWO),
    delivered(PlainCode("  "), PlainCode(None)),
    delivered(PlainCode(7), TWO),  # type: ignore[arg-type]  # that is the point
    delivered(PlainCode("\ud800"), TWO),
    Accepted(""),
    Accepted("a\0b"),
    Accepted("x" * 5_000),
    Unknown("\0" * 9_000, "\0"),
]


def test_nonsense_is_unknown() -> None:
    for one in NONSENSE:
        found = sound(one)
        assert isinstance(found, Unknown)
        assert (found.supplier_order_id, found.why.isprintable(), len(found.why) < 400) == (None, True, True)
        assert isinstance(sound_end(one), Unknown)


@pytest.mark.parametrize("nonsense", [None, delivered(PlainCode(""), TWO), Accepted("a\0b")], ids=["none", "blank", "number"])
def test_nonsense_is_unknown_until_the_truth_is_told(shop: Supplied, nonsense: Any) -> None:
    fake = odd(shop, nonsense, nonsense)
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    assert (of(shop.attempts(placed)), shop.stands(placed).charged_minor) == ([("unknown", 2, 0)], 0)
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), fake.units, other.units) == ("FULFILLED", fake.codes, 2, 0)
    assert shop.findings() == []


def test_codes_are_kept_whatever_else_the_answer_says(shop: Supplied) -> None:
    odd(shop, delivered(ONE, TWO, cost=Money(-500, INR), order="a\0b"))
    done = shop.bought("CARD", 2)
    assert (states(done)[0], sorted(shop.shown(done)), shop.attempts(done)[0].cost_minor) == (
        "FULFILLED",
        ["ODD-0001", "ODD-0002"],
        16_000,
    )
    for cost, order in ((Money(10**16, INR), "a-1"), ("7.00", "x" * 5_000), (7, 7)):
        found = sound(delivered(ONE, TWO, cost=cost, order=order))
        assert isinstance(found, Delivered)
        assert (found.codes, found.cost, found.supplier_order_id) == ((ONE, TWO), None, "a-1" if order == "a-1" else None)
    assert shop.findings() == []


def test_a_wait_that_is_no_number_is_none(shop: Supplied) -> None:
    odd(shop, Accepted("a-1", float("nan")), Accepted("a-1", float("inf")), Refused("full", retry_after_seconds=float("nan")))
    assert [sound_seconds(one) for one in (float("inf"), -1, "5", True, 5, 1e300)] == [None, None, None, None, 5.0, 86_400.0]
    placed = shop.order("CARD", 2)
    shop.finish(placed)
    assert (states(shop.stands(placed))[0], shop.findings()) == ("FAILED", [])


def test_more_codes_than_were_ordered_are_stock(shop: Supplied) -> None:
    odd(shop, delivered(ONE, TWO, PlainCode("ODD-0003"), cost=Money(24_000, INR)))
    done = shop.bought("CARD", 2)
    assert (done.charged_minor, len(shop.shown(done)), shop.in_stock("CARD")) == (19_000, 2, 1)
    assert (shop.platform()["stock", "INR"], shop.platform()["cost_of_goods", "INR"], shop.findings()) == (8_000, 16_000, [])


def test_one_code_for_two_units_is_one_unit(shop: Supplied) -> None:
    odd(shop, delivered(ONE, ONE))
    other = shop.supplier("B", cost="85.00")
    done = shop.bought("CARD", 2)
    assert (states(done)[0], done.charged_minor, shop.shown(done), other.units) == (
        "FULFILLED",
        19_000,
        ["ODD-0001", *other.codes],
        1,
    )
    assert shop.findings() == []


def test_codes_of_another_order_are_no_answer_and_nothing_is_bought_again(shop: Supplied) -> None:
    fake = odd(shop)
    other = shop.supplier("B", cost="85.00")
    first = shop.bought("CARD", 2)
    theirs = delivered(*fake.sold[0].codes, order="a-1", cost=Money(16_000, INR))
    fake.answers.append(theirs)
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    assert (of(shop.attempts(placed)), states(shop.stands(placed))[0]) == ([("unknown", 2, 0)], "NEEDS_REVIEW")
    assert (other.units, shop.owed(), shop.attempts(placed)[0].supplier_order_id) == (0, 16_000, None)
    done = shop.finish(placed)  # the next look tells the truth
    assert (states(done)[0], len(set(shop.shown(first) + shop.shown(done))), other.units) == ("FULFILLED", 4, 0)
    assert shop.findings() == []


def test_an_order_accepted_under_another_ones_number_is_a_humans(shop: Supplied) -> None:
    fake = odd(shop)
    other = shop.supplier("B", cost="85.00")
    shop.bought("CARD", 2)
    fake.answers.append(Accepted("a-1"))
    placed = shop.order("CARD", 2)
    for _ in range(4):
        shop.visit(placed)
        shop.frozen.advance(seconds=8)
    assert (states(shop.stands(placed))[0], other.units, shop.stands(placed).charged_minor) == ("NEEDS_REVIEW", 0, 0)
    assert (shop.owed(), shop.findings()) == (16_000, [])


def test_who_charges_more_than_agreed_is_told_of_and_not_taken_for_cheap_again(shop: Supplied) -> None:
    odd(shop, delivered(ONE, TWO, cost=Money(30_000, INR)))
    other = shop.supplier("B", cost="85.00")
    done = shop.bought("CARD", 2)
    (attempt,) = shop.attempts(done)
    assert "it cost 300.00 INR, and 190.00 INR was the most that was allowed" in [words for _, words in attempt.story]
    again = shop.bought("CARD", 2)
    assert (shop.shown(again), shop.platform()["cost_of_goods", "INR"], shop.findings()) == (other.codes, 47_000, [])


def test_what_was_charged_in_another_currency_is_not_taken_off_this_ones_balance(shop: Supplied) -> None:
    odd(shop, delivered(ONE, cost=Money(90, currency("USD"))))
    shop.health(balance_minor=100_000)
    done = shop.bought()
    books = shop.platform()
    assert (states(done)[0], books["supplier", "USD"], shop.health().balance_minor) == ("FULFILLED", -90, 92_000)
    assert shop.findings() == []


def test_a_kill_that_was_answered_with_nonsense_killed_nothing(shop: Supplied) -> None:
    fake = odd(shop, Unknown("lost"), None, abilities=replace(QUICK, lookup=Lookup.NONE, can_invalidate=True))
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    shop.frozen.advance(seconds=20)
    shop.visit(placed)
    assert (of(shop.attempts(placed)), other.units, len(fake.asked)) == ([("unknown", 2, 0)], 0, 1)


def test_an_accepted_order_that_never_shows_its_codes_is_killed_and_bought_elsewhere(shop: Supplied) -> None:
    nothing = Unknown("completed, and no card in the answer", "a-1")
    fake = odd(shop, Accepted("a-1"), *[nothing] * 3, abilities=replace(QUICK, can_invalidate=True))
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    fake.answers.append(Invalidated())
    done = shop.finish(placed)
    assert (states(done)[0], of(shop.attempts(done))) == ("FULFILLED", [("invalidated", 2, 0), ("delivered", 2, 2)])
    assert (fake.looked, shop.shown(done), shop.owed(), shop.findings()) == (3, other.codes, 17_000, [])


def test_one_strange_answer_kills_no_order_that_was_accepted(shop: Supplied) -> None:
    strange = Unknown("completed, and no card in the answer", "a-1")
    fake = odd(shop, *[Accepted("a-1")] * 8, strange, abilities=replace(QUICK, can_invalidate=True))
    done = shop.bought("CARD", 2)
    assert (states(done)[0], shop.shown(done), fake.sold[0].is_dead, shop.findings()) == ("FULFILLED", fake.codes, False, [])
