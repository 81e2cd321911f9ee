"""Reading the supplier's answers leniently (specs/finperks.md, sections 1.3, 2.1, 2.6, 2.10): hardly a schema of them is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from cardrail.kernel import CardrailError, Money, PlainCode, currency
from cardrail.sourcing.connector import RefusalKind, SupplierProduct
from cardrail.sourcing.errors import OddAnswer

DOCUMENTS: Final = frozenset({"card_pdf", "apple_wallet", "google_wallet"})
"""``urls`` that show a card and are not where it is redeemed."""

REFUSALS: Final = {
    "invalid_request_body": RefusalKind.INVALID,
    "invalid_body_parameters": RefusalKind.INVALID,
    "invalid_idempotency_key_header": RefusalKind.INVALID,
    "customer_amount_limit_exceeded": RefusalKind.INVALID,
    "order_not_allowed_for_product": RefusalKind.CLOSED,
    "product_not_available": RefusalKind.OUT_OF_STOCK,
    "insufficient_available_balance": RefusalKind.NO_FUNDS,
}
"""Codes that say that this order was not made, and why."""

UNREAD: Final = frozenset(
    {
        "invalid_date_header", "invalid_host_header", "invalid_signature_format", "invalid_signature", "live_mode_disabled",
        "api_key_missing_required_scope", "request_blocked", "path_not_found", "content_too_large",
    }
)  # fmt: skip
"""Codes of requests that were turned away before anybody looked whether the key is known: they say nothing of an earlier order."""


def error_code(body: Any) -> str:
    """The code of an error, wherever it stands (1.3); empty where there is none."""
    if not isinstance(body, Mapping):
        return ""
    nested = body.get("error")
    for found in (body.get("error_code"), body.get("code"), nested.get("code") if isinstance(nested, Mapping) else None):
        if isinstance(found, str):
            return found
    return ""


def state_of(order: Any) -> str:
    """An order's state, by either name (7.19)."""
    found = order.get("state") or order.get("status")
    return found if isinstance(found, str) else ""


def plain_codes(order: Mapping[str, Any]) -> tuple[PlainCode, ...]:
    """The card of a completed order; none where the answer has nothing to redeem."""
    code, urls = order.get("code"), order.get("urls")
    links = [one for one in urls if isinstance(one, Mapping)] if isinstance(urls, list) else []
    url = next((_text(one.get("url")) for one in links if one.get("type") not in DOCUMENTS), None)
    if isinstance(code, Mapping):
        found = PlainCode(_text(code.get("value") or code.get("code")), _text(code.get("pin")), _text(code.get("serial")), url)
    else:
        found = PlainCode(_text(code), None, None, url)
    return (found,) if found.code or found.url else ()


def cost_of(order: Mapping[str, Any], wanted: str) -> Money | None:
    """What the card cost, where a supplier says so in the currency that it charges us in. Not published by the vendor."""
    price = order.get("price")
    if not isinstance(price, Mapping) or price.get("currency") != wanted:
        return None
    try:
        return money_of(price.get("amount"), wanted)
    except OddAnswer:
        return None


def list_of(body: Any) -> list[Mapping[str, Any]]:
    """A bare array, or the only one in an object (2.10). Raises OddAnswer."""
    if isinstance(body, Mapping):
        arrays = [one for one in body.values() if isinstance(one, list)]
        body = arrays[0] if len(arrays) == 1 else None
    if not isinstance(body, list):
        raise OddAnswer(because="no list")
    return [one for one in body if isinstance(one, Mapping)]


# --- money ------------------------------------------------------------------------------------------------------------


def amount_text(face: Money) -> str:
    """The shortest form with one digit after the point (3.2): "25.0"."""
    whole, _, fraction = face.amount.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def money_of(amount: Any, code: Any) -> Money:
    """An amount that is a decimal text. Raises OddAnswer."""
    try:
        if isinstance(amount, str) and isinstance(code, str):
            return Money.parse(amount, code)
    except CardrailError:
        pass
    raise OddAnswer(because="no amount")


# --- products ---------------------------------------------------------------------------------------------------------


def sku_of(code: str, method: str, amount: str | None) -> str:
    """What we call it: the product's code, how it is delivered if not by code, and its face value if that is fixed."""
    return quote(code, safe="-_.~") + ("" if method == "code" else f"/{method}") + (f"#{amount}" if amount is not None else "")


def parse_sku(sku: str) -> tuple[str, str]:
    """The product's code and its delivery method."""
    code, _, method = sku.partition("#")[0].partition("/")
    return unquote(code), method or "code"


def products_of(one: Mapping[str, Any]) -> Iterator[SupplierProduct]:
    """What a product of the list is to us: a fixed one for each face value, or a range; none where it cannot be read or ordered."""
    methods = one.get("delivery_methods")
    method = "code" if not isinstance(methods, list) or "code" in methods else "url" if "url" in methods else None
    code, unit, face = one.get("code"), one.get("currency"), one.get("face_value")
    if method is None or not (isinstance(code, str) and isinstance(unit, str) and isinstance(face, Mapping)):
        return
    facts: dict[str, Any] = {
        "name": _text(one.get("name")) or code,
        "currency": unit,
        "kind": "code" if method == "code" else "link",
        "countries": tuple([country for country in one.get("countries") or () if isinstance(country, str)]),
    }
    try:
        values = face.get("values")
        for value in values if isinstance(values, list) else ():
            yield SupplierProduct(sku_of(code, method, str(value)), face_minor=money_of(value, unit).minor, **facts)
        if isinstance(values, list):
            return
        low, high = money_of(face.get("min"), unit).minor, money_of(face.get("max"), unit).minor
        step = money_of(face.get("step"), unit).minor if face.get("step") is not None else 10 ** currency(unit).digits
        yield SupplierProduct(sku_of(code, method, None), min_minor=low, max_minor=high, step_minor=step, **facts)
    except (OddAnswer, CardrailError):
        return


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
