"""What an operator decides about a claim: another code from stock, the money, or a no."""

from __future__ import annotations

from enum import StrEnum

from cardrail.orders.errors import InvalidTransition, ReplacementNotFound
from cardrail.orders.model import Order
from cardrail.orders.replacements.desk import ReplacementDesk
from cardrail.orders.replacements.model import Replacement, ReplacementState
from cardrail.orders.replacements.pursue import journal_given, open_case
from cardrail.storage import Tx, in_tx


class ReplacementDecision(StrEnum):
    """What an operator may decide."""

    STOCK = "stock"
    """Another code of the same denomination and face value, from stock."""
    REFUND = "refund"
    """What the unit was charged."""
    REFUSE = "refuse"
    """Neither."""


_STATE = {
    ReplacementDecision.STOCK: ReplacementState.REPLACED,
    ReplacementDecision.REFUND: ReplacementState.REFUNDED,
    ReplacementDecision.REFUSE: ReplacementState.REFUSED,
}


def resolve_replacement(
    desk: ReplacementDesk, replacement_id: str, decision: ReplacementDecision, *, because: str, actor: str
) -> Replacement:
    """Decide an open claim, whatever its supplier may still say: what it sends later becomes stock.

    Raises ReplacementNotFound, InvalidTransition (it is decided, or its order was taken back or paid back), NothingToReplaceWith,
    RefundTooLarge.
    """
    snapshot = desk.buying.catalog.refresh()
    one, order = in_tx(desk.db, lambda tx: _resolve(tx, desk, snapshot, replacement_id, decision, because, actor))
    journal_given(desk, order if one.state is ReplacementState.REPLACED else None)
    return one


def _resolve(
    tx: Tx, desk: ReplacementDesk, snapshot: object, replacement_id: str, decision: ReplacementDecision, because: str, actor: str
) -> tuple[Replacement, Order]:
    case = open_case(tx, desk, snapshot, replacement_id, desk.clock.now())
    if case is None:
        raise ReplacementNotFound(replacement_id=replacement_id)
    wanted = _STATE[decision]
    if not case.one.is_open or (decision is not ReplacementDecision.REFUSE and not case.is_standing):
        raise InvalidTransition(current=case.one.state.value, wanted=wanted.value, order_state=case.order.state.value)
    if decision is ReplacementDecision.REFUSE:
        case.refuse(because, actor)
    elif decision is ReplacementDecision.REFUND:
        case.refund(because, actor)
    else:
        case.replace_from_stock(because, actor)
    return case.one, case.order
