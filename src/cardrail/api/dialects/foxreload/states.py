"""What our states are called on surfaces G and V1 (specs/foxreload.md, sections 2.1, 3.1 and 3.2). Both know forward only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cardrail.orders import Order, OrderState

S = OrderState

GENERIC: Final[Mapping[OrderState, str]] = {
    S.PLACED: "pending",
    S.PROCESSING: "pending",
    S.NEEDS_REVIEW: "pending",
    S.FULFILLED: "completed",
    S.PARTIALLY_FULFILLED: "completed",
    S.INVALIDATED: "completed",
    S.FAILED: "failed",
    S.CANCELLED: "failed",
}
"""An order that was taken back stays completed; its slots say so, and the money is back."""

V1: Final[Mapping[OrderState, str]] = {
    S.PLACED: "reserved",
    S.PROCESSING: "processing",
    S.NEEDS_REVIEW: "processing",
    S.FULFILLED: "delivered",
    S.PARTIALLY_FULFILLED: "delivered",
    S.INVALIDATED: "delivered",
    S.FAILED: "failed",
    S.CANCELLED: "failed",
}
"""A refund is an object of its own and leaves the state alone."""


def v1_state(order: Order) -> str:
    """``pending`` is an order that was placed elsewhere to be paid later: nothing is reserved for it."""
    return "pending" if order.state is S.PLACED and order.pay_until is not None else V1[order.state]


V1_FILTER: Final[Mapping[str, tuple[OrderState, ...]]] = {
    "pending": (S.PLACED,),
    **{word: tuple([state for state, one in V1.items() if one == word]) for word in sorted(set(V1.values()))},
}
"""Our states behind a ``status`` of the list."""
