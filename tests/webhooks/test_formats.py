"""Webhooks in the words of the dialects: the sheets' own vectors, and what their receivers check."""

from __future__ import annotations

import json

import sqlalchemy as sa

from cardrail.kernel import Money, Secret, uuid_of
from cardrail.storage import metadata
from cardrail.webhooks.formats import finperks, foxreload
from tests.webhooks.build import Hooks
from tests.webhooks.receiver import Receiver, status

FOX_BODY = (
    b'{"event":"order.delivered","order_id":"ord_q7w2e9","sku_id":"nintendo-pl-70","wholesale_cost_usd":"15.90",'
    b'"delivered_at":"2026-09-21T14:13:20Z","delivery_data":{"code":"TEST-0001-AAAA","type":"redeem_code"}}'
)


def test_the_vectors_of_the_sheets() -> None:
    fox = foxreload.signature(Secret("fxw_demo_secret_for_tests_only"), "1790000000", FOX_BODY)
    assert fox == "4f428104266acd15e58758b316d57ced4fc8eb61936f7cde674d59089504e750"
    star_body = b'{"event_type":"order.delivered","data":{"id":90231,"reference_code":"LUMEN-77120","status":"DELIVERED"}}'
    star = foxreload.signature(Secret("whsec_T3stOnlyNotARealSecret0001"), "1767225655", star_body)
    assert star == "66d1c73efffa5300b220beba27fb8f1b167f9036e23e76ef333dcadab3142bb9"
    date, url = "Tue, 03 Feb 2026 08:15:00 GMT", "https://shop.example/hooks/finperks"
    fin = finperks.signature(Secret("demo-secret-0001"), url, date, b'{"probe":true}')
    assert fin == "94719c999ba344d7ae21db2a1e2113b0d3e84b36b52b017c97464fc8ae6096e2"


def test_foxreload_without_codes(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url, format="foxreload_v1")
    (order_id,) = hooks.order()
    hooks.send()
    (request,) = receiver.received
    stamp, signed = [part.partition("=")[2] for part in request.headers["x-foxreload-signature"].split(",")]
    assert signed == foxreload.signature(secret, stamp, request.body)
    told = request.json
    assert (told["event"], told["order_id"], told["sku_id"], told["wholesale_cost_usd"]) == (
        "order.delivered",
        order_id,
        "TEA",
        "95.00",
    )
    assert (told["delivery_data"], told["codes"]) == (None, [])
    assert request.headers["x-foxreload-event-id"] == uuid_of(hooks.deliveries(hooks.book.everybodys()[0])[0].event_id)


def test_foxreload_says_the_name_that_was_subscribed_to(hooks: Hooks, receiver: Receiver) -> None:
    hooks.endpoint(receiver.url, format="foxreload_v1", labels={"events": ["order.fulfilled"]})
    hooks.order()
    hooks.send()
    assert receiver.types_of("event") == ["order.fulfilled"]


def test_foxreload_with_codes_which_are_kept_nowhere_and_noted(hooks: Hooks, receiver: Receiver) -> None:
    hooks.world.stock("BOOKS", ["SECRET-CODE-77"])
    endpoint, _ = hooks.endpoint(receiver.url, format="foxreload_v1", with_codes=True)
    hooks.world.order("BOOKS")
    receiver.answer = echo
    hooks.send()
    (request,) = receiver.received
    assert request.json["delivery_data"] == {"code": "SECRET-CODE-77", "type": "redeem_code"}
    assert request.json["codes"] == [{"type": "redeem_code", "code": "SECRET-CODE-77", "pin": None}]
    assert [one.answer for one in hooks.attempts(endpoint)] == [None]  # the receiver said it all back
    with hooks.world.db.read() as tx:
        for table in metadata.sorted_tables:
            assert "SECRET-CODE-77" not in str(tx.execute(sa.select(table)).all()), table.name
        audit = metadata.tables["audit"]
        actors = tx.execute(sa.select(audit.c.actor).where(audit.c.action == "code.revealed")).scalars().all()
    assert f"webhook:{endpoint.id}" in actors


def echo(handler: object, request: object) -> None:
    status(200, request.body)(handler, request)  # type: ignore[attr-defined, arg-type]


def test_starship(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url, format="starship_g2", secret=Secret("whsec_of_the_credential"))
    order = hooks.world.order("TEA", 2, reference="LUMEN-77120")
    hooks.send()
    (request,) = receiver.received
    assert secret.reveal() == "whsec_of_the_credential"
    assert request.headers["x-signature"] == foxreload.signature(secret, request.headers["x-timestamp"], request.body)
    told = request.json
    assert told["event_type"] == "order.delivered"
    assert told["data"] | {"id": 0, "delivered_on": "", "created_at": ""} == {
        "id": 0,
        "reference_code": "LUMEN-77120",
        "status": "DELIVERED",
        "product_name": "Tea voucher",
        "denomination": "100.00",
        "quantity": 2,
        "amount": "200.00",
        "delivered_quantity": 2,
        "delivered_on": "",
        "created_at": "",
    }
    with hooks.world.db.read() as tx:
        orders = metadata.tables["orders"]
        assert tx.execute(sa.select(orders.c.id).where(orders.c.number == told["data"]["id"])).scalar_one() == order.id


def test_finperks(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url, format="finperks", labels={"key_id": "fp_live_1"}, secret=Secret("demo"))
    (order_id,) = hooks.order()
    hooks.send()
    (request,) = receiver.received
    signed = finperks.signature(secret, receiver.url, request.headers["date"], request.body)
    assert request.headers["fp-signature"] == f"FP1-HMAC-SHA256 KeyId=fp_live_1, Signature={signed}"
    assert json.loads(request.body)["order"] == {"id": order_id, "state": "completed"}


def test_a_format_is_not_sent_what_it_has_no_word_for(hooks: Hooks, receiver: Receiver) -> None:
    hooks.endpoint(receiver.url, format="starship_g2")
    hooks.world.a_partner("INR", "10.00")
    hooks.world.credit(hooks.world.partner.partner_id, Money.parse("10.00", "INR"), hooks.world.partner.mode)
    hooks.send()
    assert receiver.received == []
