"""Surfaces G and V1 as an operator may set them, at a host name of their own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller

PROFILES = """\
[foxreload.generic]
stock_steps = [1, 5]
range_face_values = ["300"]
failure = "supplier_error"
[foxreload.v1]
currency = "INR"
first_answer = "current"
unique_reference = true
webhook_codes = true
fx_lock_minutes = 5
categories = {code = "game-code"}
category_by_slug = {food = "gift-card"}
requests_per_minute = 3
inventory_seconds = 0
"""


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """These are about the wire."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A file of profiles, and a host name."""
    path = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    path.write_text(PROFILES)
    return {"dialect_profiles": path, "dialect_hosts": "fox.example=foxreload"}


@pytest.fixture(scope="module")
def live(shop: CompatShop) -> Caller:
    return caller(shop, "/v1")


def test_the_first_answer_may_show_the_order_as_it_stands(shop: CompatShop, live: Caller) -> None:
    before, key = shop.balance(), {"Idempotency-Key": str(uuid4())}
    order = live.post("/orders", {"sku": "TEA", "quantity": 1}, headers=key)
    assert (order["status"], len(order["codes"]), order["unit_price_usd"]) == ("delivered", 1, "95.00")
    assert order["delivery_data"]["code"] == order["codes"][0]["code"]
    assert live.post("/orders", {"sku": "TEA", "quantity": 1}, headers=key) == order
    assert order["fx_locked_until"] > order["created_at"]
    assert before - shop.balance() == 9500


def test_a_reference_may_bind_one_order(shop: CompatShop, live: Caller) -> None:
    wanted = {"sku": "TEA", "quantity": 1, "reference": "cart-9"}
    first, before = live.post("/orders", wanted), shop.balance()
    assert live.post("/orders", wanted)["order_id"] == first["order_id"]
    live.refused("POST", "/orders", 422, "idempotency_conflict", json=wanted | {"quantity": 2})
    live.refused("POST", "/orders", 422, "idempotency_conflict", json=wanted, headers={"Idempotency-Key": str(uuid4())})
    assert shop.balance() == before


def test_categories_and_faces_and_steps_are_the_operator_s(shop: CompatShop, live: Caller) -> None:
    rows = {one["sku_id"]: one["category"] for one in live.get("/catalog")["data"]}
    assert (rows["TEA"], rows["BOOKS"]) == ("gift-card", "game-code")
    generic = caller(shop)
    assert "SHOES:300" in {one["sku"] for one in generic.get("/catalog")["items"]}
    assert generic.get("/stock/TEA") == {"sku": "TEA", "available": True, "quantity_min": 5, "quantity_max": None}
    failed = caller(shop, "", Mode.TEST).post("/orders", {"sku": "TEST_REFUND", "quantity": 1, "reference": "r"})
    assert failed["error"] == "supplier_error"


def test_the_limit_is_the_profile_s_where_a_key_has_none_of_its_own(shop: CompatShop) -> None:
    mine = caller(shop, "/v1", partner_id=shop.a_partner(), requests_per_minute=None)
    for _ in range(3):
        mine.get("/balance")
    mine.refused("GET", "/balance", 429, "rate_limited")


def test_a_host_name_of_its_own_serves_the_vendor_s_paths(shop: CompatShop) -> None:
    key = shop.credential("foxreload")["api_key"]
    outside = Caller(shop.url, key)
    outside.http.headers["host"] = "fox.example"
    assert outside.get("/catalog").keys() == {"items", "next_cursor"}
    assert outside.get("/v1/catalog").keys() == {"data", "next_cursor"}
    outside.refused("GET", "/v1/orders/x", 404, "not_found")
    outside.refused("GET", "/v2/orders", 404, "not_found")
    outside.http.close()
