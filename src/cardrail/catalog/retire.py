"""Take products and denominations off sale, and bring them back. Nothing is deleted: what was sold stays resolvable for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cardrail.catalog import store
from cardrail.catalog.changes import PRODUCT_RETIRED, PRODUCT_UPDATED, Actor, Change, ProductEvent, change_catalog
from cardrail.catalog.errors import ProductNotFound
from cardrail.kernel import Clock
from cardrail.storage import AuditLog, Database


@dataclass(frozen=True, slots=True)
class Retired:
    """What was meant by a name: a whole product, or one of its denominations."""

    name: str
    product_id: str
    denomination_id: str | None
    changed: bool
    """False where it was so already."""


def retire(
    db: Database, clock: Clock, audit: AuditLog, names: Sequence[str], *, actor: str, origin: str | None = None
) -> list[Retired]:
    """Take off sale the products (by code) or denominations (by sku) of these names; a product's code wins where both have it.

    All of them or none. Raises ProductNotFound.
    """
    return change_catalog(db, clock, audit, Actor(actor, origin), lambda change: _mark(change, names, change.micros))


def restore(
    db: Database, clock: Clock, audit: AuditLog, names: Sequence[str], *, actor: str, origin: str | None = None
) -> list[Retired]:
    """Bring back what was retired. All of them or none. Raises ProductNotFound."""
    return change_catalog(db, clock, audit, Actor(actor, origin), lambda change: _mark(change, names, None))


def _mark(change: Change, names: Sequence[str], retired_at: int | None) -> list[Retired]:
    found = _find(change, names, retired_at)
    moved = [one for one in found if one.changed]
    products = {one.product_id for one in moved if one.denomination_id is None}
    store.mark_products(change.tx, sorted(products), retired_at, change.micros)
    store.mark_denominations(change.tx, [one.denomination_id for one in moved if one.denomination_id], retired_at, change.micros)
    store.touch_products(change.tx, sorted({one.product_id for one in moved} - products), change.micros)
    if moved:
        kind = PRODUCT_RETIRED if retired_at is not None else PRODUCT_UPDATED
        what = "retired" if retired_at is not None else "restored"
        events = [
            ProductEvent(
                kind if one.denomination_id is None else PRODUCT_UPDATED, one.product_id, {"name": one.name, "change": what}
            )
            for one in moved
        ]
        change.tell(f"catalog.{what}", details={"names": [one.name for one in moved]}, events=events)
    return found


def _find(change: Change, names: Sequence[str], retired_at: int | None) -> list[Retired]:
    products = {row.code: row for row in store.load_products(change.tx)}
    denominations = {row.sku: row for row in store.load_denominations(change.tx)}
    found = []
    for name in dict.fromkeys(names):
        row = products.get(name) or denominations.get(name)
        if row is None:
            raise ProductNotFound(name=name[:80])
        changed = (row.retired_at is None) != (retired_at is None)
        if name in products:
            found.append(Retired(name, row.id, None, changed))
        else:
            found.append(Retired(name, row.product_id, row.id, changed))
    return found
