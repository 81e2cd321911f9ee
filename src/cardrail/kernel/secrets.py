"""Secrets as types that do not print: a slip in a log line, a traceback or a JSON answer shows a mask, or fails loudly."""

from __future__ import annotations

from typing import Any, Never


class Secret:
    """A text that must not be printed, pickled or serialised; ``reveal()`` is the one way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}('***')"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Never:
        raise TypeError("a secret cannot be pickled")


class PlainCode:
    """One opened code: what the recipient redeems. It lives only between ``reveal()`` and the response or message.

    It masks its repr, refuses to be pickled, and no serialiser knows it: whoever sends it must name each field.
    """

    __slots__ = ("code", "pin", "serial", "url")

    def __init__(self, code: str | None, pin: str | None = None, serial: str | None = None, url: str | None = None) -> None:
        self.code = code
        self.pin = pin
        self.serial = serial
        self.url = url

    def __repr__(self) -> str:
        return "PlainCode('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainCode) and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash(self.fields())

    def __reduce__(self) -> Never:
        raise TypeError("a plain code cannot be pickled")

    def fields(self) -> tuple[str | None, str | None, str | None, str | None]:
        """(code, pin, serial, url), for the one who seals or sends it."""
        return (self.code, self.pin, self.serial, self.url)


def mask(value: Any) -> str:
    """What a log shows in place of a secret."""
    return "***" if value else ""
