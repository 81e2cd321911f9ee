"""Surface P, endpoint by endpoint, as specs/foxreload.md has it: sections 1.3, 2.3, 2.5, 3.3, 3.4, 6 and 7."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cardrail.access import PartnerNotFound
from cardrail.api.dialects.foxreload.public.account import Account
from cardrail.api.dialects.foxreload.public.catalog import Catalog
from cardrail.api.dialects.foxreload.public.errors import WORDS, error_answer
from cardrail.api.dialects.foxreload.public.orders import Orders
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.shelf import Shelves
from cardrail.api.dialects.foxreload.public.states import STATUSES
from cardrail.api.dialects.foxreload.public.texts import TEST_PRODUCTS
from cardrail.api.errors import STATUS
from cardrail.kernel import Mode, OrderId, id_of_uuid
from cardrail.orders import Behaviour, OrderState, find_orders
from tests.compat.build import CompatShop
from tests.compat.foxreload.public import TEXTS, Api, Callers, furnish, refused
from tests.compat.shapes import Anything, Either, Number, Only, fits

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PRODUCT = re.compile(r"product_[0-9a-hjkmnp-tv-z]{26}")
MONEY = re.compile(r"\d+\.\d{2,6}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MAYBE_TEXT = Either(str, None)
MAYBE_MONEY = Either(MONEY, None)
MAYBE_INT = Either(int, None)
MAYBE_UUID = Either(UUID, None)

CATEGORY = {
    "id": UUID,
    "name": str,
    "slug": str,
    "description": MAYBE_TEXT,
    "bestOfferPrice": MAYBE_MONEY,
    "attributes": {"country_code?": str, "currency?": str},
    "attributeDefinitions": [Anything],
    "tags": [str],
    "parentId": MAYBE_UUID,
    "hasProducts": bool,
    "inStockCount": MAYBE_INT,
    "imagePath": MAYBE_TEXT,
    "thumbnailPath": MAYBE_TEXT,
}
PRODUCT_SHAPE = {
    "id": PRODUCT,
    "name": str,
    "slug": re.compile(r"[a-z0-9-]+"),
    "categoryId": UUID,
    "description": MAYBE_TEXT,
    "attributes": {"amount?": Number, "currency?": str, "country_code?": str},
    "price": MAYBE_MONEY,
    "currency": re.compile(r"[a-z]{3}"),
    "quantity": MAYBE_INT,
    "orderMinQuantity": MAYBE_INT,
    "orderMaxQuantity": MAYBE_INT,
    "requiredNoteFields": Either([str], None),
    "noteFieldOptions": Either({"*": [str]}, None),
    "noteFieldTypes": Either({"*": Only("string", "integer", "number", "email", "select")}, None),
    "deliveryType": str,
    "isService": bool,
    "userGuide": MAYBE_TEXT,
    "imagePath": MAYBE_TEXT,
    "thumbnailPath": MAYBE_TEXT,
}
ITEM = {
    "itemId": PRODUCT,
    "quantity": int,
    "totalPrice": MONEY,
    "note": Either({"*": Anything}, None),
    "externalData": Either([str], None),
    "error": MAYBE_TEXT,
    "userGuide": MAYBE_TEXT,
}
ORDER = {
    "id": UUID,
    "status": Only("active", "paid", "processing", "completed", "cancelled", "failed"),
    "price": MONEY,
    "currency": re.compile(r"[a-z]{3}"),
    "isMock": bool,
    "paymentExpiresAt": MOMENT,
    "cancelReason": Either(Only("payment_failure", "payment_expiration", "user_request"), None),
    "createdAt": MOMENT,
    "updatedAt": MOMENT,
    "items": [ITEM],
}
PAYMENT = {
    "id": re.compile(r"pay_[0-9a-f]+"),
    "orderId": UUID,
    "status": Only("paid", "pending"),
    "paymentProvider": MAYBE_TEXT,
    "amount": MONEY,
    "currency": re.compile(r"[a-z]{3}"),
    "paymentUrl": MAYBE_TEXT,
}


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What goes over the wire does not depend on the database; the story runs on both."""
    return "sqlite"


@pytest.fixture(scope="module")
def callers(shop: CompatShop) -> Iterator[Callers]:
    furnish(shop)
    made = Callers(shop)
    yield made
    made.close()


@pytest.fixture(scope="module")
def api(callers: Callers) -> Api:
    return callers.of()


@pytest.fixture(scope="module")
def test_api(callers: Callers) -> Api:
    return callers.of(Mode.TEST)


# --- the table itself ----------------------------------------------------------------------------------------------------

COVERED = {
    ("GET", "/categories"): "test_categories_are_a_page",
    ("GET", "/categories/tree"): "test_the_tree_is_an_object_of_categories_with_children",
    ("GET", "/categories/{category}"): "test_a_category_is_found_by_id_and_by_slug",
    ("GET", "/products"): "test_products_of_a_category_come_in_pages_with_a_total",
    ("GET", "/products/search"): "test_a_search_answers_with_a_bare_array",
    ("GET", "/products/{product}"): "test_a_product_is_found_by_id_and_by_slug",
    ("POST", "/orders"): "test_an_order_is_created_unpaid",
    ("GET", "/orders"): "test_the_history_is_a_page_newest_first",
    ("GET", "/orders/{order}"): "test_a_paid_order_is_completed_with_its_codes",
    ("POST", "/orders/{order}/pay"): "test_a_payment_from_the_balance",
    ("GET", "/access/me"): "test_access_me_tells_whose_key_it_is",
    ("GET", "/access/me/balances"): "test_balances_are_a_bare_array",
    ("GET", "/topups/rates/{currency}"): "test_rates_of_a_currency",
}
"""Each endpoint, and the first test of it."""


def test_every_endpoint_has_a_test_and_a_line_in_the_documentation() -> None:
    shelves = Shelves(PublicProfile())
    routes = [
        *Catalog(PublicProfile(), shelves).routes(),
        *Orders(PublicProfile(), shelves).routes(),
        *Account(PublicProfile()).routes(),
    ]
    assert {(one.method, one.path) for one in routes} == set(COVERED)
    documented = (Path(__file__).parents[3] / "docs/compat/foxreload.md").read_text()
    for (method, path), name in COVERED.items():
        assert name in globals()
        assert f"`{method} /api{path}`" in documented, f"docs/compat/foxreload.md says nothing of {method} /api{path}"


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_code_of_ours_has_a_word_of_theirs(code: str) -> None:
    assert re.fullmatch(r"[A-Z_]+", WORDS[code][1])
    assert 400 <= WORDS[code][0] <= 599


def test_what_has_no_word_is_an_internal_error_that_says_nothing() -> None:
    answer = error_answer(PartnerNotFound(detail="a secret", where="a secret"), {})
    assert answer.status == 500
    assert b"secret" not in answer.body.lower()


# --- who asks, and the envelope -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "fr_live_wrong", "x" * 5_000])
def test_a_key_that_is_missing_or_wrong_is_unauthorized(callers: Callers, key: str | None) -> None:
    refused(callers.bare(key).get("/access/me", 401), "UNAUTHORIZED")


def test_a_bearer_token_is_no_key_here(shop: CompatShop, callers: Callers) -> None:
    token = shop.credential("foxreload")["api_key"]
    refused(callers.bare(None, {"Authorization": f"Bearer {token}"}).get("/access/me", 401), "UNAUTHORIZED")


def test_another_dialects_key_and_a_native_one_are_wrong_here(shop: CompatShop, callers: Callers) -> None:
    for token in (shop.native_key(), shop.credential("oneclickdz")["api_key"]):
        refused(callers.bare(token).get("/access/me", 401), "UNAUTHORIZED")


def test_a_key_of_another_address_is_forbidden(shop: CompatShop, callers: Callers) -> None:
    key = shop.credential("foxreload", partner_id=shop.a_partner(), networks=("10.9.0.0/16",))["api_key"]
    refused(callers.bare(key).get("/access/me", 403), "FORBIDDEN")


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/products/tea", "catalog:read"),
        ("GET", "/orders", "orders:read"),
        ("POST", "/orders", "orders:write"),
        ("GET", "/access/me/balances", "balances:read"),
    ],
)
def test_a_key_without_the_scope_is_forbidden(shop: CompatShop, callers: Callers, method: str, path: str, needed: str) -> None:
    other = "catalog:read" if needed != "catalog:read" else "orders:read"
    partner = shop.a_partner()
    refused(callers.of(Mode.LIVE, other, partner_id=partner).call(method, path, 403), "FORBIDDEN")


def test_one_request_too_many_is_told_when_to_come_again(shop: CompatShop, callers: Callers) -> None:
    key = shop.credential("foxreload", partner_id=shop.a_partner(), requests_per_minute=2)["api_key"]
    caller = callers.bare(key)
    for _ in range(2):
        caller.get("/access/me")
    response = caller.http.get("/access/me")
    assert response.status_code == 429
    assert re.fullmatch(r"[1-9]\d?", response.headers["retry-after"])
    refused(response.json(), "RATE_LIMITED")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/topups/crypto/", 404),
        ("GET", "/", 404),
        ("DELETE", "/orders", 405),
        ("PUT", "/products/tea", 405),
        ("GET", "/orders/{}/pay", 405),
    ],
)
def test_an_unknown_path_or_method_comes_in_the_envelope(api: Api, method: str, path: str, status: int) -> None:
    refused(api.call(method, path, status), "NOT_FOUND")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"x"', b"null", b"[" * 10_000])
def test_a_broken_body_comes_in_the_envelope(api: Api, body: bytes) -> None:
    refused(api.call("POST", "/orders/", 422, content=body), "VALIDATION_ERROR")


def test_a_body_that_is_too_large_comes_in_the_envelope(api: Api) -> None:
    refused(api.call("POST", "/orders/", 413, content=b" " * 2_000_000), "VALIDATION_ERROR")


def test_a_body_needs_no_content_type(api: Api, shop: CompatShop) -> None:
    body = f'{{"items": [{{"itemId": "{api.product("tea")["id"]}", "quantity": 1}}]}}'
    fits(api.call("POST", "/orders", 201, content=body, headers={"Content-Type": "text/plain"}), ORDER)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_at_the_end_makes_no_difference(api: Api, slash: str) -> None:
    for path in ("/categories", "/categories/tree", "/categories/food", "/products/tea", "/access/me", "/access/me/balances"):
        api.get(path + slash)
    api.get("/products" + slash, category_id_or_slug="food")
    api.get("/products/search" + slash, query="tea")
    order = api.post("/orders" + slash, {"items": api.items(("tea", 1))}, 201)
    api.post(f"/orders/{order['id']}/pay" + slash, {})
    api.get(f"/orders/{order['id']}" + slash)


# --- categories ------------------------------------------------------------------------------------------------------------


def test_categories_are_a_page(api: Api) -> None:
    page = api.get("/categories/")
    fits(page, {"items": [CATEGORY], "limit": int, "nextCursor": None})
    assert page["limit"] == 20
    assert [one["slug"] for one in page["items"]] == ["books", "fashion", "food", "game-currency", "gaming", "other"]
    (food,) = [one for one in page["items"] if one["slug"] == "food"]
    assert (food["bestOfferPrice"], food["inStockCount"], food["hasProducts"]) == ("95.00", 1, True)
    assert (food["attributes"], food["tags"]) == ({"country_code": "IN", "currency": "INR"}, ["gift-card"])


def test_categories_are_read_page_by_page(api: Api) -> None:
    slugs, cursor = [], None
    for _ in range(10):
        page = api.get("/categories", limit=2, **({"cursor": cursor} if cursor else {}))
        slugs += [one["slug"] for one in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert slugs == ["books", "fashion", "food", "game-currency", "gaming", "other"]


def test_categories_are_narrowed_by_tag_and_stock(api: Api) -> None:
    assert [one["slug"] for one in api.get("/categories", tag="top-up")["items"]] == ["game-currency"]
    assert "game-currency" not in [one["slug"] for one in api.get("/categories", withStockOnly="true")["items"]]
    assert api.get("/categories", parent_id_or_slug="food")["items"] == []


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"withStockOnly": "maybe"}, {"cursor": "AAAA"}])
def test_a_query_out_of_bounds_is_refused(api: Api, query: dict[str, Any]) -> None:
    refused(api.get("/categories", 422, **query), "VALIDATION_ERROR")


def test_a_category_is_found_by_id_and_by_slug(api: Api) -> None:
    food = api.get("/categories/food")
    fits(food, CATEGORY)
    assert api.get(f"/categories/{food['id']}") == api.get(f"/categories/{food['id'].upper()}/") == food
    refused(api.get("/categories/nowhere", 404), "NOT_FOUND")
    refused(api.get("/categories", 404, parent_id_or_slug="nowhere"), "NOT_FOUND")


def test_the_tree_is_an_object_of_categories_with_children(api: Api) -> None:
    tree = api.get("/categories/tree", depth=2)
    fits(tree, {"items": [{**CATEGORY, "children": [Anything]}]})
    assert [one["slug"] for one in tree["items"]] == ["books", "fashion", "food", "game-currency", "gaming", "other"]
    assert api.get("/categories/tree", parentId="food") == {"items": []}
    assert "game-currency" not in str(api.get("/categories/tree", withStockOnly=1))


# --- products --------------------------------------------------------------------------------------------------------------


def test_products_of_a_category_come_in_pages_with_a_total(api: Api) -> None:
    page = api.get("/products/", category_id_or_slug="gaming")
    fits(page, {"items": [PRODUCT_SHAPE], "limit": int, "offset": int, "total": int})
    assert (page["limit"], page["offset"], page["total"]) == (50, 0, 4)
    second = api.get("/products/", category_id_or_slug=page["items"][0]["categoryId"], limit=1, offset=1)
    assert second["items"] == page["items"][1:2]
    assert api.get("/products/", category_id_or_slug="gaming", offset=9) == {"items": [], "limit": 50, "offset": 9, "total": 4}
    present = api.get("/products/", category_id_or_slug="gaming", withStockOnly="True")
    assert [one["slug"] for one in present["items"]] == ["walletcard"]


def test_the_whole_catalog_comes_by_cursor(api: Api) -> None:
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"nextCursor": ""}
    while page["nextCursor"] is not None:
        page = api.get("/products/", includeDescendants="true", limit=3, cursor=page["nextCursor"])
        fits(page, {"items": [PRODUCT_SHAPE], "limit": int, "nextCursor": Either(str, None), "total": int})
        found += page["items"]
    assert len(found) == len({one["id"] for one in found}) == page["total"] == 12
    below = api.get("/products/", includeDescendants="true", categoryId="food")
    assert [one["slug"] for one in below["items"]] == ["tea"]


def test_products_are_asked_for_in_one_of_two_forms(api: Api) -> None:
    refused(api.get("/products/", 422), "VALIDATION_ERROR", "category_id_or_slug")
    refused(api.get("/products/", 422, limit=10), "VALIDATION_ERROR")
    refused(api.get("/products/", 404, category_id_or_slug="nowhere"), "NOT_FOUND")
    refused(api.get("/products/", 404, includeDescendants=1, categoryId="nowhere"), "NOT_FOUND")
    refused(api.get("/products/", 422, category_id_or_slug="food", limit=201), "VALIDATION_ERROR")
    refused(api.get("/products/", 422, category_id_or_slug="food", offset=-1), "VALIDATION_ERROR")
    refused(api.get("/products/", 422, cursor="AAAA"), "VALIDATION_ERROR")


def test_a_search_answers_with_a_bare_array(api: Api) -> None:
    found = api.get("/products/search", query="Game card")
    fits(found, [PRODUCT_SHAPE])
    assert [one["slug"] for one in found] == ["game-500", "game-1000", "soldout"]
    assert api.get("/products/search", query="монеты") == api.get("/products/search", query="coins")
    assert [one["slug"] for one in api.get("/products/search", query="card", limit=1, offset=1)] == ["game-1000"]
    assert api.get("/products/search", query="card", category_id_or_slug="food") == []
    assert [one["slug"] for one in api.get("/products/search", query="game", withStockOnly="1")] == []
    refused(api.get("/products/search", 422), "VALIDATION_ERROR", "query")
    refused(api.get("/products/search", 422, query="  "), "VALIDATION_ERROR")


def test_a_product_is_found_by_id_and_by_slug(api: Api) -> None:
    tea = api.get("/products/tea")
    fits(tea, PRODUCT_SHAPE)
    assert api.get(f"/products/{tea['id']}") == api.get(f"/products/{tea['id'].upper()}") == api.get("/products/TEA") == tea
    assert (tea["name"], tea["price"], tea["currency"]) == ("Tea voucher 100 INR", "95.00", "inr")
    assert (tea["attributes"], tea["orderMinQuantity"]) == ({"amount": 100, "currency": "INR", "country_code": "IN"}, 1)
    for unknown in ("nothing", "product_" + "0" * 26, "product_x", "test-ok"):
        refused(api.get(f"/products/{unknown}", 404), "NOT_FOUND")


def test_a_products_stock_is_of_now(api: Api) -> None:
    before = api.product("books")["quantity"]
    api.bought(("books", 3))
    assert api.product("books")["quantity"] == before - 3
    assert api.product("soldout")["quantity"] == 0
    assert api.product("odd")["quantity"] is None  # a supplier brings what is missing
    assert api.product("link")["quantity"] == 0  # and of this there is none
    listed = api.get("/products/", category_id_or_slug="other", withStockOnly="true")["items"]
    assert [one["slug"] for one in listed] == ["odd"]


def test_a_range_is_priced_by_the_unit_of_its_currency(api: Api) -> None:
    card = api.product("walletcard")
    assert (card["price"], card["orderMinQuantity"], card["orderMaxQuantity"]) == ("0.975", 50, 5000)
    assert (card["quantity"], card["attributes"]) == (None, {"currency": "INR", "country_code": "IN"})


def test_a_price_that_does_not_exist_is_null(api: Api, shop: CompatShop) -> None:
    assert api.product("noprice")["price"] is None
    refused(api.create(("noprice", 1), status=409), "OUT_OF_STOCK")


def test_a_product_says_which_notes_it_needs(api: Api) -> None:
    coins = api.product("coins-100")
    assert coins["requiredNoteFields"] == ["player_id", "server"]
    assert coins["noteFieldTypes"] == {"player_id": "integer", "server": "select", "email": "email"}
    assert coins["noteFieldOptions"] == {"server": ["EU", "US", "ASIA"]}
    assert (coins["isService"], coins["deliveryType"]) == (True, "topup")


@pytest.mark.parametrize("language", ["en", "ru", "de", "RU"])
def test_the_language_selects_texts(callers: Callers, language: str) -> None:
    coins = callers.of(headers={"X-Language": language}).product("coins-100")
    texts = TEXTS.get(language.lower(), TEXTS["en"])
    assert coins["name"] == f"{texts['name']} 100 INR"
    assert (coins["description"], coins["userGuide"]) == (texts["description"], texts["instructions"])


@pytest.mark.parametrize(("code", "price"), [("usd", "1.03"), ("rub", "94.59"), ("USD", "1.03"), ("inr", "95.00"), ("jpy", None)])
def test_the_currency_selects_prices(callers: Callers, code: str, price: str | None) -> None:
    tea = callers.of(headers={"X-Currency": code}).product("tea")
    assert (tea["price"], tea["currency"]) == (price, code.lower())


def test_a_currency_that_does_not_exist_is_refused(callers: Callers) -> None:
    caller = callers.of(headers={"X-Currency": "zzz"})
    refused(caller.get("/products/tea", 422), "VALIDATION_ERROR", "X-Currency")
    refused(caller.post("/orders/", {"items": [{"itemId": "x", "quantity": 1}]}, 422), "VALIDATION_ERROR")


# --- creating orders -------------------------------------------------------------------------------------------------------


def test_an_order_is_created_unpaid(api: Api, shop: CompatShop) -> None:
    before = shop.balance()
    order = api.create(("tea", 2), isMock=False)
    fits(order, ORDER)
    assert (order["status"], order["price"], order["currency"], order["isMock"]) == ("active", "190.00", "inr", False)
    assert (order["cancelReason"], shop.balance()) == (None, before)
    (item,) = order["items"]
    assert (item["quantity"], item["totalPrice"], item["note"], item["externalData"]) == (2, "190.00", None, None)
    assert api.get(f"/orders/{order['id']}") == api.get(f"/orders/{order['id'].upper()}") == order


def test_the_price_that_does_not_divide(api: Api) -> None:
    order = api.create(("books", 7))
    assert order["price"] == "225.12"  # 33.33 less 3.5 % is 32.16, seven times


def test_an_order_waits_thirty_minutes_for_its_payment(api: Api) -> None:
    order = api.create(("tea", 1))
    hour, minute, second = (int(part) for part in order["createdAt"][11:19].split(":"))
    seconds = (hour * 3600 + minute * 60 + second + 1800) % 86_400
    assert order["paymentExpiresAt"][11:19] == f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{}] * 11}, "items"),
        ({"items": [{"itemId": "TEA"}]}, "quantity"),
        ({"items": [{"itemId": "TEA", "quantity": 0}]}, "quantity"),
        ({"items": [{"itemId": "TEA", "quantity": 1001}]}, "quantity"),
        ({"items": [{"itemId": "TEA", "quantity": "1"}]}, "quantity"),
        ({"items": [{"itemId": "TEA", "quantity": 1.5}]}, "quantity"),
        ({"items": [{"itemId": "TEA", "quantity": True}]}, "quantity"),
        ({"items": [{"itemId": 7, "quantity": 1}]}, "itemId"),
        ({"items": [{"itemId": "TEA", "quantity": 1, "note": "x"}]}, "note"),
        ({"items": [{"itemId": "TEA", "quantity": 1, "totalPrice": "x"}]}, "totalPrice"),
        ({"items": [{"itemId": "TEA", "quantity": 1, "totalPrice": "1e999999"}]}, "totalPrice"),
        ({"items": [{"itemId": "TEA", "quantity": 1, "totalPrice": 1e300}]}, "totalPrice"),
        ({"items": [{"itemId": "TEA", "quantity": 1}], "isMock": "yes"}, "isMock"),
        ({"items": [{"itemId": "TEA", "quantity": 1}], "idempotencyKey": ""}, "idempotencyKey"),
        ({"items": [{"itemId": "TEA", "quantity": 1}], "idempotencyKey": "a\nb"}, "idempotencyKey"),
        ({"items": [{"itemId": "TEA", "quantity": 1}], "idempotencyKey": "x" * 256}, "idempotencyKey"),
    ],
)
def test_a_body_of_another_shape_is_refused(api: Api, body: dict[str, Any], where: str) -> None:
    tea = api.product("tea")["id"]
    for item in body.get("items", []):
        if item.get("itemId") == "TEA":
            item["itemId"] = tea
    refused(api.post("/orders/", body, 422), "VALIDATION_ERROR", where)


def test_unknown_members_are_passed_over(api: Api) -> None:
    (item,) = api.items(("tea", 1, {"notes": {"a": 1}, "player_id": "7"}))
    order = api.post("/orders", {"items": [item], "reference": "mine", "isMock": None}, 201)
    assert order["items"][0]["note"] is None


@pytest.mark.parametrize("item_id", ["product_" + "0" * 26, "tea", "", "TEA", "den_x", "x" * 500])
def test_an_unknown_product_is_not_found(api: Api, item_id: str) -> None:
    refused(api.post("/orders/", {"items": [{"itemId": item_id, "quantity": 1}]}, 404), "NOT_FOUND", "items[0].itemId")


@pytest.mark.parametrize("price", ["190.00", "190", "190.0000", 190, 190.0])
def test_the_lines_total_may_be_sent_as_a_guard(api: Api, price: Any) -> None:
    api.create(("tea", 2, {"totalPrice": price}))


@pytest.mark.parametrize("price", ["95.00", "189.99", "190.01", 0, "-190.00"])
def test_another_total_is_no_match(api: Api, price: Any) -> None:
    refused(api.create(("tea", 2, {"totalPrice": price}), status=409), "OFFER_PRICE_NOT_MATCHED", "190.00 inr")


def test_more_than_there_is_is_refused_at_once(api: Api) -> None:
    refused(api.create(("soldout", 1), status=409), "OUT_OF_STOCK", "items[0]")
    refused(api.create(("tea", 300), ("tea", 300), status=409), "OUT_OF_STOCK", "items[1]")


def test_a_key_is_used_once(api: Api, shop: CompatShop) -> None:
    first = api.create(("tea", 1), idempotencyKey="shop-1")
    refused(api.create(("tea", 1), status=409, idempotencyKey="shop-1"), "ORDER_ALREADY_EXISTS")
    refused(api.create(("tea", 2), status=409, idempotencyKey="shop-1"), "ORDER_ALREADY_EXISTS")
    # It is told before what has become wrong since.
    for wrong in (("tea", 1, {"totalPrice": "1.00"}), ("soldout", 1)):
        refused(api.create(wrong, status=409, idempotencyKey="shop-1"), "ORDER_ALREADY_EXISTS")
    (found,) = [one for one in api.get("/orders")["items"] if one["id"] == first["id"]]
    assert found["status"] == "active"


def test_an_idempotency_header_is_ignored(callers: Callers) -> None:
    caller = callers.of(headers={"Idempotency-Key": "the-same"})
    assert caller.create(("tea", 1))["id"] != caller.create(("tea", 1))["id"]


# --- notes (section 6) -----------------------------------------------------------------------------------------------------


def test_a_note_is_what_the_product_needs_and_extra_members_are_kept(test_api: Api) -> None:
    note = {"player_id": 7700123, "server": "EU", "nick": {"a": [1, None]}}
    order = test_api.bought(("coins-100", 1, {"note": note}))
    assert (order["status"], order["items"][0]["note"], order["items"][0]["error"]) == ("completed", note, None)
    assert order["items"][0]["userGuide"] == TEXTS["en"]["instructions"]
    simple = {"player_id": "7700123", "server": "US"}
    assert test_api.create(("coins-100", 1, {"note": simple}))["items"][0]["note"] == simple


@pytest.mark.parametrize(
    ("note", "field"),
    [
        (None, "player_id"),
        ({}, "player_id"),
        ({"player_id": "7700123"}, "server"),
        ({"player_id": "7700123", "server": ""}, "server"),
        ({"player_id": "7700123", "server": "MARS"}, "server"),
        ({"player_id": "seven", "server": "EU"}, "player_id"),
        ({"player_id": True, "server": "EU"}, "player_id"),
        ({"player_id": ["7700123"], "server": "EU"}, "player_id"),
        ({"player_id": "7700123", "server": "EU", "email": "no"}, "email"),
        ({"player_id": "7700123", "server": "EU", "extra": "x" * 5_000}, "note"),
    ],
)
def test_a_note_that_does_not_do_names_the_field(test_api: Api, note: dict[str, Any] | None, field: str) -> None:
    refused(
        test_api.create(("coins-100", 1, {"note": note}), status=422),
        "VALIDATION_ERROR",
        f"note.{field}" if field != "note" else "note",
    )


def test_an_amount_is_the_quantity_of_a_range(api: Api, shop: CompatShop) -> None:
    before = shop.balance()
    order = api.bought(("walletcard", 100, {"totalPrice": "97.50"}), ("shoes", 250))
    assert [(one["quantity"], one["totalPrice"], len(one["externalData"])) for one in order["items"]] == [
        (100, "97.50", 1),
        (250, "241.25", 1),
    ]
    assert (order["price"], before - shop.balance()) == ("338.75", 33_875)


@pytest.mark.parametrize(("slug", "quantity"), [("walletcard", 49), ("walletcard", 5001), ("odd", 10), ("odd", 41), ("odd", 12)])
def test_an_amount_outside_the_range_is_refused(api: Api, slug: str, quantity: int) -> None:
    refused(api.create((slug, quantity), status=422), "VALIDATION_ERROR", "quantity")


def test_a_price_that_is_multiplied_out_is_no_mismatch(api: Api) -> None:
    card = api.product("walletcard")
    for quantity in (100, 51, 53, 4999):
        total = Decimal(card["price"]) * quantity
        for text in (str(total), str(total.quantize(Decimal("0.01")))):
            status = 201 if quantity == 100 else 409  # of other amounts there is no card
            answer = api.create(("walletcard", quantity, {"totalPrice": text}), status=status)
            assert status == 201 or answer["code"] == "OUT_OF_STOCK", answer
    refused(api.create(("walletcard", 100, {"totalPrice": "97.49"}), status=409), "OFFER_PRICE_NOT_MATCHED")


# --- paying ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{}", b'{"paymentProvider": null}', b'{"paymentReturnUrl": "https://x.example"}'])
def test_a_payment_from_the_balance(api: Api, shop: CompatShop, body: bytes) -> None:
    before = shop.balance()
    order = api.create(("tea", 1))
    payment = api.call("POST", f"/orders/{order['id']}/pay", 200, content=body)
    fits(payment, PAYMENT)
    assert (payment["status"], payment["amount"], payment["orderId"]) == ("paid", "95.00", order["id"])
    assert (payment["paymentProvider"], payment["paymentUrl"], before - shop.balance()) == (None, None, 9_500)


def test_an_order_is_paid_once(api: Api, shop: CompatShop) -> None:
    order = api.create(("tea", 1))
    api.pay(order)
    before = shop.balance()
    refused(api.pay(order, 400), "ORDER_PAYMENT_NOT_POSSIBLE")
    assert shop.balance() == before


def test_a_payment_provider_is_not_served(api: Api) -> None:
    order = api.create(("tea", 1))
    answer = api.post(f"/orders/{order['id']}/pay", {"paymentProvider": "pally"}, 400)
    refused(answer, "ORDER_PAYMENT_NOT_POSSIBLE", "balance")
    refused(api.post(f"/orders/{order['id']}/pay", {"paymentProvider": 7}, 422), "VALIDATION_ERROR", "paymentProvider")
    assert api.get(f"/orders/{order['id']}")["status"] == "active"


def test_a_balance_that_is_too_low_is_told_when_it_is_paid(callers: Callers, shop: CompatShop) -> None:
    poor = callers.of(partner_id=shop.a_partner("12.40"))
    order = poor.create(("tea", 1))
    refused(poor.pay(order, 400), "BALANCE_NOT_ENOUGH", "Available 12.40 inr, needed 95.00 inr")
    assert poor.get(f"/orders/{order['id']}")["status"] == "active"


def test_an_order_is_paid_from_the_wallet_of_its_currency(callers: Callers, shop: CompatShop) -> None:
    dollars = callers.of(headers={"X-Currency": "usd"})
    before = shop.balance(currency="USD")
    order = dollars.bought(("tea", 2))
    assert (order["price"], order["currency"], before - shop.balance(currency="USD")) == ("2.06", "usd", 206)
    roubles = callers.of(headers={"X-Currency": "rub"})
    refused(roubles.pay(roubles.create(("tea", 1)), 400), "BALANCE_NOT_ENOUGH", "Available 0.00 rub")


def test_stock_that_went_meanwhile_leaves_a_part_and_charges_just_that(api: Api, shop: CompatShop) -> None:
    shop.world.stock("GAME-500", 3)
    first, second = api.create(("game-500", 2)), api.create(("game-500", 2), ("tea", 1))
    third = api.create(("game-500", 1))
    api.pay(first)
    before = shop.balance()
    api.pay(second)
    order = api.get(f"/orders/{second['id']}")
    assert (order["status"], order["price"], before - shop.balance()) == ("completed", "1055.00", 57_500)
    partial, whole = order["items"]
    assert (len(partial["externalData"]), partial["error"]) == (1, "1 of 2 could not be delivered; they are not charged.")
    assert (len(whole["externalData"]), whole["error"]) == (1, None)
    refused(api.pay(third, 409), "OUT_OF_STOCK")
    assert api.get(f"/orders/{third['id']}")["status"] == "active"


# --- reading orders --------------------------------------------------------------------------------------------------------


def test_a_paid_order_is_completed_with_its_codes(api: Api, shop: CompatShop) -> None:
    order = api.bought(("tea", 2))
    fits(order, ORDER)
    assert order["status"] == "completed"
    assert len(order["items"][0]["externalData"]) == 2
    assert all(one.startswith("TEA-") for one in order["items"][0]["externalData"])


def test_a_code_and_its_pin_are_one_text(test_api: Api) -> None:
    (code,) = test_api.bought(("tea", 1))["items"][0]["externalData"]
    assert re.fullmatch(r"TEST[-0-9A-Z]+;\d+", code)


def test_a_key_that_may_not_see_codes_sees_none(shop: CompatShop, callers: Callers) -> None:
    blind = callers.of(Mode.LIVE, "orders:read", "orders:write", "catalog:read", partner_id=shop.a_partner())
    order = blind.bought(("tea", 1))
    assert (order["status"], order["items"][0]["externalData"]) == ("completed", None)


def test_another_partners_order_is_unknown(shop: CompatShop, callers: Callers, api: Api) -> None:
    order = api.create(("tea", 1))
    stranger = callers.of(partner_id=shop.a_partner())
    refused(stranger.get(f"/orders/{order['id']}", 404), "NOT_FOUND")
    refused(stranger.pay(order, 404), "NOT_FOUND")
    assert stranger.get("/orders")["items"] == []


@pytest.mark.parametrize("order_id", ["x", "00000000-0000-0000-0000-000000000000", "ord_01J9", "%00"])
def test_an_unknown_order_is_not_found(api: Api, order_id: str) -> None:
    refused(api.get(f"/orders/{order_id}", 404), "NOT_FOUND")
    refused(api.post(f"/orders/{order_id}/pay", {}, 404), "NOT_FOUND")


def test_the_history_is_a_page_newest_first(shop: CompatShop, callers: Callers) -> None:
    own = callers.of(partner_id=shop.a_partner("100000.00"))
    ids = [own.create(("tea", 1))["id"] for _ in range(4)]
    page = own.get("/orders/")
    fits(page, {"items": [ORDER], "limit": int, "offset": int, "total": int})
    assert ([one["id"] for one in page["items"]], page["total"], page["limit"]) == (ids[::-1], 4, 50)
    assert [one["id"] for one in own.get("/orders", limit=2, offset=1)["items"]] == ids[1:3][::-1]
    assert own.get("/orders", offset=9)["items"] == []


def test_the_history_is_narrowed_by_status_and_time(shop: CompatShop, callers: Callers) -> None:
    own = callers.of(Mode.TEST, partner_id=shop.a_partner("100000.00"))
    active, completed = own.create(("tea", 1)), own.bought(("tea", 1))
    failed, paid = own.bought(("test-refund", 1)), own.bought(("test-pending", 1))
    by_status = {"active": active, "completed": completed, "failed": failed, "paid": paid}
    for status, order in by_status.items():
        found = own.get("/orders", status=status)
        assert ([one["id"] for one in found["items"]], found["total"]) == ([order["id"]], 1)
    both = own.get("/orders", status=["active", "failed"])["items"]
    assert [one["id"] for one in both] == [failed["id"], active["id"]]
    assert own.get("/orders", status="canceled,processing")["total"] == 0
    assert own.get("/orders", createdFrom=active["createdAt"])["total"] == 4
    assert own.get("/orders", createdFrom="2020-01-01", createdTo=active["createdAt"])["total"] == 0
    assert own.get("/orders", createdTo="2099-01-01T00:00:00.5+02:00")["total"] == 4


@pytest.mark.parametrize(
    "query", [{"status": "done"}, {"limit": 0}, {"limit": 201}, {"offset": -1}, {"createdFrom": "soon"}, {"createdTo": "1"}]
)
def test_a_history_query_out_of_bounds_is_refused(api: Api, query: dict[str, Any]) -> None:
    refused(api.get("/orders", 422, **query), "VALIDATION_ERROR", next(iter(query)))


# --- states ----------------------------------------------------------------------------------------------------------------


def test_every_state_of_ours_has_a_status() -> None:
    assert {state for states in STATUSES.values() for state in states} == set(OrderState)


def test_what_fails_is_failed_and_costs_nothing(test_api: Api, shop: CompatShop) -> None:
    before = shop.balance(mode=Mode.TEST)
    order = test_api.bought(("test-refund", 2))
    assert (order["status"], order["items"][0]["externalData"]) == ("failed", None)
    assert order["items"][0]["error"]
    assert shop.balance(mode=Mode.TEST) == before


def test_what_waits_is_paid_and_what_its_partner_withdraws_is_cancelled(test_api: Api, shop: CompatShop) -> None:
    order = test_api.bought(("test-pending", 1))
    assert (order["status"], order["cancelReason"]) == ("paid", None)
    _cancel(shop, order)
    after = test_api.get(f"/orders/{order['id']}")
    assert (after["status"], after["cancelReason"]) == ("cancelled", "user_request")
    refused(test_api.pay(order, 400), "ORDER_PAYMENT_NOT_POSSIBLE")


def _cancel(shop: CompatShop, order: dict[str, Any]) -> None:
    """By the native API, as an operator's partner may."""
    import httpx2  # only here

    token = shop.native_key(Mode.TEST)
    order_id = id_of_uuid("ord", order["id"])
    headers = {"Authorization": f"Bearer {token}"}
    response = httpx2.post(f"{shop.url}/v1/orders/{order_id}/cancel", headers=headers, trust_env=False)
    assert response.status_code == 200, response.text


def test_reserved_products_are_there_for_test_keys(test_api: Api, api: Api) -> None:
    for sku, made in TEST_PRODUCTS.items():
        found = test_api.get(f"/products/{made}")
        fits(found, PRODUCT_SHAPE)
        assert found["slug"] == sku.lower().replace("_", "-")
        assert (found["price"], test_api.product(found["slug"])["id"]) == ("10.00", made)
        refused(api.get(f"/products/{made}", 404), "NOT_FOUND")
        refused(api.post("/orders", {"items": [{"itemId": made, "quantity": 1}]}, 404), "NOT_FOUND")
    stock = TEST_PRODUCTS[Behaviour.OUT_OF_STOCK.value]
    order = test_api.post("/orders", {"items": [{"itemId": stock, "quantity": 1}]}, 201)
    refused(test_api.pay(order, 409), "OUT_OF_STOCK")
    price = TEST_PRODUCTS[Behaviour.PRICE_CHANGED.value]
    refused(test_api.post("/orders", {"items": [{"itemId": price, "quantity": 1}]}, 409), "OFFER_PRICE_NOT_MATCHED")


# --- mock orders (section 3.4) ---------------------------------------------------------------------------------------------


def test_a_mock_order_of_a_live_key_debits_nothing_and_is_found_again(api: Api, shop: CompatShop) -> None:
    before, stock = shop.balance(), api.product("tea")["quantity"]
    order = api.create(("tea", 2), isMock=True)
    assert (order["status"], order["isMock"], order["price"]) == ("active", True, "190.00")
    api.pay(order)
    paid = api.get(f"/orders/{order['id']}")
    assert (paid["status"], paid["isMock"], len(paid["items"][0]["externalData"])) == ("completed", True, 2)
    assert all(one.startswith("TEST-") for one in paid["items"][0]["externalData"])
    assert (shop.balance(), api.product("tea")["quantity"]) == (before, stock)
    (row,) = find_orders(shop.cardrail.db, ids=[OrderId(id_of_uuid("ord", order["id"]) or "")])
    assert row.mode is Mode.TEST


def test_a_mock_order_needs_no_balance(callers: Callers, shop: CompatShop) -> None:
    poor = callers.of(partner_id=shop.a_partner(None))
    assert poor.bought(("tea", 5), isMock=True)["status"] == "completed"
    assert poor.bought(("soldout", 5), isMock=True)["status"] == "completed"


def test_a_test_keys_own_orders_are_none_of_a_live_keys(api: Api, test_api: Api) -> None:
    order = test_api.create(("tea", 1))
    assert order["isMock"] is False
    refused(api.get(f"/orders/{order['id']}", 404), "NOT_FOUND")
    assert test_api.create(("tea", 1), isMock=True)["isMock"] is True


@pytest.mark.parametrize(("outcome", "status"), [("failed", "failed"), ("partial", "completed")])
def test_a_mock_order_ends_as_its_note_says(api: Api, outcome: str, status: str) -> None:
    note = {"mock_outcome": outcome}
    order = api.bought(("tea", 4, {"note": note, "totalPrice": "380.00"}), isMock=True)
    (item,) = order["items"]
    assert (order["status"], item["note"], item["quantity"]) == (status, note, 4)
    assert item["itemId"] == api.product("tea")["id"]
    assert item["error"]
    assert len(item["externalData"] or []) == (2 if outcome == "partial" else 0)


def test_a_mock_order_whose_payment_fails_is_cancelled(api: Api) -> None:
    order = api.create(("tea", 1, {"note": {"mock_outcome": "cancelled"}}), isMock=True)
    refused(api.pay(order, 400), "ORDER_PAYMENT_NOT_POSSIBLE")
    after = api.get(f"/orders/{order['id']}")
    assert (after["status"], after["cancelReason"]) == ("cancelled", "payment_failure")
    refused(api.pay(order, 400), "ORDER_PAYMENT_NOT_POSSIBLE")


def test_an_unknown_mock_outcome_is_refused_and_a_live_order_ignores_it(api: Api) -> None:
    refused(
        api.create(("tea", 1, {"note": {"mock_outcome": "odd"}}), status=422, isMock=True), "VALIDATION_ERROR", "mock_outcome"
    )
    assert api.bought(("tea", 1, {"note": {"mock_outcome": "failed"}}))["status"] == "completed"


# --- the account -----------------------------------------------------------------------------------------------------------


def test_access_me_tells_whose_key_it_is(api: Api) -> None:
    me = api.get("/access/me")
    fits(me, {"email": re.compile(r"\S+@\S+"), "isActive": bool, "id": str, "name": str})
    assert me["isActive"] is True


def test_balances_are_a_bare_array(api: Api, callers: Callers, shop: CompatShop) -> None:
    found = api.get("/access/me/balances/")
    fits(found, [{"currency": re.compile(r"[a-z]{3}"), "available": MONEY, "reserved": MONEY, "pending": MONEY}])
    (inr,) = [one for one in found if one["currency"] == "inr"]
    assert inr["available"] == f"{shop.balance() // 100}.{shop.balance() % 100:02}"
    empty = callers.of(partner_id=shop.a_partner(None)).get("/access/me/balances")
    assert empty == [{"currency": "inr", "available": "0.00", "reserved": "0.00", "pending": "0.00"}]


def test_what_is_held_is_reserved(callers: Callers, shop: CompatShop) -> None:
    own = callers.of(Mode.TEST, partner_id=shop.a_partner("100.00"))
    own.bought(("test-pending", 2))
    assert own.get("/access/me/balances") == [{"currency": "inr", "available": "80.00", "reserved": "20.00", "pending": "0.00"}]


def test_rates_of_a_currency(api: Api) -> None:
    found = api.get("/topups/rates/usd")
    assert found == {"rates": [{"from": "usd", "to": "inr", "rate": "92.5"}, {"from": "usd", "to": "rub", "rate": "92.1"}]}
    assert [one["to"] for one in api.get("/topups/rates/RUB/")["rates"]] == ["inr", "usd"]
    assert api.get("/topups/rates/jpy") == {"rates": []}
    refused(api.get("/topups/rates/zzz", 404), "NOT_FOUND")
