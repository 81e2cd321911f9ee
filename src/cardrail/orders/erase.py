"""Erasing a partner's customer: what says who he is goes, what the books need stays.

Of his orders the customer's id, the input fields (a player id, a phone number) and the metadata go. Prices, charges, codes, times, the
partner's own reference and the fingerprints that keep an order from being placed twice stay; they name nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cardrail.access import erase_usage
from cardrail.kernel import Clock
from cardrail.orders.replacements.store import erase_evidence
from cardrail.orders.tables import order_items, orders
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx

CHUNK: Final = 500
PERSONAL: Final = frozenset({"metadata", "recipient", "delivery", "email", "delivery_method"})
"""What an order's details may know of the customer; country and client partner are the partner's business."""

Eraser = Callable[[Tx, Sequence[str]], None]
"""Takes personal data of these orders out of another package's tables."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to."""

    orders: int
    usage_rows: int


_NEXT: Final = (
    sa.select(orders.c.id, orders.c.details)
    .where(orders.c.partner_id == sa.bindparam("partner"), orders.c.customer_id == sa.bindparam("customer"))
    .order_by(orders.c.id)
    .limit(CHUNK)
    .with_for_update()
)
_ERASE_ORDER: Final = (
    sa.update(orders).where(orders.c.id == sa.bindparam("of")).values(customer_id=None, details=sa.bindparam("to_details"))
)
_ERASE_ITEMS: Final = sa.update(order_items).where(order_items.c.order_id == sa.bindparam("of")).values(fields=None)


def erase_customer(
    db: Database, clock: Clock, audit: AuditLog, partner_id: str, customer_id: str, *, actor: str, also: Sequence[Eraser] = ()
) -> Erased:
    """Erase a customer of a partner from all his orders, some hundred in a transaction; it can be repeated after a crash.

    ``also`` is what other packages know of the same orders. The audit log keeps when and by whom, and a hash of the id.
    """
    count = 0
    while True:
        done = in_tx(db, lambda tx: _erase_some(tx, partner_id, customer_id, also))
        count += done
        if done < CHUNK:
            break

    def finish(tx: Tx) -> int:
        rows = erase_usage(tx, partner_id, customer_id)
        mark = hashlib.sha256(f"{partner_id}\0{customer_id}".encode()).hexdigest()
        details: dict[str, Any] = {"orders": count, "customer_sha256": mark}
        entry = audit_entry(clock.now(), actor, "customer.erased", partner_id, partner_id=partner_id, details=details)
        audit.append(tx, [entry])
        return rows

    return Erased(count, in_tx(db, finish))


def _erase_some(tx: Tx, partner_id: str, customer_id: str, also: Sequence[Eraser]) -> int:
    rows = tx.execute(_NEXT, {"partner": partner_id, "customer": customer_id}).all()
    if rows:
        tx.execute(_ERASE_ORDER, [{"of": row.id, "to_details": _impersonal(row.details)} for row in rows])
        tx.execute(_ERASE_ITEMS, [{"of": row.id} for row in rows])
        erase_evidence(tx, [row.id for row in rows])
        for erase in also:
            erase(tx, [row.id for row in rows])
    return len(rows)


def _impersonal(details: str | None) -> str | None:
    """An order's details without what may name the customer."""
    if details is None:
        return None
    kept = {name: value for name, value in msgspec.json.decode(details).items() if name not in PERSONAL}
    return msgspec.json.encode(kept, order="sorted").decode() if kept else None
