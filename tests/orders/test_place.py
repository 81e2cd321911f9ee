"""Placing orders from stock: what is charged, what comes, what is refused, and what a repeat gets."""

from dataclasses import replace

import pytest

from cardrail.catalog import FaceValueRequired, InvalidFaceValue, UnknownSku
from cardrail.kernel import MINOR_MAX, Mode, Money, Reference
from cardrail.ledger import InsufficientFunds
from cardrail.orders import (
    AmountTooLarge,
    CredentialChanged,
    IdempotencyConflict,
    ItemRequest,
    OrderState,
    OutOfStock,
    PriceChanged,
    ReferenceUsed,
    TooManyUnits,
    WrongCurrency,
    get_order_numbered,
    number_orders,
)
from cardrail.orders.model import TOTAL_MAX
from tests.build import World, item, the_order, the_refusal, the_repeated
from tests.orders.build import findings, in_test_mode, taxed


def test_an_order_from_stock_is_charged_and_gets_its_code(world: World) -> None:
    stocked = world.stock("TEA", 3)
    order = world.order("TEA")
    assert order.state is OrderState.FULFILLED
    assert (order.total_minor, order.charged_minor) == (9_500, 9_500)
    assert world.codes(order)[0] in stocked
    assert world.balance() == "999905.00"


def test_a_range_is_priced_by_its_face_value(world: World) -> None:
    world.stock("SHOES", 2, face="250")
    order = world.order("SHOES", 2, face="250")
    assert order.charged_minor == 2 * 24_125  # 250.00 less 3.5 % is 241.25
    assert order.items[0].face_minor == 25_000


def test_a_line_is_its_rounded_unit_price_times_its_quantity(world: World) -> None:
    world.stock("BOOKS", 7)
    order = world.order("BOOKS", 7)
    assert order.items[0].unit_price_minor == 3_216  # 33.33 less 3.5 % is 32.16345
    assert order.charged_minor == 7 * 3_216


def test_what_there_is_not_is_not_charged(world: World) -> None:
    world.stock("TEA", 3)
    order = world.order("TEA", 5)
    assert order.state is OrderState.PARTIALLY_FULFILLED
    assert (order.items[0].delivered, order.charged_minor, order.total_minor) == (3, 3 * 9_500, 5 * 9_500)
    assert len(set(world.codes(order))) == 3


def test_each_line_has_its_own_outcome(world: World) -> None:
    world.stock("TEA", 1)
    (outcome,) = world.place(world.command(item("TEA"), item("BOOKS")))
    order = the_order(outcome)
    assert [one.state for one in order.items] == [OrderState.FULFILLED, OrderState.FAILED]
    assert order.state is OrderState.PARTIALLY_FULFILLED
    assert order.charged_minor == 9_500


def test_an_order_that_refuses_partial_gets_all_or_nothing(world: World) -> None:
    world.stock("TEA", 3)
    assert isinstance(world.refusal(item("TEA", 2), item("TEA", 2), allow_partial=False), OutOfStock)
    assert (world.in_stock("TEA"), world.balance()) == (3, "1000000.00")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (item("NOTHING"), UnknownSku),
        (item("TEST_OK"), UnknownSku),  # a live key knows no reserved sku
        (item("TEA", face="99"), InvalidFaceValue),
        (item("SHOES"), FaceValueRequired),
        (item("SHOES", face="99.99"), InvalidFaceValue),
        (item("SHOES", face="100.50"), InvalidFaceValue),
        (item("SHOES", face="1001"), InvalidFaceValue),
        (item("TEA"), OutOfStock),
        (item("TEA", 2_001), TooManyUnits),
    ],
)
def test_what_cannot_be_sold_is_refused_and_changes_nothing(world: World, asked: ItemRequest, why: type[Exception]) -> None:
    assert type(world.refusal(asked)) is why or isinstance(world.refusal(asked), why)
    assert world.balance() == "1000000.00"


def test_a_face_value_in_another_currency_is_refused(world: World) -> None:
    command = world.command(item("SHOES"))
    wrong = world.command(*[type(one)(one.sku, 1, Money.parse("250", "EUR")) for one in command.items])
    assert isinstance(the_refusal(world.place(wrong)[0]), WrongCurrency)


def test_an_order_beyond_the_balance_is_refused(world: World) -> None:
    world.stock("TEA", 2)
    poor = world.a_partner("INR", "100.00")
    assert world.order("TEA", buyer=poor).charged_minor == 9_500
    assert isinstance(world.refusal(item("TEA"), buyer=poor), InsufficientFunds)
    assert (world.balance(poor), world.in_stock("TEA")) == ("5.00", 1)


def test_orders_of_one_batch_see_what_the_ones_before_them_took(world: World) -> None:
    world.stock("TEA", 2)
    outcomes = world.place(*[world.command(item("TEA")) for _ in range(3)])
    assert [type(one).__name__ for one in outcomes] == ["Placed", "Placed", "Refused"]
    assert len({code for one in outcomes[:2] for code in world.codes(the_order(one))}) == 2


def test_a_price_above_the_ceiling_is_refused(world: World) -> None:
    world.stock("TEA", 1)
    assert isinstance(world.refusal(item("TEA"), max_total=Money.parse("94.99", "INR")), PriceChanged)
    assert world.order("TEA", max_total=Money.parse("95.00", "INR")).charged_minor == 9_500


def test_a_repeated_key_returns_the_first_order(world: World) -> None:
    world.stock("TEA", 2)
    first = world.order("TEA", key="k1")
    again = the_repeated(world.place(world.command(item("TEA"), key="k1"))[0])
    assert again == first.id
    assert world.codes(world.reveal(again)) == world.codes(first)
    assert (world.in_stock("TEA"), world.balance()) == (1, "999905.00")


def test_a_key_twice_in_one_batch_makes_one_order(world: World) -> None:
    world.stock("TEA", 2)
    one, two = world.place(*[world.command(item("TEA"), key="k1") for _ in range(2)])
    assert the_repeated(two) == the_order(one).id
    assert world.in_stock("TEA") == 1


def test_an_order_whose_number_is_anothers_gets_one_of_its_own(world: World) -> None:
    world.stock("TEA", 3)
    first = world.order("TEA", number=4_000)
    one, two = [the_order(done) for done in world.place(*[world.command(item("TEA"), number=of) for of in (4_000, 4_001)])]
    assert (one.number, two.number) == (None, None)
    number_orders(world.db, [one, two])
    assert len({first.number, one.number, two.number}) == 3
    assert get_order_numbered(world.db, world.partner, one.number or 0).id == one.id


def test_a_key_with_another_order_is_a_conflict(world: World) -> None:
    world.stock("TEA", 3)
    world.order("TEA", key="k1")
    assert isinstance(world.refusal(item("TEA", 2), key="k1"), IdempotencyConflict)


def test_a_key_is_not_burnt_by_a_refusal(world: World) -> None:
    assert isinstance(world.refusal(item("TEA"), key="k1"), OutOfStock)
    world.stock("TEA", 1)
    assert world.order("TEA", key="k1").state is OrderState.FULFILLED


def test_a_reference_binds_one_order_for_ever(world: World) -> None:
    world.stock("TEA", 3)
    first = world.order("TEA", reference=Reference("A-1"), key="k1")
    refused = world.refusal(item("TEA"), reference=Reference("A-1"), key="k2")
    assert isinstance(refused, ReferenceUsed)
    assert refused.facts["order_id"] == first.id


def test_a_reference_alone_serves_as_the_key(world: World) -> None:
    world.stock("TEA", 3)
    first = world.order("TEA", reference=Reference("A-1"))
    assert the_repeated(world.place(world.command(item("TEA"), reference=Reference("A-1")))[0]) == first.id
    assert isinstance(world.refusal(item("TEA", 2), reference=Reference("A-1")), IdempotencyConflict)


def test_two_partners_may_use_the_same_key(world: World) -> None:
    world.stock("TEA", 2)
    other = world.a_partner("INR", "500.00")
    assert world.order("TEA", key="k1").id != world.order("TEA", key="k1", buyer=other).id


def test_an_order_over_several_lots_is_one_order_with_all_its_codes(world: World) -> None:
    stocked = world.stock("TEA", ["A-1", "A-2"]) + world.stock("TEA", ["B-1", "B-2"])
    order = world.order("TEA", 3)
    assert set(world.codes(order)) < set(stocked)
    assert len(order.items[0].allocations) == 2
    assert world.codes(world.reveal(order.id)) == world.codes(order)


def test_a_credential_that_changed_meanwhile_is_not_served(world: World) -> None:
    world.stock("TEA", 1)
    stale = type(world.partner)(world.partner.partner_id, Mode.LIVE, "INR", "key_x", access_version=-1)
    assert isinstance(world.refusal(item("TEA"), buyer=stale), CredentialChanged)


def test_a_repeat_that_names_no_currency_is_the_same_whatever_the_partner_pays_with_by_now(world: World) -> None:
    world.stock("TEA", 2)
    first = world.order("TEA", key="k")
    dollars = replace(world.partner, currency="USD")
    assert the_repeated(world.place(world.command(item("TEA"), key="k", buyer=dollars))[0]) == first.id
    named = world.command(item("TEA"), key="k", buyer=dollars, currency="USD")
    assert isinstance(the_refusal(world.place(named)[0]), IdempotencyConflict)


@pytest.mark.parametrize("pay_later", [False, True])
def test_a_total_that_no_column_holds_is_refused(world: World, pay_later: bool) -> None:
    taxed(world, fee_minor=MINOR_MAX, tax_bps=10_000)
    asked = (item("TEA", 1_000), item("TEA", 1_000))
    refused = world.refusal(*asked, pay_later=pay_later)
    assert isinstance(refused, AmountTooLarge)
    assert refused.facts == {"max_minor": TOTAL_MAX}
    assert isinstance(world.refusal(*asked, pay_later=pay_later, buyer=in_test_mode(world.partner)), AmountTooLarge)


def test_the_largest_total_is_kept_as_it_is(world: World) -> None:
    taxed(world, fee_minor=MINOR_MAX, tax_bps=0)
    order = world.order("TEA", 9, pay_later=True)
    assert (order.total_minor, findings(world)) == (9 * (MINOR_MAX + 9_500), [])
    assert order.total_minor < TOTAL_MAX < 10 * MINOR_MAX
