"""Request and response types of surface V1 (specs/foxreload.md, section 2.2). Members that may be null are always there (7, A27)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

END = r"$(?!\n)"

Sku = Annotated[str, Meta(pattern=r"^[!-~]{1,128}" + END)]
Quantity = Annotated[int, Meta(ge=1, le=1_000)]
Reference = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,126}[!-~])?" + END)]
Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*" + END)]
NoteName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}" + END)]
NoteText = Annotated[str, Meta(max_length=256, pattern=r"^[^\x00]*" + END)]
NoteNumber = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Note = Annotated[dict[NoteName, NoteText | NoteNumber | None], Meta(max_length=20)]


class SkuOut(msgspec.Struct):
    """A sku of the catalog."""

    sku_id: str
    name: str
    category: str
    region: str
    face_value: str
    face_currency: str
    wholesale_cost_usd: str
    in_stock: bool
    stock: int


class CatalogOut(msgspec.Struct):
    data: list[SkuOut]
    next_cursor: str | None


class InventoryItem(msgspec.Struct):
    sku_id: str
    stock: int


class InventoryOut(msgspec.Struct):
    snapshot_at: str
    items: list[InventoryItem]


class OrderIn(msgspec.Struct):
    """POST /v1/orders in both spellings (7, A6); what is needed is checked by the handler."""

    sku: Sku | None = None
    sku_id: Sku | None = None
    quantity: Quantity | None = None
    qty: Quantity | None = None
    currency: Annotated[str, Meta(min_length=3, max_length=3)] | None = None
    reference: Reference | None = None
    idempotency_key: str | None = None
    player: Note | NoteText | None = None
    note: Note | None = None


class CodeOut(msgspec.Struct):
    type: str
    code: str | None
    pin: str | None


class DeliveryOut(msgspec.Struct):
    code: str | None
    type: str


class OrderOut(msgspec.Struct):
    """An order. ``delivery_data`` is the first of ``codes``."""

    order_id: str
    sku_id: str
    quantity: int
    status: str
    unit_price_usd: str
    wholesale_cost_usd: str
    fx_locked_until: str
    reference: str | None
    created_at: str
    delivered_at: str | None
    delivery_data: DeliveryOut | None
    codes: list[CodeOut]


class OrdersOut(msgspec.Struct):
    data: list[OrderOut]
    next_cursor: str | None


class BalanceOut(msgspec.Struct):
    currency: str
    available: str
    reserved: str


class BalancesOut(msgspec.Struct):
    balances: list[BalanceOut]


class ReplacementIn(msgspec.Struct):
    """POST /v1/orders/{order_id}/replacement."""

    reason: Reason
    code_index: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    evidence: Annotated[str, Meta(max_length=4_000)] | None = None


class ReplacementOut(msgspec.Struct):
    """A claim: ``status`` is under_review, approved, denied or refunded. What comes after it is null or empty until it is so."""

    replacement_id: str
    order_id: str
    status: str
    code_index: int
    evidence: str | None
    reason: str | None
    """Why it was denied."""
    amount_usd: str | None
    """What was refunded."""
    codes: list[CodeOut]
    """The new code of an approved one."""


class ReplacementsOut(msgspec.Struct):
    data: list[ReplacementOut]


class RefundIn(msgspec.Struct):
    """POST /v1/refunds."""

    order_id: str
    amount_usd: Decimal
    reason: Reason


class RefundOut(msgspec.Struct):
    refund_id: str
    order_id: str
    amount_usd: str
    status: str


class EndpointIn(msgspec.Struct):
    """POST /v1/webhooks: ``url`` and ``events``, or ``id`` and ``rotate``."""

    url: Annotated[str, Meta(max_length=2_000)] | None = None
    events: Annotated[list[str], Meta(max_length=50)] | None = None
    id: Annotated[str, Meta(max_length=64)] | None = None
    rotate: bool = False
    include_codes: bool = False
    """Ours: that ``order.delivered`` carries the codes."""


class EndpointOut(msgspec.Struct):
    id: str
    url: str
    events: list[str]
    webhook_secret: str


class ReplayIn(msgspec.Struct):
    """POST /v1/webhooks/{id}/replay, whose body the sheet does not have."""

    event_id: Annotated[str, Meta(max_length=64)] | None = None


class ReplayOut(msgspec.Struct):
    id: str
    replayed: int
