"""What we still have at suppliers: asked for from time to time, counted down by what is bought, and told before it runs dry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from cardrail.kernel import Clock, new_event_id, to_micros
from cardrail.sourcing import store
from cardrail.sourcing.asking import asked
from cardrail.sourcing.errors import SourcingError
from cardrail.sourcing.health import dry_in_seconds, told_balance
from cardrail.sourcing.model import Health, Supplier, SupplierState
from cardrail.sourcing.suppliers import Connectors
from cardrail.sourcing.tables import supplier_health
from cardrail.storage import AuditLog, Database, Tx, audit_entry, events, insert_events

log = structlog.get_logger("cardrail.sourcing")

ALERT_SECONDS: Final = 24 * 3_600
"""A balance that will be used up within a day, as days have been going, is told of."""
ALERT_AGAIN_MICROS: Final = 3_600 * 1_000_000


def poll_balance(db: Database, clock: Clock, connectors: Connectors, supplier: Supplier) -> Health:
    """Ask a supplier what we still have there, in the currency in which it charges us, and write it down.

    Raises SupplierError's kinds, UnknownConnector, InvalidSupplierConfig. No transaction is open while it is asked.
    """
    told = [one for one in asked("balance", connectors.of(supplier).balance) if one.currency.code == supplier.currency]
    now = to_micros(clock.now())
    with db.transaction() as tx:
        health = store.load_health(tx, supplier.id, lock=True)
        if told:
            health = told_balance(health, told[0].minor, now)
        health = _alert(tx, supplier, health, now)
        store.save_health(tx, health)
    return health


def poll_balances(db: Database, clock: Clock, connectors: Connectors) -> int:
    """Ask every active supplier that can tell; how many did. One that does not answer keeps nobody from asking the next."""
    with db.read() as tx:
        suppliers = [one for one in store.list_suppliers(tx) if one.state is SupplierState.ACTIVE]
    count = 0
    for one in suppliers:
        try:
            if connectors.of(one).capabilities.has_balance:
                poll_balance(db, clock, connectors, one)
                count += 1
        except SourcingError as error:
            log.warning("a balance could not be read", supplier=one.name, reason=error.code)
    return count


def set_balance_alert(
    db: Database, clock: Clock, audit: AuditLog, supplier_id: str, below_minor: int | None, *, actor: str
) -> Health:
    """Say below what balance to tell; None: only where the burn rate says that a day is left."""
    with db.transaction() as tx:
        health = replace(store.load_health(tx, supplier_id, lock=True), alert_below_minor=below_minor, alerted_at=None)
        store.save_health(tx, health)
        details = {"below_minor": below_minor}
        audit.append(tx, [audit_entry(clock.now(), actor, "supplier.alert_set", subject=supplier_id, details=details)])
    return health


def is_low(health: Health, now: int) -> bool:
    """Whether the balance is below what the operator said, or will be used up within a day."""
    if health.balance_minor is None:
        return False
    if health.alert_below_minor is not None and health.balance_minor < health.alert_below_minor:
        return True
    left = dry_in_seconds(health, now)
    return left is not None and left < ALERT_SECONDS


def _alert(tx: Tx, supplier: Supplier, health: Health, now: int) -> Health:
    """Tell of a low balance, at most hourly."""
    if not is_low(health, now):
        return replace(health, alerted_at=None)
    if health.alerted_at is not None and now - health.alerted_at < ALERT_AGAIN_MICROS:
        return health
    data = {"balance_minor": health.balance_minor, "currency": supplier.currency, "dry_in_seconds": dry_in_seconds(health, now)}
    tell_supplier(tx, "supplier.balance_low", supplier.id, supplier.mode.value, now, data)
    return replace(health, alerted_at=now)


_DRY: Final = sa.select(supplier_health.c.supplier_id).where(supplier_health.c.alerted_at.is_not(None))
_DOWN: Final = sa.select(supplier_health.c.supplier_id).where(supplier_health.c.breaker != "closed")


def dry_suppliers(tx: Tx) -> set[str]:
    """Those whose balance was low at the last look."""
    return set(tx.execute(_DRY).scalars())


def down_suppliers(tx: Tx) -> set[str]:
    """Those whose circuit breaker is open, or waits for the answer of its trial call."""
    return set(tx.execute(_DOWN).scalars())


_LAST_STEP: Final = sa.select(sa.func.coalesce(sa.func.max(events.c.subject_seq), 0)).where(
    events.c.subject_id == sa.bindparam("of")
)


def tell_supplier(tx: Tx, kind: str, supplier_id: str, mode: str, now: int, data: Mapping[str, object]) -> None:
    """An event of the operator's own. The supplier's health is locked by the caller."""
    step = int(tx.execute(_LAST_STEP, {"of": supplier_id}).scalar_one()) + 1
    encoded = msgspec.json.encode(data).decode()
    insert_events(tx, [(new_event_id(), kind, None, mode, supplier_id, step, None, None, None, "system", now, encoded)])
