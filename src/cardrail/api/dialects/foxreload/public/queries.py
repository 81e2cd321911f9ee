"""Reading the parameters of a query: unknown ones are passed over, booleans come in several forms (specs/foxreload.md, 7, A25)."""

from __future__ import annotations

import re
from typing import Final

from cardrail.api.compat import Call
from cardrail.api.errors import InvalidQuery

OFFSET_MAX: Final = 10**9
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class Query:
    """The parameters of one call. Raises InvalidQuery."""

    def __init__(self, call: Call) -> None:
        self._given = call.query()

    def has(self, name: str) -> bool:
        return name in self._given

    def text(self, name: str) -> str | None:
        """A text, or None where it is absent or empty."""
        return self._given.get(name, [""])[-1] or None

    def texts(self, name: str) -> list[str]:
        """All texts of a parameter that may be repeated, or hold several between commas."""
        return [part.strip() for one in self._given.get(name, []) for part in one.split(",") if part.strip()]

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A number within its bounds."""
        text = self.text(name)
        if text is None:
            return default
        number = int(text) if _DIGITS.fullmatch(text) else -1
        if not least <= number <= most:
            raise InvalidQuery(parameter=name, detail=f"It is a number from {least} to {most}.")
        return number

    def flag(self, name: str) -> bool:
        """A boolean, false where it is absent."""
        text = self.text(name)
        if text is None:
            return False
        found = _BOOLEANS.get(text.lower())
        if found is None:
            raise InvalidQuery(parameter=name, detail="It is true or false.")
        return found
