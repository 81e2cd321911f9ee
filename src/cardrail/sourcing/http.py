"""HTTP to suppliers: one pool of connections each, every call bounded in time and size, and each failure sorted by what it proves.

What matters is whether a request may have been acted upon. No connection: certainly not (``NotSent``). 429: turned away unread
(``RateLimited``). Anything after the request was sent and before a whole answer was read: nobody knows (``NoAnswer``). Redirects are not
followed, proxies of the environment are not used, nothing is retried here.

Time-outs of sockets count from one byte to the next, so a supplier that sends one now and then would hold a call for ever. Each wait for
bytes is therefore cut to what is left of the call (``within``). This is what the module stands on httpcore2 for, and not on the client
above it. Only the resolution of a name has a time-out of its own, which is the system's.
"""

from __future__ import annotations

import math
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpcore2
import httpx2
import msgspec

from cardrail.kernel import Clock
from cardrail.sourcing.errors import CredentialsRefused, NoAnswer, NotSent, OddAnswer, RateLimited

BODY_MAX: Final = 8 * 2**20
RETRY_AFTER_MAX: Final = 3_600.0
CONNECT_SECONDS: Final = 5.0

_PIECE: Final = 65_536
_GZIP: Final = 16 + zlib.MAX_WBITS
_UNSENT: Final = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout, httpcore2.UnsupportedProtocol)
_LOST: Final = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)
_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the calls to suppliers in this block take so long in all; a block inside another cannot take longer than that one."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self, wanted: Any = Any) -> Any:
        """The body as this msgspec type; numbers with a point come as Decimal texts only where the type says so. Raises OddAnswer."""
        try:
            return msgspec.json.decode(self.body, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise OddAnswer(status=self.status, bytes=len(self.body)) from None  # the body may hold codes


def checked(answer: Answer) -> Answer:
    """A whole answer to a question. Raises CredentialsRefused, OddAnswer."""
    if answer.status in (401, 403):
        raise CredentialsRefused(status=answer.status)
    if answer.status != 200:
        raise OddAnswer(status=answer.status)
    return answer


class SupplierHttp:
    """Connections to one supplier. Safe from several threads."""

    def __init__(self, base_url: str, *, seconds: float = 30.0, headers: Mapping[str, str] | None = None) -> None:
        self._base = base_url.rstrip("/") + "/"
        self._seconds = seconds
        self._headers = {"user-agent": "cardrail", "accept": "*/*", "accept-encoding": "gzip", **_lower(headers)}
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpcore2.default_ssl_context(),
            max_connections=64,
            max_keepalive_connections=32,
            keepalive_expiry=30.0,
            network_backend=_Timed(),
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """The whole answer, whatever its status but 429. Raises NotSent, RateLimited, NoAnswer.

        ``json`` is encoded compactly by msgspec; ``content`` is sent as it is (where a signature covers the bytes).
        """
        sent = self._headers | _lower(headers)
        if json is not None:
            content = msgspec.json.encode(json)
            sent.setdefault("content-type", "application/json")
        with within(seconds or self._seconds):
            if _left(None) is None:
                raise NotSent(because="no time left", method=method)
            try:
                found = self._exchange(method, self._url(path, params), sent, content)
            except (*_UNSENT, httpx2.InvalidURL) as error:
                raise NotSent(because=type(error).__name__, method=method) from None
            except _LOST as error:
                raise NoAnswer(because=type(error).__name__, method=method) from None
        if found.status == 429:
            raise RateLimited(retry_after_seconds=retry_after(found.headers))
        return found

    def close(self) -> None:
        self._pool.close()

    def _url(self, path: str, params: Mapping[str, str] | None) -> httpcore2.URL:
        url = httpx2.URL(self._base + path.lstrip("/"))
        if params:
            url = url.copy_merge_params(dict(params))
        return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)

    def _exchange(self, method: str, url: httpcore2.URL, headers: Mapping[str, str], content: bytes | None) -> Answer:
        connect = min(self._seconds, CONNECT_SECONDS)
        limits = {"connect": connect, "pool": connect, "read": self._seconds, "write": self._seconds}
        content = b"" if content is None and method != "GET" else content  # its length is told, though it is none
        with self._pool.stream(
            method, url, headers=list(headers.items()), content=content, extensions={"timeout": limits}
        ) as answer:
            told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
            unpack = zlib.decompressobj(_GZIP) if told.get("content-encoding", "").lower() in ("gzip", "x-gzip") else None
            body = bytearray()
            for piece in answer.iter_stream():
                try:
                    body += piece if unpack is None else unpack.decompress(piece, BODY_MAX + 1)
                except zlib.error:
                    raise NoAnswer(because="badly packed", method=method) from None
                if len(body) > BODY_MAX:
                    raise NoAnswer(because="too long", method=method)
        if unpack is not None and body and not unpack.eof:
            raise NoAnswer(because="half of it", method=method)
        return Answer(answer.status, told, bytes(body))


class _Timed(httpcore2.NetworkBackend):
    """Connections whose every wait ends when the call does that makes it."""

    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left = _left(timeout)
        if left is None:
            raise httpcore2.ConnectTimeout
        return _TimedStream(self._inner.connect_tcp(host, port, left, local_address, socket_options))


class _TimedStream(httpcore2.NetworkStream):
    """One such connection. A call that comes late finds that its time is over; TLS counts a whole handshake by itself."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _left(timeout)
        if left is None:
            raise httpcore2.ReadTimeout
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            left = _left(timeout)
            if left is None:
                raise httpcore2.WriteTimeout
            self._inner.write(buffer[start : start + _PIECE], left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = _left(timeout)
        if left is None:
            raise httpcore2.ConnectTimeout
        return _TimedStream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(seconds: float | None) -> float | None:
    """How long to wait now: what was asked for, or what is left of the call; None: nothing is left."""
    left = min(_until.get() - time.monotonic(), math.inf if seconds is None else seconds)
    return left if left > 0 else None


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def retry_after(headers: Mapping[str, str], clock: Clock | None = None) -> float | None:
    """Seconds to wait, from ``Retry-After`` (a number or a date) or ``RateLimit-Reset``; at most an hour."""
    given = headers.get("retry-after") or headers.get("ratelimit-reset")
    if not given:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            moment = parsedate_to_datetime(given)
        except ValueError:
            return None
        now = clock.now().timestamp() if clock is not None else time.time()
        seconds = moment.timestamp() - now
    return None if math.isnan(seconds) else min(max(seconds, 0.0), RETRY_AFTER_MAX)
