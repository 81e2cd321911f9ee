"""The states of an order and of its items: one table of transitions, one function that walks it.

An item has its own outcome; the order's state is derived from its items by ``state_of``. INVALIDATED and CANCELLED are the order's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from cardrail.orders.errors import InvalidTransition


class OrderState(StrEnum):
    """Where an order, or an item of it, stands."""

    PLACED = "PLACED"
    """Accepted; codes are not yet sought. Unpaid and scheduled orders wait here."""
    PROCESSING = "PROCESSING"
    """Paid for or held; codes are being obtained."""
    FULFILLED = "FULFILLED"
    """Every unit was obtained and charged."""
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    """Some units were obtained and charged; the rest was never charged, or given back."""
    FAILED = "FAILED"
    """Nothing was obtained and nothing is charged."""
    NEEDS_REVIEW = "NEEDS_REVIEW"
    """A supplier's answer is unknown past its deadline: a human decides; nothing is bought again meanwhile."""
    CANCELLED = "CANCELLED"
    """Withdrawn before processing began."""
    INVALIDATED = "INVALIDATED"
    """Its codes were taken back or killed, and its charge returned."""


S = OrderState

TRANSITIONS: Final[dict[OrderState, frozenset[OrderState]]] = {
    S.PLACED: frozenset({S.PROCESSING, S.CANCELLED}),
    S.PROCESSING: frozenset({S.FULFILLED, S.PARTIALLY_FULFILLED, S.FAILED, S.NEEDS_REVIEW}),
    S.NEEDS_REVIEW: frozenset({S.PROCESSING, S.FULFILLED, S.PARTIALLY_FULFILLED, S.FAILED}),
    S.FULFILLED: frozenset({S.INVALIDATED}),
    S.PARTIALLY_FULFILLED: frozenset({S.INVALIDATED}),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.INVALIDATED: frozenset(),
}

FINAL: Final = frozenset({S.FULFILLED, S.PARTIALLY_FULFILLED, S.FAILED, S.CANCELLED, S.INVALIDATED})
"""States in which nothing more happens by itself."""


def advance(current: OrderState, *path: OrderState) -> OrderState:
    """The last state of ``path``, each step of which the table allows. Raises InvalidTransition."""
    for step in path:
        if step not in TRANSITIONS[current]:
            raise InvalidTransition(current=current.value, wanted=step.value)
        current = step
    return current


def outcome_of(quantity: int, delivered: int) -> OrderState:
    """The final state of an item of which ``delivered`` of ``quantity`` units came."""
    if delivered == quantity:
        return S.FULFILLED
    return S.PARTIALLY_FULFILLED if delivered else S.FAILED


def state_of(items: Iterable[OrderState]) -> OrderState:
    """The order's state from its items': review shows first, then work, then what came of all of them together."""
    states = set(items)
    for shown in (S.NEEDS_REVIEW, S.PROCESSING, S.PLACED):
        if shown in states:
            return shown
    if len(states) == 1:
        return states.pop()
    return S.PARTIALLY_FULFILLED
