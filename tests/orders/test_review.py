"""Orders that need a human: put aside as they are, and decided."""

from __future__ import annotations

import pytest

from cardrail.kernel import new_order_id
from cardrail.orders import (
    InvalidTransition,
    NotCancellable,
    Order,
    OrderNotFound,
    OrderState,
    resolve_as_failed,
    send_to_review,
)
from tests.build import World, item, the_order
from tests.orders.build import audited, cancel, findings, in_test_mode, stands, steps, unpaid


def waiting(world: World, *skus: str) -> Order:
    """An order whose money is held, as it is for one that waits for a supplier."""
    (outcome,) = world.place(world.command(*map(item, skus), buyer=in_test_mode(world.partner)))
    return the_order(outcome)


def review(world: World, order: Order) -> Order:
    return send_to_review(world.db, world.clock, world.audit, order.id, because="no answer", actor="cli")


def fail(world: World, order: Order) -> Order:
    return resolve_as_failed(world.db, world.clock, world.audit, order.id, because="never bought", actor="cli")


def test_an_order_in_review_keeps_its_money_held(world: World) -> None:
    order = review(world, waiting(world, "TEST_PENDING"))
    assert (order.state, order.items[0].state) == (OrderState.NEEDS_REVIEW, OrderState.NEEDS_REVIEW)
    assert world.balance(in_test_mode(world.partner)) == "999990.00"
    assert (steps(world, order.id)[-1], findings(world)) == (("order.needs_review", "no answer"), [])


def test_nobody_cancels_an_order_while_it_is_in_review(world: World) -> None:
    order = review(world, waiting(world, "TEST_PENDING"))
    with pytest.raises(NotCancellable):
        cancel(world, order.id, in_test_mode(world.partner))


def test_an_order_that_bought_nothing_fails_and_its_money_is_free(world: World) -> None:
    test = in_test_mode(world.partner)
    order = fail(world, review(world, waiting(world, "TEST_PENDING", "TEST_OK")))
    assert (stands(world, order.id, test).state, world.balance(test)) == (OrderState.FAILED, "1000000.00")
    assert [entry.subject for name in ("order.sent_to_review", "order.resolved") for entry in audited(world, name)] == [
        order.id
    ] * 2
    assert findings(world) == []


def test_only_what_is_in_review_is_resolved(world: World) -> None:
    with pytest.raises(InvalidTransition):
        fail(world, waiting(world, "TEST_PENDING"))


def test_what_is_finished_or_not_begun_needs_no_review(world: World) -> None:
    world.stock("TEA", 1)
    for order in (world.order("TEA"), unpaid(world), waiting(world, "TEST_OK")):
        with pytest.raises(InvalidTransition):
            review(world, order)


def test_an_order_is_not_put_into_review_twice(world: World) -> None:
    order = review(world, waiting(world, "TEST_PENDING"))
    with pytest.raises(InvalidTransition):
        review(world, order)


def test_an_unknown_order_is_not_reviewed(world: World) -> None:
    for decide in (send_to_review, resolve_as_failed):
        with pytest.raises(OrderNotFound):
            decide(world.db, world.clock, world.audit, new_order_id(), because="no answer", actor="cli")
