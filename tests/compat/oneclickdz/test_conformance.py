"""The sheet (specs/oneclickdz.md), line by line: each endpoint's fields, types and absence rules, statuses, codes and bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.surface import OneClickDz
from cardrail.kernel import Mode, Unavailable
from tests.compat.build import CompatShop
from tests.compat.oneclickdz import examples
from tests.compat.oneclickdz.conftest import Asker, MakeAsker
from tests.compat.oneclickdz.examples import like
from tests.compat.shapes import Number, Only, fits

T = TypeVar("T", bound=Callable[..., Any])
COVERED: set[str] = set()

PING, VALIDATE = "GET /v3/ping", "GET /v3/validate"
BALANCE, TRANSACTIONS = "GET /v3/account/balance", "GET /v3/account/transactions"
CATALOG, CHECK_PRODUCT = "GET /v3/gift-cards/catalog", "GET /v3/gift-cards/checkProduct/{product_id}"
PLACE_ORDER, CHECK_ORDER = "POST /v3/gift-cards/placeOrder", "GET /v3/gift-cards/checkOrder/{order_id}"
LIST = "GET /v3/gift-cards/list"

HEX24 = re.compile(r"[0-9a-f]{24}")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
META = {"timestamp": MOMENT}
CARD = {"value": str, "serial": str}
ORDER_BASE = {"_id": HEX24, "quantity": int, "product": str, "type": str, "time": MOMENT}
ORDER_HANDLING = ORDER_BASE | {"status": Only("HANDLING")}
ORDER_FINAL = ORDER_BASE | {
    "status": Only("FULFILLED", "PARTIALLY_FILLED", "REFUNDED"),
    "fulfilled_quantity": int,
    "fulfilled_amount": Number,
    "price_per_card": Number,
    "cards": [CARD],
}
PAGINATION = {"page": int, "pageSize": int, "totalPages": int, "totalResults": int}


def covers(endpoint: str) -> Callable[[T], T]:
    """Say which endpoint a test is about."""

    def note(test: T) -> T:
        COVERED.add(endpoint)
        return test

    return note


def success(data: Any, **more: Any) -> dict[str, Any]:
    """The envelope of section 1.4, as ours sends it: with time and request id."""
    return {"success": Only(True), "data": data, "meta": META, "requestId": str, **more}


def refused(code: str, **details: Any) -> dict[str, Any]:
    """The envelope of section 1.5; no ``meta`` on errors."""
    error = {"code": Only(code), "message": str} | ({"details": details} if details else {"details?": {"field": str}})
    return {"success": Only(False), "error": error, "requestId": str}


# --- 1: transport, envelope, keys, limits ------------------------------------------------------------------------------


def test_every_answer_is_json_and_carries_the_request_id_of_its_header(ask: Asker) -> None:
    body = ask.get("/v3/account/balance")
    assert ask.answer.headers["content-type"] == "application/json; charset=utf-8"
    assert body["requestId"] == ask.answer.headers["x-request-id"]
    assert body["requestId"].startswith("req_")


def test_header_names_know_no_case_and_authorization_is_not_read(ask: Asker, shop: CompatShop) -> None:
    key = shop.credential("oneclickdz")["api_key"]
    anonymous = Asker(shop, None, "10.1.0.1")
    anonymous.get("/v3/account/balance", headers={"x-aCCess-token": key})
    fits(anonymous.get("/v3/account/balance", 401, headers={"Authorization": key}), refused("MISSING_ACCESS_TOKEN"))
    anonymous.http.close()


@pytest.mark.parametrize(
    "method_path", [("GET", "/v3/nope"), ("GET", "/"), ("GET", ""), ("POST", "/v3/ping"), ("GET", "/v3/Ping")]
)
def test_an_unknown_route_is_answered_outside_the_envelope(ask: Asker, method_path: tuple[str, str]) -> None:
    body = ask(*method_path, 404)
    fits(body, like(examples.UNKNOWN_ROUTE))
    assert body["message"] == f"Route {method_path[0]}:{method_path[1] or '/'} not found"


def test_a_path_of_another_case_or_with_a_slash_behind_it_is_another_path(ask: Asker) -> None:
    for path in ("/v3/gift-cards/checkproduct/x", "/v3/gift-cards/check-order/x", "/v3/gift-cards/catalog/"):
        assert ask.get(path, 404)["error"] == "Not Found"


def test_browsers_may_ask_from_anywhere(ask: Asker) -> None:
    ask.get("/v3/ping")
    assert ask.answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-expose-headers" not in ask.answer.headers
    ask("OPTIONS", "/v3/gift-cards/placeOrder", 204, headers={"Access-Control-Request-Method": "POST", "Origin": "https://x"})
    assert "x-access-token" in ask.answer.headers["access-control-allow-headers"]


ENDPOINTS = [
    ("GET", "/v3/validate"),
    ("GET", "/v3/account/balance"),
    ("GET", "/v3/account/transactions"),
    ("GET", "/v3/gift-cards/catalog"),
    ("GET", "/v3/gift-cards/checkProduct/65f0a1b2c3d4e5f60718293a"),
    ("POST", "/v3/gift-cards/placeOrder"),
    ("GET", "/v3/gift-cards/checkOrder/69a1c0de77b1f40012ab34cc"),
    ("GET", "/v3/gift-cards/list"),
]


@pytest.mark.parametrize("method_path", ENDPOINTS)
def test_without_a_key_nothing_but_ping_answers(asker: MakeAsker, method_path: tuple[str, str]) -> None:
    body = asker(key=None)(*method_path, 401)
    fits(body, refused("MISSING_ACCESS_TOKEN"))
    assert body["error"]["message"] == "Access token is required"


def test_a_wrong_key_is_told_how_many_attempts_are_left(asker: MakeAsker, shop: CompatShop) -> None:
    stranger = asker(key="0b7c1f52-5c8e-4a7b-9d10-2f6a3e9b7711")
    for left in (4, 3, 2, 1, 0):
        body = stranger.get("/v3/validate", 401)
        fits(body, refused("INVALID_ACCESS_TOKEN", attemptsLeft=Only(left)))
        assert body["error"]["message"] == "The provided access token is invalid"
    fits(stranger.get("/v3/validate", 403), refused("IP_BLOCKED"))
    # It is the address that is blocked, so a good key does not help there; elsewhere it does.
    stranger.http.headers["X-Access-Token"] = shop.credential("oneclickdz")["api_key"]
    fits(stranger.get("/v3/validate", 403), refused("IP_BLOCKED"))
    stranger.get("/v3/ping")
    stranger.http.headers["X-Forwarded-For"] = "10.2.0.1"
    stranger.get("/v3/validate")


def test_a_missing_key_is_no_bad_key(asker: MakeAsker) -> None:
    nobody = asker(key=None)
    for _ in range(7):
        nobody.get("/v3/validate", 401)


def test_a_key_of_another_dialect_or_of_ours_is_a_wrong_one(asker: MakeAsker, shop: CompatShop) -> None:
    for key in (shop.credential("foxreload")["api_key"], shop.native_key()):
        fits(asker(key=key).get("/v3/validate", 401), refused("INVALID_ACCESS_TOKEN", attemptsLeft=int))


def test_a_revoked_key_is_a_wrong_one_and_a_suspended_partner_is_disabled(asker: MakeAsker, shop: CompatShop) -> None:
    from cardrail.access import resume_partner, revoke_key, suspend_partner

    part, partner = shop.cardrail, shop.a_partner()
    caller = asker(partner_id=partner)
    suspend_partner(part.db, part.clock, part.audit, partner, actor="test")
    part.keys.refresh()
    fits(caller.get("/v3/validate", 403), refused("API_DISABLED"))
    resume_partner(part.db, part.clock, part.audit, partner, actor="test")
    part.keys.refresh()
    caller.get("/v3/validate")
    key_id: Any = shop.credential("oneclickdz", partner_id=partner)["key_id"]
    revoke_key(part.db, part.clock, part.audit, key_id, actor="test")
    part.keys.refresh()
    fits(caller.get("/v3/validate", 401), refused("INVALID_ACCESS_TOKEN", attemptsLeft=int))


def test_a_call_from_off_the_keys_list_of_addresses_is_refused(asker: MakeAsker, shop: CompatShop) -> None:
    caller = asker(partner_id=shop.a_partner(), networks=("10.9.0.0/24", "192.0.2.7"))
    fits(caller.get("/v3/validate", 403), refused("IP_NOT_ALLOWED"))
    caller.http.headers["X-Forwarded-For"] = "192.0.2.7"
    assert caller.get("/v3/validate")["data"]["apiKey"]["allowedips"] == ["10.9.0.0/24", "192.0.2.7"]


@pytest.mark.parametrize(("mode", "most"), [(Mode.TEST, 60), (Mode.LIVE, 120)])
def test_a_key_may_ask_so_often_in_a_minute(asker: MakeAsker, shop: CompatShop, mode: Mode, most: int) -> None:
    caller = asker(mode, partner_id=shop.a_partner(), requests_per_minute=None)
    answers = [caller.get("/v3/account/balance", None) for _ in range(most + 1)]
    assert all(one["success"] for one in answers[:most])
    fits(answers[most], refused("RATE_LIMIT_EXCEEDED"))
    assert caller.answer.status_code == 429
    assert 0 < int(caller.answer.headers["retry-after"]) <= 60


def fails(error: Exception) -> Callable[..., Any]:
    """Something that does not work."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_while_the_database_is_away_the_answers_are_the_vendors(ask: Asker, asker: MakeAsker, shop: CompatShop) -> None:
    ask.get("/v3/validate")
    newcomer = asker(partner_id=shop.a_partner())  # whose key nobody has in memory
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.cardrail.db, "read", fails(Unavailable()))
        assert ask.get("/v3/ping")["data"]["api"] == "error"
        fits(ask.get("/v3/account/balance", 503), refused("SERVICE_UNAVAILABLE"))
        assert "retry-after" not in ask.answer.headers
        fits(newcomer.place({}, 503), refused("AUTH_UNAVAILABLE"))
        assert newcomer.answer.headers["retry-after"] == "5"
    assert ask.get("/v3/ping")["data"]["api"] == "ok"
    newcomer.get("/v3/validate")


def test_a_fault_of_ours_says_nothing_of_itself(ask: Asker, shop: CompatShop) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.cardrail.catalog, "current", fails(RuntimeError("a secret of ours")))
        body = ask.get("/v3/gift-cards/catalog", 500)
    fits(body, refused("INTERNAL_ERROR"))
    assert "secret" not in ask.answer.text
    assert body["requestId"] == ask.answer.headers["x-request-id"]


# --- 2.1, 2.2: ping and validate ---------------------------------------------------------------------------------------


@covers(PING)
def test_ping_answers_anybody(asker: MakeAsker) -> None:
    for key in (None, "wrong"):
        body = asker(key=key).get("/v3/ping")
        fits(body, like(examples.PING))
        operators = dict.fromkeys(("mobilis", "ooredoo", "djezzy", "mobilisFixedPlans"), Only("up", "down"))
        fits(body, success({"api": Only("ok"), "operators": operators}))


@covers(VALIDATE)
def test_validate_tells_who_asks_and_nothing_beside_it(ask: Asker, sandbox: Asker, shop: CompatShop) -> None:
    for caller, mode, kind in ((ask, Mode.LIVE, "PRODUCTION"), (sandbox, Mode.TEST, "SANDBOX")):
        body = caller.get("/v3/validate")
        fits(body, like(examples.VALIDATE, bare=True))
        key = {"isEnabled": Only(True), "type": Only(kind), "allowedips": [str, 0], "scope": Only("READ-WRITE")}
        key["key"] = Only(shop.credential("oneclickdz", mode)["api_key"])
        fits(body, {"success": Only(True), "data": {"username": str, "apiKey": key}})


@covers(VALIDATE)
def test_a_read_only_key_reads_and_may_not_order(asker: MakeAsker, ask: Asker, shop: CompatShop) -> None:
    reader = asker(
        Mode.LIVE, "catalog:read", "orders:read", "codes:read", "balances:read", "transactions:read", partner_id=shop.a_partner()
    )
    assert reader.get("/v3/validate")["data"]["apiKey"]["scope"] == "READ-ONLY"
    reader.get("/v3/gift-cards/list")
    wanted = ask.kind("Tea voucher", "100 INR") | {"quantity": 1}
    fits(reader.place(wanted, 403), refused("ERR_AUTH"))
    fits(reader.place("no body at all", 403), refused("ERR_AUTH"))  # the scope comes before the body


# --- 2.3, 2.4: the account ---------------------------------------------------------------------------------------------


@covers(BALANCE)
def test_balance_is_a_number_without_a_currency(ask: Asker, shop: CompatShop) -> None:
    body = ask.get("/v3/account/balance")
    fits(body, like(examples.BALANCE))
    fits(body, success({"balance": Number}))
    assert int(body["data"]["balance"] * 100) == shop.balance()


def test_a_partner_without_a_wallet_has_nothing(asker: MakeAsker, shop: CompatShop) -> None:
    poor = asker(partner_id=shop.a_partner(None))
    assert poor.get("/v3/account/balance")["data"]["balance"] == 0
    assert poor.get("/v3/account/transactions")["data"]["items"] == []


@covers(TRANSACTIONS)
def test_transactions_tell_what_moved_the_balance_newest_first(asker: MakeAsker, shop: CompatShop) -> None:
    caller = asker(partner_id=shop.a_partner("1000.00"))
    placed = [caller.place(caller.kind("Tea voucher", "100 INR") | {"quantity": n})["data"]["orderId"] for n in (1, 2)]
    body = caller.get("/v3/account/transactions")
    fits(body, like(examples.TRANSACTIONS))
    row = {"_id": HEX24, "type": Only("ORDER", "DEPOSIT"), "operation": Only("INCREMENT", "DECREMENT"), "amount": Number}
    row |= {"oldBalance": Number, "newBalance": Number, "objid": HEX24, "note": str, "time": MOMENT}
    fits(body, success({"items": [row, 3], "pagination": PAGINATION}))
    rows = body["data"]["items"]
    assert [one["objid"] for one in rows[:2]] == placed[::-1]
    assert [(one["type"], one["operation"], one["amount"], one["newBalance"]) for one in rows] == [
        ("ORDER", "DECREMENT", 190, 715),
        ("ORDER", "DECREMENT", 95, 905),
        ("DEPOSIT", "INCREMENT", 1000, 1000),
    ]
    assert [one["oldBalance"] for one in rows] == [905, 1000, 0]
    assert len({one["_id"] for one in rows}) == 3


def test_each_page_of_transactions_goes_on_where_the_one_before_ended(asker: MakeAsker, shop: CompatShop) -> None:
    caller = asker(partner_id=shop.a_partner("1000.00"))
    wanted = caller.kind("Tea voucher", "100 INR") | {"quantity": 1}
    for _ in range(4):
        caller.place(wanted)
    pages = [caller.get("/v3/account/transactions", params={"page": n, "pageSize": 2})["data"]["items"] for n in (1, 2, 3, 4)]
    assert [len(one) for one in pages] == [2, 2, 1, 0]
    rows = [row for page in pages for row in page]
    assert [row["newBalance"] for row in rows[1:]] == [row["oldBalance"] for row in rows[:-1]]
    assert rows == caller.get("/v3/account/transactions")["data"]["items"]
    middle = rows[2]["time"]
    at_that_time = caller.get("/v3/account/transactions", params={"from": middle, "to": middle})["data"]["items"]
    assert rows[2] in at_that_time


# --- 2.5, 2.6: what is sold --------------------------------------------------------------------------------------------


@covers(CATALOG)
def test_the_catalog_has_its_totals_beside_success(ask: Asker) -> None:
    body = ask.get("/v3/gift-cards/catalog")
    product = {"id": HEX24, "title": str, "enabled": bool, "region?": re.compile(r"[a-z-]+")}
    shape = success({"categories": [{"title": str, "products": [product]}]}, totalCategories=int, totalProducts=int)
    fits(body, shape)
    assert list(body)[:5] == ["success", "totalCategories", "totalProducts", "data", "meta"]
    categories = body["data"]["categories"]
    assert body["totalCategories"] == len(categories) == len({one["title"] for one in categories})
    products = [product for one in categories for product in one["products"]]
    assert body["totalProducts"] == len(products) == len({one["id"] for one in products})
    assert {one["title"] for one in products} >= {"Tea voucher", "Shoe voucher", "Sold-out card"}


def test_ids_never_change(ask: Asker) -> None:
    first, again = (ask.get("/v3/gift-cards/catalog")["data"] for _ in range(2))
    assert first == again
    assert ask.kind("Shoe voucher", "250 INR") == ask.kind("Shoe voucher", "250 INR")


@covers(CHECK_PRODUCT)
def test_check_product_has_just_four_members_a_type(ask: Asker) -> None:
    product_id = ask.product("Tea voucher")
    body = ask.get(f"/v3/gift-cards/checkProduct/{product_id}")
    fits(body, like(examples.CHECK_PRODUCT))
    kind = {"id": HEX24, "name": str, "price": Number, "quantity": int}
    fits(body, success({"productId": Only(product_id), "productTitle": Only("Tea voucher"), "types": [kind, 1]}))
    (found,) = body["data"]["types"]
    assert (found["name"], found["price"]) == ("100 INR", 95)


def test_types_that_are_sold_out_stay_in_the_list(ask: Asker) -> None:
    types = ask.get(f"/v3/gift-cards/checkProduct/{ask.product('Game card')}")["data"]["types"]
    assert [(one["name"], one["price"], one["quantity"]) for one in types] == [("500 INR", 480, 0), ("1000 INR", 960, 0)]


def test_a_range_is_shown_as_types_and_those_in_stock_can_be_ordered(ask: Asker) -> None:
    types = ask.get(f"/v3/gift-cards/checkProduct/{ask.product('Shoe voucher')}")["data"]["types"]
    stocked = [one for one in types if one["quantity"]]
    assert [one["name"] for one in stocked] == ["250 INR"]
    assert {"100 INR", "500 INR", "1000 INR"} <= {one["name"] for one in types}
    order_id = ask.place(ask.kind("Shoe voucher", "250 INR") | {"quantity": 1})["data"]["orderId"]
    order = ask.get(f"/v3/gift-cards/checkOrder/{order_id}")["data"]
    assert (order["type"], order["price_per_card"]) == (stocked[0]["id"], stocked[0]["price"])


def test_the_price_is_the_callers_own(ask: Asker, asker: MakeAsker, shop: CompatShop) -> None:
    other = asker(partner_id=shop.a_partner("10.00", "EUR"))  # there is no rate from INR to EUR
    product_id = ask.product("Tea voucher")
    (found,) = other.get(f"/v3/gift-cards/checkProduct/{product_id}")["data"]["types"]
    assert (found["price"], found["quantity"]) == (0, 0)
    fits(other.place({"productId": product_id, "typeId": found["id"], "quantity": 1}, 400), refused("ERR_STOCK"))


@pytest.mark.parametrize("product_id", ["65f0a1b2c3d4e5f60718293a", "type_001", "%20", "f" * 24, "0" * 24, "x" * 3_000])
def test_an_unknown_product_is_not_found(ask: Asker, product_id: str) -> None:
    fits(ask.get(f"/v3/gift-cards/checkProduct/{product_id}", 404), refused("NOT_FOUND"))


# --- 2.7: placing ------------------------------------------------------------------------------------------------------


@covers(PLACE_ORDER)
def test_place_order_answers_with_the_orders_id_and_nothing_else(ask: Asker) -> None:
    body = ask.place(ask.kind("Tea voucher", "100 INR") | {"quantity": 1})
    fits(body, like(examples.PLACE_ORDER))
    fits(body, success({"orderId": HEX24}))


def test_a_ref_is_echoed_and_a_repeat_of_it_refused(ask: Asker) -> None:
    wanted = ask.kind("Tea voucher", "100 INR") | {"quantity": 1, "ref": "cart-1"}
    fits(ask.place(wanted), success({"orderId": HEX24, "orderRef": Only("cart-1")}))
    for again in (wanted, wanted | {"quantity": 2}):
        body = ask.place(again, 403)
        fits(body, refused("DUPLICATED_REF"))
        assert body["error"]["message"] == "This reference ID is already in use"


def test_our_idempotency_key_makes_a_repeat_safe(ask: Asker) -> None:
    wanted = ask.kind("Tea voucher", "100 INR") | {"quantity": 1, "ref": "cart-2"}
    key = {"Idempotency-Key": "k-1"}
    assert ask.place(wanted, headers=key)["data"] == ask.place(wanted, headers=key)["data"]
    fits(ask.place(wanted | {"quantity": 2}, 403, headers=key), refused("DUPLICATED_REF"))
    fits(ask.place(wanted, 403, headers={"Idempotency-Key": "k-2"}), refused("DUPLICATED_REF"))


WRONG: dict[str, Any] = {
    "no product": {"productId": None},
    "an empty product": {"productId": ""},
    "a number for a product": {"productId": 7},
    "no type": {"typeId": None},
    "quantity 0": {"quantity": 0},
    "quantity -1": {"quantity": -1},
    "half a card": {"quantity": 1.5},
    "a quantity in quotes": {"quantity": "1"},
    "true cards": {"quantity": True},
    "no quantity": {"quantity": None},
    "too many": {"quantity": 1_001},
    "far too many": {"quantity": 10**30},
    "a ref that is no text": {"ref": 7},
    "an empty ref": {"ref": ""},
    "a ref of 101 characters": {"ref": "x" * 101},
    "a ref with a zero in it": {"ref": "a\0b"},
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_parameters_are_refused(ask: Asker, what: str) -> None:
    wanted = {"productId": ask.product("Tea voucher"), "typeId": "x", "quantity": 1} | WRONG[what]
    fits(ask.place({name: one for name, one in wanted.items() if one is not None}, 400), refused("ERR_VALIDATION"))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}", b"[" * 20_000])
def test_a_body_that_is_no_object_is_refused(ask: Asker, body: bytes) -> None:
    fits(ask("POST", "/v3/gift-cards/placeOrder", 400, content=body), refused("ERR_VALIDATION"))


def test_a_body_that_is_too_large_is_refused(ask: Asker) -> None:
    body = b'{"productId":"' + b"x" * 2_000_000 + b'"}'
    fits(ask("POST", "/v3/gift-cards/placeOrder", 413, content=body), refused("PAYLOAD_TOO_LARGE"))


def test_members_and_parameters_that_nobody_knows_are_passed_over(ask: Asker) -> None:
    ask.place(ask.kind("Tea voucher", "100 INR") | {"quantity": 1, "note": "x", "PRODUCTID": 1})
    ask.get("/v3/gift-cards/list", params={"status": "FULFILLED"})


def test_product_and_type_must_belong_together(ask: Asker) -> None:
    tea, shoes = ask.kind("Tea voucher", "100 INR"), ask.kind("Shoe voucher", "250 INR")
    face_beyond_the_range = f"{int(shoes['typeId'], 16) + 10_000_000:024x}"
    for product_id, type_id in (
        (tea["productId"], shoes["typeId"]),
        (shoes["productId"], tea["typeId"]),
        (shoes["productId"], face_beyond_the_range),
        (tea["productId"], "65f0a1b2c3d4e5f607182a01"),
        ("type_001", tea["typeId"]),
        (tea["productId"], "TEST_REFUND"),  # a trigger is nothing to a production key
    ):
        fits(ask.place({"productId": product_id, "typeId": type_id, "quantity": 1}, 404), refused("NOT_FOUND"))


def test_stock_is_looked_at_before_the_balance(asker: MakeAsker, shop: CompatShop) -> None:
    poor = asker(partner_id=shop.a_partner("1.00"))
    body = poor.place(poor.kind("Sold-out card", "200 INR") | {"quantity": 1}, 400)
    fits(body, refused("ERR_STOCK"))
    assert body["error"]["message"] == "Product out of stock"
    body = poor.place(poor.kind("Tea voucher", "100 INR") | {"quantity": 1}, 403)
    fits(body, refused("INSUFFICIENT_BALANCE", required=Only(95), available=Only(1)))
    fits(body, like(examples.ERROR))


def test_a_refusal_charges_nobody_and_leaves_no_row(ask: Asker, shop: CompatShop) -> None:
    wanted = ask.kind("Sold-out card", "200 INR")
    before, rows = shop.balance(), shop.rows()
    ask.place(wanted | {"quantity": 1, "ref": "never"}, 400)
    ask.place(wanted | {"quantity": 0}, 400)
    ask.place(wanted | {"typeId": "f" * 24, "quantity": 1}, 404)
    assert (shop.balance(), shop.rows()) == (before, rows)


# --- 2.8: checking -----------------------------------------------------------------------------------------------------


@covers(CHECK_ORDER)
def test_a_fulfilled_order_has_its_cards(ask: Asker) -> None:
    wanted = ask.kind("Tea voucher", "100 INR") | {"quantity": 2}
    order_id = ask.place(wanted)["data"]["orderId"]
    body = ask.get(f"/v3/gift-cards/checkOrder/{order_id}")
    fits(body, like(examples.PARTIAL))
    fits(body, success(ORDER_FINAL))
    order = body["data"]
    assert (order["_id"], order["product"], order["type"]) == (order_id, wanted["productId"], wanted["typeId"])
    assert (order["status"], order["fulfilled_quantity"], len(order["cards"])) == ("FULFILLED", 2, 2)
    assert order["fulfilled_amount"] == order["price_per_card"] * 2 == 190
    assert ask.get(f"/v3/gift-cards/checkOrder/{order_id}")["data"] == order  # any number of times


@pytest.mark.parametrize("type_id", ["TEST_PENDING", "TEST_SLOW"])
def test_an_order_that_is_handled_lacks_what_is_not_known_yet(sandbox: Asker, type_id: str) -> None:
    order_id = sandbox.place({"productId": "p", "typeId": type_id, "quantity": 3})["data"]["orderId"]
    body = sandbox.get(f"/v3/gift-cards/checkOrder/{order_id}")
    fits(body, like(examples.HANDLING))
    fits(body, success(ORDER_HANDLING))
    (listed,) = [one for one in sandbox.get("/v3/gift-cards/list")["data"]["items"] if one["_id"] == order_id]
    fits(listed, ORDER_HANDLING)


@pytest.mark.parametrize(
    ("line", "card"),
    [
        ("Q7ZK-2M4P,1234,770012", {"value": "Q7ZK-2M4P", "serial": "770012 / 1234"}),
        ("R1DT-88LC,,770013", {"value": "R1DT-88LC", "serial": "770013"}),
        ("S2DT-88LC,5678,", {"value": "S2DT-88LC", "serial": "5678"}),
    ],
)
def test_a_cards_serial_is_its_second_credential(ask: Asker, shop: CompatShop, line: str, card: dict[str, str]) -> None:
    product = shop.cardrail.catalog.current().product_by_code("GAME")
    assert product is not None
    shop.world.stock(product.offers[0].sku, ["code,pin,serial", line])
    wanted = ask.kind("Game card", "500 INR")
    order_id = ask.place(wanted | {"quantity": 1})["data"]["orderId"]
    assert ask.get(f"/v3/gift-cards/checkOrder/{order_id}")["data"]["cards"] == [card]


@pytest.mark.parametrize(
    "order_id", ["69a1c0de77b1f40012ab34cc", "x", "69A1C0DE77B1F40012AB34CC", "ord_01M7YJ491BEYCRTE9B4KVEBEZR"]
)
def test_an_unknown_order_is_not_found(ask: Asker, order_id: str) -> None:
    fits(ask.get(f"/v3/gift-cards/checkOrder/{order_id}", 404), refused("NOT_FOUND"))


def test_a_key_that_may_not_see_codes_sees_none(asker: MakeAsker, shop: CompatShop) -> None:
    partner = shop.a_partner("1000.00")
    buyer = asker(partner_id=partner)
    order_id = buyer.place(buyer.kind("Tea voucher", "100 INR") | {"quantity": 1})["data"]["orderId"]
    clerk = asker(Mode.LIVE, "orders:read", partner_id=partner)
    order = clerk.get(f"/v3/gift-cards/checkOrder/{order_id}")["data"]
    assert (order["status"], order["fulfilled_quantity"], order["cards"]) == ("FULFILLED", 1, [])
    assert buyer.get(f"/v3/gift-cards/checkOrder/{order_id}")["data"]["cards"] != []


# --- 2.9: the list -----------------------------------------------------------------------------------------------------


@covers(LIST)
def test_the_list_has_full_orders_with_their_cards_newest_first(asker: MakeAsker, shop: CompatShop) -> None:
    caller = asker(partner_id=shop.a_partner("1000.00"))
    wanted = caller.kind("Tea voucher", "100 INR") | {"quantity": 1}
    placed = [caller.place(wanted)["data"]["orderId"] for _ in range(3)]
    body = caller.get("/v3/gift-cards/list")
    fits(body, like(examples.LIST))
    fits(body, success({"items": [ORDER_FINAL, 3], "pagination": PAGINATION}))
    items = body["data"]["items"]
    assert [one["_id"] for one in items] == placed[::-1]
    assert items[0] == caller.get(f"/v3/gift-cards/checkOrder/{placed[2]}")["data"]
    assert all(len(one["cards"]) == 1 for one in items)


LISTS = ["/v3/gift-cards/list", "/v3/account/transactions"]


@pytest.mark.parametrize("path", LISTS)
def test_total_pages_are_rounded_up_and_a_page_past_the_end_is_empty(asker: MakeAsker, shop: CompatShop, path: str) -> None:
    caller = asker(partner_id=shop.a_partner("1000.00"))
    wanted = caller.kind("Tea voucher", "100 INR") | {"quantity": 1}
    for _ in range(7):
        caller.place(wanted)
    total = 7 if path.endswith("list") else 8  # the deposit is a row too
    found = caller.get(path, params={"pageSize": 3})["data"]
    assert found["pagination"] == {"page": 1, "pageSize": 3, "totalPages": 3, "totalResults": total}
    beyond = caller.get(path, params={"page": 4, "pageSize": 3})["data"]
    assert beyond == {"items": [], "pagination": {"page": 4, "pageSize": 3, "totalPages": 3, "totalResults": total}}
    assert caller.get(path)["data"]["pagination"]["pageSize"] == 20
    assert caller.get(path, params={"pageSize": 100})["data"]["pagination"]["totalPages"] == 1


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=-1", "page=1.5", "page=x", "page=", "page=1&page=2", "page=99999999999", "pageSize=0", "pageSize=101",
        "pageSize=a", "pageSize=%00", "from=2026-01-01", "to=2026-01-01", "from=yesterday&to=today", "from=&to=",
        "from=2026-02-01&to=2026-01-01", "from=1969-01-01&to=2026-01-01", "from=2026-01-01&to=9999-12-31",
        "from=%D9%A2%D9%A0%D9%A2%D9%A6-01-01&to=2026-01-02", "page=%ff",
    ],
)  # fmt: skip
def test_a_query_out_of_bounds_is_refused_and_not_clamped(ask: Asker, path: str, query: str) -> None:
    fits(ask.get(f"{path}?{query}", 400), refused("ERR_VALIDATION"))


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_narrowed_by_time(ask: Asker, path: str) -> None:
    ask.place(ask.kind("Tea voucher", "100 INR") | {"quantity": 1})
    newest = ask.get(path)["data"]["items"][0]
    day = newest["time"][:10]
    for since, until in ((day, day), (newest["time"], newest["time"]), (f"{day}T00:00:00", f"{day}T23:59:59.999+00:00")):
        found = ask.get(path, params={"from": since, "to": until})["data"]
        assert newest["_id"] in [one["_id"] for one in found["items"]]
        assert found["pagination"]["totalResults"] >= 1
    assert ask.get(path, params={"from": "2020-01-01", "to": "2020-12-31T23:59:59Z"})["data"]["items"] == []


# --- 4: the sandbox ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_id", "quantity", "status", "count"),
    [
        ("TEST_REFUND", 4, "REFUNDED", 0),
        ("TEST_PARTIAL", 4, "PARTIALLY_FILLED", 2),
        ("TEST_PARTIAL", 5, "PARTIALLY_FILLED", 2),
        ("TEST_PARTIAL", 1, "REFUNDED", 0),
        ("65f0a1b2c3d4e5f607182a01", 3, "FULFILLED", 3),
        ("anything else", 1, "FULFILLED", 1),
    ],
)
def test_the_sandbox_is_steered_by_its_triggers(sandbox: Asker, type_id: str, quantity: int, status: str, count: int) -> None:
    order_id = sandbox.place({"productId": "string", "typeId": type_id, "quantity": quantity})["data"]["orderId"]
    body = sandbox.get(f"/v3/gift-cards/checkOrder/{order_id}")
    fits(body, success(ORDER_FINAL))
    order = body["data"]
    assert (order["status"], order["quantity"], order["fulfilled_quantity"]) == (status, quantity, count)
    assert (order["product"], order["type"]) == ("string", type_id)
    assert (order["price_per_card"], order["fulfilled_amount"]) == (0, 0)
    assert order["cards"] == [{"value": f"SANDBOX-CARD-{n}", "serial": f"SANDBOX-{n}"} for n in range(1, count + 1)]


def test_the_sandbox_keeps_the_checks_of_the_body(sandbox: Asker) -> None:
    for wrong in ({"quantity": 0}, {"productId": ""}, {"typeId": ""}):
        wanted = {"productId": "p", "typeId": "t", "quantity": 1} | wrong
        fits(sandbox.place(wanted, 400), refused("ERR_VALIDATION"))


def test_our_own_test_words_work_in_the_sandbox_too(sandbox: Asker) -> None:
    fits(sandbox.place({"productId": "p", "typeId": "TEST_OUT_OF_STOCK", "quantity": 1}, 400), refused("ERR_STOCK"))


def test_the_sandbox_has_a_balance_that_never_changes_and_sees_the_catalog(sandbox: Asker) -> None:
    before = sandbox.get("/v3/account/balance")["data"]["balance"]
    sandbox.place({"productId": "p", "typeId": "t", "quantity": 900})
    assert sandbox.get("/v3/account/balance")["data"]["balance"] == before == Profile().sandbox_balance
    (found,) = sandbox.get(f"/v3/gift-cards/checkProduct/{sandbox.product('Tea voucher')}")["data"]["types"]
    assert (found["price"], found["quantity"]) == (95, Profile().sandbox_stock)


# --- all of it ---------------------------------------------------------------------------------------------------------


def the_routes() -> list[str]:
    surface = OneClickDz(SimpleNamespace(parts=None), Profile())  # type: ignore[arg-type]  # nothing is asked of it
    return [f"{one.method} {one.path}" for one in surface.routes]


@pytest.mark.parametrize("route", the_routes())
def test_every_endpoint_is_proven_and_documented(route: str) -> None:
    assert route in COVERED
    page = (Path(__file__).parents[3] / "docs/compat/oneclickdz.md").read_text()
    assert f"`{route}`" in page
