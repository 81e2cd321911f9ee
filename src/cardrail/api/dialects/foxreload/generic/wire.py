"""Request and response types of the generic surface (specs/foxreload.md, section 2.1)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

END = r"$(?!\n)"

Sku = Annotated[str, Meta(pattern=r"^[!-~]{1,128}" + END)]
Quantity = Annotated[int, Meta(ge=1, le=1_000)]
Reference = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,126}[!-~])?" + END)]


class ItemOut(msgspec.Struct):
    """A line of GET /catalog."""

    sku: str
    name: str
    denomination: str
    """Decimal text of the face value."""
    currency: str
    """Of the face value."""
    region: str
    available: bool


class CatalogOut(msgspec.Struct):
    items: list[ItemOut]
    next_cursor: str | None


class StockOut(msgspec.Struct):
    """GET /stock/:sku; both numbers are 0 where there is nothing, and the upper one null where the range is open."""

    sku: str
    available: bool
    quantity_min: int
    quantity_max: int | None


class PriceOut(msgspec.Struct):
    """GET /prices/:sku: the wholesale cost in the caller's wallet."""

    sku: str
    price: str
    currency: str
    updated_at: str


class OrderIn(msgspec.Struct):
    """POST /orders."""

    sku: Sku
    quantity: Quantity
    reference: Reference


class CodeOut(msgspec.Struct):
    """A code, or the place of one that did not come: then ``error`` says why and the others are null."""

    code: str | None
    pin: str | None
    instructions: str | UnsetType | None = UNSET
    redeem_url: str | UnsetType | None = UNSET
    error: str | UnsetType = UNSET


class OrderOut(msgspec.Struct):
    """An order; ``error`` and ``message`` are there only if it failed."""

    order_id: str
    status: str
    reference: str | None
    codes: list[CodeOut]
    error: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class BalanceOut(msgspec.Struct):
    balance: str
    currency: str


class ReconciliationRow(msgspec.Struct):
    """A past order; the members are also the columns of the CSV, in this order."""

    order_id: str
    reference: str | None
    sku: str
    quantity: int
    amount: str
    currency: str
    status: str
    settlement_status: str
    created_at: str
    completed_at: str | None


class ReconciliationOut(msgspec.Struct):
    items: list[ReconciliationRow]
    next_cursor: str | None
