"""Posting to a customer's address: one request, guarded, bounded in time and size.

It is a client of its own, a little HTTP/1.1 on the event loop's connections, with httptools' parser for the answers. A general client
follows redirects, keeps cookies and reads the environment's proxies unless told not to; and even httpcore2, which does not, takes 0.5 ms of
processor time for a message where this takes 0.06 ms: time that orders do not get.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpcore2
import httptools

from cardrail.webhooks.addresses import AddressRules, first_allowed
from cardrail.webhooks.model import Failure
from cardrail.webhooks.names import Names, resolve

READ_MAX: Final = 64 * 1024
"""Bytes of an answer that are read at all, whatever they are: its head, its body, what frames it."""
KEEP_MAX: Final = 1_024
"""Bytes of an answer that are kept."""
KEEPALIVE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of one attempt."""

    status: int | None
    error: Failure | None
    answer: bytes
    milliseconds: int
    retry_after: float | None = None
    """Seconds that the receiver asked for."""


class _Forbidden(Exception):
    """The name leads to no address that we may connect to."""


class _Unresolved(Exception):
    """The name has no address."""


class _Broken(Exception):
    """The connection ended, or what came over it is no answer."""


Server = tuple[bool, str, int]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL leads."""

    is_plain: bool
    host: str
    port: int
    head: bytes
    """The request line and the Host header."""

    @property
    def server(self) -> Server:
        """What a connection is good for."""
        return self.is_plain, self.host, self.port


def _place(url: str) -> _Place:
    parts = urlsplit(url)
    is_plain = parts.scheme == "http"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    head = f"POST {target} HTTP/1.1\r\nHost: {authority}\r\n".encode("ascii")
    return _Place(is_plain, parts.hostname or "", parts.port or (80 if is_plain else 443), head)


class _Connection(asyncio.Protocol):
    """One connection, kept alive, with one request under way at a time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Posted] | None = None
        self.idle_since = 0.0
        self.is_closed = False
        self.heard = False
        """Whether anything came back since the last request."""

    async def ask(self, request: bytes) -> Posted:
        """Send the request and wait for its answer. Raises _Broken, OSError."""
        if self.is_closed:
            raise _Broken
        self.heard, self._has_head, self._count = False, False, 0
        self._body = bytearray()
        self._retry_after: float | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(request)
            return await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None

    def close(self) -> None:
        """At once; nothing more is read."""
        self.is_closed = True
        self._transport.abort()

    # --- the event loop's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._has_head_without_end():
            self._finish()
        elif self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc if isinstance(exc, OSError) else _Broken())

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        self.heard = True
        self._count += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError:
            self._fail()
        if self._count > READ_MAX and not self._answer.done():
            if self._has_head:
                self._finish()
            else:
                self._fail()

    # --- the parser's ---

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # a second answer to one request: the next one's would be taken for another's

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 9:
            self._retry_after = float(value)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._has_head = status >= 200
        if 300 <= status < 400:  # a redirect is no answer, and nobody follows it
            self._finish()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._has_head:  # else it was one of 1xx, and the answer follows
            self._finish(keep=self._parser.should_keep_alive())

    def _has_head_without_end(self) -> bool:
        """An answer without a length ends with its connection."""
        return self._answer is not None and not self._answer.done() and self._has_head

    def _finish(self, *, keep: bool = False) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(
                Posted(self._parser.get_status_code(), None, bytes(self._body[:KEEP_MAX]), 0, self._retry_after)
            )
            if not keep:
                self.close()

    def _fail(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(_Broken())
        self.close()


@dataclass(slots=True)
class _Line:
    """What one endpoint has: its turns, and its connections that are free."""

    turn: asyncio.Semaphore
    free: list[_Connection] = field(default_factory=list)
    is_gone: bool = False
    """The endpoint is: what is still under way gives no connection back."""


class Poster:
    """The connections of one process; a few for each endpoint, so that none waits for another's. It lives on one event loop."""

    def __init__(self, rules: AddressRules, *, timeout_seconds: float, connections: int, connections_max: int) -> None:
        self._rules = rules
        self._timeout = timeout_seconds
        self._connections = connections
        self._tls = httpcore2.default_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._names = Names(lambda host, port: resolve(host, port))  # noqa: PLW0108  # at the call: tests are name servers
        self._lines: dict[str, _Line] = {}
        self._places: dict[str, _Place] = {}
        self._all = asyncio.Semaphore(connections_max)
        self._slow = asyncio.Semaphore(max(1, connections_max // 2))

    @asynccontextmanager
    async def turn(self, endpoint_id: str, *, is_slow: bool = False) -> AsyncIterator[None]:
        """Wait for one's turn at this endpoint, and for a free connection; slow ones have half of them between them."""
        async with self._line(endpoint_id).turn:
            if is_slow:
                async with self._slow, self._all:
                    yield
            else:
                async with self._all:
                    yield

    async def post(self, endpoint_id: str, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Post, and read the beginning of the answer. It raises nothing but cancellation: what went wrong is the outcome."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                outcome = await self._exchange(self._line(endpoint_id), url, headers, body)
        except TimeoutError:
            outcome = Posted(None, Failure.TIMEOUT, b"", 0)
        except Exception as error:  # what a stranger's server does to us is sorted, and noted
            outcome = Posted(None, failure_of(error), b"", 0)
        milliseconds = round((time.monotonic() - started) * 1_000)
        return Posted(outcome.status, outcome.error, outcome.answer, milliseconds, outcome.retry_after)

    async def forget_others(self, known: Container[str]) -> None:
        """Close the connections of endpoints that are gone. (One that moved has its old connections closed by its next message.)"""
        for endpoint_id in [one for one in self._lines if one not in known]:
            line = self._lines.pop(endpoint_id)
            line.is_gone = True
            for connection in line.free:
                connection.close()
        self._places.clear()

    def sweep(self) -> None:
        """Close connections that nobody has used for a while; cheap, for every few seconds."""
        oldest = time.monotonic() - KEEPALIVE_SECONDS
        for line in self._lines.values():
            for connection in line.free:
                if connection.idle_since <= oldest:
                    connection.close()
            line.free = [one for one in line.free if not one.is_closed]

    async def close(self) -> None:
        await self.forget_others(())

    def _line(self, endpoint_id: str) -> _Line:
        line = self._lines.get(endpoint_id)
        if line is None:
            line = self._lines[endpoint_id] = _Line(asyncio.Semaphore(self._connections))
        return line

    async def _exchange(self, line: _Line, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        place = self._places.get(url)
        if place is None:
            place = self._places[url] = _place(url)
        request = _request(place, headers, body)
        connection = _free_one(line, place.server)
        if connection is not None:
            try:
                return await self._ask(line, connection, request)
            except (OSError, _Broken):
                if connection.heard:
                    raise  # else the receiver had closed it meanwhile: a new one then
        return await self._ask(line, await self._connect(place), request)

    async def _ask(self, line: _Line, connection: _Connection, request: bytes) -> Posted:
        posted = await connection.ask(request)
        if line.is_gone:
            connection.close()
        elif not connection.is_closed:
            connection.idle_since = time.monotonic()
            line.free.append(connection)
        return posted

    async def _connect(self, place: _Place) -> _Connection:
        """A connection to an address that we may connect to: the name is resolved once, and what was checked is connected to."""
        try:
            found = await self._names.find(place.host, place.port)
        except OSError:
            raise _Unresolved from None
        address = first_allowed(self._rules, found, is_plain=place.is_plain)
        if address is None:
            self._names.forget(place.host, place.port)
            raise _Forbidden
        tls: dict[str, Any] = {} if place.is_plain else {"ssl": self._tls, "server_hostname": place.host.rstrip(".")}
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: _Connection(place.server), address, place.port, **tls)
        except BaseException:
            self._names.forget(place.host, place.port)
            raise
        return connection


def _free_one(line: _Line, server: Server) -> _Connection | None:
    """The connection to this server that was used last, if the receiver still has it."""
    oldest = time.monotonic() - KEEPALIVE_SECONDS
    while line.free:
        connection = line.free.pop()
        if not connection.is_closed and connection.idle_since > oldest and connection.server == server:
            return connection
        connection.close()
    return None


def _request(place: _Place, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
        raise ValueError("a header of more than one line")
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (place.head, lines.encode("latin-1"), len(body), body)


def failure_of(error: BaseException) -> Failure:
    """In our words."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, _Forbidden):
            return Failure.REFUSED
        if isinstance(one, _Unresolved):
            return Failure.UNRESOLVED
        if isinstance(one, ssl.SSLError):
            return Failure.TLS
        if isinstance(one, TimeoutError):
            return Failure.TIMEOUT
        one = one.__cause__ or one.__context__
    return Failure.UNREACHABLE
