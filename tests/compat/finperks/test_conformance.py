"""Finperks v1, endpoint by endpoint, as specs/finperks.md has it; products, balances, settlements. The others: test_transport,
test_orders, test_undo, test_partners."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from cardrail.api.compat import load_profiles
from cardrail.api.dialects import finperks
from cardrail.api.dialects.finperks.errors import CODES, ROWS
from cardrail.api.dialects.finperks.routes import routes
from cardrail.api.errors import STATUS
from cardrail.kernel import Mode
from cardrail.settlement import close_statement, sequence_now
from tests.compat.build import CompatShop
from tests.compat.finperks import test_orders, test_partners, test_transport, test_undo
from tests.compat.finperks.asking import (
    AMOUNT,
    COVERED,
    MOMENT,
    PRODUCT,
    Open,
    covers,
    order_body,
    placed,
    refused,
)
from tests.compat.finperks.client import FinperksClient
from tests.compat.shapes import fits


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


# --- the tables themselves --------------------------------------------------------------------------------------------


def test_every_code_of_ours_has_one_of_the_vendors() -> None:
    assert set(CODES) == set(STATUS)
    assert set(CODES.values()) <= set(ROWS)


def test_every_documented_row_that_is_not_of_retail_orders_is_in_the_table() -> None:
    sheet = """400 invalid_format invalid_request_body|400 transport invalid_date_header|400 transport invalid_host_header
        |401 auth invalid_signature_format|401 auth invalid_signature|403 forbidden live_mode_disabled
        |403 forbidden api_key_missing_required_scope|403 forbidden request_blocked|404 not_found path_not_found
        |413 transport content_too_large|429 rate_limit rate_limit_exceeded|500 internal internal_server_error
        |400 invalid_request invalid_body_parameters|400 invalid_state order_not_allowed_for_product
        |400 invalid_state product_not_available|400 idempotency invalid_idempotency_key_header
        |400 idempotency reused_idempotency_key|403 forbidden insufficient_available_balance
        |403 forbidden customer_amount_limit_exceeded|404 not_found entity_not_found|400 invalid_state order_processing
        |400 invalid_state order_invalidated|400 invalid_state order_failed
        |400 invalid_state order_invalidation_period_expired|400 invalid_state order_invalidation_not_supported
        |400 invalid_state order_not_completed|400 invalid_state client_partner_event_invalid"""
    rows = [row.split() for row in sheet.split("|")]
    assert {code: (int(status), group) for status, group, code in rows} == ROWS


def test_every_endpoint_has_a_conformance_test() -> None:
    assert all([test_orders, test_partners, test_transport, test_undo])  # that they are imported fills the table
    assert {(route.method, route.path) for route in routes()} == set(COVERED)


def test_every_endpoint_has_its_line_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs/compat/finperks.md").read_text()
    assert [f"{one.method} {one.path}" for one in routes() if f"`{one.method} {one.path}`" not in page] == []


def test_every_member_of_the_profile_is_explained_and_can_be_set(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/compat/finperks.md").read_text()
    names = finperks.DIALECT.profile.__struct_fields__
    assert [name for name in names if f"`{name}`" not in page] == []
    file = tmp_path / "profiles.toml"
    file.write_text('[finperks]\ndelivery_methods = {code = ["code", "url"]}\nsigned_lines = ["method", "path"]\n')
    profile = load_profiles(file, [finperks.DIALECT])["finperks"]
    assert profile.delivery_methods == {"code": ("code", "url")}
    assert profile.signed_lines == ("method", "path")


# --- products and balances (2.6, 2.7) ---------------------------------------------------------------------------------


@covers("GET /products")
def test_the_catalogue_is_a_bare_array_of_what_can_be_ordered(live: FinperksClient) -> None:
    products = live.send("GET", "/products").json()
    fits(products, [PRODUCT])
    by_name = {one["name"]: one for one in products}
    assert by_name["Tea voucher"]["face_value"] == {"type": "fixed", "values": ["100.0"]}
    assert by_name["Book voucher"]["face_value"] == {"type": "fixed", "values": ["33.33"]}
    assert by_name["Game card"]["face_value"] == {"type": "fixed", "values": ["500.0", "1000.0"]}
    assert by_name["Shoe voucher"]["face_value"] == {"type": "range", "min": "100.0", "max": "1000.0", "step": "1.0"}
    assert by_name["Tea voucher"] | {"code": ""} == {
        "code": "",
        "name": "Tea voucher",
        "countries": ["IN"],
        "currency": "INR",
        "face_value": {"type": "fixed", "values": ["100.0"]},
        "delivery_methods": ["code"],
        "redemption_instructions": None,
        "terms_and_conditions": None,
        "redemption_notes": None,
        "image_url": None,
    }


def test_a_product_code_is_the_same_each_time_and_in_the_sandbox(live: FinperksClient, sandbox: FinperksClient) -> None:
    codes = [one["code"] for one in live.products()]
    assert codes == [one["code"] for one in live.products()] == [one["code"] for one in sandbox.products()]
    assert len(set(codes)) == len(codes)


@covers("GET /balances", "GET /balances/{currency}")
def test_balances_are_amounts_that_can_be_spent(shop: CompatShop, live: FinperksClient) -> None:
    balance = {"currency": re.compile("[A-Z]{3}"), "available_amount": AMOUNT}
    listed = live.send("GET", "/balances").json()
    fits(listed, [balance])
    one = live.send("GET", "/balances/INR").json()
    fits(one, balance)
    assert one in listed
    assert one["available_amount"] == f"{shop.balance() / 100:.2f}".rstrip("0").ljust(len(f"{shop.balance() // 100}") + 2, "0")


def test_a_client_without_money_has_nothing_to_spend(shop: CompatShop, open_client: Open) -> None:
    client = open_client(partner_id=shop.a_partner(None, "EUR"))
    assert client.send("GET", "/balances").json() == [{"currency": "EUR", "available_amount": "0.0"}]
    assert client.available("EUR") == "0.0"


@pytest.mark.parametrize("currency", ["USD", "XXX", "inr", "x" * 300, "%00"])
def test_a_currency_without_a_balance_is_not_found(live: FinperksClient, currency: str) -> None:
    refused(live.send("GET", f"/balances/{currency}"), 404, "not_found", "entity_not_found")


# --- settlements (2.8) ------------------------------------------------------------------------------------------------


@covers("GET /settlements")
def test_settlements_are_a_bare_array(live: FinperksClient) -> None:
    assert live.send("GET", "/settlements").json() == []


def test_a_closed_period_is_a_settlement_of_what_was_bought_in_it(shop: CompatShop, open_client: Open) -> None:
    partner, part = shop.a_partner(), shop.cardrail
    client = open_client(partner_id=partner)
    for _ in range(2):
        placed(client, order_body(shop))
    sequence_now(part.db)
    later = part.clock.now() + timedelta(days=70)
    closed = close_statement(part.db, part.clock, part.audit, partner, "INR", Mode.LIVE, actor="test", now=later)
    (one,) = client.ask("GET", "/settlements")
    shape = {"id": str, "period_start": MOMENT, "period_end": MOMENT, "currency": str, "total_amount": AMOUNT, "state": str}
    fits(one, shape)
    assert (one["id"], one["currency"], one["total_amount"], one["state"]) == (closed.id, "INR", "190.0", "closed")
