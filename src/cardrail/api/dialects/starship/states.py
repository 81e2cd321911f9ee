"""From what is known of an order to the vendor's status and sub status (specs/starship.md, section 3): pure, and in one place.

Whoever learns more of an order (attempts at suppliers, claims of links, reconciliation) adds it to ``Facts``; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cardrail.orders import Order, OrderState
from cardrail.sourcing import AttemptState

S: Final = OrderState

STATUSES: Final = ("PLACED", "PENDING", "PROCESSING", "DELIVERED", "PARTIALLY_DELIVERED", "FAILED", "CANCELLED")

STANDINGS: Final[Mapping[str, tuple[tuple[OrderState, bool | None], ...]]] = {
    "PLACED": ((S.PLACED, None),),
    "PENDING": ((S.PROCESSING, False),),
    "PROCESSING": ((S.NEEDS_REVIEW, False),),
    "PARTIALLY_DELIVERED": ((S.PROCESSING, True), (S.NEEDS_REVIEW, True), (S.PARTIALLY_FULFILLED, None)),
    "DELIVERED": ((S.FULFILLED, None),),
    "FAILED": ((S.FAILED, None),),
    "CANCELLED": ((S.CANCELLED, None), (S.INVALIDATED, None)),
}
"""Status → the states that it stands for, each with whether some unit was delivered (None: whatever)."""

_BY_STATE: Final = {standing: status for status, standings in STANDINGS.items() for standing in standings}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status words are derived from."""

    state: OrderState
    delivered: int = 0
    """Units whose codes are there."""
    is_from_stock: bool = True
    """Whether stock gave, or is to give, the codes; otherwise suppliers."""
    attempts: tuple[str, ...] = ()
    """States of the attempts at suppliers in their order (sourcing.AttemptState)."""
    link_claims: tuple[bool, ...] = ()
    """For gift links: whether each delivered one was claimed."""
    is_link: bool = False
    is_reconciled: bool = False
    """Whether a supplier's statement, or the partner's, was found to agree."""
    was_debited: bool = True
    """Whether money was taken or set aside for it at any time."""
    is_refunded: bool = False
    """Whether all that was charged was given back."""


def status_of(state: OrderState, delivered: int) -> str:
    """The status, upper case."""
    return _BY_STATE.get((state, None)) or _BY_STATE[state, delivered > 0]


def sub_status_of(facts: Facts) -> str:
    """The sub status, one of those that section 3.5 allows for the status."""
    match facts.state:
        case S.PLACED:
            return "INITIAL"
        case S.FAILED | S.CANCELLED:
            return "REFUNDED" if facts.was_debited else "NOT_REFUNDED"
        case S.INVALIDATED:
            return "REFUNDED"
        case S.FULFILLED:
            return _delivered(facts)
        case S.PARTIALLY_FULFILLED:
            return "REFUNDED" if facts.is_refunded else "PARTIAL"
    if facts.delivered:
        return "PARTIAL"
    return "PROCESSING" if facts.state is S.NEEDS_REVIEW else _sought(facts)


def _delivered(facts: Facts) -> str:
    if facts.is_refunded:
        return "REFUNDED"
    if facts.is_reconciled:
        return "RECONCILED"
    if facts.link_claims:
        return "GV_LINK_CLAIMED" if all(facts.link_claims) else "GV_LINK_UNCLAIMED"
    return "COMPLETED"


_BY_ATTEMPT: Final = {
    AttemptState.ASKING.value: "VENDOR_ORDER_PENDING",
    AttemptState.UNKNOWN.value: "VENDOR_ORDER_PENDING",
    AttemptState.ACCEPTED.value: "VENDOR_ORDER_CREATED",
    AttemptState.DELIVERED.value: "VENDOR_VOUCHER_FETCHED",
    AttemptState.REFUSED.value: "VENDOR_ORDER_FAILED",
    AttemptState.ABSENT.value: "VENDOR_ORDER_FAILED",
    AttemptState.INVALIDATED.value: "VENDOR_ORDER_FAILED",
    AttemptState.CLOSED.value: "VENDOR_ORDER_FAILED",
}


def _sought(facts: Facts) -> str:
    """Where the codes of an order that has none yet are."""
    if facts.is_from_stock and not facts.attempts:
        return "INVENTORY_FULFILLED"
    if not facts.attempts:
        return "VENDOR_ORDER_PENDING"
    last = _BY_ATTEMPT.get(facts.attempts[-1], "PROCESSING")
    return "GV_LINK_PENDING" if facts.is_link and last == "VENDOR_ORDER_CREATED" else last


def recharge_status_of(state: OrderState, delivered: int, *, has_receipt: bool) -> str:
    """The state of a top-up: RECHARGED where an account was topped up, DELIVERED where a code for it was given."""
    if state in (S.FULFILLED, S.PARTIALLY_FULFILLED) or (delivered and state is not S.INVALIDATED):
        return "RECHARGED" if has_receipt else "DELIVERED"
    if state is S.FAILED:
        return "FAILED"
    return "CANCELLED" if state in (S.CANCELLED, S.INVALIDATED) else "PENDING"


def inventory_status_of(state: OrderState, *, is_claimed: bool = False, is_revoked: bool = False) -> str:
    """The state of a unit that an order got; AVAILABLE and BLOCKED units are nobody's."""
    if is_revoked or state is S.INVALIDATED:
        return "REVOKED"
    if is_claimed:
        return "COMPLETED"
    return "DELIVERED" if state in (S.FULFILLED, S.PARTIALLY_FULFILLED) else "ALLOCATED"


def facts_of(
    order: Order,
    *,
    is_link: bool = False,
    attempts: tuple[str, ...] = (),
    link_claims: tuple[bool, ...] = (),
    is_reconciled: bool = False,
) -> Facts:
    """The facts of an order, with what its row does not say."""
    return Facts(
        state=order.state,
        delivered=sum([item.delivered for item in order.items]),
        is_from_stock=not any(item.hold_id for item in order.items),  # suppliers are waited for with money held
        attempts=attempts,
        link_claims=link_claims,
        is_link=is_link,
        is_reconciled=is_reconciled,
        was_debited=order.pay_until is None and any(item.hold_id or item.charged_minor for item in order.items),
        is_refunded=0 < order.charged_minor == order.refunded_minor,
    )
