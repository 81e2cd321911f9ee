"""A shop's day on surface G, told with a client that knows the sheet only, over real HTTP on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import httpx2
import pytest

from cardrail.kernel import Mode
from cardrail.orders import procure_order, refund_order
from tests.build import NODE
from tests.compat.build import CompatShop
from tests.compat.foxreload.client_generic import GenericClient, Refusal, codes_of
from tests.compat.foxreload.lossy import LossyLine


@pytest.fixture
def clients() -> Iterator[list[GenericClient]]:
    made: list[GenericClient] = []
    yield made
    for one in made:
        one.http.close()


def a_client(
    shop: CompatShop, clients: list[GenericClient], mode: Mode = Mode.LIVE, line: httpx2.BaseTransport | None = None
) -> GenericClient:
    key = shop.credential("foxreload", mode)["api_key"]
    made = GenericClient(f"{shop.url}/compat/foxreload", key, line)
    clients.append(made)
    return made


def test_a_shop_loads_the_catalog_checks_buys_and_delivers(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients)
    wares = {one["sku"]: one for one in client.catalog()}
    assert {"TEA", "BOOKS", "SHOES:250", "SOLDOUT"} <= wares.keys()
    assert client.units("BOOKS") >= 10
    before, price = client.balance(), client.price("BOOKS")
    order = client.order("BOOKS", 7, "story-1")
    assert order["status"] == "completed"
    assert len(set(codes_of(order))) == 7
    assert before - client.balance() == 7 * price == Decimal("225.12")
    assert client.state(order["order_id"]) == order


def test_a_lost_answer_is_asked_for_again_and_charged_once(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients, line=LossyLine(2))
    before = client.balance()
    order = client.order("TEA", 1, "story-lost")
    assert before - client.balance() == Decimal("95.00")
    assert codes_of(a_client(shop, clients).order("TEA", 1, "story-lost")) == codes_of(order)


def test_a_part_comes_and_only_that_is_paid(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients, Mode.TEST)
    before = client.balance()
    order = client.order("TEST_PARTIAL", 5, "story-partial")
    assert (order["status"], len(codes_of(order)), len(order["codes"])) == ("completed", 2, 5)
    assert before - client.balance() == Decimal("20.00")


def test_a_part_of_the_stock_comes_and_only_that_is_paid(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients)
    before, left = client.balance(), shop.world.in_stock("WALLETCARD")
    order = client.order("WALLETCARD:100", left + 3, "story-last-codes")
    assert (len(codes_of(order)), [one.get("error") for one in order["codes"][left:]]) == (left, ["out_of_stock"] * 3)
    assert before - client.balance() == left * Decimal("97.50")
    assert client.units("WALLETCARD:100") == 0


def earlier(now: Callable[[], datetime], **by: float) -> Callable[[], datetime]:
    """A clock that is behind."""
    return lambda: now() - timedelta(**by)


def test_what_a_supplier_brings_is_waited_for(
    shop: CompatShop, clients: list[GenericClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, buying = a_client(shop, clients, Mode.TEST), shop.cardrail.buying
    before = client.balance()
    monkeypatch.setattr(shop.cardrail.clock, "now", earlier(shop.cardrail.clock.now, seconds=5))
    order = client.order("TEST_SLOW", 2, "story-slow")
    assert (order["status"], order["codes"]) == ("pending", [])
    procure_order(buying, order["order_id"])  # the simulated supplier takes it, and some seconds
    assert client.state(order["order_id"])["status"] == "pending"
    monkeypatch.undo()  # which are over now
    worker = threading.Timer(0.2, procure_order, (buying, order["order_id"]))
    worker.start()
    came = client.wait(order)
    worker.join()
    assert (came["status"], len(codes_of(came))) == ("completed", 2)
    assert before - client.balance() == Decimal("20.00")


def test_what_cannot_be_sold_is_refused_and_nothing_is_paid(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients)
    before = client.balance()
    for sku, status, code in (("SOLDOUT", 409, "out_of_stock"), ("NOTHING", 404, "invalid_sku")):
        with pytest.raises(Refusal) as refusal:
            client.order(sku, 1, f"story-{sku}")
        assert (refusal.value.status, refusal.value.code) == (status, code)
    assert client.balance() == before


def test_a_failed_order_costs_nothing(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients, Mode.TEST)
    before = client.balance()
    order = client.wait(client.order("TEST_REFUND", 1, "story-failed"))
    assert (order["status"], order["error"], codes_of(order)) == ("failed", "out_of_stock", [])
    assert client.balance() == before


def test_a_refund_is_seen_in_the_balance_and_in_the_books(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients)
    before = client.balance()
    order = client.order("TEA", 1, "story-refund")
    part = shop.cardrail
    refund_order(part.db, part.clock, part.audit, order["order_id"], None, node=NODE, because="a dead code", actor="test")
    assert client.balance() == before
    rows = {one["reference"]: one for one in client.reconciliation()}
    assert (rows["story-refund"]["amount"], rows["story-refund"]["settlement_status"]) == ("95.00", "refunded")


def test_the_books_explain_the_balance(shop: CompatShop, clients: list[GenericClient]) -> None:
    client = a_client(shop, clients)
    spent = sum(Decimal(one["amount"]) for one in client.reconciliation() if one["settlement_status"] == "settled")
    assert client.balance() == Decimal("1000000.00") - spent
