"""HTTP to suppliers: one client each, every call bounded in time and size, and each failure sorted by what it proves.

What matters is whether a request may have been acted upon. No connection: certainly not (``NotSent``). 429: turned away unread
(``RateLimited``). Anything after the request was sent and before a whole answer was read: nobody knows (``NoAnswer``). Redirects are not
followed, proxies of the environment are not used, nothing is retried here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2
import msgspec

from cardrail.kernel import Clock
from cardrail.sourcing.errors import NoAnswer, NotSent, OddAnswer, RateLimited

BODY_MAX: Final = 8 * 2**20
RETRY_AFTER_MAX: Final = 3_600.0


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


class SupplierHttp:
    """A client for one supplier. Safe from several threads."""

    def __init__(self, base_url: str, *, seconds: float = 30.0, headers: Mapping[str, str] | None = None) -> None:
        self._seconds = seconds
        self._client = httpx2.Client(
            base_url=base_url.rstrip("/") + "/",
            headers=dict(headers or {}),
            timeout=httpx2.Timeout(seconds, connect=min(seconds, 5.0), pool=min(seconds, 5.0)),
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30.0),
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
        limit = seconds or self._seconds
        until = time.monotonic() + limit
        sent = dict(headers or {})
        if json is not None:
            content = msgspec.json.encode(json)
            sent.setdefault("content-type", "application/json")
        try:
            with self._client.stream(
                method, path.lstrip("/"), content=content, params=dict(params) if params else None, headers=sent
            ) as answer:
                body = bytearray()
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > BODY_MAX or time.monotonic() > until:
                        raise NoAnswer(because="too long" if len(body) > BODY_MAX else "too slow", method=method)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol) as error:
            raise NotSent(because=type(error).__name__, method=method) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NoAnswer(because=type(error).__name__, method=method) from None
        found = Answer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, bytes(body))
        if found.status == 429:
            raise RateLimited(retry_after_seconds=retry_after(found.headers))
        return found

    def close(self) -> None:
        self._client.close()


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
