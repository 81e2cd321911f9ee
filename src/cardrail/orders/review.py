"""Orders that need a human: put aside with what is known, and resolved by one of three answers.

Nothing is bought again while an order is here, and its money stays held or charged as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import Clock, OrderId, PlainCode, new_id, to_micros
from cardrail.orders import store
from cardrail.orders.errors import InvalidTransition, SupplierBeingAsked, TooManyUnits
from cardrail.orders.history import change_state
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.receive import finish_item, give_codes
from cardrail.orders.save import Books
from cardrail.orders.states import OrderState, advance, state_of
from cardrail.orders.tables import orders
from cardrail.sourcing import (
    NOT_LOOKED_FOR,
    Attempt,
    AttemptState,
    Procurement,
    ProcurementState,
    insert_attempt,
    load_attempts,
    load_procurements,
    save_attempt,
    save_procurement,
    told,
)
from cardrail.storage import AuditLog, Database, Tx, audit_entry
from cardrail.vault import NEVER

BY_HAND: Final = "operator"
"""The supplier of codes that an operator brought."""


def send_to_review(db: Database, clock: Clock, audit: AuditLog, order_id: OrderId, *, because: str, actor: str) -> Order:
    """Put every unfinished item of the order into review. Raises OrderNotFound, InvalidTransition (nothing is unfinished)."""
    now = clock.now()
    with db.transaction() as tx:
        order = lock_order(tx, order_id)
        waiting = [item for item in order.items if item.state in (OrderState.PLACED, OrderState.PROCESSING)]
        if not waiting or order.pay_until is not None:
            raise InvalidTransition(current=order.state.value, wanted=OrderState.NEEDS_REVIEW.value)
        for item in waiting:
            path = (
                (OrderState.PROCESSING, OrderState.NEEDS_REVIEW)
                if item.state is OrderState.PLACED
                else (OrderState.NEEDS_REVIEW,)
            )
            item.state = advance(item.state, *path)
        path = (
            (OrderState.PROCESSING, OrderState.NEEDS_REVIEW) if order.state is OrderState.PLACED else (OrderState.NEEDS_REVIEW,)
        )
        change_state(tx, order, *path, because=because, actor=actor, now=to_micros(now))
        entry = audit_entry(
            now,
            actor,
            "order.sent_to_review",
            subject=order.id,
            partner_id=order.partner_id,
            origin=None,
            details={"reason": because},
        )
        audit.append(tx, [entry])
        return order


def resolve_as_failed(db: Database, clock: Clock, audit: AuditLog, order_id: OrderId, *, because: str, actor: str) -> Order:
    """Decide that what is missing of the items in review will not come: its money is freed.

    What is still open at suppliers is asked after all the same: codes that come late become stock. Raises OrderNotFound,
    InvalidTransition.
    """
    now = clock.now()
    with db.transaction() as tx:
        order, waiting = _in_review(tx, order_id, OrderState.FAILED)
        for item in order.items:
            if item.state is OrderState.NEEDS_REVIEW:
                finish_item(tx, item, to_micros(now))
                _leave(tx, order, waiting.get(item.line), f"ended by {actor}: {because}", now)
        _resolved(tx, audit, order, "failed", because=because, actor=actor, now=now)
        return order


def resolve_as_retry(db: Database, clock: Clock, audit: AuditLog, order_id: OrderId, *, because: str, actor: str) -> Order:
    """Decide that the open attempts bought nothing, and let the items in review be bought again.

    Raises OrderNotFound, InvalidTransition, SupplierBeingAsked (a call is under way: nobody can know yet what it buys or finds). Whoever
    decides this has asked the supplier: what was bought after all is bought twice. Its codes, if they come, become stock.
    """
    now = clock.now()
    with db.transaction() as tx:
        order, waiting = _in_review(tx, order_id, OrderState.PROCESSING)
        reviewed = [item for item in order.items if item.state is OrderState.NEEDS_REVIEW]
        if any(item.line not in waiting for item in reviewed):
            raise InvalidTransition(current=order.state.value, wanted=OrderState.PROCESSING.value)
        attempts = load_attempts(tx, order.id)
        asked_until = max([_asked_until(one) for one in attempts if one.line in {item.line for item in reviewed}], default=0)
        if asked_until > to_micros(now):
            raise SupplierBeingAsked(order_id=order.id, retry_after=1 + (asked_until - to_micros(now)) // 1_000_000)
        for item in reviewed:
            item.state = advance(item.state, OrderState.PROCESSING)
            for one in attempts:
                if one.line == item.line and one.is_open:
                    closed = replace(one, state=AttemptState.CLOSED, answered_at=to_micros(now))
                    save_attempt(tx, told(closed, f"closed by {actor}: {because}", to_micros(now)), from_state=one.state)
            trace = (*waiting[item.line].trace, (to_micros(now), f"to be bought again, by {actor}: {because}"))
            again = replace(waiting[item.line], state=ProcurementState.BUYING, trace=trace, wake_at=to_micros(now))
            save_procurement(tx, again)
        _resolved(tx, audit, order, "retry", because=because, actor=actor, now=now)
        return order


def resolve_as_delivered(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    books: Books,
    catalog: CatalogSnapshot,
    order_id: OrderId,
    *,
    line: int,
    codes: Sequence[PlainCode],
    because: str,
    actor: str,
) -> Order:
    """Give an item in review these codes, which the operator has from the supplier: they are charged for, and what is missing then is not.

    Raises OrderNotFound, InvalidTransition, TooManyUnits (more codes than are missing), DuplicateBoundCode.
    """
    now = clock.now()
    with db.transaction() as tx:
        order, waiting = _in_review(tx, order_id, OrderState.FULFILLED)
        found = [one for one in order.items if one.line == line and one.state is OrderState.NEEDS_REVIEW and line in waiting]
        if not found:
            raise InvalidTransition(current=order.state.value, wanted=OrderState.FULFILLED.value)
        item, procurement = found[0], waiting[line]
        missing = procurement.quantity - procurement.delivered
        if not 0 < len(codes) <= missing:
            raise TooManyUnits(units=len(codes), max=missing)
        attempt = _by_hand(order, item, load_attempts(tx, order.id), len(codes), actor, because, now)
        insert_attempt(tx, attempt)
        give_codes(tx, books, catalog, order, item, codes, supplier=None, expires_at=NEVER, actor=actor, now=now)
        procurement = replace(procurement, delivered=procurement.delivered + len(codes))
        finish_item(tx, item, to_micros(now))
        _leave(tx, order, procurement, f"{len(codes)} codes given by {actor}: {because}", now)
        _resolved(tx, audit, order, "delivered", because=because, actor=actor, now=now, codes=len(codes))
        return order


def _in_review(tx: Tx, order_id: OrderId, wanted: OrderState) -> tuple[Order, dict[int, Procurement]]:
    """The order, locked, and its items that wait for suppliers. Raises OrderNotFound, InvalidTransition."""
    order = lock_order(tx, order_id)
    if order.state is not OrderState.NEEDS_REVIEW:
        raise InvalidTransition(current=order.state.value, wanted=wanted.value)
    return order, {one.line: one for one in load_procurements(tx, order_id, lock=True)}


def _asked_until(one: Attempt) -> int:
    """Until when a call for this attempt may be under way."""
    if one.state is AttemptState.ASKING:
        return one.look_at
    return (one.leased_until or 0) if one.is_open else 0


def _leave(tx: Tx, order: Order, waiting: Procurement | None, sentence: str, now: datetime) -> None:
    """The item has ended; somebody goes on looking only where an attempt of it is open."""
    if waiting is None:
        return
    is_open = False
    for one in load_attempts(tx, order.id):
        if one.line == waiting.line and one.is_open and one.look_at >= NOT_LOOKED_FOR:  # nothing else will ever end it
            closed = replace(one, state=AttemptState.CLOSED, answered_at=to_micros(now))
            save_attempt(tx, told(closed, sentence, to_micros(now)), from_state=one.state)
        elif one.line == waiting.line and one.is_open:
            is_open = True
    state = ProcurementState.REVIEW if is_open else ProcurementState.DONE
    trace = (*waiting.trace, (to_micros(now), sentence))
    save_procurement(tx, replace(waiting, state=state, trace=trace, wake_at=to_micros(now)))


def _by_hand(
    order: Order, item: OrderItem, past: Sequence[Attempt], count: int, actor: str, because: str, now: datetime
) -> Attempt:
    """What an operator brought, as an attempt of its own: so the item's story is whole."""
    attempt_id, at = new_id("att"), to_micros(now)
    return Attempt(
        id=attempt_id,
        order_id=order.id,
        line=item.line,
        n=1 + max((one.n for one in past if one.line == item.line), default=0),
        mode=order.mode,
        supplier_id=BY_HAND,
        supplier_sku=item.sku,
        denomination_id=item.denomination_id,
        face_minor=item.face_minor,
        quantity=count,
        reference=attempt_id,
        state=AttemptState.DELIVERED,
        max_cost_minor=0,
        expected_cost_minor=0,
        cost_currency=order.currency,
        asked_at=at,
        look_at=at,
        deadline_at=at,
        delivered=count,
        answered_at=at,
        story=((at, f"{count} codes given by {actor}: {because}"),),
    )


def _resolved(
    tx: Tx, audit: AuditLog, order: Order, how: str, *, because: str, actor: str, now: datetime, codes: int | None = None
) -> None:
    """Write the order's new state, its event and the audit row."""
    state = state_of([item.state for item in order.items])
    if state is not order.state:
        change_state(tx, order, state, because=because, actor=actor, now=to_micros(now))
    else:
        order.updated_at = to_micros(now)
        store.update_order(tx, order, from_version=order.version)
    details = {"as": how, "reason": because} | ({} if codes is None else {"codes": codes})
    entry = audit_entry(now, actor, "order.resolved", subject=order.id, partner_id=order.partner_id, origin=None, details=details)
    audit.append(tx, [entry])


_STILL: Final = sa.select(orders.c.id).where(
    orders.c.id.in_(sa.bindparam("ids", expanding=True)), orders.c.state == OrderState.NEEDS_REVIEW.value
)


def still_in_review(tx: Tx, order_ids: Collection[str]) -> set[str]:
    """Those of these orders that wait for a human's decision."""
    return set(tx.execute(_STILL, {"ids": list(order_ids)}).scalars()) if order_ids else set()
