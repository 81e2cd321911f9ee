"""The HTTP/1.1 edge: uvicorn's protocol with one write for each answer, and with limits on what a client may send or withhold.

uvicorn hands its transport head and body separately, and uvloop makes a system call of each. Whatever is written in one turn of the
event loop leaves together at its end. Measured on orders of one item: 1.99 writes an answer before, 1.00 after, and a client that
wakes up once.

The limits hold before anybody has shown a key. Each is looked at where it is rare or costs an integer, and none has a timer for each
request: one sweep over a server's connections finds those whose request does not end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast
from weakref import WeakSet

import httptools
from litestar.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from cardrail.api.errors import HeadersTooLarge, HttpError, MalformedRequest, RequestTimeout, problem_response
from cardrail.api.http import request_id_of, send_response

HEAD_BYTES_MAX: Final = 65_536
"""Bytes of a request that are not its body: address, headers, trailers. What came in one slice with its beginning is not counted."""
SLICE_BYTES: Final = 16_384
"""More than this is parsed in slices, so that no limit is passed by more than a slice."""
PIPELINE_MAX: Final = 64
"""Requests that wait on one connection for the one before them."""
REQUEST_SECONDS: Final = 20
"""From a request's beginning, or the connection's, to its last byte."""
SWEEP_SECONDS: Final = 2
LINGER_SECONDS: Final = 2
"""How long a refused client may go on sending: to close at once would reset the connection, and he would not see why."""
DROPPED_BYTES_MAX: Final = 4_194_304
"""How much he may send meanwhile: to throw it away costs time that others need."""

_swept: WeakSet[ServerState] = WeakSet()
"""The servers whose sweep is running."""


class JoinedWrites:
    """A transport that gathers what is written until the event loop's next turn."""

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_eof(self) -> None:
        """Send what is waiting, and say that no more will come."""
        self._flush()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Send what is waiting, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            if not self._transport.is_closing():  # else nobody is there to read it
                self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PatientFlow(FlowControl):
    """Flow control that reads no further while requests wait: uvicorn's own reads on after each answer, and they pile up."""

    def __init__(self, transport: Any, pipeline: Any) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if self.read_paused and not self._pipeline:
            super().resume_reading()

    def read_on(self) -> None:
        """Read whatever waits: it is thrown away."""
        super().resume_reading()


class EdgeProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol over joined writes, with limits."""

    flow: PatientFlow
    _since = 0.0
    """When the request began that is not complete, by the event loop's clock; 0 while there is none."""
    _excess = 0
    """Bytes of the present request that are not its body."""
    _is_deaf = False
    """Whether what still comes is thrown away."""

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)
        self.flow = PatientFlow(joined, self.pipeline)
        self._since = self.loop.time()
        if self.server_state not in _swept:
            _swept.add(self.server_state)
            self.loop.call_later(SWEEP_SECONDS, _sweep, self.server_state, self.loop)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's; uvicorn never keeps it open
        """Who has said all may still wait for his answer."""
        if self._since and self._has_begun:
            self._refuse(MalformedRequest(detail="It ends too early."))
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete or cycle.disconnected:
            return None
        self._is_deaf = True
        cycle.keep_alive = False
        return True

    @property
    def _has_begun(self) -> bool:
        """Whether a request ever began here."""
        scope: Any = self.scope
        return scope is not None

    def close_if_late(self, now: float) -> None:
        """End a request that takes too long to arrive."""
        if self._since and now - self._since > REQUEST_SECONDS:
            if self._has_begun:
                self._refuse(RequestTimeout())
            else:
                self.transport.close()

    # --- what arrives ---

    def data_received(self, data: bytes) -> None:
        size = len(data)
        if self._is_deaf:
            self._excess += size
            if self._excess > DROPPED_BYTES_MAX:
                self.transport.pause_reading()
            return
        if size > SLICE_BYTES:
            for start in range(0, size, SLICE_BYTES):
                self.data_received(data[start : start + SLICE_BYTES])
            return
        self._excess += size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._take_plainly(data, upgrade)
        except httptools.HttpParserError:
            self._refuse(MalformedRequest())
        if self._excess > HEAD_BYTES_MAX:
            self._refuse(HeadersTooLarge(limit=HEAD_BYTES_MAX))
        elif len(self.pipeline) > PIPELINE_MAX:
            self._refuse(MalformedRequest(detail="Too many requests wait on this connection."))

    def _take_plainly(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        """Read requests that ask for another protocol as if they did not (RFC 9110, 7.8).

        The parser takes what follows such a head for the other protocol and passes over the body's length. So the head is read again
        without its wish; whoever took the body for a second request would run what a client's client wrote.
        """
        while True:
            if self.scope["method"] == "CONNECT":  # it has no body, and what follows is not for us
                self._refuse(MalformedRequest())
                return
            data = self._plain_head() + data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                upgrade = another
            except httptools.HttpParserError:
                self._refuse(MalformedRequest())
                return
            else:
                return

    def _plain_head(self) -> bytes:
        """The head that was read last, without the wish for another protocol."""
        lines = [b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, self.scope["http_version"].encode())]
        for name, value in self.scope["headers"]:
            if name == b"connection":
                wishes = [one.strip() for one in value.split(b",")]
                lines.append(b"connection: " + b", ".join([one for one in wishes if one.lower() != b"upgrade"]))
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _should_upgrade(self) -> bool:
        """Asked only where a client wants it: uvicorn then leaves the request to ``_take_plainly``."""
        return True

    def on_message_begin(self) -> None:
        HttpToolsProtocol.on_message_begin(self)
        self._since = self.loop.time()
        self._excess = 0
        # Only a request ends the wait for one; with uvicorn any byte does, and then nothing ends the connection.
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()

    def on_headers_complete(self) -> None:
        if self.timeout_keep_alive_task is not None:  # the request began before the last answer
            self._unset_keepalive_if_required()
        HttpToolsProtocol.on_headers_complete(self)
        self.headers = []  # trailers are not headers

    def on_body(self, body: bytes) -> None:
        """uvicorn's own, which asks for a wish for another protocol each time: a request with one never comes here."""
        self._excess -= len(body)
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_chunk_complete(self) -> None:
        """Each chunk of a body has its own frame; however many there are, they are not headers."""
        self._excess = 0

    def on_message_complete(self) -> None:
        """uvicorn's own, without the same question: a request that has such a wish has no cycle yet."""
        self._since = 0.0
        cycle: Any = self.cycle
        if cycle is not None and cycle.scope is self.scope and not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    # --- refusing ---

    def _refuse(self, error: HttpError) -> None:
        """Read no more requests from this connection. Who is owed an answer gets it; the error is told if that is nobody."""
        if self._is_deaf:
            return
        self._is_deaf = True
        cycle: Any = self.cycle
        is_cycles = cycle is not None and cycle.scope is self.scope  # else the fault is in a head that has no cycle yet
        is_whole = not (is_cycles and self._since)
        self._since = 0.0
        if cycle is None or cycle.response_complete:
            self._hang_up(None if is_cycles else error)
        elif is_whole or self.pipeline:
            if not is_whole:
                self.pipeline[0] = (cycle, _answering(error))
            cycle.keep_alive = False
            self.flow.read_on()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._hang_up(None if cycle.response_started else error)

    def _hang_up(self, error: HttpError | None) -> None:
        """Tell the error, if any, and close once the client has seen it."""
        if error is not None:
            request_id = request_id_of(self.scope["headers"] if self._has_begun else [])
            status, headers, body = problem_response(error, request_id)
            fields = [
                *self.server_state.default_headers,
                *headers,
                (b"x-request-id", request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            lines = [name + b": " + value + b"\r\n" for name, value in fields]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.flow.read_on()
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _answering(error: HttpError) -> Any:
    """An application that answers with this error."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_id_of(scope["headers"])
        status, headers, body = problem_response(error, request_id)
        await send_response(send, status, [*headers, (b"x-request-id", request_id.encode())], body)

    return application


def _sweep(state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    """Close what is late, and come again while anybody is connected."""
    now = loop.time()
    for connection in list(state.connections):
        cast("EdgeProtocol", connection).close_if_late(now)
    if state.connections:
        loop.call_later(SWEEP_SECONDS, _sweep, state, loop)
    else:
        _swept.discard(state)
