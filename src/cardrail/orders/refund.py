"""Giving money back for an order: a transfer, never an edit. What it pays back, it names (``units``)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from cardrail.kernel import Clock, OrderId, to_micros
from cardrail.ledger import Phase, Purpose, TransferPurpose, account_parts, load_order_transfers, refund, refund_each
from cardrail.orders import refund_store, store
from cardrail.orders.errors import RefundTooLarge
from cardrail.orders.history import record
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order
from cardrail.orders.replacements.tell import refuse_open
from cardrail.orders.units import CodeAt, by_line, plan_refund, unit_parts, worths
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
    units: Sequence[CodeAt] = (),
    quantity: int | None = None,
    line: int | None = None,
    is_rebate: bool = False,
) -> Order:
    """Give back what the named units were charged, or the last ``quantity``; else ``amount_minor`` of the order's charge, or all that is
    left of it. ``plan_refund`` says which units that is, if any: they are not paid back or replaced again, and open claims for them end.

    Raises OrderNotFound, RefundTooLarge, UnitRefunded, CodePositionNotFound, InvalidTransition.

    With a ``reference`` it can be repeated after a lost answer: an order that was refunded under it already is returned as it stands, and
    nothing moves, whatever the amount. The order's history says so, because its transfers carry the order's own reference where a refund
    has none.
    """
    now = clock.now()
    with db.transaction() as tx:
        order = lock_order(tx, order_id)
        if reference is not None and _was_refunded(tx, order, reference):
            return order
        plan = plan_refund(order, amount_minor, units=units, quantity=quantity, line=line, is_rebate=is_rebate)
        if plan.units:
            refuse_open(tx, audit, order, because="it was paid back", actor=actor, now=now, only=plan.units)
            give_back_units(tx, order, plan.units, node=node, now=now, reference=reference)
        else:
            give_back(tx, order, plan.amount_minor, node=node, now=now, reference=reference)
        order.updated_at = to_micros(now)
        store.update_order(tx, order, from_version=order.version)
        data: dict[str, Any] = {"amount_minor": plan.amount_minor, "currency": order.currency}
        if plan.units:
            data["units"] = by_line(plan.units)
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
) -> None:
    """A refund that names no unit: its transfers and the order's sum; the caller writes the order. Raises RefundTooLarge.

    What of the amount is price, fees and tax is in proportion to what is left of them.
    """
    left = order.charged_minor - order.refunded_minor
    if not 0 < amount_minor <= left:
        raise RefundTooLarge(asked_minor=amount_minor, left_minor=left)
    sale, fee, tax = split_refund(amount_minor, _left_of_parts(tx, order))
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


def give_back_units(
    tx: Tx,
    order: Order,
    units: Sequence[CodeAt],
    *,
    node: str,
    now: datetime,
    reference: str | None = None,
    replacement_id: str | None = None,
) -> int:
    """Pay these standing units back, each line by transfers of its own; the caller writes the order. Returns the amount.

    A unit that is worth nothing is marked all the same, and moves no money.
    """
    amounts = worths(order, units)
    refund_store.insert_refunded_units(
        tx, order.id, [*zip(units, amounts, strict=True)], now=to_micros(now), replacement_id=replacement_id
    )
    lines, parts = _parts_of_lines(order, units, amounts, _left_of_parts(tx, order))
    made = refund_each(
        tx,
        parts,
        partner_id=order.partner_id,
        currency=order.currency,
        mode=order.mode,
        order_id=order.id,
        node=node,
        reference=order.reference if reference is None else reference,
        now=now,
    )
    moved = [(one.id, line) for line, transfers in zip(lines, made, strict=True) for one in transfers]
    refund_store.insert_refund_lines(tx, order.id, moved)
    order.refunded_minor += sum(amounts)
    for item in order.items:
        item.refunded = tuple(sorted({*item.refunded, *[one.position for one in units if one.line == item.line]}))
    return sum(amounts)


def _parts_of_lines(
    order: Order, units: Sequence[CodeAt], amounts: Sequence[int], left: tuple[int, int, int]
) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The lines of the units, and what of each line's amount is price, fees and tax: as they were charged, as far as it is left."""
    lines, parts = [], []
    for item in order.items:
        own = [(unit, amount) for unit, amount in zip(units, amounts, strict=True) if unit.line == item.line]
        amount = sum([one for _, one in own])
        if not amount:
            continue
        charged = [unit_parts(item, unit.position) for unit, _ in own]
        sale, fee, tax = (sum([one[place] for one in charged]) for place in range(3))
        part = fit_parts(split_refund(amount, (sale, fee, tax)), left)
        left = (left[0] - part[0], left[1] - part[1], left[2] - part[2])
        lines.append(item.line)
        parts.append(part)
    return lines, parts


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
