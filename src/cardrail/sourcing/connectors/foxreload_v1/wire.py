"""What FoxReload V1 answers, read leniently: hardly a schema is published, so only what is used is declared (section 2.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec


class CodeIn(msgspec.Struct):
    code: str | None = None
    pin: str | None = None
    url: str | None = None
    type: str | None = None


class OrderIn(msgspec.Struct):
    """An order; the delivered data stand in one or both of two members (section 7, A5)."""

    order_id: str
    status: str
    quantity: int | None = None
    unit_price_usd: Decimal | None = None
    wholesale_cost_usd: Decimal | None = None
    reference: str | None = None
    created_at: str | None = None
    codes: list[CodeIn] | None = None
    delivery_data: Any = None


class OrdersIn(msgspec.Struct):
    data: list[OrderIn]
    next_cursor: str | None = None


class SkuIn(msgspec.Struct):
    sku_id: str
    wholesale_cost_usd: Decimal | None = None
    name: str = ""
    category: str | None = None
    region: str | None = None
    face_value: Decimal | None = None
    face_currency: str | None = None
    in_stock: bool = True
    stock: int | None = None


class CatalogIn(msgspec.Struct):
    data: list[SkuIn]
    next_cursor: str | None = None


class StockIn(msgspec.Struct):
    sku_id: str
    stock: int


class InventoryIn(msgspec.Struct):
    items: list[StockIn]


class BalanceIn(msgspec.Struct):
    currency: str
    available: Decimal


class BalancesIn(msgspec.Struct):
    balances: list[BalanceIn]


class ReplacementIn(msgspec.Struct):
    """A claim: ``under_review``, ``approved`` with the new code, ``denied`` with its reason, or ``refunded``."""

    replacement_id: str
    status: str
    code_index: int | None = None
    evidence: str | None = None
    reason: str | None = None
    amount_usd: Decimal | None = None
    codes: list[CodeIn] | None = None


class ReplacementsIn(msgspec.Struct):
    data: list[ReplacementIn]


class ErrorIn(msgspec.Struct):
    error: str = ""
