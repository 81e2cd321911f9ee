"""From the supplier's words to ours: what an order's status means, what a refusal means, and what a type's name says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from cardrail.kernel import InvalidAmount, Money, PlainCode, UnknownCurrency, currency
from cardrail.sourcing.connector import Accepted, Delivered, Outcome, RefusalKind, Refused, SupplierProduct, Unknown
from cardrail.sourcing.connectors.oneclickdz.wire import ErrorIn, FailureIn, OrderIn, ProductIn, TypeIn
from cardrail.sourcing.errors import OddAnswer
from cardrail.sourcing.http import Answer

BLOCKED_SECONDS: Final = 900.0
"""1.7: how long an address stays blocked after bad keys; asking on with one would count as more of them."""
AUTH_RETRY_SECONDS: Final = 5.0

_FACE: Final = re.compile(r"\s*([0-9][0-9., ]*)\s*([A-Z]{3})\s*")

_KINDS: Final[dict[str, RefusalKind]] = {
    "ERR_VALIDATION": RefusalKind.INVALID,
    "INSUFFICIENT_BALANCE": RefusalKind.NO_FUNDS,
    "NO_BALANCE": RefusalKind.NO_FUNDS,
    "NOT_FOUND": RefusalKind.CLOSED,
    "MISSING_ACCESS_TOKEN": RefusalKind.CLOSED,
    "INVALID_ACCESS_TOKEN": RefusalKind.CLOSED,
    "ERR_AUTH": RefusalKind.CLOSED,
    "IP_NOT_ALLOWED": RefusalKind.CLOSED,
    "API_DISABLED": RefusalKind.CLOSED,
    "IP_BLOCKED": RefusalKind.BUSY,
    "AUTH_UNAVAILABLE": RefusalKind.BUSY,
    "PAYLOAD_TOO_LARGE": RefusalKind.INVALID,
}
_DUPLICATES: Final = ("DUPLICATED_REF", "DUPLICATED-REF")
_WAITS: Final = {"IP_BLOCKED": BLOCKED_SECONDS, "AUTH_UNAVAILABLE": AUTH_RETRY_SECONDS}
_BY_STATUS: Final = {400: RefusalKind.INVALID, 401: RefusalKind.CLOSED, 403: RefusalKind.CLOSED, 404: RefusalKind.CLOSED}


def refusal_of(answer: Answer) -> Refused | Unknown:
    """What an answer to placeOrder that is no success means.

    An explicit no is one in the vendor's envelope with a status of 4xx, or AUTH_UNAVAILABLE, which says that nothing was begun; or one of
    the vendor's router. A page of somebody in between, and a fault, prove nothing.
    """
    code = code_of(answer)
    if code == "AUTH_UNAVAILABLE" or (code is not None and 400 <= answer.status < 500 and code not in _DUPLICATES):
        return refusal(code, answer.status)
    return Unknown(f"answered with {answer.status} {code or 'and no code'}")


def refusal(code: str, status: int) -> Refused:
    """A no that was said with this code."""
    return Refused(f"{status} {code}", _kind_of(code, status), _WAITS.get(code))


def code_of(answer: Answer) -> str | None:
    """The error's code in the vendor's envelope; of a bare answer of his router "HTTP_404"; None where it is neither."""
    try:
        body = answer.json(FailureIn)
    except OddAnswer:
        return None
    if body.success is False and isinstance(body.error, ErrorIn):
        return body.error.code[:64]
    return f"HTTP_{answer.status}" if body.status_code == answer.status else None


def _kind_of(code: str, status: int) -> RefusalKind:
    if "STOCK" in code:  # 6.3: the page with the word is lost
        return RefusalKind.OUT_OF_STOCK
    return _KINDS.get(code) or _BY_STATUS.get(status, RefusalKind.FAILED)


def outcome_of(order: OrderIn, unit_currency: str) -> Outcome:
    """What an order's status means (section 3). Fewer cards than were charged for are no answer: they may still be shown."""
    if order.status == "HANDLING":
        return Accepted(order.id)
    if order.status == "REFUNDED":
        return Refused("refunded: nothing came", RefusalKind.OUT_OF_STOCK, supplier_order_id=order.id)
    if order.status not in ("FULFILLED", "PARTIALLY_FILLED"):
        return Unknown(f"a status that is not known: {order.status[:32]}", order.id)
    codes = tuple([PlainCode(card.value, serial=card.serial or None) for card in order.cards or ()])
    expected = order.quantity if order.fulfilled_quantity is None else order.fulfilled_quantity
    if not codes or len(codes) != expected:
        return Unknown(f"{order.status} with {len(codes)} cards of {expected}", order.id)
    try:
        cost = None if order.fulfilled_amount is None else money_of(order.fulfilled_amount, unit_currency)
    except InvalidAmount:
        return Unknown("an amount with too many digits", order.id)
    return Delivered(codes, cost, order.id)


def product_of(product: ProductIn, kind: TypeIn, category: str | None, unit_currency: str) -> SupplierProduct:
    """A type as a product of the supplier's: fixed at the face value that its name tells, where it tells one."""
    face_minor, face_currency = face_of(kind.name) or (None, unit_currency)
    is_priced = kind.price > 0  # 2.6: others are not for sale
    return SupplierProduct(
        sku=sku_of(product.id, kind.id),
        name=f"{product.title} {kind.name}",
        currency=face_currency,
        face_minor=face_minor,
        cost=money_of(kind.price, unit_currency) if is_priced else None,
        category=category,
        countries=(product.region.upper(),) if product.region is not None and len(product.region) == 2 else (),
        stock=kind.quantity,
        is_available=product.enabled and is_priced and kind.quantity > 0,
    )


def face_of(name: str) -> tuple[int, str] | None:
    """Minor units and currency of a face value like "50 TRY"; None where the name is none."""
    found = _FACE.fullmatch(name)
    if found is None:
        return None
    try:
        amount = Money.parse(found.group(1).replace(",", "").replace(" ", ""), found.group(2))
    except (InvalidAmount, UnknownCurrency):
        return None
    return amount.minor, amount.currency.code


def sku_of(product_id: str, type_id: str) -> str:
    """Both ids in one text."""
    return f"{product_id}/{type_id}"


def ids_of(sku: str) -> tuple[str, str]:
    """Product and type of a sku; a text that is none has an empty type, which no supplier knows."""
    product_id, _, type_id = sku.partition("/")
    return product_id, type_id


def money_of(amount: Decimal, code: str) -> Money:
    """An amount of the wire. Raises InvalidAmount for more digits than the currency has."""
    unit = currency(code)
    minor = amount.scaleb(unit.digits)
    if minor != int(minor):
        raise InvalidAmount(currency=code, digits=unit.digits)
    return Money(int(minor), unit)


def moment_of(text: str | None) -> datetime | None:
    """A time of the wire."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
