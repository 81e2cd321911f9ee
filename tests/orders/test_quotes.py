"""An order with a quote gets exactly its price, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardrail.catalog import QuoteExpired, QuoteMismatch, QuoteNotFound, QuoteUsed
from cardrail.orders import ItemRequest, OutOfStock
from tests.build import World, item, the_order, the_refusal, the_repeated
from tests.orders.build import findings, in_test_mode, quoted, taxed


def test_the_price_is_the_quotes_whatever_happened_since(world: World) -> None:
    world.stock("TEA", 4)
    quote = quoted(world, ("TEA", 2))
    taxed(world, fee_minor=100, tax_bps=2_000)
    order = world.order("TEA", 2, quote_id=quote.id)
    assert (order.charged_minor, order.quote_id) == (quote.total_minor, quote.id) == (19_000, quote.id)
    assert world.order("TEA", 2).charged_minor == 23_040
    assert findings(world) == []


def test_a_quotes_fees_and_tax_are_charged_as_quoted(world: World) -> None:
    world.stock("TEA", 3)
    rule = taxed(world, fee_minor=100, tax_bps=2_000)
    quote = quoted(world, ("TEA", 3))
    taxed(world, fee_minor=0, tax_bps=0)
    order = world.order("TEA", 3, quote_id=quote.id)
    assert (order.charged_minor, order.items[0].tax_bps, rule.tax_bps) == (34_560, 2_000, 2_000)
    assert findings(world) == []


def test_of_a_quote_only_what_came_is_charged(world: World) -> None:
    world.stock("TEA", 1)
    quote = quoted(world, ("TEA", 3))
    assert world.order("TEA", 3, quote_id=quote.id).charged_minor == 9_500


def test_a_quote_serves_one_order(world: World) -> None:
    world.stock("TEA", 3)
    quote = quoted(world, ("TEA", 1))
    one, two = world.place(*[world.command(item("TEA"), quote_id=quote.id) for _ in range(2)])
    the_order(one)
    for refused in (the_refusal(two), world.refusal(item("TEA"), quote_id=quote.id)):
        assert isinstance(refused, QuoteUsed)
    assert world.in_stock("TEA") == 2


def test_a_repeat_of_the_order_does_not_need_the_quote_again(world: World) -> None:
    world.stock("TEA", 1)
    quote = quoted(world, ("TEA", 1))
    first = world.order("TEA", key="k", quote_id=quote.id)
    world.frozen.advance(hours=1)
    assert the_repeated(world.place(world.command(item("TEA"), key="k", quote_id=quote.id))[0]) == first.id


def test_a_refusal_leaves_the_quote_unused(world: World) -> None:
    quote = quoted(world, ("TEA", 1))
    assert isinstance(world.refusal(item("TEA"), quote_id=quote.id), OutOfStock)
    world.stock("TEA", 1)
    assert world.order("TEA", quote_id=quote.id).charged_minor == 9_500


def test_a_quote_holds_for_fifteen_minutes(world: World) -> None:
    world.stock("TEA", 1)
    quote = quoted(world, ("TEA", 1))
    world.frozen.advance(minutes=15)
    assert isinstance(world.refusal(item("TEA"), quote_id=quote.id), QuoteExpired)


@pytest.mark.parametrize(
    "asked", [[item("TEA")], [item("TEA", 3)], [item("BOOKS", 2)], [item("TEA", 2), item("TEA")], [item("TEA"), item("TEA")]]
)
def test_an_order_for_anything_else_does_not_match(world: World, asked: list[ItemRequest]) -> None:
    world.stock("TEA", 5)
    quote = quoted(world, ("TEA", 2))
    assert isinstance(world.refusal(*asked, quote_id=quote.id), QuoteMismatch)


def test_a_quote_in_another_currency_does_not_match(world: World) -> None:
    quote = quoted(world, ("TEA", 1))
    dollars = replace(world.partner, currency="USD")
    assert isinstance(world.refusal(item("TEA"), quote_id=quote.id, buyer=dollars), QuoteMismatch)


def test_anothers_quote_and_one_of_the_other_mode_are_unknown(world: World) -> None:
    world.stock("TEA", 1)
    quote = quoted(world, ("TEA", 1))
    other = world.a_partner("INR", "500.00")
    for stranger in (other, in_test_mode(world.partner)):
        assert isinstance(world.refusal(item("TEA"), quote_id=quote.id, buyer=stranger), QuoteNotFound)
    assert isinstance(world.refusal(item("TEA"), quote_id="quo_none"), QuoteNotFound)


def test_an_unpaid_order_keeps_its_quotes_price(world: World) -> None:
    world.stock("TEA", 2)
    quote = quoted(world, ("TEA", 2))
    order = world.order("TEA", 2, quote_id=quote.id, pay_later=True)
    taxed(world, fee_minor=100, tax_bps=2_000)
    assert the_order(world.pay(order.id)).charged_minor == 19_000
    assert isinstance(world.refusal(item("TEA", 2), quote_id=quote.id), QuoteUsed)
