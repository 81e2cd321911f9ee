"""What a claim comes to: another code, the money, or a no; in the books, in the order's codes, and when the order is taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardrail.kernel import Mode
from cardrail.ledger import Purpose
from cardrail.orders import (
    InvalidTransition,
    NothingToReplaceWith,
    Order,
    ReplacementDecision,
    ReplacementPolicy,
    ReplacementState,
    refund_order,
    reveal_replaced,
)
from cardrail.settlement.margin import margin_columns, margin_rows
from cardrail.vault import load_lots
from tests.build import item, the_order
from tests.orders.build import invalidate, refund, steps, taxed
from tests.orders.test_invalidate import AT_OUR_COST
from tests.replacements.build import NODE, Claims

D, S = ReplacementDecision, ReplacementState


def former(shop: Claims, order: Order) -> list[tuple[str, str | None]]:
    """(state, code) of what was replaced or paid back."""
    seen = shop.reveal(order.id, shop.owner(order))
    ended = reveal_replaced(shop.db, shop.clock, shop.audit, shop.owner(order), seen)
    opened = [(one.replacement.state.value, one.open(shop.opener)) for one in ended]
    return [(state, None if code is None else code[0].code) for state, code in opened]


def test_nobody_decides_by_himself_unless_the_operator_has_said_so(shop: Claims) -> None:
    shop.stock("TEA", 2)
    one = shop.settle(shop.claim(shop.sold()))
    assert (one.state, one.because, shop.in_stock("TEA")) == (S.NEEDS_REVIEW, "nobody is known who sold it to us", 1)


def test_from_stock_the_new_code_stands_in_the_bad_ones_place(shop: Claims) -> None:
    codes = set(shop.stock("TEA", 3, cost="80"))
    order = shop.sold("TEA", 2)
    first, second = shop.shown(order)
    one = shop.decide(shop.claim(order, 1), D.STOCK)
    (third,) = codes - {first, second}
    assert (one.state, one.source, shop.shown(order)) == (S.REPLACED, "stock", [third, second])
    assert former(shop, order) == [("REPLACED", first)]
    assert (shop.in_stock("TEA"), shop.balance(), shop.findings()) == (0, "999810.00", [])
    assert shop.told() == ["replacement.requested", "code.replaced"]


def test_what_the_bad_code_had_cost_is_lost_and_what_the_new_one_cost_is_sold(shop: Claims) -> None:
    shop.stock("TEA", 3, cost="80")
    order = shop.sold("TEA", 2)
    shop.decide(shop.claim(order, 1), D.STOCK)
    assert (shop.worth(Purpose.STOCK), shop.worth(Purpose.COST_OF_GOODS), shop.worth(Purpose.WRITE_OFFS)) == (0, 16_000, 8_000)


def test_a_replacement_that_is_bad_too_is_replaced_in_its_turn(shop: Claims) -> None:
    shop.stock("TEA", 4)
    order = shop.sold("TEA", 2)
    seen = [shop.shown(order)]
    for _ in range(2):
        shop.decide(shop.claim(order, 2), D.STOCK)
        seen.append(shop.shown(order))
    assert ({one[0] for one in seen}, len({one[1] for one in seen}), shop.findings()) == ({seen[0][0]}, 3, [])
    assert former(shop, order) == [("REPLACED", seen[0][1]), ("REPLACED", seen[1][1])]


def test_a_refund_is_what_the_unit_was_charged_and_the_code_is_dead(shop: Claims) -> None:
    shop.stock("TEA", 2, cost="80")
    order = shop.sold("TEA", 2)
    codes = shop.shown(order)
    one = shop.decide(shop.claim(order, 2), D.REFUND)
    assert (one.state, one.refunded_minor, shop.stands(order).refunded_minor) == (S.REFUNDED, 9_500, 9_500)
    assert (shop.balance(), shop.worth(Purpose.WRITE_OFFS), shop.findings()) == ("999905.00", 8_000, [])
    assert (shop.shown(order), former(shop, order)) == (codes, [("REFUNDED", None)])
    assert ("order.refunded", "looked at it") in steps(shop, order.id)


def test_a_code_that_was_paid_back_is_not_claimed_again(shop: Claims) -> None:
    shop.stock("TEA", 3)
    order = shop.sold("TEA", 2)
    shop.decide(shop.claim(order, 2), D.REFUND)
    with pytest.raises(Exception, match="paid back already"):
        shop.claim(order, 2)
    assert shop.decide(shop.claim(order, 1), D.STOCK).state is S.REPLACED


def test_a_no_changes_nothing_but_may_be_followed_by_better_evidence(shop: Claims) -> None:
    codes = shop.stock("TEA", 1)
    order = shop.sold()
    assert shop.decide(shop.claim(order), D.REFUSE).state is S.REFUSED
    assert (shop.shown(order), shop.balance(), shop.findings()) == (codes, "999905.00", [])
    assert shop.claim(order, evidence="a picture").state is S.REQUESTED


def test_what_was_decided_stays_decided(shop: Claims) -> None:
    shop.stock("TEA", 3)
    one = shop.decide(shop.claim(shop.sold()), D.STOCK)
    for decision in D:
        with pytest.raises(InvalidTransition):
            shop.decide(one, decision)
    assert shop.in_stock("TEA") == 1


def test_without_stock_there_is_nothing_to_give_and_the_claim_stays_open(shop: Claims) -> None:
    shop.stock("TEA", 1)
    one = shop.claim(shop.sold())
    with pytest.raises(NothingToReplaceWith):
        shop.decide(one, D.STOCK)
    shop.policy = ReplacementPolicy(unasked="stock")
    assert shop.settle(one).because == "nobody is known who sold it to us; there is none in stock"


def test_the_operators_policy_decides_where_no_supplier_does(shop: Claims) -> None:
    shop.stock("TEA", 3)
    order = shop.sold("TEA", 2)
    shop.policy = ReplacementPolicy(unasked="refund")
    assert shop.settle(shop.claim(order, 1)).state is S.REFUNDED
    shop.policy = ReplacementPolicy(unasked="stock")
    assert (shop.settle(shop.claim(order, 2)).state, shop.findings()) == (S.REPLACED, [])


def test_an_order_that_was_paid_back_meanwhile_gets_no_code_and_no_money_again(shop: Claims) -> None:
    shop.policy = ReplacementPolicy(unasked="stock")
    shop.stock("TEA", 2)
    order = shop.sold()
    one = shop.claim(order)
    refund_order(shop.db, shop.clock, shop.audit, order.id, None, node=NODE, because="goodwill", actor="cli")
    for decision in (D.STOCK, D.REFUND):
        with pytest.raises(InvalidTransition):
            shop.decide(one, decision)
    assert (shop.settle(one).state, shop.in_stock("TEA"), shop.balance()) == (S.REFUSED, 1, "1000000.00")


def test_an_order_that_is_taken_back_takes_its_claims_and_the_new_codes_with_it(shop: Claims) -> None:
    shop.stock("TEA", 5, cost="80")
    order = shop.sold("TEA", 3)
    shop.decide(shop.claim(order, 1), D.STOCK)
    shop.decide(shop.claim(order, 2), D.REFUND)
    waiting = shop.claim(order, 3)
    done = invalidate(shop, order.id, policy=AT_OUR_COST)
    assert (done.refunded_minor, shop.balance(), shop.now(waiting).state) == (28_500, "1000000.00", S.REFUSED)
    assert (shop.worth(Purpose.COST_OF_GOODS), shop.worth(Purpose.WRITE_OFFS), shop.worth(Purpose.STOCK)) == (0, 32_000, 8_000)
    assert (shop.in_stock("TEA"), shop.findings()) == (1, [])


def test_a_bad_code_of_test_mode_is_bad_and_its_claim_gives_a_good_one(shop: Claims) -> None:
    buyer = replace(shop.partner, mode=Mode.TEST)
    order = shop.sold("TEST_BAD_CODE", 2, buyer=buyer)
    assert all(one.startswith("BAD-") for one in shop.shown(order))
    one = shop.settle(shop.claim(order, 2))
    first, second = shop.shown(order)
    assert (one.state, first[:4], second[:5], shop.findings()) == (S.REPLACED, "BAD-", "TEST-", [])


@pytest.mark.parametrize(("sku", "state"), [("TEST_OK", S.REFUSED), ("TEST_SLOW", S.REPLACED), ("TEST_TIMEOUT", S.REPLACED)])
def test_the_other_skus_of_test_mode_show_the_other_outcomes(shop: Claims, sku: str, state: ReplacementState) -> None:
    order = shop.sold(sku, buyer=replace(shop.partner, mode=Mode.TEST))
    assert (shop.settle(shop.claim(order)).state, shop.findings()) == (state, [])


def test_the_new_codes_lot_knows_that_it_is_sold(shop: Claims) -> None:
    shop.stock("TEA", 2, cost="80")
    one = shop.decide(shop.claim(shop.sold()), D.STOCK)
    with shop.db.read() as tx:
        assert load_lots(tx, [str(one.new_lot_id)])[str(one.new_lot_id)].count == 2


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE replacements SET refunded_minor = 0 WHERE state = 'REFUNDED'", "money given back"),
        ("UPDATE replacements SET refunded_minor = 99999 WHERE state = 'REFUNDED'", "as its replacements say"),
        ("DELETE FROM code_exceptions WHERE kind = 'replaced'", "its code marked replaced"),
        ("UPDATE replacements SET order_id = 'ord_ZZ' WHERE state = 'REPLACED'", "an order for it"),
    ],
)
def test_what_is_wrong_about_a_replacement_is_found(shop: Claims, statement: str, words: str) -> None:
    shop.stock("TEA", 3)
    order = shop.sold("TEA", 2)
    shop.decide(shop.claim(order, 1), D.STOCK)
    shop.decide(shop.claim(order, 2), D.REFUND)
    assert shop.findings() == []
    with shop.db.transaction() as tx:
        tx.exec_driver_sql(statement)
    assert any(words in one.expected for one in shop.findings() if one.check == "replacements")


def test_a_code_that_was_given_for_a_bad_one_is_nobody_elses(shop: Claims) -> None:
    shop.stock("TEA", 3)
    one = shop.decide(shop.claim(shop.sold()), D.STOCK)
    with shop.db.transaction() as tx:
        tx.exec_driver_sql(f"UPDATE slices SET head = head - 1 WHERE lot_id = '{one.new_lot_id}'")
    assert any("that nobody else has" in found.expected for found in shop.findings())


def test_units_that_are_paid_back_one_by_one_sum_to_what_their_line_was_charged(shop: Claims) -> None:
    taxed(shop, fee_minor=33, tax_bps=350, discount_bps=6_667)
    shop.stock("TEA", 7)
    order = shop.sold("TEA", 7)
    assert order.charged_minor % 7
    paid_back = [shop.decide(shop.claim(order, position), D.REFUND).refunded_minor for position in (4, 7, 1, 2, 6, 5, 3)]
    done = shop.stands(order)
    assert (sum(paid_back), done.refunded_minor, max(paid_back) - min(paid_back)) == (order.charged_minor, order.charged_minor, 1)
    assert (shop.balance(), shop.worth(Purpose.SALES), shop.worth(Purpose.FEES), shop.worth(Purpose.TAX)) == (
        "1000000.00",
        0,
        0,
        0,
    )
    assert shop.findings() == []


def test_the_margin_has_what_the_codes_cost_that_were_given_for_bad_ones(shop: Claims) -> None:
    shop.stock("TEA", 3, cost="80")
    order = shop.sold("TEA", 3)
    shop.stock("TEA", ["dearer"], cost="90")
    shop.decide(shop.claim(order, 1), D.STOCK)
    shop.decide(shop.claim(order, 2), D.REFUND)
    shop.claimed_supplier("credit")
    bought = shop.sold("CARD", 2)
    assert shop.settle(shop.claim(bought, 1)).state is S.REFUNDED
    with shop.db.read() as tx:
        rows = [*margin_rows(tx, shop.catalog.current(), by="product", mode=Mode.LIVE)]
    names = [column.name for column in margin_columns("product")]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert sorted(row["cost"] for row in found) == [8_000, 8_000 + 9_000]
    assert sum(row["cost"] for row in found) == shop.worth(Purpose.COST_OF_GOODS)
    assert sum(row["revenue"] for row in found) == -shop.worth(Purpose.SALES)


def test_a_refunded_unit_gives_back_its_own_price_fee_and_tax_and_not_the_other_lines(shop: Claims) -> None:
    taxed(shop, fee_minor=1_000, tax_bps=1_800)
    shop.stock("TEA", 1)
    shop.stock("BOOKS", 1)
    order = the_order(shop.place(shop.command(item("TEA"), item("BOOKS")))[0])
    shop.shown(order)
    assert shop.decide(shop.claim(order, 1, line=2), D.REFUND).refunded_minor == 3_166 + 1_000 + 750
    assert [shop.worth(one) for one in (Purpose.SALES, Purpose.FEES, Purpose.TAX)] == [-9_500, -1_000, -1_890]
    assert shop.findings() == []


def test_a_refunded_unit_takes_what_an_earlier_refund_has_left_of_each_part(shop: Claims) -> None:
    taxed(shop, fee_minor=1_000, tax_bps=1_800)
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    refund(shop, order.id, order.charged_minor // 2 - 7)
    assert shop.decide(shop.claim(order, 1), D.REFUND).refunded_minor == 12_390 - 6_191  # half of what named no unit
    assert shop.decide(shop.claim(order, 2), D.REFUND).refunded_minor == 12_390 - 6_192
    assert (shop.stands(order).refunded_minor, shop.findings()) == (order.charged_minor, [])
