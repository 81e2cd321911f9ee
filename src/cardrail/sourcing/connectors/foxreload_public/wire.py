"""What the public API answers, read leniently: unknown members are passed over, absent and null are the same (section 7, A27)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec


class Wire(msgspec.Struct, rename="camel"):
    """Members in camelCase."""


class ErrorIn(msgspec.Struct):
    """``code`` decides; ``detail`` may be of any type, and is not read."""

    code: str | None = None


class ProductIn(Wire):
    id: str
    name: str = ""
    attributes: dict[str, Any] | None = None
    price: Decimal | None = None
    currency: str | None = None
    quantity: int | None = None
    order_min_quantity: int | None = None
    order_max_quantity: int | None = None
    required_note_fields: list[str] | None = None
    is_service: bool | None = None


class ProductsIn(Wire):
    items: list[ProductIn]
    next_cursor: str | None = None


class ItemIn(Wire):
    item_id: str
    quantity: int = 1
    note: dict[str, Any] | None = None
    external_data: Any = None
    error: str | None = None


class OrderIn(Wire):
    id: str
    status: str
    items: list[ItemIn] = []
    price: Decimal | None = None
    currency: str | None = None
    is_mock: bool | None = None
    payment_expires_at: str | None = None
    created_at: str | None = None


class OrdersIn(Wire):
    items: list[OrderIn]


class BalanceIn(Wire):
    """``available``, else ``amount``, else ``balance``."""

    currency: str
    available: Decimal | None = None
    amount: Decimal | None = None
    balance: Decimal | None = None
