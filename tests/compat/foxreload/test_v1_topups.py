"""Top-ups (specs/foxreload.md, sections 2.2 and 2.4): V1 takes what they need to be told, G has no member for it."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.catalog import import_catalog
from cardrail.kernel import Mode
from cardrail.orders import procure_order
from tests.build import HEADER
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller, give_dollars

SHEET = HEADER.rstrip(b"\n") + b",required_fields\n" + b"LUDO,Ludo coins,Ludo,Games,topup,IN,INR,fixed,80,,,0,mobile_number\n"


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """These are about the wire."""
    return "sqlite"


@pytest.fixture(scope="module", autouse=True)
def ludo(shop: CompatShop) -> None:
    """A top-up at a dollar."""
    give_dollars(shop)
    part = shop.cardrail
    import_catalog(part.db, part.clock, part.audit, SHEET, actor="test")
    part.catalog.refresh()
    shop.credit("10.00", "USD", mode=Mode.TEST)


@pytest.fixture(scope="module")
def v1(shop: CompatShop) -> Caller:
    return caller(shop, "/v1", Mode.TEST)


def test_v1_lists_it_as_a_recharge_and_g_does_not_list_it(shop: CompatShop, v1: Caller) -> None:
    assert v1.get("/catalog/LUDO")["category"] == "recharge"
    assert [one["sku_id"] for one in v1.get("/catalog", category="recharge")["data"]] == ["LUDO"]
    assert "LUDO" not in [one["sku"] for one in caller(shop, "", Mode.TEST).get("/catalog")["items"]]


@pytest.mark.parametrize(
    "told",
    [
        {"note": {"mobile_number": "9812345678"}},
        {"note": {"mobile_number": 9812345678}},
        {"player": {"mobile_number": "+919812345678"}},
        {"player": {"mobile_number": "1"}, "note": {"mobile_number": "9812345678"}},
    ],
)
def test_what_it_needs_is_told_in_the_note(shop: CompatShop, v1: Caller, told: dict[str, Any]) -> None:
    before = shop.balance(mode=Mode.TEST, currency="USD")
    order = v1.post("/orders", {"sku": "LUDO", "quantity": 1, **told})
    procure_order(shop.cardrail.buying, order["order_id"])  # the worker's part: the simulated supplier brings it
    assert v1.get(f"/orders/{order['order_id']}")["status"] == "delivered"
    assert before - shop.balance(mode=Mode.TEST, currency="USD") == 100


@pytest.mark.parametrize(
    "told", [{}, {"note": {}}, {"note": {"mobile_number": "seven"}}, {"player": "9812345678"}, {"note": {"mobile_number": None}}]
)
def test_without_it_nothing_is_ordered(shop: CompatShop, v1: Caller, told: dict[str, Any]) -> None:
    before = shop.rows()
    v1.refused("POST", "/orders", 400, "invalid_request", json={"sku": "LUDO", "quantity": 1, **told})
    generic = caller(shop, "", Mode.TEST)
    generic.refused("POST", "/orders", 400, "invalid_request", json={"sku": "LUDO", "quantity": 1, "reference": "ludo"})
    assert shop.rows() == before
