"""Reading what a request brings, all rules of it at once: the vendor names every field that fails (specs/starship.md, section 1.7).

Values come as JSON texts (a body's members) or plain ones (a query's), and numbers stay decimal. What is not asked for is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from cardrail.api.compat import Call
from cardrail.api.dialects.starship.errors import PARAMETER, SYNTAX, VALIDATION, Failure, Refusal, Words
from cardrail.kernel import NUMBER_MAX

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)+")
EMAIL_MAX: Final = 254


class Fields:
    """The fields of a body or query, and what is wrong with them."""

    def __init__(self, given: Mapping[str, str], words: Words) -> None:
        self._given = given
        self._words = words
        self._failures: dict[str, list[Failure]] = {}

    def check(self) -> None:
        """Raises Refusal naming every field that failed."""
        if self._failures:
            raise Refusal(self._words, self._failures)

    def fail(self, field: str, rule: str, message: str) -> None:
        """Note that a field broke a rule."""
        self._failures.setdefault(field, []).append(Failure(rule, field, message))

    def has(self, field: str) -> bool:
        """Whether the field was given, and is not null."""
        return field in self._given

    def raw(self, field: str) -> str | None:
        """The field as it was given."""
        return self._given.get(field)

    def number(
        self,
        field: str,
        *,
        required: bool = False,
        above: Decimal | None = None,
        minimum: Decimal | int | None = None,
        maximum: Decimal | int | None = None,
    ) -> Decimal | None:
        """A number; a text of digits where this kind of input allows it."""
        text = self._asked(field, required)
        if text is None:
            return None
        number = self._decimal(field, text)
        if number is None:
            self.fail(field, "number", f"{field} must be a number")
        elif above is not None and number <= above:
            self.fail(field, "min", f"{field} must be greater than {above}")
        elif minimum is not None and number < minimum:
            self.fail(field, "min", f"{field} must be at least {minimum}")
        elif maximum is not None and number > maximum:
            self.fail(field, "max", f"{field} must be at most {maximum}")
        else:
            return number
        return None

    def integer(self, field: str, *, required: bool = False, minimum: int = 1, maximum: int = NUMBER_MAX) -> int | None:
        """A whole number, also written 3.0."""
        number = self.number(field, required=required, minimum=minimum, maximum=maximum)
        if number is None:
            return None
        if number != number.to_integral_value():
            self.fail(field, "integer", f"{field} must be an integer")
            return None
        return int(number)

    def text(self, field: str, *, required: bool = False, longest: int = 255, is_ascii: bool = False) -> str | None:
        """A text of printable characters, not empty."""
        given = self._asked(field, required)
        if given is None:
            return None
        text = self._string(given)
        if text is None:
            self.fail(field, "string", f"{field} must be a string")
        elif not text or len(text) > longest:
            self.fail(field, "length", f"{field} must have 1 to {longest} characters")
        elif not text.isprintable() or (is_ascii and not text.isascii()):
            self.fail(field, "printable", f"{field} must have printable characters only")
        else:
            return text
        return None

    def email(self, field: str) -> str | None:
        """An address that looks like one."""
        text = self.text(field, longest=EMAIL_MAX)
        if text is not None and not is_email(text):
            self.fail(field, "email", f"{field} must be a valid email address")
            return None
        return text

    def choice(self, field: str, choices: Iterable[str]) -> str | None:
        """One of some words, in any case."""
        text = self.text(field)
        if text is None:
            return None
        if text.upper() not in choices:
            self.fail(field, "enum", f"{field} must be one of {', '.join(choices)}")
            return None
        return text.upper()

    def flag(self, field: str, default: bool) -> bool:
        """true or false."""
        text = self._given.get(field)
        if text is None:
            return default
        if text.lower() not in ("true", "false", "1", "0"):
            self.fail(field, "boolean", f"{field} must be a boolean")
        return text.lower() in ("true", "1")

    def sort(self, allowed: Iterable[str], default: str = "id") -> tuple[str, bool]:
        """(field, whether descending) of ``sort``, a JSON object with keys of either case (specs/starship.md, section 1.6)."""
        text = self._given.get("sort")
        if not text:
            return default, True
        try:
            given = {name.lower(): value for name, value in msgspec.json.decode(text, type=dict[str, str]).items()}
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.fail("sort", "object", "sort must be a JSON object of field and direction")
            return default, True
        field, direction = given.get("field", default).lower(), given.get("direction", "DESC").upper()
        if field not in allowed:
            self.fail("sort", "enum", f"sort.field must be one of {', '.join(allowed)}")
        if direction not in ("ASC", "DESC"):
            self.fail("sort", "enum", "sort.direction must be ASC or DESC")
        return field, direction == "DESC"

    # --- by kind of input -------------------------------------------------------------------------------------------------

    def _asked(self, field: str, required: bool) -> str | None:
        text = self._given.get(field)
        if text is None and required:
            self.fail(field, "required", f"{field} is required")
        return text

    def _decimal(self, field: str, text: str) -> Decimal | None:
        return Decimal(text) if _NUMBER.fullmatch(text) else None

    def _string(self, given: str) -> str | None:
        return given


class BodyFields(Fields):
    """The members of a JSON object. A number in quotes is one only where ``loose`` names its field."""

    def __init__(self, given: Mapping[str, str], loose: Iterable[str] = ()) -> None:
        super().__init__(given, VALIDATION)
        self._loose = frozenset(loose)

    def object(self, field: str) -> dict[str, str] | None:
        """A JSON object of texts."""
        given = self._given.get(field)
        if given is None:
            return None
        try:
            found = msgspec.json.decode(given, type=dict[str, str])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.fail(field, "object", f"{field} must be an object of strings")
            return None
        if len(found) > 50 or any(len(name) > 200 or len(value) > 1_000 for name, value in found.items()):
            self.fail(field, "object", f"{field} is too large")
            return None
        return found

    def texts(self, field: str) -> list[str] | None:
        """A JSON list of texts."""
        given = self._given.get(field)
        if given is None:
            self.fail(field, "required", f"{field} is required")
            return None
        try:
            return msgspec.json.decode(given, type=list[str])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.fail(field, "array", f"{field} must be an array of strings")
            return None

    def _decimal(self, field: str, text: str) -> Decimal | None:
        if text.startswith('"') and field in self._loose:
            text = self._string(text) or ""
        return super()._decimal(field, text)

    def _string(self, given: str) -> str | None:
        if not given.startswith('"'):
            return None
        try:
            return _text.decode(given)
        except (msgspec.DecodeError, UnicodeError):
            return None


async def body_of(call: Call, *, loose: Iterable[str] = ()) -> BodyFields:
    """The body, which must be a JSON object; members that are null count as absent. Raises Refusal, BodyTooLarge, UnsupportedMediaType."""
    body = await call.body_bytes()
    try:
        given = {name: bytes(raw).decode().strip() for name, raw in _members.decode(body).items()}
    except msgspec.ValidationError:
        raise Refusal(VALIDATION, {"body": [Failure("object", "body", "the body must be an object")]}) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Refusal(SYNTAX) from None
    return BodyFields({name: text for name, text in given.items() if text != "null"}, loose)


def query_of(call: Call) -> Fields:
    """The query; of a parameter that is given twice the last counts, an empty one is absent. Raises InvalidQuery."""
    return Fields({name: values[-1] for name, values in call.query().items() if values[-1]}, PARAMETER)


def is_email(text: str) -> bool:
    """Whether it looks like an address."""
    return len(text) <= EMAIL_MAX and text.isprintable() and _EMAIL.fullmatch(text) is not None


@lru_cache(maxsize=4_096)
def plain_number(raw: bytes) -> Decimal | None:
    """The number of a JSON value; None where it is none, or not a plain one."""
    text = raw.decode("latin-1")
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def id_in(call: Call) -> int:
    """The id in the path. Raises Refusal for what is not an integer above 0."""
    text = call.params["id"]
    fields = Fields({"id": text}, PARAMETER)
    if not re.fullmatch(r"[0-9]{1,20}", text):
        fields.fail("id", "integer", "id must be an integer greater than 0")
    number = fields.integer("id") if not fields._failures else None  # noqa: SLF001  # its own class
    fields.check()
    assert number is not None
    return number
