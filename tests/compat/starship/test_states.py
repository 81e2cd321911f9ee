"""Status and sub status: each of the sheet's values from a situation, and none that section 3.5 does not allow."""

from __future__ import annotations

import itertools

import pytest

from cardrail.api.dialects.starship.states import (
    STANDINGS,
    STATUSES,
    Facts,
    inventory_status_of,
    recharge_status_of,
    status_of,
    sub_status_of,
)
from cardrail.orders import OrderState

S = OrderState

ALLOWED = {
    "PLACED": {"INITIAL"},
    "PENDING": {
        "INITIAL", "PROCESSING", "INVENTORY_FULFILLED", "VENDOR_ORDER_PENDING", "VENDOR_ORDER_CREATED", "VENDOR_VOUCHER_FETCHED",
        "VENDOR_ORDER_FAILED", "GV_LINK_PENDING",
    },
    "PROCESSING": {"PROCESSING", "VENDOR_ORDER_CREATED", "VENDOR_VOUCHER_FETCHED", "GV_LINK_PENDING"},
    "PARTIALLY_DELIVERED": {"PARTIAL", "REFUNDED"},
    "DELIVERED": {"COMPLETED", "GV_LINK_UNCLAIMED", "GV_LINK_CLAIMED", "RECONCILED", "REFUNDED"},
    "FAILED": {"NOT_REFUNDED", "REFUNDED", "BULK_LIMIT_EXCEEDED"},
    "CANCELLED": {"NOT_REFUNDED", "REFUNDED"},
}  # fmt: skip
"""Section 3.5; a partial order that is given back keeps what it delivered, and says so (docs/compat/starship.md)."""


@pytest.mark.parametrize(
    ("facts", "status", "sub_status"),
    [
        (Facts(S.PLACED), "PLACED", "INITIAL"),
        (Facts(S.PROCESSING), "PENDING", "INVENTORY_FULFILLED"),
        (Facts(S.PROCESSING, is_from_stock=False), "PENDING", "VENDOR_ORDER_PENDING"),
        (Facts(S.PROCESSING, is_from_stock=False, attempts=("unknown",)), "PENDING", "VENDOR_ORDER_PENDING"),
        (Facts(S.PROCESSING, is_from_stock=False, attempts=("refused", "accepted")), "PENDING", "VENDOR_ORDER_CREATED"),
        (Facts(S.PROCESSING, is_from_stock=False, attempts=("delivered",)), "PENDING", "VENDOR_VOUCHER_FETCHED"),
        (Facts(S.PROCESSING, is_from_stock=False, attempts=("refused",)), "PENDING", "VENDOR_ORDER_FAILED"),
        (Facts(S.PROCESSING, is_from_stock=False, attempts=("accepted",), is_link=True), "PENDING", "GV_LINK_PENDING"),
        (Facts(S.NEEDS_REVIEW, attempts=("unknown",)), "PROCESSING", "PROCESSING"),
        (Facts(S.PROCESSING, delivered=1, attempts=("accepted",)), "PARTIALLY_DELIVERED", "PARTIAL"),
        (Facts(S.PARTIALLY_FULFILLED, delivered=1), "PARTIALLY_DELIVERED", "PARTIAL"),
        (Facts(S.FULFILLED, delivered=2), "DELIVERED", "COMPLETED"),
        (Facts(S.FULFILLED, delivered=2, link_claims=(True, False)), "DELIVERED", "GV_LINK_UNCLAIMED"),
        (Facts(S.FULFILLED, delivered=2, link_claims=(True, True)), "DELIVERED", "GV_LINK_CLAIMED"),
        (Facts(S.FULFILLED, delivered=2, is_reconciled=True), "DELIVERED", "RECONCILED"),
        (Facts(S.FULFILLED, delivered=2, is_refunded=True, is_reconciled=True), "DELIVERED", "REFUNDED"),
        (Facts(S.FAILED), "FAILED", "REFUNDED"),
        (Facts(S.CANCELLED), "CANCELLED", "REFUNDED"),
        (Facts(S.CANCELLED, was_debited=False), "CANCELLED", "NOT_REFUNDED"),
        (Facts(S.INVALIDATED, delivered=2, is_refunded=True), "CANCELLED", "REFUNDED"),
    ],
)
def test_a_situation_has_its_status_and_sub_status(facts: Facts, status: str, sub_status: str) -> None:
    assert (status_of(facts.state, facts.delivered), sub_status_of(facts)) == (status, sub_status)


def test_no_facts_make_a_pair_that_the_vendor_does_not_know() -> None:
    attempts: list[tuple[str, ...]] = [
        (),
        ("asking",),
        ("absent",),
        ("accepted",),
        ("refused",),
        ("delivered",),
        ("unknown",),
        ("new word",),
    ]
    flags = list(itertools.product((False, True), repeat=4))
    for state, delivered, tried, claims, (stock, link, reconciled, refunded) in itertools.product(
        OrderState, (0, 1), attempts, ((), (True,), (False,)), flags
    ):
        facts = Facts(state, delivered, stock, tried, claims, link, reconciled, True, refunded)
        assert sub_status_of(facts) in ALLOWED[status_of(state, delivered)], facts


def test_a_status_filter_and_the_status_that_is_shown_agree() -> None:
    assert set(STANDINGS) == set(STATUSES)
    for state, delivered in itertools.product(OrderState, (0, 1)):
        (found,) = [
            name
            for name, standings in STANDINGS.items()
            if any(one is state and has_units in (None, delivered > 0) for one, has_units in standings)
        ]
        assert found == status_of(state, delivered)


@pytest.mark.parametrize(
    ("state", "delivered", "has_receipt", "expected"),
    [
        (S.PROCESSING, 0, True, "PENDING"),
        (S.PLACED, 0, True, "PENDING"),
        (S.FULFILLED, 1, True, "RECHARGED"),
        (S.FULFILLED, 1, False, "DELIVERED"),
        (S.FAILED, 0, True, "FAILED"),
        (S.CANCELLED, 0, True, "CANCELLED"),
        (S.INVALIDATED, 1, False, "CANCELLED"),
    ],
)
def test_a_top_ups_status(state: OrderState, delivered: int, has_receipt: bool, expected: str) -> None:
    assert recharge_status_of(state, delivered, has_receipt=has_receipt) == expected


def test_a_units_status() -> None:
    assert inventory_status_of(S.PROCESSING) == "ALLOCATED"
    assert inventory_status_of(S.FULFILLED) == "DELIVERED"
    assert inventory_status_of(S.FULFILLED, is_claimed=True) == "COMPLETED"
    assert inventory_status_of(S.FULFILLED, is_revoked=True) == inventory_status_of(S.INVALIDATED) == "REVOKED"
