"""The server as a process: where requests come from, a full queue, and an end that answers what is in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from cardrail.api import Server, make_server
from cardrail.bootstrap import opened
from cardrail.config import Settings
from tests.api.build import Served, assert_problem
from tests.waiting import PATIENCE_SECONDS, wait_until

ONE = {"items": [{"sku": "TEA", "quantity": 1}]}


@contextmanager
def _running(settings: Settings) -> Iterator[tuple[Served, Server, threading.Thread]]:
    """A server whose order lane has not been started yet: orders wait."""
    with opened(settings) as cardrail:
        served, ready = Served(cardrail), threading.Event()

        def is_ready(url: str) -> None:
            served.at(url)
            ready.set()

        server = make_server(cardrail, "127.0.0.1", 0, is_ready)
        thread = threading.Thread(target=server.run, name="test-server")
        thread.start()
        try:
            assert ready.wait(PATIENCE_SECONDS)
            yield served, server, thread
        finally:
            served.close()
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


def _wait_for(served: Served, waiting: int) -> None:
    """Until the lane has so many orders waiting."""
    wait_until(lambda: served.cardrail.lane.waiting >= waiting)


def test_what_is_in_flight_is_answered_before_the_end(settings: Settings) -> None:
    with _running(settings) as (served, server, thread), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.live.post, "/v1/orders", json=ONE)
        _wait_for(served, 1)
        server.should_exit = True
        time.sleep(0.3)
        assert thread.is_alive()
        served.cardrail.start()
        assert answer.result(PATIENCE_SECONDS).status_code == 201
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_a_full_queue_takes_nothing_and_says_when_to_come_back(settings: Settings) -> None:
    small = settings.model_copy(update={"lane_queue_max": 1})
    with _running(small) as (served, _, _), ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.live.post, "/v1/orders", json=ONE)
        _wait_for(served, 1)
        refusal = served.client(served.key).post("/v1/orders", json=ONE)
        assert assert_problem(refusal, 503, "queue_full")["retryable"] is True
        assert refusal.headers["retry-after"] == "1"
        served.cardrail.start()
        assert first.result(PATIENCE_SECONDS).status_code == 201


@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [
        ("", "192.0.2.7", 403),  # nobody is trusted: the peer counts
        ("127.0.0.0/8", "192.0.2.7", 200),
        ("127.0.0.0/8", "192.0.2.7, 198.51.100.1", 403),  # what the client wrote himself stands before what the proxy saw
        ("127.0.0.0/8 198.51.100.0/24", "192.0.2.7, 198.51.100.1", 200),
        ("127.0.0.0/8", "nonsense", 403),
        ("10.0.0.0/8", "192.0.2.7", 403),
        pytest.param("127.0.0.0/8", "192.0.2.7" + ", 127.0.0.1" * 200, 403, id="too long a chain to be remembered"),
    ],
)
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    settings: Settings, proxies: str, forwarded: str, status: int
) -> None:
    with _running(settings.model_copy(update={"trusted_proxies": proxies})) as (served, _, _):
        partner = served.world.a_partner("INR")
        client = served.client(served.a_key(partner_id=partner.partner_id, networks=["192.0.2.0/24"]))
        assert client.get("/v1/me", headers={"X-Forwarded-For": forwarded}).status_code == status
        served.cardrail.start()


def test_a_page_has_its_age_once_it_tells_it_from_the_one_before(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardrail.api.v1.catalog._STABLE", timedelta(milliseconds=100))
    assert "last-modified" not in server.live.get("/v1/products").headers
    time.sleep(0.11)
    page = server.live.get("/v1/products")
    again = server.live.get("/v1/products", headers={"If-Modified-Since": page.headers["last-modified"]})
    assert again.status_code == 304
    stale = server.live.get("/v1/products", headers={"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"})
    assert stale.status_code == 200
