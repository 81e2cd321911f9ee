"""What a product must be told: our input fields as their note fields, and a note as our input (specs/foxreload.md, section 6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from cardrail.api.errors import InvalidBody
from cardrail.catalog import InputField

NOTE_BYTES_MAX: Final = 4_096
"""A note is kept with its order, whatever it holds."""

MOCK_OUTCOME: Final = "mock_outcome"

_OPTION: Final = re.compile(r"[\w .,&'/-]{1,60}")
_NUMBER: Final = re.compile(r"\[1-9\](\\d|\[0-9\])(\*|\+|\{\d+(,\d*)?\})")
_encode: Final = msgspec.json.Encoder().encode


@lru_cache(maxsize=1_024)
def options_of(field: InputField) -> tuple[str, ...] | None:
    """The values among which to choose, where the field's pattern is a list of them: ``EU|US`` or ``(EU|US)``."""
    pattern = field.pattern.removeprefix("(?:").removeprefix("(").removesuffix(")")
    parts = pattern.split("|")
    if len(parts) < 2 or not all(_OPTION.fullmatch(one) and "." not in one for one in parts):
        return None
    return tuple(parts)


def type_of(field: InputField) -> str:
    """string, integer, email or select."""
    if options_of(field) is not None:
        return "select"
    if field.name == "email":
        return "email"
    return "integer" if _NUMBER.fullmatch(field.pattern) else "string"


def required_names(fields: Sequence[InputField]) -> list[str]:
    return [one.name for one in fields if one.required]


def types(fields: Sequence[InputField]) -> dict[str, str] | None:
    return {one.name: type_of(one) for one in fields} or None


def options(fields: Sequence[InputField]) -> dict[str, list[str]] | None:
    """Field → the values to choose among; None where no field has such."""
    return {one.name: list(found) for one in fields if (found := options_of(one)) is not None} or None


def input_of(note: dict[str, Any] | None, fields: Sequence[InputField], where: str) -> dict[str, str] | None:
    """The members of a note that the product asks for, as texts. Others are kept with the order and ignored. Raises InvalidBody."""
    if not note:
        return None
    if len(_encode(note)) > NOTE_BYTES_MAX:
        raise InvalidBody(where=where, detail="It is too long.", said="The note cannot be kept.")
    found: dict[str, str] = {}
    for one in fields:
        value = note.get(one.name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
            raise InvalidBody(where=f"{where}.{one.name}", said="It is a text or a number.")
        found[one.name] = value if isinstance(value, str) else str(value)
    return found or None
