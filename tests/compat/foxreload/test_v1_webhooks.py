"""Surface V1's webhooks against the sheet (specs/foxreload.md, section 4): registered over HTTP, received over HTTP, signed as it says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller, give_dollars
from tests.compat.foxreload.client_v1 import is_genuine
from tests.compat.shapes import fits
from tests.webhooks.receiver import Receiver, a_receiver, status

ENDPOINT = {"id": re.compile("wh_[0-9A-Za-z]+"), "url": str, "events": [str], "webhook_secret": str}
BODY = (
    b'{"event":"order.delivered","order_id":"ord_q7w2e9","sku_id":"nintendo-pl-70","wholesale_cost_usd":"15.90",'
    b'"delivered_at":"2026-09-21T14:13:20Z","delivery_data":{"code":"TEST-0001-AAAA","type":"redeem_code"}}'
)
"""The sheet's test vector (4.4)."""


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """These are about the wire."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """The receiver is on loopback."""
    return {"webhook_networks": "127.0.0.0/8"}


@pytest.fixture(scope="module", autouse=True)
def dollars(shop: CompatShop) -> None:
    give_dollars(shop)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one


@pytest.fixture
def mine(shop: CompatShop) -> Caller:
    """A partner of its own, with a hundred dollars."""
    return caller(shop, "/v1", partner_id=shop.a_partner("100.00", "USD"))


def sent(shop: CompatShop) -> int:
    """Send what is due."""
    return shop.cardrail.sender.send_due()


def test_the_sheet_s_vector_is_what_the_client_checks_by() -> None:
    assert len(BODY) == 207
    secret, now = "fxw_demo_secret_for_tests_only", 1_790_000_000
    signed = "t=1790000000,v1=4f428104266acd15e58758b316d57ced4fc8eb61936f7cde674d59089504e750"
    alone = "t=1790000000,v1=7fa243d9e2cf3ef80070b9603e71e275b908cc5682aa11a33b4734b3ca35c843"
    assert is_genuine(secret, signed, BODY, now)
    assert is_genuine(secret, signed, BODY, now - 300)
    assert not is_genuine(secret, signed, BODY, now + 301)
    assert not is_genuine(secret, signed, BODY + b" ", now)
    assert not is_genuine(secret, alone, BODY, now)
    assert is_genuine(secret, alone, BODY, now, accept_body_alone=True)


def test_a_delivery_is_told_and_its_signature_is_genuine(shop: CompatShop, mine: Caller, receiver: Receiver) -> None:
    hook = mine.post("/webhooks", {"url": receiver.url, "events": ["order.delivered", "order.failed"]})
    fits(hook, ENDPOINT)
    assert (hook["url"], hook["events"]) == (receiver.url, ["order.delivered", "order.failed"])
    order = mine.post("/orders", {"sku": "TEA", "quantity": 2})
    assert sent(shop) == 1
    (came,) = receiver.received
    headers = {name.lower(): value for name, value in came.headers.items()}
    assert is_genuine(hook["webhook_secret"], headers["x-foxreload-signature"], came.body, time.time())
    assert str(UUID(headers["x-foxreload-event-id"])) == headers["x-foxreload-event-id"]
    told = json.loads(came.body)
    assert (told["event"], told["order_id"], told["sku_id"]) == ("order.delivered", order["order_id"], "TEA")
    assert (told["wholesale_cost_usd"], told["delivery_data"], told["codes"]) == ("2.38", None, [])


def test_codes_are_told_only_to_who_asks_and_may_see_them(shop: CompatShop, receiver: Receiver) -> None:
    who = shop.a_partner("100.00", "USD")
    seeing = caller(shop, "/v1", partner_id=who)
    blind = caller(shop, "/v1", Mode.LIVE, "webhooks:write", "orders:write", partner_id=who)
    seeing.post("/webhooks", {"url": receiver.url, "include_codes": True})
    blind.post("/webhooks", {"url": receiver.url + "/blind", "include_codes": True})
    order = seeing.post("/orders", {"sku": "TEA", "quantity": 1})
    assert sent(shop) == 2
    told = {one.path: json.loads(one.body) for one in receiver.received}
    code = seeing.get(f"/orders/{order['order_id']}")["codes"][0]
    assert told["/hook"]["codes"] == [code]
    assert told["/hook"]["delivery_data"] == {"code": code["code"], "type": "redeem_code"}
    assert told["/hook/blind"]["codes"] == []


def test_the_key_s_own_secret_signs_for_the_first_endpoint_and_others_have_theirs(shop: CompatShop, receiver: Receiver) -> None:
    who = shop.a_partner("10.00", "USD")
    mine = caller(shop, "/v1", partner_id=who)
    given = shop.credential("foxreload", Mode.LIVE, partner_id=who)["webhook_secret"]
    first, second = [mine.post("/webhooks", {"url": receiver.url})["webhook_secret"] for _ in range(2)]
    assert first == given
    assert second != given
    assert len(second) == 64


def test_a_rotated_secret_signs_at_once_and_alone(shop: CompatShop, mine: Caller, receiver: Receiver) -> None:
    hook = mine.post("/webhooks", {"url": receiver.url, "events": ["order.delivered"]})
    rotated = mine.post("/webhooks", {"id": hook["id"], "rotate": True})
    assert {**rotated, "webhook_secret": ""} == {**hook, "webhook_secret": ""}
    mine.post("/orders", {"sku": "TEA", "quantity": 1})
    sent(shop)
    (came,) = receiver.received
    signature = {name.lower(): value for name, value in came.headers.items()}["x-foxreload-signature"]
    assert is_genuine(rotated["webhook_secret"], signature, came.body, time.time())
    assert not is_genuine(hook["webhook_secret"], signature, came.body, time.time())


def test_a_lost_event_is_replayed_under_its_id(shop: CompatShop, mine: Caller, receiver: Receiver) -> None:
    hook = mine.post("/webhooks", {"url": receiver.url, "events": ["order.delivered"]})
    receiver.answer = status(500)
    mine.post("/orders", {"sku": "TEA", "quantity": 1})
    sent(shop)
    receiver.answer = status(200)
    ids = [{name.lower(): value for name, value in one.headers.items()}["x-foxreload-event-id"] for one in receiver.received]
    assert mine.ask("POST", f"/webhooks/{hook['id']}/replay", 200, json={"event_id": ids[0]}) == {"id": hook["id"], "replayed": 1}
    sent(shop)
    again = [{name.lower(): value for name, value in one.headers.items()}["x-foxreload-event-id"] for one in receiver.received]
    assert again == ids * 2
    assert mine.ask("POST", f"/webhooks/{hook['id']}/replay", 200) == {"id": hook["id"], "replayed": 0}


def test_a_refund_is_told_under_its_id(shop: CompatShop, mine: Caller, receiver: Receiver) -> None:
    mine.post("/webhooks", {"url": receiver.url, "events": ["order.refunded"]})
    order = mine.post("/orders", {"sku": "TEA", "quantity": 1})
    refund = mine.post("/refunds", {"order_id": order["order_id"], "amount_usd": "1.19", "reason": "not_delivered"})
    assert sent(shop) == 1
    told = json.loads(receiver.received[0].body)
    assert (told["event"], told["refund_id"], told["amount_usd"]) == ("order.refunded", refund["refund_id"], "1.19")


def test_what_names_no_endpoint_or_event_is_unknown(shop: CompatShop, mine: Caller, receiver: Receiver) -> None:
    hook = mine.post("/webhooks", {"url": receiver.url})["id"]
    other = caller(shop, "/v1", partner_id=shop.a_partner("10.00", "USD"))
    for one in (hook, "wh_2f8", "x"):
        other.refused("POST", f"/webhooks/{one}/replay", 404, "not_found")
        other.refused("POST", "/webhooks", 404, "not_found", json={"id": one, "rotate": True})
    for event in ("00000000-0000-7000-8000-000000000000", "evt"):
        mine.refused("POST", f"/webhooks/{hook}/replay", 404, "not_found", json={"event_id": event})
