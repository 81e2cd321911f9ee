"""What the supplier sends, as far as we read it (specs/oneclickdz.md, section 2). Its pages disagree here and there, so what we can do
without may be absent, and what we do not know is passed over. Numbers are read as exact decimals.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

from msgspec import Struct, field

T = TypeVar("T")


class ErrorIn(Struct):
    """1.5."""

    code: str
    message: str = ""


class FailureIn(Struct):
    """1.5; or, without ``success``, what a router answers that knew no such path."""

    success: bool | None = None
    error: ErrorIn | str | None = None
    status_code: int | None = field(name="statusCode", default=None)


class PlacedIn(Struct):
    """2.7."""

    order_id: str = field(name="orderId")


class CardIn(Struct):
    """2.8. A serial may be empty or absent."""

    value: str
    serial: str | None = None


class OrderIn(Struct):
    """2.8: while it is HANDLING, what came of it is absent."""

    id: str = field(name="_id")
    status: str
    quantity: int
    product: str | None = None
    type: str | None = None
    time: str | None = None
    fulfilled_quantity: int | None = None
    fulfilled_amount: Decimal | None = None
    cards: list[CardIn] | None = None


class PaginationIn(Struct):
    """2.4."""

    total_pages: int = field(name="totalPages")


class OrdersIn(Struct):
    """2.9."""

    items: list[OrderIn]
    pagination: PaginationIn


class TransactionIn(Struct):
    """2.4. The direction is told by ``type``, never by ``operation``."""

    type: str
    amount: Decimal
    time: str
    objid: str | None = None
    note: str | None = None


class TransactionsIn(Struct):
    """2.4."""

    items: list[TransactionIn]
    pagination: PaginationIn


class BalanceIn(Struct):
    """2.3."""

    balance: Decimal


class ApiKeyIn(Struct):
    """2.2."""

    type: str


class ValidatedIn(Struct):
    """2.2."""

    api_key: ApiKeyIn = field(name="apiKey")


class ProductIn(Struct):
    """2.5."""

    id: str
    title: str
    enabled: bool = True
    region: str | None = None


class CategoryIn(Struct):
    """2.5, 6.1: the name is ``title``, or ``name``."""

    products: list[ProductIn]
    title: str | None = None
    name: str | None = None


class CatalogIn(Struct):
    """2.5."""

    categories: list[CategoryIn]


class TypeIn(Struct):
    """2.6."""

    id: str
    name: str
    price: Decimal
    quantity: int


class CheckedProductIn(Struct):
    """2.6."""

    types: list[TypeIn]


class EnvelopeIn(Struct):
    """1.4: whether it is a success, before its data is read."""

    success: bool


class SuccessIn(Struct, Generic[T]):
    """1.4."""

    data: T
