"""Our order states in the vendor's four words (specs/oneclickdz.md, section 3)."""

from __future__ import annotations

from typing import Final

from cardrail.orders import OrderState

HANDLING: Final = "HANDLING"
FULFILLED: Final = "FULFILLED"
PARTIALLY_FILLED: Final = "PARTIALLY_FILLED"
REFUNDED: Final = "REFUNDED"

STATUS: Final[dict[OrderState, str]] = {
    OrderState.PLACED: HANDLING,
    OrderState.PROCESSING: HANDLING,
    # A supplier's answer is unknown: for the caller nothing is decided yet.
    OrderState.NEEDS_REVIEW: HANDLING,
    OrderState.FULFILLED: FULFILLED,
    OrderState.PARTIALLY_FULFILLED: PARTIALLY_FILLED,
    # Nothing was delivered, or it was taken back: either way nothing is paid, and the vendor has one word for that.
    OrderState.FAILED: REFUNDED,
    OrderState.CANCELLED: REFUNDED,
    OrderState.INVALIDATED: REFUNDED,
}

WITH_CARDS: Final = frozenset({FULFILLED, PARTIALLY_FILLED})
