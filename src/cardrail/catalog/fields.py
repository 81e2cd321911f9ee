"""Input fields: what a product must be told (a phone number, a player id), and how that is checked before anything is charged.

A pattern comes from outside, so it is bounded twice: a value has at most 256 characters, and a pattern may have only so many ways to
match one (``ways``), so that no value makes the check slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from re import _constants as ops  # type: ignore[attr-defined]  # the library's own parse tree: no public name
from re import _parser as sre  # type: ignore[attr-defined]  # likewise
from typing import Any, Final

import msgspec

from cardrail.catalog.errors import InvalidField, InvalidPattern, MissingField

VALUE_LENGTH_MAX: Final = 256
PATTERN_LENGTH_MAX: Final = 500
WAYS_MAX: Final = 100_000
"""Backtracking paths that a pattern may have for one value; a hundred thousand take about a millisecond."""

E164: Final = r"\+?[1-9]\d{6,14}"

#: Patterns of a field that depend on the product's country; the one place to add a country.
COUNTRY_PATTERNS: Final[dict[str, dict[str, str]]] = {
    "mobile_number": {
        "BD": r"(\+?880|0)?1[3-9]\d{8}",
        "IN": r"(\+?91|0)?[6-9]\d{9}",
    },
}

#: Patterns of well-known fields anywhere else.
DEFAULT_PATTERNS: Final[dict[str, str]] = {
    "mobile_number": E164,
    "phone": E164,
    "email": r"[^@\s]{1,64}@[^@\s]{1,60}\.[A-Za-z]{2,24}",
}

_NEVER: Final = re.compile(r"(?!)")


class InputField(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field that an order for the product carries. The whole value must match the pattern, if there is one."""

    name: str
    label: str = ""
    pattern: str = ""
    required: bool = True


_decode = msgspec.json.Decoder(tuple[InputField, ...]).decode
_encode = msgspec.json.Encoder().encode


def decode_fields(text: str | None) -> tuple[InputField, ...]:
    """Fields from their JSON text. Raises msgspec.ValidationError or DecodeError."""
    return _decode(text) if text else ()


def encode_fields(fields: Sequence[InputField]) -> str | None:
    """The JSON text of fields; None for none."""
    return _encode(list(fields)).decode() if fields else None


def field_of(name: str, countries: Sequence[str]) -> InputField:
    """The field of this name with the pattern that is usual for it where the product redeems."""
    by_country = COUNTRY_PATTERNS.get(name, {})
    pattern = by_country.get(countries[0], "") if len(countries) == 1 else ""
    label = name.replace("_", " ").capitalize()
    return InputField(name=name, label=label, pattern=pattern or DEFAULT_PATTERNS.get(name, ""))


def check_fields(wanted: Sequence[InputField], given: Mapping[str, str] | None) -> None:
    """Refuse values that the product does not take.

    Raises MissingField (a required one is absent or empty) or InvalidField (too long, not printable, off its pattern, or not asked for).
    """
    values = given or {}
    for one in wanted:
        value = values.get(one.name)
        if not value:
            if one.required:
                raise MissingField(field=one.name)
            continue
        if len(value) > VALUE_LENGTH_MAX or not value.isprintable():
            raise InvalidField(field=one.name)
        if one.pattern and _compiled(one.pattern).fullmatch(value) is None:
            raise InvalidField(field=one.name, pattern=one.pattern)
    if values:
        known = {one.name for one in wanted}
        for name in values:
            if name not in known:
                raise InvalidField(field=name[:40], reason="not asked for")


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that is broken or could be slow. Raises InvalidPattern."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise InvalidPattern(pattern=pattern[:60], reason="too long")
    try:
        tree = sre.parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise InvalidPattern(pattern=pattern[:60], reason="not a regular expression") from None
    if ways(tree) > WAYS_MAX:
        raise InvalidPattern(pattern=pattern[:60], reason="too many ways to match")


def ways(tree: Iterable[tuple[Any, Any]]) -> int:
    """An upper bound of the paths a backtracking matcher may try; above WAYS_MAX it stops counting.

    A sequence multiplies, alternatives add, and a repeat of n to m of something with w ways has up to (m - n + 1) * w**m.
    """
    total = 1
    for op, value in tree:
        total *= _ways_of(op, value)
        if total > WAYS_MAX:
            return total
    return total


def _ways_of(op: Any, value: Any) -> int:
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT):
        low, high, body = value
        high = min(int(high), VALUE_LENGTH_MAX)
        inner = min(ways(body), WAYS_MAX + 1)
        return (max(high - int(low), 0) + 1) * (inner if inner == 1 else inner ** min(high, 20))
    if op is ops.BRANCH:
        return sum(ways(branch) for branch in value[1])
    if op is ops.SUBPATTERN:
        return ways(value[3])
    if op in (ops.LITERAL, ops.NOT_LITERAL, ops.IN, ops.ANY, ops.AT, ops.RANGE, ops.CATEGORY):
        return 1
    return WAYS_MAX + 1  # look-around, back references, conditions: nobody needs them in a field


@lru_cache(maxsize=4_096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, once; one that is not safe matches nothing, so that a bad row cannot stop the others."""
    try:
        check_pattern(pattern)
    except InvalidPattern:
        return _NEVER
    return re.compile(pattern)
