"""Unpaid orders: the price is fixed and nothing is held; paying goes the way of placing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardrail.kernel import Mode, Money, new_order_id
from cardrail.ledger import InsufficientFunds, list_transfers
from cardrail.orders import (
    Buyer,
    CredentialChanged,
    NotPayable,
    OrderNotFound,
    OrderState,
    OutOfStock,
    PayOrder,
    expire_unpaid,
)
from tests.build import World, item, the_order, the_refusal, the_repeated
from tests.orders.build import audited, cancel, findings, in_test_mode, moved, paid, stands, steps, taxed, unpaid


def test_an_unpaid_order_fixes_its_price_and_holds_nothing(world: World) -> None:
    world.stock("TEA", 2)
    order = unpaid(world, "TEA", 2)
    assert (order.total_minor, world.balance(), world.in_stock("TEA")) == (19_000, "1000000.00", 2)
    assert moved(world, order.id) == []
    assert world.order("TEA", 2).state is OrderState.FULFILLED  # others may buy what it looked at


def test_paying_charges_and_delivers(world: World) -> None:
    stocked = world.stock("TEA", 2)
    order = paid(world, unpaid(world, "TEA", 2).id)
    assert (order.state, order.charged_minor, order.pay_until) == (OrderState.FULFILLED, 19_000, None)
    assert sorted(world.codes(order)) == stocked
    assert moved(world, order.id) == [("sale", "posted", 19_000)]
    assert steps(world, order.id) == [("order.placed", None), ("order.fulfilled", "paid")]
    assert (stands(world, order.id).charged_minor, findings(world)) == (19_000, [])


def test_the_price_is_the_one_of_the_day_it_was_placed(world: World) -> None:
    world.stock("TEA", 1)
    order = unpaid(world)
    taxed(world, fee_minor=100, tax_bps=2_000, discount_bps=0)
    assert paid(world, order.id).charged_minor == 9_500
    assert findings(world) == []


def test_fees_and_tax_are_charged_when_it_is_paid(world: World) -> None:
    taxed(world, fee_minor=100, tax_bps=2_000)
    world.stock("TEA", 1)
    order = paid(world, unpaid(world).id)
    assert moved(world, order.id) == [("fee", "posted", 100), ("sale", "posted", 9_500), ("tax", "posted", 1_920)]
    assert findings(world) == []


def test_who_allows_it_pays_for_what_there_is(world: World) -> None:
    world.stock("TEA", 2)
    order = unpaid(world, "TEA", 3)
    assert isinstance(the_refusal(world.pay(order.id)), OutOfStock)
    paid_for = the_order(world.place(PayOrder(order.id, world.partner, 3, allow_partial=True))[0])
    assert (paid_for.state, paid_for.items[0].delivered, paid_for.charged_minor) == (OrderState.PARTIALLY_FULFILLED, 2, 19_000)
    assert findings(world) == []


def test_paying_twice_pays_once(world: World) -> None:
    world.stock("TEA", 3)
    order = unpaid(world)
    first, second = world.place(*[PayOrder(order.id, world.partner) for _ in range(2)])
    third = world.pay(order.id)
    assert the_order(first).id == the_repeated(second) == the_repeated(third)
    assert (world.balance(), world.in_stock("TEA")) == ("999905.00", 2)


def test_of_payments_in_one_batch_each_has_its_own_outcome(world: World) -> None:
    world.stock("TEA", 60)
    poor = world.a_partner("INR", "300.00")
    one, dear, other = (unpaid(world, "TEA", count, buyer=poor).id for count in (1, 40, 2))
    outcomes = world.place(*[PayOrder(which, poor) for which in (one, dear, one, new_order_id(), other, dear)])
    assert [the_order(outcomes[n]).id for n in (0, 4)] == [one, other]
    assert the_repeated(outcomes[2]) == one
    assert [type(the_refusal(outcomes[n])) for n in (1, 3, 5)] == [InsufficientFunds, OrderNotFound, InsufficientFunds]
    assert (world.in_stock("TEA"), stands(world, dear, poor).charged_minor, findings(world)) == (57, 0, [])


def test_an_unknown_order_cannot_be_paid(world: World) -> None:
    assert isinstance(the_refusal(world.pay(new_order_id())), OrderNotFound)


def test_anothers_order_is_unknown_and_so_is_one_of_the_other_mode(world: World) -> None:
    world.stock("TEA", 1)
    order = unpaid(world)
    other = world.a_partner("INR", "500.00")
    for stranger in (other, in_test_mode(world.partner)):
        assert isinstance(the_refusal(world.pay(order.id, stranger)), OrderNotFound)
    assert stands(world, order.id).state is OrderState.PLACED


@pytest.mark.parametrize("order_of", [list, reversed])
def test_a_stranger_in_the_owners_batch_pays_nothing_and_gets_nothing(world: World, order_of: type) -> None:
    world.stock("TEA", 1)
    order = unpaid(world)
    other = world.a_partner("INR", "500.00")
    both = {who.partner_id: PayOrder(order.id, who) for who in (world.partner, other)}
    outcomes = dict(zip(order_of(list(both)), world.place(*order_of(list(both.values()))), strict=True))
    assert the_order(outcomes[world.partner.partner_id]).charged_minor == 9_500
    assert isinstance(the_refusal(outcomes[other.partner_id]), OrderNotFound)
    assert (world.balance(other), findings(world)) == ("500.00", [])


def test_an_order_is_paid_from_the_wallet_of_its_currency(world: World) -> None:
    world.stock("TEA", 1)
    order = unpaid(world)
    world.credit(world.partner.partner_id, Money.parse("500", "USD"), Mode.LIVE)
    dollars = replace(world.partner, currency="USD")  # what the partner has come to pay with by default
    assert paid(world, order.id, dollars).charged_minor == 9_500
    assert (world.balance(), world.balance(dollars), findings(world)) == ("999905.00", "500.00", [])


def test_a_changed_credential_cannot_pay(world: World) -> None:
    order = unpaid(world)
    stale = Buyer(world.partner.partner_id, world.partner.mode, "INR", "key_test", access_version=-1)
    assert isinstance(the_refusal(world.pay(order.id, stale)), CredentialChanged)


def test_an_order_that_stock_no_longer_covers_is_not_paid_in_part(world: World) -> None:
    world.stock("TEA", 1)
    order = unpaid(world, "TEA", 2)
    assert isinstance(the_refusal(world.pay(order.id)), OutOfStock)
    assert (stands(world, order.id).state, world.balance()) == (OrderState.PLACED, "1000000.00")
    world.stock("TEA", ["LATE-1"])
    assert paid(world, order.id).items[0].delivered == 2


def test_an_order_that_the_wallet_does_not_cover_stays_unpaid(world: World) -> None:
    world.stock("TEA", 2)
    poor = world.a_partner("INR", "94.99")
    order = unpaid(world, buyer=poor)
    assert isinstance(the_refusal(world.pay(order.id, poor)), InsufficientFunds)
    assert (stands(world, order.id, poor).state, world.in_stock("TEA")) == (OrderState.PLACED, 2)


def test_an_order_expires_and_then_can_neither_be_paid_nor_revived(world: World) -> None:
    world.stock("TEA", 1)
    order = unpaid(world)
    world.frozen.advance(minutes=30)
    refused = the_refusal(world.pay(order.id))
    assert isinstance(refused, NotPayable)
    assert refused.facts["expired"] is True
    assert (expire_unpaid(world.db, world.clock), expire_unpaid(world.db, world.clock)) == (1, 0)
    assert isinstance(the_refusal(world.pay(order.id)), NotPayable)
    assert steps(world, order.id) == [("order.placed", None), ("order.cancelled", "not paid in time")]


def test_only_what_is_overdue_expires(world: World) -> None:
    world.stock("TEA", 1)
    early, done = unpaid(world), unpaid(world)
    paid(world, done.id)
    world.frozen.advance(minutes=29)
    late = unpaid(world)
    world.frozen.advance(minutes=1)
    assert expire_unpaid(world.db, world.clock) == 1
    states = [stands(world, one.id).state for one in (early, done, late)]
    assert states == [OrderState.CANCELLED, OrderState.FULFILLED, OrderState.PLACED]


def test_a_cancelled_order_cannot_be_paid(world: World) -> None:
    order = unpaid(world)
    cancel(world, order.id)
    assert isinstance(the_refusal(world.pay(order.id)), NotPayable)


def test_an_order_of_several_lines_is_paid_whole(world: World) -> None:
    world.stock("TEA", ["A-1", "A-2"])
    world.stock("TEA", ["B-1"])
    world.stock("SHOES", 1, face="250")
    (outcome,) = world.place(world.command(item("TEA", 3), item("SHOES", 1, "250"), pay_later=True))
    order = paid(world, the_order(outcome).id)
    assert order.charged_minor == 3 * 9_500 + 24_125
    assert world.codes(world.reveal(order.id)) == world.codes(order)
    assert (len(audited(world, "code.revealed")), findings(world)) == (2, [])


def test_paying_an_order_that_was_paid_and_still_waits_pays_once(world: World) -> None:
    test = in_test_mode(world.partner)
    order = unpaid(world, "TEST_PENDING", buyer=test)
    first, second = world.place(*[PayOrder(order.id, test) for _ in range(2)])
    third = world.pay(order.id, test)
    assert the_order(first).id == the_repeated(second) == the_repeated(third)
    assert (world.balance(test), moved(world, order.id), findings(world)) == ("999990.00", [("hold", "pending", 1_000)], [])
    cancel(world, order.id, test)
    assert isinstance(the_refusal(world.pay(order.id, test)), NotPayable)


def test_the_statement_shows_a_late_payment_where_it_was_made(world: World) -> None:
    taxed(world, fee_minor=100, tax_bps=2_000)
    world.stock("TEA", 4)
    waiting = unpaid(world)
    world.order("TEA")
    paid(world, waiting.id)
    world.order("TEA")
    with world.db.read() as tx:
        page = list_transfers(tx, world.partner.partner_id, Mode.LIVE).items
    of_orders = [one.wallet_after_minor or 0 for one in page if one.order_id]
    assert of_orders == sorted(of_orders)  # newest first: each took something
