"""Client partners (specs/finperks.md, section 2.5)."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import (
    MOMENT,
    Open,
    covers,
    key,
    order_body,
    placed,
    refused,
)
from tests.compat.finperks.client import FinperksClient
from tests.compat.shapes import Only, fits


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


# --- client partners (2.5) --------------------------------------------------------------------------------------------

CLIENT_PARTNER = {"id": str, "name": str, "state": Only("pending", "approved", "rejected", "revoked"), "created_at": MOMENT}


@covers("POST /client_partners", "GET /client_partners", "GET /client_partners/{id}", "PATCH /client_partners/{id}")
def test_a_client_partner_is_registered_listed_read_and_changed(live: FinperksClient) -> None:
    answer = live.send("POST", "/client_partners", {"name": "Acme", "city": "Wien", "unknown": 1})
    assert answer.status_code == 201
    made = answer.json()
    fits(made, CLIENT_PARTNER | {"city": str})
    assert (made["name"], made["state"], made["city"]) == ("Acme", "pending", "Wien")
    assert made in live.ask("GET", "/client_partners")
    assert live.ask("GET", f"/client_partners/{made['id']}") == made
    changed = live.send("PATCH", f"/client_partners/{made['id']}", {"name": "Acme AG", "city": None, "country": "AT"})
    assert changed.status_code == 200
    fits(changed.json(), CLIENT_PARTNER | {"country": str})
    assert changed.json() == {**{name: made[name] for name in CLIENT_PARTNER}, "name": "Acme AG", "country": "AT"}


@covers("POST /client_partners/{id}/actions/trigger_event")
def test_events_lead_from_state_to_state(shop: CompatShop, sandbox: FinperksClient) -> None:
    path = f"/client_partners/{sandbox.ask('POST', '/client_partners', {'name': 'Acme'})['id']}"
    refused(
        sandbox.send("POST", path + "/actions/trigger_event", {"event": "revoke"}),
        400,
        "invalid_state",
        "client_partner_event_invalid",
    )
    for event, state in (("approve", "approved"), ("revoke", "revoked")):
        answer = sandbox.send("POST", path + "/actions/trigger_event", {"event": event})
        assert (answer.status_code, answer.content) == (204, b"")
        assert sandbox.ask("GET", path)["state"] == state
    for event in ("approve", "reject", "revoke"):
        answer = sandbox.send("POST", path + "/actions/trigger_event", {"event": event})
        refused(answer, 400, "invalid_state", "client_partner_event_invalid")
    other = f"/client_partners/{sandbox.ask('POST', '/client_partners', {'name': 'Other'})['id']}"
    assert sandbox.send("POST", other + "/actions/trigger_event", {"event": "reject"}).status_code == 204
    assert sandbox.ask("GET", other)["state"] == "rejected"


def test_only_an_approved_client_partner_is_ordered_for(shop: CompatShop, sandbox: FinperksClient) -> None:
    partner = sandbox.ask("POST", "/client_partners", {"name": "Acme"})["id"]
    body = order_body(shop, "TEST_OK", "10.0", client_partner={"id": partner})
    used = key()
    refused(sandbox.send("POST", "/orders", body, key=used), 400, "invalid_request", "invalid_body_parameters", "client_partner")
    sandbox.ask("POST", f"/client_partners/{partner}/actions/trigger_event", {"event": "approve"})
    order = sandbox.ask("POST", "/orders", body, key=used)
    assert order["client_partner"] == {"id": partner}
    assert placed(sandbox, body | {"client_partner": partner})["client_partner"] == {"id": partner}
    sandbox.ask("POST", f"/client_partners/{partner}/actions/trigger_event", {"event": "revoke"})
    refused(sandbox.send("POST", "/orders", body, key=key()), 400, "invalid_request", "invalid_body_parameters", "client_partner")
    assert sandbox.ask("POST", "/orders", body, key=used) == order  # what was ordered then is answered still


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": 3}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "country": "Austria"}, "country"),
        ({"name": "x", "city": "y" * 501}, "city"),
        ({"name": "x", "city": "\u0000"}, "city"),
        ({"name": "x", "email": "nobody"}, "email"),
    ],
)
def test_a_client_partner_with_a_mistake_is_refused(shop: CompatShop, live: FinperksClient, body: Any, field: str) -> None:
    before = shop.rows()
    refused(live.send("POST", "/client_partners", body), 400, "invalid_request", "invalid_body_parameters", field)
    assert shop.rows() == before


def test_a_change_or_event_with_a_mistake_is_refused(sandbox: FinperksClient) -> None:
    made = sandbox.ask("POST", "/client_partners", {"name": "Acme"})
    path = f"/client_partners/{made['id']}"
    refused(sandbox.send("PATCH", path, {"name": None}), 400, "invalid_request", "invalid_body_parameters", "name")
    refused(sandbox.send("PATCH", path, raw=b"x"), 400, "invalid_format", "invalid_request_body")
    for body in ({}, {"event": "explode"}, {"event": 1}):
        answer = sandbox.send("POST", path + "/actions/trigger_event", body)
        refused(answer, 400, "invalid_request", "invalid_body_parameters", "event")
    assert sandbox.ask("GET", path) == made


def test_a_client_partner_of_another_client_or_mode_is_unknown(
    shop: CompatShop, live: FinperksClient, sandbox: FinperksClient, open_client: Open
) -> None:
    made = sandbox.ask("POST", "/client_partners", {"name": "Acme"})
    stranger = open_client(Mode.TEST, partner_id=shop.a_partner())
    for client in (stranger, live):
        refused(client.send("GET", f"/client_partners/{made['id']}"), 404, "not_found", "entity_not_found")
        refused(client.send("PATCH", f"/client_partners/{made['id']}", {"name": "X"}), 404, "not_found", "entity_not_found")
        assert made["id"] not in [one["id"] for one in client.ask("GET", "/client_partners")]
    answer = stranger.send("POST", f"/client_partners/{made['id']}/actions/trigger_event", {"event": "approve"})
    refused(answer, 404, "not_found", "entity_not_found")
