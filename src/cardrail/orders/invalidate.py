"""Taking an order back: its charge is returned and its codes never redeem for this partner (DESIGN.md, section 6).

Codes that nobody has seen go back to stock. Codes that were revealed can only be written off at our own cost, which the operator's
settings must allow.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from cardrail.catalog import topups_among
from cardrail.kernel import Clock, OrderId, from_micros, to_micros
from cardrail.ledger import Purpose, TransferPurpose, book
from cardrail.orders.errors import InvalidationRefused, InvalidTransition, RefundTooLarge
from cardrail.orders.history import change_state
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Buyer, Order
from cardrail.orders.refund import give_back
from cardrail.orders.replacements.held import codes_to_take_back
from cardrail.orders.replacements.tell import refuse_open
from cardrail.orders.states import OrderState
from cardrail.storage import AuditLog, Database, Tx, audit_entry
from cardrail.vault import ExceptionKind, Lot, LotKind, cost_of, load_lots, mark_exceptions, return_to_stock


@dataclass(frozen=True, slots=True)
class InvalidationPolicy:
    """What the operator allows."""

    window: timedelta
    """After the order was placed."""
    allow_revealed: bool
    """Whether codes that were seen may be taken back, at our cost."""


def invalidate_order(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    buyer: Buyer,
    order_id: OrderId,
    policy: InvalidationPolicy,
    *,
    node: str,
    because: str,
    expected_minor: int | None = None,
) -> Order:
    """Return the order's charge and take its codes back. Invalidating twice is harmless.

    With ``expected_minor`` only an order of whose charge exactly that much is left is taken back now. Raises OrderNotFound,
    InvalidTransition (nothing was delivered), InvalidationRefused (window over, or codes revealed), RefundTooLarge (another sum is left).
    """
    now = clock.now()
    with db.transaction() as tx:
        order = lock_order(tx, order_id, partner_id=buyer.partner_id, mode=buyer.mode)
        if order.state is OrderState.INVALIDATED:
            return order
        left = order.charged_minor - order.refunded_minor
        if expected_minor is not None and expected_minor != left:
            raise RefundTooLarge(asked_minor=expected_minor, left_minor=left)
        is_used = bool(topups_among(tx, {item.denomination_id for item in order.items if item.delivered}))
        _check(order, policy, clock, is_used=is_used)
        returned = order.revealed_at is None and not is_used
        refuse_open(tx, audit, order, because="the order was taken back", actor=buyer.actor, now=now)
        _take_back(tx, order, returned=returned, node=node, actor=buyer.actor, now=to_micros(now))
        if left:
            give_back(tx, order, left, node=node, now=now)
        data = {"refunded_minor": left, "currency": order.currency, "codes": "returned to stock" if returned else "written off"}
        change_state(tx, order, OrderState.INVALIDATED, because=because, actor=buyer.actor, now=to_micros(now), data=data)
        entry = audit_entry(
            now,
            buyer.actor,
            "order.invalidated",
            subject=order.id,
            partner_id=order.partner_id,
            origin=buyer.origin,
            details=data,
        )
        audit.append(tx, [entry])
        return order


def _check(order: Order, policy: InvalidationPolicy, clock: Clock, *, is_used: bool) -> None:
    if order.state not in (OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED):
        raise InvalidTransition(current=order.state.value, wanted=OrderState.INVALIDATED.value)
    if clock.now() > from_micros(order.created_at) + policy.window:
        raise InvalidationRefused(because="the window is over")
    if order.revealed_at is not None and not policy.allow_revealed:
        raise InvalidationRefused(because="its codes were revealed")
    if is_used and not policy.allow_revealed:
        raise InvalidationRefused(because="a top-up of it was delivered")


def _take_back(tx: Tx, order: Order, *, returned: bool, node: str, actor: str, now: int) -> None:
    """Codes go back to stock, or are revoked; their cost follows them: into stock again, or from cost of goods to write-offs.

    Lots are locked in the order of their ids, whatever the order of the lines: whoever else locks several does the same.
    """
    held = codes_to_take_back(tx, order)
    lots = load_lots(tx, sorted({one.lot_id for one in held}))
    back: dict[str, int] = defaultdict(int)
    lost: dict[str, int] = defaultdict(int)
    for item in order.items:
        item.state = OrderState.INVALIDATED if item.delivered else item.state
    for one in sorted(held, key=lambda one: (one.lot_id, one.first_seq)):
        lot = lots[one.lot_id]
        cost = cost_of(lot, one.first_seq, one.count)
        if returned:
            spans = return_to_stock(tx, one, actor=actor, at=now, reason="order invalidated")
            value = sum(cost_of(lot, first, end - first) for first, end in spans)
            back[lot.id] += value
            cost -= value
        elif lot.kind is not LotKind.SHARED:
            seqs = range(one.first_seq, one.first_seq + one.count)
            mark_exceptions(tx, ExceptionKind.REVOKED, one.lot_id, seqs, actor=actor, at=now, reason="order invalidated")
        lost[lot.id] += cost
    for lot in sorted(lots.values(), key=lambda one: (one.cost_currency or "", one.id)):  # as the lane does: accounts by name
        _book(tx, order, lot, back[lot.id], Purpose.STOCK, TransferPurpose.STOCK_RETURN, node=node, now=now)
        _book(tx, order, lot, lost[lot.id], Purpose.WRITE_OFFS, TransferPurpose.WRITE_OFF, node=node, now=now)


def _book(tx: Tx, order: Order, lot: Lot, cost: int, debit: Purpose, purpose: TransferPurpose, *, node: str, now: int) -> None:
    if not cost or not lot.cost_currency:
        return
    book(
        tx,
        debit=debit,
        credit=Purpose.COST_OF_GOODS,
        amount_minor=cost,
        currency=lot.cost_currency,
        mode=order.mode,
        node=node,
        purpose=purpose,
        now=from_micros(now),
        reference=lot.id,
        order_id=order.id,
    )
