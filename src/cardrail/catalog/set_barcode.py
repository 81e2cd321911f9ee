"""What a product's codes are drawn as for those who redeem them at a till."""

from __future__ import annotations

from cardrail.catalog import store
from cardrail.catalog.changes import PRODUCT_UPDATED, Actor, Change, ProductEvent, change_catalog
from cardrail.catalog.errors import ProductNotFound
from cardrail.kernel import Clock
from cardrail.storage import AuditLog, Database


def set_barcode(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    code: str,
    kind: str | None,
    *,
    actor: str,
    origin: str | None = None,
) -> None:
    """Have a product's codes shown as QR, CODE128 or EAN13 too; None: as text alone. Raises ProductNotFound."""

    def work(change: Change) -> None:
        row = next((one for one in store.load_products(change.tx) if one.code == code), None)
        if row is None:
            raise ProductNotFound(name=code[:80])
        if row.barcode == kind:
            return
        store.set_barcodes(change.tx, {row.id: kind})
        store.touch_products(change.tx, [row.id], change.micros)
        details = {"code": code, "barcode": kind}
        event = ProductEvent(PRODUCT_UPDATED, row.id, {"code": code, "change": "changed"})
        change.tell("catalog.barcode", subject=row.id, details=details, events=[event])

    change_catalog(db, clock, audit, Actor(actor, origin), work)
