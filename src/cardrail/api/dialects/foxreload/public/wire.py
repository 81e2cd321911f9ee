"""What the public surface takes and gives (specs/foxreload.md, section 2.3). Nullable members are always there (7, A27)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta


class Wire(msgspec.Struct, rename="camel"):
    """Members in camelCase; unknown ones of a request are passed over."""


# --- what is asked -------------------------------------------------------------------------------------------------------


class ItemIn(Wire):
    """One item of an order; ``totalPrice`` is the line's, and guards it."""

    item_id: str
    quantity: Annotated[int, Meta(ge=1)]
    total_price: Decimal | None = None
    note: dict[str, Any] | None = None


class OrderIn(Wire):
    """An order to create."""

    items: list[ItemIn]
    is_mock: bool | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class PayIn(Wire):
    """How an order is paid: nothing, or a provider that is null, means from the balance."""

    payment_provider: str | None = None
    payment_return_url: str | None = None


# --- what is answered ----------------------------------------------------------------------------------------------------


class ErrorOut(Wire):
    """The envelope of every refusal and fault."""

    code: str
    detail: str


class CategoryOut(Wire):
    """A category."""

    id: str
    name: str
    slug: str
    description: str | None
    best_offer_price: str | None
    attributes: dict[str, Any]
    attribute_definitions: list[Any]
    tags: list[str]
    parent_id: str | None
    has_products: bool
    in_stock_count: int | None
    image_path: str | None
    thumbnail_path: str | None


class BranchOut(CategoryOut):
    """A category in the tree."""

    children: list[BranchOut]


class ProductOut(Wire):
    """A product: one denomination of ours."""

    id: str
    name: str
    slug: str
    category_id: str
    description: str | None
    attributes: dict[str, Any]
    price: str | None
    currency: str | None
    quantity: int | None
    order_min_quantity: int | None
    order_max_quantity: int | None
    required_note_fields: list[str] | None
    note_field_options: dict[str, list[str]] | None
    note_field_types: dict[str, str] | None
    delivery_type: str
    is_service: bool
    user_guide: str | None
    image_path: str | None
    thumbnail_path: str | None


class CategoryPageOut(Wire):
    """A page of categories."""

    items: list[CategoryOut]
    limit: int
    next_cursor: str | None


class TreeOut(Wire):
    """Nested categories."""

    items: list[BranchOut]


class ProductPageOut(Wire):
    """A page of a category's products."""

    items: list[ProductOut]
    limit: int
    offset: int
    total: int


class ProductScrollOut(Wire):
    """A page of products below a category, or of all."""

    items: list[ProductOut]
    limit: int
    next_cursor: str | None
    total: int


class ItemOut(Wire):
    """One item of an order as it stands."""

    item_id: str
    quantity: int
    total_price: str
    note: dict[str, Any] | None
    external_data: list[str] | None
    error: str | None
    user_guide: str | None


class OrderOut(Wire):
    """An order as it stands."""

    id: str
    status: str
    price: str
    currency: str
    is_mock: bool
    payment_expires_at: str
    cancel_reason: str | None
    created_at: str
    updated_at: str
    items: list[ItemOut]


class OrderPageOut(Wire):
    """A page of orders."""

    items: list[OrderOut]
    limit: int
    offset: int
    total: int


class PaymentOut(Wire):
    """The payment of an order."""

    id: str
    order_id: str
    status: str
    payment_provider: str | None
    amount: str
    currency: str
    payment_url: str | None


class MeOut(Wire):
    """Whose key it is."""

    id: str
    name: str
    email: str
    is_active: bool


class BalanceOut(Wire):
    """One wallet."""

    currency: str
    available: str
    reserved: str
    pending: str


class RateOut(msgspec.Struct):
    """What one unit of a currency is in another."""

    base: str = msgspec.field(name="from")
    to: str
    rate: str


class RatesOut(Wire):
    """The rates of one currency."""

    rates: list[RateOut]
