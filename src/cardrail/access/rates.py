"""Rate limits of HTTP requests, kept before a request's body is read, and of failed authentications, kept per address.

The header fields are those of the IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers, revision 11):
``RateLimit-Policy: "requests";q=600;w=60`` and ``RateLimit: "requests";r=599;t=58``.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from typing import Final

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from cardrail.access.networks import parse_address

FAILURES_PER_MINUTE: Final = 30
"""Failed authentications from one address; beyond it, it is refused unheard until its minute is over."""

WINDOW_SECONDS: Final = 60

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """Where a caller stands in its minute."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    """Until the whole quota is there again."""

    def headers(self) -> dict[str, str]:
        """The header fields to answer with; Retry-After too where the request is refused."""
        fields = {
            "RateLimit-Policy": f'"requests";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"requests";r={self.remaining};t={self.reset_seconds}',
        }
        if not self.allowed:
            fields["Retry-After"] = str(self.reset_seconds)
        return fields


class RateLimiter:
    """Counts requests in windows of a minute, each starting with its first request.

    In memory on one node; with a storage URI (redis://…, valkey://…) the nodes count together, and since that is I/O
    (``is_local`` is false) the caller runs it on a thread. A storage that does not answer lets requests through: it guards against
    load, not against intruders.
    """

    def __init__(self, storage_uri: str = "memory://", *, failures_per_minute: int = FAILURES_PER_MINUTE) -> None:
        self.is_local = storage_uri.startswith("memory://")
        self._limiter = FixedWindowRateLimiter(storage_from_string(storage_uri, wrap_exceptions=True))
        self._failures = RateLimitItemPerMinute(failures_per_minute)
        self._items: dict[int, RateLimitItem] = {}
        self._windows: dict[tuple[int, int], RateLimitItem] = {}

    def hit(self, api_key_id: str, per_minute: int | None) -> Rate | None:
        """Count a request of this key; None where it has no limit, which costs nothing."""
        if per_minute is None:
            return None
        item = self._items.setdefault(per_minute, RateLimitItemPerMinute(per_minute))
        try:
            allowed = self._limiter.hit(item, "key", api_key_id)
            stats = self._limiter.get_window_stats(item, "key", api_key_id)
        except StorageError as error:
            log.warning("rate limits cannot be counted", error=type(error).__name__)
            return None
        return Rate(allowed, per_minute, stats.remaining, _seconds_until(stats.reset_time))

    def count(self, kind: str, name: str, most: int, seconds: int) -> Rate | None:
        """Count one thing of a kind under a name, of which ``most`` are allowed in a window; None where it cannot be counted."""
        item = self._windows.setdefault((most, seconds), RateLimitItemPerSecond(most, seconds))
        try:
            allowed = self._limiter.hit(item, kind, name)
            stats = self._limiter.get_window_stats(item, kind, name)
        except StorageError as error:
            log.warning("rates cannot be counted", error=type(error).__name__)
            return None
        return Rate(allowed, most, stats.remaining, _seconds_until(stats.reset_time))

    def blocked(self, kind: str, name: str, most: int, seconds: int) -> int:
        """Seconds until one more would be allowed (``count``); 0 where it is."""
        item = self._windows.setdefault((most, seconds), RateLimitItemPerSecond(most, seconds))
        try:
            if self._limiter.test(item, kind, name):
                return 0
            return _seconds_until(self._limiter.get_window_stats(item, kind, name).reset_time)
        except StorageError as error:
            log.warning("rates cannot be counted", error=type(error).__name__)
            return 0

    def count_failure(self, address: str | None) -> None:
        """Note a failed authentication from an address."""
        try:
            self._limiter.hit(self._failures, "failures", neighbourhood(address))
        except StorageError as error:
            log.warning("failed authentications cannot be counted", error=type(error).__name__)

    def blocked_seconds(self, address: str | None) -> int:
        """How long this address must wait before it may authenticate again; 0 where it need not."""
        try:
            if self._limiter.test(self._failures, "failures", neighbourhood(address)):
                return 0
            return _seconds_until(self._limiter.get_window_stats(self._failures, "failures", neighbourhood(address)).reset_time)
        except StorageError as error:
            log.warning("failed authentications cannot be counted", error=type(error).__name__)
            return 0


def _seconds_until(moment: float) -> int:
    return max(1, math.ceil(moment - time.time()))


@lru_cache(maxsize=4_096)
def neighbourhood(address: str | None) -> str:
    """What one caller has: an IPv4 address, or a whole /64 of IPv6."""
    parsed = parse_address(address) if address else None
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed or "unknown")
