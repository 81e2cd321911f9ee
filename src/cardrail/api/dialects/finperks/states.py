"""An order's state in the vendor's words (specs/finperks.md, section 3.1)."""

from __future__ import annotations

from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.orders import Order, OrderState

PROCESSING = "processing"
COMPLETED = "completed"


def is_refunded(order: Order) -> bool:
    """Whether all that it cost was given back, though its codes were not taken back: the vendor's support did that."""
    return (
        order.state in (OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED) and 0 < order.charged_minor <= order.refunded_minor
    )


def state_of(order: Order, profile: FinperksProfile) -> str:
    """What the vendor calls it. One card is one order there, so a partial one that came another way is completed."""
    if is_refunded(order):
        return profile.refunded_state
    if order.state in (OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED):
        return COMPLETED
    if order.state is OrderState.INVALIDATED:
        return profile.invalidated_state
    if order.state in (OrderState.FAILED, OrderState.CANCELLED):
        return profile.failed_state
    return PROCESSING
