"""What the Finperks tests ask with, and the shapes of the sheet (specs/finperks.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2

from cardrail.kernel import Mode, new_id, uuid_of
from cardrail.orders import TEST_SKUS
from tests.compat.build import CompatShop
from tests.compat.finperks.client import FinperksClient
from tests.compat.shapes import Either, Only, fits

T = TypeVar("T", bound=Callable[..., Any])

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AMOUNT = re.compile(r"-?\d+\.\d*[1-9]|-?\d+\.0")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MONEY = {"currency": re.compile("[A-Z]{3}"), "amount": AMOUNT}
CODE = {"value": str, "pin?": str, "serial?": str}
ORDER = {
    "id": str,
    "state": Only("completed"),
    "product_code": Either(UUID, str),
    "country": str,
    "customer": {"id": str},
    "face_value": MONEY,
    "processing_mode": Only("sync", "async"),
    "delivery_method": {"type": Only("code", "url"), "email?": str},
    "code": CODE,
    "urls": [{"type": str, "url": str}],
    "created_at": MOMENT,
    # What section 1.7 lets us add.
    "quantity": int,
    "price": MONEY,
    "client_partner?": {"id": str},
}
WITHOUT_CODE = {name: shape for name, shape in ORDER.items() if name != "code"}
PRODUCT = {
    "code": UUID,
    "name": str,
    "countries": [re.compile("[A-Z]{2}")],
    "currency": re.compile("[A-Z]{3}"),
    "face_value": Either(
        {"type": Only("range"), "min": AMOUNT, "max": AMOUNT, "step": AMOUNT}, {"type": Only("fixed"), "values": [AMOUNT]}
    ),
    "delivery_methods": [Only("code", "url", "email")],
    "redemption_instructions": Either(str, None),
    "terms_and_conditions": Either(str, None),
    "redemption_notes": Either(str, None),
    "image_url": Either(str, None),
}
ERROR = {
    "error_class": str,
    "error_code": str,
    "message": str,
    "request_id": str,
    "class": str,
    "code": str,
    "fields?": [{"field": str, "message": str}],
}

COVERED: dict[tuple[str, str], list[str]] = {}


def covers(*endpoints: str) -> Callable[[T], T]:
    """Notes which endpoints' conformance a test is about."""

    def note(test: T) -> T:
        for one in endpoints:
            method, path = one.split()
            COVERED.setdefault((method, path), []).append(test.__name__)
        return test

    return note


Open = Callable[..., FinperksClient]
"""Makes clients that are closed after the test: ``open_client(Mode.TEST, "orders:read", partner_id=…)``."""


def client_of(shop: CompatShop, mode: Mode = Mode.LIVE, *scopes: str, **options: Any) -> FinperksClient:
    given = shop.credential("finperks", mode, *scopes, **options)
    return FinperksClient(shop.url + "/compat/finperks/v1", given["client_id"], given["client_secret"])


def order_body(shop: CompatShop, sku: str = "TEA", amount: str = "100.0", **changes: Any) -> dict[str, Any]:
    """The order of the sheet's example, for a product of ours."""
    if sku in TEST_SKUS:
        code = sku
    else:
        offer = shop.cardrail.catalog.current().offer(sku)
        assert offer is not None
        code = uuid_of(offer.denomination_id if offer.type == "range" else offer.product_id)
    body: dict[str, Any] = {
        "product_code": code,
        "customer": {"id": "shopper-9081"},
        "country": "IN",
        "face_value": {"currency": "INR", "amount": amount},
        "processing_mode": "sync",
        "delivery_method": {"type": "code"},
    }
    return body | changes


def key() -> str:
    """As the vendor's examples look: words joined by hyphens, and a number."""
    return f"ord-2026-{new_id('evt')}"


def placed(client: FinperksClient, body: dict[str, Any]) -> Any:
    """The order, which must come."""
    answer = client.send("POST", "/orders", body, key=key())
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


def refused(answer: httpx2.Response, status: int, error_class: str, code: str, field: str | None = None) -> Any:
    """Fails unless the answer is this row of the error table, in the vendor's envelope."""
    body = answer.json()
    assert (answer.status_code, body["error_class"], body["error_code"]) == (status, error_class, code), body
    fits(body, ERROR)
    assert (body["class"], body["code"]) == (error_class, code)
    assert answer.headers["x-request-id"] == body["request_id"]
    assert ("fields" in body) == (code == "invalid_body_parameters")
    if field is not None:
        assert [one["field"] for one in body["fields"]] == [field]
    return body
