"""Dates and times as an operator types them."""

from __future__ import annotations

from datetime import UTC, datetime

from cardrail.kernel import to_micros
from cardrail.settlement import InvalidPeriod


def moment_of(text: str | None) -> datetime | None:
    """The moment of a date (its first instant, UTC) or of an RFC 3339 time. Raises InvalidPeriod."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise InvalidPeriod(given=text[:40]) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def micros_of(text: str | None) -> int | None:
    """Like ``moment_of``, in microseconds."""
    moment = moment_of(text)
    return None if moment is None else to_micros(moment)
