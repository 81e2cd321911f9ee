"""A refund names the units that it pays back, and each is paid back once; what is no whole number of units is a rebate on all of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.kernel import DenominationId, Mode, OrderId, PartnerId
from cardrail.orders import (
    CodeAt,
    CodePositionNotFound,
    InvalidTransition,
    Order,
    OrderItem,
    OrderState,
    RefundTooLarge,
    UnitRefunded,
    order_history,
    plan_refund,
    refund_order,
)
from cardrail.orders.units import rebate_minor, standing_units, worth, worths
from tests.build import NODE, World
from tests.orders.build import findings, invalidate, stands, taxed, unseeing


def back(world: World, order: Order, amount: int | None = None, *units: tuple[int, int], **wish: Any) -> Order:
    facts: dict[str, Any] = {"node": NODE, "because": "late", "actor": "cli", **wish}
    named = [CodeAt(*one) for one in units]
    return refund_order(world.db, world.clock, world.audit, order.id, amount, units=named, **facts)


def paid_back(order: Order) -> list[tuple[int, ...]]:
    return [item.refunded for item in order.items]


def test_a_named_unit_is_paid_back_once(world: World) -> None:
    world.stock("TEA", 3)
    order = world.order("TEA", 3)
    assert back(world, order, None, (1, 2)).refunded_minor == 9_500
    for again in ((1, 2),), ((1, 1), (1, 2)):
        with pytest.raises(UnitRefunded):
            back(world, order, None, *again)
    assert (paid_back(stands(world, order.id)), world.balance(), findings(world)) == ([(2,)], "999810.00", [])


@pytest.mark.parametrize("unit", [(1, 0), (1, 4), (2, 1), (1, -1)])
def test_a_unit_that_the_order_has_not_is_not_paid_back(world: World, unit: tuple[int, int]) -> None:
    world.stock("TEA", 3)
    with pytest.raises(CodePositionNotFound):
        back(world, world.order("TEA", 3), None, unit)


def test_a_quantity_is_the_last_units_that_were_not_paid_back(world: World) -> None:
    world.stock("TEA", 4)
    order = world.order("TEA", 4)
    back(world, order, None, (1, 4))
    assert paid_back(back(world, order, quantity=2)) == [(2, 3, 4)]
    with pytest.raises(RefundTooLarge):
        back(world, order, quantity=2)


def test_an_amount_that_is_whole_units_is_the_last_ones_and_any_other_is_a_rebate(world: World) -> None:
    world.stock("TEA", 3)
    order = world.order("TEA", 3)
    assert paid_back(back(world, order, 9_500)) == [(3,)]
    assert paid_back(back(world, order, 500)) == [(3,)]
    assert paid_back(back(world, order, 1_000, is_rebate=True)) == [(3,)]
    rest = back(world, order, None)
    assert (paid_back(rest), rest.refunded_minor, world.balance(), findings(world)) == ([(1, 2, 3)], 28_500, "1000000.00", [])


def test_a_rebate_is_taken_off_what_the_units_are_worth(world: World) -> None:
    world.stock("TEA", 2)
    order = world.order("TEA", 2)
    back(world, order, 2_001)
    assert back(world, order, None, (1, 1)).refunded_minor == 2_001 + 9_500 - 1_000
    assert back(world, order, None, (1, 2)).refunded_minor == 19_000
    assert findings(world) == []


def test_a_unit_comes_back_with_its_own_fee_and_tax(world: World) -> None:
    taxed(world, fee_minor=500, tax_bps=2_000)
    world.stock("TEA", 2)
    order = world.order("TEA", 2)
    assert back(world, order, None, (1, 1)).refunded_minor == 12_000
    assert (back(world, order, None).refunded_minor, world.balance(), findings(world)) == (24_000, "1000000.00", [])


def test_units_are_named_once_the_order_is_settled(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA", pay_later=True)
    with pytest.raises(InvalidTransition):
        back(world, order, None, (1, 1))


def test_the_history_tells_which_units_it_was(world: World) -> None:
    world.stock("TEA", 3)
    order = world.order("TEA", 3)
    back(world, order, None, (1, 1), (1, 3))
    assert b'"units":[{"line":1,"positions":[1,3]}]' in str(order_history(world.db, order.id)[-1].data).encode()


def test_what_was_paid_back_by_unit_is_not_given_back_again_with_the_order(world: World) -> None:
    world.stock("TEA", 2)
    order = world.order("TEA", 2, buyer=unseeing(world.partner))
    back(world, order, None, (1, 1))
    assert invalidate(world, order.id).state is OrderState.INVALIDATED
    assert (world.balance(), findings(world)) == ("1000000.00", [])


def test_of_ten_refunds_of_one_unit_at_once_one_moves_money(world: World) -> None:
    world.stock("TEA", 2)
    order = world.order("TEA", 2)
    start, came = threading.Barrier(10), []

    def one() -> None:
        start.wait()
        try:
            back(world, order, None, (1, 1))
            came.append("paid")
        except UnitRefunded:
            came.append("refused")

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(came), world.balance(), findings(world)) == (["paid"] + ["refused"] * 9, "999905.00", [])


def an_order(lines: list[tuple[int, int]]) -> Order:
    """A settled order of (units, charge) lines; nothing of it is in a database."""
    state = OrderState.FULFILLED
    items = [
        OrderItem(n, "TEA", DenominationId("den_1"), "Tea", state, units, units, 1, "INR", 1, 0, 0, charge, charge)
        for n, (units, charge) in enumerate(lines, 1)
    ]
    charge = sum(one for _, one in lines)
    who = (OrderId("ord_1"), PartnerId("par_1"), Mode.LIVE)
    return Order(*who, state, "INR", charge, charge, 0, None, None, None, None, None, 0, 0, None, 1, items)


LINES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 10**6)), min_size=1, max_size=3)


@given(LINES, st.data())
def test_refunds_in_any_order_come_to_the_charge_and_never_to_more(lines: list[tuple[int, int]], data: st.DataObject) -> None:
    order = an_order(lines)
    for _ in range(6):
        every, left = standing_units(order), order.charged_minor - order.refunded_minor
        assert (sum(worths(order, every)), min(worths(order, every), default=0) >= 0) == (left, True)
        if not left:
            break
        if data.draw(st.booleans()):
            amount = data.draw(st.integers(1, left))
            plan = plan_refund(order, amount, is_rebate=data.draw(st.booleans()))
            assert (plan.amount_minor, not plan.units or worth(order, plan.units) == amount) == (amount, True)
        else:
            some = data.draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
            if worth(order, some) <= 0:
                continue
            plan = plan_refund(order, units=some)
        order.refunded_minor += plan.amount_minor
        for item in order.items:
            item.refunded = (*item.refunded, *[one.position for one in plan.units if one.line == item.line])
    assert 0 <= rebate_minor(order) <= order.charged_minor
