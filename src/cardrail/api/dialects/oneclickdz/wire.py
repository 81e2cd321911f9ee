"""What goes over the wire (specs/oneclickdz.md, section 2). Money is a JSON number, ids are opaque strings."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Number = msgspec.Raw
"""A JSON number, written from minor units."""


class PlaceOrderIn(Struct, rename="camel"):
    """2.7. Members that are not named here are passed over, as the vendor's validator does."""

    product_id: Annotated[str, Meta(min_length=1, max_length=128)]
    type_id: Annotated[str, Meta(min_length=1, max_length=128)]
    quantity: Annotated[int, Meta(ge=1)]
    ref: Annotated[str, Meta(min_length=1)] | None = None
    """6.4."""


class PlacedOut(Struct, rename="camel"):
    """2.7. ``orderRef`` only where the request had a ``ref``."""

    order_id: str
    order_ref: str | UnsetType = UNSET


class CardOut(Struct):
    """One card, in the clear."""

    value: str
    serial: str


class CheckedOrderOut(Struct):
    """2.8. What is not known while the order is HANDLING is absent."""

    id: str = msgspec.field(name="_id")
    status: str
    quantity: int
    product: str
    type: str
    time: str
    fulfilled_quantity: int | UnsetType = UNSET
    fulfilled_amount: Number | UnsetType = UNSET
    price_per_card: Number | UnsetType = UNSET
    cards: list[CardOut] | UnsetType = UNSET


class PaginationOut(Struct, rename="camel"):
    """2.4."""

    page: int
    page_size: int
    total_pages: int
    total_results: int


class ItemsOut(Struct):
    """A page of a list."""

    items: list[Any]
    pagination: PaginationOut


class TransactionOut(Struct):
    """2.4."""

    id: str = msgspec.field(name="_id")
    type: str
    operation: str
    amount: Number
    old_balance: Number = msgspec.field(name="oldBalance")
    new_balance: Number = msgspec.field(name="newBalance")
    objid: str
    note: str
    time: str


class BalanceOut(Struct):
    """2.3."""

    balance: Number


class ApiKeyOut(Struct):
    """2.2."""

    key: str
    is_enabled: bool = msgspec.field(name="isEnabled")
    type: str
    allowedips: list[str]
    scope: str


class ValidatedOut(Struct):
    """2.2. It echoes the key: it is never logged."""

    username: str
    api_key: ApiKeyOut = msgspec.field(name="apiKey")


class PingOut(Struct):
    """2.1."""

    api: str
    operators: dict[str, str]


class ProductOut(Struct):
    """2.5."""

    id: str
    title: str
    enabled: bool
    region: str | UnsetType = UNSET


class CategoryOut(Struct):
    """2.5."""

    title: str
    products: list[ProductOut]


class TypeOut(Struct):
    """2.6. Just these four members."""

    id: str
    name: str
    price: Number
    quantity: int


class CheckedProductOut(Struct, rename="camel"):
    """2.6."""

    product_id: str
    product_title: str
    types: list[TypeOut]
