"""Shapes of JSON, written down from a sheet: what an answer must look like, to the member.

A shape is one of:

- ``str``, ``int``, ``bool``, ``None``, ``Number`` (an int, or with a fraction), ``Anything``: that JSON type. True is no int, 2.0 neither.
- a compiled regular expression: a string that it matches wholly.
- ``Only("a", "b")``: one of these values. ``Either(shape, shape)``: one of these shapes.
- ``[shape]``: an array of it. ``[shape, 2]``: of just so many.
- ``{"name": shape, "maybe?": shape}``: an object with just these members; one whose name ends in "?" may be absent (and is then absent,
  not null). ``"*": shape`` lets in further members, of that shape.

``problems`` lists what does not fit, with JSON paths; ``fits`` fails a test on them. ``shape_of`` makes the shape of an example.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final


class Number:
    """A JSON number."""


class Anything:
    """Any JSON."""


class Only:
    """One of some values."""

    def __init__(self, *values: Any) -> None:
        self.values = values


class Either:
    """One of some shapes."""

    def __init__(self, *shapes: Any) -> None:
        self.shapes = shapes


_TYPES: Final[dict[Any, tuple[type, ...]]] = {str: (str,), int: (int,), bool: (bool,), Number: (int, float, Decimal)}


def parse(body: bytes | str) -> Any:
    """JSON whose numbers keep what was written: 2.50 is Decimal("2.50")."""
    return json.loads(body, parse_float=Decimal)


def fits(value: Any, shape: Any) -> None:
    """Fail unless the value is of the shape."""
    found = problems(value, shape)
    assert not found, "\n".join(found)


def problems(value: Any, shape: Any, path: str = "$") -> list[str]:
    """What of the value is not of the shape."""
    if shape is Anything:
        return []
    if isinstance(shape, Either):
        tried = [problems(value, one, path) for one in shape.shapes]
        return (
            []
            if [] in tried
            else [f"{path} is none of {len(tried)} shapes:", *["  " + line for found in tried for line in found]]
        )
    if isinstance(shape, Only):
        is_one = any(value == one and type(value) is type(one) for one in shape.values)
        return [] if is_one else [f"{path} is {value!r}, none of {shape.values}"]
    if isinstance(shape, re.Pattern):
        is_match = isinstance(value, str) and shape.fullmatch(value)
        return [] if is_match else [f"{path} is {value!r}, which {shape.pattern} does not match"]
    if isinstance(shape, dict):
        return _object_problems(value, shape, path)
    if isinstance(shape, list):
        return _array_problems(value, shape, path)
    return _type_problems(value, shape, path)


def shape_of(example: Any) -> Any:
    """The shape of an example: its members are all there must be; an empty array is one of anything."""
    if isinstance(example, dict):
        return {name: shape_of(one) for name, one in example.items()}
    if isinstance(example, list):
        return [shape_of(example[0]) if example else Anything]
    if isinstance(example, (int, float, Decimal)) and not isinstance(example, bool):
        return Number
    return None if example is None else type(example)


def _type_problems(value: Any, shape: Any, path: str) -> list[str]:
    if shape is None:
        return [] if value is None else [f"{path} is {value!r}, not null"]
    is_of_type = isinstance(value, _TYPES[shape]) and (shape is bool or not isinstance(value, bool))
    return [] if is_of_type else [f"{path} is {value!r}, no {shape.__name__}"]


def _array_problems(value: Any, shape: list[Any], path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path} is {value!r}, no array"]
    found = [line for n, one in enumerate(value) for line in problems(one, shape[0], f"{path}[{n}]")]
    if len(shape) == 2 and len(value) != shape[1]:
        found.append(f"{path} has {len(value)} elements, not {shape[1]}")
    return found


def _object_problems(value: Any, shape: dict[str, Any], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is {value!r}, no object"]
    named = {name.removesuffix("?"): (one, name.endswith("?")) for name, one in shape.items() if name != "*"}
    found = [f"{path}.{name} is missing" for name, (_, is_optional) in named.items() if not is_optional and name not in value]
    for name, one in value.items():
        if name in named:
            found += problems(one, named[name][0], f"{path}.{name}")
        elif "*" in shape:
            found += problems(one, shape["*"], f"{path}.{name}")
        else:
            found.append(f"{path}.{name} must not be there")
    return found
