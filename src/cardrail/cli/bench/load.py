"""The load generator: a process of its own that asks one server on this machine, as fast or as steadily as told.

It must cost far less than what it measures, so it speaks just enough HTTP/1.1 over plain sockets: requests are bytes made beforehand
around an Idempotency-Key, of an answer only the status and the length are read. Two ways to ask:

- closed loop: each connection asks again as soon as it is answered, which finds the highest rate;
- open loop: requests fall due at a fixed rate, whether or not earlier ones are answered, and an answer's time counts from the moment its
  request was due. A server that stalls is charged for everybody who would have been waiting.

It asks loopback addresses only, for a bounded time and a bounded number of requests. Timers here are good to a millisecond, which the
open loop's figures include.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import secrets
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import msgspec
import uvloop

COUNT_MAX: Final = 2_000_000
SECONDS_MAX: Final = 300.0
CONNECTIONS_MAX: Final = 512
GRACE_SECONDS: Final = 15.0
"""How long answers are waited for after the last request."""
SAMPLE_BYTES_MAX: Final = 600


class Ask(msgspec.Struct, frozen=True):
    """One request as it goes over the wire, cut where the unique key belongs; with an empty ``after`` there is no key."""

    before: str
    after: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what to ask, on how many connections, for how long or how often, and how fast."""

    port: int
    asks: list[Ask]
    """Asked in turn."""
    host: str = "127.0.0.1"
    connections: int = 64
    seconds: float = 5.0
    warmup: float = 0.0
    """Seconds at the start that are not measured."""
    count: int = COUNT_MAX
    rate: float | None = None
    """Requests a second for an open loop; None: closed loop."""

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError("the load generator asks this machine only")
        if not (0 < self.connections <= CONNECTIONS_MAX and 0 < self.count <= COUNT_MAX):
            raise ValueError(f"at most {CONNECTIONS_MAX} connections and {COUNT_MAX} requests")
        if not (0 < self.warmup + self.seconds <= SECONDS_MAX) or not self.asks:
            raise ValueError(f"something to ask, for at most {SECONDS_MAX} seconds")


class Result(msgspec.Struct, kw_only=True):
    """What a run found. Times are of answers after the warm-up."""

    answered: int
    """All answers, those of the warm-up too."""
    rate: float
    """Answers a second after the warm-up."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    statuses: dict[int, int]
    lost: int
    """Requests without an answer: the connection broke, or nothing came in time."""
    cpu_us: float
    """What one request cost the load generator itself."""
    refusal: str = ""
    """The first answer that was not a success."""


class _Run:
    """The state of a run, shared by its connections."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.statuses: Counter[bytes] = Counter()
        self.times: list[float] = []
        self.refusal = b""
        self._asks = [(ask.before.encode(), ask.after.encode()) for ask in plan.asks]
        self._prefix = secrets.token_hex(6).encode()
        self._sent = 0
        self._answered = 0
        self._alive = plan.connections
        self._idle: list[_Connection] = []
        self._due: deque[float] = deque()
        self._last_answer_at = 0.0

    def start(self, connections: Sequence[_Connection]) -> None:
        """Begin to ask."""
        self.started_at = time.perf_counter()
        self._measured_from = self.started_at + self.plan.warmup
        self._ends_at = self._measured_from + self.plan.seconds
        if self.plan.rate is None:
            for connection in connections:
                self._ask_again(connection, self.started_at)
        else:
            self._idle = list(connections)
            self._interval = 1 / self.plan.rate
            self._next_due = self.started_at
            self._pump()

    def answered(self, connection: _Connection, status: bytes, since: float) -> None:
        """Note an answer, and let the connection ask again."""
        now = time.perf_counter()
        self.statuses[status] += 1
        self._answered += 1
        if self._measured_from <= now <= self._ends_at or (self.plan.rate is not None and since >= self._measured_from):
            self.times.append(now - since)
            self._last_answer_at = now
        if self.plan.rate is None:
            self._ask_again(connection, now)
        elif self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)
            self._finish_if_done()

    def lost(self) -> None:
        """A connection broke."""
        self._alive -= 1
        if self._alive == 0 and not self.finished.done():
            self.finished.set_result(None)

    def result(self, cpu_seconds: float) -> Result:
        times = sorted(self.times)
        window = max(self._last_answer_at - self._measured_from, 1e-9)
        if self._sent < self.plan.count:
            window = max(window, self.plan.seconds)
        return Result(
            answered=self._answered,
            rate=len(times) / window,
            p50_ms=_quantile(times, 0.50) * 1_000,
            p99_ms=_quantile(times, 0.99) * 1_000,
            max_ms=_quantile(times, 1.0) * 1_000,
            statuses={int(status): count for status, count in sorted(self.statuses.items())},
            lost=self._sent - self._answered + len(self._due),
            cpu_us=cpu_seconds / max(self._answered, 1) * 1e6,
            refusal=self.refusal.decode(errors="replace"),
        )

    def _ask_again(self, connection: _Connection, now: float) -> None:
        if now < self._ends_at and self._sent < self.plan.count:
            self._send(connection, now)
        else:
            self._idle.append(connection)
            self._finish_if_done()

    def _send(self, connection: _Connection, since: float) -> None:
        before, after = self._asks[self._sent % len(self._asks)]
        data = before + self._prefix + b"-%d" % self._sent + after if after else before
        self._sent += 1
        connection.send(data, since)

    def _pump(self) -> None:
        """Send what is due; what finds no free connection waits, and its time runs."""
        now = time.perf_counter()
        while self._next_due <= now and self._next_due < self._ends_at and self._sent + len(self._due) < self.plan.count:
            if self._idle:
                self._send(self._idle.pop(), self._next_due)
            else:
                self._due.append(self._next_due)
            self._next_due += self._interval
        if self._is_all_due():
            self._finish_if_done()
        else:
            asyncio.get_running_loop().call_later(max(self._next_due - now, 0.001), self._pump)

    def _is_all_due(self) -> bool:
        return self._next_due >= self._ends_at or self._sent + len(self._due) >= self.plan.count

    def _finish_if_done(self) -> None:
        is_over = self.plan.rate is None or (self._is_all_due() and not self._due)
        if is_over and len(self._idle) >= self._alive and not self.finished.done():
            self.finished.set_result(None)


class _Connection(asyncio.Protocol):
    """A keep-alive connection with one request under way at a time."""

    __slots__ = ("_head", "_missing", "_run", "_since", "_status", "_transport")

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._head = b""
        self._missing = 0
        self._status = b""
        self._since = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, with the same methods

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost()

    def send(self, data: bytes, since: float) -> None:
        self._since = since
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            if self._head:
                data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head = b""
            self._status = data[9:12]
            self._missing = end + 4 + _content_length(data[:end]) - len(data)
            if self._status[:1] != b"2" and not self._run.refusal:
                self._run.refusal = data[end + 4 : end + 4 + SAMPLE_BYTES_MAX]
        if self._missing == 0:
            self._run.answered(self, self._status, self._since)
        elif self._missing < 0:
            raise ValueError("more bytes than the answer's length")

    def close(self) -> None:
        self._transport.close()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"\r\ncontent-length:")
    if start < 0:
        raise ValueError("an answer without content-length")
    end = lowered.find(b"\r\n", start + 17)
    return int(lowered[start + 17 :] if end < 0 else lowered[start + 17 : end])


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0


async def _run(plan: Plan) -> Result:
    loop = asyncio.get_running_loop()
    run = _Run(plan)
    connections = []
    for _ in range(plan.connections):
        _, connection = await loop.create_connection(lambda: _Connection(run), plan.host, plan.port)
        connections.append(connection)
    gc.freeze()
    gc.disable()
    cpu = time.process_time()
    run.start(connections)
    with suppress(TimeoutError):  # what is not answered by then is counted as lost
        await asyncio.wait_for(asyncio.shield(run.finished), plan.warmup + plan.seconds + GRACE_SECONDS)
    result = run.result(time.process_time() - cpu)
    for connection in connections:
        connection.close()
    return result


def run_load(plan: Plan) -> Result:
    """Run a plan in a process of its own and return what it found."""
    done = subprocess.run(  # noqa: S603  # ourselves; the plan with its key goes over a pipe, not the command line
        [sys.executable, __file__],  # by its path: the command line's other modules are not wanted there
        input=msgspec.json.encode(plan),
        capture_output=True,
        timeout=plan.warmup + plan.seconds + GRACE_SECONDS + 30,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed:\n{done.stderr.decode(errors='replace')[-2_000:]}")
    return msgspec.json.decode(done.stdout, type=Result)


def post(path: str, token: str, body: bytes) -> Ask:
    """A POST of JSON with a fresh Idempotency-Key each time."""
    return Ask(
        before=f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nidempotency-key: ",
        after=f"\r\n\r\n{body.decode()}",
    )


def get(path: str, token: str) -> Ask:
    """A GET."""
    return Ask(before=f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n")


def main() -> None:
    """Read a plan from standard input, write its result to standard output."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_run(plan))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
