"""Pages by number and times from and to, as both lists take them (specs/oneclickdz.md, sections 2.4 and 2.9)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cardrail.api.compat import Call
from cardrail.api.dialects.oneclickdz.wire import ItemsOut, PaginationOut
from cardrail.api.errors import InvalidQuery
from cardrail.kernel import to_micros

PAGE_SIZE_DEFAULT: Final = 20
PAGE_SIZE_MAX: Final = 100

_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHOWN: Final = timedelta(milliseconds=1)
"""Times are shown to the millisecond, so what is shown as ``to`` is in it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of a list, and of which time."""

    page: int
    page_size: int
    since: int | None
    """Microseconds; from then on."""
    until: int | None
    """Microseconds; before then."""

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


def wanted_of(call: Call) -> Wanted:
    """What the query asks for; nothing is clamped, and what it should not have is passed over. Raises InvalidQuery."""
    query = call.query()
    page = _number(query, "page", 1, 10**9)
    page_size = _number(query, "pageSize", PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    since, until = _text(query, "from"), _text(query, "to")
    if since is None and until is None:
        return Wanted(page, page_size, None, None)
    if since is None or until is None:
        raise InvalidQuery(parameter="to" if until is None else "from", detail="from and to must be given together.")
    first, last = _moment(since, "from"), _moment(until, "to")
    if last < first:
        raise InvalidQuery(parameter="to", detail="It is before from.")
    last += timedelta(days=1) if _DATE.fullmatch(until) else _SHOWN
    return Wanted(page, page_size, to_micros(first), to_micros(last))


def items_out(items: list[Any], total: int, wanted: Wanted) -> ItemsOut:
    """The page with its counters; past the end it is empty, and the counters stand."""
    return ItemsOut(items, PaginationOut(wanted.page, wanted.page_size, -(-total // wanted.page_size), total))


def _text(query: dict[str, list[str]], name: str) -> str | None:
    given = query.get(name)
    if given is None:
        return None
    if len(given) > 1:
        raise InvalidQuery(parameter=name, detail="It is given twice.")
    return given[0]


def _number(query: dict[str, list[str]], name: str, default: int, most: int) -> int:
    text = _text(query, name)
    if text is None:
        return default
    number = int(text) if _DIGITS.fullmatch(text) else 0
    if not 1 <= number <= most:
        raise InvalidQuery(parameter=name, detail=f"It is an integer from 1 to {most}.")
    return number


def _moment(text: str, name: str) -> datetime:
    """An ISO 8601 time; UTC where it names no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or not 1971 <= moment.year <= 9_998 or not text.isascii():
        raise InvalidQuery(parameter=name, detail="It is an ISO 8601 time from 1971 on.")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
