"""Calls to suppliers end: whatever the other side does with its bytes, and however many it sends."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from cardrail.sourcing import NoAnswer, NotSent
from cardrail.sourcing.http import BODY_MAX, Answer, SupplierHttp, within
from tests.ports import KeptPort

OK = b"HTTP/1.1 200 OK\r\n"


class Wire:
    """A server that reads a request and then does with the connection what it is told."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.does: Callable[[socket.socket], None] = lambda _: None
        self.requests: list[bytes] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, suppress(OSError):
                    self.requests.append(connection.recv(65_536))
                    self.does(connection)

    def trickles(self, text: bytes, every: float = 0.05) -> None:
        """It sends a byte now and then."""

        def send(connection: socket.socket) -> None:
            for byte in text:
                connection.sendall(bytes([byte]))
                if self.over.wait(every):
                    return

        self.does = send

    def says(self, text: bytes) -> None:
        self.does = lambda connection: connection.sendall(text)

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def http(wire: Wire) -> Iterator[SupplierHttp]:
    made = SupplierHttp(wire.url, seconds=0.4)
    yield made
    made.close()


def seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


@pytest.mark.parametrize(
    "text",
    [OK + b"Content-Length: 600\r\n\r\n" + b"x" * 600, OK + b"X-Long: " + b"y" * 600],  # half a minute
    ids=["body", "headers"],
)
def test_a_supplier_that_trickles_holds_no_call_beyond_its_time(wire: Wire, http: SupplierHttp, text: bytes) -> None:
    wire.trickles(text)

    def call() -> None:
        with pytest.raises(NoAnswer):
            http.request("POST", "/orders", json={})

    assert seconds(call) < 10


def test_several_calls_share_the_time_of_the_block_that_they_are_in(wire: Wire) -> None:
    wire.trickles(OK + b"Content-Length: 600\r\n\r\n" + b"x" * 600)
    http = SupplierHttp(wire.url, seconds=30.0)

    def calls() -> None:
        with within(0.4):
            with pytest.raises(NoAnswer):
                http.request("POST", "/orders", json={})
            with pytest.raises(NotSent), within(30.0):
                http.request("POST", "/orders", json={})

    assert seconds(calls) < 10
    assert len(wire.requests) == 1
    http.close()


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "packed"])
def test_an_answer_that_does_not_end_is_not_kept(wire: Wire, packed: bool) -> None:
    body = bytes(BODY_MAX + 1)
    extra, body = (b"Content-Encoding: gzip\r\n", gzip.compress(body)) if packed else (b"", body)
    wire.says(OK + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    http = SupplierHttp(wire.url)
    with pytest.raises(NoAnswer) as caught:
        http.request("GET", "/catalog")
    assert caught.value.facts["because"] == "too long"
    http.close()


def test_a_packed_answer_is_read_whole_or_not_at_all(wire: Wire) -> None:
    http = SupplierHttp(wire.url)
    packed = gzip.compress(b'{"id":1}')
    head = OK + b"Connection: close\r\nContent-Encoding: gzip\r\n\r\n"
    wire.says(head + packed)
    assert http.request("GET", "/").json() == {"id": 1}
    wire.says(head + packed[:-6])
    with pytest.raises(NoAnswer):
        http.request("GET", "/")
    http.close()


@pytest.mark.parametrize("text", [b"", OK, OK + b"Content-Length: 9\r\n\r\nhalf", b"<html>no</html>"])
def test_whatever_is_no_whole_answer_is_none(wire: Wire, http: SupplierHttp, text: bytes) -> None:
    wire.says(text)
    with pytest.raises(NoAnswer):
        http.request("POST", "/orders", json={})


def test_who_cannot_be_reached_was_not_asked() -> None:
    port = KeptPort()
    http = SupplierHttp(port.url)
    with pytest.raises(NotSent):
        http.request("POST", "/orders", json={})
    http.close()
    port.close()


def test_a_request_has_its_query_its_headers_and_the_length_of_its_body(wire: Wire) -> None:
    wire.says(OK + b"Content-Length: 2\r\n\r\n{}")
    http = SupplierHttp(wire.url + "/root", headers={"X-Key": "k"})
    assert http.request("POST", "/pay?a=1", params={"b": "ü x"}) == Answer(200, {"content-length": "2"}, b"{}")
    head, _, rest = wire.requests[0].partition(b"\r\n")
    assert head.replace(b"+", b"%20") == b"POST /root/pay?a=1&b=%C3%BC%20x HTTP/1.1"
    assert {b"x-key: k", b"content-length: 0"} <= set(rest.lower().split(b"\r\n"))
    http.close()
