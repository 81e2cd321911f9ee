"""The client sends an order and never hears the answer; it asks again with the same key."""

from __future__ import annotations

import json
import random
import socket
import struct
import time

import pytest

from tests.acceptance.books import check_books
from tests.acceptance.server import PRICE_MINOR, SKU, Answer, Place, Proved, Server

pytestmark = [pytest.mark.prove, pytest.mark.chaos]


def send_and_hang_up(server: Server, token: str, key: str, patience: float, *, rudely: bool) -> None:
    """Send a whole order, wait a little, and drop the connection unread; ``rudely`` with a reset instead of a goodbye."""
    body = json.dumps({"items": [{"sku": SKU, "quantity": 1}], "reference": key})
    request = (
        f"POST /v1/orders HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"idempotency-key: {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request.encode())
        time.sleep(patience)
        if rudely:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_lost_answer_costs_nothing_and_loses_nothing(place: Place, full_counts: bool, proved: Proved) -> None:
    times = 200 if full_counts else 20
    place.stock(times + 1)
    acknowledged: dict[str, Answer] = {}
    dice = random.Random(7)
    with place.serving() as server, server.buyer() as buyer:
        for turn in range(times):
            key = f"lost-{turn}"
            send_and_hang_up(server, place.token, key, dice.choice((0, 0.001, 0.003, 0.02)), rudely=dice.random() < 0.5)
            first, again = buyer.order(key, reference=key), buyer.order(key, reference=key)
            assert {first.status, again.status} <= {200, 201}
            assert (first.body["id"], first.codes) == (again.body["id"], again.codes)
            acknowledged[key] = first
    assert len(place.rows("orders")) == times
    assert place.spent() == times * PRICE_MINOR
    check_books(place, acknowledged)
    proved(f"{times} answers lost, each asked for twice more: {times} orders, {times} charges, the same codes")
