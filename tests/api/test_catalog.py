"""The catalog over HTTP: pages, what the caller has already, stock and prices."""

from __future__ import annotations

from typing import Any

from cardrail.catalog import retire
from cardrail.orders import TEST_SKUS
from tests.api.build import Served, assert_problem


def test_products_are_listed_page_by_page(server: Served) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = server.live.get("/v1/products", params=query).json()
        seen += [one["code"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted(seen) == ["BOOKS", "SHOES", "TEA"]


def test_a_product_says_what_can_be_ordered_of_it(server: Served) -> None:
    tea = server.live.get("/v1/products/TEA").json()
    assert tea == server.live.get(f"/v1/products/{tea['id']}").json()
    assert [one["face_value"] for one in tea["denominations"]] == [{"amount": "100.00", "currency": "INR"}]
    (shoes,) = server.live.get("/v1/products/SHOES").json()["denominations"]
    assert shoes["range"]["maximum"] == {"amount": "1000.00", "currency": "INR"}


def test_the_shop_window_has_shelves_brands_and_products(server: Served) -> None:
    window = server.live.get("/v1/catalog").json()
    assert {one["name"] for one in window["categories"]} == {"Food", "Fashion", "Books"}
    assert {one["name"] for one in window["brands"]} == {"Tea house", "Shoe shop", "Book shop"}
    assert len(window["products"]["data"]) == 3


def test_filters_and_words_narrow_the_list(server: Served) -> None:
    for query in ({"q": "tea"}, {"brand": "tea-house"}, {"category": "food"}, {"q": "TEA", "country": "IN", "currency": "INR"}):
        found = [one["code"] for one in server.live.get("/v1/products", params=query).json()["data"]]
        assert found == ["TEA"], query


def test_a_page_that_the_caller_has_is_not_sent_again(server: Served) -> None:
    first = server.live.get("/v1/products")
    again = server.live.get("/v1/products", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert server.live.get("/v1/products", headers={"If-None-Match": '"other"'}).status_code == 200
    assert server.live.get("/v1/products", params={"limit": 1}).headers["etag"] != first.headers["etag"]


def test_a_retired_product_is_a_tombstone_for_those_who_ask_what_changed(server: Served) -> None:
    before = server.live.get("/v1/products")
    parts = server.cardrail
    retire(parts.db, parts.clock, parts.audit, ["TEA"], actor="test")
    server.settle()
    after = server.live.get("/v1/products", headers={"If-None-Match": before.headers["etag"]})
    assert {one["code"] for one in after.json()["data"]} == {"SHOES", "BOOKS"}
    changed = server.live.get("/v1/products", params={"updated_since": "2020-01-01T00:00:00Z"}).json()["data"]
    (tombstone,) = [one for one in changed if one["retired_at"] is not None]
    assert (tombstone["code"], tombstone["denominations"]) == ("TEA", [])
    assert_problem(server.live.get("/v1/prices/TEA"), 404, "unknown_sku")
    assert server.live.get("/v1/products/TEA").status_code == 200


def test_stock_counts_what_is_there_for_live_keys(server: Served) -> None:
    assert server.live.get("/v1/stock/TEA").json()["available"] == 50
    server.order("TEA", 3)
    assert server.live.get("/v1/stock/TEA").json()["available"] == 47
    empty = server.live.get("/v1/stock/SHOES", params={"face_value": "150"}).json()
    assert (empty["available"], empty["in_stock"], empty["face_value"]["amount"]) == (0, False, "150.00")
    assert server.test.get("/v1/stock/BOOKS").json()["in_stock"] is True


def test_stock_is_counted_to_the_last_unit(server: Served) -> None:
    server.world.stock("BOOKS", 1_234)
    assert server.live.get("/v1/stock/BOOKS").json()["available"] == 1_234


def test_test_keys_see_the_test_skus_and_live_keys_do_not(server: Served) -> None:
    for sku in TEST_SKUS:
        stock = server.test.get(f"/v1/stock/{sku}").json()
        assert (stock["available"], stock["in_stock"]) == ((0, False) if sku == "TEST_OUT_OF_STOCK" else (1_000, True))
        price = server.test.get(f"/v1/prices/{sku}", params={"quantity": 3}).json()
        assert (price["unit_price"], price["total"]["amount"]) == ({"amount": "10.00", "currency": "INR"}, "30.00")
        assert_problem(server.live.get(f"/v1/stock/{sku}"), 404, "unknown_sku")
        assert_problem(server.live.get(f"/v1/prices/{sku}"), 404, "unknown_sku")
    assert server.test.get("/v1/prices/TEST_OK", params={"currency": "USD"}).json()["total"]["currency"] == "USD"
    assert_problem(server.test.get("/v1/prices/TEST_OK", params={"face_value": "11"}), 422, "invalid_face_value")


def test_a_test_sku_is_quoted_and_ordered_with_its_quote(server: Served) -> None:
    server.test.put("/v1/sandbox/balance", json={"balance": {"amount": "100.00", "currency": "INR"}})
    body = {"items": [{"sku": "TEST_OK", "quantity": 2}, {"sku": "TEA", "quantity": 1}]}
    assert_problem(server.live.post("/v1/quotes", json=body), 404, "unknown_sku")
    quote = server.test.post("/v1/quotes", json=body).json()
    assert (quote["total"]["amount"], quote["items"][0]["total"]["amount"]) == ("115.00", "20.00")
    assert_problem(server.test.post("/v1/orders", json={**body, "quote_id": quote["id"]}), 402, "insufficient_funds")
    server.test.put("/v1/sandbox/balance", json={"balance": {"amount": "115.00", "currency": "INR"}})
    assert server.test.post("/v1/orders", json={**body, "quote_id": quote["id"]}).json()["charged"]["amount"] == "115.00"


def test_prices_are_right_to_the_minor_unit(server: Served) -> None:
    fixed = server.live.get("/v1/prices/TEA", params={"quantity": 3}).json()
    assert (fixed["unit_price"]["amount"], fixed["unit_discount"]["amount"], fixed["total"]["amount"]) == (
        "95.00",
        "5.00",
        "285.00",
    )
    ranged = server.live.get("/v1/prices/SHOES", params={"face_value": "999"}).json()
    assert ranged["unit_price"]["amount"] == "964.04"  # 999.00 x 96.5 % = 964.035, halves up
    odd = server.live.get("/v1/prices/BOOKS").json()
    assert odd["unit_price"]["amount"] == "32.16"  # 33.33 x 96.5 % = 32.16345
    assert_problem(server.live.get("/v1/prices/SHOES"), 422, "face_value_required")
    assert_problem(server.live.get("/v1/prices/SHOES", params={"face_value": "5"}), 422, "invalid_face_value")
