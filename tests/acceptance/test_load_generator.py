"""The load generator of `cardrail bench` tells the truth about a server that we made slow on purpose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from cardrail.cli.bench.load import Ask, Plan, post, run_load

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
STALL_SECONDS = 0.6


class SlowServer:
    """Answers one request after another, at once but for a single stall a second after the first."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._turn = threading.Lock()
        self._stall_at = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(65_536):
                with self._turn:
                    now = time.monotonic()
                    self._stall_at = self._stall_at or now + 1
                    if now >= self._stall_at:
                        self._stall_at = now + 3_600
                        time.sleep(STALL_SECONDS)
                connection.sendall(ANSWER)


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    server = SlowServer()
    yield server
    server.close()


ORDER = post("/v1/orders", "cr_live_x", b'{"items":[]}')


def test_an_open_loop_charges_a_stall_for_everybody_who_was_due(slow: SlowServer) -> None:
    result = run_load(Plan(port=slow.port, asks=[ORDER], rate=200.0, seconds=3.0, connections=8))
    assert abs(result.statuses[201] - 600) <= 2  # whether the last instant counts is the clock's affair
    assert result.p50_ms < STALL_SECONDS * 500, "most of them did not"
    assert result.p99_ms > STALL_SECONDS * 700, "a tenth of the requests fell due during the stall"


def test_a_closed_loop_counts_every_answer(slow: SlowServer) -> None:
    result = run_load(Plan(port=slow.port, asks=[ORDER], count=300, connections=4, seconds=30))
    assert (result.answered, result.statuses, result.lost) == (300, {201: 300}, 0)


def test_it_asks_this_machine_only() -> None:
    with pytest.raises(ValueError, match="this machine only"):
        Plan(port=80, asks=[Ask("GET / HTTP/1.1\r\n\r\n")], host="192.0.2.1")
