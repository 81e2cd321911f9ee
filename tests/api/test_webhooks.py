"""Webhook endpoints, as a partner manages them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from cardrail.config import Settings
from cardrail.storage import EVENT_SERIES, Sequencer
from tests.api.build import Served, assert_problem
from tests.webhooks.receiver import Receiver, a_receiver, in_turn, status


@pytest.fixture
def settings(db_url: str, tmp_path: Path, settings: Settings) -> Settings:
    """Endpoints may live on loopback here."""
    return settings.model_copy(update={"webhook_networks": "127.0.0.0/8"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one


def send(server: Served) -> None:
    Sequencer(server.cardrail.db, [EVENT_SERIES]).run_pass()
    server.cardrail.sender.send_due()


def create(server: Served, url: str, **facts: Any) -> dict[str, Any]:
    Sequencer(server.cardrail.db, [EVENT_SERIES]).run_pass()  # what came before it is not for it
    response = server.live.post("/v1/webhook-endpoints", json={"url": url, **facts})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def test_an_endpoint_gets_signed_events_and_its_secret_is_shown_once(server: Served, receiver: Receiver) -> None:
    made = create(server, receiver.url, events=["order.fulfilled"], description="our shop")
    placed = server.order()
    send(server)
    (request,) = receiver.received
    assert Webhook(made["secret"]).verify(request.body, request.headers)["data"]["order_id"] == placed["id"]
    shown = server.live.get(f"/v1/webhook-endpoints/{made['id']}").json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert server.live.get("/v1/webhook-endpoints").json()["data"] == [shown]


def test_a_delivery_shows_each_attempt(server: Served) -> None:
    with a_receiver(in_turn(status(500, b"not today"), status(200))) as receiver:
        made = create(server, receiver.url)
        server.order()
        send(server)
        path = f"/v1/webhook-endpoints/{made['id']}/deliveries"
        (delivery,) = server.live.get(path, params={"state": "pending"}).json()["data"]
        shown = server.live.get(f"{path}/{delivery['event_id']}").json()
        assert [(one["status"], one["answer"]) for one in shown["attempts"]] == [(500, "not today")]
        again = server.live.post(f"{path}/{delivery['event_id']}/resend")
        assert (again.status_code, again.json()["state"]) == (202, "pending")
        send(server)
        shown = server.live.get(f"{path}/{delivery['event_id']}").json()
        assert (shown["state"], len(shown["attempts"]), shown["next_attempt_at"]) == ("delivered", 2, None)


def test_deliveries_are_paged(server: Served, receiver: Receiver) -> None:
    made = create(server, receiver.url)
    for _ in range(3):
        server.order()
    send(server)
    path = f"/v1/webhook-endpoints/{made['id']}/deliveries"
    first = server.live.get(path, params={"limit": 2}).json()
    second = server.live.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    ids = [one["event_id"] for one in first["data"] + second["data"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), second["next_cursor"]) == (3, None)


def test_an_endpoint_is_changed_tested_rotated_and_deleted(server: Served, receiver: Receiver) -> None:
    made = create(server, "https://shop.example/hook")
    path = f"/v1/webhook-endpoints/{made['id']}"
    changed = server.live.patch(path, json={"url": receiver.url, "events": ["order.failed"]}).json()
    assert (changed["url"], changed["events"]) == (receiver.url, ["order.failed"])
    assert server.live.patch(path, json={"events": None}).json()["events"] is None
    rotated = server.live.post(f"{path}/rotate", json={"overlap_hours": 0}).json()
    tested = server.live.post(f"{path}/test")
    send(server)
    (request,) = receiver.received
    assert Webhook(rotated["secret"]).verify(request.body, request.headers)["id"] == tested.json()["event_id"]
    assert server.live.delete(path).status_code == 204
    assert_problem(server.live.get(path), 404, "endpoint_not_found")


def test_what_was_missed_while_disabled_is_recovered(server: Served, receiver: Receiver) -> None:
    made = create(server, receiver.url, events=["order.fulfilled"])
    path = f"/v1/webhook-endpoints/{made['id']}"
    assert server.live.patch(path, json={"enabled": False}).json()["state"] == "disabled"
    placed = server.order()
    send(server)
    recover = {"since": placed["created_at"]}
    assert_problem(server.live.post(f"{path}/recover", json=recover), 409, "endpoint_disabled")
    server.live.patch(path, json={"enabled": True})
    assert server.live.post(f"{path}/recover", json=recover).json() == {"count": 1}
    send(server)
    assert len(receiver.received) == 1


def test_what_an_endpoint_cannot_be(server: Served) -> None:
    for body, code in (
        ({"url": "ftp://shop.example/"}, "https_required"),
        ({"url": "https://10.0.0.1/"}, "address_forbidden"),
        ({"url": "https://user@shop.example/"}, "invalid_endpoint"),
        ({"url": "https://shop.example/", "events": ["stock.low"]}, "unknown_event_type"),
    ):
        assert_problem(server.live.post("/v1/webhook-endpoints", json=body), 422, code)


def test_twenty_endpoints_are_enough(server: Served) -> None:
    for _ in range(20):
        create(server, "https://shop.example/hook")
    assert_problem(server.live.post("/v1/webhook-endpoints", json={"url": "https://shop.example/"}), 409, "too_many_endpoints")


def test_another_partners_endpoint_does_not_exist(server: Served) -> None:
    path = f"/v1/webhook-endpoints/{create(server, 'https://shop.example/')['id']}"
    stranger = server.stranger()
    for method, at in (("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/rotate"), ("POST", "/test")):
        assert_problem(stranger.request(method, path + at), 404, "endpoint_not_found")
    assert_problem(server.test.get(path), 404, "endpoint_not_found")
