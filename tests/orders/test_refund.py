"""Giving money back: a transfer, in the proportions of what was charged, and never more than that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.kernel import new_order_id
from cardrail.orders import OrderNotFound, OrderState, RefundTooLarge
from cardrail.orders.refund import split_refund
from tests.build import World
from tests.orders.build import audited, findings, invalidate, moved, refund, stands, steps, taxed, transfers, unpaid, unseeing

PARTS = st.tuples(*[st.integers(0, 10**12)] * 3)


def test_part_of_a_charge_is_given_back(world: World) -> None:
    world.stock("TEA", 1)
    order = refund(world, world.order("TEA").id, 500)
    assert (order.state, order.charged_minor, order.refunded_minor) == (OrderState.FULFILLED, 9_500, 500)
    assert moved(world, order.id) == [("refund", "posted", 500), ("sale", "posted", 9_500)]
    assert (world.balance(), stands(world, order.id).refunded_minor, findings(world)) == ("999910.00", 500, [])


def test_without_an_amount_all_that_is_left_is_given_back(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    refund(world, order.id, 500)
    assert refund(world, order.id, None).refunded_minor == 9_500
    assert (world.balance(), findings(world)) == ("1000000.00", [])


@pytest.mark.parametrize("amount", [9_501, 10**15, 0, -1])
def test_more_than_the_charge_and_less_than_something_is_refused(world: World, amount: int) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    with pytest.raises(RefundTooLarge):
        refund(world, order.id, amount)
    assert (world.balance(), len(moved(world, order.id))) == ("999905.00", 1)


def test_several_refunds_together_stay_below_the_charge(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    refund(world, order.id, 9_000)
    with pytest.raises(RefundTooLarge) as refused:
        refund(world, order.id, 501)
    assert refused.value.facts == {"asked_minor": 501, "left_minor": 500}


def test_what_was_never_charged_cannot_be_refunded(world: World) -> None:
    world.stock("TEA", 2)
    waiting, taken_back = unpaid(world), world.order("TEA", buyer=unseeing(world.partner))
    invalidate(world, taken_back.id)
    for order in (waiting, taken_back):
        with pytest.raises(RefundTooLarge):
            refund(world, order.id, None)


def test_an_unknown_order_is_not_refunded(world: World) -> None:
    with pytest.raises(OrderNotFound):
        refund(world, new_order_id(), 1)


def test_fees_and_tax_come_back_in_proportion(world: World) -> None:
    taxed(world, fee_minor=500, tax_bps=2_000)
    world.stock("TEA", 1)
    order = world.order("TEA")
    assert order.charged_minor == 9_500 + 500 + 2_000
    refund(world, order.id, 1_200)
    back = [one for one in moved(world, order.id) if one[0] == "refund"]
    assert back == [("refund", "posted", 50), ("refund", "posted", 200), ("refund", "posted", 950)]
    refund(world, order.id, None)
    assert (world.balance(), findings(world)) == ("1000000.00", [])


def test_a_refund_is_told_and_noted(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    refund(world, order.id, 500)
    assert steps(world, order.id)[-1] == ("order.refunded", "late")
    (entry,) = audited(world, "order.refunded")
    assert (entry.actor, entry.subject, entry.details) == (
        "cli",
        order.id,
        {"amount_minor": 500, "currency": "INR", "reason": "late"},
    )


def test_the_same_reference_gives_back_once(world: World) -> None:
    world.stock("TEA", 2)
    order, other = world.order("TEA", reference="o-1"), world.order("TEA")
    refund(world, order.id, 500)  # its transfers carry the order's own reference
    assert [refund(world, order.id, 700, one).refunded_minor for one in ("t-1", "t-1", "o-1", "o-1", "t-1")] == [
        1_200,
        1_200,
        1_900,
        1_900,
        1_900,
    ]
    assert refund(world, other.id, 700, "t-1").refunded_minor == 700
    assert refund(world, order.id, None, "t-2").refunded_minor == refund(world, order.id, None, "t-2").refunded_minor == 9_500
    assert (len(audited(world, "order.refunded")), world.balance(), findings(world)) == (5, "999912.00", [])
    assert {one.reference for one in transfers(world, order.id) if one.amount_minor == 700} == {"t-1", "o-1"}


@given(PARTS.filter(any), st.data())
def test_no_part_gives_back_more_than_is_left_of_it(left: tuple[int, int, int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(1, sum(left)))
    parts = split_refund(amount, left)
    assert sum(parts) == amount
    assert all(0 <= part <= rest for part, rest in zip(parts, left, strict=True))
    assert all(abs(part * sum(left) - amount * rest) < 3 * sum(left) for part, rest in zip(parts, left, strict=True))


@given(PARTS.filter(any), st.lists(st.integers(1, 10**12), max_size=8))
def test_any_number_of_refunds_end_with_nothing_left(left: tuple[int, int, int], amounts: list[int]) -> None:
    for amount in [*amounts, 3 * 10**12]:
        if sum(left):
            parts = split_refund(min(amount, sum(left)), left)
            left = (left[0] - parts[0], left[1] - parts[1], left[2] - parts[2])
            assert min(left) >= 0
    assert left == (0, 0, 0)
