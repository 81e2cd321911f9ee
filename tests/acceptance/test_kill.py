"""kill -9 of the server under load, at random moments, again and again on the same data."""

from __future__ import annotations

import random
import time

import pytest

from tests.acceptance.books import check_books
from tests.acceptance.load import Crowd
from tests.acceptance.server import Answer, Place, Server

pytestmark = [pytest.mark.prove, pytest.mark.chaos]


def test_a_killed_server_loses_no_order_and_sells_no_code_twice(place: Place, full_counts: bool) -> None:
    rounds = 25 if full_counts else 2
    acknowledged: dict[str, Answer] = {}
    dice = random.Random()
    under_way = 0
    for turn in range(rounds):
        place.stock(3_000)
        server = Server(place)
        try:
            server.wait()
            with Crowd(place, server, f"kill-{turn}") as crowd:
                time.sleep(dice.uniform(0.2, 1.2))
                server.kill()
        finally:
            server.kill()
        assert not crowd.refused
        under_way += len(crowd.unsure)
        acknowledged |= crowd.acknowledged
        acknowledged |= ask_again(place, crowd.unsure)
        check_books(place, acknowledged)
    assert len(acknowledged) > rounds * 10, "the server was hardly under load"
    assert under_way > rounds, "it was never killed while orders were under way"


def ask_again(place: Place, keys: list[str]) -> dict[str, Answer]:
    """What the restarted server answers to those who heard nothing: their order, whether it took place before or only now."""
    with place.serving() as server, server.buyer() as buyer:
        found = {key: buyer.order(key, reference=key) for key in keys}
    assert {answer.status for answer in found.values()} <= {200, 201}
    return found
