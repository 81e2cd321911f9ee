"""What queries of G and V1 have in common: limits, moments, cursors. Parameters that are not known are passed over."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cardrail.api.compat import Call
from cardrail.api.errors import InvalidQuery
from cardrail.kernel import from_micros, to_micros

LIMIT_MAX = 200
"""Of every list (sections 2.1 and 2.2)."""

_DIGITS = re.compile(r"[0-9]{1,4}")


def text_of(query: dict[str, list[str]], name: str) -> str | None:
    """The first value of a parameter; None where it is absent or empty."""
    return query.get(name, [""])[0] or None


def limit_of(query: dict[str, list[str]], default: int) -> int:
    """``limit``, from 1 to LIMIT_MAX. Raises InvalidQuery."""
    text = text_of(query, "limit")
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= LIMIT_MAX:
        raise InvalidQuery(parameter="limit", detail=f"limit is a number from 1 to {LIMIT_MAX}.")
    return int(text)


def moment_of(query: dict[str, list[str]], name: str) -> int | None:
    """Microseconds of an ISO 8601 time; one without an offset is UTC (section 7, A21). Raises InvalidQuery."""
    text = text_of(query, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+").upper())  # a plus that was not percent-encoded
    except ValueError:
        moment = None
    if moment is None or not 1971 <= moment.year <= 9_998:
        raise InvalidQuery(parameter=name, detail=f"{name} is an ISO 8601 time.")
    return to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def cursor_scope(call: Call, name: str, *filters: object) -> str:
    """What a cursor must not survive a change of: the list, whose it is, and its filters."""
    who = call.principal
    return f"foxreload/{name}|{who.partner_id}|{who.mode.value}|{filters!r}"


def opened_cursor(call: Call, query: dict[str, list[str]], scope: str) -> str | None:
    """Where the page before ended. Raises InvalidCursor."""
    text = text_of(query, "cursor")
    return call.desk.parts.cursors.open(scope, text) if text is not None else None


def sealed_cursor(call: Call, scope: str, position: str | None) -> str | None:
    """``next_cursor``."""
    return None if position is None else call.desk.parts.cursors.seal(scope, position)


def seconds(micros: int) -> str:
    """ISO 8601 in UTC, whole seconds (section 7, A21)."""
    return f"{from_micros(micros):%Y-%m-%dT%H:%M:%SZ}"
