"""The codes of an order that were replaced, or paid back: shown beside what the partner has now, because he was given them too."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cardrail.kernel import Clock, PlainCode
from cardrail.orders.model import Buyer, Order, OrderItem
from cardrail.orders.read import attach_units, reveal_row, withhold
from cardrail.orders.replacements import store
from cardrail.orders.replacements.model import Replacement, ReplacementState
from cardrail.orders.reveal import open_codes
from cardrail.orders.states import OrderState
from cardrail.storage import AuditLog, Database, audit_entry
from cardrail.vault import NEVER, Allocation, CodeOpener


@dataclass(frozen=True, slots=True)
class EndedCode:
    """A code for which there is another one now, or the money."""

    replacement: Replacement
    item: OrderItem | None
    """With its one sealed unit; None where it stands among the order's codes still, because it was paid back."""

    def open(self, opener: CodeOpener) -> tuple[PlainCode, int] | None:
        """The plain code and its expiry; None where a restored database knows it to be another order's."""
        opened = [] if self.item is None else open_codes(opener, self.item)
        return opened[0] if opened else None


def reveal_replaced(db: Database, clock: Clock, audit: AuditLog, buyer: Buyer, order: Order) -> list[EndedCode]:
    """What was replaced or paid back of an order that the caller has just revealed. Each reveal is noted in the audit log."""
    with db.read() as tx:
        ended = [
            one
            for one in store.load_of_orders(tx, [order.id])
            if one.state in (ReplacementState.REPLACED, ReplacementState.REFUNDED)
        ]
    if not ended or order.state is OrderState.INVALIDATED:
        return []
    now = clock.now()
    items = {item.line: item for item in order.items}
    shells = {
        one.id: replace(items[one.line], allocations=[_old(one, items[one.line])], units=[])
        for one in ended
        if one.state is ReplacementState.REPLACED
    }
    with db.transaction() as tx:
        attach_units(tx, shells.values())
        shown = withhold(tx, replace(order, items=list(shells.values())))
        if shown:
            details = {"reveals": [reveal_row(order, buyer, one) for one in shown]}
            entry = audit_entry(
                now,
                buyer.actor,
                "code.revealed",
                subject=order.id,
                partner_id=order.partner_id,
                origin=buyer.origin,
                details=details,
            )
            audit.append(tx, [entry])
    return [EndedCode(one, shells.get(one.id)) for one in ended]


def _old(one: Replacement, item: OrderItem) -> Allocation:
    """The bad code. When it expires is told with the unit that it was bought as."""
    spans = [span for span in item.allocations if span.lot_id == one.lot_id]
    expires_at = spans[0].expires_at if spans else NEVER
    return Allocation(one.lot_id, one.seq, 1, expires_at, False, item.denomination_id)
