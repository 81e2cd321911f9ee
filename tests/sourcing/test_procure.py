"""From an order to codes: what is bought, charged and kept for each way in which a supplier can answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cardrail.access import SecretSealer
from cardrail.catalog import set_rate
from cardrail.kernel import Mode, from_micros, to_micros
from cardrail.orders import Order, OutOfStock, SuppliersBusy, procure, sellable_counts
from cardrail.sourcing import Capabilities, Lookup, Refused, SupplierState, change_supplier
from tests.acceptance.server import Proved
from tests.build import item, the_refusal
from tests.orders.build import in_test_mode, moved, steps, taxed
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK, Died

BY_MATCH = replace(QUICK, lookup=Lookup.BY_MATCH)
IDEMPOTENT = replace(QUICK, lookup=Lookup.NONE, is_idempotent=True)
BLIND = replace(QUICK, lookup=Lookup.NONE)
KILLABLE = replace(BLIND, can_invalidate=True)


def test_an_order_waits_with_its_money_held_until_it_is_bought(shop: Supplied) -> None:
    shop.supplier("A")
    placed = shop.order("CARD", 2)
    assert (states(placed), placed.charged_minor, shop.balance()) == (("PROCESSING", ["PROCESSING"]), 0, "999810.00")
    assert (shop.findings(), shop.fakes["A"].asked) == ([], [])


def test_what_is_bought_is_charged_shown_and_booked(shop: Supplied) -> None:
    fake = shop.supplier("A")
    done = shop.bought("CARD", 2)
    assert (states(done), done.charged_minor, shop.balance()) == (("FULFILLED", ["FULFILLED"]), 19_000, "999810.00")
    assert (shop.shown(done), of(shop.attempts(done))) == (fake.codes, [("delivered", 2, 2)])
    assert moved(shop, done.id)[:2] == [("hold", "pending", 19_000), ("purchase", "posted", 16_000)]
    assert shop.platform()["cost_of_goods", "INR"] == 16_000 == -shop.platform()["supplier", "INR"]
    assert ([one[0] for one in steps(shop, done.id)], shop.findings()) == (["order.processing", "order.fulfilled"], [])


def test_a_second_visit_buys_nothing(shop: Supplied) -> None:
    fake = shop.supplier("A")
    done = shop.bought()
    assert (shop.visit(done).until, len(fake.asked)) == (None, 1)


def test_stock_goes_first_and_its_codes_are_there_at_once(shop: Supplied) -> None:
    shop.stock("MIX", 3)
    shop.supplier("A", sku="MIX")
    placed = shop.order("MIX", 5)
    stocked = shop.codes(placed)
    assert (states(placed), placed.charged_minor, len(stocked)) == (("PROCESSING", ["PROCESSING"]), 28_500, 3)
    done = shop.finish(placed)
    assert (states(done), done.charged_minor, shop.shown(done)) == (
        ("FULFILLED", ["FULFILLED"]),
        47_500,
        [*stocked, *shop.fakes["A"].codes],
    )
    assert shop.findings() == []


def test_three_sources_make_one_order(shop: Supplied, proved: Proved) -> None:
    shop.stock("MIX", 3)
    shop.supplier("A", sku="MIX", stock=4, cost="80.00")
    shop.supplier("B", sku="MIX", stock=5, cost="81.00")
    placed = shop.order("MIX", 10)
    stocked, done = shop.codes(placed), shop.finish(placed)
    assert (states(done), done.charged_minor) == (("FULFILLED", ["FULFILLED"]), 95_000)
    assert of(shop.attempts(done)) == [("delivered", 4, 4), ("delivered", 3, 3)]
    assert shop.shown(done) == [*stocked, *shop.fakes["A"].codes, *shop.fakes["B"].codes]
    assert shop.trace(done)[:2] == ["cheapest: 4 from A at 80.00 INR each", "cheapest: 3 from B at 81.00 INR each"]
    assert (shop.balance(), len(stocked), shop.fakes["A"].units, shop.fakes["B"].units) == ("999050.00", 3, 4, 3)
    assert shop.findings() == []
    proved(f"stock 3, A 4, B 5, ordered 10: one order, {done.charged_minor / 100:.2f} charged; {'; '.join(shop.trace(done)[:2])}")


def test_a_refusal_goes_to_the_next_supplier(shop: Supplied) -> None:
    shop.supplier("A", "refuse:out_of_stock")
    fake = shop.supplier("B", cost="85.00")
    done = shop.bought("CARD", 2)
    assert (states(done)[0], of(shop.attempts(done)), shop.shown(done)) == (
        "FULFILLED",
        [("refused", 2, 0), ("delivered", 2, 2)],
        fake.codes,
    )
    assert "A is passed over: it was asked, and had no more to give" in shop.trace(done)


def test_what_nobody_has_is_given_back(shop: Supplied) -> None:
    shop.supplier("A", "refuse:out_of_stock")
    done = shop.bought("CARD", 2)
    assert (states(done), done.charged_minor, shop.balance()) == (("FAILED", ["FAILED"]), 0, "1000000.00")
    assert (steps(shop, done.id)[-1][0], shop.findings()) == ("order.failed", [])


def test_what_came_is_charged_and_the_rest_given_back(shop: Supplied) -> None:
    shop.supplier("A", "short")
    done = shop.bought("CARD", 3)
    assert (states(done)[0], done.charged_minor, shop.balance()) == ("PARTIALLY_FULFILLED", 19_000, "999810.00")
    assert (len(shop.shown(done)), shop.findings()) == (2, [])


def test_an_accepted_order_is_asked_after_until_it_is_there(shop: Supplied) -> None:
    fake = shop.supplier("A", "accept")
    placed = shop.order("CARD", 2)
    for _ in range(4):
        rest = shop.visit(placed)
        assert rest.until is not None
        shop.frozen.at = from_micros(rest.until)
    assert (states(shop.stands(placed))[0], of(shop.attempts(placed)), fake.looked) == ("PROCESSING", [("accepted", 2, 0)], 3)
    fake.ready()
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), len(fake.asked)) == ("FULFILLED", fake.codes, 1)


@pytest.mark.parametrize("abilities", [QUICK, BY_MATCH, IDEMPOTENT], ids=["reference", "match", "idempotent"])
def test_a_lost_answer_is_found_and_nothing_is_bought_twice(shop: Supplied, abilities: Capabilities) -> None:
    fake = shop.supplier("A", "lost", abilities=abilities)
    shop.supplier("B", cost="85.00")
    done = shop.bought("CARD", 2)
    assert (states(done)[0], fake.units, shop.fakes["B"].units, shop.shown(done)) == ("FULFILLED", 2, 0, fake.codes)
    assert shop.findings() == []


@pytest.mark.parametrize("abilities", [QUICK, BY_MATCH], ids=["reference", "match"])
def test_what_was_never_bought_is_bought_elsewhere_but_not_before_that_is_sure(shop: Supplied, abilities: Capabilities) -> None:
    shop.supplier("A", "dropped", abilities=abilities)
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    began = shop.clock.now()
    shop.visit(placed)
    shop.frozen.advance(seconds=9)
    shop.visit(placed)
    assert (of(shop.attempts(placed)), other.units) == ([("unknown", 2, 0)], 0)
    done = shop.finish(placed)
    assert (states(done)[0], of(shop.attempts(done))) == ("FULFILLED", [("absent", 2, 0), ("delivered", 2, 2)])
    assert (shop.clock.now() - began).total_seconds() >= abilities.settle_seconds
    assert shop.findings() == []


def test_a_no_by_match_needs_two_looks(shop: Supplied) -> None:
    fake = shop.supplier("A", "dropped", abilities=BY_MATCH)
    shop.bought("CARD", 2)
    after = replace(BY_MATCH, settle_seconds=0.0)
    fake.capabilities, fake.looked = after, 0
    fake.script.append("dropped")
    placed = shop.order("CARD", 2)
    shop.finish(placed)
    assert fake.looked == 2


def test_a_no_that_was_not_true_buys_nothing_twice(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost")
    fake.looks.extend(["silent", "silent", "hides"])  # somebody in between answers with an empty list, once it would count
    done = shop.bought("CARD", 2)
    assert (states(done)[0], of(shop.attempts(done)), fake.units) == ("FULFILLED", [("delivered", 2, 2)], 2)


def test_two_orders_alike_are_not_unresolved_at_once_where_only_match_tells(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost", abilities=BY_MATCH)
    first, second = shop.order("CARD", 2), shop.order("CARD", 2)
    shop.visit(first)
    assert shop.visit(second).until is not None
    assert (len(fake.asked), of(shop.attempts(second))) == (1, [])
    shop.finish(first)
    done = shop.finish(second)
    assert (states(done)[0], fake.units, len(set(shop.shown(first) + shop.shown(done)))) == ("FULFILLED", 4, 4)


def test_where_nobody_can_be_asked_a_human_decides(shop: Supplied) -> None:
    shop.supplier("A", "lost", abilities=BLIND)
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    found = shop.stands(placed)
    assert (states(found), other.units, shop.balance()) == (("NEEDS_REVIEW", ["NEEDS_REVIEW"]), 0, "999810.00")
    assert shop.findings() == []


@pytest.mark.parametrize("abilities", [KILLABLE, replace(QUICK, can_invalidate=True)], ids=["blind", "silent"])
def test_an_unknown_purchase_is_killed_where_asking_tells_nothing_and_only_then_bought_elsewhere(
    shop: Supplied, abilities: Capabilities
) -> None:
    fake = shop.supplier("A", "lost", abilities=abilities)
    fake.looks.extend(["silent"] * 99)
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    assert (of(shop.attempts(placed)), fake.sold[0].is_dead, other.units) == ([("unknown", 2, 0)], False, 0)
    began = shop.clock.now()
    done = shop.finish(placed)
    assert (states(done)[0], of(shop.attempts(done))) == ("FULFILLED", [("invalidated", 2, 0), ("delivered", 2, 2)])
    assert (fake.sold[0].is_dead, shop.shown(done), shop.owed(), shop.findings()) == (True, other.codes, 17_000, [])
    assert QUICK.settle_seconds <= (shop.clock.now() - began).total_seconds() < 60  # no human was asked meanwhile
    assert "order.needs_review" not in [one[0] for one in steps(shop, done.id)]


def test_what_cannot_be_killed_either_waits_for_a_human_in_time(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost", abilities=KILLABLE)
    fake.invalidate = lambda about: Refused("too late")  # type: ignore[method-assign]
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    until_review(shop, placed)
    assert (states(shop.stands(placed))[0], other.units) == ("NEEDS_REVIEW", 0)
    assert shop.attempts(placed)[0].deadline_at <= to_micros(shop.clock.now())
    assert shop.findings() == []


def test_a_purchase_whose_connector_cannot_be_built_any_more_gets_to_a_human(shop: Supplied, monkeypatch: Any) -> None:
    shop.supplier("A", "dies_after")
    placed = shop.order("CARD", 2)
    with pytest.raises(Died):
        shop.visit(placed)
    monkeypatch.setattr(procure, "_abilities", lambda *_: None)
    until_review(shop, placed)
    assert (states(shop.stands(placed))[0], of(shop.attempts(placed))) == ("NEEDS_REVIEW", [("unknown", 2, 0)])


def until_review(shop: Supplied, placed: Order) -> None:
    """Visits as they are due, until a human is asked."""
    for _ in range(400):
        rest = shop.visit(placed)
        if shop.stands(placed).state.value == "NEEDS_REVIEW":
            return
        assert rest.until is not None
        shop.clock.at = max(shop.clock.now(), from_micros(rest.until))  # type: ignore[attr-defined]
    raise AssertionError("no human was asked")


def test_an_answer_unknown_past_its_deadline_goes_to_review_and_the_truth_still_ends_it(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost")
    fake.looks.extend(["silent"] * 30)
    placed = shop.order("CARD", 2)
    for _ in range(40):
        rest = shop.visit(placed)
        if shop.stands(placed).state.value == "NEEDS_REVIEW":
            break
        assert rest.until is not None
        shop.frozen.at = from_micros(rest.until)
    assert states(shop.stands(placed)) == ("NEEDS_REVIEW", ["NEEDS_REVIEW"])
    fake.looks.clear()
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), fake.units, shop.findings()) == ("FULFILLED", fake.codes, 2, [])


@pytest.mark.parametrize(("word", "bought"), [("dies_before", "B"), ("dies_after", "A")])
def test_a_process_that_dies_in_the_call_buys_once(shop: Supplied, word: str, bought: str) -> None:
    shop.supplier("A", word, *(["refuse"] if bought == "B" else []))
    shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    with pytest.raises(Died):
        shop.visit(placed)
    assert of(shop.attempts(placed)) == [("asking", 2, 0)]
    done = shop.finish(placed)
    assert (states(done)[0], {name: one.units for name, one in shop.fakes.items()}[bought]) == ("FULFILLED", 2)
    assert (sum(one.units for one in shop.fakes.values()), shop.findings()) == (2, [])


def test_a_call_that_may_be_under_way_is_not_asked_about(shop: Supplied) -> None:
    fake = shop.supplier("A", "dies_after")
    placed = shop.order("CARD", 2)
    with pytest.raises(Died):
        shop.visit(placed)
    shop.frozen.advance(seconds=6)
    shop.visit(placed)
    assert (fake.looked, of(shop.attempts(placed))) == (0, [("asking", 2, 0)])


def test_a_supplier_that_cannot_be_reached_is_passed_over_and_asked_again_if_there_is_no_other(shop: Supplied) -> None:
    fake = shop.supplier("A", "unreached", "busy")
    done = shop.bought("CARD", 2)
    assert (states(done)[0], of(shop.attempts(done)), fake.units) == (
        "FULFILLED",
        [("refused", 2, 0), ("refused", 2, 0), ("delivered", 2, 2)],
        2,
    )


def test_nothing_is_bought_below_the_margin_floor(shop: Supplied) -> None:
    fake = shop.supplier("A", cost="96.00")
    done = shop.bought()
    assert (states(done)[0], fake.asked) == ("FAILED", [])
    assert "A is passed over: at 96.00 INR it would leave less than the margin floor" in shop.trace(done)


def test_who_refuses_parts_gets_all_from_one_supplier_or_nothing(shop: Supplied) -> None:
    shop.supplier("A", stock=2)
    shop.supplier("B", "short", cost="85.00")
    done = shop.bought("CARD", 3, allow_partial=False)
    assert (states(done)[0], done.charged_minor, shop.fakes["A"].asked) == ("FAILED", 0, [])
    assert (shop.in_stock("CARD"), shop.findings()) == (2, [])


def test_what_nobody_waits_for_any_more_becomes_stock_and_is_sold_first(shop: Supplied) -> None:
    shop.supplier("B", "short", cost="85.00")
    shop.bought("CARD", 3, allow_partial=False)
    late = shop.order("CARD", 2)
    assert (states(late)[0], shop.codes(late), shop.findings()) == ("FULFILLED", shop.fakes["B"].codes, [])


def test_without_a_supplier_there_is_none(shop: Supplied) -> None:
    assert isinstance(shop.refusal(item("CARD")), OutOfStock)


def test_a_paused_supplier_sells_nothing(shop: Supplied) -> None:
    shop.supplier("A")
    sealer = SecretSealer(b"s" * 32)
    change_supplier(shop.db, shop.clock, shop.audit, sealer, "A", actor="test", state=SupplierState.PAUSED)
    assert isinstance(shop.refusal(item("CARD")), OutOfStock)


def test_who_refuses_parts_cannot_wait_for_suppliers_with_several_items(shop: Supplied) -> None:
    shop.supplier("A")
    (outcome,) = shop.place(shop.command(item("CARD"), item("CARD", 2), allow_partial=False))
    assert isinstance(the_refusal(outcome), OutOfStock)


def test_while_too_much_waits_nothing_more_is_taken_that_suppliers_bring(shop: Supplied) -> None:
    shop.supplier("A")
    shop.stock("TEA", 1)
    waiting = shop.order("CARD")
    shop.frozen.advance(seconds=31)
    refused = shop.refusal(item("CARD"))
    assert isinstance(refused, SuppliersBusy)
    assert (refused.retryable, refused.facts["retry_after"]) == (True, 10)
    assert shop.order("TEA").state.value == "FULFILLED"
    shop.finish(waiting)
    assert shop.order("CARD").state.value == "PROCESSING"


def test_an_unpaid_order_is_bought_once_it_is_paid(shop: Supplied) -> None:
    fake = shop.supplier("A")
    unpaid = shop.order("CARD", 2, pay_later=True)
    assert (shop.visit(unpaid).until, fake.asked) == (None, [])
    shop.pay(unpaid.id)
    done = shop.finish(unpaid)
    assert (states(done)[0], done.charged_minor, shop.shown(done), shop.findings()) == ("FULFILLED", 19_000, fake.codes, [])


def test_fees_and_tax_of_what_comes_in_pieces_sum_to_the_price(shop: Supplied) -> None:
    taxed(shop, fee_minor=33, tax_bps=1_777)
    shop.supplier("A", stock=1)
    shop.supplier("B", stock=1, cost="81.00")
    shop.supplier("C", cost="82.00")
    placed = shop.order("CARD", 5)
    done = shop.finish(placed)
    assert (states(done)[0], done.charged_minor) == ("FULFILLED", placed.total_minor)
    assert shop.findings() == []


def test_what_is_bought_in_another_currency_is_booked_at_the_rate_of_the_day(shop: Supplied) -> None:
    set_rate(shop.db, shop.clock, shop.audit, base="USD", quote="INR", rate_e10=80 * 10**10, actor="test")
    shop.supplier("A", cost="1.00", code="USD")
    done = shop.bought("CARD", 1)
    assert states(done)[0] == "FULFILLED"
    books = shop.platform()
    assert (books["fx_position", "USD"], books["supplier", "USD"]) == (100, -100)
    assert (books["cost_of_goods", "INR"], books["fx_position", "INR"]) == (8_000, -8_000)
    assert shop.findings() == []


def test_each_purchase_is_compared_and_booked_at_the_rate_of_its_own_day(shop: Supplied) -> None:
    today = shop.clock.now().date()
    for day, rate in ((today, 70), (today + timedelta(days=1), 90)):
        set_rate(shop.db, shop.clock, shop.audit, base="USD", quote="INR", rate_e10=rate * 10**10, on_date=day, actor="test")
    dollars, rupees = shop.supplier("A", cost="1.00", code="USD"), shop.supplier("B", cost="80.00")
    first = shop.bought("CARD", 1)  # 70.00 there: cheaper
    assert (len(dollars.sold), len(rupees.sold), shop.platform()["cost_of_goods", "INR"]) == (1, 0, 7_000)
    shop.frozen.advance(days=1)
    shop.catalog.refresh()
    second = shop.bought("CARD", 1)  # 90.00 there: dearer
    assert (len(dollars.sold), len(rupees.sold)) == (1, 1)
    rupees.stock_left = 0
    third = shop.bought("CARD", 1)
    books = shop.platform()
    assert [states(one)[0] for one in (first, second, third)] == ["FULFILLED"] * 3
    assert (books["fx_position", "USD"], books["fx_position", "INR"]) == (200, -(7_000 + 9_000))
    assert (books["supplier", "USD"], books["cost_of_goods", "INR"]) == (-200, 7_000 + 8_000 + 9_000)
    assert shop.findings() == []


@pytest.mark.parametrize(
    ("sku", "state"),
    [("CARD", "FULFILLED"), ("TEST_SLOW", "FULFILLED"), ("TEST_TIMEOUT", "FULFILLED"), ("TEST_TIMEOUT_LOST", "FAILED")],
)
def test_test_orders_are_bought_from_the_simulated_supplier(shop: Supplied, sku: str, state: str) -> None:
    test = in_test_mode(shop.partner)
    placed = shop.order(sku, 2, buyer=test)
    assert states(placed)[0] == "PROCESSING"
    done = shop.finish(placed)
    assert (states(done)[0], len(set(shop.shown(done)))) == (state, 2 if state == "FULFILLED" else 0)
    assert (shop.balance(test), shop.findings()) == ("1000000.00" if state == "FAILED" else shop.balance(test), [])


def test_what_suppliers_have_is_counted_with_the_stock(shop: Supplied) -> None:
    shop.stock("MIX", 3)
    shop.supplier("A", sku="MIX", stock=4)
    shop.supplier("B", sku="MIX")
    shop.sells("A", "TEA", stock=9)  # sold from stock only: a supplier of it is not asked
    catalog = shop.catalog.current()
    ids = [one.denomination_id for sku in ("MIX", "TEA", "CARD") if (one := catalog.offer(sku)) is not None]
    with shop.db.read() as tx:
        counts = sellable_counts(tx, catalog, Mode.LIVE, ids, 0)
    assert counts == {(ids[0], 10_000): 3 + 4 + 1_000}
