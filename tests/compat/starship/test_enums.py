"""What the sheet names without a field (A8, section 3.3), where the operator's profile shows it: each from a real order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from cardrail.catalog import import_catalog
from cardrail.delivery import Wish, make_claims, open_claim
from cardrail.kernel import Mode
from cardrail.orders import Buyer, Order, get_order_numbered, invalidate_order, refund_order
from tests.build import HEADER, NODE, POLICY
from tests.compat.build import CompatShop
from tests.compat.shapes import fits
from tests.compat.starship import shapes
from tests.compat.starship.conftest import Asker

TOPUP = HEADER + b"TOPUP,Phone top-up,Phone shop,Phones,topup,IN,INR,fixed,50,,,1\n"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    file.write_text('[starship]\nshow_sub_status = true\nshow_enums = true\ncode_with_pin_products = ["TEA"]\n')
    return {"dialect_profiles": file, "trusted_proxies": "127.0.0.0/8"}


def buyer_of(shop: CompatShop, mode: Mode = Mode.LIVE) -> Buyer:
    return Buyer(shop.partner_id, mode, "INR", "operator")


def found(shop: CompatShop, created: Any, mode: Mode = Mode.LIVE) -> Order:
    return get_order_numbered(shop.cardrail.db, buyer_of(shop, mode), created["id"])


def shown(ask: Asker, created: Any) -> tuple[str, str]:
    """Status and sub status, as details and list agree on them."""
    details = ask.get(f"/api/v1/orders/{created['id']}")
    (listed,) = [one for one in ask.get("/api/v1/orders?limit=100") if one["id"] == created["id"]]
    assert (listed["status"], listed["sub_status"]) == (details["status"], details["sub_status"])
    return details["status"].upper(), details["sub_status"].upper()


@pytest.mark.parametrize(
    ("sku", "expected"),
    [
        ("TEST_OK", ("DELIVERED", "COMPLETED")),
        ("TEST_PARTIAL", ("PARTIALLY_DELIVERED", "PARTIAL")),
        ("TEST_REFUND", ("FAILED", "REFUNDED")),
        ("TEST_PENDING", ("PLACED", "INITIAL")),
        ("TEST_SLOW", ("PENDING", "VENDOR_ORDER_PENDING")),
    ],
)
def test_an_order_of_the_sandbox_shows_its_sub_status(sandbox: Asker, sku: str, expected: tuple[str, str]) -> None:
    created = sandbox.order(sandbox.wanted(f"Test product {sku}", quantity=2))
    assert created["sub_status"] == expected[1]
    assert shown(sandbox, created) == expected


def test_an_order_that_was_given_back_is_refunded(ask: Asker, shop: CompatShop) -> None:
    part = shop.cardrail
    refunded, taken_back = ask.order(ask.wanted()), ask.order(ask.wanted())
    order = found(shop, refunded)
    refund_order(part.db, part.clock, part.audit, order.id, order.charged_minor, node=NODE, actor="test", because="complaint")
    assert shown(ask, refunded) == ("DELIVERED", "REFUNDED")
    policy = replace(POLICY, allow_revealed=True)
    buyer = buyer_of(shop)
    invalidate_order(part.db, part.clock, part.audit, buyer, found(shop, taken_back).id, policy, node=NODE, because="mistake")
    assert shown(ask, taken_back) == ("CANCELLED", "REFUNDED")


def test_a_link_is_unclaimed_until_it_is_opened(ask: Asker, shop: CompatShop) -> None:
    part = shop.cardrail
    created = ask.order(ask.wanted())
    (claim,) = make_claims(part.db, part.clock, part.audit, part.links, buyer_of(shop), found(shop, created).id, Wish())
    assert shown(ask, created) == ("DELIVERED", "GV_LINK_UNCLAIMED")
    open_claim(part.db, part.clock, part.audit, part.links, part.links.token(claim.claim.id), None, origin=None)
    assert shown(ask, created) == ("DELIVERED", "GV_LINK_CLAIMED")


def test_an_unpaid_order_that_is_cancelled_was_never_refunded(ask: Asker, shop: CompatShop) -> None:
    native = {"X-API-Key": shop.native_key()}
    body = {"payment": "later", "items": [{"sku": "TEA", "quantity": 1}]}
    order = httpx2.post(f"{shop.url}/v1/orders", json=body, headers=native).json()
    newest = ask.get("/api/v1/orders?limit=1")[0]
    assert (newest["status"], newest["sub_status"]) == ("placed", "initial")
    httpx2.post(f"{shop.url}/v1/orders/{order['id']}/cancel", headers=native).raise_for_status()
    assert shown(ask, newest) == ("CANCELLED", "NOT_REFUNDED")


def test_classification_and_inventory_status_are_shown(ask: Asker, keyed: Asker) -> None:
    products = ask.get("/api/v1/products")
    fits(products, [shapes.PRODUCT | {"classification": str}])
    created = ask.order(ask.wanted())
    fits(created["vouchers"], [shapes.VOUCHER | {"inventory_status": str}])
    assert created["vouchers"][0]["inventory_status"] == "DELIVERED"
    assert keyed.product("Tea voucher")["delivery_type"] == "code_with_pin"


def test_a_top_up_shows_its_recharge_status(ask: Asker, shop: CompatShop) -> None:
    part = shop.cardrail
    import_catalog(part.db, part.clock, part.audit, TOPUP, actor="test")
    part.catalog.refresh()
    shop.world.stock("TOPUP", 2)
    created = ask.order(ask.wanted("Phone top-up"))
    assert (created["status"], created["recharge_status"]) == ("DELIVERED", "DELIVERED")
