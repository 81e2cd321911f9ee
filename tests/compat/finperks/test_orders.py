"""POST /orders and GET /orders/{id} (specs/finperks.md, sections 1.5, 2.1, 2.2, 5, 7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from cardrail.access import Limits, PartnerChanges, change_partner
from cardrail.catalog import restore, retire
from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import (
    CODE,
    ORDER,
    WITHOUT_CODE,
    Open,
    covers,
    key,
    order_body,
    placed,
    refused,
)
from tests.compat.finperks.client import FinperksClient
from tests.compat.shapes import Only, fits


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


# --- orders (2.1, 2.2) ------------------------------------------------------------------------------------------------


@covers("POST /orders")
def test_a_sync_order_is_created_and_processed(shop: CompatShop, live: FinperksClient) -> None:
    before = shop.balance()
    body = order_body(shop)
    answer = live.send("POST", "/orders", body, key=key())
    assert answer.status_code == 201
    order = answer.json()
    fits(order, ORDER)
    assert {name: order[name] for name in body} == body
    assert order["urls"] == []
    assert order["code"]["value"].startswith("TEA-")
    assert order["price"] == {"currency": "INR", "amount": "95.0"}
    assert before - shop.balance() == 95_00


@covers("GET /orders/{id}")
def test_an_order_is_read_as_it_was_answered(shop: CompatShop, live: FinperksClient) -> None:
    order = placed(live, order_body(shop))
    assert live.order(order["id"]) == order


def test_an_async_order_is_acknowledged_as_processing_and_polled(shop: CompatShop, live: FinperksClient) -> None:
    answer = live.send("POST", "/orders", order_body(shop, processing_mode="async"), key=key())
    assert answer.status_code == 202
    fits(answer.json(), WITHOUT_CODE | {"state": Only("processing")})
    order = live.wait_for(answer.json()["id"])
    fits(order, ORDER)
    assert order["processing_mode"] == "async"


def test_a_range_is_ordered_by_its_face_value(shop: CompatShop, live: FinperksClient) -> None:
    order = placed(live, order_body(shop, "SHOES", "250.00"))
    assert order["face_value"] == {"currency": "INR", "amount": "250.0"}
    assert order["price"]["amount"] == "241.25"
    assert order["code"]["value"].startswith("SHOES-")


def test_more_digits_than_needed_are_taken(shop: CompatShop, live: FinperksClient) -> None:
    assert placed(live, order_body(shop, amount="100"))["face_value"]["amount"] == "100.0"
    assert placed(live, order_body(shop, amount="0100.000"))["face_value"]["amount"] == "100.0"


def test_members_that_nobody_knows_are_passed_over(shop: CompatShop, live: FinperksClient) -> None:
    body = order_body(shop, loyalty={"points": 3}, delivery_method={"type": "code", "colour": "red"})
    assert "colour" not in placed(live, body)["delivery_method"]


@pytest.mark.parametrize("used", ["a", "word-and-word-000017", "x" * 255, "~ !"])
def test_a_key_is_any_printable_text(shop: CompatShop, sandbox: FinperksClient, used: str) -> None:
    assert sandbox.send("POST", "/orders", order_body(shop, "TEST_OK", "10.0"), key=used).status_code == 201


@pytest.mark.parametrize("used", [None, "x" * 256, "tab\there"])
def test_a_key_that_is_missing_or_malformed_is_refused(shop: CompatShop, live: FinperksClient, used: str | None) -> None:
    before = shop.rows()
    for body in (order_body(shop), {}):
        answer = live.send("POST", "/orders", body, key=used)
        refused(answer, 400, "idempotency", "invalid_idempotency_key_header")
    assert shop.rows() == before


def test_the_same_key_and_request_give_the_first_order_again(shop: CompatShop, live: FinperksClient) -> None:
    used, body = key(), order_body(shop)
    first = live.send("POST", "/orders", body, key=used)
    before = shop.balance()
    again = live.send("POST", "/orders", body, key=used)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert shop.balance() == before


def test_the_same_key_while_the_first_is_still_running_gives_one_order(shop: CompatShop, live: FinperksClient) -> None:
    used, body, before = key(), order_body(shop), shop.balance()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: live.send("POST", "/orders", body, key=used), range(8)))
    assert {one.status_code for one in answers} == {201}
    assert len({one.json()["id"] for one in answers}) == 1
    assert before - shop.balance() == 95_00


@pytest.mark.parametrize(
    "change",
    [
        {"customer": {"id": "other"}},
        {"processing_mode": "async"},
        {"face_value": {"currency": "INR", "amount": "1000.0"}},
    ],
)
def test_a_key_that_was_used_for_another_request_is_refused(shop: CompatShop, live: FinperksClient, change: Any) -> None:
    used, body = key(), order_body(shop, "SHOES", "250.0")
    assert live.send("POST", "/orders", body, key=used).status_code == 201
    before = shop.balance()
    refused(live.send("POST", "/orders", body | change, key=used), 400, "idempotency", "reused_idempotency_key")
    assert shop.balance() == before


def test_a_mistake_does_not_use_up_the_key(shop: CompatShop, live: FinperksClient) -> None:
    used = key()
    refused(
        live.send("POST", "/orders", order_body(shop, country="DE"), key=used), 400, "invalid_request", "invalid_body_parameters"
    )
    assert live.send("POST", "/orders", order_body(shop), key=used).status_code == 201


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b'"x"', b"null", b"\xff\xfe", b"{}{}", b'{"a":}', b"[" * 5_000])
def test_a_body_that_is_no_object_is_refused(live: FinperksClient, raw: bytes) -> None:
    refused(live.send("POST", "/orders", raw=raw, key=key()), 400, "invalid_format", "invalid_request_body")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"product_code": None}, "product_code"),
        ({"product_code": 7}, "product_code"),
        ({"product_code": ""}, "product_code"),
        ({"product_code": "7f0d2c1e-3a5b-4c6d-8e9f-0a1b2c3d4e5f"}, "product_code"),
        ({"product_code": "TEST_OK"}, "product_code"),
        ({"customer": "shopper"}, "customer"),
        ({"customer": {}}, "customer.id"),
        ({"customer": {"id": 9}}, "customer.id"),
        ({"customer": {"id": "a\u0000"}}, "customer.id"),
        ({"country": "in"}, "country"),
        ({"country": "IND"}, "country"),
        ({"country": "DE"}, "country"),
        ({"face_value": {"currency": "INR"}}, "face_value.amount"),
        ({"face_value": {"currency": "INR", "amount": 100}}, "face_value.amount"),
        ({"face_value": {"currency": "INR", "amount": "-100.0"}}, "face_value.amount"),
        ({"face_value": {"currency": "INR", "amount": "1e2"}}, "face_value.amount"),
        ({"face_value": {"currency": "INR", "amount": "1,000.0"}}, "face_value.amount"),
        ({"face_value": {"currency": "INR", "amount": "100.001"}}, "face_value.amount"),
        ({"face_value": {"currency": "INR", "amount": "99.0"}}, "face_value.amount"),
        ({"face_value": {"currency": "EUR", "amount": "100.0"}}, "face_value.currency"),
        ({"face_value": {"currency": "inr", "amount": "100.0"}}, "face_value.currency"),
        ({"processing_mode": "later"}, "processing_mode"),
        ({"delivery_method": {}}, "delivery_method.type"),
        ({"delivery_method": {"type": "post"}}, "delivery_method.type"),
        ({"delivery_method": {"type": "url"}}, "delivery_method.type"),
        ({"delivery_method": {"type": "email", "email": "a@b.example"}}, "delivery_method.type"),
        ({"delivery_method": {"type": "code", "email": "nobody"}}, "delivery_method.email"),
        ({"client_partner": {"id": "clp_unknown"}}, "client_partner"),
        ({"client_partner": "clp_unknown"}, "client_partner"),
        ({"client_partner": {"id": 1}}, "client_partner.id"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(shop: CompatShop, live: FinperksClient, change: Any, field: str) -> None:
    before = shop.rows()
    answer = live.send("POST", "/orders", order_body(shop) | change, key=key())
    refused(answer, 400, "invalid_request", "invalid_body_parameters", field)
    assert shop.rows() == before


@pytest.mark.parametrize("name", ["product_code", "customer", "country", "face_value", "processing_mode", "delivery_method"])
def test_each_member_that_the_sheet_requires_is_required(shop: CompatShop, live: FinperksClient, name: str) -> None:
    body = order_body(shop)
    del body[name]
    refused(live.send("POST", "/orders", body, key=key()), 400, "invalid_request", "invalid_body_parameters", name)


def test_a_range_refuses_what_lies_outside_or_between_its_steps(shop: CompatShop, live: FinperksClient) -> None:
    for amount in ("99.0", "1001.0", "100.5"):
        answer = live.send("POST", "/orders", order_body(shop, "SHOES", amount), key=key())
        refused(answer, 400, "invalid_request", "invalid_body_parameters", "face_value.amount")


def test_too_little_money_is_403_and_charges_nothing(shop: CompatShop, open_client: Open) -> None:
    partner = shop.a_partner("94.99")
    client = open_client(partner_id=partner)
    refused(client.send("POST", "/orders", order_body(shop), key=key()), 403, "forbidden", "insufficient_available_balance")
    assert shop.balance(partner) == 94_99


def test_a_product_that_is_sold_out_is_not_available(shop: CompatShop, live: FinperksClient) -> None:
    before = shop.balance()
    answer = live.send("POST", "/orders", order_body(shop, "SOLDOUT", "200.0"), key=key())
    refused(answer, 400, "invalid_state", "product_not_available")
    assert shop.balance() == before


def limited(shop: CompatShop, open_client: Open, **limits: Any) -> FinperksClient:
    partner, part = shop.a_partner(), shop.cardrail
    change_partner(part.db, part.clock, part.audit, partner, PartnerChanges(limits=Limits(**limits)), actor="test")
    part.keys.refresh()
    return open_client(partner_id=partner)


def test_a_customers_limit_is_told_from_the_clients(shop: CompatShop, open_client: Open) -> None:
    client = limited(shop, open_client, quantity_per_customer_per_day_max=1)
    placed(client, order_body(shop))
    answer = client.send("POST", "/orders", order_body(shop), key=key())
    refused(answer, 403, "forbidden", "customer_amount_limit_exceeded")
    placed(client, order_body(shop, customer={"id": "another"}))
    client = limited(shop, open_client, orders_per_day_max=0)
    refused(client.send("POST", "/orders", order_body(shop), key=key()), 403, "forbidden", "request_blocked")


def test_an_order_of_another_client_or_mode_is_unknown(
    shop: CompatShop, live: FinperksClient, sandbox: FinperksClient, open_client: Open
) -> None:
    order = placed(live, order_body(shop))
    stranger = open_client(partner_id=shop.a_partner())
    for client in (stranger, sandbox):
        refused(client.send("GET", f"/orders/{order['id']}"), 404, "not_found", "entity_not_found")
        answer = client.send("POST", f"/orders/{order['id']}/actions/invalidate")
        refused(answer, 404, "not_found", "entity_not_found")


@pytest.mark.parametrize("order_id", ["x", "ord_x", "1", "%00", "ord_01M7YJ2YQCEART7SP9V40YT78H", "x" * 1_000])
def test_an_order_that_is_not_there_is_not_found(live: FinperksClient, order_id: str) -> None:
    refused(live.send("GET", f"/orders/{order_id}"), 404, "not_found", "entity_not_found")


def test_a_credential_that_may_not_see_codes_sees_none(shop: CompatShop, open_client: Open) -> None:
    client = open_client(Mode.LIVE, "orders:read", "orders:write", partner_id=shop.a_partner())
    order = placed(client, order_body(shop))
    fits(order, WITHOUT_CODE)
    assert client.order(order["id"]) == order


def test_an_order_that_came_another_way_is_shown_with_all_its_codes(shop: CompatShop, live: FinperksClient) -> None:
    answer = httpx2.post(
        shop.url + "/v1/orders",
        json={"items": [{"sku": "BOOKS", "quantity": 7}]},
        headers={"Authorization": f"Bearer {shop.native_key()}"},
    ).json()
    order = live.order(answer["id"])
    fits(order, ORDER | {"codes": [CODE, 7], "country": None, "customer": None})
    assert order["quantity"] == 7
    assert order["price"]["amount"] == answer["charged"]["amount"] == "225.12"
    assert order["product_code"] in [one["code"] for one in live.products()]
    assert live.send("POST", "/orders", order_body(shop, "BOOKS", "33.33"), key=key()).json()["price"]["amount"] == "32.16"


# --- the sandbox (5), sync orders that last (7.12, 7.13) --------------------------------------------------------------


def test_a_sync_order_that_fails_is_201_without_a_code(shop: CompatShop, sandbox: FinperksClient) -> None:
    before = shop.balance(mode=Mode.TEST)
    answer = sandbox.send("POST", "/orders", order_body(shop, "TEST_REFUND", "10.0"), key=key())
    assert answer.status_code == 201
    fits(answer.json(), WITHOUT_CODE | {"state": Only("failed")})
    assert answer.json()["price"]["amount"] == "0.0"
    assert shop.balance(mode=Mode.TEST) == before


def test_a_sync_order_that_lasts_is_500_and_answers_to_its_key(shop: CompatShop, sandbox: FinperksClient) -> None:
    used, body = key(), order_body(shop, "TEST_PENDING", "10.0")
    before = shop.balance(mode=Mode.TEST)
    for _ in range(2):
        answer = sandbox.send("POST", "/orders", body, key=used)
        refused(answer, 500, "internal", "internal_server_error")
        assert int(answer.headers["retry-after"]) > 0
    assert before - shop.balance(mode=Mode.TEST) == 10_00


def test_the_sandbox_orders_the_live_catalogue_with_codes_that_are_made(shop: CompatShop, sandbox: FinperksClient) -> None:
    order = placed(sandbox, order_body(shop, "SOLDOUT", "200.0"))
    fits(order, ORDER)


@pytest.mark.parametrize(
    ("sku", "code"), [("TEST_OUT_OF_STOCK", "product_not_available"), ("TEST_PRICE_CHANGED", "product_not_available")]
)
def test_the_sandbox_refuses_on_purpose(shop: CompatShop, sandbox: FinperksClient, sku: str, code: str) -> None:
    refused(sandbox.send("POST", "/orders", order_body(shop, sku, "10.0"), key=key()), 400, "invalid_state", code)


def test_a_retired_product_is_not_sold_and_what_was_sold_is_still_answered(shop: CompatShop, live: FinperksClient) -> None:
    part, used, body = shop.cardrail, key(), order_body(shop, "WALLETCARD", "100.0")
    first = live.send("POST", "/orders", body, key=used).json()
    retire(part.db, part.clock, part.audit, ["WALLETCARD"], actor="test")
    try:
        part.catalog.refresh()
        answer = live.send("POST", "/orders", body, key=key())
        refused(answer, 400, "invalid_state", "order_not_allowed_for_product")
        assert live.send("POST", "/orders", body, key=used).json() == first
        assert live.order(first["id"]) == first
        assert "Wallet card" not in [one["name"] for one in live.products()]
    finally:
        restore(part.db, part.clock, part.audit, ["WALLETCARD"], actor="test")
        part.catalog.refresh()
