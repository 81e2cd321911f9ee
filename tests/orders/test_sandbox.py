"""Test mode: every outcome on purpose, from generated codes, and never a live one among them."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.catalog import UnknownSku
from cardrail.kernel import Mode
from cardrail.orders import TEST_SKUS, Buyer, Order, OrderState, OutOfStock, PriceChanged
from cardrail.orders.decide import decide
from cardrail.orders.place import load
from cardrail.orders.save import save
from tests.build import World, item, the_order, the_refusal
from tests.orders.build import cancel, findings, in_test_mode, moved, reveals, stands, steps, unpaid


@pytest.fixture
def test(world: World) -> Buyer:
    """The partner with a test key."""
    return in_test_mode(world.partner)


def order(world: World, test: Buyer, sku: str, quantity: int = 1, **facts: Any) -> Order:
    return world.order(sku, quantity, buyer=test, **facts)


def refusal(world: World, test: Buyer, sku: str, quantity: int = 1) -> Exception:
    return the_refusal(world.place(world.command(item(sku, quantity), buyer=test))[0])


def test_test_ok_is_delivered_and_charged(world: World, test: Buyer) -> None:
    placed = order(world, test, "TEST_OK", 3)
    assert (placed.state, placed.charged_minor, world.balance(test)) == (OrderState.FULFILLED, 3_000, "999970.00")
    assert len(set(world.codes(placed))) == 3
    assert (len(reveals(world)), findings(world)) == (1, [])


@pytest.mark.parametrize(("asked", "came"), [(2, 1), (3, 1), (5, 2), (1_000, 500)])
def test_test_partial_delivers_half_rounded_down(world: World, test: Buyer, asked: int, came: int) -> None:
    placed = order(world, test, "TEST_PARTIAL", asked)
    assert (placed.state, placed.items[0].delivered, placed.charged_minor) == (OrderState.PARTIALLY_FULFILLED, came, came * 1_000)
    assert (len(world.codes(placed)), findings(world)) == (came, [])


def test_half_of_one_is_nothing_and_so_out_of_stock(world: World, test: Buyer) -> None:
    assert isinstance(refusal(world, test, "TEST_PARTIAL", 1), OutOfStock)


def test_whoever_refuses_parts_is_refused_test_partial(world: World, test: Buyer) -> None:
    (outcome,) = world.place(world.command(item("TEST_PARTIAL", 4), buyer=test, allow_partial=False))
    assert isinstance(the_refusal(outcome), OutOfStock)


def test_test_refund_takes_the_money_and_gives_it_back(world: World, test: Buyer) -> None:
    placed = order(world, test, "TEST_REFUND", 2)
    assert (placed.state, placed.charged_minor, world.balance(test)) == (OrderState.FAILED, 0, "1000000.00")
    assert moved(world, placed.id) == [("hold", "pending", 2_000), ("void", "void", 2_000)]
    assert (stands(world, placed.id, test).state, findings(world)) == (OrderState.FAILED, [])


def test_test_pending_waits_with_its_money_held_until_it_is_cancelled(world: World, test: Buyer) -> None:
    placed = order(world, test, "TEST_PENDING", 2)
    assert (placed.state, world.balance(test), moved(world, placed.id)) == (
        OrderState.PLACED,
        "999980.00",
        [("hold", "pending", 2_000)],
    )
    assert findings(world) == []
    cancel(world, placed.id, test)
    assert (world.balance(test), steps(world, placed.id)[-1][0], findings(world)) == ("1000000.00", "order.cancelled", [])


def test_what_is_refused_on_purpose_changes_nothing(world: World, test: Buyer) -> None:
    assert isinstance(refusal(world, test, "TEST_OUT_OF_STOCK"), OutOfStock)
    assert isinstance(refusal(world, test, "TEST_PRICE_CHANGED"), PriceChanged)
    assert (world.balance(test), findings(world)) == ("1000000.00", [])


def test_a_line_that_is_out_of_stock_leaves_the_others(world: World, test: Buyer) -> None:
    (outcome,) = world.place(world.command(item("TEST_OUT_OF_STOCK"), item("TEST_OK", 2), buyer=test))
    assert [one.state for one in the_order(outcome).items] == [OrderState.FAILED, OrderState.FULFILLED]
    assert findings(world) == []


def test_several_orders_of_the_sandbox_share_a_batch(world: World, test: Buyer) -> None:
    outcomes = world.place(*[world.command(item(sku, 2), buyer=test) for sku in TEST_SKUS for _ in range(2)])
    states = [outcome.order.state.value if hasattr(outcome, "order") else "refused" for outcome in outcomes]
    at_once = ["FULFILLED", "PARTIALLY_FULFILLED", "FAILED", "PLACED", "refused", "refused"]
    assert states[::2] == states[1::2] == [*at_once, *["PROCESSING"] * 3, "FULFILLED"]
    assert findings(world) == []


def test_an_ordinary_sku_gets_generated_codes(world: World, test: Buyer) -> None:
    placed = order(world, test, "TEA", 2)
    assert (placed.charged_minor, len(set(world.codes(placed)))) == (19_000, 2)
    assert world.codes(world.reveal(placed.id, test)) == world.codes(placed)
    assert findings(world) == []


def test_a_sold_as_range_sku_is_priced_by_its_face_value_in_test_mode_too(world: World, test: Buyer) -> None:
    assert order(world, test, "SHOES", face="250").charged_minor == 24_125


def test_test_stock_goes_first_and_the_rest_is_generated(world: World, test: Buyer) -> None:
    stocked = world.stock("TEA", 2, mode=Mode.TEST, cost="80")
    placed = order(world, test, "TEA", 5)
    codes = world.codes(placed)
    assert sorted(codes[:2]) == stocked
    assert (len(set(codes)), world.codes(world.reveal(placed.id, test))) == (5, codes)
    assert findings(world) == []


def test_a_test_order_never_takes_live_stock_or_live_money(world: World, test: Buyer) -> None:
    stocked = world.stock("TEA", 2)
    placed = order(world, test, "TEA", 2)
    assert not set(world.codes(placed)) & set(stocked)
    assert (world.in_stock("TEA"), world.balance()) == (2, "1000000.00")


def test_a_live_order_never_takes_test_stock(world: World) -> None:
    world.stock("TEA", 2, mode=Mode.TEST)
    assert isinstance(world.refusal(item("TEA")), OutOfStock)


def test_both_modes_share_a_batch_and_nothing_else(world: World, test: Buyer) -> None:
    stocked = world.stock("TEA", 1)
    one, other = world.place(world.command(item("TEA"), key="k"), world.command(item("TEA"), key="k", buyer=test))
    assert world.codes(the_order(one)) == stocked != world.codes(the_order(other))
    assert (world.balance(), world.balance(test), findings(world)) == ("999905.00", "999905.00", [])


@pytest.mark.parametrize("sku", TEST_SKUS)
def test_a_live_key_knows_no_reserved_sku(world: World, sku: str) -> None:
    assert isinstance(world.refusal(item(sku)), UnknownSku)


def test_an_unpaid_test_order_waits_and_is_paid_like_any_other(world: World, test: Buyer) -> None:
    waiting = unpaid(world, "TEST_PARTIAL", 4, buyer=test)
    assert isinstance(the_refusal(world.pay(waiting.id, test)), OutOfStock)  # paid is all or nothing
    assert the_order(world.pay(unpaid(world, "TEST_OK", buyer=test).id, test)).state is OrderState.FULFILLED
    pending = the_order(world.pay(unpaid(world, "TEST_PENDING", buyer=test).id, test))
    assert (pending.state, pending.pay_until, world.balance(test)) == (OrderState.PLACED, None, "999980.00")
    cancel(world, pending.id, test)
    assert findings(world) == []


@pytest.mark.parametrize(("sku", "state"), [("TEST_PENDING", OrderState.PLACED), ("TEST_REFUND", OrderState.FAILED)])
def test_a_line_without_a_price_holds_nothing(world: World, test: Buyer, sku: str, state: OrderState) -> None:
    command = world.command(item("TEA"), item(sku), buyer=test)
    with world.db.transaction() as tx:
        plan = decide([command], load(tx, world.shop, [command]))
        placed = plan.sales[0].order
        placed.total_minor -= placed.items[0].total_minor
        placed.items[0].unit_price_minor = placed.items[0].total_minor = 0  # no rule of the catalog gives such a price
        save(tx, world.shop.books, plan)
    placed = stands(world, placed.id, test)
    assert (placed.state, [one.hold_id is not None for one in placed.items]) == (state, [False, True])
    if state is OrderState.PLACED:
        cancel(world, placed.id, test)
    assert (world.balance(test), findings(world)) == ("1000000.00", [])
