"""An order's state in the public surface's words (specs/foxreload.md, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cardrail.api.errors import InvalidQuery
from cardrail.orders import Order, OrderState

S: Final = OrderState

ACTIVE: Final = "active"
PAID: Final = "paid"
CANCELLED: Final = "cancelled"

STATUSES: Final[dict[str, tuple[OrderState, ...]]] = {
    ACTIVE: (S.PLACED,),
    PAID: (S.PLACED,),
    "processing": (S.PROCESSING, S.NEEDS_REVIEW),
    "completed": (S.FULFILLED, S.PARTIALLY_FULFILLED, S.INVALIDATED),
    CANCELLED: (S.CANCELLED,),
    "failed": (S.FAILED,),
}
"""Their status → our states. What is PLACED is active while it waits for its payment, and else paid.

A completed order never reverts, so that one that was invalidated stays completed; its items say so, and its charge is credited.
"""

_STATUS_OF: Final = {state: status for status, states in STATUSES.items() for state in states}


def status_of(order: Order, now: int) -> str:
    """The order's status; one whose time to be paid is over is cancelled, also before a chore has seen to it."""
    if order.state is not S.PLACED:
        return _STATUS_OF[order.state]
    if order.pay_until is None:
        return PAID
    return ACTIVE if order.pay_until > now else CANCELLED


def states_of(statuses: Iterable[str]) -> tuple[list[OrderState], bool | None]:
    """Our states for statuses that a list is narrowed to, and whether orders that are PLACED must wait for payment. Raises InvalidQuery."""
    wanted = {CANCELLED if one == "canceled" else one for one in statuses}
    unknown = sorted(wanted - STATUSES.keys())
    if unknown:
        raise InvalidQuery(parameter="status", detail=f"It is one of {', '.join(STATUSES)}.")
    states = list(dict.fromkeys(state for one in STATUSES if one in wanted for state in STATUSES[one]))
    both = {ACTIVE, PAID} & wanted
    return states, (ACTIVE in both) if len(both) == 1 else None
