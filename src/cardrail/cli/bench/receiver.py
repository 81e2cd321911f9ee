"""Receivers of webhooks for the bench: a process of its own that answers on loopback and notes how late each message came.

Its paths are endpoints: ``/0``, ``/1`` … are healthy and answer at once, ``/slow`` answers 200 after two seconds, ``/dead`` takes the
request and never answers. A message's time is the one in its body, which was read before the commit that made the event, so what is
measured is a little more than from commit to receipt. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from typing import Any, Final, cast

import msgspec
import uvloop

SLOW_SECONDS: Final = 2.0
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Heard(msgspec.Struct, kw_only=True):
    """What came since the last ``forget()``."""

    healthy: int
    """Messages at healthy endpoints."""
    others: dict[str, int]
    """Messages at the slow and the dead one."""
    first_at: float
    last_at: float
    """Times of the first and the last healthy one; seconds since the epoch."""
    p50_ms: float
    p99_ms: float
    max_ms: float


class _Body(msgspec.Struct):
    timestamp: datetime


_body_of: Final = msgspec.json.Decoder(_Body).decode


class _Notes:
    """Arrivals so far."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []
        self.others: Counter[str] = Counter()

    def forget(self) -> None:
        self.times.clear()
        self.others.clear()

    def note(self, path: str, body: bytes) -> None:
        if path[1:].isdigit():
            now = time.time()
            self.times.append((now, now - _body_of(body).timestamp.timestamp()))
        else:
            self.others[path[1:]] += 1

    def heard(self, skip_before: float) -> Heard:
        """All of it; of the lateness only what was made after that moment."""
        arrived = [at for at, _ in self.times]
        late = sorted([late * 1_000 for at, late in self.times if at - late >= skip_before]) or [0.0]
        return Heard(
            healthy=len(arrived),
            others=dict(self.others),
            first_at=min(arrived, default=0.0),
            last_at=max(arrived, default=0.0),
            p50_ms=late[len(late) // 2],
            p99_ms=late[min(len(late) * 99 // 100, len(late) - 1)],
            max_ms=late[-1],
        )


class _Connection(asyncio.Protocol):
    """Speaks just enough HTTP/1.1: one request at a time, with a Content-Length."""

    def __init__(self, notes: _Notes) -> None:
        self._notes = notes
        self._read = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, rest = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        start = head.lower().index(b"\r\ncontent-length:") + 17
        if len(rest) < int(head[start:].partition(b"\r\n")[0]):
            return
        path = head.split(b" ", 2)[1].decode()
        self._read = b""
        self._notes.note(path, rest)
        if path == "/slow":
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._answer)
        elif path != "/dead":
            self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_OK)


class Receivers:
    """The process, as the bench sees it. Close it at the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.port = int(self._ask(None))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def forget(self) -> None:
        """Begin anew."""
        self._ask({"forget": True})

    def heard(self, skip_before: float = 0.0) -> Heard:
        """What came; of its lateness only what was made after that moment, in seconds since the epoch."""
        return msgspec.json.decode(self._ask({"skip_before": skip_before}), type=Heard)

    def close(self) -> None:
        self._process.communicate(timeout=30)  # closes the pipe, at whose end it stops

    def _ask(self, question: dict[str, Any] | None) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if question is not None:
            self._process.stdin.write(msgspec.json.encode(question) + b"\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the receivers' process ended")
        return bytes(answer)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    notes = _Notes()
    server = await loop.create_server(lambda: _Connection(notes), "127.0.0.1", 0, backlog=1_024)
    _say(server.sockets[0].getsockname()[1])
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        question = msgspec.json.decode(line)
        if question.get("forget"):
            notes.forget()
            _say({})
        else:
            _say(notes.heard(question["skip_before"]))
    server.close()


def _say(answer: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
