"""A receiver on loopback that does as it is told: answers, is slow, breaks off, sends far too much."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler, "Received"], None]


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What came, and what is answered."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: status(200))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]

    def types(self) -> list[str]:
        return self.types_of("type")

    def types_of(self, member: str) -> list[str]:
        return [one.json[member] for one in self.received]


def status(code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    """Answer with this."""

    def run(handler: BaseHTTPRequestHandler, _request: Received) -> None:
        handler.send_response(code)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return run


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first request, and so on; the last one to all others."""
    left = list(answers)

    def run(handler: BaseHTTPRequestHandler, request: Received) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler, request)

    return run


def slow(seconds: float) -> Answer:
    def run(handler: BaseHTTPRequestHandler, request: Received) -> None:
        time.sleep(seconds)
        status(200)(handler, request)

    return run


def reset(handler: BaseHTTPRequestHandler, _request: Received) -> None:
    """Break the connection off, without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def a_gigabyte(handler: BaseHTTPRequestHandler, _request: Received, wrote: Callable[[int], object] = abs) -> None:
    """Announce a gigabyte, and send as much of it as anybody reads; ``wrote`` is told of each part."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 30))
    handler.end_headers()
    try:
        for _ in range(1 << 14):
            wrote(handler.wfile.write(b"x" * (1 << 16)))
    except OSError:
        handler.close_connection = True


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the sender has left."""


@contextmanager
def a_receiver(answer: Answer | None = None) -> Iterator[Receiver]:
    """A receiver for the length of the block."""
    state = Receiver(answer=answer or status(200))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body, time.monotonic())
            state.received.append(request)
            state.answer(self, request)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
            """Quiet."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield state
        server.shutdown()
