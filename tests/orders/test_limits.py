"""A partner's limits, as the orders of one batch see them."""

from __future__ import annotations

import pytest

from cardrail.access import LimitExceeded, Limits
from cardrail.orders import ItemRequest, Outcome, Placed
from tests.build import World, item, the_order, the_refusal
from tests.orders.build import cancel, in_test_mode


def outcomes(world: World, limits: Limits, *orders: tuple[ItemRequest, ...], customer_id: str | None = None) -> list[Outcome]:
    """What comes of these orders, placed in one batch by a partner with these limits."""
    world.stock("TEA", 20)
    world.stock("BOOKS", 20)
    buyer = world.a_partner("INR", "1000000.00", limits=limits)
    return world.place(*[world.command(*lines, buyer=buyer, customer_id=customer_id) for lines in orders])


@pytest.mark.parametrize(
    ("limits", "served", "limit"),
    [
        (Limits(orders_per_day_max=2), [True, True, False], "orders_per_day"),
        (Limits(amount_minor_per_day_max={"INR": 40_000}), [True, True, False], "amount_per_day"),
        (Limits(order_amount_minor_max={"INR": 18_999}), [False, False, False], "order_amount"),
        (Limits(quantity_per_sku_per_day_max=4), [True, True, False], "quantity_per_sku_per_day"),
        (Limits(quantity_per_customer_per_day_max=5), [True, True, False], "quantity_per_customer_per_day"),
    ],
)
def test_the_orders_of_a_batch_use_up_a_limit_together(world: World, limits: Limits, served: list[bool], limit: str) -> None:
    found = outcomes(world, limits, *[(item("TEA", 2),)] * 3, customer_id="c1")
    assert [isinstance(one, Placed) for one in found] == served
    refused = the_refusal(found[-1])
    assert isinstance(refused, LimitExceeded)
    assert refused.facts["limit"] == limit


def test_a_limit_is_used_up_over_batches_of_a_day(world: World) -> None:
    world.stock("TEA", 3)
    buyer = world.a_partner("INR", "1000.00", limits=Limits(orders_per_day_max=1))
    world.order("TEA", buyer=buyer)
    assert isinstance(world.refusal(item("TEA"), buyer=buyer), LimitExceeded)
    world.frozen.advance(hours=12)  # this is midnight
    world.order("TEA", buyer=buyer)


def test_a_refused_order_uses_up_nothing(world: World) -> None:
    found = outcomes(world, Limits(quantity_per_sku_per_day_max=3), *[(item("TEA", quantity),) for quantity in (2, 2, 1)])
    assert [isinstance(one, Placed) for one in found] == [True, False, True]


def test_an_order_that_stock_or_money_refuses_is_not_counted(world: World) -> None:
    buyer = world.a_partner("INR", "95.00", limits=Limits(orders_per_day_max=1))
    world.refusal(item("TEA"), buyer=buyer)
    world.stock("TEA", 2)
    world.refusal(item("TEA", 2), buyer=buyer)
    world.order("TEA", buyer=buyer)


def test_a_repeat_is_not_counted(world: World) -> None:
    world.stock("TEA", 2)
    buyer = world.a_partner("INR", "1000.00", limits=Limits(orders_per_day_max=1))
    world.order("TEA", key="k", buyer=buyer)
    (again,) = world.place(world.command(item("TEA"), key="k", buyer=buyer))
    assert not isinstance(again, Placed)
    assert not hasattr(again, "error")


def test_a_sku_in_two_lines_counts_for_both(world: World) -> None:
    (found,) = outcomes(world, Limits(quantity_per_sku_per_day_max=3), (item("TEA", 2), item("TEA", 2)))
    assert isinstance(the_refusal(found), LimitExceeded)
    assert (world.in_stock("TEA"), world.in_stock("BOOKS")) == (20, 20)


def test_an_unpaid_order_is_counted_when_it_is_placed_and_not_again_when_it_is_paid(world: World) -> None:
    world.stock("TEA", 2)
    buyer = world.a_partner("INR", "1000.00", limits=Limits(orders_per_day_max=1))
    waiting = world.order("TEA", pay_later=True, buyer=buyer)
    assert isinstance(world.refusal(item("TEA"), pay_later=True, buyer=buyer), LimitExceeded)
    assert the_order(world.pay(waiting.id, buyer)).charged_minor == 9_500


def test_a_cancelled_order_stays_counted_until_its_day_is_over(world: World) -> None:
    buyer = world.a_partner("INR", "1000.00", limits=Limits(orders_per_day_max=1))
    cancel(world, world.order("TEA", pay_later=True, buyer=buyer).id, buyer)
    assert isinstance(world.refusal(item("TEA"), pay_later=True, buyer=buyer), LimitExceeded)


def test_modes_and_partners_count_apart(world: World) -> None:
    world.stock("TEA", 4)
    one, other = [world.a_partner("INR", "1000.00", limits=Limits(orders_per_day_max=1)) for _ in range(2)]
    buyers = (one, in_test_mode(one), other)
    placed = world.place(*[world.command(item("TEA"), buyer=buyer) for buyer in buyers])
    assert all(isinstance(outcome, Placed) for outcome in placed)
