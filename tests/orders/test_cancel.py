"""Withdrawing an order before it has started."""

from __future__ import annotations

import pytest

from cardrail.kernel import new_order_id
from cardrail.orders import NotCancellable, OrderNotFound, OrderState
from tests.build import World, item, the_order
from tests.orders.build import cancel, findings, in_test_mode, moved, stands, steps, unpaid


def test_an_unpaid_order_is_cancelled_with_its_items(world: World) -> None:
    order = cancel(world, unpaid(world, "TEA", 2).id)
    assert [order.state, order.items[0].state, order.pay_until] == [OrderState.CANCELLED, OrderState.CANCELLED, None]
    assert steps(world, order.id) == [("order.placed", None), ("order.cancelled", "cancelled by the partner")]
    assert (world.balance(), findings(world)) == ("1000000.00", [])


def test_cancelling_frees_the_money_of_a_waiting_order(world: World) -> None:
    test = in_test_mode(world.partner)
    (outcome,) = world.place(world.command(item("TEST_PENDING", 2), item("TEST_OK"), buyer=test))
    order = the_order(outcome)
    assert world.balance(test) == "999970.00"
    cancel(world, order.id, test)
    assert world.balance(test) == "1000000.00"
    assert [phase for _, phase, _ in moved(world, order.id)] == ["pending", "pending", "void", "void"]
    assert findings(world) == []


def test_cancelling_twice_is_harmless(world: World) -> None:
    order = unpaid(world)
    cancel(world, order.id)
    assert cancel(world, order.id).state is OrderState.CANCELLED
    assert len(steps(world, order.id)) == 2


def test_a_delivered_order_cannot_be_cancelled(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    with pytest.raises(NotCancellable):
        cancel(world, order.id)
    assert stands(world, order.id).state is OrderState.FULFILLED


def test_anothers_order_and_one_of_the_other_mode_are_unknown(world: World) -> None:
    order = unpaid(world)
    for stranger in (world.a_partner("INR"), in_test_mode(world.partner)):
        with pytest.raises(OrderNotFound):
            cancel(world, order.id, stranger)
    with pytest.raises(OrderNotFound):
        cancel(world, new_order_id())
    assert stands(world, order.id).state is OrderState.PLACED
