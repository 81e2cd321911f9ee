"""Orders go on, receivers fail at random, the server that also sends is killed: each endpoint ends with each event, nobody pays twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from cardrail.kernel import Mode
from cardrail.webhooks import Who
from tests.acceptance.books import check_books
from tests.acceptance.load import Crowd
from tests.acceptance.server import Answer, Place, Proved, Server
from tests.acceptance.test_kill import ask_again
from tests.waiting import wait_until
from tests.webhooks.receiver import Received, Receiver, a_receiver, reset, slow, status

pytestmark = [pytest.mark.prove, pytest.mark.chaos]


class Told(Place):
    """An installation whose endpoints may live on loopback, and that is not patient."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            "CARDRAIL_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "CARDRAIL_WEBHOOK_RETRY_SECONDS": "0.2 1" + 30 * " 5",  # a busy machine is too slow for a second now and then
            "CARDRAIL_WEBHOOK_TIMEOUT_SECONDS": "1",
        }

    def endpoint(self, url: str) -> str:
        """Another endpoint's secret."""
        self.settings = self.settings.model_copy(update={"webhook_networks": "127.0.0.0/8"})
        with self.opened() as one:
            _, secret = one.webhooks.create(self.partner_id, Mode.LIVE, url=url, events=["order.fulfilled"], who=Who("test"))
        return secret.reveal()


class AtRandom:
    """Seven of ten are taken, and of one event the fourth at the latest."""

    def __init__(self) -> None:
        self._failed: Counter[str] = Counter()

    def __call__(self, handler: BaseHTTPRequestHandler, request: Received) -> None:
        answer, event_id = status(200), request.headers["webhook-id"]
        if self._failed[event_id] < 3 and random.random() < 0.3:
            self._failed[event_id] += 1
            answer = random.choice([status(500), reset, slow(1.3)])
        answer(handler, request)


@pytest.fixture
def told(db_url: str, tmp_path: Path) -> Told:
    return Told(tmp_path, db_url)


def test_every_event_comes_to_every_endpoint_whatever_is_killed(told: Told, full_counts: bool, proved: Proved) -> None:
    wanted, kills = (10_000, 5) if full_counts else (60, 1)
    acknowledged: dict[str, Answer] = {}
    unsure: list[str] = []
    with a_receiver(AtRandom()) as one, a_receiver(AtRandom()) as other:
        secrets = {one.port: told.endpoint(one.url), other.port: told.endpoint(other.url)}
        turn = 0
        while len(acknowledged) < wanted or turn < kills:
            told.stock(6_000)
            server = Server(told)
            try:
                server.wait()
                acknowledged |= ask_again(server, unsure)
                with Crowd(told, server, f"told-{turn}", buyers=4) as crowd:
                    wait_until(lambda: len(crowd.acknowledged) > 30)
                    time.sleep(random.uniform(0.2, 1.0))  # it is killed at no moment in particular
                    server.kill() if turn < kills else None
            finally:
                server.kill()
            unsure = crowd.unsure
            acknowledged |= crowd.acknowledged
            turn += 1
        last_order = time.monotonic()
        with told.serving() as server:
            acknowledged |= ask_again(server, unsure)
            expected = {row.id for row in told.rows("events", "id", type="order.fulfilled")}
            for receiver in (one, other):
                wait_for(receiver, expected, 1_200 if full_counts else 240)
        took = time.monotonic() - last_order
    check_books(told, acknowledged)
    for receiver in (one, other):
        for request in receiver.received[-50:]:
            assert Webhook(secrets[receiver.port]).verify(request.body, request.headers)
    twice = sum(count - 1 for receiver in (one, other) for count in Counter(receiver.ids).values())
    proved(
        f"{len(expected)} events at two receivers that fail three times of ten, {kills} kills: each came to each at least once "
        f"({twice} requests were repeats), the last {took:.0f} s after the last order; books clean"
    )


def wait_for(receiver: Receiver, expected: set[str], seconds: float) -> None:
    wait_until(lambda: expected <= set(receiver.ids), seconds)
