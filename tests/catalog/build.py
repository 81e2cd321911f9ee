"""Builders: a catalog with only what a test cares about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

from cardrail.catalog import (
    CatalogSnapshot,
    FxRate,
    ImportReport,
    Offer,
    PriceRule,
    demo_catalogs,
    import_catalog,
    load_snapshot,
)
from cardrail.kernel import BrandId, DenominationId, FrozenClock, PriceRuleId, ProductId, currency
from cardrail.storage import AuditLog, Database

TODAY = date(2026, 1, 1)
CLOCK = FrozenClock()
AUDIT = AuditLog(b"k" * 32, "cli")
GIFT_CARDS, TOPUPS = [sheet.read_bytes() for sheet in demo_catalogs()]
SEVERAL = Path(__file__).with_name("fixture.csv").read_bytes()


def bring_in(db: Database, data: bytes, **options: Any) -> ImportReport:
    """Import a sheet as the operator does."""
    return import_catalog(db, CLOCK, AUDIT, data, actor="cli", **options)


def snapshot_of(db: Database, day: date = TODAY) -> CatalogSnapshot:
    with db.read() as tx:
        return load_snapshot(tx, day)


def an_offer(**what: Any) -> Offer:
    """A fixed gift card of INR 33.33, unless told otherwise."""
    fixed: dict[str, Any] = {"type": "fixed", "face_minor": 3333, "min_minor": None, "max_minor": None, "step_minor": None}
    ranged: dict[str, Any] = {"type": "range", "face_minor": None, "min_minor": 10000, "max_minor": 50000, "step_minor": 2500}
    values: dict[str, Any] = {
        "sku": "CARD",
        "denomination_id": DenominationId("den_1"),
        "product_id": ProductId("prd_1"),
        "brand_id": BrandId("brd_1"),
        "product_code": "CARD",
        "name": "A card",
        "kind": "code",
        **(ranged if what.get("type") == "range" else fixed),
        "currency": currency("INR"),
        "sourcing": "stock",
        "input_fields": (),
        "cost_minor": None,
        "cost_bps": None,
        "cost_currency": None,
        "is_sellable": True,
    }
    return Offer(**{**values, **what})


def a_rule(kind: str = "discount", value: int = 350, place: Sequence[str | None] = (None,) * 4, **what: Any) -> PriceRule:
    """3.5 % off face value for everybody, unless told otherwise."""
    name = "prc_" + "-".join(str(one or "any") for one in place)
    partner, price_list, product, denomination = place
    return PriceRule(PriceRuleId(name), partner, price_list, product, denomination, cast(Any, kind), value, **what)


def a_rate(base: str, quote: str, rate_e10: int, on_date: str = "2025-12-31", margin_bps: int = 0) -> FxRate:
    return FxRate(base, quote, on_date, rate_e10, margin_bps, "test")
