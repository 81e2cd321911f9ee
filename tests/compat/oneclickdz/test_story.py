"""A shop's day with a client that knows OneClickDz's pages and nothing of us, over HTTP, on both databases."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from cardrail.kernel import Mode, PartnerId, ids_of_hex24
from cardrail.orders import Buyer, find_orders, invalidate_order
from tests.build import NODE, POLICY
from tests.compat.build import CompatShop
from tests.compat.oneclickdz.client import Client, Refused

ROOT = "/compat/oneclickdz"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop_backend(request: pytest.FixtureRequest) -> str:
    """What is told here touches storage, so it is told on both databases."""
    return str(request.param)


def client_of(shop: CompatShop, mode: Mode = Mode.LIVE, **options: Any) -> Client:
    return Client(shop.url + ROOT, shop.credential("oneclickdz", mode, **options)["api_key"])


@pytest.fixture(scope="module")
def client(shop: CompatShop) -> Iterator[Client]:
    with client_of(shop) as made:
        yield made


@pytest.fixture(scope="module")
def sandbox(shop: CompatShop) -> Iterator[Client]:
    with client_of(shop, Mode.TEST) as made:
        yield made


def stocked(shop: CompatShop, sku: str, count: int) -> list[str]:
    """Put just so many codes of a sku on sale that has none."""
    assert shop.world.in_stock(sku) == 0
    return shop.world.stock(sku, [f"{sku}-{time.monotonic_ns()}-{n}" for n in range(count)])


def test_a_shop_loads_checks_orders_polls_and_delivers(shop: CompatShop, client: Client) -> None:
    assert client.ping()["api"] == "ok"
    assert client.validate()["apiKey"]["type"] == "PRODUCTION"
    product_id, found = client.find_type("Tea voucher", "100 INR")
    before = client.balance()
    assert found["quantity"] >= 3
    assert before >= found["price"] * 3

    order = client.wait_for(client.place_order(product_id, found["id"], 3))

    assert (order["status"], order["fulfilled_quantity"], order["price_per_card"]) == ("FULFILLED", 3, found["price"])
    assert len({card["value"] for card in order["cards"]}) == 3
    assert client.balance() == before - 3 * found["price"] == before - order["fulfilled_amount"]
    assert client.check_product(product_id)["types"][0]["quantity"] == found["quantity"] - 3
    row = client.transactions()["items"][0]
    assert (row["type"], row["objid"], row["amount"]) == ("ORDER", order["_id"], 3 * found["price"])
    assert (row["oldBalance"], row["newBalance"]) == (before, before - 3 * found["price"])


def test_a_price_that_does_not_divide_is_charged_by_the_card(client: Client) -> None:
    product_id, found = client.find_type("Book voucher", "33.33 INR")
    before = client.balance()
    order = client.wait_for(client.place_order(product_id, found["id"], 7))
    assert found["price"] == Decimal("32.16")
    assert order["fulfilled_amount"] == Decimal("225.12") == before - client.balance()


def test_short_stock_is_delivered_in_part_and_the_rest_is_given_back(shop: CompatShop, client: Client) -> None:
    codes = stocked(shop, "SOLDOUT", 3)
    product_id, found = client.find_type("Sold-out card", "200 INR")
    before, price = client.balance(), found["price"]

    order = client.wait_for(client.place_order(product_id, found["id"], 5))

    assert (order["status"], order["quantity"], order["fulfilled_quantity"]) == ("PARTIALLY_FILLED", 5, 3)
    assert order["fulfilled_amount"] == 3 * price == before - client.balance()
    assert {card["value"] for card in order["cards"]} == set(codes)
    refund, charge = client.transactions()["items"][:2]
    assert (charge["type"], charge["amount"], charge["newBalance"]) == ("ORDER", 5 * price, before - 5 * price)
    assert (refund["type"], refund["amount"], refund["newBalance"]) == ("REFUND-ORDER", 2 * price, before - 3 * price)
    with pytest.raises(Refused) as refusal:
        client.place_order(product_id, found["id"], 1)
    assert (refusal.value.status, refusal.value.code) == (400, "ERR_STOCK")


def test_an_order_that_is_taken_back_shows_refunded_and_the_money_is_there_again(shop: CompatShop, client: Client) -> None:
    product_id, found = client.find_type("Tea voucher", "100 INR")
    before = client.balance()
    order_id = client.place_order(product_id, found["id"], 2)  # never looked at, so its codes go back to stock
    take_back(shop, order_id)
    order = client.check_order(order_id)
    assert (order["status"], order["fulfilled_quantity"], order["cards"]) == ("REFUNDED", 0, [])
    assert client.balance() == before
    refund, charge = client.transactions()["items"][:2]
    assert (refund["type"], refund["amount"], refund["objid"]) == ("REFUND-ORDER", charge["amount"], order_id)
    assert refund["oldBalance"] == charge["newBalance"]


def take_back(shop: CompatShop, order_id: str) -> None:
    """What the operator does."""
    span = ids_of_hex24("ord", order_id)
    assert span is not None
    (found,) = [one for one in find_orders(shop.cardrail.db, partner_id=shop.partner_id) if span[0] <= one.id <= span[1]]
    buyer = Buyer(shop.partner_id, Mode.LIVE, found.currency, "operator")
    part = shop.cardrail
    invalidate_order(part.db, part.clock, part.audit, buyer, found.id, POLICY, node=NODE, because="mistake")


def test_an_order_beyond_the_balance_is_refused_and_nothing_moves(shop: CompatShop) -> None:
    poor = shop.a_partner("150.00")
    with client_of(shop, partner_id=poor) as client:
        product_id, found = client.find_type("Tea voucher", "100 INR")
        with pytest.raises(Refused) as refusal:
            client.place_order(product_id, found["id"], 2)
        assert (refusal.value.status, refusal.value.code) == (403, "INSUFFICIENT_BALANCE")
        assert refusal.value.details == {"required": 190, "available": 150}
        assert client.balance() == 150
        assert client.orders()["items"] == []
        client.wait_for(client.place_order(product_id, found["id"], 1))
        assert client.balance() == 55


def test_a_lost_answer_is_repeated_under_one_key_and_charged_once(shop: CompatShop, client: Client) -> None:
    product_id, found = client.find_type("Tea voucher", "100 INR")
    before, started = client.balance(), datetime.now(UTC)
    body = {"productId": product_id, "typeId": found["id"], "quantity": 4}
    send_and_hang_up(shop, client, body, {"Idempotency-Key": "day-1-order-4"})

    again = client.place_order(product_id, found["id"], 4, headers={"Idempotency-Key": "day-1-order-4"})

    assert client.place_order(product_id, found["id"], 4, headers={"Idempotency-Key": "day-1-order-4"}) == again
    assert client.wait_for(again)["status"] == "FULFILLED"
    assert client.balance() == before - 4 * found["price"]
    assert client.find_lost(product_id, found["id"], 4, started) == [again]


def test_a_repeated_ref_is_refused_as_the_vendor_words_it_and_the_list_has_the_order(shop: CompatShop, client: Client) -> None:
    product_id, found = client.find_type("Tea voucher", "100 INR")
    started, body = datetime.now(UTC), {"productId": product_id, "typeId": found["id"], "quantity": 6, "ref": "cart-77"}
    before = client.balance()
    send_and_hang_up(shop, client, body, {})
    waited_until(lambda: bool(client.find_lost(product_id, found["id"], 6, started)))
    with pytest.raises(Refused) as refusal:
        client.place_order(product_id, found["id"], 6, ref="cart-77")
    assert (refusal.value.status, refusal.value.code) == (403, "DUPLICATED_REF")
    (lost,) = client.find_lost(product_id, found["id"], 6, started)
    assert client.wait_for(lost)["fulfilled_quantity"] == 6
    assert client.balance() == before - 6 * found["price"]


def waited_until(is_so: Any) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def send_and_hang_up(shop: CompatShop, client: Client, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Place an order and be gone before the answer comes."""
    where, text = urlsplit(shop.url), json.dumps(body)
    head = {"Host": where.netloc, "X-Access-Token": client.http.headers["x-access-token"], "Content-Type": "application/json"}
    lines = [f"{name}: {value}" for name, value in {**head, **headers, "Content-Length": str(len(text))}.items()]
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall("\r\n".join([f"POST {ROOT}/v3/gift-cards/placeOrder HTTP/1.1", *lines, "", text]).encode())


def test_the_sandbox_shows_every_outcome_and_takes_no_money(shop: CompatShop, sandbox: Client) -> None:
    assert sandbox.validate()["apiKey"]["type"] == "SANDBOX"
    before = sandbox.balance()
    all_came = sandbox.wait_for(sandbox.place_order("any-product", "any-type", 2))
    half_came = sandbox.wait_for(sandbox.place_order("any-product", "TEST_PARTIAL", 4))
    none_came = sandbox.wait_for(sandbox.place_order("any-product", "TEST_REFUND", 4))
    assert all_came["cards"] == [{"value": f"SANDBOX-CARD-{n}", "serial": f"SANDBOX-{n}"} for n in (1, 2)]
    assert (half_came["status"], half_came["fulfilled_quantity"], len(half_came["cards"])) == ("PARTIALLY_FILLED", 2, 2)
    assert (none_came["status"], none_came["fulfilled_quantity"], none_came["cards"]) == ("REFUNDED", 0, [])
    assert {one["price_per_card"] for one in (all_came, half_came, none_came)} == {0}
    assert sandbox.balance() == before
    assert sandbox.transactions()["items"] == []


def test_sandbox_and_production_do_not_see_each_other(client: Client, sandbox: Client) -> None:
    product_id, found = client.find_type("Tea voucher", "100 INR")
    live, test = client.place_order(product_id, found["id"], 1), sandbox.place_order("p", "t", 1)
    for stranger, order_id in ((sandbox, live), (client, test)):
        with pytest.raises(Refused) as refusal:
            stranger.check_order(order_id)
        assert (refusal.value.status, refusal.value.code) == (404, "NOT_FOUND")
        assert order_id not in [one["_id"] for one in stranger.all_orders()]


def test_another_partners_order_is_unknown(shop: CompatShop, client: Client) -> None:
    product_id, found = client.find_type("Tea voucher", "100 INR")
    order_id = client.place_order(product_id, found["id"], 1)
    other: PartnerId = shop.a_partner("100.00")
    with client_of(shop, partner_id=other) as stranger, pytest.raises(Refused) as refusal:
        stranger.check_order(order_id)
    assert refusal.value.code == "NOT_FOUND"
