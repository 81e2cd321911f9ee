"""A shop that was built for Finperks sells cards: told with a client that knows the sheet and nothing of us, over real HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.compat.build import CompatShop
from tests.compat.finperks.asking import Open
from tests.compat.finperks.client import FinperksClient, Refused


def named(client: FinperksClient, name: str) -> Any:
    """The product of the imported catalogue."""
    (found,) = [one for one in client.products() if one["name"] == name]
    return found


def spent(client: FinperksClient, before: str) -> Decimal:
    return Decimal(before) - Decimal(client.available("INR"))


def test_a_direct_sale(live: FinperksClient) -> None:
    tea, before = named(live, "Tea voucher"), live.available("INR")
    assert Decimal(before) >= Decimal(tea["face_value"]["values"][0])
    order = live.buy(tea, "100.0", "story-direct-1")
    assert order["state"] == "completed"
    assert order["code"]["value"]
    assert live.order(order["id"])["code"] == order["code"]
    assert spent(live, before) == Decimal("95.0")


def test_a_sale_that_can_wait_is_polled_until_its_card_is_there(live: FinperksClient) -> None:
    shoes = named(live, "Shoe voucher")
    order = live.buy(shoes, "250.0", "story-async-1", processing_mode="async")
    assert (order["state"], "code" in order) == ("processing", False)
    assert live.wait_for(order["id"])["code"]["value"]


def test_a_lost_answer_is_asked_for_again_and_charged_once(live: FinperksClient) -> None:
    tea, before = named(live, "Tea voucher"), live.available("INR")
    live.send_and_hang_up("/orders", live.order_for(tea, "100.0"), key="story-lost-1")
    first = live.buy(tea, "100.0", "story-lost-1")
    assert live.buy(tea, "100.0", "story-lost-1") == first
    assert spent(live, before) == Decimal("95.0")


def test_a_doubtful_sale_is_invalidated_and_costs_nothing(live: FinperksClient) -> None:
    tea, before = named(live, "Tea voucher"), live.available("INR")
    live.send_and_hang_up("/orders", live.order_for(tea, "100.0", processing_mode="async"), key="story-doubt-1")
    order = live.buy(tea, "100.0", "story-doubt-1", processing_mode="async")
    assert live.invalidate(order["id"])["state"] == "invalidated"
    assert live.invalidate(order["id"])["state"] == "invalidated"
    assert "code" not in live.order(order["id"])
    assert spent(live, before) == 0


def test_refused_orders_say_what_a_shop_must_do(shop: CompatShop, live: FinperksClient, open_client: Open) -> None:
    tea, before = named(live, "Tea voucher"), live.available("INR")
    for product, amount, code in (
        (tea, "99.0", "invalid_body_parameters"),
        (named(live, "Sold-out card"), "200.0", "product_not_available"),
    ):
        with pytest.raises(Refused) as refusal:
            live.buy(product, amount, f"story-refused-{code}")
        assert (refusal.value.status, refusal.value.code) == (400, code)
    assert spent(live, before) == 0
    poor = open_client(partner_id=shop.a_partner("10.00"))
    with pytest.raises(Refused) as refusal:
        poor.buy(tea, "100.0", "story-poor-1")
    assert (refusal.value.status, refusal.value.code) == (403, "insufficient_available_balance")
    assert poor.available("INR") == "10.0"


def test_the_sandbox_shows_a_refund_and_a_failure(sandbox: FinperksClient) -> None:
    tea, before = named(sandbox, "Tea voucher"), sandbox.available("INR")
    order = sandbox.buy(tea, "100.0", "story-refund-1")
    assert spent(sandbox, before) == Decimal("95.0")
    refunded = sandbox.ask("POST", f"/orders/{order['id']}/actions/refund")
    assert (refunded["state"], "code" in refunded) == ("refunded", False)
    failed = sandbox.buy(tea | {"code": "TEST_REFUND"}, "10.0", "story-failed-1")
    assert (failed["state"], "code" in failed) == ("failed", False)
    assert spent(sandbox, before) == 0


def test_an_indirect_sale_needs_an_approved_company(sandbox: FinperksClient) -> None:
    tea = named(sandbox, "Tea voucher")
    company = sandbox.ask("POST", "/client_partners", {"name": "Acme"})
    path = f"/client_partners/{company['id']}"
    with pytest.raises(Refused) as refusal:
        sandbox.buy(tea, "100.0", "story-company-1", client_partner={"id": company["id"]})
    assert refusal.value.code == "invalid_body_parameters"
    sandbox.ask("POST", path + "/actions/trigger_event", {"event": "approve"})
    order = sandbox.buy(tea, "100.0", "story-company-1", client_partner={"id": company["id"]})
    assert order["client_partner"] == {"id": company["id"]}
    sandbox.ask("PATCH", path, {"name": "Acme AG"})
    sandbox.ask("POST", path + "/actions/trigger_event", {"event": "revoke"})
    assert sandbox.ask("GET", path) | {"created_at": ""} == {**company, "name": "Acme AG", "state": "revoked", "created_at": ""}


def test_a_live_order_never_meets_the_sandbox(live: FinperksClient, sandbox: FinperksClient) -> None:
    before = {client: client.available("INR") for client in (live, sandbox)}
    order = live.buy(named(live, "Tea voucher"), "100.0", "story-modes-1")
    other = sandbox.buy(named(sandbox, "Tea voucher"), "100.0", "story-modes-1")
    assert order["id"] != other["id"]
    with pytest.raises(Refused) as refusal:
        sandbox.order(order["id"])
    assert refusal.value.code == "entity_not_found"
    assert [spent(client, before[client]) for client in (live, sandbox)] == [Decimal("95.0")] * 2
