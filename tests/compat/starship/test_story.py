"""A shop's day with a client that knows Starship's pages and nothing of us, over HTTP, in both generations, on both databases."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from cardrail.kernel import Mode
from cardrail.orders import Buyer, get_order_numbered, invalidate_order
from tests.build import NODE, POLICY
from tests.compat.build import CompatShop
from tests.compat.starship.client import Client, Keyed, LoggedIn, Refused

ROOT = "/compat/starship"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop_backend(request: pytest.FixtureRequest) -> str:
    """What is told here touches storage, so it is told on both databases."""
    return str(request.param)


def client_of(shop: CompatShop, generation: int, mode: Mode = Mode.LIVE, **options: Any) -> Client:
    issued = shop.credential("starship", mode, **options)
    if generation == 1:
        return LoggedIn(shop.url + ROOT, issued["username"], issued["password"])
    return Keyed(shop.url + ROOT, issued["api_key"], issued["api_secret"], issued["signing_secret"])


@pytest.fixture(scope="module", params=[1, 2], ids=["first", "second"])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def client(shop: CompatShop, generation: int) -> Iterator[Client]:
    with client_of(shop, generation) as made:
        yield made


@pytest.fixture(scope="module")
def sandbox(shop: CompatShop, generation: int) -> Iterator[Client]:
    with client_of(shop, generation, Mode.TEST) as made:
        yield made


@pytest.fixture
def ref(request: pytest.FixtureRequest) -> str:
    """A reference that no other order has."""
    return f"{request.node.name[:60]}-{time.monotonic_ns()}"


def test_a_shop_loads_quotes_orders_polls_and_delivers(client: Client, ref: str) -> None:
    product = client.find("Tea voucher")
    face = product["available_denominations"][0]["min_value"]
    assert client.is_available(product, face, 8)
    charges, before = client.charges(product, face, 8), client.balance()
    assert charges["max_quantity"] >= 8
    assert charges["total_payable"] == charges["non_discounted_total"] - charges["discount_amount"] <= before

    order = client.wait_for(client.order(product, face, 8, ref)["id"])

    assert (order["status"], order["reference_code"]) == ("delivered", ref)
    assert Decimal(order["amount"]) - Decimal(order["discount"]) == charges["total_payable"] == before - client.balance()
    assert len({one["card_number"] for one in order["vouchers"]}) == 8
    debit = client.transaction(order["transaction_id"])
    assert (debit["transaction_type"], debit["status"], debit["amount"]) == ("DEBIT", "COMPLETED", charges["total_payable"])


def test_a_price_that_does_not_divide_is_charged_as_it_was_quoted(client: Client, ref: str) -> None:
    product = client.find("Book voucher")
    before = client.balance()
    order = client.wait_for(client.order(product, Decimal("33.33"), 7, ref)["id"])
    assert client.charges(product, Decimal("33.33"), 7)["total_payable"] == Decimal("225.12") == before - client.balance()
    assert (order["amount"], order["discount"], order["denomination"]) == ("233.31", "8.19", "33.33")


def test_a_range_is_ordered_at_a_face_value_of_the_shops_choice(client: Client, ref: str) -> None:
    product = client.find("Shoe voucher")
    order = client.wait_for(client.order(product, Decimal("250.00"), 2, ref)["id"])
    assert (order["denomination"], len(order["vouchers"])) == ("250.00", 2)
    with pytest.raises(Refused) as refusal:
        client.order(product, Decimal("250.50"), 1, ref + "-2")
    assert (refusal.value.status, refusal.value.code) == (400, "NOT_FOUND")


def test_short_stock_is_delivered_in_part_and_charged_for_just_that(shop: CompatShop, client: Client, ref: str) -> None:
    codes = shop.world.stock("SOLDOUT", [f"{ref[-20:]}-{n}" for n in range(3)])
    product = client.find("Sold-out card")
    before = client.balance()
    order = client.wait_for(client.order(product, Decimal(200), 5, ref)["id"])
    assert (order["status"], order["quantity"]) == ("partially_delivered", 5)
    assert {one["card_number"] for one in order["vouchers"]} == set(codes)
    assert before - client.balance() == client.transaction(order["transaction_id"])["amount"] == 3 * 198
    assert not client.is_available(product, Decimal(200), 1)
    with pytest.raises(Refused) as refusal:
        client.order(product, Decimal(200), 1, ref + "-2")
    assert (refusal.value.status, refusal.value.code) == (400, "INVALID_INPUT")


def test_an_order_that_is_taken_back_is_cancelled_and_its_money_is_there_again(
    shop: CompatShop, sandbox: Client, ref: str
) -> None:
    product = sandbox.find("Tea voucher")
    before = sandbox.balance()
    order = sandbox.order(product, Decimal(100), 2, ref)
    take_back(shop, order["id"])
    found = sandbox.details(order["id"])
    assert (found["status"], found["vouchers"]) == ("cancelled", [])
    assert sandbox.balance() == before
    credit, debit = sandbox.transactions(limit=2)
    assert (credit["transaction_type"], credit["status"], credit["amount"]) == ("CREDIT", "COMPLETED", debit["amount"])
    assert sandbox.transaction(credit["id"]) == credit
    assert debit["id"] == order["transaction_id"]


def take_back(shop: CompatShop, number: int) -> None:
    """What the operator does."""
    part = shop.cardrail
    buyer = Buyer(shop.partner_id, Mode.TEST, "INR", "operator")
    found = get_order_numbered(part.db, buyer, number)
    policy = replace(POLICY, allow_revealed=True)
    invalidate_order(part.db, part.clock, part.audit, buyer, found.id, policy, node=NODE, because="mistake")


def test_the_sandbox_has_an_order_that_fails_and_one_that_waits(sandbox: Client, ref: str) -> None:
    before = sandbox.balance()
    failed = sandbox.order(sandbox.find("Test product TEST_REFUND"), Decimal(10), 2, ref)
    assert sandbox.wait_for(failed["id"])["status"] == "failed"
    assert sandbox.balance() == before
    waiting = sandbox.order(sandbox.find("Test product TEST_PENDING"), Decimal(10), 2, ref + "-2")
    assert sandbox.details(waiting["id"])["status"] == "placed"
    assert sandbox.balance() == before - 20
    assert sandbox.transaction(waiting["transaction_id"])["status"] == "PENDING"


def test_an_order_beyond_the_balance_is_refused_and_nothing_moves(shop: CompatShop, generation: int, ref: str) -> None:
    with client_of(shop, generation, partner_id=shop.a_partner("150.00")) as poor:
        product = poor.find("Tea voucher")
        with pytest.raises(Refused) as refusal:
            poor.order(product, Decimal(100), 2, ref)
        assert (refusal.value.status, refusal.value.code) == (400, "BAD_REQUEST")
        assert poor.balance() == 150
        assert poor.find_order(ref) is None
        assert poor.order(product, Decimal(100), 1, ref)["ref"] == ref  # a refusal does not burn the ref


def test_a_lost_answer_is_asked_for_again_and_charged_once(shop: CompatShop, client: Client, ref: str) -> None:
    product = client.find("Tea voucher")
    before = client.balance()
    lose_the_answer(client, product, ref)
    order = client.order_for_certain(product, Decimal(100), 2, ref)
    assert order.get("ref", order.get("reference_code")) == ref
    assert before - client.balance() == 190
    assert len(client.wait_for(order["id"])["vouchers"]) == 2


def lose_the_answer(client: Client, product: Any, ref: str) -> None:
    """Send an order and hang up before its answer, once it has taken place."""
    body = b'{"product_id":%d,"denomination":100,"quantity":2,"ref":"%s"}' % (product["id"], ref.encode())
    mine = client.headers_of("POST", "/api/v1/orders", "", body) | {"Idempotency-Key": f"order-{ref}"}
    url = urlsplit(str(client.http.base_url))
    head = f"POST {ROOT}/api/v1/orders HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(body)}\r\n"
    head += "".join([f"{name}: {value}\r\n" for name, value in mine.items()]) + "\r\n"
    before = client.balance()
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port or 80), timeout=60) as line:
        line.sendall(head.encode() + body)
        for _ in range(3_000):
            if client.balance() != before:
                return
            time.sleep(0.02)
    raise AssertionError("the order did not take place")


def test_a_token_is_renewed_and_a_log_out_ends_it(shop: CompatShop) -> None:
    with client_of(shop, 1, partner_id=shop.a_partner()) as one:
        assert isinstance(one, LoggedIn)
        old = one.refresh
        one.renew()
        assert one.refresh != old
        assert one.balance() == 1000
        one.log_out()
        with pytest.raises(Refused) as refusal:
            one.balance()
        assert (refusal.value.status, refusal.value.code) == (401, "Unauthorized")


def test_both_generations_and_the_native_api_see_the_same_order(shop: CompatShop, ref: str) -> None:
    with client_of(shop, 1) as first, client_of(shop, 2) as second:
        order = first.order(first.find("Book voucher"), Decimal("33.33"), 7, ref)
        assert first.details(order["id"]) == second.details(order["id"])
        answer = first.http.get(f"{shop.url}/v1/orders?reference={ref}", headers={"X-API-Key": shop.native_key()})
        (native,) = answer.json()["data"]
    assert native["charged"] == {"amount": "225.12", "currency": "INR"}
    assert native["items"][0]["quantity"] == order["quantity"] == 7


def test_an_order_of_the_native_api_is_seen_here_with_a_number_of_its_own(shop: CompatShop, client: Client, ref: str) -> None:
    body = {"reference": ref, "items": [{"sku": "TEA", "quantity": 2}]}
    client.http.post(f"{shop.url}/v1/orders", json=body, headers={"X-API-Key": shop.native_key()}).raise_for_status()
    found = client.find_order(ref)
    assert (found["amount"], found["quantity"], found["status"]) == ("200.00", 2, "delivered")
    details = client.details(found["id"])
    assert len(details["vouchers"]) == 2
    assert client.transaction(details["transaction_id"])["amount"] == 190
