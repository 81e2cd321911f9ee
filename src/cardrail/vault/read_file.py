"""Reading a file of codes: CSV with named columns or one code a line, plain or gzip, in UTF-8.

What is wrong is said by line number and never by what the line holds. Of the good lines is kept what sealing needs and no more: a million
codes take some 250 MB, because the file must be known whole before the first code may be stored.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO, Final, Generic, TypeVar, cast

from cardrail.kernel import to_micros
from cardrail.vault.errors import DamagedFile, MissingHeader, TooManyCodes, UnknownColumn
from cardrail.vault.fingerprint import Fingerprinter, normalise
from cardrail.vault.seal import plain_record
from cardrail.vault.tables import NEVER

COLUMNS: Final = ("code", "pin", "serial", "url", "expires_at")
CODE_MAX: Final = 256
PIN_MAX: Final = 64
SERIAL_MAX: Final = 128
URL_MAX: Final = 2_048
LINE_MAX: Final = 16_384
CODES_MAX: Final = 5_000_000
"""Codes of one file: what a process can hold."""
REPORTED_MAX: Final = 1_000
"""Bad lines and duplicates that are listed one by one; all are counted."""
PROGRESS_EVERY: Final = 20_000

Line = TypeVar("Line")

_GZIP_MAGIC: Final = b"\x1f\x8b"
_DELIMITERS: Final = ",;\t"
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")

Progress = Callable[[str, int, int | None], None]
"""Called with the stage (reading, checking, storing), how many are done, and of how many, where that is known."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be imported, and why."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class DuplicateLine:
    """A line whose code is elsewhere too."""

    line: int
    where: str
    """"file": further up in the same file; "vault": stored already, sold or not; "loading": in an import that has not ended."""


@dataclass(slots=True)
class Lines(Generic[Line]):
    """Lines of one kind: the first thousand, and how many there are."""

    listed: list[Line] = field(default_factory=list)
    count: int = 0

    def add(self, line: Line) -> None:
        self.count += 1
        if len(self.listed) < REPORTED_MAX:
            self.listed.append(line)


class ParsedCodes:
    """The good lines of a file, as columns."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        """What will be encrypted."""
        self.marks: list[bytes] = []
        self.expiries = array("q")
        self.lines = array("q")
        self.bad: Lines[BadLine] = Lines()
        self.duplicates: Lines[DuplicateLine] = Lines()

    def __repr__(self) -> str:
        return f"ParsedCodes({len(self.records)} codes)"

    def __len__(self) -> int:
        return len(self.records)

    def keep(self, indexes: list[int]) -> None:
        """Keep only the codes at these places, in this order."""
        self.records = [self.records[i] for i in indexes]
        self.marks = [self.marks[i] for i in indexes]
        self.expiries = array("q", [self.expiries[i] for i in indexes])
        self.lines = array("q", [self.lines[i] for i in indexes])


def read_codes(
    source: BinaryIO,
    marks: Fingerprinter,
    *,
    now: datetime,
    default_expires_at: int = NEVER,
    progress: Progress | None = None,
) -> ParsedCodes:
    """Read a file to its end. Raises MissingHeader, UnknownColumn, DamagedFile, TooManyCodes."""
    collector = _Collector(marks, now, default_expires_at, progress)
    number, line = 0, "\n"
    try:
        lines = _lines(source)
        while line and not line.strip():
            number, line = number + 1, next(lines, "")
        if not line:
            return collector.parsed
        header = _header(line)
        if header is None:
            if any(delimiter in line for delimiter in _DELIMITERS):
                raise MissingHeader(line=number)
            _read_plain(collector, number, line, lines)
        else:
            _read_csv(collector, header, number, lines)
    except (OSError, EOFError, zlib.error):
        raise DamagedFile(after_line=collector.line or number) from None
    return collector.parsed


def parse_expiry(text: str) -> int:
    """Microseconds of a date (its last second, UTC) or of an RFC 3339 instant with its offset. Raises ValueError, without the text."""
    try:
        if _DATE.fullmatch(text):
            moment = datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
            return to_micros(moment) - 1_000_000
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError("expires_at is neither a date nor an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise ValueError("expires_at is a time without its offset from UTC")
    return to_micros(moment)


# --- lines ----------------------------------------------------------------------------------------------------------------


def _lines(source: BinaryIO) -> Iterator[str]:
    """Lines of text; bytes that are no UTF-8 become surrogates, which no field may hold."""
    buffered = source if isinstance(source, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", source))
    raw: BinaryIO = buffered
    if buffered.peek(2)[:2] == _GZIP_MAGIC:
        raw = gzip.GzipFile(fileobj=buffered)  # type: ignore[assignment]  # reads like one
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline=None)
    read = text.readline
    number = 0
    while line := read(LINE_MAX):
        number += 1
        if len(line) == LINE_MAX and line[-1] != "\n":
            raise DamagedFile(after_line=number - 1, reason="a line has no end")
        yield line
    text.detach()


def _header(line: str) -> tuple[list[str], str] | None:
    """(columns, delimiter) if the line is a header. Raises UnknownColumn where it is half one."""
    delimiter = max(_DELIMITERS, key=line.count)
    names = [name.strip().strip('"').strip().lower() for name in line.strip().split(delimiter)]
    known = [name for name in names if name in COLUMNS]
    if not known or ("code" not in known and "url" not in known):
        return None
    if len(known) < len(names) or len(set(known)) < len(known):
        place = next(i for i, name in enumerate(names, 1) if name not in COLUMNS or name in names[: i - 1])
        raise UnknownColumn(column=place)
    return names, delimiter


def _read_plain(collector: _Collector, number: int, first: str, lines: Iterator[str]) -> None:
    add = collector.add
    _plain_line(collector, number, first)
    for line in lines:
        number += 1
        code = line.strip()
        if code:
            if "," in code or "\t" in code or ";" in code:
                collector.refuse(number, "holds a separator; CSV needs a header line")
            else:
                add(number, code)


def _plain_line(collector: _Collector, number: int, line: str) -> None:
    collector.add(number, line.strip())


def _read_csv(collector: _Collector, header: tuple[list[str], str], offset: int, lines: Iterator[str]) -> None:
    names, delimiter = header
    width = len(names)
    places = [names.index(name) if name in names else -1 for name in COLUMNS]
    at_code, at_pin, at_serial, at_url, at_expiry = places
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    add = collector.add
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            collector.refuse(offset + rows.line_num, "broken quotes, or a field that is too long")
            continue
        number = offset + rows.line_num
        if len(row) != width:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if len(row) > width:
                collector.refuse(number, "more fields than the header")
                continue
            row += [""] * (width - len(row))
        add(
            number,
            row[at_code].strip() if at_code >= 0 else "",
            row[at_pin].strip() if at_pin >= 0 else "",
            row[at_serial].strip() if at_serial >= 0 else "",
            row[at_url].strip() if at_url >= 0 else "",
            row[at_expiry].strip() if at_expiry >= 0 else "",
        )


class _Collector:
    """Checks each line and keeps the good ones."""

    def __init__(self, marks: Fingerprinter, now: datetime, default_expires_at: int, progress: Progress | None) -> None:
        self.parsed = ParsedCodes()
        self.line = 0
        self._mark = marks.of
        self._now = to_micros(now)
        self._default = default_expires_at
        self._expiries: dict[str, int | str] = {}
        self._seen: set[bytes] = set()
        self._progress = progress

    def refuse(self, line: int, problem: str) -> None:
        self.line = line
        self.parsed.bad.add(BadLine(line, problem))

    def add(self, line: int, code: str, pin: str = "", serial: str = "", url: str = "", expires: str = "") -> None:  # once a line
        self.line = line
        expires_at: int | str = self._default
        if expires:
            found = self._expiries.get(expires)
            expires_at = self._read_expiry(expires) if found is None else found
        problem = _problem(code, pin, serial, url) if pin or serial or url else _code_problem(code)
        if problem is None and isinstance(expires_at, str):
            problem = expires_at
        if problem is not None:
            self.refuse(line, problem)
            return
        assert isinstance(expires_at, int)
        if expires_at <= self._now:
            self.refuse(line, "expired already")
            return
        parsed = self.parsed
        mark = self._mark(code or url)
        seen = self._seen
        if mark in seen:
            parsed.duplicates.add(DuplicateLine(line, "file"))
            return
        seen.add(mark)
        parsed.records.append(plain_record(code or None, pin or None, serial or None, url or None))
        parsed.marks.append(mark)
        parsed.expiries.append(expires_at)
        parsed.lines.append(line)
        if len(seen) % PROGRESS_EVERY == 0:
            self._check_size()

    def _read_expiry(self, text: str) -> int | str:
        result: int | str
        try:
            result = parse_expiry(text)
        except ValueError as error:
            result = str(error)
        if len(self._expiries) < 10_000:
            self._expiries[text] = result
        return result

    def _check_size(self) -> None:
        if len(self._seen) > CODES_MAX:
            raise TooManyCodes(max=CODES_MAX)
        if self._progress is not None:
            self._progress("reading", len(self._seen), None)


def _code_problem(code: str) -> str | None:
    if len(code) > CODE_MAX:
        return f"code is longer than {CODE_MAX} characters"
    if not code.isprintable():
        return _unprintable(code)
    if not code or not normalise(code):
        return "no code"
    return None


def _problem(code: str, pin: str, serial: str, url: str) -> str | None:
    for name, text, longest in (("pin", pin, PIN_MAX), ("serial", serial, SERIAL_MAX), ("url", url, URL_MAX)):
        if len(text) > longest:
            return f"{name} is longer than {longest} characters"
        if not text.isprintable():
            return _unprintable(text)
    if url and not url.startswith(("https://", "http://")):
        return "url does not begin with https:// or http://"
    if not code and url:
        return None
    return _code_problem(code)


def _unprintable(text: str) -> str:
    if any("\udc80" <= character <= "\udcff" for character in text):
        return "not UTF-8"
    return "holds a character that cannot be printed"
