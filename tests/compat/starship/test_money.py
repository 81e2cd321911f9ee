"""Charges and orders agree: with fee and tax, and across currencies, in the answers and in the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cardrail.catalog import NEW_RULE, PriceRule, set_price_rule, set_rate
from cardrail.kernel import Mode, PartnerId
from tests.compat.build import CompatShop
from tests.compat.starship.conftest import Asker, MakeAsker


@pytest.fixture(scope="module")
def partner(shop: CompatShop) -> PartnerId:
    """A client with wallets in rupees and in dollars, 4 % off, a fee of 1.25 a unit and 18 % tax; a dollar is 80 rupees."""
    part = shop.cardrail
    who = shop.a_partner("100000.00")
    shop.credit("1000.00", "USD", who)
    rule = PriceRule(NEW_RULE, who, None, None, None, "discount", 400, fee_minor=125, tax_bps=1_800)
    set_price_rule(part.db, part.clock, part.audit, rule, actor="test")
    set_rate(part.db, part.clock, part.audit, actor="test", base="INR", quote="USD", rate_e10=125_000_000)
    part.catalog.refresh()
    return who


@pytest.fixture
def ask(asker: MakeAsker, partner: PartnerId) -> Asker:
    return asker(Mode.LIVE, partner_id=partner)


def wallet(ask: Asker, currency_id: int) -> Any:
    (found,) = ask.get(f"/api/v1/wallets?currency_id={currency_id}")
    return found


def test_fee_and_tax_are_on_top_of_the_discounted_price(ask: Asker) -> None:
    product = ask.product("Shoe voucher")
    charges = ask.post(f"/api/v1/products/{product['id']}/charges", {"denomination": 250, "quantity": 3})
    expected = {
        "non_discounted_total": 750,
        "discount_amount": 30,
        "total_amount": 720,
        "discount": 4,
        "net_amount": 720,
        "handling_fee_amount": Decimal("3.75"),
        "gst_amount": Decimal("130.28"),  # 18 % of 723.75 is 130.275
        "total_payable": Decimal("854.03"),
    }
    assert {name: charges[name] for name in expected} == expected
    before = wallet(ask, 356)["amount"]
    order = ask.order({"product_id": product["id"], "denomination": 250, "quantity": 3})
    assert (order["amount"], order["discount"]) == (750, 30)
    assert before - wallet(ask, 356)["amount"] == charges["total_payable"]
    assert ask.get(f"/api/v1/transactions/{order['transaction_id']}")["amount"] == charges["total_payable"]


def test_another_wallet_pays_at_the_operators_rate(ask: Asker) -> None:
    product, dollars = ask.product("Tea voucher"), wallet(ask, 840)
    body = {"denomination": 100, "quantity": 4, "wallet_id": dollars["id"]}
    charges = ask.post(f"/api/v1/products/{product['id']}/charges", body)
    assert charges["charges_details"] == {
        "source_currency": "INR",
        "destination_currency": "USD",
        "forex_rate": Decimal("0.0125"),
        "conversion_fee": 5,
    }
    expected = {
        "non_discounted_total": 400,
        "discount_amount": 16,
        "total_amount": 384,
        "net_amount": Decimal("4.80"),
        "handling_fee_amount": 5,
        "gst_amount": Decimal("1.76"),
        "total_payable": Decimal("11.56"),
    }
    assert {name: charges[name] for name in expected} == expected
    order = ask.order(body | {"product_id": product["id"]})
    assert (order["amount"], order["discount"]) == (400, 16)
    assert dollars["amount"] - wallet(ask, 840)["amount"] == charges["total_payable"]
    row = ask.get(f"/api/v1/transactions/{order['transaction_id']}")
    assert (row["source_currency"], row["destination_currency"], row["currency_id"]) == ("INR", "USD", 840)
    assert (row["forex_rate"], row["conversion_charges"], row["amount"]) == (Decimal("0.0125"), 5, Decimal("11.56"))


def test_without_a_wallet_in_the_products_currency_the_default_one_pays(
    asker: MakeAsker, shop: CompatShop, partner: PartnerId
) -> None:
    one = asker(Mode.LIVE, partner_id=shop.a_partner("100.00", "USD"))
    body = {"product_id": one.product("Tea voucher")["id"], "denomination": 100, "quantity": 2}
    one.order(body)
    assert one.wallet_amount() == Decimal("97.62")  # 95 rupees are 1.1875 dollars: 1.19 a unit


def test_the_reference_rate_is_the_operators(ask: Asker) -> None:
    rows = ask.get("/api/v1/currencies?base_currency=INR")
    (dollar,) = [one for one in rows if one["code"] == "USD"]
    assert dollar["exchange_rate"] == Decimal("0.0125")
