"""Taking a claim that codes of an order are bad: checked, written down, and given to whoever works."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cardrail.catalog import topups_among
from cardrail.kernel import new_id, to_micros
from cardrail.orders import store as orders_store
from cardrail.orders.errors import CodePositionNotFound, IdempotencyConflict
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order
from cardrail.orders.replacements import store
from cardrail.orders.replacements.desk import ReplacementDesk
from cardrail.orders.replacements.model import (
    Replacement,
    ReplacementState,
    RequestReplacement,
    check_command,
    check_order,
    check_unit,
    code_at,
    current_codes,
)
from cardrail.orders.replacements.tell import event_row
from cardrail.orders.states import FINAL
from cardrail.orders.units import CodeAt
from cardrail.storage import Tx, audit_entry, in_tx, insert_events


def request_replacements(desk: ReplacementDesk, command: RequestReplacement) -> tuple[list[Replacement], bool]:
    """Claim codes of the partner's order, all or none of them; the claims, and whether they are new.

    The same key with the same content gives the first claims as they stand now. Raises OrderNotFound, InvalidReplacement,
    CodePositionNotFound, ReplacementRefused, ReplacementOpen, UnitRefunded, IdempotencyConflict.
    """
    check_command(command)
    return in_tx(desk.db, lambda tx: _request(tx, desk, command))


def _request(tx: Tx, desk: ReplacementDesk, command: RequestReplacement) -> tuple[list[Replacement], bool]:
    buyer = command.buyer
    order = lock_order(tx, command.order_id, partner_id=buyer.partner_id, mode=buyer.mode)
    fingerprint, key_hash = command.fingerprint, command.key_hash
    known = store.load_of_key(tx, key_hash) if key_hash is not None else []
    if known:
        if known[0].fingerprint != fingerprint:
            raise IdempotencyConflict(key=command.key)
        return known, False
    now = desk.clock.now()
    claimed = {item.denomination_id for item in order.items if any(one.line == item.line for one in command.codes)}
    window, needs_seeing = command.window or desk.policy.window, topups_among(tx, claimed) != claimed
    check_order(order, delivered_at(tx, order), window, to_micros(now), needs_seeing=needs_seeing)
    past = store.load_of_orders(tx, [order.id], lock=True)
    rows = [_claim(desk, command, order, past, at, to_micros(now)) for at in command.codes]
    rows = [replace(one, part=part, fingerprint=fingerprint, key_hash=key_hash) for part, one in enumerate(rows)]
    store.insert_replacements(tx, rows)
    for one in rows:  # one after the other: each takes its place in the history
        told_of = event_row(tx, order, one, None, command.reason.value, buyer.actor, one.created_at)
        insert_events(tx, [told_of])
    details = {
        "replacements": [[one.id, one.line, one.position, one.lot_id, one.seq] for one in rows],
        "reason": command.reason.value,
    }
    entry = audit_entry(
        now,
        buyer.actor,
        "replacement.requested",
        subject=order.id,
        partner_id=order.partner_id,
        origin=buyer.origin,
        details=details,
    )
    desk.audit.append(tx, [entry])
    if desk.enqueue is not None:
        for one in rows:
            desk.enqueue(tx, one.id, 0, 0.0)
    return rows, True


def delivered_at(tx: Tx, order: Order) -> int | None:
    """When the order was delivered; None where nothing was, or more may come."""
    if order.state not in FINAL or not any(item.delivered for item in order.items):
        return None
    if order.updated_at == order.created_at:
        return order.created_at
    return orders_store.load_endings(tx, [order.id]).get(order.id, order.created_at)


def _claim(
    desk: ReplacementDesk, command: RequestReplacement, order: Order, past: list[Replacement], at: CodeAt, now: int
) -> Replacement:
    item = next((one for one in order.items if one.line == at.line), None)
    replaced = [one for one in past if one.line == at.line and one.state is ReplacementState.REPLACED]
    code = code_at(current_codes(item, replaced), at.position) if item is not None else None
    if item is None or code is None:
        raise CodePositionNotFound(line=at.line, position=at.position)
    check_unit(order, item, at, past, desk.policy.per_unit_max)
    return Replacement(
        id=new_id("rpl"),
        order_id=order.id,
        line=at.line,
        position=at.position,
        partner_id=order.partner_id,
        mode=order.mode,
        lot_id=code.lot_id,
        seq=code.first_seq,
        state=ReplacementState.REQUESTED,
        reason=command.reason,
        evidence=command.evidence,
        links=command.links,
        actor=command.buyer.actor,
        key_hash=None,
        part=0,
        fingerprint=b"",
        deadline_at=now + desk.policy.patience // timedelta(microseconds=1),
        created_at=now,
        updated_at=now,
        wake_at=now,
        story=((now, f"requested by {command.buyer.actor}: {command.reason.value}"),),
    )
