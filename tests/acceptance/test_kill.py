"""kill -9 of the server under load, at random moments, again and again on the same data."""

from __future__ import annotations

import random
import time

import pytest

from tests.acceptance.books import check_books, close_books
from tests.acceptance.load import Crowd
from tests.acceptance.server import Answer, Place, Proved, Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.prove, pytest.mark.chaos]


def test_a_killed_server_loses_no_order_and_sells_no_code_twice(place: Place, full_counts: bool, proved: Proved) -> None:
    rounds = 25 if full_counts else 2
    acknowledged: dict[str, Answer] = {}
    unsure: list[str] = []
    under_way = 0
    for turn in range(rounds):
        place.stock(6_000)
        server = Server(place)
        try:
            server.wait()
            acknowledged |= ask_again(server, unsure)
            with Crowd(place, server, f"kill-{turn}") as crowd:
                wait_until(lambda: len(crowd.acknowledged) > 12)
                time.sleep(random.uniform(0.0, 0.8))  # it is killed at no moment in particular
                server.kill()
        finally:
            server.kill()
        assert not crowd.refused
        unsure = crowd.unsure
        under_way += len(unsure)
        acknowledged |= crowd.acknowledged
        check_books(place, acknowledged)
    with place.serving() as server:
        acknowledged |= ask_again(server, unsure)
    check_books(place, acknowledged)
    movements = close_books(place)
    assert movements >= len(acknowledged)
    assert len(acknowledged) > rounds * 10, "the server was hardly under load"
    assert under_way > rounds, "it was never killed while orders were under way"
    proved(
        f"{rounds} kills, {under_way} orders under way at the time; {len(acknowledged)} orders there once and paid once, "
        f"no code sold twice, verify and self-check clean after each, {movements} movements in closed statements at last"
    )


def ask_again(server: Server, keys: list[str]) -> dict[str, Answer]:
    """What the restarted server answers to those who heard nothing: their order, whether it took place before or only now."""
    with server.buyer() as buyer:
        found = {key: buyer.order(key, reference=key) for key in keys}
    assert {answer.status for answer in found.values()} <= {200, 201}
    return found
