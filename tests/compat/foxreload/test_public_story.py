"""A store's life with surface P, told by a client that was written from the sheet alone; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from cardrail.kernel import Mode, PartnerId
from cardrail.orders import (
    Buyer,
    InvalidationPolicy,
    Order,
    OrderFilter,
    all_checks,
    invalidate_order,
    list_orders,
    procure_order,
    refund_order,
)
from tests.build import NODE
from tests.compat.build import CompatShop
from tests.compat.foxreload.client_public import PublicClient, Refused, Unclear
from tests.compat.foxreload.public import ROOT, furnish

Client = Callable[..., PublicClient]


@pytest.fixture(scope="module")
def furnished(shop: CompatShop) -> CompatShop:
    furnish(shop)
    return shop


@pytest.fixture
def client(furnished: CompatShop) -> Iterator[Client]:
    """Makes clients of the shop's partner, or of another."""
    made: list[PublicClient] = []

    def make(mode: Mode = Mode.LIVE, partner_id: PartnerId | None = None, **facts: Any) -> PublicClient:
        key = furnished.credential("foxreload", mode, partner_id=partner_id)["api_key"]
        made.append(PublicClient(furnished.url + ROOT, key, **facts))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Losing(httpx2.BaseTransport):
    """Carries requests; of those whose path ends so, the answer is lost, once."""

    def __init__(self, ending: str) -> None:
        self._inner = httpx2.HTTPTransport()
        self._ending = ending
        self.lost = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        if request.method == "POST" and request.url.path.endswith(self._ending) and not self.lost:
            self.lost += 1
            response.read()
            response.close()
            raise httpx2.ReadTimeout("the answer is lost", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


def orders_of(shop: CompatShop, partner_id: PartnerId, mode: Mode = Mode.LIVE) -> list[Order]:
    return list_orders(shop.cardrail.db, Buyer(partner_id, mode, "INR", "test"), OrderFilter(), before=None, limit=50)


def books_agree(shop: CompatShop) -> None:
    """What `cardrail verify` would say, but of the audit log: the shop's first rows were written with another key."""
    with shop.cardrail.db.read() as tx:
        found = [one for check in all_checks(shop.cardrail.audit) for one in check.run(tx)]
    assert [one for one in found if one.check != "audit"] == []


def test_a_store_loads_the_catalog_checks_orders_polls_and_delivers(furnished: CompatShop, client: Client) -> None:
    store = client()
    slugs = {one["slug"] for one in store.categories()}
    assert {"food", "gaming", "books"} <= slugs
    catalog = store.products()
    assert len({one["id"] for one in catalog}) == len(catalog) >= 10
    (tea,) = store.get("/products/search", query="tea voucher")
    fresh = store.product(tea["id"])
    assert fresh["quantity"] is None or fresh["quantity"] >= 3
    before, price = store.available(), Decimal(fresh["price"])
    bought = store.buy("SHOP-1", [{"itemId": tea["id"], "quantity": 3, "totalPrice": str(price * 3)}])
    assert (bought.order["status"], len(set(bought.codes[0])), bought.errors) == ("completed", 3, [None])
    assert before - store.available() == price * 3 == Decimal(bought.order["price"])
    again = store.buy("SHOP-1", [])  # the store's own reference: it is not bought twice
    assert (again.order["id"], again.codes, before - store.available()) == (bought.order["id"], bought.codes, price * 3)
    books_agree(furnished)


def test_a_topup_takes_its_note_in_the_buyers_language(client: Client) -> None:
    store = client(Mode.TEST, language="ru")
    coins = store.product("coins-250")
    note = dict.fromkeys(coins["requiredNoteFields"], "7700123") | {
        name: values[0] for name, values in coins["noteFieldOptions"].items()
    }
    bought = store.buy("TOPUP-1", [{"itemId": coins["id"], "quantity": 1, "note": note}])
    assert (bought.order["status"], bought.errors) == ("completed", [None])
    assert bought.order["items"][0]["userGuide"] == coins["userGuide"] == "Откройте магазин игры."
    with pytest.raises(Refused) as refusal:
        store.buy("TOPUP-2", [{"itemId": coins["id"], "quantity": 1}])
    assert refusal.value.code == "VALIDATION_ERROR"


def test_a_part_comes_and_the_rest_is_not_charged(furnished: CompatShop, client: Client) -> None:
    store = client()
    card = store.product("game-1000")["id"]
    furnished.world.stock("GAME-1000", 3)
    orders = [store.post("/orders/", {"items": [{"itemId": card, "quantity": 2}]}) for _ in range(2)]
    before = store.available()
    for one in orders:
        store.pay(one["id"])
    whole, partial = (store.deliver(store.poll(one["id"])) for one in orders)
    assert (len(whole.codes[0]), whole.errors) == (2, [None])
    assert (partial.order["status"], len(partial.codes[0])) == ("completed", 1)
    assert partial.errors != [None]
    assert before - store.available() == 3 * 960
    books_agree(furnished)


def test_what_a_supplier_brings_is_polled_for(furnished: CompatShop, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    store = client()
    items = [{"itemId": store.product("tea")["id"], "quantity": 2, "note": {"mock_outcome": "slow"}}]
    monkeypatch.setattr(furnished.cardrail.clock, "now", _later(furnished.cardrail.clock.now, seconds=-5))
    order = store.post("/orders/", {"items": items, "isMock": True})
    store.pay(order["id"])
    assert store.order(order["id"])["status"] == "processing"
    buying, order_id = furnished.cardrail.buying, orders_of(furnished, furnished.partner_id, Mode.TEST)[0].id
    procure_order(buying, order_id)  # the simulated supplier takes it, and some seconds
    assert store.order(order["id"])["status"] == "processing"
    monkeypatch.undo()  # which are over now
    worker = threading.Timer(0.2, procure_order, (buying, order_id))
    worker.start()
    came = store.deliver(store.poll(order["id"]))
    worker.join()
    assert (came.order["status"], len(came.codes[0]), came.errors) == ("completed", 2, [None])
    assert store.waits  # it had to ask more than once


def test_a_refund_is_money_in_the_balance(furnished: CompatShop, client: Client) -> None:
    store = client()
    bought = store.buy("REFUND-1", [{"itemId": store.product("books")["id"], "quantity": 7}])
    before = store.available()
    newest = orders_of(furnished, furnished.partner_id)[0]
    part = furnished.cardrail
    refund_order(part.db, part.clock, part.audit, newest.id, 3_216, node=NODE, because="one was used", actor="cli")
    assert (store.available() - before, store.order(bought.order["id"])["status"]) == (Decimal("32.16"), "completed")
    books_agree(furnished)


def test_codes_that_were_taken_back_are_gone_and_credited(furnished: CompatShop, client: Client) -> None:
    store = client()
    before = store.available()
    bought = store.buy("BACK-1", [{"itemId": store.product("tea")["id"], "quantity": 1}])
    newest = orders_of(furnished, furnished.partner_id)[0]
    part, policy = furnished.cardrail, InvalidationPolicy(window=timedelta(hours=1), allow_revealed=True)
    buyer = Buyer(furnished.partner_id, Mode.LIVE, "INR", "cli")
    invalidate_order(part.db, part.clock, part.audit, buyer, newest.id, policy, node=NODE, because="wrong card")
    after = store.deliver(store.order(bought.order["id"]))
    assert (after.order["status"], after.codes, store.available()) == ("completed", [[]], before)
    assert after.errors != [None]


def test_a_refused_order_costs_nothing_and_is_none(furnished: CompatShop, client: Client) -> None:
    poor_id = furnished.a_partner("50.00")
    poor = client(partner_id=poor_id)
    tea = poor.product("tea")["id"]
    for reference, items, code in (
        ("NO-1", [{"itemId": poor.product("soldout")["id"], "quantity": 1}], "OUT_OF_STOCK"),
        ("NO-2", [{"itemId": tea, "quantity": 1, "totalPrice": "90.00"}], "OFFER_PRICE_NOT_MATCHED"),
        ("NO-3", [{"itemId": "product_" + "0" * 26, "quantity": 1}], "NOT_FOUND"),
    ):
        with pytest.raises(Refused) as refusal:
            poor.buy(reference, items)
        assert refusal.value.code == code
    assert orders_of(furnished, poor_id) == []
    with pytest.raises(Refused) as short:
        poor.buy("NO-4", [{"itemId": tea, "quantity": 1}])
    assert short.value.code == "BALANCE_NOT_ENOUGH"
    assert poor.available() == Decimal("50.00")
    furnished.credit("45.00", "INR", poor_id)  # topped up, the same order can still be paid
    assert poor.buy("NO-4", []).order["status"] == "completed"
    assert poor.available() == 0


@pytest.mark.parametrize("ending", ["/orders/", "/pay"])
@pytest.mark.parametrize("key", [None, "key"])
def test_an_answer_that_was_lost_is_looked_up_and_charged_once(
    furnished: CompatShop, client: Client, ending: str, key: str | None
) -> None:
    partner_id = furnished.a_partner("1000.00")
    transport = Losing(ending)
    store = client(partner_id=partner_id, transport=transport)
    facts = {"idempotencyKey": key} if key else {}
    bought = store.buy("LOST-1", [{"itemId": store.product("tea")["id"], "quantity": 2}], **facts)
    assert (transport.lost, bought.order["status"], len(bought.codes[0])) == (1, "completed", 2)
    assert (len(orders_of(furnished, partner_id)), store.available()) == (1, Decimal("810.00"))
    books_agree(furnished)


def test_a_blind_repeat_with_a_key_is_found_out(furnished: CompatShop, client: Client) -> None:
    partner_id = furnished.a_partner("1000.00")
    store = client(partner_id=partner_id, transport=Losing("/orders/"))
    body = {"items": [{"itemId": store.product("tea")["id"], "quantity": 1}], "idempotencyKey": "blind"}
    with pytest.raises(Unclear):
        store.post("/orders/", body)
    with pytest.raises(Refused) as refusal:
        store.post("/orders/", body)
    assert refusal.value.code == "ORDER_ALREADY_EXISTS"
    assert len(orders_of(furnished, partner_id)) == 1


def test_an_order_that_nobody_pays_expires(furnished: CompatShop, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    store = client()
    order = store.post("/orders/", {"items": [{"itemId": store.product("tea")["id"], "quantity": 1}]})
    monkeypatch.setattr(furnished.cardrail.clock, "now", _later(furnished.cardrail.clock.now, minutes=31))
    late = store.order(order["id"])
    assert (late["status"], late["cancelReason"]) == ("cancelled", "payment_expiration")
    with pytest.raises(Refused) as refusal:
        store.pay(order["id"])
    assert refusal.value.code == "ORDER_PAYMENT_NOT_POSSIBLE"
    ids = {status: [one["id"] for one in store.get("/orders", status=status)["items"]] for status in ("active", "cancelled")}
    assert order["id"] not in ids["active"]


def _later(now: Callable[[], Any], **much: int) -> Callable[[], Any]:
    return lambda: now() + timedelta(**much)
