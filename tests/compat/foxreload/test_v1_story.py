"""A shop's day on surface V1, told with a client that knows the sheet only, over real HTTP on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import httpx2
import pytest

from cardrail.kernel import Mode
from cardrail.orders import procure_order, pursue_replacement
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import give_dollars
from tests.compat.foxreload.client_v1 import Refusal, V1Client
from tests.compat.foxreload.lossy import LossyLine


@pytest.fixture(scope="module", autouse=True)
def dollars(shop: CompatShop) -> None:
    give_dollars(shop, "100.00")


@pytest.fixture
def clients() -> Iterator[list[V1Client]]:
    made: list[V1Client] = []
    yield made
    for one in made:
        one.http.close()


def a_client(
    shop: CompatShop, clients: list[V1Client], mode: Mode = Mode.LIVE, line: httpx2.BaseTransport | None = None
) -> V1Client:
    key = shop.credential("foxreload", mode)["api_key"]
    made = V1Client(f"{shop.url}/compat/foxreload", key, line)
    clients.append(made)
    return made


def test_a_shop_loads_the_catalog_checks_buys_polls_and_delivers(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients)
    wares = {one["sku_id"]: one for one in client.catalog()}
    assert client.stock().keys() == wares.keys()
    assert wares["BOOKS"]["in_stock"]
    before = client.available()
    order = client.order("BOOKS", 7, "story-1")
    assert (order["status"], order["codes"]) == ("reserved", [])
    delivered = client.wait(order)
    assert delivered["status"] == "delivered"
    assert len({one["code"] for one in delivered["codes"]}) == 7
    assert delivered["unit_price_usd"] == order["unit_price_usd"] == wares["BOOKS"]["wholesale_cost_usd"]
    assert before - client.available() == 7 * Decimal(order["unit_price_usd"]) == Decimal(order["wholesale_cost_usd"])


def test_a_lost_answer_is_asked_for_again_and_charged_once(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients, line=LossyLine(2))
    before = client.available()
    order = client.order("TEA", 1, "story-lost")
    assert client.order("TEA", 1, "story-lost") == order
    assert before - client.available() == Decimal("1.19")
    assert [one["order_id"] for one in client.history() if one["reference"] == "story-lost"] == [order["order_id"]]


def test_all_of_a_quantity_comes_or_nothing(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients)
    before = client.available()
    with pytest.raises(Refusal) as refusal:
        client.order("WALLETCARD:100", shop.world.in_stock("WALLETCARD") + 1, "story-all")
    assert (refusal.value.status, refusal.value.code) == (409, "out_of_stock")
    assert client.available() == before


def test_a_failed_order_costs_nothing(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients, Mode.TEST)
    before = client.available()
    order = client.wait(client.order("TEST_REFUND", 1, "story-failed"))
    assert (order["status"], order["codes"]) == ("failed", [])
    assert client.available() == before


def test_an_unseen_order_is_refunded_and_stays_delivered(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients)
    before = client.available()
    order = client.order("TEA", 2, "story-refund")
    refund = client.refund(order["order_id"], Decimal(order["wholesale_cost_usd"]), "not_delivered")
    assert refund["status"] == "completed"
    assert client.available() == before
    assert client.state(order["order_id"])["status"] == "delivered"


def test_a_bad_code_is_claimed_and_the_new_one_is_fetched(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients, Mode.TEST)
    bad = client.wait(client.order("TEST_BAD_CODE", 1, "story-bad"))
    before = client.available()
    claim = client.replace(bad["order_id"], 0, "already_redeemed", "the shop says it was used")
    assert claim["status"] == "under_review"
    pursue_replacement(shop.cardrail.replacements, claim["replacement_id"])  # a worker asks the simulated supplier
    claim = client.replace(bad["order_id"], 0, "already_redeemed", "the shop says it was used")
    good = client.state(bad["order_id"])
    assert (claim["status"], claim["codes"], good["status"]) == ("approved", good["codes"], "delivered")
    assert (good["codes"] != bad["codes"], client.available()) == (True, before)


def earlier(now: Callable[[], datetime], **by: float) -> Callable[[], datetime]:
    """A clock that is behind."""
    return lambda: now() - timedelta(**by)


def test_what_a_supplier_brings_is_waited_for(shop: CompatShop, clients: list[V1Client], monkeypatch: pytest.MonkeyPatch) -> None:
    client, buying = a_client(shop, clients, Mode.TEST), shop.cardrail.buying
    before = client.available()
    monkeypatch.setattr(shop.cardrail.clock, "now", earlier(shop.cardrail.clock.now, seconds=5))
    order = client.order("TEST_SLOW", 2, "story-slow")
    assert (order["status"], order["codes"]) == ("reserved", [])
    procure_order(buying, order["order_id"])  # the simulated supplier takes it, and some seconds
    assert client.state(order["order_id"])["status"] == "processing"
    monkeypatch.undo()  # which are over now
    worker = threading.Timer(0.2, procure_order, (buying, order["order_id"]))
    worker.start()
    came = client.wait(order)
    worker.join()
    assert (came["status"], len(came["codes"])) == ("delivered", 2)
    assert before - client.available() == Decimal("20.00")


def test_what_cannot_be_sold_is_refused_and_nothing_is_paid(shop: CompatShop, clients: list[V1Client]) -> None:
    client = a_client(shop, clients)
    before = client.available()
    for sku, quantity, status, code in (
        ("SOLDOUT", 1, 409, "out_of_stock"),
        ("NOTHING", 1, 404, "not_found"),
        ("TEA", 200, 402, "insufficient_funds"),
        ("TEA", 0, 400, "invalid_request"),
    ):
        with pytest.raises(Refusal) as refusal:
            client.order(sku, quantity, f"story-{sku}-{quantity}")
        assert (refusal.value.status, refusal.value.code) == (status, code)
    assert client.available() == before


def test_a_base_url_with_the_prefix_in_it_reaches_the_same_surface(shop: CompatShop) -> None:
    headers = {"Authorization": f"Bearer {shop.credential('foxreload')['api_key']}"}
    root = f"{shop.url}/compat/foxreload"
    once, twice = (httpx2.get(f"{root}{prefix}/balance", headers=headers, trust_env=False) for prefix in ("/v1", "/v1/v1"))
    assert once.status_code == twice.status_code == 200
    assert once.json() == twice.json()
