"""A line between two hubs that does its worst: real HTTP on loopback, seeded, and the same for the same seed.

What happens to the n-th request is drawn from the seed and n, whoever sends it. So a run that went wrong can be looked at again with the
same faults, though not with the same interleaving of those who call.

The same line can stand before a receiver of webhooks: ``WEBHOOKS`` repeats requests and lets them overtake one another.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, Final

from tests.ports import KeptPort

PURCHASES: Final[Mapping[str, float]] = {
    "unsent": 4.0,
    "lost": 5.0,
    "hangs": 1.0,
    "late": 1.0,
    "held": 1.0,
    "trickles": 1.0,
    "error": 3.0,
    "error_after": 4.0,
    "html": 4.0,
    "half": 4.0,
    "odd": 4.0,
    "limited": 3.0,
}
"""Percent of the requests that each happens to; the rest goes through. What each does is said at ``_Exchange``."""

WEBHOOKS: Final[Mapping[str, float]] = {"twice": 15.0, "held": 15.0, "lost": 5.0, "unsent": 5.0}

HTML: Final = b"<!doctype html><html><head><title>Just a moment</title></head><body>502 Bad Gateway</body></html>"
ODD: Final = (b"[]", b"null", b'{"ok": true}', b'{"data": {}, "success": true}', b'{"id": 7, "status": "weird"}', b'"yes"')


class FaultyLine:
    """Passes requests to ``target`` (host, port) until it is closed, and disturbs some of them. ``url`` is where it listens.

    ``patience``: seconds for which a caller waits at most; what comes late comes after that. ``held``: by how much a request is held back
    at most before it reaches the target after all. ``refuses_every``: after so many requests nobody can connect for a moment.
    ``hides``: the part of the orders whose cards no answer shows, however often it is asked, where the protocol names an order ``id`` and
    its card ``code``: asking again tells nothing then.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        seed: int,
        faults: Mapping[str, float] = PURCHASES,
        hides: float = 0.0,
        patience: float = 3.0,
        held: float = 2.0,
        refuses_every: int = 150,
    ) -> None:
        self.target = target
        self.patience, self.held = patience, held
        self.is_calm = True
        self.did: Counter[str] = Counter()
        """What happened to how many requests; "passed" for those that nothing happened to."""
        self.hidden: set[str] = set()
        """Orders whose cards are not shown."""
        self._hides = hides
        self._seed, self._words, self._weights = seed, ["passed", *faults], [100.0 - sum(faults.values()), *faults.values()]
        self._refuses_every = refuses_every
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._count = 0
        self._is_refusing = threading.Event()
        self._port = KeptPort()
        self.url = self._port.url
        self._listener = socket.create_server(("127.0.0.1", self._port.number), backlog=256)
        self._thread = threading.Thread(target=self._listen, name="faulty-line", daemon=True)
        self._thread.start()

    @property
    def calls(self) -> int:
        return sum(self.did.values())

    @property
    def disturbed(self) -> float:
        """Which part of the requests was disturbed. Refused connections are not among them: nothing of those is seen here."""
        return 1 - self.did["passed"] / max(1, self.calls)

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)
        self._listener.close()
        self._port.close()

    def draw(self) -> tuple[str, random.Random]:
        """What happens to the next request, and what else is drawn for it."""
        with self._guard:
            if self.is_calm:
                return "passed", random.Random(0)
            self._count += 1
            drawn = random.Random(f"{self._seed}/{self._count}")
            (word,) = drawn.choices(self._words, self._weights)
            self.did[word] += 1
            if self._count % self._refuses_every == 0:
                self._is_refusing.set()
            return word, drawn

    def veiled(self, body: bytes) -> bytes:
        """An answer as it is passed on: without the card of an order that is to be hidden."""
        if not self._hides or self.is_calm:
            return body
        try:
            order = json.loads(body)
        except ValueError:
            return body
        if not isinstance(order, dict) or not isinstance(order.get("id"), str) or not order.get("code"):
            return body
        if random.Random(f"{self._seed}/{order['id']}").random() >= self._hides:
            return body
        with self._guard:
            self.hidden.add(order["id"])
        return json.dumps({name: value for name, value in order.items() if name not in ("code", "urls")}).encode()

    def wait(self, seconds: float) -> None:
        self._over.wait(seconds)

    def _listen(self) -> None:
        self._listener.settimeout(0.05)
        while not self._over.is_set():
            if self._is_refusing.is_set():
                self._listener.close()
                self._over.wait(0.2)
                self._is_refusing.clear()
                self._listener = socket.create_server(("127.0.0.1", self._port.number), backlog=256)
                self._listener.settimeout(0.05)
            with suppress(TimeoutError):
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, suppress(OSError, HTTPException):
            while not self._over.is_set():
                request = _read_request(connection)
                if request is None or not _Exchange(self, connection, request).run():
                    return


class _Exchange:
    """One request and what becomes of it: a method for each word. Each says whether the connection can be used again."""

    def __init__(self, line: FaultyLine, connection: socket.socket, request: bytes) -> None:
        self.line, self.connection, self.request = line, connection, request
        self.word, self.drawn = line.draw()

    def run(self) -> bool:
        does: Any = getattr(self, self.word)
        return bool(does())

    def passed(self) -> bool:
        self.connection.sendall(self._forward())
        return True

    def unsent(self) -> bool:
        """The connection breaks before the request has arrived."""
        return self._reset()

    def lost(self) -> bool:
        """The request arrives, and the answer is lost."""
        self._forward()
        return self._reset()

    def hangs(self) -> bool:
        """Nobody answers."""
        self.line.wait(self.line.patience + 0.5)
        return False

    def late(self) -> bool:
        """The answer comes when nobody waits any more."""
        answer = self._forward()
        self.line.wait(self.line.patience + 0.5)
        self.connection.sendall(answer)
        return False

    def held(self) -> bool:
        """The request arrives late, perhaps when its caller has gone."""
        self.line.wait(self.drawn.uniform(0.5, 1.0) * self.line.held)
        self.connection.sendall(self._forward())
        return False

    def trickles(self) -> bool:
        """The answer comes byte by byte."""
        answer, until = self._forward(), time.monotonic() + self.line.patience + 0.5
        for byte in answer:
            self.connection.sendall(bytes([byte]))
            self.line.wait(0.05)
            if time.monotonic() > until:
                break
        return False

    def error(self) -> bool:
        """Something before the supplier answers 500."""
        return self._say(500, b'{"error": "internal"}')

    def error_after(self) -> bool:
        """The supplier acts, and then fails to answer."""
        self._forward()
        return self._say(self.drawn.choice([500, 502, 503, 504]), b"upstream request timeout", kind="text/plain")

    def html(self) -> bool:
        """A page comes instead of the answer, as likely as not with status 200."""
        self._forward()
        return self._say(self.drawn.choice([200, 502, 403]), HTML, kind="text/html")

    def half(self) -> bool:
        """The connection breaks in the middle of the answer."""
        answer = self._forward()
        self.connection.sendall(answer[: len(answer) * 2 // 3])
        return False

    def odd(self) -> bool:
        """A success that is none of the protocol."""
        self._forward()
        return self._say(200, self.drawn.choice(ODD))

    def limited(self) -> bool:
        """Turned away unread."""
        return self._say(429, b'{"error": "rate_limited"}', more="Retry-After: 1\r\n")

    def twice(self) -> bool:
        """The request arrives twice."""
        answer = self._forward()
        self._forward()
        self.connection.sendall(answer)
        return True

    def _forward(self) -> bytes:
        """Give the request to the target; its whole answer."""
        with socket.create_connection(self.line.target, timeout=60) as target:
            target.sendall(self.request)
            response = HTTPResponse(target, method=self.request.split(b" ", 1)[0].decode())
            response.begin()
            body = self.line.veiled(response.read())
        skipped = ("connection", "transfer-encoding", "content-length", "keep-alive")
        headers = "".join(f"{name}: {value}\r\n" for name, value in response.getheaders() if name.lower() not in skipped)
        return f"HTTP/1.1 {response.status} OK\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

    def _say(self, status: int, body: bytes, *, kind: str = "application/json", more: str = "") -> bool:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self.connection.sendall(head.encode() + body)
        return True

    def _reset(self) -> bool:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def _read_request(connection: socket.socket) -> bytes | None:
    """The next request as it came; None where the other side has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < (lengths[0] if lengths else 0):
        piece = connection.recv(65_536)
        if not piece:
            return None
        body += piece
    return head + b"\r\n\r\n" + body
