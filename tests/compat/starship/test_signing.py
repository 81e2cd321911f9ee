"""Signatures of the second generation: the sheet's own vectors, and requests that must be signed."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import httpx2
import pytest

from cardrail.api.dialects.starship.signing import Signed, canonical, is_signed, sign
from cardrail.kernel import Mode
from tests.compat.build import CompatShop

SECRET = "whsec_T3stOnlyNotARealSecret0001"
AT = 1_767_225_600
BODY = b'{"product_id":418,"denomination":40.00,"quantity":3,"ref":"LUMEN-77120"}'
POST_V1 = "e758a4b769804a8ab595a1186eb45472d7529b53e3840ed6c524dac9ab1ef12f"
GET_V1 = "7f33517c3cc3c44d6dbc533fbe755db6ff9b5d98c587638a8cab7ed82a0a3bac"


def test_the_sheets_vector_of_a_post() -> None:
    assert hashlib.sha256(BODY).hexdigest() == "28a9e668460c04d3a22153fc1b40fa54a132bd87e3a11dda959405839662b2bb"
    assert sign(SECRET, "POST", "/api/v1/orders", "", BODY, AT) == POST_V1


def test_the_sheets_vector_of_a_get() -> None:
    assert sign(SECRET, "GET", "/api/v1/orders", "status=PENDING&page=2&limit=25", b"", AT) == GET_V1


def test_five_lines_are_signed_without_an_end_of_line() -> None:
    lines = canonical("get", "/api/v1/orders", "b=2&a=1", b"", AT).decode().split("\n")
    assert lines == ["GET", "/api/v1/orders", "a=1&b=2", hashlib.sha256(b"").hexdigest(), str(AT)]


@pytest.mark.parametrize(
    ("header", "now", "expected"),
    [
        (f"t={AT},v1={POST_V1}", AT, True),
        (f"t={AT},v1={POST_V1}", AT + 300, True),
        (f"t={AT},v1={POST_V1}", AT - 300, True),
        (f"t={AT},v1={POST_V1}", AT + 301, False),
        (f"t={AT},v1={POST_V1}", AT - 301, False),
        (f"t={AT},v1={GET_V1}", AT, False),
        (f"t={AT + 1},v1={POST_V1}", AT, False),
        (f"t={AT}, v1={POST_V1}", AT, False),
        (f"t={AT},v1={POST_V1.upper()}", AT, False),
        (f"v1={POST_V1},t={AT}", AT, False),
        (f"t={AT}", AT, False),
        ("", AT, False),
        (None, AT, False),
    ],
)
def test_a_signature_is_of_its_form_its_time_and_its_request(header: str | None, now: float, expected: bool) -> None:
    signed = Signed("POST", ("/api/v1/orders",), "", BODY)
    assert is_signed(header, SECRET, signed, now, 300) is expected


def test_the_path_may_be_the_vendors_or_as_it_was_sent() -> None:
    signed = Signed("POST", ("/api/v1/orders", "/compat/starship/api/v1/orders"), "", BODY)
    for path in signed.paths:
        header = f"t={AT},v1={sign(SECRET, 'POST', path, '', BODY, AT)}"
        assert is_signed(header, SECRET, signed, AT, 300)
    assert not is_signed(f"t={AT},v1={sign(SECRET, 'POST', '/orders', '', BODY, AT)}", SECRET, signed, AT, 300)


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    file.write_text("[starship]\nsignature_required = true\n")
    return {"dialect_profiles": file}


def test_where_it_is_required_a_call_without_a_good_signature_is_refused(shop: CompatShop) -> None:
    key = shop.credential("starship", Mode.LIVE)
    with httpx2.Client(
        base_url=shop.url + "/compat/starship",
        headers={"X-API-Key": key["api_key"], "X-API-Secret": key["api_secret"]},
        trust_env=False,
    ) as http:
        query, now = "page=1&limit=3", int(time.time())
        good = sign(key["signing_secret"], "GET", "/api/v1/products", query, b"", now)
        for signature, status in (
            (f"t={now},v1={good}", 200),
            (f"t={now},v1={good[::-1]}", 401),
            (f"t={now - 400},v1={good}", 401),
        ):
            answer = http.get(f"/api/v1/products?{query}", headers={"X-Signature": signature})
            assert answer.status_code == status
        answer = http.get("/api/v1/products")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "E_UNAUTHORIZED_ACCESS")


def test_an_order_is_signed_with_its_body(shop: CompatShop) -> None:
    key = shop.credential("starship", Mode.LIVE)
    url, path = shop.url + "/compat/starship/api/v1/orders", "/compat/starship/api/v1/orders"
    now = int(time.time())
    headers = {
        "X-API-Key": key["api_key"],
        "X-API-Secret": key["api_secret"],
        "Idempotency-Key": "signed-order-1",
        "X-Signature": f"t={now},v1={sign(key['signing_secret'], 'POST', path, '', BODY, now)}",
    }
    assert httpx2.post(url, content=BODY, headers=headers).json()["error"]["code"] == "NOT_FOUND"  # signed, but no such product
    assert httpx2.post(url, content=BODY + b" ", headers=headers).status_code == 401
