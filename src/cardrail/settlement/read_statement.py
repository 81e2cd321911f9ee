"""Reading a supplier's CSV statement by a mapping: every line becomes a record, or is refused with its line and column.

Nothing is guessed: an encoding, a decimal sign, a form of dates are what the mapping says, and what does not fit is a bad line. A file that
does not end with a line end may be cut off in the middle of an amount, so that is a bad line too, unless the mapping allows it.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from cardrail.kernel import InvalidAmount, currency, parse_minor, to_micros
from cardrail.settlement.errors import InvalidMapping, UnreadableStatement
from cardrail.settlement.match import PurchaseState, TheirLine

FIELD_MAX: Final = 200
"""Characters of one reference or sku."""
LINE_MAX: Final = 65_536
"""Bytes of one line."""


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The headers of the columns that are read; others are passed over."""

    amount: str
    our_reference: str | None = None
    their_reference: str | None = None
    state: str | None = None
    currency: str | None = None
    sku: str | None = None
    at: str | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one supplier writes its statements."""

    columns: Columns
    match_by: Literal["our_reference", "their_reference"] = "our_reference"
    """Which of the two names a purchase on both sides."""
    states: dict[str, PurchaseState] = {}  # msgspec copies it
    """Their word, in lower case → ours."""
    default_state: PurchaseState = PurchaseState.DELIVERED
    """Where there is no column for it."""
    encoding: Literal["utf-8", "cp1252", "latin-1"] = "utf-8"
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    date: str = "%Y-%m-%d"
    """As strptime reads it."""
    timezone: str = "UTC"
    sign: Literal[1, -1] = 1
    """-1 where they write charges as negative amounts."""
    final_newline: bool = True
    """Whether a file that does not end with a line end is one that was cut off."""


@dataclass(frozen=True, slots=True)
class BadStatementLine:
    """A line that cannot be taken."""

    line: int
    column: str | None
    problem: str


class _Bad(Exception):  # never leaves this module
    def __init__(self, column: str | None, problem: str) -> None:
        super().__init__(problem)
        self.column, self.problem = column, problem


def parse_mapping(text: str) -> Mapping:
    """The mapping of a TOML text. Raises InvalidMapping."""
    try:
        found = msgspec.convert(tomllib.loads(text), Mapping)
        ZoneInfo(found.timezone)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidMapping(detail=str(error)) from None
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidMapping(detail="There is no such time zone.") from None
    if getattr(found.columns, found.match_by) is None:
        raise InvalidMapping(detail=f"It matches by {found.match_by}, and names no column for it.")
    if len(found.delimiter) != 1 or found.delimiter == found.decimal:
        raise InvalidMapping(detail="The delimiter is one character, and not the decimal sign.")
    return found


def read_statement(
    file: BinaryIO, mapping: Mapping, currency_code: str, *, since: int | None = None, until: int | None = None
) -> Iterator[TheirLine | BadStatementLine]:
    """Each line of the file, as a record or as what is wrong with it; streamed. Amounts are in ``currency_code``.

    Dates outside [since, until) are bad lines; whether a line comes twice is seen when it is written, so that no memory grows with the
    file. Raises UnreadableStatement where the file as a whole is not what the mapping says.
    """
    lines = _Lines(file, mapping.encoding)
    reader = csv.reader(lines, delimiter=mapping.delimiter, strict=True)
    places = _header(reader, mapping, lines)
    shape = _Shape(mapping, currency_code, currency(currency_code).digits, places, since, until)
    for number, fields in _records(reader, lines):
        if isinstance(fields, BadStatementLine):
            yield fields
            continue
        if not fields:
            continue  # an empty line
        try:
            yield shape.line(number, fields)
        except _Bad as bad:
            yield BadStatementLine(number, bad.column, bad.problem)
    if lines.is_cut and mapping.final_newline:
        yield BadStatementLine(lines.number, None, "the file ends without a line end: it may be cut off")


class _Lines:
    """The file's lines as text. A byte that the encoding does not know is told with its line and column."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.number = 0
        self.is_cut = False

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(LINE_MAX + 1):
            self.number += 1
            if self.number == 1:
                if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise UnreadableStatement(line=1, column=1, reason="it is UTF-16; save it as UTF-8")
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if len(raw) > LINE_MAX:
                raise UnreadableStatement(line=self.number, reason=f"a line of more than {LINE_MAX} bytes")
            self.is_cut = not raw.endswith(b"\n")
            try:
                text = raw.decode(self._encoding)
            except UnicodeDecodeError as error:
                before = raw[: error.start].decode(self._encoding, "replace")
                raise UnreadableStatement(
                    line=self.number, column=len(before) + 1, reason=f"byte {raw[error.start]:#04x} is not {self._encoding}"
                ) from None
            if "\x00" in text:
                raise UnreadableStatement(line=self.number, column=text.index("\x00") + 1, reason="a zero byte: not a text")
            yield text


def _header(reader: Any, mapping: Mapping, lines: _Lines) -> dict[str, int]:
    """Field → place, from the first line."""
    try:
        names = [one.strip() for one in next(reader, [])]
    except csv.Error as error:
        raise UnreadableStatement(line=1, reason=str(error)) from None
    places = {}
    for field in Columns.__struct_fields__:
        wanted = getattr(mapping.columns, field)
        if wanted is None:
            continue
        if names.count(wanted) != 1:
            what = "twice" if wanted in names else "not"
            raise UnreadableStatement(
                line=max(1, lines.number), reason=f"the header has the column {wanted!r} {what}", found=names[:20]
            )
        places[field] = names.index(wanted)
    return places


def _records(reader: Any, lines: _Lines) -> Iterator[tuple[int, list[str] | BadStatementLine]]:
    """(line, fields) of each record; a record that breaks the CSV rules is a bad line, and reading goes on behind it."""
    while True:
        first = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield first, BadStatementLine(first, None, f"not CSV: {error}")
            continue
        yield first, fields


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the fields of one line become a record."""

    mapping: Mapping
    currency_code: str
    digits: int
    places: dict[str, int]
    since: int | None
    until: int | None

    def line(self, number: int, fields: list[str]) -> TheirLine:
        if len(fields) <= max(self.places.values()):
            raise _Bad(None, f"{len(fields)} fields, where {max(self.places.values()) + 1} are needed")
        ours, theirs = self._text(fields, "our_reference"), self._text(fields, "their_reference")
        key = ours if self.mapping.match_by == "our_reference" else theirs
        if not key:
            raise _Bad(getattr(self.mapping.columns, self.mapping.match_by), "empty")
        code = self._text(fields, "currency")
        if code not in (None, self.currency_code):
            raise _Bad(self.mapping.columns.currency, f"{code}, where {self.currency_code} is expected")
        return TheirLine(
            key=key,
            line=number,
            amount_minor=self._amount(fields),
            state=self._state(fields),
            our_reference=ours,
            their_reference=theirs,
            sku=self._text(fields, "sku"),
            at=self._moment(fields),
        )

    def _text(self, fields: list[str], field: str) -> str | None:
        place = self.places.get(field)
        if place is None:
            return None
        text = fields[place].strip()
        if len(text) > FIELD_MAX or not text.isprintable():
            raise _Bad(getattr(self.mapping.columns, field), f"more than {FIELD_MAX} characters, or one that cannot be printed")
        return text or None

    def _amount(self, fields: list[str]) -> int:
        text = fields[self.places["amount"]].strip()
        other = "," if self.mapping.decimal == "." else "."
        if other in text:
            raise _Bad(
                self.mapping.columns.amount, f"{text[:40]!r} has a {other!r}; the decimal sign is {self.mapping.decimal!r}"
            )
        try:
            return self.mapping.sign * parse_minor(text.replace(self.mapping.decimal, "."), self.digits)
        except InvalidAmount:
            raise _Bad(self.mapping.columns.amount, f"{text[:40]!r} is not an amount in {self.currency_code}") from None

    def _state(self, fields: list[str]) -> PurchaseState:
        text = self._text(fields, "state")
        if "state" not in self.places:
            return self.mapping.default_state
        found = self.mapping.states.get((text or "").lower())
        if found is None:
            raise _Bad(self.mapping.columns.state, f"{text!r} is none of the states of the mapping")
        return found

    def _moment(self, fields: list[str]) -> int | None:
        text = self._text(fields, "at")
        if text is None:
            return None
        try:
            moment = datetime.strptime(text, self.mapping.date)  # noqa: DTZ007  # its zone follows
        except ValueError:
            raise _Bad(self.mapping.columns.at, f"{text[:40]!r} is not a date of the form {self.mapping.date}") from None
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(self.mapping.timezone))
        micros = to_micros(aware)
        if (self.since is not None and micros < self.since) or (self.until is not None and micros >= self.until):
            raise _Bad(self.mapping.columns.at, f"{text[:40]!r} is outside the statement's period")
        return micros
