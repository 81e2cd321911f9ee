"""Making an answer harmless before it is written down. Pure.

A connector is a plug, and what it passes on is a stranger's: an empty text as a code, a number that no column takes, nothing at all. What
cannot be kept must not be charged for, and must not hinder what can be kept from being written: codes are kept where their order's number
is nonsense, and where there are no codes nobody pays.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from cardrail.kernel import MINOR_MAX, Money, PlainCode
from cardrail.sourcing.connector import (
    Accepted,
    Credited,
    Delivered,
    Invalidated,
    InvalidateOutcome,
    LookupOutcome,
    NotFound,
    Refused,
    ReplacementOutcome,
    Unknown,
)

ID_MAX: Final = 200
"""Characters of a supplier's order number: it is in an index."""
WORDS_MAX: Final = 300
SECONDS_MAX: Final = 86_400.0
"""Whoever wants to be left alone for longer is asked once a day."""


def sound(outcome: object) -> LookupOutcome:
    """What ``place`` or ``lookup`` answered, as it can be kept. What is none of the interface's answers is Unknown."""
    if isinstance(outcome, NotFound):
        return outcome
    if not isinstance(outcome, (Delivered, Accepted, Refused, Unknown)):
        return Unknown("the connector answered nothing that is known")
    order_id = _id(outcome.supplier_order_id)
    if isinstance(outcome, Delivered):
        return _delivered(outcome, order_id)
    if isinstance(outcome, Accepted):
        if order_id is None:
            return Unknown("accepted, under a number that cannot be kept")
        return replace(outcome, supplier_order_id=order_id, poll_after_seconds=sound_seconds(outcome.poll_after_seconds))
    if isinstance(outcome, Unknown):
        return Unknown(_words(outcome.why), order_id)
    wait = sound_seconds(outcome.retry_after_seconds)
    return replace(outcome, reason=_words(outcome.reason), retry_after_seconds=wait, supplier_order_id=order_id)


def sound_end(outcome: object) -> InvalidateOutcome:
    """What ``invalidate`` answered: done only if it says so."""
    if isinstance(outcome, Invalidated):
        return outcome
    if isinstance(outcome, Refused):
        return replace(outcome, reason=_words(outcome.reason))
    return Unknown(_words(outcome.why) if isinstance(outcome, Unknown) else "the connector answered nothing that is known")


def sound_claim(outcome: object) -> ReplacementOutcome:
    """What ``replace`` or ``replacement`` answered, as it can be kept."""
    if not isinstance(outcome, Credited):
        return sound(outcome)
    amount: Any = outcome.amount
    return Credited(amount if isinstance(amount, Money) and 0 <= amount.minor <= MINOR_MAX else None)


def _delivered(outcome: Delivered, order_id: str | None) -> Delivered | Unknown:
    """Codes that are there, all of them; else nobody knows: those that are missing may still be shown, and are not bought again."""
    codes: Any = outcome.codes
    if not isinstance(codes, tuple) or not codes:
        return Unknown("delivered, and no code in the answer", order_id)
    if not all(_is_code(one) for one in codes):
        return Unknown("delivered, and one of its codes is empty or no text", order_id)
    cost: Any = outcome.cost
    is_cost = isinstance(cost, Money) and 0 <= cost.minor <= MINOR_MAX
    ends: Any = outcome.expires_at
    if isinstance(ends, datetime) and ends.tzinfo is None:
        ends = ends.replace(tzinfo=UTC)
    return Delivered(codes, cost if is_cost else None, order_id, ends if isinstance(ends, datetime) else None)


def _is_code(one: Any) -> bool:
    """Whether it is something to redeem, and all of it is text that can be written down."""
    if not isinstance(one, PlainCode) or not all(part is None or isinstance(part, str) for part in one.fields()):
        return False
    try:
        "".join(part or "" for part in one.fields()).encode()
    except UnicodeEncodeError:
        return False
    return bool((one.code or "").strip() or (one.url or "").strip())


def _id(given: object) -> str | None:
    return given if isinstance(given, str) and 0 < len(given) <= ID_MAX and given.isprintable() else None


def sound_seconds(given: object) -> float | None:
    """How long a supplier wants to be left alone, as far as that is obeyed; None where it is no time."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given) or given < 0:
        return None
    return min(float(given), SECONDS_MAX)


def _words(given: object) -> str:
    """A sentence for the story, of what may be a supplier's text."""
    return "".join([one if one.isprintable() else " " for one in str(given)[:WORDS_MAX]])
