"""A supplier that is dead, over a real network: the next one sells within the time that the first may take, and it is taken up again."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cardrail.access import SecretSealer
from cardrail.kernel import Secret
from cardrail.sourcing import change_supplier, get_supplier
from tests.acceptance.server import Proved
from tests.ports import KeptPort
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.test_http import OK, Wire

SEALER = SecretSealer(b"s" * 32)
SECONDS = 0.5
BUSY_SECONDS = 15.0
"""What all else may take on a busy machine: less than a call without a time-out."""


class Nowhere:
    """An address where connections are neither taken nor refused, as where a machine is gone."""

    def __init__(self) -> None:
        self._kept, self._stack = KeptPort(), ExitStack()
        self.port = self._kept.number
        self._stack.enter_context(socket.create_server(("127.0.0.1", self.port), backlog=0))
        for _ in range(4):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.port))

    def come_back(self) -> None:
        """Somebody else may listen here now."""
        self._stack.close()

    def close(self) -> None:
        self.come_back()
        self._kept.close()


@pytest.fixture
def nowhere() -> Iterator[Nowhere]:
    made = Nowhere()
    yield made
    made.close()


def sells(connection: socket.socket) -> None:
    """A code for whoever asks, in FoxReload's words."""
    sold = {"order_id": "fr_1", "status": "delivered", "codes": [{"code": f"FR-{time.monotonic_ns()}"}], "quantity": 1}
    body = json.dumps(sold).encode()
    connection.sendall(OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_with_a_supplier_dead_the_next_one_sells_within_its_time_and_it_is_taken_up_again(
    shop: Supplied, nowhere: Nowhere, proved: Proved
) -> None:
    shop.supplier("A")
    other = shop.supplier("B", cost="85.00")
    config = {"base_url": f"http://127.0.0.1:{nowhere.port}", "call_seconds": SECONDS}
    with shop.db.transaction() as tx:
        tx.exec_driver_sql("UPDATE suppliers SET kind = 'foxreload_v1' WHERE name = 'A'")
    change_supplier(shop.db, shop.clock, shop.audit, SEALER, "A", config=config, secrets={"api_key": Secret("k")}, actor="test")
    orders = [shop.order("CARD") for _ in range(7)]
    took = [timed(lambda: shop.visit(one)) for one in orders]  # noqa: B023  # called at once
    assert all(states(shop.stands(one))[0] == "FULFILLED" for one in orders)
    assert [len(shop.attempts(one)) for one in orders] == [2] * 5 + [1] * 2
    assert (of(shop.attempts(orders[0])), other.units) == ([("refused", 1, 0), ("delivered", 1, 1)], 7)
    assert max(took[:5]) < SECONDS + BUSY_SECONDS
    assert "A is passed over: its circuit breaker is open until" in " ".join(shop.trace(orders[5]))
    breakers = [shop.health("A").breaker]
    nowhere.come_back()
    back = Wire(nowhere.port)
    back.does = sells
    shop.frozen.advance(seconds=61)
    done = shop.bought()
    back.close()
    with shop.db.read() as tx:
        assert shop.attempts(done)[0].supplier_id == get_supplier(tx, "A").id
    breakers.append(shop.health("A").breaker)
    assert (breakers, shop.shown(done)[0][:3], shop.findings()) == (["open", "closed"], "FR-", [])
    proved(
        f"A dead, its time-out {SECONDS} s: five orders went to B, the slowest within {max(took[:5]):.2f} s; breaker open, "
        f"the next within {max(took[5:]):.2f} s without asking A; A back: breaker closed, the order is A's"
    )
