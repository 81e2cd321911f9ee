"""What an operator can decide about an item whose supplier's answer is unknown: and what the truth does when it comes later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cardrail.kernel import PlainCode
from cardrail.orders import (
    InvalidTransition,
    Order,
    TooManyUnits,
    resolve_as_delivered,
    resolve_as_failed,
    resolve_as_retry,
    send_to_review,
    supply_story,
)
from cardrail.sourcing import Lookup
from cardrail.storage import AuditFilter, list_audit
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK

BLIND = replace(QUICK, lookup=Lookup.NONE)
WHY: Any = {"because": "the supplier says so", "actor": "cli"}


def in_review(shop: Supplied, quantity: int = 2) -> Order:
    """An order whose supplier's answer is lost, and which cannot be asked about."""
    shop.supplier("A", "lost", abilities=BLIND)
    placed = shop.order("CARD", quantity)
    shop.visit(placed)
    assert states(shop.stands(placed)) == ("NEEDS_REVIEW", ["NEEDS_REVIEW"])
    return placed


def deliver(shop: Supplied, order: Order, codes: list[str], line: int = 1) -> Order:
    given = [PlainCode(one) for one in codes]
    books, catalog = shop.shop.books, shop.catalog.current()
    return resolve_as_delivered(shop.db, shop.clock, shop.audit, books, catalog, order.id, line=line, codes=given, **WHY)


def test_resolved_as_delivered_the_codes_are_charged_and_shown(shop: Supplied) -> None:
    placed = in_review(shop)
    done = deliver(shop, placed, ["ONE", "TWO"])
    assert (states(done)[0], done.charged_minor, shop.shown(done)) == ("FULFILLED", 19_000, ["ONE", "TWO"])
    assert (shop.balance(), shop.findings()) == ("999810.00", [])


def test_what_cannot_be_asked_about_ends_with_the_decision(shop: Supplied) -> None:
    placed = in_review(shop)
    deliver(shop, placed, ["ONE", "TWO"])
    assert of(shop.attempts(placed)) == [("closed", 2, 0), ("delivered", 2, 2)]
    assert "2 codes given by cli" in shop.attempts(placed)[0].story[-1][1]
    assert ([one.state.value for one in shop.procurements(placed)], shop.findings()) == (["done"], [])


def test_codes_of_an_attempt_that_was_ended_by_hand_are_kept_when_they_come(shop: Supplied) -> None:
    fake = shop.supplier("A", "deliver", abilities=BLIND)
    placed = shop.order("CARD", 2)

    def someone_decides() -> None:
        shop.frozen.advance(seconds=100)
        shop.finish(placed, visits=2)
        deliver(shop, placed, ["ONE", "TWO"])

    fake.meanwhile.append(someone_decides)
    shop.visit(placed)
    assert (shop.shown(shop.stands(placed)), shop.in_stock("CARD"), shop.findings()) == (["ONE", "TWO"], 2, [])


def test_resolved_as_delivered_in_part_the_rest_is_given_back(shop: Supplied) -> None:
    done = deliver(shop, in_review(shop, 3), ["ONE"])
    assert (states(done)[0], done.charged_minor, shop.balance(), shop.findings()) == (
        "PARTIALLY_FULFILLED",
        9_500,
        "999905.00",
        [],
    )


def test_more_codes_than_are_missing_are_refused(shop: Supplied) -> None:
    with pytest.raises(TooManyUnits):
        deliver(shop, in_review(shop), ["ONE", "TWO", "THREE"])


def test_resolved_as_failed_the_money_is_free_and_codes_that_come_late_become_stock(shop: Supplied) -> None:
    fake = shop.supplier("A", "lost")
    fake.looks.extend(["silent"] * 200)
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    send_to_review(shop.db, shop.clock, shop.audit, placed.id, **WHY)
    done = resolve_as_failed(shop.db, shop.clock, shop.audit, placed.id, **WHY)
    assert (states(done)[0], shop.balance(), shop.findings()) == ("FAILED", "1000000.00", [])
    fake.looks.clear()
    done = shop.finish(placed)
    assert (states(done)[0], shop.in_stock("CARD"), shop.findings()) == ("FAILED", 2, [])
    assert shop.codes(shop.order("CARD", 2)) == fake.codes


def test_resolved_as_retry_it_is_bought_again(shop: Supplied) -> None:
    placed = in_review(shop)
    shop.fakes["A"].sold.clear()  # the operator was told on the telephone that nothing was bought
    resolve_as_retry(shop.db, shop.clock, shop.audit, placed.id, **WHY)
    other = shop.supplier("B", cost="85.00")
    done = shop.finish(placed)
    assert (states(done)[0], of(shop.attempts(done)), other.units) == ("FULFILLED", [("closed", 2, 0), ("delivered", 2, 2)], 2)
    assert shop.findings() == []


def test_what_is_not_in_review_cannot_be_resolved(shop: Supplied) -> None:
    shop.supplier("A")
    placed = shop.order("CARD")
    with pytest.raises(InvalidTransition):
        deliver(shop, placed, ["ONE"])
    with pytest.raises(InvalidTransition):
        resolve_as_retry(shop.db, shop.clock, shop.audit, placed.id, **WHY)


def test_an_item_in_review_by_hand_is_not_bought_meanwhile(shop: Supplied) -> None:
    fake = shop.supplier("A")
    placed = shop.order("CARD")
    send_to_review(shop.db, shop.clock, shop.audit, placed.id, **WHY)
    shop.visit(placed)
    assert (fake.asked, states(shop.stands(placed))[0]) == ([], "NEEDS_REVIEW")


def test_every_decision_is_in_the_audit_log_and_in_the_story(shop: Supplied) -> None:
    done = deliver(shop, in_review(shop), ["ONE", "TWO"])
    with shop.db.read() as tx:
        (row,) = list_audit(tx, AuditFilter(action="order.resolved")).items
    assert (row.entry.subject, "ONE" in str(row.entry)) == (done.id, False)
    (story,) = supply_story(shop.db, done.id)
    told = [sentence for _, sentence in story.told]
    assert "attempt 1 at A: unknown: the answer was lost; it cannot be asked about" in told
    assert "2 codes given by cli: the supplier says so" in told
