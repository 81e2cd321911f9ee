"""Every type of event: what it is about, whom it is for, and what has become true.

This list is what endpoints may ask for, and what `docs/reference/events.md` is made of; a test compares it with what the code writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Audience(StrEnum):
    """Who learns of an event."""

    PARTNER = "partner"
    """The partner whose it is."""
    EVERYONE = "everyone"
    """Every partner, where the event names none; else that partner."""
    OPERATOR = "operator"
    """The operator only."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event."""

    about: str
    """What its subject is; a partner reads the subject's id as ``<about>_id``, but for a wallet, which is its currency."""
    meaning: str
    audience: Audience = Audience.PARTNER


_ORDER: Final = "order"

EVENT_TYPES: Final[dict[str, EventType]] = {
    "order.placed": EventType(_ORDER, "The order was accepted and waits: it is unpaid, or its money is held."),
    "order.processing": EventType(
        _ORDER, "Codes are being obtained. An order wholly from stock never shows it: it is final when it is written."
    ),
    "order.fulfilled": EventType(_ORDER, "Every unit was delivered and charged."),
    "order.partially_fulfilled": EventType(_ORDER, "Some units were delivered and charged; the rest was not charged."),
    "order.failed": EventType(_ORDER, "Nothing came, and nothing is charged."),
    "order.needs_review": EventType(
        _ORDER, "Unfinished items wait for the operator's decision. Nothing is bought for them meanwhile."
    ),
    "order.cancelled": EventType(
        _ORDER, "The order was withdrawn before it started, or was not paid in time. Its money is free."
    ),
    "order.refunded": EventType(_ORDER, "Money was given back; the codes stay. `data`: the amount."),
    "order.invalidated": EventType(
        _ORDER, "The order was taken back, with its charge and its codes. `data`: what was refunded, and how many `codes`."
    ),
    "balance.credited": EventType(
        "wallet", "Money was added, or a debit was reversed. `data`: what moved, and the balance after it."
    ),
    "balance.debited": EventType("wallet", "The operator took money off, or reversed a credit. `data`: likewise."),
    "balance.credit_limit_changed": EventType(
        "wallet", "The wallet may now be overdrawn by another amount. `data`: the limit before and after."
    ),
    "balance.low": EventType(
        "wallet",
        "What may still be spent fell below the threshold that the operator set. Told once, and again after it had recovered. "
        "`data`: what is `available`, and the `threshold`.",
    ),
    "stock.low": EventType(
        "denomination",
        "Unsold codes of a sku fell below the threshold that the operator set. Told once, and again after it was restocked. "
        "`data`: `sku`, `in_stock`, `threshold`.",
        Audience.OPERATOR,
    ),
    "hold.overdue": EventType("hold", "Money has been held past its deadline. Told once; nothing is freed.", Audience.OPERATOR),
    "product.updated": EventType(
        "product", "A product, a face value of it, or its price changed. `data`: what.", Audience.EVERYONE
    ),
    "product.retired": EventType(
        "product", "A product, or a face value of it, can no longer be ordered. `data`: what.", Audience.EVERYONE
    ),
    "endpoint.disabled": EventType(
        "endpoint", "A webhook endpoint gets nothing more: it answered 410, or failed for days. `data`: `reason`."
    ),
    "endpoint.test": EventType("endpoint", "You asked for a test of this endpoint. It comes to no other one."),
}
"""Event type → what it is about, and what has become true."""

TEST_TYPE: Final = "endpoint.test"
DISABLED_TYPE: Final = "endpoint.disabled"

SHARED_TYPES: Final = frozenset({name for name, one in EVENT_TYPES.items() if one.audience is Audience.EVERYONE})
"""Types whose events, where they name no partner, are for every partner."""

PARTNER_TYPES: Final = frozenset({name for name, one in EVENT_TYPES.items() if one.audience is not Audience.OPERATOR})
"""Types that a partner may see and ask for."""
