"""The table of states: every arrow, allowed and refused, and what an order shows of its items."""

from __future__ import annotations

from itertools import product

import pytest

from cardrail.orders import FINAL, TRANSITIONS, InvalidTransition, OrderState, advance
from cardrail.orders.states import outcome_of, state_of

S = OrderState

ARROWS = {
    (S.PLACED, S.PROCESSING),
    (S.PLACED, S.CANCELLED),
    (S.PROCESSING, S.FULFILLED),
    (S.PROCESSING, S.PARTIALLY_FULFILLED),
    (S.PROCESSING, S.FAILED),
    (S.PROCESSING, S.NEEDS_REVIEW),
    (S.NEEDS_REVIEW, S.PROCESSING),
    (S.NEEDS_REVIEW, S.FULFILLED),
    (S.NEEDS_REVIEW, S.PARTIALLY_FULFILLED),
    (S.NEEDS_REVIEW, S.FAILED),
    (S.FULFILLED, S.INVALIDATED),
    (S.PARTIALLY_FULFILLED, S.INVALIDATED),
}
"""DESIGN.md, section 6, arrow by arrow; from review an item may also go on being bought."""


@pytest.mark.parametrize(("current", "wanted"), sorted(product(S, S)))
def test_an_arrow_is_walked_or_refused(current: OrderState, wanted: OrderState) -> None:
    if (current, wanted) in ARROWS:
        assert advance(current, wanted) is wanted
        return
    with pytest.raises(InvalidTransition) as refused:
        advance(current, wanted)
    assert refused.value.facts == {"current": current.value, "wanted": wanted.value}


def test_the_table_knows_every_state_and_no_other_arrow() -> None:
    assert set(TRANSITIONS) == set(S)
    assert {(current, wanted) for current, after in TRANSITIONS.items() for wanted in after} == ARROWS


def test_a_path_stops_at_its_first_refused_step() -> None:
    assert advance(S.PLACED, S.PROCESSING, S.NEEDS_REVIEW, S.FAILED) is S.FAILED
    with pytest.raises(InvalidTransition) as refused:
        advance(S.PLACED, S.PROCESSING, S.CANCELLED, S.FULFILLED)
    assert refused.value.facts["current"] == "PROCESSING"


def test_from_a_final_state_there_is_no_way_but_back_by_invalidation() -> None:
    assert {one for one in S if not TRANSITIONS[one] - {S.INVALIDATED}} == FINAL


@pytest.mark.parametrize(
    ("quantity", "delivered", "state"), [(1, 1, S.FULFILLED), (3, 2, S.PARTIALLY_FULFILLED), (1, 0, S.FAILED), (9, 0, S.FAILED)]
)
def test_an_items_outcome_is_what_came_of_it(quantity: int, delivered: int, state: OrderState) -> None:
    assert outcome_of(quantity, delivered) is state


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ([S.FULFILLED], S.FULFILLED),
        ([S.FAILED, S.FAILED], S.FAILED),
        ([S.PLACED, S.PLACED], S.PLACED),
        ([S.FULFILLED, S.FAILED], S.PARTIALLY_FULFILLED),
        ([S.FULFILLED, S.PARTIALLY_FULFILLED], S.PARTIALLY_FULFILLED),
        ([S.PARTIALLY_FULFILLED, S.FAILED], S.PARTIALLY_FULFILLED),
        ([S.FULFILLED, S.PLACED], S.PLACED),  # it is not over while an item waits
        ([S.FULFILLED, S.PLACED, S.PROCESSING], S.PROCESSING),  # work shows before waiting
        ([S.FULFILLED, S.PROCESSING, S.NEEDS_REVIEW], S.NEEDS_REVIEW),  # and review before all
        ([S.FAILED, S.NEEDS_REVIEW], S.NEEDS_REVIEW),
    ],
)
def test_an_order_shows_what_most_needs_to_be_known_of_its_items(items: list[OrderState], shown: OrderState) -> None:
    assert state_of(items) is shown
    assert state_of(reversed(items)) is shown
