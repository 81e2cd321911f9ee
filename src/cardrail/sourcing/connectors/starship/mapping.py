"""From the supplier's words to ours: what a status means, what a refusal means, what a product is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from cardrail.kernel import InvalidAmount, Money, PlainCode, currency
from cardrail.sourcing.connector import Accepted, Delivered, Outcome, RefusalKind, Refused, SupplierProduct, Unknown
from cardrail.sourcing.connectors.starship.caller import code_of
from cardrail.sourcing.connectors.starship.wire import OrderIn, ProductIn, RangeIn, VoucherIn
from cardrail.sourcing.errors import OddAnswer
from cardrail.sourcing.http import Answer

POLL_SECONDS: Final = 30.0

_PENDING: Final = ("placed", "pending", "processing")
_DONE: Final = ("delivered", "recharged")
_DEAD: Final = ("failed", "cancelled")

_KINDS: Final[dict[str, RefusalKind]] = {
    "E_VALIDATION_FAILURE": RefusalKind.INVALID,
    "VALIDATION_FAILURE": RefusalKind.INVALID,
    "INVALID_INPUT": RefusalKind.OUT_OF_STOCK,
    "INVALID_STATUS": RefusalKind.CLOSED,
    "INVALID_FEATURE": RefusalKind.CLOSED,
    "NOT_FOUND": RefusalKind.CLOSED,
    "BAD_REQUEST": RefusalKind.NO_FUNDS,
    "SYNTAX_ERROR": RefusalKind.INVALID,
    "E_UNAUTHORIZED_ACCESS": RefusalKind.CLOSED,
    "UNAUTHORIZED": RefusalKind.CLOSED,
    "FORBIDDEN": RefusalKind.CLOSED,
}
"""Duplicates, funds and bulk limits share BAD_REQUEST: which it was, only a look at the list tells, and only of the first."""

MAYBE_DUPLICATE: Final = ("BAD_REQUEST", "IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_IN_PROGRESS")
"""Answers that may say that an order with our reference is there already."""


def refusal_of(answer: Answer) -> Refused | Unknown:
    """What an answer to an order that is no success means: a no is one in the vendor's envelope with a status of 4xx."""
    code = code_of(answer)
    if code and 400 <= answer.status < 500 and code != "IDEMPOTENCY_IN_PROGRESS":
        return Refused(f"{answer.status} {code}", _KINDS.get(code, RefusalKind.INVALID))
    return Unknown(f"answered with {answer.status} {code or 'and no code'}")


def outcome_of(order: OrderIn, cost: Money | None, *, partial_is_final: bool) -> Outcome:
    """What an order's status means (section 3.5). A status that is not known is no answer."""
    status, number = order.status.lower(), str(order.id)
    if status in _PENDING or (status == "partially_delivered" and not partial_is_final):
        return Accepted(number, POLL_SECONDS)
    if status in _DEAD:
        return Refused(f"the order is {status}: nothing came", RefusalKind.FAILED, supplier_order_id=number)
    if status not in (*_DONE, "partially_delivered"):
        return Unknown(f"a status that is not known: {status[:32]}", number)
    if not order.units:
        return Accepted(number, POLL_SECONDS)  # delivered, and its vouchers are still to be shown
    codes = tuple([code_from(one) for one in order.units])
    if any(one.code is None and one.url is None for one in codes) or len(codes) > order.quantity:
        return Unknown(f"{status} with {len(codes)} vouchers of {order.quantity}, or one without a number", number)
    if status in _DONE and len(codes) != order.quantity:
        return Unknown(f"{status} with {len(codes)} vouchers of {order.quantity}", number)
    return Delivered(codes, cost, number, ends_of(order.units))


def code_from(voucher: VoucherIn) -> PlainCode:
    """A voucher's secret parts."""
    return PlainCode(
        voucher.card_number or None,
        voucher.pin_code or None,
        voucher.voucher_reference_number or None,
        voucher.claim_url or None,
    )


def ends_of(vouchers: list[VoucherIn]) -> datetime | None:
    """The earliest end of the vouchers."""
    ends = [moment_of(one.expires_at) for one in vouchers if one.expires_at]
    return min(ends) if ends else None


def moment_of(text: str) -> datetime:
    """A time of theirs. Raises OddAnswer."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise OddAnswer(because="a time that is none") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def minor_of(amount: Decimal, code: str) -> int:
    """Minor units of an amount of theirs. Raises OddAnswer for more digits than the currency has."""
    try:
        return Money.parse(f"{amount:f}", code).minor
    except InvalidAmount:
        raise OddAnswer(because="an amount with too many digits") from None


def sku_of(product: ProductIn, one: RangeIn) -> str:
    """Product and denomination in one text: "418:40" or "418:20-250"."""
    low, high = f"{one.min_value.normalize():f}", f"{one.max_value.normalize():f}"
    return f"{product.id}:{low}" if low == high else f"{product.id}:{low}-{high}"


def product_id_of(sku: str) -> int:
    """The product's number. Raises OddAnswer for a sku that is none of this supplier's."""
    head = sku.partition(":")[0]
    if not head.isascii() or not head.isdigit():
        raise OddAnswer(because="a sku that is none of this supplier's")
    return int(head)


def products_of(product: ProductIn, code: str, country: str | None, unit_currency: str) -> list[SupplierProduct]:
    """A product's denominations. A fixed one has a cost where the wallet is in its currency: a quote tells it otherwise."""
    found = []
    for one in product.available_denominations:
        low, high = minor_of(one.min_value, code), minor_of(one.max_value, code)
        bps = 10_000 - int((one.discount * 100).to_integral_value())
        is_fixed, is_same = low == high, code == unit_currency
        found.append(
            SupplierProduct(
                sku=sku_of(product, one),
                name=product.name,
                currency=code,
                face_minor=low if is_fixed else None,
                min_minor=None if is_fixed else low,
                max_minor=None if is_fixed else high,
                step_minor=None if is_fixed else 10 ** currency(code).digits,
                cost=Money((low * bps + 5_000) // 10_000, currency(code)) if is_fixed and is_same else None,
                cost_bps=bps if not is_fixed and is_same else None,
                category=product.category,
                kind="link" if (product.delivery_type or "").lower() == "url" else "code",
                countries=(country,) if country else (),
            )
        )
    return found
