"""From the public API's words to ours. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from cardrail.kernel import CardrailError, Money, PlainCode, currency
from cardrail.sourcing.connector import Accepted, Delivered, Outcome, PlaceRequest, RefusalKind, Refused, SupplierProduct, Unknown
from cardrail.sourcing.connectors.foxreload_public.wire import ErrorIn, OrderIn, ProductIn
from cardrail.sourcing.errors import OddAnswer
from cardrail.sourcing.http import Answer

AMOUNT: Final = "/amount"
"""Ends the sku of a product that is ordered by its amount (section 6): there, ``quantity`` is money, and one item is one unit."""

ITEMS_MAX: Final = 10

EXPIRY_MARGIN: Final = timedelta(seconds=60)

REFUSALS: Final = {
    "BALANCE_NOT_ENOUGH": RefusalKind.NO_FUNDS,
    "OFFER_PRICE_NOT_MATCHED": RefusalKind.PRICE,
    "OUT_OF_STOCK": RefusalKind.OUT_OF_STOCK,
    "NOT_FOUND": RefusalKind.CLOSED,
    "VALIDATION_ERROR": RefusalKind.INVALID,
    "UNAUTHORIZED": RefusalKind.BUSY,
    "FORBIDDEN": RefusalKind.BUSY,
    "RATE_LIMITED": RefusalKind.BUSY,
}
"""Codes that say that nothing was bought (section 1.3). A key that is refused says nothing about the product."""

RECEIVED: Final = frozenset({"paid", "processing"})
STOPPED: Final = frozenset({"failed", "cancelled", "canceled"})


def code_of(answer: Answer) -> str:
    """The code of a refusal; empty where there is none."""
    try:
        return answer.json(ErrorIn).code or ""
    except OddAnswer:
        return ""


def refusal_of(answer: Answer) -> Refused | None:
    """A 4xx with a documented code, or whose status says enough (1.3: branch on the code, on the status only where there is none).

    Only the supplier can say no: a page of somebody in between may come after the supplier has acted.
    """
    if not 400 <= answer.status < 500:
        return None
    try:
        code = answer.json(ErrorIn).code or ""
    except OddAnswer:
        return None
    kind = REFUSALS.get(code)
    if kind is None and not code:
        kind = {401: RefusalKind.BUSY, 403: RefusalKind.BUSY, 404: RefusalKind.CLOSED, 422: RefusalKind.INVALID}.get(
            answer.status
        )
    return Refused(code or f"answered {answer.status}", kind) if kind is not None else None


def items_of(request: PlaceRequest) -> list[dict[str, Any]]:
    """The order's items, without their price. Raises ValueError for an amount that is not whole."""
    note = {"note": dict(request.fields)} if request.fields else {}
    if not request.supplier_sku.endswith(AMOUNT):
        return [{"itemId": request.supplier_sku, "quantity": request.quantity, **note}]
    whole, left = divmod(request.face.minor, 10**request.face.currency.digits)
    if left or not whole:
        raise ValueError("not a whole amount")
    item = {"itemId": request.supplier_sku.removesuffix(AMOUNT), "quantity": whole, **note}
    return [item] * min(request.quantity, ITEMS_MAX)


def is_like(order: OrderIn, items: list[dict[str, Any]], *, is_mock: bool) -> bool:
    """Whether an order has these items, quantities and notes (section 5.6)."""
    found = [(one.item_id.lower(), one.quantity, one.note or {}) for one in order.items]
    return bool(order.is_mock) == is_mock and found == [
        (one["itemId"].lower(), one["quantity"], one.get("note") or {}) for one in items
    ]


def outcome_of(order: OrderIn, request: PlaceRequest, now: datetime) -> Outcome:
    """What an order says of which a payment was asked for, or may have been.

    While it is ``active`` a payment may still arrive: it is unknown, until its time to be paid is over.
    """
    if order.status == "completed":
        return _completed(order, request)
    if order.status in STOPPED:
        return Refused(f"the order was {order.status}", RefusalKind.FAILED, supplier_order_id=order.id)
    if order.status == "active":
        until = moment_of(order.payment_expires_at)
        if until is not None and now > until + EXPIRY_MARGIN:
            return Refused("the order was never paid", RefusalKind.FAILED, supplier_order_id=order.id)
        return Unknown("the order is not paid, or not yet", order.id)
    return Accepted(order.id)  # paid, processing, and whatever is not known: never taken for failed (section 3.6)


def _completed(order: OrderIn, request: PlaceRequest) -> Outcome:
    codes = tuple([code for item in order.items for code in codes_of(item.external_data)])
    if not codes and request.fields and not any(item.error for item in order.items):
        codes = tuple(
            [PlainCode(order.id)] * request.quantity
        )  # a top-up is whole where nothing is wrong: the receipt is the order
    if len(codes) > request.quantity:
        return Unknown(f"{len(codes)} codes for {request.quantity} units in the answer", order.id)
    if codes:
        return Delivered(codes, _cost(order, len(codes), _units(request)), order.id)
    if order.items and all(item.error for item in order.items):
        return Refused("nothing was delivered", RefusalKind.FAILED, supplier_order_id=order.id)
    return Unknown("completed, and without a code", order.id)


def _units(request: PlaceRequest) -> int:
    return min(request.quantity, ITEMS_MAX) if request.supplier_sku.endswith(AMOUNT) else request.quantity


def _cost(order: OrderIn, count: int, units: int) -> Money | None:
    """What came costs; the rest is credited at once (A13)."""
    if order.price is None or order.currency is None or count > units:
        return None
    return money(order.price * count / units, order.currency)


def codes_of(data: Any) -> Iterator[PlainCode]:
    """Each unit: texts (``CODE;PIN``) or objects (code, pin, codes), in an array or alone (A14)."""
    if isinstance(data, str) and data:
        if data.startswith(("http://", "https://")):
            url, _, pin = data.partition(";")
            yield PlainCode(None, pin or None, None, url)
        else:
            code, _, pin = data.partition(";")
            yield PlainCode(code, pin or None)
    elif isinstance(data, list):
        for one in data:
            is_shown = one != "" and not isinstance(one, (int, float))
            yield from codes_of(one) if is_shown else (PlainCode(None),)  # a unit whose code is none, or not yet one
    elif isinstance(data, Mapping):
        text, own_pin = data.get("code"), data.get("pin")
        if isinstance(text, str) and text:
            yield PlainCode(text, own_pin if isinstance(own_pin, str) else None)
        else:
            yield from codes_of(data.get("codes"))


def product_of(one: ProductIn) -> SupplierProduct | None:
    """A product; None where its face value cannot be counted, or its price is no number of its currency."""
    own = one.attributes or {}
    amount = own.get("amount", own.get("face_value_amount"))
    code = own.get("currency", own.get("face_value_currency"))
    try:
        unit = currency(str(code).upper())
        price = money(one.price, one.currency or "") if one.price is not None else None
        country = own.get("country_code")
        facts: dict[str, Any] = {
            "name": one.name or one.id,
            "currency": unit.code,
            "kind": "topup" if one.is_service or one.required_note_fields else "code",
            "countries": (country,) if isinstance(country, str) and len(country) == 2 else (),
            "is_available": price is not None and one.quantity != 0,
            "fields": tuple([{"name": name, "required": True} for name in one.required_note_fields or ()]),
        }
        if amount is not None:
            face = Money.parse(str(amount), unit)
            return SupplierProduct(sku=one.id, face_minor=face.minor, cost=price, stock=one.quantity, **facts)
        if one.order_max_quantity is None:
            return None
        scale = 10**unit.digits
        bps = (
            int((one.price * 10_000).to_integral_value()) if one.price is not None and one.currency == unit.code.lower() else None
        )
        return SupplierProduct(
            sku=one.id + AMOUNT,
            min_minor=(one.order_min_quantity or 1) * scale,
            max_minor=one.order_max_quantity * scale,
            step_minor=scale,
            cost_bps=bps,
            **facts,
        )
    except CardrailError:
        return None


def money(amount: Decimal, code: str) -> Money:
    """An amount, rounded half up to what the currency counts. Raises OddAnswer."""
    try:
        unit = currency(code.upper())
        return Money.parse(format(amount.quantize(Decimal(1).scaleb(-unit.digits), ROUND_HALF_UP), "f"), unit)
    except (CardrailError, ArithmeticError):
        raise OddAnswer(because="an amount that cannot be counted") from None


def moment_of(text: str | None) -> datetime | None:
    """A time, UTC where it names no offset; None where it cannot be read."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
