"""Time: one clock that is handed in, so that tests can hold it still; and instants as integers where they are stored.

A stored instant is a 64-bit count of microseconds since 1970-01-01T00:00:00Z: it sorts, compares and indexes alike on both databases.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Clock(Protocol):
    """Anything that tells the time in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FrozenClock:
    """A clock for tests: it stands still until it is moved."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        """Move on by timedelta keywords: advance(minutes=15)."""
        self.at += timedelta(**by)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=micros)


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: 2026-01-01T12:00:00.000000Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def rfc3339_of(micros: int) -> str:
    """The same of microseconds since the epoch, for long lists: what happened one after the other mostly has its minute in common."""
    minute, rest = divmod(micros, 60_000_000)
    return f"{_minute(minute)}:{rest // 1_000_000:02d}.{rest % 1_000_000:06d}Z"


@lru_cache(maxsize=1_024)
def _minute(number: int) -> str:
    return f"{from_micros(number * 60_000_000):%Y-%m-%dT%H:%M}"
