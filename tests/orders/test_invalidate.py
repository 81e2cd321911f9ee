"""Taking an order back: inside its window, if nobody saw its codes, or at the operator's cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cardrail.kernel import Mode
from cardrail.ledger import Purpose, platform_balances
from cardrail.orders import InvalidationRefused, InvalidTransition, Order, OrderNotFound, OrderState
from cardrail.vault import revoke_code
from tests.build import POLICY, World, item, the_order
from tests.orders.build import audited, findings, in_test_mode, invalidate, moved, refund, stands, steps, taxed, unpaid, unseeing

AT_OUR_COST = replace(POLICY, allow_revealed=True)


def unseen(world: World, sku: str = "TEA", quantity: int = 1) -> Order:
    """An order whose codes nobody has seen."""
    return world.order(sku, quantity, buyer=unseeing(world.partner))


def worth(world: World, purpose: Purpose) -> int:
    with world.db.read() as tx:
        found = platform_balances(tx)
    return sum(one.balance_minor for one in found if one.purpose is purpose and one.mode is Mode.LIVE)


def test_codes_that_nobody_saw_go_back_to_stock_and_are_sold_again(world: World) -> None:
    stocked = world.stock("TEA", 2, cost="80")
    order = invalidate(world, unseen(world, quantity=2).id)
    assert (order.state, order.items[0].state, order.refunded_minor) == (OrderState.INVALIDATED, OrderState.INVALIDATED, 19_000)
    assert (world.balance(), world.in_stock("TEA")) == ("1000000.00", 2)
    assert sorted(world.codes(world.order("TEA", 2))) == stocked
    assert findings(world) == []


def test_their_cost_goes_back_to_stock_too(world: World) -> None:
    world.stock("TEA", 3, cost="80")
    order = unseen(world, quantity=2)
    assert (worth(world, Purpose.STOCK), worth(world, Purpose.COST_OF_GOODS)) == (8_000, 16_000)
    invalidate(world, order.id)
    assert (worth(world, Purpose.STOCK), worth(world, Purpose.COST_OF_GOODS), worth(world, Purpose.SALES)) == (24_000, 0, 0)
    assert findings(world) == []


def test_codes_may_come_back_and_be_sold_any_number_of_times(world: World) -> None:
    world.stock("TEA", 3, cost="80")
    for _ in range(3):
        invalidate(world, unseen(world, quantity=3).id)
    assert (world.in_stock("TEA"), findings(world)) == (3, [])


def test_revealed_codes_are_not_taken_back(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    with pytest.raises(InvalidationRefused):
        invalidate(world, order.id)
    assert (stands(world, order.id).state, world.balance()) == (OrderState.FULFILLED, "999905.00")


def test_one_look_at_the_codes_is_enough(world: World) -> None:
    world.stock("TEA", 1)
    order = unseen(world)
    world.reveal(order.id)
    with pytest.raises(InvalidationRefused):
        invalidate(world, order.id)


def test_where_the_operator_allows_it_revealed_codes_are_written_off(world: World) -> None:
    world.stock("TEA", 3, cost="80")
    order = invalidate(world, world.order("TEA", 2).id, policy=AT_OUR_COST)
    assert order.refunded_minor == 19_000
    assert (worth(world, Purpose.WRITE_OFFS), worth(world, Purpose.COST_OF_GOODS), world.in_stock("TEA")) == (16_000, 0, 1)
    assert findings(world) == []
    assert world.reveal(order.id).items[0].units == []


def test_the_window_is_counted_from_the_placing(world: World) -> None:
    world.stock("TEA", 2)
    first, second = unseen(world), unseen(world)
    world.frozen.advance(hours=24)
    assert invalidate(world, first.id).state is OrderState.INVALIDATED
    world.frozen.advance(seconds=1)
    with pytest.raises(InvalidationRefused):
        invalidate(world, second.id)
    assert invalidate(world, second.id, policy=replace(POLICY, window=timedelta(days=2))).refunded_minor == 9_500


def test_what_was_not_delivered_is_not_returned(world: World) -> None:
    world.stock("TEA", 2)
    (outcome,) = world.place(world.command(item("TEA", 5), item("BOOKS"), buyer=unseeing(world.partner)))
    order = invalidate(world, the_order(outcome).id)
    assert [one.state for one in order.items] == [OrderState.INVALIDATED, OrderState.FAILED]
    assert (order.refunded_minor, world.balance(), findings(world)) == (19_000, "1000000.00", [])


def test_what_was_refunded_already_is_not_given_twice(world: World) -> None:
    taxed(world, fee_minor=100, tax_bps=2_000)
    world.stock("TEA", 1)
    order = unseen(world)
    refund(world, order.id, 1_234)
    taken_back = invalidate(world, order.id)
    assert taken_back.refunded_minor == taken_back.charged_minor == 11_520
    assert (world.balance(), findings(world)) == ("1000000.00", [])


def test_an_order_that_was_wholly_refunded_may_still_be_taken_back(world: World) -> None:
    world.stock("TEA", 1)
    order = unseen(world)
    refund(world, order.id, None)
    assert invalidate(world, order.id).state is OrderState.INVALIDATED
    assert (world.balance(), world.in_stock("TEA"), findings(world)) == ("1000000.00", 1, [])


def test_invalidating_twice_is_harmless(world: World) -> None:
    world.stock("TEA", 1)
    order = unseen(world)
    invalidate(world, order.id)
    assert invalidate(world, order.id).refunded_minor == 9_500
    assert (world.in_stock("TEA"), len(moved(world, order.id)), len(audited(world, "order.invalidated"))) == (1, 2, 1)


def test_a_shared_code_stays_on_sale_and_is_still_taken_back(world: World) -> None:
    world.stock("TEA", ["FOR-EVERYBODY"], is_shared=True)
    first, second = unseen(world, quantity=2), unseen(world)
    invalidate(world, first.id)
    assert world.codes(world.reveal(second.id)) == ["FOR-EVERYBODY"]
    invalidate(world, second.id, policy=AT_OUR_COST)
    assert world.codes(world.order("TEA", 3)) == ["FOR-EVERYBODY"] * 3
    assert findings(world) == []


def test_a_code_that_was_revoked_meanwhile_stays_out_of_stock_and_its_cost_is_lost(world: World) -> None:
    world.stock("TEA", 3, cost="80")
    order = unseen(world, quantity=3)
    (bought,) = order.items[0].allocations
    revoke_code(world.db, world.clock, world.audit, bought.lot_id, 1, actor="test")
    invalidate(world, order.id)
    assert (world.in_stock("TEA"), worth(world, Purpose.STOCK), worth(world, Purpose.WRITE_OFFS)) == (2, 16_000, 8_000)
    assert findings(world) == []


def test_an_order_that_delivered_nothing_has_nothing_to_take_back(world: World) -> None:
    with pytest.raises(InvalidTransition):
        invalidate(world, unpaid(world).id)


def test_anothers_order_and_one_of_the_other_mode_are_unknown(world: World) -> None:
    world.stock("TEA", 1)
    order = unseen(world)
    for stranger in (world.a_partner("INR"), in_test_mode(world.partner)):
        with pytest.raises(OrderNotFound):
            invalidate(world, order.id, stranger)
    assert stands(world, order.id).state is OrderState.FULFILLED


def test_the_history_and_the_audit_log_say_who_and_why(world: World) -> None:
    world.stock("TEA", 1)
    order = unseen(world)
    invalidate(world, order.id, replace(world.partner, origin="192.0.2.7"))
    assert steps(world, order.id)[-1] == ("order.invalidated", "wrong card")
    (entry,) = audited(world, "order.invalidated")
    assert (entry.actor, entry.origin, entry.subject) == ("key_test", "192.0.2.7", order.id)
    assert (entry.details or {})["codes"] == "returned to stock"
