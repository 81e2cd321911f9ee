"""What every change of the catalog has in common: the version moves on, events say what, the audit log says who."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from cardrail.catalog import store
from cardrail.kernel import Clock, Mode, new_event_id, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, bump_version, in_tx, insert_events

T = TypeVar("T")

PRODUCT_UPDATED: Final = "product.updated"
PRODUCT_RETIRED: Final = "product.retired"

_json = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and from where."""

    name: str = "system"
    """A key's or operator's id, "cli" or "system"."""
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ProductEvent:
    """What an event says of a product."""

    type: str
    product_id: str
    data: dict[str, Any] = field(default_factory=dict)
    partner_id: str | None = None


class Change:
    """One change in one transaction: what it wrote is told here, at its end."""

    def __init__(self, tx: Tx, at: datetime, audit: AuditLog, actor: Actor) -> None:
        self.tx = tx
        self.at = at
        self.micros = to_micros(at)
        self._audit = audit
        self._actor = actor

    def tell(
        self,
        action: str,
        *,
        subject: str | None = None,
        partner_id: str | None = None,
        details: dict[str, Any] | None = None,
        events: Sequence[ProductEvent] = (),
    ) -> None:
        """Append the events, and one row to the audit log."""
        last = store.load_last_seqs(self.tx, [event.product_id for event in events]) if events else {}
        rows = []
        for event in events:
            seq = last[event.product_id] = last.get(event.product_id, 0) + 1
            rows.append(self._row(event, seq))
        insert_events(self.tx, rows)
        entry = audit_entry(
            self.at,
            self._actor.name,
            action,
            subject,
            partner_id=partner_id,
            origin=self._actor.origin,
            details=details,
        )
        self._audit.append(self.tx, [entry])

    def _row(self, event: ProductEvent, seq: int) -> tuple[Any, ...]:
        return (
            new_event_id(),
            event.type,
            event.partner_id,
            Mode.LIVE.value,  # one catalog serves both modes; the live stream carries its news
            event.product_id,
            seq,
            None,
            None,
            None,
            self._actor.name,
            self.micros,
            _json(event.data).decode(),
        )


def change_catalog(db: Database, clock: Clock, audit: AuditLog, actor: Actor, work: Callable[[Change], T]) -> T:
    """Run ``work`` in a transaction that moves the catalog's version on first: so changes wait for each other, and readers for none."""

    def run(tx: Tx) -> T:
        bump_version(tx, "catalog")
        return work(Change(tx, clock.now(), audit, actor))

    return in_tx(db, run)
