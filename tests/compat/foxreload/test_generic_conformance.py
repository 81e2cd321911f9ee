"""Surface G against its sheet (specs/foxreload.md, sections 1.1, 1.4, 2.1 and 2.5): shapes, statuses, codes, bounds."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cardrail.api.dialects.foxreload.errors import GENERIC, V1
from cardrail.api.dialects.foxreload.generic.catalog import span_of
from cardrail.api.dialects.foxreload.generic.profile import GenericProfile
from cardrail.api.errors import STATUS
from cardrail.kernel import Mode, new_id
from cardrail.orders import refund_order
from tests.build import NODE
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller, stranger
from tests.compat.shapes import Either, Only, fits, parse, problems, shape_of

DECIMAL = re.compile(r"[0-9]+\.[0-9]{2}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CODE = {"code": str, "pin": Either(str, None), "instructions": Either(str, None), "redeem_url": Either(str, None)}
SLOT = {"code": None, "pin": None, "error": str}
ORDER = {"order_id": str, "status": Only("completed", "pending"), "reference": str, "codes": [Either(CODE, SLOT)]}
FAILED = ORDER | {"status": Only("failed"), "error": str, "message": str}
ITEM = {"sku": str, "name": str, "denomination": DECIMAL, "currency": re.compile("[A-Z]{3}"), "region": str, "available": bool}
ROW = {
    "order_id": str,
    "reference": Either(str, None),
    "sku": str,
    "quantity": int,
    "amount": DECIMAL,
    "currency": re.compile("[A-Z]{3}"),
    "status": Only("completed", "pending", "failed"),
    "settlement_status": Only("settled", "pending", "refunded"),
    "created_at": MOMENT,
    "completed_at": Either(MOMENT, None),
}


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """These are about the wire."""
    return "sqlite"


@pytest.fixture(scope="module")
def live(shop: CompatShop) -> Caller:
    return caller(shop)


@pytest.fixture(scope="module")
def test(shop: CompatShop) -> Caller:
    return caller(shop, "", Mode.TEST)


_numbers = iter(range(1, 10_000))


def an_order(sku: str = "TEA", quantity: int = 1, reference: str | None = None) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "reference": reference or f"SHOP-{next(_numbers):06d}"}


# --- the examples of the sheet ------------------------------------------------------------------------------------------


def test_the_catalog_has_the_example_s_shape(live: Caller) -> None:
    example = {
        "items": [
            {
                "sku": "nintendo-pl-70",
                "name": "Nintendo eShop 70 PLN",
                "denomination": "70.00",
                "currency": "PLN",
                "region": "PL",
                "available": True,
            }
        ],
        "next_cursor": None,
    }
    assert problems(live.get("/catalog"), shape_of(example)) == []


def test_stock_and_price_have_the_example_s_shape(live: Caller) -> None:
    fits(live.get("/stock/TEA"), shape_of({"sku": "x", "available": True, "quantity_min": 10, "quantity_max": 50}))
    price = {"sku": "x", "price": "15.90", "currency": "USD", "updated_at": "2026-09-21T14:00:00Z"}
    found = live.get("/prices/TEA")
    fits(found, shape_of(price))
    fits(found, {"sku": str, "price": DECIMAL, "currency": re.compile("[A-Z]{3}"), "updated_at": MOMENT})


def test_an_order_has_the_example_s_members(live: Caller) -> None:
    order = live.post("/orders", an_order(quantity=2))
    fits(order, ORDER)
    assert order["status"] == "completed"
    assert [problems(one, CODE) for one in order["codes"]] == [[], []]


# --- catalog, stock, prices ---------------------------------------------------------------------------------------------


def test_every_sku_of_the_catalog_can_be_asked_for_and_bought(live: Caller) -> None:
    items = live.get("/catalog")["items"]
    fits(items, [ITEM])
    for one in items:
        assert live.get(f"/stock/{one['sku']}")["available"] is one["available"]
        assert live.get(f"/prices/{one['sku']}")["sku"] == one["sku"]
        if one["available"]:
            assert live.post("/orders", an_order(one["sku"]))["status"] == "completed"


def test_a_range_is_a_sku_for_each_usual_face_value(live: Caller) -> None:
    items = {one["sku"]: one for one in live.get("/catalog")["items"]}
    assert "SHOES" not in items
    assert items["SHOES:250"] == {
        "sku": "SHOES:250",
        "name": "Shoe voucher 250 INR",
        "denomination": "250.00",
        "currency": "INR",
        "region": "IN",
        "available": True,
    }
    assert live.get("/prices/SHOES:250")["price"] == "241.25"
    live.refused("GET", "/prices/SHOES", 404, "invalid_sku")
    live.refused("GET", "/stock/SHOES:99", 404, "invalid_sku")
    live.refused("GET", "/stock/SHOES:cheap", 404, "invalid_sku")
    live.refused("GET", "/stock/TEA:100", 404, "invalid_sku")


def test_pages_of_the_catalog_follow_one_another_without_gap(live: Caller) -> None:
    whole = [one["sku"] for one in live.get("/catalog", limit=200)["items"]]
    cursor, paged = None, []
    while True:
        page = live.get("/catalog", limit=3, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 3
        paged += [one["sku"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole == sorted(set(whole))


def test_a_region_narrows_the_catalog_and_its_cursor_serves_no_other(live: Caller) -> None:
    assert live.get("/catalog", region="IN")["items"] != []
    assert live.get("/catalog", region="PL")["items"] == []
    cursor = live.get("/catalog", region="IN", limit=1)["next_cursor"]
    live.refused("GET", "/catalog", 400, "invalid_request", params={"region": "PL", "cursor": cursor})


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.0"])
def test_a_limit_is_from_1_to_200(live: Caller, limit: str) -> None:
    live.refused("GET", "/catalog", 400, "invalid_request", params={"limit": limit})
    live.refused("GET", "/reconciliation", 400, "invalid_request", params={"limit": limit})
    assert live.get("/catalog", limit=200)["next_cursor"] is None


def test_stock_is_a_range_and_both_ends_are_zero_where_there_is_none(live: Caller) -> None:
    assert live.get("/stock/SOLDOUT") == {"sku": "SOLDOUT", "available": False, "quantity_min": 0, "quantity_max": 0}
    steps = GenericProfile().stock_steps
    assert [span_of(count, steps) for count in (1, 9, 10, 23, 999, 1_000, 5_000)] == [
        (1, 10),
        (1, 10),
        (10, 50),
        (10, 50),
        (500, 1_000),
        (1_000, None),
        (1_000, None),
    ]


def test_what_has_no_price_is_not_available(shop: CompatShop) -> None:
    poor = caller(shop, partner_id=shop.a_partner("10.00", "JPY"))
    assert {one["available"] for one in poor.get("/catalog")["items"]} == {False}
    assert poor.get("/stock/TEA")["available"] is False
    poor.refused("GET", "/prices/TEA", 409, "out_of_stock")
    poor.refused("POST", "/orders", 409, "out_of_stock", json=an_order())


# --- orders -------------------------------------------------------------------------------------------------------------


def test_a_price_is_what_an_order_costs(shop: CompatShop, live: Caller) -> None:
    before = shop.balance()
    price = live.get("/prices/BOOKS")["price"]
    live.post("/orders", an_order("BOOKS", 7))
    assert price == "32.16"
    assert before - shop.balance() == 7 * 3216


def test_a_repeated_reference_is_the_first_order(shop: CompatShop, live: Caller) -> None:
    wanted = an_order(quantity=2)
    first = live.post("/orders", wanted)
    before = shop.balance()
    assert live.post("/orders", wanted, 200) == first
    live.refused("POST", "/orders", 409, "duplicate_reference", json=wanted | {"quantity": 3})
    assert shop.balance() == before


def test_an_order_can_be_looked_at_again(live: Caller) -> None:
    order = live.post("/orders", an_order())
    assert live.get(f"/orders/{order['order_id']}") == order


def test_a_pending_order_has_no_codes_yet(test: Caller) -> None:
    order = test.post("/orders", an_order("TEST_PENDING"))
    fits(order, ORDER)
    assert (order["status"], order["codes"]) == ("pending", [])


def test_a_failed_order_says_why(shop: CompatShop, test: Caller) -> None:
    before = shop.balance(mode=Mode.TEST)
    order = test.post("/orders", an_order("TEST_REFUND"))
    fits(order, FAILED)
    assert (order["error"], order["codes"]) == ("out_of_stock", [])
    assert shop.balance(mode=Mode.TEST) == before


def test_each_slot_of_a_partial_order_stands_for_itself(shop: CompatShop, test: Caller) -> None:
    before = shop.balance(mode=Mode.TEST)
    order = test.post("/orders", an_order("TEST_PARTIAL", 5))
    fits(order, ORDER)
    assert [one.get("error") for one in order["codes"]] == [None, None, "out_of_stock", "out_of_stock", "out_of_stock"]
    assert before - shop.balance(mode=Mode.TEST) == 2 * 1000


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1}', 400, "invalid_request"),
        (b'{"sku":"TEA","reference":"r"}', 400, "invalid_request"),
        (b'{"quantity":1,"reference":"r"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":"1","reference":"r"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1.0,"reference":"r"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":0,"reference":"r"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1001,"reference":"r"}', 400, "invalid_request"),
        (b'{"sku":"TEA","quantity":1,"reference":""}', 400, "invalid_request"),
        (b'{"sku":5,"quantity":1,"reference":"r"}', 400, "invalid_request"),
        (b'{"sku":"NOPE","quantity":1,"reference":"r"}', 404, "invalid_sku"),
        (b'{"sku":"SHOES","quantity":1,"reference":"r"}', 404, "invalid_sku"),
        (b'{"sku":"SHOES:99","quantity":1,"reference":"r"}', 404, "invalid_sku"),
        (b'{"sku":"TEST_OK","quantity":1,"reference":"r"}', 404, "invalid_sku"),
        (b'{"sku":"SOLDOUT","quantity":1,"reference":"r"}', 409, "out_of_stock"),
    ],
)
def test_a_refused_order_changes_nothing(shop: CompatShop, live: Caller, body: bytes, status: int, code: str) -> None:
    before = (shop.rows(), shop.balance())
    live.refused("POST", "/orders", status, code, content=body)
    assert (shop.rows(), shop.balance()) == before


def test_an_unknown_member_is_passed_over(live: Caller) -> None:
    live.post("/orders", an_order() | {"note": "for Ann"})


def test_too_little_money_is_a_402(shop: CompatShop) -> None:
    poor = caller(shop, partner_id=shop.a_partner("94.99"))
    poor.refused("POST", "/orders", 402, "insufficient_balance", json=an_order())
    assert poor.get("/balance") == {"balance": "94.99", "currency": "INR"}


def test_another_partner_s_order_is_unknown(shop: CompatShop, live: Caller) -> None:
    order = live.post("/orders", an_order())
    other = caller(shop, partner_id=shop.a_partner())
    other.refused("GET", f"/orders/{order['order_id']}", 404, "not_found")
    other.refused("GET", f"/orders/{new_id('ord')}", 404, "not_found")
    other.refused("GET", "/orders/GX-410077", 404, "not_found")


def test_a_key_without_codes_read_sees_none(shop: CompatShop) -> None:
    scopes = ("orders:write", "orders:read")
    blind = caller(shop, "", Mode.LIVE, *scopes, partner_id=shop.a_partner())
    order = blind.post("/orders", an_order())
    assert (order["status"], order["codes"]) == ("completed", [])
    assert blind.get(f"/orders/{order['order_id']}")["codes"] == []
    blind.refused("GET", "/balance", 403, "unauthorized")


# --- balance and reconciliation -----------------------------------------------------------------------------------------


def test_the_balance_is_what_can_be_spent(shop: CompatShop, live: Caller) -> None:
    found = live.get("/balance")
    fits(found, {"balance": DECIMAL, "currency": str})
    assert found["balance"].replace(".", "") == str(shop.balance())


def test_reconciliation_tells_of_every_order(shop: CompatShop) -> None:
    who = shop.a_partner()
    mine, sandbox = caller(shop, partner_id=who), caller(shop, "", Mode.TEST, partner_id=who)
    kept = mine.post("/orders", an_order(quantity=2))
    returned = mine.post("/orders", an_order())
    world = shop.cardrail
    refund_order(world.db, world.clock, world.audit, returned["order_id"], None, node=NODE, because="test", actor="test")
    rows = mine.get("/reconciliation")
    fits(rows, {"items": [ROW], "next_cursor": None})
    assert [(one["order_id"], one["amount"], one["settlement_status"]) for one in rows["items"]] == [
        (returned["order_id"], "95.00", "refunded"),
        (kept["order_id"], "190.00", "settled"),
    ]
    assert all(one["completed_at"] == one["created_at"] for one in rows["items"])
    sandbox.post("/orders", an_order("TEST_PENDING"))
    (row,) = sandbox.get("/reconciliation")["items"]
    assert (row["status"], row["settlement_status"], row["completed_at"]) == ("pending", "pending", None)


def test_reconciliation_goes_from_a_time_to_before_another(live: Caller) -> None:
    live.post("/orders", an_order())
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert live.get("/reconciliation", **{"from": tomorrow})["items"] == []
    assert live.get("/reconciliation", **{"from": "2020-01-01", "to": tomorrow})["items"] != []
    for one in ("yesterday", "2026-13-01", "0001-01-01T00:00:00Z"):
        live.refused("GET", "/reconciliation", 400, "invalid_request", params={"from": one})


def test_reconciliation_pages_and_comes_as_csv(live: Caller) -> None:
    for _ in range(3):
        live.post("/orders", an_order())
    whole = live.get("/reconciliation", limit=200)["items"]
    first = live.http.get("/reconciliation", params={"limit": 2, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(first.text)))
    assert first.headers["content-type"].startswith("text/csv")
    assert list(rows[0]) == list(ROW)
    assert [one["order_id"] for one in rows] == [one["order_id"] for one in whole[:2]]
    following = live.get("/reconciliation", limit=1, cursor=first.headers["x-next-cursor"])
    assert following["items"] == whole[2:3]
    live.refused("GET", "/reconciliation", 400, "invalid_request", params={"format": "pdf"})


def test_a_reference_in_the_csv_is_no_formula(shop: CompatShop) -> None:
    mine = caller(shop, partner_id=shop.a_partner())
    mine.post("/orders", an_order(reference="=1+1"))
    (row,) = csv.DictReader(io.StringIO(mine.http.get("/reconciliation", params={"format": "csv"}).text))
    assert row["reference"] == "'=1+1"
    assert mine.get("/reconciliation")["items"][0]["reference"] == "=1+1"


# --- who asks, how often, and where -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "fr_live_wrong", "é", "x" * 300])
def test_a_key_that_is_none_is_a_401(shop: CompatShop, key: str | None) -> None:
    stranger(shop, key=key).refused("GET", "/balance", 401, "unauthorized")


def test_a_key_of_another_dialect_is_a_401(shop: CompatShop) -> None:
    stranger(shop, key=shop.native_key()).refused("GET", "/balance", 401, "unauthorized")


def test_test_and_live_do_not_meet(live: Caller, test: Caller) -> None:
    order = test.post("/orders", an_order("TEST_OK"))
    live.refused("GET", f"/orders/{order['order_id']}", 404, "not_found")
    test.refused("POST", "/orders", 409, "out_of_stock", json=an_order("TEST_OUT_OF_STOCK"))
    assert test.get("/stock/TEST_OK")["quantity_max"] is None


def test_beyond_the_rate_limit_is_a_429_with_retry_after(shop: CompatShop) -> None:
    mine = caller(shop, partner_id=shop.a_partner(), requests_per_minute=2)
    for _ in range(2):
        mine.get("/balance")
    answer = mine.http.get("/balance")
    assert (answer.status_code, parse(answer.content)["error"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert GenericProfile().requests_per_minute == 100


def test_an_unknown_path_and_a_wrong_method_have_the_envelope(live: Caller) -> None:
    live.refused("GET", "/nothing", 404, "not_found")
    live.refused("GET", "/orders", 405, "invalid_request")
    live.refused("DELETE", "/catalog", 405, "invalid_request")


def test_a_body_that_is_too_large_has_the_envelope(live: Caller) -> None:
    live.refused("POST", "/orders", 413, "invalid_request", content=b" " * 5_000_000)


@pytest.mark.parametrize("words", [GENERIC, V1])
def test_every_error_of_ours_has_a_word(words: Any) -> None:
    assert STATUS.keys() <= words.keys()
    assert {status for status, _ in words.values()} <= {
        400,
        401,
        402,
        403,
        404,
        405,
        408,
        409,
        410,
        413,
        415,
        422,
        429,
        431,
        500,
        503,
    }
