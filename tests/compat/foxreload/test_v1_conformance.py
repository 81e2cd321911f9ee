"""Surface V1 against its sheet (specs/foxreload.md, sections 1.2, 1.4, 2.2, 2.5 and 3.2): shapes, statuses, codes, bounds, locks."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from cardrail.api.dialects.foxreload.states import V1, V1_FILTER
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.catalog import set_rate
from cardrail.kernel import Mode, OrderId, new_id
from cardrail.orders import OrderState, refund_order
from tests.build import NODE
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller, give_dollars, stranger
from tests.compat.shapes import Either, Only, fits, parse, shape_of

DECIMAL = re.compile(r"[0-9]+\.[0-9]{2}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SKU = {
    "sku_id": str,
    "name": str,
    "category": Only("game-code", "gift-card", "esim", "recharge"),
    "region": str,
    "face_value": DECIMAL,
    "face_currency": re.compile("[A-Z]{3}"),
    "wholesale_cost_usd": DECIMAL,
    "in_stock": bool,
    "stock": int,
}
CODE = {"type": Only("redeem_code"), "code": str, "pin": Either(str, None)}
ORDER = {
    "order_id": re.compile("ord_[0-9A-Za-z]+"),
    "sku_id": str,
    "quantity": int,
    "status": Only("pending", "reserved", "processing", "failed"),
    "unit_price_usd": DECIMAL,
    "wholesale_cost_usd": DECIMAL,
    "fx_locked_until": MOMENT,
    "reference": Either(str, None),
    "created_at": MOMENT,
    "delivered_at": None,
    "delivery_data": None,
    "codes": [CODE, 0],
}
DELIVERED = ORDER | {
    "status": Only("delivered"),
    "delivered_at": MOMENT,
    "delivery_data": {"code": str, "type": Only("redeem_code")},
    "codes": [CODE],
}


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """These are about the wire."""
    return "sqlite"


@pytest.fixture(scope="module", autouse=True)
def dollars(shop: CompatShop) -> None:
    give_dollars(shop, "1000.00")


@pytest.fixture(scope="module")
def live(shop: CompatShop) -> Caller:
    return caller(shop, "/v1")


@pytest.fixture(scope="module")
def test(shop: CompatShop) -> Caller:
    return caller(shop, "/v1", Mode.TEST)


def spendable(shop: CompatShop, mode: Mode = Mode.LIVE) -> int:
    return shop.balance(mode=mode, currency="USD")


# --- the examples of the sheet ------------------------------------------------------------------------------------------


def test_the_catalog_has_the_example_s_shape(live: Caller) -> None:
    example = {
        "data": [
            {
                "sku_id": "nintendo-pl-70",
                "name": "Nintendo eShop 70 PLN",
                "category": "gift-card",
                "region": "PL",
                "face_value": "70.00",
                "face_currency": "PLN",
                "wholesale_cost_usd": "15.90",
                "in_stock": True,
                "stock": 320,
            }
        ],
        "next_cursor": None,
    }
    fits(live.get("/catalog"), shape_of(example))


def test_the_inventory_has_the_example_s_shape(live: Caller) -> None:
    example = {"snapshot_at": "2026-09-21T14:13:00Z", "items": [{"sku_id": "nintendo-pl-70", "stock": 320}]}
    fits(live.get("/catalog/inventory"), shape_of(example))


def test_an_order_has_the_example_s_shape(live: Caller) -> None:
    wanted = {"sku": "TEA", "quantity": 1, "currency": "USD", "reference": "SHOP-550012"}
    example = {
        "order_id": "ord_q7w2e9",
        "sku_id": "nintendo-pl-70",
        "quantity": 1,
        "status": "reserved",
        "unit_price_usd": "15.90",
        "wholesale_cost_usd": "15.90",
        "fx_locked_until": "2026-09-21T14:28:20Z",
        "reference": "SHOP-550012",
        "created_at": "2026-09-21T14:13:20Z",
        "delivered_at": None,
        "delivery_data": None,
        "codes": [],
    }
    order = live.post("/orders", wanted, headers={"Idempotency-Key": str(uuid4())})
    fits(order, shape_of(example))
    assert (order["status"], order["reference"], order["sku_id"]) == ("reserved", "SHOP-550012", "TEA")


def test_the_balance_has_the_example_s_shape(shop: CompatShop, live: Caller) -> None:
    found = live.get("/balance")
    fits(found, shape_of({"balances": [{"currency": "USD", "available": "842.15", "reserved": "15.90"}]}))
    available = {one["currency"]: one["available"].replace(".", "") for one in found["balances"]}
    assert available == {"INR": str(shop.balance()), "USD": str(spendable(shop))}


# --- catalog ------------------------------------------------------------------------------------------------------------


def test_each_sku_of_the_catalog_can_be_seen_alone(live: Caller) -> None:
    rows = live.get("/catalog")["data"]
    fits(rows, [SKU])
    assert [live.get(f"/catalog/{one['sku_id']}") for one in rows] == rows
    assert {one["sku_id"]: one["stock"] for one in rows if one["stock"]}.keys() <= {"TEA", "BOOKS", "SHOES:250", "WALLETCARD:100"}
    for sku in ("NOPE", "SHOES", "SHOES:99", "TEST_OK"):
        live.refused("GET", f"/catalog/{sku}", 404, "not_found")


def test_a_price_is_in_dollars_at_the_rate_of_the_day(live: Caller) -> None:
    assert live.get("/catalog/TEA")["wholesale_cost_usd"] == "1.19"  # 95.00 INR / 80, half up
    assert live.get("/catalog/SHOES:250")["wholesale_cost_usd"] == "3.02"


def test_the_catalog_pages_and_narrows(live: Caller) -> None:
    whole = [one["sku_id"] for one in live.get("/catalog", limit=200)["data"]]
    cursor, paged = None, []
    while True:
        page = live.get("/catalog", limit=4, **({"cursor": cursor} if cursor else {}))
        paged += [one["sku_id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole
    assert live.get("/catalog", category="esim")["data"] == []
    assert live.get("/catalog", region="IN", category="gift-card")["data"] != []
    live.refused("GET", "/catalog", 400, "invalid_request", params={"cursor": "made-up"})


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.0"])
def test_a_limit_is_from_1_to_200(live: Caller, limit: str) -> None:
    live.refused("GET", "/catalog", 400, "invalid_request", params={"limit": limit})
    live.refused("GET", "/orders", 400, "invalid_request", params={"limit": limit})
    live.get("/orders", limit=200)


def test_the_inventory_is_a_snapshot_that_stands_for_a_minute(live: Caller) -> None:
    first = live.get("/catalog/inventory")
    live.post("/orders", {"sku": "TEA", "quantity": 1})
    assert live.get("/catalog/inventory") == first
    assert V1Profile().inventory_seconds == 60
    assert {one["sku_id"] for one in first["items"]} == {one["sku_id"] for one in live.get("/catalog")["data"]}


def test_what_cannot_be_paid_in_dollars_is_not_in_the_catalog(shop: CompatShop) -> None:
    give_dollars(shop)
    poor = caller(shop, "/v1", partner_id=shop.a_partner("10.00", "USD"))
    poor.refused("POST", "/orders", 402, "insufficient_funds", json={"sku": "TEA", "quantity": 100})


# --- buying -------------------------------------------------------------------------------------------------------------


def test_an_order_is_reserved_and_then_delivered(shop: CompatShop, live: Caller) -> None:
    before = spendable(shop)
    order = live.post("/orders", {"sku": "TEA", "quantity": 2})
    fits(order, ORDER)
    seen = live.get(f"/orders/{order['order_id']}")
    fits(seen, DELIVERED)
    assert (seen["unit_price_usd"], seen["wholesale_cost_usd"]) == ("1.19", "2.38")
    assert before - spendable(shop) == 238
    assert len({one["code"] for one in seen["codes"]}) == 2
    assert seen["delivery_data"]["code"] == seen["codes"][0]["code"]


def test_the_rate_is_locked_for_15_minutes(live: Caller) -> None:
    order = live.post("/orders", {"sku": "TEA", "quantity": 1})
    span = datetime.fromisoformat(order["fx_locked_until"]) - datetime.fromisoformat(order["created_at"])
    assert span == timedelta(minutes=15)


def test_a_repeat_within_the_lock_keeps_the_price_though_the_rate_has_moved(shop: CompatShop) -> None:
    mine = caller(shop, "/v1", partner_id=shop.a_partner("10.00", "USD"))
    part = shop.cardrail
    wanted, key = {"sku": "TEA", "quantity": 1}, {"Idempotency-Key": str(uuid4())}
    first = mine.post("/orders", wanted, headers=key)

    def rate(rupees: int) -> None:
        rate_e10 = rupees * 10**10
        set_rate(part.db, part.clock, part.audit, base="USD", quote="INR", rate_e10=rate_e10, source="test", actor="test")
        part.catalog.refresh()

    rate(50)
    try:
        assert mine.get("/catalog/TEA")["wholesale_cost_usd"] == "1.90"
        assert mine.post("/orders", wanted, headers=key) == first
        assert mine.get(f"/orders/{first['order_id']}")["unit_price_usd"] == "1.19"
    finally:
        rate(80)


@pytest.mark.parametrize(
    "body",
    [
        {"sku": "TEA", "quantity": 1},
        {"sku_id": "TEA", "qty": 1},
        {"sku": "TEA", "qty": 1, "currency": "USD"},
        {"sku": "TEA", "sku_id": "TEA", "quantity": 1, "qty": 1},
        {"sku": "TEA", "quantity": 1, "colour": "red", "note": None, "player": None},
    ],
)
def test_both_spellings_are_taken(live: Caller, body: dict[str, Any]) -> None:
    assert live.post("/orders", body)["sku_id"] == "TEA"


def test_the_key_may_be_in_the_header_or_the_body(shop: CompatShop, live: Caller) -> None:
    wanted, key = {"sku": "TEA", "quantity": 1}, str(uuid4())
    first = live.post("/orders", wanted, headers={"Idempotency-Key": key})
    before = spendable(shop)
    assert live.post("/orders", wanted | {"idempotency_key": key}) == first
    assert live.post("/orders", wanted | {"idempotency_key": key}, headers={"Idempotency-Key": key}) == first
    differing = {"json": wanted | {"idempotency_key": str(uuid4())}, "headers": {"Idempotency-Key": key}}
    live.refused("POST", "/orders", 400, "invalid_request", **differing)
    assert spendable(shop) == before


def test_a_repeat_gets_the_first_answer_even_after_the_delivery(live: Caller) -> None:
    wanted, key = {"sku": "TEA", "quantity": 1, "reference": "cart-7"}, {"Idempotency-Key": str(uuid4())}
    first = live.post("/orders", wanted, headers=key)
    fits(live.get(f"/orders/{first['order_id']}"), DELIVERED)
    assert live.post("/orders", wanted, headers=key) == first


@pytest.mark.parametrize("change", [{"quantity": 2}, {"sku": "BOOKS"}, {"reference": "other"}, {"note": {"player_id": "1"}}])
def test_another_payload_under_the_key_is_a_conflict(shop: CompatShop, live: Caller, change: dict[str, Any]) -> None:
    wanted, key = {"sku": "TEA", "quantity": 1}, {"Idempotency-Key": str(uuid4())}
    live.post("/orders", wanted, headers=key)
    before = (shop.rows(), spendable(shop))
    live.refused("POST", "/orders", 422, "idempotency_conflict", json=wanted | change, headers=key)
    assert (shop.rows(), spendable(shop)) == before


def test_a_key_is_scoped_to_its_account(shop: CompatShop, live: Caller) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    other = caller(shop, "/v1", partner_id=shop.a_partner("10.00", "USD"))
    first = live.post("/orders", {"sku": "TEA", "quantity": 1}, headers=key)
    assert other.post("/orders", {"sku": "TEA", "quantity": 2}, headers=key)["order_id"] != first["order_id"]


def test_two_requests_at_once_under_one_key_are_one_order(shop: CompatShop, live: Caller) -> None:
    before, key = spendable(shop), {"Idempotency-Key": str(uuid4())}
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        answers.append(live.post("/orders", {"sku": "TEA", "quantity": 1}, headers=key))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(answers) == 8
    assert all(one == answers[0] for one in answers)
    assert before - spendable(shop) == 119


def test_without_a_key_each_order_is_a_new_one_whatever_its_reference(live: Caller) -> None:
    wanted = {"sku": "TEA", "quantity": 1, "reference": "cart-8"}
    first, second = live.post("/orders", wanted), live.post("/orders", wanted)
    assert first["order_id"] != second["order_id"]
    assert {first["reference"], second["reference"]} == {"cart-8"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        (b"7", 400, "invalid_request"),
        (b'{"quantity":1}', 400, "invalid_request"),
        (b'{"sku":"TEA"}', 400, "invalid_request"),
        (b'{"sku":"TEA","sku_id":"BOOKS","quantity":1}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1,"qty":2}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":"1"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":0}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1001}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1,"currency":"INR"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1,"idempotency_key":""}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1,"note":{"player_id":"1"}}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1,"note":{"a":1.5}}', 400, "invalid_request"),
        (b'{"sku":"NOPE","quantity":1}', 404, "not_found"),
        (b'{"sku":"SHOES","quantity":1}', 404, "not_found"),
        (b'{"sku":"SOLDOUT","quantity":1}', 409, "out_of_stock"),
        (b'{"sku":"SHOES:250","quantity":500}', 409, "out_of_stock"),
        (b'{"sku":"BOOKS","quantity":1000}', 409, "out_of_stock"),
    ],
)
def test_a_refused_order_changes_nothing(shop: CompatShop, live: Caller, body: bytes, status: int, code: str) -> None:
    before = (shop.rows(), spendable(shop))
    live.refused("POST", "/orders", status, code, content=body)
    assert (shop.rows(), spendable(shop)) == before


def test_too_little_money_is_a_402(shop: CompatShop) -> None:
    poor = caller(shop, "/v1", partner_id=shop.a_partner("1.18", "USD"))
    poor.refused("POST", "/orders", 402, "insufficient_funds", json={"sku": "TEA", "quantity": 1})


def test_rupees_do_not_pay_what_is_priced_in_dollars(shop: CompatShop) -> None:
    rich = caller(shop, "/v1", partner_id=shop.a_partner("100000.00", "INR"))
    rich.refused("POST", "/orders", 402, "insufficient_funds", json={"sku": "TEA", "quantity": 1})


def test_a_failed_and_a_waiting_order(shop: CompatShop, test: Caller) -> None:
    before = spendable(shop, Mode.TEST)
    failed = test.post("/orders", {"sku": "TEST_REFUND", "quantity": 1})
    waiting = test.post("/orders", {"sku": "TEST_PENDING", "quantity": 1})
    assert (failed["status"], waiting["status"]) == ("reserved", "reserved")
    seen = test.get(f"/orders/{failed['order_id']}")
    fits(seen, ORDER)
    assert (seen["status"], seen["wholesale_cost_usd"]) == ("failed", "0.00")
    assert test.get(f"/orders/{waiting['order_id']}") == waiting
    (wallet,) = [one for one in test.get("/balance")["balances"] if one["currency"] == "USD"]
    assert wallet["reserved"] == "10.00"
    assert before - spendable(shop, Mode.TEST) == 1000


# --- refunds ------------------------------------------------------------------------------------------------------------


def test_what_nobody_has_seen_can_be_had_back(shop: CompatShop, live: Caller) -> None:
    before = spendable(shop)
    order = live.post("/orders", {"sku": "TEA", "quantity": 2})
    wanted = {"order_id": order["order_id"], "amount_usd": "2.38", "reason": "not_delivered"}
    refund = live.post("/refunds", wanted)
    example = {"refund_id": "rfd_8m2", "order_id": "ord_q7w2e9", "amount_usd": "15.90", "status": "pending"}
    fits(refund, shape_of(example))
    assert (refund["status"], refund["amount_usd"], refund["order_id"]) == ("completed", "2.38", order["order_id"])
    assert spendable(shop) == before
    assert live.post("/refunds", wanted) == refund
    assert spendable(shop) == before
    seen = live.get(f"/orders/{order['order_id']}")
    assert (seen["status"], seen["codes"], seen["delivery_data"]) == ("delivered", [], None)


def test_a_refund_may_name_its_amount_as_a_number(live: Caller) -> None:
    order = live.post("/orders", {"sku": "TEA", "quantity": 1})
    answer = live.http.post("/refunds", content=f'{{"order_id":"{order["order_id"]}","amount_usd":1.19,"reason":"x"}}')
    assert (answer.status_code, answer.json()["amount_usd"]) == (201, "1.19")


def test_what_was_seen_is_not_refunded_for_the_asking(shop: CompatShop, live: Caller) -> None:
    order = live.post("/orders", {"sku": "TEA", "quantity": 1})
    live.get(f"/orders/{order['order_id']}")
    before = (shop.rows(), spendable(shop))
    wanted = {"order_id": order["order_id"], "amount_usd": "1.19", "reason": "changed my mind"}
    live.refused("POST", "/refunds", 409, "refund_not_allowed", json=wanted)
    assert (shop.rows(), spendable(shop)) == before


def test_a_refund_that_cannot_be_changes_nothing(shop: CompatShop, live: Caller, test: Caller) -> None:
    order = live.post("/orders", {"sku": "TEA", "quantity": 1})["order_id"]
    failed = test.post("/orders", {"sku": "TEST_REFUND", "quantity": 1})["order_id"]
    before = (shop.rows(), spendable(shop))
    for amount, status, code in (
        ("1.18", 409, "refund_not_allowed"),
        ("1.20", 409, "refund_not_allowed"),
        ("0", 400, "invalid_request"),
        ("-1.19", 400, "invalid_request"),
        ("1.195", 400, "invalid_request"),
        ("much", 400, "invalid_request"),
        (None, 400, "invalid_request"),
    ):
        live.refused("POST", "/refunds", status, code, json={"order_id": order, "amount_usd": amount, "reason": "x"})
    wanted = {"order_id": failed, "amount_usd": "10.00", "reason": "x"}
    test.refused("POST", "/refunds", 409, "refund_not_allowed", json=wanted)
    live.refused("POST", "/refunds", 404, "not_found", json=wanted)
    live.refused("POST", "/refunds", 400, "invalid_request", json={"order_id": order})
    assert (shop.rows(), spendable(shop)) == before


@pytest.mark.parametrize("amount", ["99999.99", "0.01", "1.19", "2.37"])
def test_an_order_that_was_given_back_gives_nothing_more(shop: CompatShop, live: Caller, amount: str) -> None:
    asked, by_operator = (live.post("/orders", {"sku": "TEA", "quantity": 2})["order_id"] for _ in range(2))
    live.post("/refunds", {"order_id": asked, "amount_usd": "2.38", "reason": "x"})
    by_the_operator(shop, by_operator, None)
    before = (shop.rows(), spendable(shop))
    for order in (asked, by_operator):
        live.refused("POST", "/refunds", 409, "refund_not_allowed", json={"order_id": order, "amount_usd": amount, "reason": "x"})
    assert (shop.rows(), spendable(shop)) == before


def test_what_is_left_after_the_operators_refund_is_given_back_once(shop: CompatShop, live: Caller) -> None:
    before = spendable(shop)
    order = live.post("/orders", {"sku": "TEA", "quantity": 2})["order_id"]
    by_the_operator(shop, order, 100)
    wanted = {"order_id": order, "reason": "x"}
    live.refused("POST", "/refunds", 409, "refund_not_allowed", json=wanted | {"amount_usd": "2.38"})
    refund = live.post("/refunds", wanted | {"amount_usd": "1.38"})
    assert (refund["amount_usd"], spendable(shop)) == ("1.38", before)
    assert live.post("/refunds", wanted | {"amount_usd": "1.38"}) == refund
    live.refused("POST", "/refunds", 409, "refund_not_allowed", json=wanted | {"amount_usd": "2.38"})
    assert spendable(shop) == before


def by_the_operator(shop: CompatShop, order: str, amount_minor: int | None) -> None:
    part = shop.cardrail
    refund_order(part.db, part.clock, part.audit, OrderId(order), amount_minor, node=NODE, because="x", actor="test")


# --- replacements and webhooks ------------------------------------------------------------------------------------------


def test_a_replacement_has_its_own_refusals(shop: CompatShop, live: Caller, test: Caller) -> None:
    order = live.post("/orders", {"sku": "TEA", "quantity": 1})["order_id"]
    failed = test.post("/orders", {"sku": "TEST_REFUND", "quantity": 1})["order_id"]
    claim = {"reason": "already_redeemed", "code_index": 0, "evidence": "a screenshot"}
    before = (shop.rows(), spendable(shop))
    live.refused("POST", f"/orders/{order}/replacement", 409, "replacement_not_allowed", json=claim)
    test.refused("POST", f"/orders/{failed}/replacement", 409, "replacement_not_allowed", json=claim)
    live.refused("POST", f"/orders/{failed}/replacement", 404, "not_found", json=claim)
    live.refused("POST", f"/orders/{order}/replacement", 400, "invalid_request", json={"code_index": -1})
    assert (shop.rows(), spendable(shop)) == before
    assert V1Profile().replacement_days == 60


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "http://store.example/hooks/fox"}, 422, "https_required"),
        ({"url": "ftp://store.example/"}, 422, "https_required"),
        ({"url": "https://127.0.0.1/"}, 400, "invalid_request"),
        ({"url": "https://"}, 400, "invalid_request"),
        ({"url": 5}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        ({"url": "https://store.example/", "events": ["order.sold"]}, 400, "invalid_request"),
        ({"url": "https://store.example/", "events": []}, 400, "invalid_request"),
        ({"rotate": True}, 400, "invalid_request"),
        ({"id": "wh_2f8"}, 400, "invalid_request"),
        ({"id": "wh_2f8", "rotate": True}, 404, "not_found"),
    ],
)
def test_a_webhook_that_cannot_be_is_not(shop: CompatShop, live: Caller, body: Any, status: int, code: str) -> None:
    before = shop.rows()
    live.refused("POST", "/webhooks", status, code, json=body)
    assert shop.rows() == before


def test_an_account_has_ten_webhooks_and_each_its_secret(shop: CompatShop) -> None:
    mine = caller(shop, "/v1", partner_id=shop.a_partner())
    made = [mine.post("/webhooks", {"url": "https://store.example/hooks/fox"}) for _ in range(10)]
    example = {"id": "wh_2f8", "url": "…", "events": ["order.delivered"], "webhook_secret": "…"}
    fits(made, [shape_of(example)])
    assert len({one["webhook_secret"] for one in made}) == 10
    mine.refused("POST", "/webhooks", 422, "webhook_limit", json={"url": "https://store.example/hooks/fox"})
    mine.refused("POST", "/webhooks/wh_2f8/replay", 404, "not_found")


# --- looking ------------------------------------------------------------------------------------------------------------


def test_history_is_newest_first_and_shows_no_codes(shop: CompatShop) -> None:
    mine = caller(shop, "/v1", partner_id=shop.a_partner("100.00", "USD"))
    ids = [mine.post("/orders", {"sku": "TEA", "quantity": 1})["order_id"] for _ in range(5)]
    page = mine.get("/orders", limit=3)
    rest = mine.get("/orders", limit=3, cursor=page["next_cursor"])
    assert [one["order_id"] for one in page["data"] + rest["data"]] == ids[::-1]
    assert rest["next_cursor"] is None
    fits(page["data"], [DELIVERED | {"codes": [CODE, 0], "delivery_data": None}])


def test_history_is_narrowed_by_status_and_time(test: Caller) -> None:
    for sku in ("TEST_OK", "TEST_REFUND", "TEST_PENDING"):
        test.post("/orders", {"sku": sku, "quantity": 1})
    for status, sku in (("delivered", "TEST_OK"), ("failed", "TEST_REFUND"), ("reserved", "TEST_PENDING")):
        assert {one["sku_id"] for one in test.get("/orders", status=status)["data"]} == {sku}
    assert test.get("/orders", status="pending")["data"] == []
    assert test.get("/orders", to="2020-01-01T00:00:00Z")["data"] == []
    assert test.get("/orders", **{"from": "2020-01-01T00:00:00+05:30"})["data"] != []
    for query in ({"status": "completed"}, {"from": "soon"}, {"to": "2026-02-30"}, {"cursor": "x"}):
        test.refused("GET", "/orders", 400, "invalid_request", params=query)


def test_an_order_of_another_wallet_is_not_of_this_surface(shop: CompatShop, live: Caller) -> None:
    generic = caller(shop)
    order = generic.post("/orders", {"sku": "TEA", "quantity": 1, "reference": "rupees-1"})
    live.refused("GET", f"/orders/{order['order_id']}", 404, "not_found")
    assert order["order_id"] not in [one["order_id"] for one in live.get("/orders")["data"]]


def test_another_partner_s_order_is_unknown(shop: CompatShop, live: Caller) -> None:
    order = live.post("/orders", {"sku": "TEA", "quantity": 1})
    other = caller(shop, "/v1", partner_id=shop.a_partner("10.00", "USD"))
    for one in (order["order_id"], new_id("ord"), "ord_q7w2e9", "x"):
        other.refused("GET", f"/orders/{one}", 404, "not_found")


def test_a_key_without_codes_read_sees_none(shop: CompatShop) -> None:
    blind = caller(shop, "/v1", Mode.LIVE, "orders:write", "orders:read", partner_id=shop.a_partner("10.00", "USD"))
    order = blind.post("/orders", {"sku": "TEA", "quantity": 1})
    seen = blind.get(f"/orders/{order['order_id']}")
    assert (seen["status"], seen["codes"], seen["delivery_data"]) == ("delivered", [], None)


def test_every_state_of_ours_has_a_word_and_every_word_a_filter() -> None:
    assert V1.keys() == set(OrderState)
    assert V1_FILTER.keys() == {"pending", "reserved", "processing", "delivered", "failed"}


# --- who asks, how often, and where -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "fr_live_wrong", "x" * 300])
def test_a_key_that_is_none_is_a_401(shop: CompatShop, key: str | None) -> None:
    stranger(shop, "/v1", key).refused("GET", "/balance", 401, "unauthorized")


def test_beyond_the_rate_limit_is_a_429_with_retry_after(shop: CompatShop) -> None:
    mine = caller(shop, "/v1", partner_id=shop.a_partner(), requests_per_minute=2)
    for _ in range(2):
        mine.get("/balance")
    answer = mine.http.get("/balance")
    assert (answer.status_code, parse(answer.content)["error"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert V1Profile().requests_per_minute == 100


def test_an_unknown_path_and_a_wrong_method_have_the_envelope(live: Caller) -> None:
    live.refused("GET", "/nothing", 404, "not_found")
    live.refused("PUT", "/orders", 405, "invalid_request")
    live.refused("POST", "/orders", 413, "invalid_request", content=b" " * 5_000_000)
