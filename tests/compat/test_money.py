"""One price that does not divide, through every dialect and the native API: the same money leaves the wallet, and as many codes come.

33.33 less 3.5 % is 32.16345, a unit of 32.16; seven of them are 225.12. A dialect that multiplied first would charge 225.14.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from cardrail.catalog import import_catalog
from cardrail.kernel import PartnerId
from tests.build import HEADER
from tests.compat.build import CompatShop
from tests.compat.finperks.client import FinperksClient
from tests.compat.foxreload.client_generic import GenericClient
from tests.compat.foxreload.client_generic import codes_of as codes_of_generic
from tests.compat.foxreload.client_public import PublicClient
from tests.compat.foxreload.client_v1 import V1Client
from tests.compat.oneclickdz.client import Client as OneClickDz
from tests.compat.starship.client import Keyed, LoggedIn

UNITS = 7
CHARGE_MINOR = 225_12
SHEET = HEADER + b"NOVEL,Novel voucher,Novel shop,Novels,code,US,USD,fixed,33.33,,,3.5\n"

Buy = Callable[[CompatShop, PartnerId], tuple[list[str], Decimal]]
"""Buys seven as a partner: their codes, and what the protocol says that they cost."""


def credential(shop: CompatShop, dialect: str, partner_id: PartnerId) -> dict[str, str]:
    return shop.credential(dialect, partner_id=partner_id)


def native(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    token = shop.native_key(partner_id=partner_id)
    body = {"items": [{"sku": "NOVEL", "quantity": UNITS}]}
    answer = httpx2.post(f"{shop.url}/v1/orders", json=body, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    order = answer.json()
    return [one["code"] for one in order["items"][0]["codes"]], Decimal(order["charged"]["amount"])


def oneclickdz(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    with OneClickDz(f"{shop.url}/compat/oneclickdz", credential(shop, "oneclickdz", partner_id)["api_key"]) as client:
        product_id, found = client.find_type("Novel voucher", "33.33 USD")
        order = client.wait_for(client.place_order(product_id, found["id"], UNITS))
        assert found["price"] == Decimal("32.16")
        return [card["value"] for card in order["cards"]], order["fulfilled_amount"]


def foxreload_generic(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    client = GenericClient(f"{shop.url}/compat/foxreload", credential(shop, "foxreload", partner_id)["api_key"])
    with client.http:
        price = client.price("NOVEL")
        order = client.wait(client.order("NOVEL", UNITS, "money-1"))
        return codes_of_generic(order), price * UNITS


def foxreload_v1(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    client = V1Client(f"{shop.url}/compat/foxreload", credential(shop, "foxreload", partner_id)["api_key"])
    with client.http:
        order = client.wait(client.order("NOVEL", UNITS, "money-2"))
        return [one["code"] for one in order["codes"]], Decimal(order["wholesale_cost_usd"])


def foxreload_public(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    client = PublicClient(f"{shop.url}/compat/foxreload/api", credential(shop, "foxreload", partner_id)["api_key"])
    try:
        (product,) = [one for one in client.products() if one["name"].startswith("Novel voucher")]
        bought = client.buy("money-3", [{"itemId": product["id"], "quantity": UNITS}])
        return bought.codes[0], Decimal(bought.order["price"])
    finally:
        client.close()


def finperks(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    issued = credential(shop, "finperks", partner_id)
    client = FinperksClient(f"{shop.url}/compat/finperks/v1", issued["client_id"], issued["client_secret"])
    try:
        (product,) = [one for one in client.products() if one["name"] == "Novel voucher"]
        before = Decimal(client.available("USD"))
        orders = [client.buy(product, "33.33", f"money-{n}") for n in range(UNITS)]  # one order is one card there
        return [one["code"]["value"] for one in orders], before - Decimal(client.available("USD"))
    finally:
        client.close()


def starship(shop: CompatShop, partner_id: PartnerId, *, second: bool = False) -> tuple[list[str], Decimal]:
    issued, root = credential(shop, "starship", partner_id), f"{shop.url}/compat/starship"
    made: Any = (
        Keyed(root, issued["api_key"], issued["api_secret"], issued["signing_secret"])
        if second
        else LoggedIn(root, issued["username"], issued["password"])
    )
    with made as client:
        product, face = client.find("Novel voucher"), Decimal("33.33")
        charges = client.charges(product, face, UNITS)
        order = client.wait_for(client.order(product, face, UNITS, f"money-{second}")["id"])
        return [one["card_number"] for one in order["vouchers"]], charges["total_payable"]


def starship_second(shop: CompatShop, partner_id: PartnerId) -> tuple[list[str], Decimal]:
    return starship(shop, partner_id, second=True)


WAYS: list[Buy] = [native, oneclickdz, foxreload_generic, foxreload_v1, foxreload_public, finperks, starship, starship_second]


@pytest.fixture(scope="module")
def novels(shop: CompatShop) -> CompatShop:
    """The shop, with a voucher whose price does not divide, sold in dollars."""
    part = shop.cardrail
    import_catalog(part.db, part.clock, part.audit, SHEET, actor="test")
    part.catalog.refresh()
    shop.world.stock("NOVEL", UNITS * len(WAYS))
    return shop


@pytest.mark.parametrize("buy", WAYS, ids=lambda one: one.__name__)
def test_seven_novels_cost_the_same_in_every_dialect(novels: CompatShop, buy: Buy) -> None:
    partner_id = novels.a_partner("1000.00", "USD")
    before = novels.balance(partner_id, currency="USD")
    codes, told = buy(novels, partner_id)
    assert len(set(codes)) == UNITS
    assert before - novels.balance(partner_id, currency="USD") == CHARGE_MINOR
    assert told == Decimal(CHARGE_MINOR) / 100
