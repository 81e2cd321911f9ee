"""What a human decides about an item in review, decided twice, or while the supplier's late answer comes: money and codes are right."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cardrail.kernel import CardrailError, PlainCode
from cardrail.orders import (
    InvalidTransition,
    Order,
    SupplierBeingAsked,
    resolve_as_delivered,
    resolve_as_failed,
    resolve_as_retry,
    send_to_review,
)
from cardrail.sourcing import AttemptState, Lookup
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK

BLIND = replace(QUICK, lookup=Lookup.NONE)
WHY: Any = {"because": "the supplier says so", "actor": "cli"}
HOWS = ("failed", "retry", "delivered", "delivered_theirs")


def decide(shop: Supplied, order: Order, how: str) -> Order:
    """delivered: other codes than the supplier's; delivered_theirs: those that it will show."""
    place = (shop.db, shop.clock, shop.audit)
    if how in ("failed", "retry"):
        return (resolve_as_failed if how == "failed" else resolve_as_retry)(*place, order.id, **WHY)
    theirs = [one for one in shop.fakes["A"].sold if one.reference == shop.attempts(order)[0].reference]
    codes = theirs[0].codes if how == "delivered_theirs" else [PlainCode(f"HAND-{order.id}-{n}") for n in range(2)]
    books, catalog = shop.shop.books, shop.catalog.current()
    return resolve_as_delivered(*place, books, catalog, order.id, line=1, codes=codes, **WHY)


def unknown(shop: Supplied, count: int = 1) -> list[Order]:
    """Orders in review: bought at A, whose answers were lost."""
    fake = shop.fakes.get("A") or shop.supplier("A")
    found = []
    for _ in range(count):
        fake.script.append("lost")
        placed = shop.order("CARD", 2)
        shop.visit(placed)
        send_to_review(shop.db, shop.clock, shop.audit, placed.id, **WHY)
        found.append(placed)
    return found


def balanced(shop: Supplied, *orders: Order, unclaimed: int = 0) -> None:
    """Each order is charged for the codes that it has, no code is in two places, and what was bought is paid for and somewhere.

    Of ``unclaimed`` units a human said that they were not bought.
    """
    shown = [code for order in orders for code in shop.shown(order)]
    by_hand = sum(code.startswith("HAND") for code in shown)
    assert sum(shop.stands(order).charged_minor for order in orders) == 9_500 * len(shown)
    assert len(shown) == len(set(shown))
    bought = sum(one.units for one in shop.fakes.values()) - unclaimed
    assert len(shown) - by_hand + shop.in_stock("CARD") == bought
    books = shop.platform()
    assert shop.owed() == 8_000 * bought == books.get(("cost_of_goods", "INR"), 0) + books.get(("stock", "INR"), 0)
    assert shop.findings() == []


@pytest.mark.parametrize("how", HOWS)
def test_what_was_decided_once_is_not_decided_again(shop: Supplied, how: str) -> None:
    (placed,) = unknown(shop)
    first = decide(shop, placed, how)
    for again in HOWS:
        with pytest.raises(InvalidTransition):
            decide(shop, placed, again)
    assert shop.stands(placed).state is first.state
    shop.fakes["A"].script.clear()
    shop.finish(placed)
    balanced(shop, placed, unclaimed=2 if how == "retry" else 0)


@pytest.mark.parametrize("how", HOWS)
def test_the_truth_that_comes_while_it_is_decided_loses_and_doubles_nothing(shop: Supplied, how: str) -> None:
    (placed,) = unknown(shop)
    shop.frozen.advance(seconds=3)
    said: list[str] = []

    def decision() -> None:
        try:
            said.append(decide(shop, placed, how).state.value)
        except SupplierBeingAsked as error:
            said.append(error.code)

    shop.fakes["A"].meanwhile.append(decision)
    shop.visit(placed)
    ended = {"failed": "FAILED", "retry": "supplier_being_asked", "delivered": "FULFILLED", "delivered_theirs": "FULFILLED"}
    assert said == [ended[how]]
    done = shop.finish(placed)
    assert (states(done)[0], shop.fakes["A"].units) == ("FAILED" if how == "failed" else "FULFILLED", 2)
    balanced(shop, placed)


def test_a_purchase_that_is_under_way_is_not_retried(shop: Supplied) -> None:
    fake = shop.supplier("A")
    other = shop.supplier("B", cost="85.00")
    placed = shop.order("CARD", 2)
    raised: list[object] = []

    def hasty() -> None:
        send_to_review(shop.db, shop.clock, shop.audit, placed.id, **WHY)
        with pytest.raises(SupplierBeingAsked) as error:
            decide(shop, placed, "retry")
        raised.append(error.value.facts["retry_after"])

    fake.meanwhile.append(hasty)
    shop.visit(placed)
    assert (raised, states(shop.finish(placed))[0], fake.units, other.units) == ([8], "FULFILLED", 2, 0)


def test_who_is_alone_in_selling_it_is_asked_again_once_a_human_wants_that(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost", "lost", "lost", "deliver", abilities=BLIND)
    placed = shop.order("CARD", 2)
    for _ in range(3):
        shop.visit(placed)
        fake.sold.clear()  # so they say on the telephone
        shop.frozen.advance(seconds=60)
        decide(shop, placed, "retry")
    done = shop.finish(placed)
    assert (states(done)[0], of(shop.attempts(done))) == ("FULFILLED", [*[("closed", 2, 0)] * 3, ("delivered", 2, 2)])
    balanced(shop, placed)


def test_a_retried_purchase_whose_answer_comes_after_all_is_stock(shop: Supplied) -> None:
    fake = shop.supplier("A", "deliver", abilities=BLIND)
    shop.supplier("B", cost="80.00")
    placed = shop.order("CARD", 2)

    def given_up() -> None:
        shop.frozen.advance(seconds=100)
        shop.finish(placed, visits=2)
        decide(shop, placed, "retry")
        shop.finish(placed)

    fake.meanwhile.append(given_up)
    shop.visit(placed)
    assert (shop.shown(placed), shop.in_stock("CARD")) == (shop.fakes["B"].codes, 2)
    balanced(shop, placed)


def test_humans_and_late_answers_at_the_same_instant(shop: Supplied, full_counts: bool) -> None:
    """Each order has two humans, who decide differently, and two workers, who get the truth."""
    orders = unknown(shop, 40 if full_counts else 4)
    shop.frozen.advance(seconds=3)
    raised: list[BaseException] = []

    def do(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
        except CardrailError as error:
            if not isinstance(error, (InvalidTransition, SupplierBeingAsked)):
                raised.append(error)
        except BaseException as error:
            raised.append(error)

    for n, order in enumerate(orders):
        hows = (HOWS[n % 4], HOWS[(n // 4 + n + 1) % 4])
        work: list[Callable[[], object]] = [partial(decide, shop, order, how) for how in hows]
        work += [partial(shop.visit, order)] * 2
        gate = threading.Barrier(len(work))
        threads = [threading.Thread(target=do, args=(one,)) for one in work]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert raised == []
    for order in orders:
        shop.finish(order)
    closed = sum(one.state is AttemptState.CLOSED for order in orders for one in shop.attempts(order))
    balanced(shop, *orders, unclaimed=2 * closed)
