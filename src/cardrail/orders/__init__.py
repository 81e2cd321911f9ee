"""The sale: placing, paying, reading, cancelling, invalidating and refunding orders."""

from cardrail.orders.cancel import cancel_order, expire_unpaid
from cardrail.orders.errors import (
    CredentialChanged,
    IdempotencyConflict,
    InvalidationRefused,
    InvalidOrder,
    InvalidTransition,
    NotCancellable,
    NotPayable,
    OrderError,
    OrderNotFound,
    OutOfStock,
    PriceChanged,
    ReferenceUsed,
    RefundTooLarge,
    TooManyUnits,
    WrongCurrency,
)
from cardrail.orders.invalidate import InvalidationPolicy, invalidate_order
from cardrail.orders.journal import catch_up, journal_entries
from cardrail.orders.model import (
    ITEMS_MAX,
    QUANTITY_MAX,
    UNITS_MAX,
    Buyer,
    ItemRequest,
    Order,
    OrderItem,
    OrderRequest,
    Outcome,
    PayOrder,
    Placed,
    PlaceOrder,
    Refused,
    Repeated,
    place_order_command,
)
from cardrail.orders.place import Shop, place_orders, read_versions
from cardrail.orders.read import OrderFilter, find_orders, get_order, list_orders, order_history, reveal_order
from cardrail.orders.refund import refund_order
from cardrail.orders.release import LostOrder, Release, freeze_restored, journal_since, release_restored
from cardrail.orders.reveal import open_codes
from cardrail.orders.review import resolve_as_failed, send_to_review
from cardrail.orders.sandbox import TEST_SKUS, Behaviour, behaviour_of
from cardrail.orders.save import Books
from cardrail.orders.states import FINAL, TRANSITIONS, OrderState, advance
from cardrail.orders.stock import StockBooks
from cardrail.orders.verify import ORDER_CHECKS, all_checks

__all__ = [
    "FINAL",
    "ITEMS_MAX",
    "ORDER_CHECKS",
    "QUANTITY_MAX",
    "TEST_SKUS",
    "TRANSITIONS",
    "UNITS_MAX",
    "Behaviour",
    "Books",
    "Buyer",
    "CredentialChanged",
    "IdempotencyConflict",
    "InvalidOrder",
    "InvalidTransition",
    "InvalidationPolicy",
    "InvalidationRefused",
    "ItemRequest",
    "LostOrder",
    "NotCancellable",
    "NotPayable",
    "Order",
    "OrderError",
    "OrderFilter",
    "OrderItem",
    "OrderNotFound",
    "OrderRequest",
    "OrderState",
    "OutOfStock",
    "Outcome",
    "PayOrder",
    "PlaceOrder",
    "Placed",
    "PriceChanged",
    "ReferenceUsed",
    "RefundTooLarge",
    "Refused",
    "Release",
    "Repeated",
    "Shop",
    "StockBooks",
    "TooManyUnits",
    "WrongCurrency",
    "advance",
    "all_checks",
    "behaviour_of",
    "cancel_order",
    "catch_up",
    "expire_unpaid",
    "find_orders",
    "freeze_restored",
    "get_order",
    "invalidate_order",
    "journal_entries",
    "journal_since",
    "list_orders",
    "open_codes",
    "order_history",
    "place_order_command",
    "place_orders",
    "read_versions",
    "refund_order",
    "release_restored",
    "resolve_as_failed",
    "reveal_order",
    "send_to_review",
]
