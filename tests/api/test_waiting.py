"""A client that waits for suppliers: with a worker beside the server, and without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cardrail.orders import procure_order
from tests.api.build import Served


@pytest.fixture
def working(server: Served) -> Iterator[Served]:
    """The server with its worker."""
    server.cardrail.jobs.start([])
    yield server
    server.cardrail.jobs.stop(0)


def body(sku: str, **facts: str) -> dict[str, object]:
    return {"items": [{"sku": sku, "quantity": 2}], **facts}


def test_who_does_not_wait_gets_the_order_as_it_stands(server: Served) -> None:
    answer = server.test.post("/v1/orders", json=body("TEST_SLOW"))
    assert (answer.status_code, answer.json()["state"], answer.json()["items"][0]["codes"]) == (201, "PROCESSING", None)
    order_id = answer.json()["id"]
    procure_order(server.cardrail.buying, order_id)
    assert server.test.get(f"/v1/orders/{order_id}").json()["state"] == "PROCESSING"


def test_who_waits_gets_the_codes_in_the_answer(working: Served) -> None:
    answer = working.test.post("/v1/orders", json=body("TEST_SLOW"), headers={"Prefer": "respond-async, wait=15"})
    assert (answer.status_code, answer.json()["state"], len(answer.json()["items"][0]["codes"])) == (201, "FULFILLED", 2)
    answer = working.test.post("/v1/orders", json=body("TEST_TIMEOUT", processing_mode="sync"))
    assert (answer.json()["state"], len(answer.json()["items"][0]["codes"])) == ("FULFILLED", 2)


def test_whose_time_is_over_gets_the_order_as_it_stands(server: Served) -> None:
    answer = server.test.post("/v1/orders", json=body("TEST_SLOW"), headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["state"]) == (201, "PROCESSING")


def test_an_order_from_stock_waits_for_nobody(server: Served) -> None:
    answer = server.live.post("/v1/orders", json=body("TEA", processing_mode="sync"))
    assert (answer.status_code, answer.json()["state"]) == (201, "FULFILLED")
