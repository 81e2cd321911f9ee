"""Giving money back for an order: a transfer, never an edit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from cardrail.kernel import Clock, OrderId, to_micros
from cardrail.ledger import Phase, Purpose, TransferPurpose, account_parts, load_order_transfers, refund
from cardrail.orders import store
from cardrail.orders.errors import RefundTooLarge
from cardrail.orders.history import record
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order
from cardrail.storage import AuditLog, Database, Tx, audit_entry


def refund_order(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    order_id: OrderId,
    amount_minor: int | None,
    *,
    node: str,
    because: str,
    actor: str,
    reference: str | None = None,
) -> Order:
    """Give back ``amount_minor`` of the order's charge, or all that is left of it. Raises OrderNotFound, RefundTooLarge.

    With a ``reference`` it can be repeated after a lost answer: an order that was refunded under it already is returned as it stands, and
    nothing moves, whatever the amount. The order's history says so, because its transfers carry the order's own reference where a refund
    has none.
    """
    now = clock.now()
    with db.transaction() as tx:
        order = lock_order(tx, order_id)
        if reference is not None and _was_refunded(tx, order, reference):
            return order
        amount = amount_minor if amount_minor is not None else order.charged_minor - order.refunded_minor
        give_back(tx, order, amount, node=node, now=now, reference=reference)
        order.updated_at = to_micros(now)
        store.update_order(tx, order, from_version=order.version)
        data: dict[str, Any] = {"amount_minor": amount, "currency": order.currency}
        if reference is not None:
            data["reference"] = reference
        record(tx, order, "order.refunded", before=order.state, because=because, actor=actor, now=to_micros(now), data=data)
        entry = audit_entry(
            now,
            actor,
            "order.refunded",
            subject=order.id,
            partner_id=order.partner_id,
            origin=None,
            details={**data, "reason": because},
        )
        audit.append(tx, [entry])
        return order


def _was_refunded(tx: Tx, order: Order, reference: str) -> bool:
    """Whether this order, which the caller has locked, was refunded under this reference."""
    told = [
        msgspec.json.decode(row.data) for row in store.load_history(tx, order.id) if row.type == "order.refunded" and row.data
    ]
    return any(one.get("reference") == reference for one in told)


def give_back(
    tx: Tx,
    order: Order,
    amount_minor: int,
    *,
    node: str,
    now: datetime,
    reference: str | None = None,
    parts: tuple[int, int, int] | None = None,
) -> None:
    """The refund's transfers and the order's sum; the caller writes the order. Raises RefundTooLarge.

    ``parts`` is what of the amount is price, fees and tax, where that is known; else it is in proportion to what is left of them.
    """
    left = order.charged_minor - order.refunded_minor
    if not 0 < amount_minor <= left:
        raise RefundTooLarge(asked_minor=amount_minor, left_minor=left)
    left_of_parts = _left_of_parts(tx, order)
    sale, fee, tax = split_refund(amount_minor, left_of_parts) if parts is None else fit_parts(parts, left_of_parts)
    refund(
        tx,
        partner_id=order.partner_id,
        currency=order.currency,
        mode=order.mode,
        order_id=order.id,
        sale_minor=sale,
        fee_minor=fee,
        tax_minor=tax,
        node=node,
        reference=order.reference if reference is None else reference,
        now=now,
    )
    order.refunded_minor += amount_minor


def _left_of_parts(tx: Tx, order: Order) -> tuple[int, int, int]:
    """What of the order's price, fees and tax has not been given back."""
    left = {Purpose.SALES: 0, Purpose.FEES: 0, Purpose.TAX: 0}
    for one in load_order_transfers(tx, order.id):
        if one.phase is not Phase.POSTED:
            continue
        if one.purpose is TransferPurpose.REFUND:
            left[account_parts(one.debit).purpose] -= one.amount_minor
        elif account_parts(one.debit).purpose is Purpose.WALLET:
            left[account_parts(one.credit).purpose] += one.amount_minor
    return left[Purpose.SALES], left[Purpose.FEES], left[Purpose.TAX]


def split_refund(amount: int, left: tuple[int, int, int]) -> tuple[int, int, int]:
    """The amount over price, fees and tax in proportion to what is left of each; the rounding falls on the price where it can."""
    whole = sum(left)
    fee, tax = amount * left[1] // whole, amount * left[2] // whole
    sale = min(amount - fee - tax, left[0])
    fee += min(amount - sale - fee - tax, left[1] - fee)
    return sale, fee, amount - sale - fee


def fit_parts(wanted: tuple[int, int, int], left: tuple[int, int, int]) -> tuple[int, int, int]:
    """Price, fees and tax as wanted; what is not left of one of them is taken from the others."""
    taken = [min(one, rest) for one, rest in zip(wanted, left, strict=True)]
    for place, rest in enumerate(left):
        taken[place] += min(sum(wanted) - sum(taken), rest - taken[place])
    return taken[0], taken[1], taken[2]
