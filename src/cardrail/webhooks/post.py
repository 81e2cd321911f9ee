"""Posting to a customer's address: one request, guarded, bounded in time and size.

It stands on httpcore2 itself and not on the client above it: that follows redirects, keeps cookies and reads the environment's proxies
unless told not to, and costs twice the time. Here none of it exists.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Container, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpcore2

from cardrail.webhooks.addresses import AddressRules, first_allowed
from cardrail.webhooks.model import Failure

READ_MAX: Final = 64 * 1024
"""Bytes of an answer that are read at all."""
KEEP_MAX: Final = 1_024
"""Bytes of an answer that are kept."""
KEEPALIVE_SECONDS: Final = 20.0
RESOLVERS: Final = 32
"""Names that are looked up at a time: a name server that says nothing must not hold up the others."""


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


class Guard(httpcore2.AsyncNetworkBackend):
    """Connects to allowed addresses only: it resolves the name once, and connects to what it has checked."""

    def __init__(self, rules: AddressRules, *, is_plain: bool, resolvers: Executor) -> None:
        self._rules = rules
        self._is_plain = is_plain
        self._resolvers = resolvers
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # an interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolvers, resolve, host, port)
        except OSError:
            raise _Unresolved from None
        address = first_allowed(self._rules, found, is_plain=self._is_plain)
        if address is None:
            raise _Forbidden
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise _Forbidden

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system finds them. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is no label
        raise OSError from error
    return [str(address[0]) for *_, address in found]


class Poster:
    """The connections of one process; a small pool for each endpoint, so that none waits for another's. It lives on one event loop."""

    def __init__(self, rules: AddressRules, *, timeout_seconds: float, connections: int, connections_max: int) -> None:
        self._timeout = timeout_seconds
        self._connections = connections
        self._tls = httpcore2.default_ssl_context()
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="cardrail-resolve")
        self._guards = {plain: Guard(rules, is_plain=plain, resolvers=self._resolvers) for plain in (False, True)}
        self._pools: dict[tuple[str, bool], httpcore2.AsyncConnectionPool] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._all = asyncio.Semaphore(connections_max)

    @asynccontextmanager
    async def turn(self, endpoint_id: str) -> AsyncIterator[None]:
        """Wait for one's turn at this endpoint, and for a free connection."""
        turn = self._turns.get(endpoint_id)
        if turn is None:
            turn = self._turns[endpoint_id] = asyncio.Semaphore(self._connections)
        async with turn, self._all:
            yield

    async def post(self, endpoint_id: str, url: str, headers: dict[str, str], body: bytes) -> Posted:
        """Post, and read the beginning of the answer. It raises nothing but cancellation: what went wrong is the outcome."""
        started = time.monotonic()
        outcome = Posted(None, Failure.UNREACHABLE, b"", 0)
        try:
            async with asyncio.timeout(self._timeout):
                outcome = await self._exchange(self._pool(endpoint_id, url), url, headers, body)
        except TimeoutError:
            outcome = Posted(None, Failure.TIMEOUT, b"", 0)
        except Exception as error:
            outcome = Posted(None, failure_of(error), b"", 0)
        milliseconds = round((time.monotonic() - started) * 1_000)
        return Posted(outcome.status, outcome.error, outcome.answer, milliseconds, outcome.retry_after)

    async def forget_others(self, known: Container[str]) -> None:
        """Close the connections of endpoints that have changed or are gone."""
        for key in [one for one in self._pools if one[0] not in known]:
            self._turns.pop(key[0], None)
            await self._pools.pop(key).aclose()

    async def close(self) -> None:
        await self.forget_others(())
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def _pool(self, endpoint_id: str, url: str) -> httpcore2.AsyncConnectionPool:
        key = (endpoint_id, url.startswith("http://"))
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=self._connections,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=self._guards[key[1]],
            )
        return pool

    async def _exchange(self, pool: httpcore2.AsyncConnectionPool, url: str, headers: dict[str, str], body: bytes) -> Posted:
        fields = [*headers.items(), ("Content-Length", str(len(body)))]
        async with pool.stream("POST", url, headers=[("Host", _host(url)), *fields], content=body) as response:
            read = bytearray()
            if not 300 <= response.status < 400:  # a redirect is no answer, and nobody follows it
                async for part in response.aiter_stream():
                    read += part
                    if len(read) >= READ_MAX:
                        break
            return Posted(response.status, None, bytes(read[:KEEP_MAX]), 0, _retry_after(response.headers))


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
        if isinstance(one, httpcore2.TimeoutException):
            return Failure.TIMEOUT
        one = one.__cause__ or one.__context__
    return Failure.UNREACHABLE


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition("?")[0]


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit():
            return float(value)
    return None
