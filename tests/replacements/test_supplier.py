"""Claims at a supplier: asked once, never while nobody knows, late answers kept, and nothing asked of a restored database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cardrail.ledger import Purpose
from cardrail.orders import ReplacementDecision, ReplacementPolicy, ReplacementState, refund_order, wake_replacements
from cardrail.storage import close_restores, mark_restored
from tests.orders.build import audited
from tests.replacements.build import CLAIMING, MUTE, NODE, Claims, Died
from tests.sourcing.fake import QUICK

D, S = ReplacementDecision, ReplacementState


def test_the_suppliers_new_code_is_the_partners_and_counted_against_the_supplier(shop: Claims) -> None:
    fake = shop.claimed_supplier("replace")
    order = shop.sold("CARD", 2)
    bad, good = shop.shown(order)
    one = shop.settle(shop.claim(order, 1, evidence="used", links=("https://x.example/1",)))
    assert (one.state, one.source, shop.shown(order)[1]) == (S.REPLACED, "supplier", good)
    assert shop.shown(order)[0].startswith("GOOD-A")
    (asked,) = fake.replaced
    assert (asked.code.code, asked.reason, asked.evidence) == (bad, "already_redeemed", "used\nhttps://x.example/1")
    assert (asked.supplier_order_id, asked.supplier_sku) == ("a-1", "A-CARD")
    assert (shop.health().bad_codes, shop.balance(), shop.findings()) == (1, "999810.00", [])


def test_what_the_supplier_gives_back_is_passed_on(shop: Claims) -> None:
    shop.claimed_supplier("credit")
    order = shop.sold("CARD")
    cost = shop.worth(Purpose.COST_OF_GOODS)
    one = shop.settle(shop.claim(order))
    assert (one.state, one.refunded_minor, shop.balance()) == (S.REFUNDED, 9_500, "1000000.00")
    assert (cost, shop.worth(Purpose.COST_OF_GOODS), shop.health().bad_codes, shop.findings()) == (8_000, 0, 1, [])


def test_its_no_goes_to_a_human_who_may_decide_otherwise(shop: Claims) -> None:
    shop.claimed_supplier("refuse")
    one = shop.settle(shop.claim(shop.sold("CARD")))
    assert (one.state, one.because, shop.health().bad_codes) == (S.NEEDS_REVIEW, "the supplier refused", 0)
    assert any("used by its owner" in sentence for _, sentence in one.story)
    assert (shop.decide(one, D.REFUND).state, shop.health().bad_codes) == (S.REFUNDED, 1)


def test_a_lost_answer_is_looked_after_and_never_asked_again(shop: Claims) -> None:
    fake = shop.claimed_supplier("lost")
    fake.tellings.extend(["lost", "unknown", "accept", "replace"])
    one = shop.settle(shop.claim(shop.sold("CARD")))
    assert (one.state, len(fake.replaced), fake.asked_after, shop.findings()) == (S.REPLACED, 1, 4, [])


def test_a_lost_claim_that_nobody_can_look_after_is_a_humans(shop: Claims) -> None:
    fake = shop.claimed_supplier("lost", abilities=MUTE)
    one = shop.settle(shop.claim(shop.sold("CARD")))
    assert (one.state, len(fake.replaced)) == (S.NEEDS_REVIEW, 1)


def test_a_claim_that_did_not_arrive_is_decided_by_the_operators_policy(shop: Claims) -> None:
    fake = shop.claimed_supplier("lost")
    fake.tellings.extend(["absent"] * 9)
    shop.policy = ReplacementPolicy(unasked="refund")
    one = shop.settle(shop.claim(shop.sold("CARD")))
    assert (one.state, len(fake.replaced), fake.asked_after > 0, shop.findings()) == (S.REFUNDED, 1, True, [])


def test_who_was_not_reached_is_asked_again(shop: Claims) -> None:
    fake = shop.claimed_supplier("unreached", "unreached", "replace")
    one = shop.settle(shop.claim(shop.sold("CARD")))
    assert (one.state, len(fake.replaced)) == (S.REPLACED, 3)


@pytest.mark.parametrize(("unasked", "state"), [("review", S.NEEDS_REVIEW), ("refund", S.REFUNDED)])
def test_past_its_deadline_the_policy_decides_and_the_late_code_is_kept(
    shop: Claims, unasked: str, state: ReplacementState
) -> None:
    fake = shop.claimed_supplier("accept")
    fake.tellings.extend(["accept"] * 200)
    shop.policy = ReplacementPolicy(unasked=unasked, patience=timedelta(days=1))  # type: ignore[arg-type]  # one of its words
    order = shop.sold("CARD")
    one = shop.claim(order)
    shop.pursue(one)
    shop.later(days=1, seconds=1)
    shop.pursue(one)
    assert shop.now(one).state is state
    fake.tellings.clear()
    late = shop.settle(one)
    kept = (S.REPLACED, 0) if unasked == "review" else (S.REFUNDED, 1)  # who still waits gets it, else it is stock
    assert ((late.state, shop.in_stock("CARD")), shop.findings()) == (kept, [])


def test_what_an_operator_decided_meanwhile_stands_and_the_late_code_becomes_stock(shop: Claims) -> None:
    fake = shop.claimed_supplier("accept")
    one = shop.claim(shop.sold("CARD"))
    shop.pursue(one)
    shop.decide(one, D.REFUND)
    assert (shop.settle(one).state, shop.in_stock("CARD"), len(fake.replaced), shop.findings()) == (S.REFUNDED, 1, 1, [])


def test_an_order_that_is_paid_back_while_the_supplier_is_asked_gets_no_code(shop: Claims) -> None:
    fake = shop.claimed_supplier()
    order = shop.sold("CARD")

    def pay_back() -> None:
        refund_order(shop.db, shop.clock, shop.audit, order.id, None, node=NODE, because="goodwill", actor="cli")

    fake.meanwhile.append(pay_back)
    one = shop.settle(shop.claim(order))
    assert (one.state, shop.in_stock("CARD"), shop.balance(), shop.findings()) == (S.REFUSED, 1, "1000000.00", [])


def test_a_code_that_we_have_already_replaces_nothing(shop: Claims) -> None:
    fake = shop.claimed_supplier()
    order = shop.sold("CARD")
    fake.gives.append(shop.shown(order)[0])
    one = shop.settle(shop.claim(order))
    assert (one.state, shop.findings()) == (S.NEEDS_REVIEW, [])


def test_a_process_that_dies_in_the_call_leaves_a_claim_that_is_looked_after(shop: Claims) -> None:
    fake = shop.claimed_supplier("dies")
    one = shop.claim(shop.sold("CARD"))
    with pytest.raises(Died):
        shop.pursue(one)
    assert shop.now(one).state is S.ASKING_SUPPLIER
    assert (shop.settle(one).state, len(fake.replaced), fake.asked_after) == (S.REPLACED, 1, 1)


def test_of_two_purchases_the_one_that_brought_the_code_is_named(shop: Claims) -> None:
    fake = shop.claimed_supplier(abilities=replace(CLAIMING, quantity_max=2))
    order = shop.sold("CARD", 3)
    for position in (3, 1):
        shop.settle(shop.claim(order, position))
    assert [one.supplier_order_id for one in fake.replaced] == ["a-2", "a-1"]


def test_a_bad_replacement_is_claimed_where_it_came_from(shop: Claims) -> None:
    fake = shop.claimed_supplier()
    order = shop.sold("CARD")
    shop.settle(shop.claim(order))
    new = shop.shown(order)[0]
    assert shop.settle(shop.claim(order)).state is S.REPLACED
    assert [(one.supplier_order_id, one.code.code) for one in fake.replaced][1] == ("a-1", new)


def test_a_supplier_that_takes_no_claims_is_not_asked(shop: Claims) -> None:
    fake = shop.claimed_supplier(abilities=QUICK)
    one = shop.settle(shop.claim(shop.sold("CARD")))
    assert (one.because, fake.replaced) == ("its supplier takes no claims", [])


def test_a_restored_database_asks_nobody_and_a_human_looks_at_its_old_orders(shop: Claims) -> None:
    fake = shop.claimed_supplier()
    shop.policy = ReplacementPolicy(unasked="stock")
    one = shop.claim(shop.sold("CARD"))
    shop.later(minutes=1)
    with shop.db.transaction() as tx:
        mark_restored(tx, shop.clock.now(), shop.clock.now())
    shop.pursue(one)
    shop.later(minutes=2)
    shop.pursue(one)
    assert (shop.now(one).state, fake.replaced) == (S.REQUESTED, [])
    with shop.db.transaction() as tx:
        close_restores(tx, shop.clock.now())
    assert (shop.settle(one).state, fake.replaced) == (S.NEEDS_REVIEW, [])


def test_what_is_due_is_taken_up_whoever_dropped_it(shop: Claims) -> None:
    shop.claimed_supplier()
    claims = [shop.claim(shop.sold("CARD")) for _ in range(3)]
    assert wake_replacements(shop.desk) == 3
    assert [shop.now(one).state for one in claims] == [S.REPLACED] * 3
    assert wake_replacements(shop.desk) == 0


def test_that_a_supplier_is_shown_its_code_is_in_the_audit_log(shop: Claims) -> None:
    shop.claimed_supplier()
    one = shop.settle(shop.claim(shop.sold("CARD")))
    shown = [entry for entry in audited(shop, "code.revealed") if entry.origin == shop.suppliers["A"].id]
    assert [entry.details["replacement"] for entry in shown if entry.details] == [one.id]


@pytest.mark.parametrize("decided", ["before the credit", "by the credit"])
def test_what_is_given_back_for_a_code_of_stock_makes_its_loss_good_and_is_not_counted_twice(shop: Claims, decided: str) -> None:
    fake = shop.claimed_supplier("accept" if decided == "before the credit" else "credit")
    fake.tellings.append("credit")
    shop.stock("TEA", 2, cost="80", supplier="A")
    shop.policy = ReplacementPolicy(unasked="stock")
    one = shop.claim(shop.sold())
    shop.pursue(one)
    if decided == "before the credit":
        shop.decide(one, D.STOCK)
    assert shop.settle(one).state is S.REPLACED
    assert (shop.worth(Purpose.COST_OF_GOODS), shop.worth(Purpose.WRITE_OFFS), shop.worth(Purpose.STOCK)) == (8_000, 0, 0)
    assert shop.findings() == []


@pytest.mark.parametrize("verdict", ["lost", "accept"])
def test_a_second_claim_for_a_code_is_not_sent_while_the_supplier_may_have_the_first(shop: Claims, verdict: str) -> None:
    fake = shop.claimed_supplier(verdict, abilities=MUTE)
    order = shop.sold("CARD")
    first = shop.claim(order)
    shop.pursue(first)
    shop.later(minutes=5)
    shop.pursue(first)
    shop.decide(first, D.REFUSE)
    second = shop.settle(shop.claim(order, evidence="a picture"))
    assert (second.state, len(fake.replaced)) == (S.NEEDS_REVIEW, 1)
    assert first.id in str(second.because)


@pytest.mark.parametrize("ends", ["deadline", "absent", "credit"])
def test_after_a_restore_a_claim_that_was_asked_before_is_not_decided_without_a_human(shop: Claims, ends: str) -> None:
    fake = shop.claimed_supplier("accept")
    fake.tellings.extend(["accept"] * 200 if ends == "deadline" else [ends] * 9)
    shop.policy = ReplacementPolicy(unasked="stock", patience=timedelta(days=1))
    order = shop.sold("CARD")
    shop.stock("CARD", 1)
    one = shop.claim(order)
    shop.pursue(one)
    with shop.db.transaction() as tx:
        mark_restored(tx, shop.clock.now(), shop.clock.now() + timedelta(seconds=1))
        close_restores(tx, shop.clock.now() + timedelta(seconds=2))
    shop.later(days=1, seconds=1)
    shop.settle(one, visits=3)
    assert (shop.now(one).state, shop.in_stock("CARD"), shop.findings()) == (S.NEEDS_REVIEW, 1, [])


def test_a_late_replacement_that_was_sold_from_stock_and_is_bad_is_claimed_where_it_came_from(shop: Claims) -> None:
    fake = shop.claimed_supplier("accept")
    one = shop.claim(shop.sold("CARD"))
    shop.pursue(one)
    shop.decide(one, D.REFUND)
    shop.settle(one)
    assert shop.settle(shop.claim(shop.sold("CARD"))).state is S.REPLACED
    assert [request.supplier_order_id for request in fake.replaced] == ["a-1", None]
