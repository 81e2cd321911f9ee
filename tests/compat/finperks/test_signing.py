"""The sheet's signing vectors (specs/finperks.md, sections 1.2 and 4), and what a signature is refused for."""

from __future__ import annotations

import pytest

from cardrail.access import InvalidKey
from cardrail.api.dialects.finperks import signing
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.errors import InvalidHeader
from cardrail.kernel import Secret

SECRET = Secret("demo-secret-0001")
DATE = "Tue, 03 Feb 2026 08:15:00 GMT"
ORDER = (
    b'{"product_code":"7f0d2c1e-3a5b-4c6d-8e9f-0a1b2c3d4e5f","customer":{"id":"shopper-9081"},"country":"AT",'
    b'"face_value":{"currency":"EUR","amount":"25.0"},"processing_mode":"sync","delivery_method":{"type":"code"}}'
)
PLACING = "9f04028ef2e9bd7da480d0fb3f5a9c0b577d2e95dad025f909480ca9ce1dce0d"


def signed(host: str, method: str, path: str, *, key: str = "", body: bytes = b"") -> bytes:
    profile = FinperksProfile()
    parts = {"host_port": host, "method": method, "path": path, "query": "", "date": DATE, "idempotency_key": key}
    return signing.string_to_sign(
        parts | {"body_digest": signing.body_digest(body)}, profile.signed_lines, profile.signed_separator
    )


def test_the_order_of_the_sheet_has_its_digest_and_signature() -> None:
    assert len(ORDER) == 210
    assert signing.body_digest(ORDER) == "f1ad009da7d4d02295e171f53409eebb73575b96525920cd46d5217d4b66c1db"
    message = signed("api-sandbox.finperks.com:443", "POST", "/v1/orders", key="ord-2026-000017", body=ORDER)
    assert signing.signature(SECRET, message) == PLACING


def test_the_balance_of_the_sheet_has_its_signature() -> None:
    message = signed("api-sandbox.finperks.com:443", "GET", "/v1/balances/EUR")
    assert signing.signature(SECRET, message) == "3fa17a17e68d3c53efae214fac2ba4dc30707c13138590b1de2dc3f956136fb0"


def test_the_webhook_of_the_sheet_has_its_signature() -> None:
    message = signed("shop.example:443", "POST", "/hooks/finperks", body=b'{"probe":true}')
    assert signing.signature(SECRET, message) == "94719c999ba344d7ae21db2a1e2113b0d3e84b36b52b017c97464fc8ae6096e2"


def test_upper_case_hex_is_taken_and_any_other_digit_is_not() -> None:
    message = signed("api-sandbox.finperks.com:443", "POST", "/v1/orders", key="ord-2026-000017", body=ORDER)
    assert signing.is_signature(SECRET, message, PLACING.upper())
    assert not signing.is_signature(SECRET, message, PLACING[:-1] + "e")
    assert not signing.is_signature(SECRET, message, PLACING[:-1])


def test_the_host_line_has_its_port_first_and_is_also_taken_without() -> None:
    assert signing.host_forms("api.shop.example") == ("api.shop.example:443", "api.shop.example", "api.shop.example:80")
    assert signing.host_forms("127.0.0.1:8000") == ("127.0.0.1:8000", "127.0.0.1")
    assert signing.host_forms("A.b:1") == ("A.b:1", "A.b", "a.b:1", "a.b")
    assert signing.host_forms("[::1]:8000") == ("[::1]:8000", "[::1]")


def test_a_profile_can_sign_other_lines_in_another_order() -> None:
    parts = {"method": "GET", "path": "/p", "query": "q=1", "date": DATE}
    assert signing.string_to_sign(parts, ("method", "path", "query"), "|") == b"GET|/p|q=1"


@pytest.mark.parametrize(
    "given", [f"KeyId=a, Signature={PLACING}", f"KeyId=a,Signature={PLACING}", f"KeyId=a,  Signature={PLACING}"]
)
def test_white_space_after_the_comma_is_free(given: str) -> None:
    assert signing.parse_authorization(f"FP1-HMAC-SHA256 {given}") == ("a", PLACING)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Bearer x", "missing"),
        (f"fp1-hmac-sha256 KeyId=a, Signature={PLACING}", "missing"),
        ("FP1-HMAC-SHA256 KeyId=a, Signature=xyz", "format"),
        ("FP1-HMAC-SHA256 KeyId=a, Signature=", "format"),
        ("FP1-HMAC-SHA256 KeyId=a", "format"),
        (f"FP1-HMAC-SHA256 Signature={PLACING}", "format"),
        (f'FP1-HMAC-SHA256 KeyId="a, Signature="{PLACING}"', "format"),
    ],
)
def test_an_authorization_of_another_form_is_refused(given: str | None, reason: str) -> None:
    with pytest.raises(InvalidKey) as refusal:
        signing.parse_authorization(given)
    assert refusal.value.facts["reason"] == reason


@pytest.mark.parametrize(
    "given",
    ["", "now", "2026-02-03T08:15:00Z", "Tue, 03 Feb 2026 08:15:00 +0000", "Tue, 32 Feb 2026 08:15:00 GMT", "Tue, 03 Feb 2026 24:61:00 GMT",
     "Tue, 3 Feb 2026 08:15:00 GMT", "Tuesday, 03-Feb-26 08:15:00 GMT", DATE + "\n"],
)  # fmt: skip
def test_a_date_of_another_form_is_refused(given: str) -> None:
    with pytest.raises(InvalidHeader):
        signing.parse_date(given)


@pytest.mark.parametrize("given", ["", "a b", "a:b", "a/b", "a:123456", "a\n", "user@host"])
def test_a_host_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(InvalidHeader):
        signing.split_host(given)
