"""Fees and tax: on top of the price, charged for what came, each to its own account. The sums are worked by hand."""

from __future__ import annotations

from cardrail.kernel import Mode
from cardrail.ledger import InsufficientFunds, Purpose, account_parts, platform_balances
from tests.build import World, item, the_order
from tests.orders.build import findings, moved, taxed, transfers

# TEA: 100.00 less 5 % is 95.00 a unit. BOOKS: 33.33 less 5 % is 31.6635, so 31.66.


def test_an_order_pays_price_fee_and_the_tax_on_both(world: World) -> None:
    taxed(world, fee_minor=250, tax_bps=1_900)
    world.stock("TEA", 3)
    order = world.order("TEA", 3)
    assert moved(world, order.id) == [("fee", "posted", 750), ("sale", "posted", 28_500), ("tax", "posted", 5_558)]
    assert order.charged_minor == order.total_minor == 28_500 + 750 + 5_558  # 19 % of 29,250 is 5,557.5
    assert findings(world) == []


def test_what_did_not_come_costs_neither_fee_nor_tax(world: World) -> None:
    taxed(world, fee_minor=250, tax_bps=1_900)
    world.stock("TEA", 2)
    order = world.order("TEA", 3)
    assert moved(world, order.id) == [("fee", "posted", 500), ("sale", "posted", 19_000), ("tax", "posted", 3_705)]
    assert (order.total_minor, order.charged_minor, world.balance()) == (34_808, 23_205, "999767.95")
    assert findings(world) == []


def test_tax_is_rounded_once_a_line(world: World) -> None:
    taxed(world, fee_minor=7, tax_bps=825)
    world.stock("BOOKS", 9)
    (outcome,) = world.place(world.command(item("BOOKS", 4), item("BOOKS", 5)))
    order = the_order(outcome)
    lines = [(4 * 3_173, 1_047), (5 * 3_173, 1_309)]  # 8.25 % of 12,692 is 1,047.09; of 15,865 it is 1,308.8625
    assert [one.charged_minor for one in order.items] == [net + tax for net, tax in lines]
    assert moved(world, order.id) == [("fee", "posted", 63), ("sale", "posted", 9 * 3_166), ("tax", "posted", 2_356)]
    assert findings(world) == []


def test_each_part_goes_to_its_own_account(world: World) -> None:
    taxed(world, fee_minor=250, tax_bps=1_900)
    world.stock("TEA", 1)
    world.order("TEA")
    with world.db.read() as tx:
        found = {one.purpose: one.balance_minor for one in platform_balances(tx) if one.mode is Mode.LIVE}
    assert [found[one] for one in (Purpose.SALES, Purpose.FEES, Purpose.TAX)] == [-9_500, -250, -1_853]


def test_each_transfer_says_what_was_in_the_wallet_after_it(world: World) -> None:
    taxed(world, fee_minor=250, tax_bps=1_900)
    world.stock("TEA", 4)
    first, second = [the_order(one) for one in world.place(*[world.command(item("TEA", 2)) for _ in range(2)])]
    after = {account_parts(one.credit).purpose: one.wallet_after_minor for one in transfers(world, first.id)}
    assert after == {Purpose.SALES: 99_981_000, Purpose.FEES: 99_980_500, Purpose.TAX: 99_976_795}
    assert min(one.wallet_after_minor or 0 for one in transfers(world, second.id)) == 99_953_590
    assert world.balance() == "999535.90"


def test_the_wallet_must_cover_fees_and_tax_too(world: World) -> None:
    taxed(world, fee_minor=250, tax_bps=1_900)
    world.stock("TEA", 1)
    poor = world.a_partner("INR", "95.00")
    assert world.order("TEA", buyer=poor).charged_minor == 9_500  # the rule is the other partner's
    with_rule = world.partner.partner_id
    assert with_rule != poor.partner_id
    world.stock("TEA", ["LAST"])
    spent = world.order("TEST_OK", 1, buyer=type(poor)(poor.partner_id, Mode.TEST, "INR", "key_test"))
    assert spent.charged_minor == 1_000
    assert isinstance(world.refusal(item("TEA"), buyer=poor), InsufficientFunds)
