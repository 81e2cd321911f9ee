"""Invalidate and refund (specs/finperks.md, sections 2.3 and 2.4)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cardrail.kernel import Mode, new_id
from cardrail.orders import refund_order
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import (
    WITHOUT_CODE,
    covers,
    order_body,
    placed,
    refused,
)
from tests.compat.finperks.client import FinperksClient
from tests.compat.shapes import Only, fits


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


# --- taking back (2.3, 2.4) -------------------------------------------------------------------------------------------


@covers("POST /orders/{id}/actions/invalidate")
def test_an_order_that_nobody_has_seen_can_be_invalidated(shop: CompatShop, live: FinperksClient) -> None:
    before, stock = shop.balance(), shop.world.in_stock("TEA")
    order = placed(live, order_body(shop, processing_mode="async"))
    answer = live.send("POST", f"/orders/{order['id']}/actions/invalidate")
    assert answer.status_code == 200
    fits(answer.json(), WITHOUT_CODE | {"state": Only("invalidated")})
    assert live.order(order["id"]) == answer.json()
    assert (shop.balance(), shop.world.in_stock("TEA")) == (before, stock)
    refused(live.send("POST", f"/orders/{order['id']}/actions/invalidate"), 400, "invalid_state", "order_invalidated")


def test_a_code_that_was_seen_cannot_be_invalidated_in_live(shop: CompatShop, live: FinperksClient) -> None:
    order = placed(live, order_body(shop))
    answer = live.send("POST", f"/orders/{order['id']}/actions/invalidate")
    refused(answer, 400, "invalid_state", "order_invalidation_not_supported")
    assert live.order(order["id"]) == order


def test_in_the_sandbox_a_code_that_was_seen_can_be_invalidated(shop: CompatShop, sandbox: FinperksClient) -> None:
    before = shop.balance(mode=Mode.TEST)
    order = placed(sandbox, order_body(shop, "TEST_OK", "10.0"))
    fits(sandbox.invalidate(order["id"]), WITHOUT_CODE | {"state": Only("invalidated")})
    assert shop.balance(mode=Mode.TEST) == before


def test_what_is_still_processing_or_failed_cannot_be_invalidated(shop: CompatShop, sandbox: FinperksClient) -> None:
    pending = placed(sandbox, order_body(shop, "TEST_PENDING", "10.0", processing_mode="async"))
    answer = sandbox.send("POST", f"/orders/{pending['id']}/actions/invalidate")
    refused(answer, 400, "invalid_state", "order_processing")
    failed = placed(sandbox, order_body(shop, "TEST_REFUND", "10.0"))
    refused(sandbox.send("POST", f"/orders/{failed['id']}/actions/invalidate"), 400, "invalid_state", "order_failed")


@covers("POST /orders/{id}/actions/refund")
def test_a_refund_returns_the_price_and_hides_the_code(shop: CompatShop, sandbox: FinperksClient) -> None:
    before = shop.balance(mode=Mode.TEST)
    order = placed(sandbox, order_body(shop, "TEST_OK", "10.0"))
    answer = sandbox.send("POST", f"/orders/{order['id']}/actions/refund")
    assert answer.status_code == 200
    fits(answer.json(), WITHOUT_CODE | {"state": Only("refunded")})
    assert sandbox.order(order["id"]) == answer.json()
    assert shop.balance(mode=Mode.TEST) == before
    for action, code in (("refund", "order_not_completed"), ("invalidate", "order_invalidation_not_supported")):
        refused(sandbox.send("POST", f"/orders/{order['id']}/actions/{action}"), 400, "invalid_state", code)
    assert shop.balance(mode=Mode.TEST) == before


def test_only_what_is_completed_can_be_refunded(shop: CompatShop, sandbox: FinperksClient) -> None:
    for sku in ("TEST_PENDING", "TEST_REFUND"):
        order = placed(sandbox, order_body(shop, sku, "10.0", processing_mode="async"))
        answer = sandbox.send("POST", f"/orders/{order['id']}/actions/refund")
        refused(answer, 400, "invalid_state", "order_not_completed")
    refused(sandbox.send("POST", f"/orders/{new_id('ord')}/actions/refund"), 404, "not_found", "entity_not_found")


def test_in_live_there_is_no_refund_action_and_no_event_to_trigger(shop: CompatShop, live: FinperksClient) -> None:
    order = placed(live, order_body(shop))
    refused(live.send("POST", f"/orders/{order['id']}/actions/refund"), 404, "not_found", "path_not_found")
    answer = live.send("POST", "/client_partners/x/actions/trigger_event", {"event": "approve"})
    refused(answer, 404, "not_found", "path_not_found")


def test_what_the_operator_refunds_in_live_shows_as_refunded(shop: CompatShop, live: FinperksClient) -> None:
    order, part = placed(live, order_body(shop)), shop.cardrail
    refund_order(part.db, part.clock, part.audit, order["id"], None, node="main", because="complaint", actor="cli")
    fits(live.order(order["id"]), WITHOUT_CODE | {"state": Only("refunded")})


def test_many_refunds_at_once_give_the_price_back_once(shop: CompatShop, sandbox: FinperksClient) -> None:
    before = shop.balance(mode=Mode.TEST)
    order = placed(sandbox, order_body(shop, "TEST_OK", "10.0"))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: sandbox.send("POST", f"/orders/{order['id']}/actions/refund"), range(6)))
    assert {one.status_code for one in answers} <= {200, 400}
    assert 200 in {one.status_code for one in answers}
    assert shop.balance(mode=Mode.TEST) == before


def test_many_invalidations_at_once_give_the_price_back_once(shop: CompatShop, live: FinperksClient) -> None:
    before, stock = shop.balance(), shop.world.in_stock("TEA")
    order = placed(live, order_body(shop, processing_mode="async"))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: live.send("POST", f"/orders/{order['id']}/actions/invalidate"), range(6)))
    assert {one.status_code for one in answers} <= {200, 400}
    assert (shop.balance(), shop.world.in_stock("TEA")) == (before, stock)
