"""Orders whose whole price must be covered though stock is short, orders of a free sandbox, and how a wallet's changes tell of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from cardrail.catalog import NEW_RULE, PriceRule, set_price_rule
from cardrail.kernel import Mode
from cardrail.ledger import BalanceChange, InsufficientFunds, slice_changes
from cardrail.orders import Buyer, OrderState
from tests.build import World, item, the_order, the_refusal
from tests.orders.build import findings, in_test_mode, moved


def changes(world: World, buyer: Buyer, **facts: Any) -> tuple[list[BalanceChange], int]:
    asked = {"since": None, "until": None, "offset": 0, "limit": 100} | facts
    with world.db.read() as tx:
        return slice_changes(tx, buyer.partner_id, Mode.LIVE, buyer.currency, **asked)


def steps(found: list[BalanceChange]) -> list[tuple[str, int, int]]:
    return [(one.transfer.purpose.value, one.change_minor, one.after_minor) for one in found]


def test_what_is_short_is_held_and_given_back_in_the_same_commit(world: World) -> None:
    world.stock("TEA", 3)
    placed = world.order("TEA", 5, holds_short=True)
    assert (placed.state, placed.items[0].delivered, placed.charged_minor) == (OrderState.PARTIALLY_FULFILLED, 3, 28_500)
    assert moved(world, placed.id) == [("hold", "pending", 19_000), ("sale", "posted", 28_500), ("void", "void", 19_000)]
    assert (world.balance(), findings(world)) == ("999715.00", [])


def test_where_nothing_is_short_nothing_is_held(world: World) -> None:
    world.stock("TEA", 5)
    placed = world.order("TEA", 5, holds_short=True)
    assert moved(world, placed.id) == [("sale", "posted", 47_500)]


def test_the_wallet_must_cover_the_whole_price(world: World) -> None:
    world.stock("TEA", 3)
    poor = world.a_partner("INR", "474.99")
    (refused,) = world.place(world.command(item("TEA", 5), buyer=poor, holds_short=True))
    assert isinstance(the_refusal(refused), InsufficientFunds)
    (taken,) = world.place(world.command(item("TEA", 5), buyer=poor))
    assert the_order(taken).charged_minor == 28_500


def test_what_is_given_back_can_be_spent_by_the_next_batch_only(world: World) -> None:
    world.stock("TEA", 4)
    world.stock("BOOKS", 1)
    poor = world.a_partner("INR", "475.00")
    short, more = world.command(item("TEA", 5), buyer=poor, holds_short=True), world.command(item("BOOKS", 1), buyer=poor)
    outcomes = world.place(short, more)
    assert the_order(outcomes[0]).charged_minor == 38_000
    assert isinstance(the_refusal(outcomes[1]), InsufficientFunds)
    assert (world.balance(poor), findings(world)) == ("95.00", [])


def test_free_test_orders_move_no_money(world: World) -> None:
    test = in_test_mode(world.partner)
    for sku, state in (
        ("TEST_OK", OrderState.FULFILLED),
        ("TEST_PARTIAL", OrderState.PARTIALLY_FULFILLED),
        ("TEST_REFUND", OrderState.FAILED),
        ("TEST_PENDING", OrderState.PLACED),
    ):
        (outcome,) = world.place(world.command(item(sku, 2), buyer=test, is_free=True))
        placed = the_order(outcome)
        assert (placed.state, placed.total_minor, moved(world, placed.id)) == (state, 0, [])
    assert (world.balance(test), findings(world)) == ("1000000.00", [])


def test_a_free_order_of_a_live_sku_is_not_free(world: World) -> None:
    world.stock("TEA", 1)
    assert world.order("TEA", is_free=True).charged_minor == 9_500


def test_the_vendors_worked_example(world: World) -> None:
    """Balance 10,000, price 588, five ordered, three delivered (specs/oneclickdz.md, section 3)."""
    offer = world.catalog.current().offer("TEA")
    assert offer is not None
    partner = world.a_partner("INR", "10000.00")
    rule = PriceRule(NEW_RULE, partner.partner_id, None, None, offer.denomination_id, "fixed", 58_800, offer.currency)
    set_price_rule(world.db, world.clock, world.audit, rule, actor="test")
    world.stock("TEA", 3)
    world.order("TEA", 5, buyer=partner, holds_short=True)
    found, total = changes(world, partner)
    assert steps(found) == [("void", 117_600, 823_600), ("sale", -294_000, 706_000), ("credit", 1_000_000, 1_000_000)]
    assert total == 3


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_changes_chain_from_page_to_page_also_within_a_batch(world: World, size: int) -> None:
    world.stock("TEA", 7)
    partner = world.a_partner("INR", "5000.00")
    commands = [world.command(item("TEA", n), buyer=partner, holds_short=True) for n in (2, 3, 5, 1)]
    world.place(*commands)
    whole, total = changes(world, partner)
    found = [one for n in range(0, total, size) for one in changes(world, partner, offset=n, limit=size)[0]]
    assert found == whole
    assert len(whole) == total
    assert all(newer.after_minor - newer.change_minor == older.after_minor for newer, older in pairwise(whole))
    assert (whole[-1].after_minor, whole[0].after_minor) == (500_000, 500_000 - 7 * 9_500)
