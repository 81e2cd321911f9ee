"""Routing, told as rows: the ways there are, and whom to ask in which order. And what answers make of a supplier's health."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cardrail.catalog import SAME
from cardrail.kernel import Mode
from cardrail.sourcing import (
    Answered,
    Attempt,
    AttemptState,
    Health,
    Listing,
    Need,
    Plan,
    Route,
    Situation,
    Supplier,
    SupplierState,
    after_call,
    after_purchase,
    dry_in_seconds,
    let_through,
    may_ask,
    plan_route,
    told_balance,
)

NOW = 10**15
SECOND = 1_000_000
CHEAPEST = Route()
NEED = Need(10, 10_000, 9_500, "INR", "ord_1")


def way(name: str, cost: int | None = 8_000, stock: int | None = None, **facts: Any) -> Listing:
    health = {
        one: facts.pop(one) for one in ("breaker", "retry_at", "blocked_until", "latency_us", "balance_minor") if one in facts
    }
    supplier = Supplier(
        name,
        name,
        "x",
        Mode.LIVE,
        SupplierState.ACTIVE,
        "INR",
        {},
        None,
        facts.pop("priority", 100),
        facts.pop("weight", 100),
        0,
        0,
    )
    listing = Listing(supplier, Health(name, **health), "sku", 10_000, None, None, None, cost, None, "INR", stock, True, False)
    return replace(listing, **facts)


def plan(*ways: Listing, need: Need = NEED, route: Route = CHEAPEST, **facts: Any) -> Plan:
    situation = Situation(
        now=NOW, route=route, exchange=lambda code: SAME if code == "INR" else None, limits=facts.pop("limits", {}), **facts
    )
    return plan_route(need, ways, situation)


def asked(found: Plan) -> list[tuple[str, int]]:
    return [(step.listing.supplier.name, step.quantity) for step in found.steps]


def attempt(supplier: str, state: AttemptState, *, quantity: int = 2, delivered: int = 0, refusal: str | None = None) -> Attempt:
    fixed = {"mode": Mode.LIVE, "supplier_sku": "sku", "denomination_id": "d", "face_minor": 10_000, "reference": "r"}
    times = {"asked_at": 0, "look_at": 0, "deadline_at": 0}
    costs = {"max_cost_minor": 0, "expected_cost_minor": 0, "cost_currency": "INR"}
    known: dict[str, Any] = {**fixed, **times, **costs, "quantity": quantity, "delivered": delivered, "refusal": refusal}
    return Attempt(id="att", order_id="o", line=1, n=1, supplier_id=supplier, state=state, **known)


@pytest.mark.parametrize(
    ("policy", "pinned", "first"),
    [
        ("cheapest", None, "cheap"),  # 79.00 against 80.00 and 81.00
        ("fastest", None, "quick"),  # 0.1 s against 3 s and one that was never measured
        ("priority", None, "first"),
        ("pinned", "quick", "quick"),
    ],
)
def test_a_policy_says_who_is_asked_first(policy: str, pinned: str | None, first: str) -> None:
    ways = [
        way("quick", 8_100, latency_us=100_000),
        way("cheap", 7_900, latency_us=3_000_000),
        way("first", 8_000, priority=1),
    ]
    assert asked(plan(*ways, route=Route(policy, pinned)))[0] == (first, 10)


def test_weights_draw_as_often_as_they_say_and_the_same_order_draws_the_same() -> None:
    ways = [way("a", weight=75), way("b", weight=25), way("never", weight=0)]
    needs = [replace(NEED, seed=f"ord_{n}") for n in range(1_000)]
    drawn = Counter(asked(plan(*ways, need=need, route=Route("weighted")))[0][0] for need in needs)
    assert (700 < drawn["a"] < 800, drawn["never"]) == (True, 0)
    assert asked(plan(*ways, need=needs[0], route=Route("weighted"))) == asked(
        plan(*ways, need=needs[0], route=Route("weighted"))
    )


def test_what_one_cannot_fill_is_split() -> None:
    assert asked(plan(way("a", 8_000, 4), way("b", 8_100, 5), way("c", 8_200))) == [("a", 4), ("b", 5), ("c", 1)]


def test_a_suppliers_limit_per_order_is_kept() -> None:
    assert asked(plan(way("a"), limits={"a": 3})) == [("a", 3)]


def test_all_at_once_takes_the_first_that_has_all() -> None:
    assert asked(plan(way("a", 8_000, 4), way("b", 8_100, 50), need=replace(NEED, all_at_once=True))) == [("b", 10)]
    assert asked(plan(way("a", 8_000, 4), need=replace(NEED, all_at_once=True))) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"stock": 0}, "it has none"),
        ({"is_available": False}, "it has none"),
        ({"is_held": True}, "its cost jumped, and nobody has approved the new one"),
        ({"face_minor": 5_000}, "it has no such face value"),
        ({"cost": None}, "its cost is not known"),
        ({"cost_currency": "USD"}, "there is no exchange rate for USD"),
        ({"cost": 9_501}, "at 95.01 INR it would leave less than the margin floor"),
        ({"balance_minor": 7_999}, "its balance does not cover one"),
    ],
)
def test_a_way_that_cannot_be_used_is_passed_over_for_good(facts: dict[str, Any], why: str) -> None:
    found = plan(way("a", **facts))
    assert (asked(found), found.words, found.later_at) == ([], (f"a is passed over: {why}",), None)


@pytest.mark.parametrize(
    "facts",
    [{"blocked_until": NOW + 5 * SECOND}, {"breaker": "open", "retry_at": NOW + 5 * SECOND}],
)
def test_a_way_that_can_be_used_later_says_when(facts: dict[str, Any]) -> None:
    found = plan(way("a", **facts))
    assert (asked(found), found.later_at) == ([], NOW + 5 * SECOND)


def test_the_margin_floor_is_part_of_the_price() -> None:
    assert asked(plan(way("a", 9_025), route=Route(margin_floor_bps=500))) == [("a", 10)]
    assert asked(plan(way("a", 9_026), route=Route(margin_floor_bps=500))) == []


def test_a_balance_covers_as_many_as_it_covers_less_what_is_under_way() -> None:
    assert asked(plan(way("a", 8_000, balance_minor=40_000), reserved={"a": 16_000})) == [("a", 3)]


@pytest.mark.parametrize(
    ("past", "is_asked"),
    [
        ([attempt("a", AttemptState.REFUSED, refusal="out_of_stock")], False),
        ([attempt("a", AttemptState.REFUSED, refusal="busy")], True),
        ([attempt("a", AttemptState.REFUSED, refusal="busy")] * 5, False),
        ([attempt("a", AttemptState.DELIVERED, delivered=2)], True),
        ([attempt("a", AttemptState.DELIVERED, delivered=1)], False),
        ([attempt("a", AttemptState.ABSENT)], True),
        ([attempt("a", AttemptState.ABSENT)] * 2, False),
        ([attempt("a", AttemptState.INVALIDATED)], True),
        ([attempt("a", AttemptState.INVALIDATED), attempt("a", AttemptState.ABSENT)], False),
        ([attempt("a", AttemptState.CLOSED)] * 3, True),
        ([attempt("b", AttemptState.REFUSED, refusal="out_of_stock")], True),
    ],
)
def test_who_was_asked_before_is_asked_again_only_for_a_reason(past: list[Attempt], is_asked: bool) -> None:
    assert bool(plan(way("a"), past=past).steps) is is_asked


@pytest.mark.parametrize(("state", "refusal"), [(AttemptState.REFUSED, "unreachable"), (AttemptState.ABSENT, None)])
def test_who_was_not_there_is_asked_again_after_the_others(state: AttemptState, refusal: str | None) -> None:
    past = [attempt("a", state, refusal=refusal)]
    assert asked(plan(way("a"), way("b", 9_000), past=past)) == [("b", 10)]


# --- health -----------------------------------------------------------------------------------------------------------


def failed(health: Health, times: int) -> Health:
    for _ in range(times):
        health = after_call(health, Answered.NOT, now=NOW)
    return health


def test_the_breaker_opens_after_five_calls_without_an_answer_and_lets_one_through_after_a_minute() -> None:
    assert may_ask(failed(Health("a"), 4), NOW)
    opened = failed(Health("a"), 5)
    assert (opened.breaker, may_ask(opened, NOW + 59 * SECOND), may_ask(opened, NOW + 60 * SECOND)) == ("open", False, True)
    trying = let_through(opened, NOW + 60 * SECOND)
    assert (trying.breaker, may_ask(trying, NOW + 61 * SECOND)) == ("trying", False)
    closed = after_call(trying, Answered.WELL, now=NOW + 61 * SECOND)
    assert (closed.breaker, closed.failures_in_row, may_ask(closed, NOW + 62 * SECOND)) == ("closed", 0, True)
    assert after_call(trying, Answered.NOT, now=NOW + 61 * SECOND).breaker == "open"


def test_it_opens_too_when_too_many_of_many_calls_fail() -> None:
    health = Health("a")
    for n in range(60):
        health = after_call(health, Answered.NOT if n % 3 == 0 else Answered.WELL, now=NOW)
        if health.breaker == "open":
            return
    raise AssertionError(health)


def test_too_many_requests_is_no_failure_and_its_moment_is_obeyed() -> None:
    health = after_call(Health("a"), Answered.BUSY, now=NOW, retry_after_us=7 * SECOND)
    assert (health.failures, may_ask(health, NOW + 6 * SECOND), may_ask(health, NOW + 7 * SECOND)) == (0, False, True)


def test_a_balance_is_counted_down_and_says_when_it_runs_dry() -> None:
    health = told_balance(Health("a"), 100_000, NOW)
    health = after_purchase(health, 30_000, 3, NOW + 3_600 * SECOND)
    assert (health.balance_minor, health.units_bought) == (70_000, 3)
    assert dry_in_seconds(health, NOW + 7_200 * SECOND) == 70_000 * 86_400 // (30_000 * 24)
    assert dry_in_seconds(Health("a"), NOW) is None


def test_newer_answers_weigh_more_in_the_latency() -> None:
    health = after_call(Health("a"), Answered.WELL, now=NOW, latency_us=1_000_000)
    health = after_call(health, Answered.WELL, now=NOW, latency_us=3_000_000)
    assert health.latency_us == 1_100_000
