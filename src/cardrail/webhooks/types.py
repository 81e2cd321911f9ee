"""Every type of event: what it is about, whom it is for, and what has become true.

This list is what endpoints may ask for, and what `docs/reference/events.md` is made of; a test compares it with what the code writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


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
    example: Mapping[str, Any] = field(default_factory=dict)
    """Further facts as the row keeps them; made up, but of the form that the code writes."""
    states: tuple[str | None, str] | None = None
    """Before and after, where the subject has states."""
    reason: str | None = None
    audience: Audience = Audience.PARTNER


def _order(meaning: str, state: str, before: str | None = None, reason: str | None = None, **facts: Any) -> EventType:
    return EventType("order", meaning, facts, (before, state), reason)


def _replacement(meaning: str, state: str, before: str | None, reason: str, **facts: Any) -> EventType:
    place = {"order_id": "ord_01K0ABCDEFGHJKMNPQRSTVWXYZ", "line": 1, "position": 2, "code_reason": "already_redeemed"}
    return EventType("replacement", meaning, {**place, **facts}, (before, state), reason)


_INR: Final = {"currency": "INR"}
_MOVED: Final = {
    "transfer_id": "trf_01K0ABCDEFGHJKMNPQRSTVWXYZ",
    **_INR,
    "mode": "live",
    "amount_minor": 500_000,
    "balance_minor": 725_050,
}
_MESSAGE: Final = {"order_id": "ord_01K0ABCDEFGHJKMNPQRSTVWXYZ", "channel": "email"}

EVENT_TYPES: Final[dict[str, EventType]] = {
    "order.placed": _order("The order was accepted and waits: it is unpaid, or its money is held.", "PLACED"),
    "order.processing": _order(
        "Codes are being obtained. An order wholly from stock never shows it: it is final when it is written.",
        "PROCESSING",
        "PLACED",
    ),
    "order.fulfilled": _order("Every unit was delivered and charged.", "FULFILLED"),
    "order.partially_fulfilled": _order(
        "Some units were delivered and charged; the rest was not charged.", "PARTIALLY_FULFILLED"
    ),
    "order.failed": _order("Nothing came, and nothing is charged.", "FAILED", "PROCESSING", "out_of_stock"),
    "order.needs_review": _order(
        "Unfinished items wait for the operator's decision. Nothing is bought for them meanwhile.", "NEEDS_REVIEW", "PROCESSING"
    ),
    "order.cancelled": _order(
        "The order was withdrawn before it started, or was not paid in time. Its money is free.",
        "CANCELLED",
        "PLACED",
        "not paid",
    ),
    "order.refunded": _order(
        "Money was given back; the codes stay. `units`: which were paid back, by line and position; absent where it is a rebate on all.",
        "FULFILLED",
        "FULFILLED",
        "goodwill",
        amount_minor=9_500,
        **_INR,
        units=[{"line": 1, "positions": [2]}],
    ),
    "order.invalidated": _order(
        "The order was taken back, with its charge and its codes (`codes`: how many).",
        "INVALIDATED",
        "FULFILLED",
        "wrong product",
        refunded_minor=9_500,
        **_INR,
        codes=1,
    ),
    "code.replaced": _order(
        "Another code was given for one that was bad. It stands in its place among the order's codes.",
        "FULFILLED",
        "FULFILLED",
        "looked at it",
        replacement_id="rpl_01K0ABCDEFGHJKMNPQRSTVWXYZ",
        line=1,
        position=2,
    ),
    "replacement.requested": _replacement("A claim that a code is bad was taken.", "REQUESTED", None, "already_redeemed"),
    "replacement.needs_review": _replacement(
        "The operator has to decide a claim.", "NEEDS_REVIEW", "ASKING_SUPPLIER", "the supplier refused"
    ),
    "replacement.refunded": _replacement(
        "What the unit of a bad code was charged was given back; `order.refunded` tells of the money too.",
        "REFUNDED",
        "NEEDS_REVIEW",
        "looked at it",
        refunded_minor=9_500,
        **_INR,
    ),
    "replacement.refused": _replacement(
        "A claim came to nothing: the code stays as it is.", "REFUSED", "NEEDS_REVIEW", "it was used by its buyer"
    ),
    "balance.credited": EventType(
        "wallet", "Money was added, or a debit was reversed.", {**_MOVED, "reference": "transfer 4711"}
    ),
    "balance.debited": EventType("wallet", "The operator took money off, or reversed a credit.", _MOVED),
    "balance.credit_limit_changed": EventType(
        "wallet",
        "The wallet may now be overdrawn by another amount.",
        {**_INR, "mode": "live", "before_minor": 0, "limit_minor": 1_000_000},
    ),
    "balance.low": EventType(
        "wallet",
        "What may still be spent fell below the threshold that the operator set (`cardrail ledger threshold`). Told once, "
        "and again after it had recovered.",
        {**_INR, "available_minor": 42_000, "threshold_minor": 50_000},
    ),
    "claim.opened": EventType(
        "claim",
        "The recipient opened the claim link: the code was shown.",
        {"order_id": "ord_01K0ABCDEFGHJKMNPQRSTVWXYZ", "line": 1, "unit": 1},
        ("UNCLAIMED", "CLAIMED"),
    ),
    "message.sent": EventType("message", "The recipient's mail server, or Telegram, took the message.", _MESSAGE),
    "message.failed": EventType(
        "message", "The message could not be sent, and is not tried again.", {**_MESSAGE, "error": "timeout"}
    ),
    "message.bounced": EventType("message", "The message came back: there is no such recipient.", _MESSAGE),
    "message.resent": EventType(
        "message", "A message was sent once more (`of`: the first one).", {**_MESSAGE, "of": "msg_01K0ABCDEFGHJKMNPQRSTVWXYZ"}
    ),
    "settlement.closed": EventType(
        "statement",
        "A period was closed, and its statement sealed.",
        {
            **_INR,
            "number": 7,
            "period_from": "2026-01-01T00:00:00.000000Z",
            "period_to": "2026-02-01T00:00:00.000000Z",
            "closing_minor": 725_050,
            "movements": 1_204,
            "hash": "9f2c…",
        },
        ("draft", "closed"),
    ),
    "product.updated": EventType(
        "product",
        "A product, a face value of it, or its price changed.",
        {"code": "TEA", "change": "price"},
        audience=Audience.EVERYONE,
    ),
    "product.retired": EventType(
        "product",
        "A product can no longer be ordered.",
        {"name": "TEA", "change": "retired"},
        audience=Audience.EVERYONE,
    ),
    "endpoint.disabled": EventType(
        "endpoint",
        "A webhook endpoint gets nothing more: it answered 410, or failed for days.",
        reason="the receiver answered 410 Gone",
    ),
    "endpoint.test": EventType("endpoint", "You asked for a test of this endpoint. It comes to no other one."),
    "stock.low": EventType(
        "denomination",
        "Unsold codes of a sku fell below the threshold that the operator set (`cardrail codes threshold`). Told once, and again after it "
        "was restocked.",
        {"sku": "TEA", "in_stock": 18, "threshold": 20},
        audience=Audience.OPERATOR,
    ),
    "books.drift": EventType(
        "book",
        "The nightly look over the books found what is not as it must be (`cardrail verify` names all of it), or statements could not be "
        "closed.",
        {"findings": 1, "checks": ["wallet_sums"], "rows": [{"check": "wallet_sums", "subject": "par_…:wallet:INR:live"}]},
        audience=Audience.OPERATOR,
    ),
    "books.agree": EventType(
        "book",
        "The nightly look over the books found nothing, after it had found something.",
        audience=Audience.OPERATOR,
    ),
    "supplier.down": EventType(
        "supplier",
        "A supplier does not answer: its circuit breaker is open, and nothing new is bought there until a trial call is answered.",
        {"failures": 5},
        audience=Audience.OPERATOR,
    ),
    "supplier.up": EventType("supplier", "A supplier answers again.", {}, audience=Audience.OPERATOR),
    "supplier.notice_held": EventType(
        "supplier",
        "A supplier's webhook waits for a human: nothing was bought under the number that it names, or it takes back what was delivered "
        "(`cardrail supplier webhook list --state review`).",
        {
            "notice_id": "ntc_01K0ABCDEFGHJKMNPQRSTVWXYZ",
            "event": "order.delivered",
            "their_order": "ord_q7w2e9",
            "because": "nothing was bought here under this number",
        },
        audience=Audience.OPERATOR,
    ),
    "supplier.balance_low": EventType(
        "supplier",
        "What we have at a supplier is below the mark, or will be used up within a day. Told again after an hour at the soonest.",
        {"balance_minor": 120_000, "currency": "USD", "dry_in_seconds": 43_200},
        audience=Audience.OPERATOR,
    ),
    "supplier.cost_held": EventType(
        "supplier",
        "Costs of a supplier's products jumped, and nothing of them is bought until an operator says yes (`cardrail supplier accept`).",
        {"products": 1, "supplier_skus": ["steam-in-100"]},
        audience=Audience.OPERATOR,
    ),
    "supplier.statement_differs": EventType(
        "supplier",
        "The nightly look at a supplier's statement found what differs from our purchases, or lines that cannot be read. It says how much "
        "waits for a decision, of all its statements (`cardrail reconcile differences --state open`).",
        {
            "statement_id": "sst_01K0ABCDEFGHJKMNPQRSTVWXYZ",
            "differences": 3,
            "kinds": "amount 2, only_theirs 1",
            "left_out": 0,
        },
        audience=Audience.OPERATOR,
    ),
    "hold.overdue": EventType(
        "hold",
        "Money has been held past its deadline. Told once; nothing is freed.",
        {"order_id": "ord_01K0ABCDEFGHJKMNPQRSTVWXYZ", "line": 1, "rest_minor": 9_500, **_INR},
        reason="deadline",
        audience=Audience.OPERATOR,
    ),
}
"""Event type → what it is about, and what has become true."""

SHARED_TYPES: Final = frozenset({name for name, one in EVENT_TYPES.items() if one.audience is Audience.EVERYONE})
"""Types whose events, where they name no partner, are for every partner."""

PARTNER_TYPES: Final = frozenset({name for name, one in EVENT_TYPES.items() if one.audience is not Audience.OPERATOR})
"""Types that a partner may see and ask for."""
