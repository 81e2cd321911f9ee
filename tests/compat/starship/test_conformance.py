"""Every endpoint of the sheet (specs/starship.md): fields, types, what is absent, pages and their bounds."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cardrail.api.dialects.starship import DIALECT
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.catalog import import_catalog
from cardrail.kernel import Mode
from tests.build import HEADER
from tests.compat.build import CompatShop
from tests.compat.shapes import fits, parse
from tests.compat.starship import shapes
from tests.compat.starship.conftest import Asker, MakeAsker

PAGE_HEADERS = ("x-page", "x-per-page", "x-total-count", "x-total-pages", "x-page-size", "x-has-more")
LISTS = {
    "/api/v1/products": (50, 10_000, "limit"),
    "/api/v1/orders": (10, 100, "limit"),
    "/api/v1/wallets": (50, 10_000, "limit"),
    "/api/v1/transactions": (50, 10_000, "limit"),
    "/api/v1/categories": (25, 100, "per_page"),
    "/api/v1/subcategories": (25, 100, "per_page"),
    "/api/v1/countries": (50, 10_000, "limit"),
    "/api/v1/currencies": (50, 10_000, "limit"),
}
"""List → default and largest page, and how its size is asked for."""


@pytest.mark.parametrize("name", shapes.EXAMPLES)
def test_the_sheets_own_examples_are_of_the_shapes_that_answers_are_held_to(name: str) -> None:
    shape, example = shapes.EXAMPLES[name]
    fits(parse(example), shape)


# --- 1. transport -----------------------------------------------------------------------------------------------------


def test_status_needs_no_credential_and_names_its_request(shop: CompatShop, ask: Asker) -> None:
    assert ask.get("/status", headers={"X-Request-Id": "mine-1", "Authorization": ""}) == {"status": "ok"}
    assert ask.answer.headers["x-request-id"] == "mine-1"
    ask.get("/status")
    assert ask.answer.headers["x-request-id"]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_a_bare_array_with_its_page_in_six_headers(ask: Asker, path: str) -> None:
    rows = ask.get(path)
    assert isinstance(rows, list)
    found = {name: ask.answer.headers[name] for name in PAGE_HEADERS}
    total, size = int(found["x-total-count"]), LISTS[path][0]
    assert found == {
        "x-page": "1",
        "x-per-page": str(size),
        "x-total-count": str(total),
        "x-total-pages": str(-(-total // size)),
        "x-page-size": str(len(rows)),
        "x-has-more": "true" if total > size else "false",
    }


@pytest.mark.parametrize("path", LISTS)
def test_a_page_has_bounds(ask: Asker, path: str) -> None:
    _, most, name = LISTS[path]
    ask.get(f"{path}?{name}={most}&page=1000000")
    assert (ask.answer.headers["x-page-size"], ask.answer.headers["x-has-more"]) == ("0", "false")
    for query in (
        f"{name}={most + 1}",
        f"{name}=0",
        f"{name}=-1",
        f"{name}=x",
        f"{name}=1.5",
        "page=0",
        "page=x",
        "page=" + "9" * 29,
    ):
        body = ask.get(f"{path}?{query}", 400)
        fits(body, shapes.SHAPE_B)
        assert body["error"]["code"] == "VALIDATION_FAILURE"
        assert set(body["error"]["messages"]) == {query.partition("=")[0]}


def test_pages_follow_one_another_without_gap_or_double(ask: Asker) -> None:
    whole = ask.get("/api/v1/countries?limit=1000")
    cut = [one for page in range(1, 100) for one in ask.get(f"/api/v1/countries?limit=97&page={page}") if page <= 3]
    assert cut == whole
    assert len(whole) >= 195


# --- 2.1, 2.2 products ------------------------------------------------------------------------------------------------


def test_products_of_both_generations(ask: Asker, keyed: Asker) -> None:
    first, second = ask.get("/api/v1/products"), keyed.get("/api/v1/products")
    fits(first, [shapes.PRODUCT])
    fits(second, [shapes.PRODUCT_2])
    assert [one["id"] for one in first] == sorted([one["id"] for one in second], reverse=True)
    assert {one["delivery_mode"] for one in first} == {"Digital"}
    assert {(one["delivery_type"], one["delivery_time"]) for one in first} == {("Email", "Instant")}
    assert {(one["delivery_type"], one["delivery_time"]) for one in second} == {("code", "instant")}


def test_a_denomination_is_fixed_or_a_range_with_its_percentage(ask: Asker) -> None:
    assert ask.product("Tea voucher")["available_denominations"] == [{"min_value": 100, "max_value": 100, "discount": 5}]
    shoes = ask.product("Shoe voucher")["available_denominations"]
    assert shoes == [{"min_value": 100, "max_value": 1000, "discount": Decimal("3.5")}]
    assert b'"min_value":100.00,"max_value":1000.00,"discount":3.5' in ask.answer.content


def test_products_are_narrowed_and_sorted(ask: Asker) -> None:
    every = ask.get("/api/v1/products")
    assert {one["name"] for one in ask.get("/api/v1/products?category=gaming")} == {"Game card", "Wallet card", "Sold-out card"}
    assert ask.get("/api/v1/products?currency_id=356&country_id=222") == every
    assert ask.get("/api/v1/products?currency_id=840") == ask.get("/api/v1/products?country_id=1") == []
    up = ask.get("/api/v1/products", params={"sort": '{"Field":"id","Direction":"ASC"}'})
    assert up == every[::-1]
    names = [one["name"] for one in ask.get("/api/v1/products", params={"sort": '{"field":"name","direction":"ASC"}'})]
    assert names == sorted(names, key=str.casefold)
    for sort in ("id", "[]", '{"field":"price"}', '{"field":"id","direction":"UP"}', '{"field":1}'):
        assert ask.get("/api/v1/products", 400, params={"sort": sort})["error"]["messages"].keys() == {"sort"}


def test_a_product_has_its_texts(ask: Asker, keyed: Asker) -> None:
    tea = ask.product("Tea voucher")
    fits(ask.get(f"/api/v1/products/{tea['id']}"), shapes.PRODUCT | shapes.TEXTS)
    fits(keyed.get(f"/api/v1/products/{tea['id']}"), shapes.PRODUCT_2 | shapes.TEXTS)
    assert ask.get("/api/v1/products/12", 404)["error"]["code"] == "NOT_FOUND"
    for text in ("0", "x", "-1", "1.5", "9" * 30):
        assert ask.get(f"/api/v1/products/{text}", 400)["error"]["code"] == "VALIDATION_FAILURE"


# --- 2.3 availability -------------------------------------------------------------------------------------------------


def test_availability_is_asked_for_with_post_or_get(ask: Asker) -> None:
    path = f"/api/v1/products/{ask.product('Shoe voucher')['id']}/availability"
    for denomination, quantity, expected in ((250, 1, True), (250, 10_000, False), (300, 1, False)):
        body = {"denomination": denomination, "quantity": quantity}
        assert ask.post(path, body) == {"is_available": expected} == ask.get(path, params=body)
    assert ask.answer.headers["cache-control"] == "no-store"


def test_what_is_bought_on_demand_is_available_from_stock_too(ask: Asker, shop: CompatShop) -> None:
    """An order takes it: the codes that came late for another one lie there."""
    part = shop.cardrail
    sheet = HEADER.replace(b"\n", b",sourcing\n") + b"LATE,Late card,Game shop,Gaming,code,IN,INR,fixed,200,,,1,on_demand\n"
    import_catalog(part.db, part.clock, part.audit, sheet, actor="test")
    part.catalog.refresh()
    shop.world.stock("LATE", 2)
    path = f"/api/v1/products/{ask.product('Late card')['id']}/availability"
    assert ask.post(path, {"denomination": 200, "quantity": 2}) == {"is_available": True}
    assert ask.post(path, {"denomination": 200, "quantity": 3}) == {"is_available": False}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quantity": 1}, "denomination"),
        ({"denomination": 100}, "quantity"),
        ({"denomination": 0, "quantity": 1}, "denomination"),
        ({"denomination": 100, "quantity": 0}, "quantity"),
        ({"denomination": 100, "quantity": 1.5}, "quantity"),
        ({"denomination": 100, "quantity": "1"}, "quantity"),
        ({"denomination": True, "quantity": 1}, "denomination"),
        ({"denomination": 1_000_000_001, "quantity": 1}, "denomination"),
        ({"denomination": None, "quantity": 1}, "denomination"),
    ],
)
@pytest.mark.parametrize("operation", ["availability", "charges"])
def test_what_is_asked_for_is_checked_field_by_field(ask: Asker, operation: str, body: dict[str, Any], field: str) -> None:
    answer = ask.post(f"/api/v1/products/{ask.product('Tea voucher')['id']}/{operation}", body, 400)
    fits(answer, shapes.SHAPE_B)
    assert answer["error"]["code"] == "E_VALIDATION_FAILURE"
    assert set(answer["error"]["messages"]) == {field}


# --- 2.4 charges ------------------------------------------------------------------------------------------------------


def test_charges_say_what_an_order_costs(ask: Asker) -> None:
    tea = ask.product("Tea voucher")["id"]
    charges = ask.post(f"/api/v1/products/{tea}/charges", {"denomination": "100.00", "quantity": 3})
    fits(charges, shapes.CHARGES)
    raw = ask.answer.content
    for text in (
        b'"non_discounted_total":300.00',
        b'"discount_amount":15.00',
        b'"total_payable":285.00',
        b'"discount":5.0',
        b'"gst_amount":0.00',
    ):
        assert text in raw
    details = charges["charges_details"]
    assert details == {"source_currency": "INR", "destination_currency": "INR", "forex_rate": None, "conversion_fee": None}
    assert ask.post(f"/api/v1/products/{tea}/charges", {"denomination": 100.0, "quantity": 3.0}) == charges


def test_a_price_that_does_not_divide_is_rounded_by_the_unit(ask: Asker) -> None:
    books = ask.product("Book voucher")["id"]
    charges = ask.post(f"/api/v1/products/{books}/charges", {"denomination": 33.33, "quantity": 7})
    found = [charges[name] for name in ("non_discounted_total", "discount_amount", "total_amount", "total_payable")]
    assert found == [Decimal(one) for one in ("233.31", "8.19", "225.12", "225.12")]


def test_charges_refuse_what_an_order_would(ask: Asker) -> None:
    tea = ask.product("Tea voucher")["id"]
    path = f"/api/v1/products/{tea}/charges"
    most = ask.post(path, {"denomination": 100, "quantity": 1})["max_quantity"]
    assert ask.post(path, {"denomination": 100, "quantity": most})["total_payable"] == 95 * most
    assert ask.post(path, {"denomination": 100, "quantity": most + 1}, 400)["error"]["code"] == "BAD_REQUEST"
    assert ask.post(path, {"denomination": 99, "quantity": 1}, 400)["error"]["code"] == "NOT_FOUND"
    assert ask.post(path, {"denomination": 100.001, "quantity": 1}, 400)["error"]["code"] == "NOT_FOUND"
    assert ask.post("/api/v1/products/12/charges", {"denomination": 100, "quantity": 1}, 400)["error"]["code"] == "NOT_FOUND"
    assert ask.post(path, {"denomination": 100, "quantity": 1, "wallet_id": 12}, 404)["error"]["code"] == "NOT_FOUND"


# --- 2.5 to 2.7 orders ------------------------------------------------------------------------------------------------


def test_a_small_order_is_delivered_in_its_own_answer(ask: Asker) -> None:
    body = ask.wanted(quantity=2, ref="CONF-1", email="pat@example.org")
    before = ask.wallet_amount()
    created = ask.order(body)
    fits(created, shapes.CREATED)
    assert b'"amount":200.00' in ask.answer.content
    assert b'"discount":10.00' in ask.answer.content
    assert (created["ref"], created["status"], len(created["vouchers"])) == ("CONF-1", "DELIVERED", 2)
    assert before - ask.wallet_amount() == 190


def test_the_same_order_in_the_list_and_in_detail(ask: Asker) -> None:
    created = ask.order(ask.wanted(quantity=2, ref="CONF-2", email="pat@example.org"))
    (listed,) = [one for one in ask.get("/api/v1/orders?limit=100") if one["id"] == created["id"]]
    fits(listed, shapes.LISTED)
    assert (listed["product_name"], listed["currency"], listed["mobile"]) == ("Tea voucher", "INR", None)
    details = ask.get(f"/api/v1/orders/{created['id']}")
    fits(details, shapes.DETAILS)
    assert details["vouchers"] == created["vouchers"]
    for name in ("transaction_id", "product_id", "quantity", "placed_at"):
        assert created[name] == listed[name] == details[name]
    assert (listed["reference_code"], listed["email"]) == (created["ref"], "pat@example.org")
    assert (details["amount"], details["denomination"], details["discount"]) == ("200.00", "100.00", "10.00")
    assert (listed["amount"], listed["status"], details["status"]) == ("200.00", "delivered", "delivered")


def test_an_order_of_more_units_is_answered_pending_and_read_afterwards(ask: Asker) -> None:
    created = ask.order(ask.wanted(quantity=6))
    assert (created["status"], created["vouchers"]) == ("PENDING", [])
    details = ask.get(f"/api/v1/orders/{created['id']}")
    assert (details["status"], len(details["vouchers"])) == ("delivered", 6)


def test_the_second_generation_delivers_from_stock_at_once(keyed: Asker) -> None:
    created = keyed.order(keyed.wanted(quantity=6), Idempotency_Key="conf-g2-6")
    fits(created, shapes.CREATED)
    assert (created["status"], len(created["vouchers"])) == ("DELIVERED", 6)


def test_a_ref_that_is_not_given_is_made(ask: Asker) -> None:
    body = ask.wanted(quantity=1)
    one, other = ask.order(body), ask.order(body)
    assert re.fullmatch(r"\d{10}[A-Z2-7]{26}", one["ref"])
    assert one["ref"] != other["ref"]
    assert ask.get(f"/api/v1/orders/{one['id']}")["reference_code"] == one["ref"]


def test_orders_are_narrowed_by_status_and_product(ask: Asker, sandbox: Asker) -> None:
    ids = {}
    for sku, status in {
        "TEST_OK": "DELIVERED",
        "TEST_PARTIAL": "PARTIALLY_DELIVERED",
        "TEST_REFUND": "FAILED",
        "TEST_PENDING": "PLACED",
    }.items():
        body = sandbox.wanted(f"Test product {sku}", quantity=2)
        ids[status] = sandbox.order(body)["id"]
        assert sandbox.get(f"/api/v1/orders/{ids[status]}")["status"] == status.lower()
        (found,) = sandbox.get(f"/api/v1/orders?product_id={body['product_id']}")
        assert found["id"] == ids[status]
    for status in shapes.STATUSES:
        for text in (status, status.lower()):
            found = sandbox.get(f"/api/v1/orders?status={text}&limit=100")
            assert {one["status"] for one in found} <= {status.lower()}
            assert status not in ids or ids[status] in [one["id"] for one in found]
    assert sandbox.get("/api/v1/orders?product_id=12") == []
    assert sandbox.get("/api/v1/orders?status=DONE", 400)["error"]["messages"].keys() == {"status"}


def test_a_partial_order_shows_what_was_delivered_and_is_charged_for_just_that(sandbox: Asker) -> None:
    before = sandbox.wallet_amount()
    created = sandbox.order(sandbox.wanted("Test product TEST_PARTIAL", quantity=4))
    assert (created["status"], created["quantity"], len(created["vouchers"])) == ("PARTIALLY_DELIVERED", 4, 2)
    assert before - sandbox.wallet_amount() == 20
    assert sandbox.get(f"/api/v1/transactions/{created['transaction_id']}")["amount"] == 20


def test_a_credential_that_may_not_see_codes_gets_none(asker: MakeAsker, shop: CompatShop) -> None:
    partner = shop.a_partner()
    blind = asker(Mode.LIVE, "catalog:read", "orders:read", "orders:write", partner_id=partner)
    created = blind.order(blind.wanted())
    assert (created["status"], created["vouchers"]) == ("DELIVERED", [])
    assert blind.get(f"/api/v1/orders/{created['id']}")["vouchers"] == []


# --- 2.8, 2.9 wallets and transactions --------------------------------------------------------------------------------


def test_wallets(ask: Asker, shop: CompatShop) -> None:
    wallets = ask.get("/api/v1/wallets")
    fits(wallets, [shapes.WALLET])
    (mine,) = [one for one in wallets if one["currency_id"] == 356]
    assert mine["type"] == "PREPAID"
    assert ask.get(f"/api/v1/wallets/{mine['id']}") == mine
    assert ask.get("/api/v1/wallets?currency_id=840&type=prepaid") == ask.get("/api/v1/wallets?type=POSTPAID")
    assert ask.get("/api/v1/wallets?is_active=false") == []
    for query in ("type=x", "is_active=maybe", "currency_id=x"):
        ask.get(f"/api/v1/wallets?{query}", 400)
    for field in ("id", "amount", "created_at", "updated_at"):
        assert ask.get("/api/v1/wallets", params={"sort": f'{{"field":"{field}","direction":"ASC"}}'}) == wallets[::-1]
    assert ask.get("/api/v1/wallets/12", 404)["error"]["code"] == "NOT_FOUND"


def test_transactions(ask: Asker) -> None:
    created = ask.order(ask.wanted(quantity=1))
    rows = ask.get("/api/v1/transactions?limit=10000")
    fits(rows, [shapes.TRANSACTION])
    assert (rows[0]["id"], rows[0]["transaction_type"], rows[0]["status"], rows[0]["amount"]) == (
        created["transaction_id"],
        "DEBIT",
        "COMPLETED",
        95,
    )
    assert str(created["id"]) in rows[0]["remarks"]
    assert len({one["id"] for one in rows}) == len(rows)
    for row in [rows[0], rows[-1]]:
        assert ask.get(f"/api/v1/transactions/{row['id']}") == row
    received = ask.get("/api/v1/transactions?transaction_type=credit&limit=10000")
    debits = ask.get("/api/v1/transactions?transaction_type=DEBIT&limit=10000")
    assert len(received) + len(debits) == len(rows)
    assert sum(one["amount"] for one in received) - sum(one["amount"] for one in debits) == ask.wallet_amount()
    assert ask.get(f"/api/v1/transactions?wallet_id={rows[0]['wallet_id']}&limit=10000") == rows
    assert ask.get("/api/v1/transactions/12", 404)["error"]["code"] == "NOT_FOUND"
    ask.get("/api/v1/transactions?wallet_id=12", 404)


def test_transactions_are_sorted_by_what_is_asked(ask: Asker) -> None:
    for field, key in (("amount", "amount"), ("created_at", "created_at")):
        found = [
            one[key]
            for one in ask.get(
                "/api/v1/transactions", params={"limit": 10_000, "sort": f'{{"field":"{field}","direction":"ASC"}}'}
            )
        ]
        assert found == sorted(found)


def test_a_transaction_is_pending_while_money_is_set_aside_and_failed_once_it_is_given_back(sandbox: Asker) -> None:
    pending = sandbox.order(sandbox.wanted("Test product TEST_PENDING", quantity=2))["transaction_id"]
    failed = sandbox.order(sandbox.wanted("Test product TEST_REFUND", quantity=2))["transaction_id"]
    for number, status in ((pending, "PENDING"), (failed, "FAILED")):
        row = sandbox.get(f"/api/v1/transactions/{number}")
        assert (row["status"], row["transaction_type"], row["amount"]) == (status, "DEBIT", 20)
        assert number in [one["id"] for one in sandbox.get(f"/api/v1/transactions?status={status.lower()}&limit=10000")]


# --- 2.10 reference data ----------------------------------------------------------------------------------------------


def test_categories_and_subcategories(ask: Asker) -> None:
    rows = ask.get("/api/v1/categories")
    fits(rows, [shapes.CATEGORY])
    assert {one["name"] for one in rows} >= {"Food", "Gaming"}
    assert ask.get(f"/api/v1/categories/{rows[0]['id']}") == rows[0]
    assert ask.get("/api/v1/categories?limit=1&page=2") == rows[1:2] == ask.get("/api/v1/categories?per_page=1&page=2")
    assert ask.get("/api/v1/subcategories") == []
    for path in ("categories/12", f"subcategories/{rows[0]['id']}"):
        assert ask.get(f"/api/v1/{path}", 404)["error"]["code"] == "NOT_FOUND"


def test_countries(ask: Asker) -> None:
    rows = ask.get("/api/v1/countries?limit=10000")
    fits(rows, [shapes.COUNTRY])
    (india,) = [one for one in rows if one["code"] == "IN"]
    assert (india["name"], india["currency_code"]) == ("India", "INR")
    assert ask.get(f"/api/v1/countries/{india['id']}") == india
    assert india in ask.get("/api/v1/countries?search=INDI")
    assert ask.get("/api/v1/countries?search=nowhere") == []
    assert len({one["id"] for one in rows}) == len(rows)
    assert ask.product("Tea voucher")["country_id"] == india["id"]
    ask.get("/api/v1/countries/1", 404)


def test_currencies(ask: Asker) -> None:
    rows = ask.get("/api/v1/currencies?active_only=false&limit=10000")
    fits(rows, [shapes.CURRENCY])
    assert len(rows) >= 45
    (rupee,) = [one for one in rows if one["code"] == "INR"]
    assert (rupee["decimal_places"], rupee["base_currency"]) == (2, "USD")
    assert Decimal("33.33") in rupee["supported_denominations"]
    assert ask.get(f"/api/v1/currencies/{rupee['id']}") == rupee
    assert {one["code"] for one in ask.get("/api/v1/currencies?base_currency=inr")} >= {"INR"}
    assert ask.get("/api/v1/currencies?base_currency=INR")[0]["meta"]["base_currency"] == "INR"
    assert ask.get("/api/v1/currencies?base_currency=XQQ", 400)["error"]["code"] == "INVALID_INPUT"
    assert ask.product("Tea voucher")["currency_id"] == rupee["id"]
    ask.get("/api/v1/currencies/1", 404)


# --- 2.12 webhooks ----------------------------------------------------------------------------------------------------

HOOK = {"name": "mine", "url": "https://hooks.example/starship", "events": ["order.delivered", "order.cancelled"]}


def test_a_webhook_is_registered_read_changed_and_deleted(keyed: Asker) -> None:
    made = keyed.post("/api/v1/webhooks", HOOK)
    fits(made, shapes.WEBHOOK)
    assert {name: made[name] for name in ("name", "url", "is_active")} == {"name": "mine", "url": HOOK["url"], "is_active": True}
    assert made["events"] == sorted(HOOK["events"])
    path = f"/api/v1/webhooks/{made['id']}"
    assert keyed.get("/api/v1/webhooks") == [made] == [keyed.get(path)]
    changed = keyed("PUT", path, json={"name": "ours", "is_active": False, "events": ["order.failed"]})
    assert changed == made | {"name": "ours", "is_active": False, "events": ["order.failed"]}
    assert keyed("PUT", path, json={"is_active": True})["is_active"] is True
    assert keyed("DELETE", path)["id"] == made["id"]
    assert keyed.get("/api/v1/webhooks") == []
    for method in ("GET", "PUT", "DELETE"):
        assert keyed(method, path, 404, json={})["error"]["code"] == "NOT_FOUND"


def test_a_webhook_is_signed_with_the_secret_of_a_credential(keyed: Asker, shop: CompatShop) -> None:
    client_id = keyed.post("/auth/login", {name: keyed.credential[name] for name in ("username", "password")})["client_id"]
    made = keyed.post("/api/v1/webhooks", HOOK | {"credential_id": client_id})
    assert made["credential_id"] == client_id
    book = shop.cardrail.webhooks
    (endpoint,) = book.of_partner(shop.partner_id, Mode.LIVE)
    with shop.cardrail.db.read() as tx:
        (secret,) = book.secrets(tx, endpoint.id)
    assert secret.secret.reveal() == keyed.credential["signing_secret"]
    assert keyed.post("/api/v1/webhooks", HOOK | {"credential_id": 12}, 404)["error"]["code"] == "NOT_FOUND"
    keyed("DELETE", f"/api/v1/webhooks/{made['id']}")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"url": None}, "url"),
        ({"url": "http://hooks.example/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "nowhere"}, "url"),
        ({"events": None}, "events"),
        ({"events": []}, "events"),
        ({"events": ["order.completed"]}, "events"),
        ({"events": "order.created"}, "events"),
        ({"credential_id": "x"}, "credential_id"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(keyed: Asker, change: dict[str, Any], field: str) -> None:
    refused = keyed.post("/api/v1/webhooks", {name: one for name, one in (HOOK | change).items() if one is not None}, 400)
    assert set(refused["error"]["messages"]) == {field}
    assert keyed.get("/api/v1/webhooks") == []


# --- the whole table --------------------------------------------------------------------------------------------------


def test_every_endpoint_is_tested_here_and_told_in_its_page() -> None:
    desk = type("Desk", (), {"parts": type("Parts", (), {"catalog": None})()})()
    ((_, surface),) = DIALECT.build(desk, StarshipProfile())
    here = Path(__file__).parent
    tests = "".join([path.read_text() for path in sorted(here.glob("test_*.py"))])
    page = (here.parents[2] / "docs" / "compat" / "starship.md").read_text()
    for route in surface.routes:
        stem = re.sub(r"/\{id\}.*", "", route.path)
        assert stem in tests, route.path
        assert f"`{route.method} {route.path}`" in page, f"{route.method} {route.path}"
