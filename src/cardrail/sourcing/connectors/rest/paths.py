"""The two small languages of the file: a path says where in an answer something stands, a template says what is sent. Neither computes.

A path is names and indices: ``data.cards[0].number``, ``["a name with.dots"]``; the empty path is the thing itself. A template is a text
with variables of a closed set: ``/orders/{order_id}``, ``{face|minor}``. A text that is one variable alone keeps the variable's type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cardrail.kernel import Money

Path = tuple[str | int, ...]

STEPS_MAX: Final = 12
DIGITS_MAX: Final = 30
FILTERS: Final = ("decimal", "minor", "number", "text", "date", "unix")

_STEP: Final = re.compile(r'\.?([A-Za-z_$@][A-Za-z0-9_$@-]*)|\[([0-9]{1,4})\]|\["([^"\]]{1,100})"\]')
_VARIABLE: Final = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_-]{1,64})?)(?:\|([a-z]+))?\}")


class Absent(Exception):  # never leaves the connector
    """A variable that has no value here, where one is needed."""


# --- paths ------------------------------------------------------------------------------------------------------------


def parse_path(text: str) -> Path:
    """The steps of a path. Raises ValueError, in words."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (text[at] == "." and not steps) or (steps and found[1] is not None and text[at] != "."):
            raise ValueError(f"{text[:60]!r} is no path: names and indices, like data.cards[0].number")
        steps.append(int(found[2]) if found[2] is not None else found[1] or found[3])
        at = found.end()
    if len(steps) > STEPS_MAX:
        raise ValueError(f"a path of more than {STEPS_MAX} steps")
    return tuple(steps)


def value_at(document: Any, path: Path) -> Any:
    """What stands there; None where nothing does."""
    for step in path:
        if isinstance(step, str) and isinstance(document, Mapping):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def text_of(value: Any) -> str | None:
    """A text, or a number or truth value as one; None for everything else, and for an empty text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return value if isinstance(value, str) and value else None


# --- templates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """One ``{name|filter}``."""

    name: str
    filter: str | None


Template = tuple[str | Variable, ...]


def parse_template(text: str) -> Template:
    """Its literal texts and variables. Raises ValueError, in words."""
    parts: list[str | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        parts += [text[at : found.start()]] if found.start() > at else []
        if found[2] is not None and found[2] not in FILTERS:
            raise ValueError(f"{found[0]}: there is no {found[2]!r}; there are {', '.join(FILTERS)}")
        parts.append(Variable(found[1], found[2]))
        at = found.end()
    parts += [text[at:]] if at < len(text) else []
    if any(isinstance(one, str) and ("{" in one or "}" in one) for one in parts):
        raise ValueError("a brace that belongs to no variable")
    return tuple(parts)


def variables_in(node: Any) -> Iterator[Variable]:
    """All of a compiled node's variables."""
    if isinstance(node, tuple):
        yield from (one for one in node if isinstance(one, Variable))
    elif isinstance(node, dict):
        for one in node.values():
            yield from variables_in(one)
    elif isinstance(node, list):
        for one in node:
            yield from variables_in(one)


def compiled(node: Any) -> Any:
    """A body of the file with its texts as templates. Raises ValueError."""
    if isinstance(node, str):
        return parse_template(node)
    if isinstance(node, dict):
        return {name: compiled(one) for name, one in node.items()}
    if isinstance(node, list):
        return [compiled(one) for one in node]
    if node is None or isinstance(node, bool | int):
        return node
    raise ValueError("a body holds texts, whole numbers, true, false, tables and lists")


def rendered(node: Any, values: Mapping[str, Any], unit: str) -> Any:
    """The node with its variables filled in. What is one variable without a value is left out. Raises Absent."""
    if isinstance(node, tuple):
        if len(node) == 1 and isinstance(node[0], Variable):
            return _filtered(node[0], values, unit)
        return text_from(node, values, unit)
    if isinstance(node, dict):
        found = {name: rendered(one, values, unit) for name, one in node.items()}
        return {name: one for name, one in found.items() if one is not None}
    if isinstance(node, list):
        return [one for one in (rendered(each, values, unit) for each in node) if one is not None]
    return node


def text_from(template: Template, values: Mapping[str, Any], unit: str) -> str:
    """The template as a text. Raises Absent."""
    return "".join([one if isinstance(one, str) else text_value(one, values, unit) for one in template])


def text_value(variable: Variable, values: Mapping[str, Any], unit: str) -> str:
    """The variable as a text. Raises Absent."""
    found = _filtered(variable, values, unit)
    text = text_of(found)
    if text is None:
        raise Absent(variable.name)
    return text


def _filtered(variable: Variable, values: Mapping[str, Any], unit: str) -> Any:
    value = values.get(variable.name)
    if isinstance(value, Money):
        return _amount(value, variable.filter or unit)
    if isinstance(value, datetime):
        return _moment(value, variable.filter)
    if value is None or variable.filter is None:
        return value
    return _number(variable, str(value)) if variable.filter == "number" else text_of(value)


def _number(variable: Variable, text: str) -> Decimal:
    """A text as a number. Raises Absent where it is none: a buyer has typed it, and JSON has no NaN."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise Absent(f"number in {variable.name}") from None
    if not found.is_finite() or abs(found.adjusted()) >= DIGITS_MAX:
        raise Absent(f"number in {variable.name}")
    return found


def _amount(value: Money, form: str) -> Any:
    if form == "minor":
        return value.minor
    return Decimal(value.amount) if form == "number" else value.amount


def _moment(value: datetime, form: str | None) -> Any:
    if form == "unix":
        return int(value.timestamp())
    return value.astimezone(UTC).strftime("%Y-%m-%d" if form == "date" else "%Y-%m-%dT%H:%M:%SZ")
