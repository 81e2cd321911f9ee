"""What bad input gets: a problem with its own code, nothing charged, no row changed. Never a 500."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from cardrail.access import Limits, list_keys, revoke_key, suspend_partner
from cardrail.kernel import Mode
from tests.api.build import Served, assert_problem

ONE: dict[str, Any] = {"sku": "TEA", "quantity": 1}
USD_100 = {"amount": "100.00", "currency": "USD"}


def shoes(amount: object) -> dict[str, Any]:
    """An order for a sku that is sold from 100 to 1,000 in steps of 1."""
    return {"items": [{"sku": "SHOES", "quantity": 1, "face_value": {"amount": amount, "currency": "INR"}}]}


BODIES: list[tuple[str, dict[str, Any], int, str]] = [
    ("an unknown sku", {"items": [{"sku": "NOPE", "quantity": 1}]}, 404, "unknown_sku"),
    ("a test sku with a live key", {"items": [{"sku": "TEST_OK", "quantity": 1}]}, 404, "unknown_sku"),
    ("another wallet's currency", {"items": [ONE], "currency": "USD"}, 409, "no_exchange_rate"),
    ("a currency that is none", {"items": [ONE], "currency": "XQQ"}, 400, "unknown_currency"),
    ("a face value in another currency", {"items": [{**ONE, "face_value": USD_100}]}, 422, "wrong_currency"),
    ("a ceiling in another currency", {"items": [ONE], "max_price": {"amount": "1", "currency": "USD"}}, 422, "wrong_currency"),
    ("a ceiling below the price", {"items": [ONE], "max_price": {"amount": "1", "currency": "INR"}}, 409, "price_changed"),
    ("quantity 0", {"items": [{"sku": "TEA", "quantity": 0}]}, 400, "invalid_quantity"),
    ("a negative quantity", {"items": [{"sku": "TEA", "quantity": -1}]}, 400, "invalid_quantity"),
    ("half a unit", {"items": [{"sku": "TEA", "quantity": 1.5}]}, 400, "invalid_quantity"),
    ("2.0 for an integer", {"items": [{"sku": "TEA", "quantity": 2.0}]}, 400, "invalid_quantity"),
    ("a text for an integer", {"items": [{"sku": "TEA", "quantity": "2"}]}, 400, "invalid_quantity"),
    ("true for an integer", {"items": [{"sku": "TEA", "quantity": True}]}, 400, "invalid_quantity"),
    ("a billion units", {"items": [{"sku": "TEA", "quantity": 10**9}]}, 400, "invalid_quantity"),
    ("null for an integer", {"items": [{"sku": "TEA", "quantity": None}]}, 400, "invalid_quantity"),
    ("a quantity missing", {"items": [{"sku": "TEA"}]}, 400, "missing_member"),
    ("a number beyond 64 bits", {"items": [{"sku": "TEA", "quantity": 10**30}]}, 400, "invalid_quantity"),
    ("more units than an order has", {"items": [{"sku": "TEA", "quantity": 1000}] * 3}, 422, "too_many_units"),
    ("no face value for a range", {"items": [{"sku": "SHOES", "quantity": 1}]}, 422, "face_value_required"),
    ("below the range", shoes("99"), 422, "invalid_face_value"),
    ("above the range", shoes("1001"), 422, "invalid_face_value"),
    ("off the step", shoes("100.50"), 422, "invalid_face_value"),
    ("too many digits", shoes("100.001"), 400, "invalid_amount"),
    ("a number for an amount", shoes(100), 400, "wrong_type"),
    ("a negative amount", {"items": [ONE], "max_price": {"amount": "-1", "currency": "INR"}}, 400, "invalid_body"),
    ("a field that the product has not", {"items": [{**ONE, "fields": {"player_id": "1"}}]}, 422, "invalid_field"),
    ("101 items", {"items": [ONE] * 101}, 400, "too_many_items"),
    ("no items", {"items": []}, 400, "no_items"),
    ("items missing", {}, 400, "missing_member"),
    ("items of a wrong type", {"items": {"0": ONE}}, 400, "wrong_type"),
    ("null for items", {"items": None}, 400, "wrong_type"),
    ("an unknown member", {"items": [ONE], "coupon": "x"}, 400, "unknown_member"),
    ("an unknown member of an item", {"items": [{**ONE, "price": "1"}]}, 400, "unknown_member"),
    ("an empty reference", {"items": [ONE], "reference": ""}, 400, "invalid_body"),
    ("a long reference", {"items": [ONE], "reference": "x" * 129}, 400, "invalid_body"),
    ("a reference with a line break", {"items": [ONE], "reference": "x\n"}, 400, "invalid_body"),
    ("NUL in metadata", {"items": [ONE], "metadata": {"a": "\x00"}}, 400, "invalid_body"),
    ("a number in metadata", {"items": [ONE], "metadata": {"quantity": 1}}, 400, "wrong_type"),
    ("a key of metadata that is none", {"items": [ONE], "metadata": {"/": "1"}}, 400, "invalid_body"),
    ("51 metadata", {"items": [ONE], "metadata": {f"k{n}": "v" for n in range(51)}}, 400, "invalid_body"),
    ("a country of three letters", {"items": [ONE], "country": "IND"}, 400, "invalid_body"),
    ("a choice that is none", {"items": [ONE], "partial": "maybe"}, 400, "invalid_body"),
    ("a quote that is none", {"items": [ONE], "quote_id": "quo_1"}, 404, "quote_not_found"),
    ("nothing in stock", {"items": [{"sku": "BOOKS", "quantity": 1}]}, 409, "out_of_stock"),
    ("more than there is, wholly", {"items": [{"sku": "TEA", "quantity": 51}], "partial": "refuse"}, 409, "out_of_stock"),
]  # fmt: skip

RAW: list[tuple[str, bytes, str, int, str]] = [
    ("broken JSON", b'{"items": [', "application/json", 400, "malformed_body"),
    ("no JSON", b"items=1", "application/json", 400, "malformed_body"),
    ("nothing at all", b"", "application/json", 400, "malformed_body"),
    ("two documents", b'{"items": [{"sku": "TEA", "quantity": 1}]}{}', "application/json", 400, "malformed_body"),
    ("no UTF-8", b'{"items": [{"sku": "\xff", "quantity": 1}]}', "application/json", 400, "malformed_body"),
    ("a lone surrogate", b'{"items": [{"sku": "\\ud800", "quantity": 1}]}', "application/json", 400, "malformed_body"),
    ("a list", b"[]", "application/json", 400, "wrong_type"),
    ("deep nesting", b"[" * 100_000, "application/json", 400, "wrong_type"),
    ("a body of 5 MB", b'{"items": "' + b"x" * 5_000_000 + b'"}', "application/json", 413, "body_too_large"),
    ("a form", b"items=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ("plain text", b'{"items": [{"sku": "TEA", "quantity": 1}]}', "text/plain", 415, "unsupported_media_type"),
    ("another charset", b"{}", "application/json; charset=utf-16", 415, "unsupported_media_type"),
]


def test_each_bad_body_has_its_own_problem_and_changes_nothing(server: Served) -> None:
    before, balance = server.rows(), server.live.get("/v1/balances").json()["data"]
    for what, body, status, code in BODIES:
        response = server.live.post("/v1/orders", json=body)
        assert (response.status_code, response.json().get("code")) == (status, code), f"{what}: {response.text}"
        assert_problem(response, status, code)
    assert server.rows() == before
    assert server.live.get("/v1/balances").json()["data"] == balance


def test_each_unreadable_body_has_its_own_problem_and_changes_nothing(server: Served) -> None:
    before = server.rows()
    for what, body, content_type, status, code in RAW:
        response = server.client(server.key).post("/v1/orders", content=body, headers={"Content-Type": content_type})
        assert (response.status_code, response.json().get("code")) == (status, code), f"{what}: {response.text}"
        assert_problem(response, status, code)
    assert server.rows() == before


def test_a_body_without_a_length_is_bounded_too(server: Served) -> None:
    chunks = (b" " * 10_000 for _ in range(100))
    response = server.client(server.key).post("/v1/orders", content=chunks, headers={"Content-Type": "application/json"})
    assert_problem(response, 413, "body_too_large")


def test_the_problem_points_at_the_mistake(server: Served) -> None:
    for body, code, pointer in (
        ({"items": [ONE, {"sku": "TEA", "quantity": "2"}]}, "invalid_quantity", "/items/1/quantity"),
        ({"items": [ONE, {"sku": "TEA"}]}, "missing_member", "/items/1"),
        ({"items": [ONE], "metadata": {"a": 1}}, "wrong_type", "/metadata"),
        ({"items": [{**ONE, "fields": {"a/b": "1"}}]}, "invalid_body", "/items/0/fields"),
    ):
        problem = assert_problem(server.live.post("/v1/orders", json=body), 400, code)
        assert problem["pointer"] == pointer


def test_funds_short_is_402(server: Served) -> None:
    buyer = server.world.a_partner("INR", "94.99")
    before = server.rows()
    poor = server.client(server.a_key(partner_id=buyer.partner_id))
    rows = server.rows()
    assert_problem(poor.post("/v1/orders", json={"items": [ONE]}), 402, "insufficient_funds")
    assert server.rows() == rows != before


def test_a_key_reused_with_another_body_is_refused(server: Served) -> None:
    headers = {"Idempotency-Key": "once"}
    placed = server.live.post("/v1/orders", json={"items": [ONE], "reference": "ref"}, headers=headers).json()
    before = server.rows()
    other = server.live.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 2}]}, headers=headers)
    assert assert_problem(other, 422, "idempotency_conflict")["order_id"] == placed["id"]
    under_another = server.live.post(
        "/v1/orders", json={"items": [ONE], "reference": "ref"}, headers={"Idempotency-Key": "twice"}
    )
    assert assert_problem(under_another, 409, "reference_used")["order_id"] == placed["id"]
    assert server.rows() == before


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_idempotency_key_that_is_none_is_refused(still_server: Served, key: str) -> None:
    assert_problem(
        still_server.live.post("/v1/orders", json={"items": [ONE]}, headers={"Idempotency-Key": key}), 400, "invalid_header"
    )


def test_every_kind_of_bad_credential_is_refused_on_every_kind_of_route(server: Served) -> None:
    buyer = server.world.a_partner("INR", "100.00")
    revoked, narrow, away = (
        server.a_key(partner_id=buyer.partner_id),
        server.a_key("balances:read", partner_id=server.world.a_partner("INR").partner_id),
        server.a_key(partner_id=server.world.a_partner("INR").partner_id, networks=["192.0.2.0/24"]),
    )
    with server.cardrail.db.read() as tx:
        (key,) = list_keys(tx, buyer.partner_id)
    revoke_key(server.cardrail.db, server.cardrail.clock, server.cardrail.audit, key.id, actor="test")
    before = server.rows()
    for token, status, code in (
        (None, 401, "missing_credentials"),
        ("cr_live_nonsense", 401, "invalid_api_key"),
        ("a.b.c", 401, "invalid_access_token"),
        (revoked, 401, "api_key_revoked"),
        (away, 403, "address_not_allowed"),
        (narrow, 403, "scope_missing"),
    ):
        client = server.client(token)
        assert_problem(client.post("/v1/orders", json={"items": [ONE]}), status, code)
        refusal = client.get("/v1/products")
        assert_problem(refusal, status, code)
        assert ("www-authenticate" in refusal.headers) == (status == 401)
    assert server.rows() == before


def test_a_key_that_was_used_is_refused_from_the_moment_it_is_revoked(server: Served) -> None:
    buyer = server.world.a_partner("INR", "1000.00")
    client = server.client(server.a_key(partner_id=buyer.partner_id))
    assert client.post("/v1/orders", json={"items": [ONE]}).status_code == 201
    with server.cardrail.db.read() as tx:
        (key,) = list_keys(tx, buyer.partner_id)
    revoke_key(server.cardrail.db, server.cardrail.clock, server.cardrail.audit, key.id, actor="test")
    assert_problem(client.post("/v1/orders", json={"items": [ONE]}), 401, "api_key_revoked")


def test_many_failed_authentications_from_one_address_are_stopped(server: Served) -> None:
    client = server.client("cr_live_nonsense")
    codes = [client.get("/v1/me").json()["code"] for _ in range(40)]
    assert codes[0] == "invalid_api_key"
    refusal = client.get("/v1/me")
    assert_problem(refusal, 429, "too_many_failures")
    assert int(refusal.headers["retry-after"]) > 0
    assert server.live.get("/v1/me").status_code in (200, 429)


def test_failures_from_an_address_lock_out_no_token_that_we_signed(server: Served) -> None:
    token = server.live.post("/v1/tokens", json={"expires_in": 60}).json()["token"]
    for wrong in ("cr_live_nonsense", "a.b.c"):
        client = server.client(wrong)
        assert [client.get("/v1/me").status_code for _ in range(40)][-1] == 429
    signed = server.client(token)
    assert signed.get("/v1/me").status_code == 200
    server.a_key(mode=Mode.TEST)  # the access data moved: what was in memory is read again
    server.settle()
    assert signed.get("/v1/me").status_code == 200


def test_requests_beyond_the_partners_rate_are_refused_before_their_body_is_read(server: Served) -> None:
    buyer = server.world.a_partner("INR", "1000.00", limits=Limits(requests_per_minute=3))
    client = server.client(server.a_key(partner_id=buyer.partner_id))
    first = client.get("/v1/me")
    assert first.headers["ratelimit"].startswith('"requests";r=2;')
    client.get("/v1/me")
    client.get("/v1/me")
    refusal = client.post("/v1/orders", content=b"not json", headers={"Content-Type": "application/json"})
    assert_problem(refusal, 429, "too_many_requests")
    assert int(refusal.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders?limit=0",
        "/v1/orders?limit=101",
        "/v1/orders?limit=2.0",
        "/v1/orders?limit=ten",
        "/v1/orders?state=DONE",
        "/v1/orders?state=null",
        "/v1/orders?since=yesterday",
        "/v1/orders?since=2026-13-01T00:00:00Z",
        "/v1/orders?colour=red",
        "/v1/orders?limit=1&limit=2",
        "/v1/orders?reference=%FF",
        "/v1/orders?reference",
        "/v1/products?updated_since=2026",
        "/v1/products?country=india",
        "/v1/prices/TEA?quantity=0",
        "/v1/balances?at=now",
    ],
)
def test_a_query_that_is_not_of_its_form_is_refused(still_server: Served, path: str) -> None:
    assert_problem(still_server.live.get(path), 400, "invalid_query")


def test_what_is_not_there_is_a_problem_too(still_server: Served) -> None:
    assert_problem(still_server.live.get("/v1/nothing"), 404, "route_not_found")
    assert_problem(still_server.live.get("/v1/products/nothing"), 404, "product_not_found")
    assert_problem(still_server.live.get("/v1/stock/nothing"), 404, "unknown_sku")
    refusal = still_server.live.delete("/v1/products")
    assert_problem(refusal, 405, "method_not_allowed")
    assert "GET" in refusal.headers["allow"]


def test_what_is_not_there_is_not_unchanged_either(server: Served) -> None:
    for headers in ({"If-None-Match": "*"}, {"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"}):
        assert_problem(server.live.get("/v1/products/nope", headers=headers), 404, "product_not_found")
        assert_problem(server.live.get("/v1/products?cursor=nope", headers=headers), 400, "invalid_cursor")
    assert server.live.get("/v1/products", headers={"If-None-Match": "*"}).status_code == 304


def test_orders_are_posted_with_a_slash_at_the_end_too_and_options_say_so(server: Served) -> None:
    assert server.live.post("/v1/orders/", json={"items": [ONE]}).status_code == 201
    assert server.live.options("/v1/orders").headers["allow"] == "GET, OPTIONS, POST"
    assert "POST" in server.live.delete("/v1/orders").headers["allow"]


def test_an_optional_body_may_be_empty_whatever_its_content_type(server: Served) -> None:
    for content in (b"", iter([b""])):
        headers = {"Content-Type": "application/json"}
        assert server.live.post("/v1/tokens", content=content, headers=headers).status_code in (200, 201)


def test_a_sane_request_id_is_kept_and_any_other_replaced(server: Served) -> None:
    assert server.live.get("/v1/nothing", headers={"X-Request-Id": "mine-1"}).json()["request_id"] == "mine-1"
    assert server.live.get("/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert server.live.get("/v1/nothing", headers={"X-Request-Id": "<script>"}).json()["request_id"].startswith("req_")


def test_an_expired_key_and_a_suspended_partner_are_refused(server: Served) -> None:
    parts, partner_id = server.cardrail, server.world.a_partner("INR").partner_id
    short = server.a_key(partner_id=partner_id, expires_at=parts.clock.now() + timedelta(seconds=1))
    lasting = server.client(server.a_key(partner_id=partner_id, mode=Mode.TEST))
    assert lasting.get("/v1/me").status_code == 200
    suspend_partner(parts.db, parts.clock, parts.audit, partner_id, actor="test")
    time.sleep(1)
    assert_problem(server.client(short).get("/v1/me"), 401, "api_key_expired")
    assert_problem(lasting.get("/v1/me"), 403, "partner_suspended")
