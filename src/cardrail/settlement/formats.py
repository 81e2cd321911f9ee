"""Tables as files: CSV, JSON Lines, XLSX, Parquet; each written as its rows come, so that their number costs no memory.

A row is a tuple of plain figures (minor units, microseconds); a column says what they are and so how each format shows them. In CSV and
XLSX no text can become a formula: OWASP's "CSV injection" list, with the full-width forms that some programs read alike.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import xlsxwriter

from cardrail.kernel import currency, from_micros, rfc3339_of
from cardrail.settlement.errors import FormatUnavailable

Row = tuple[Any, ...]
Progress = Callable[[int], None]

CHUNK: Final = 1_000
"""Rows that become one piece of a stream."""
PARQUET_CHUNK: Final = 20_000
SHEET_ROWS_MAX: Final = 1_000_000
"""Rows of one sheet; the format allows 1,048,576."""
DANGEROUS: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""What a cell that is a formula, or breaks out of its cell, begins with."""


class Format(StrEnum):
    """What a table can be written as."""

    CSV = "csv"
    """RFC 4180, UTF-8."""
    JSONL = "jsonl"
    """A JSON object a line."""
    XLSX = "xlsx"
    """Excel and LibreOffice."""
    PARQUET = "parquet"
    """Needs the extra ``parquet``."""


MEDIA_TYPES: Final = {
    Format.CSV: "text/csv",
    Format.JSONL: "application/x-ndjson",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PARQUET: "application/vnd.apache.parquet",
}
STREAMED: Final = frozenset({Format.CSV, Format.JSONL})
"""Formats that can be sent while they are written; the others need a file."""


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    """From outside: names, references."""
    WORD = "word"
    """Our own: ids, states, currency codes."""
    NUMBER = "number"
    MONEY = "money"
    """Minor units of the currency that another column names."""
    MOMENT = "moment"
    """Microseconds."""
    RATE = "rate"
    """x 10**10."""
    PERCENT = "percent"
    """Basis points."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; None in a row is an empty cell."""

    name: str
    kind: Kind
    unit: str | None = None
    """For money: the name of the column that has its currency."""


@lru_cache(maxsize=512)
def _digits(code: str) -> int:
    return currency(code).digits


def defused(text: str) -> str:
    """The text, or with an apostrophe before it if a spreadsheet could take it for a formula."""
    return "'" + text if text and text[0] in DANGEROUS else text


Values = Sequence[Any]
"""A column of some rows: None is an empty cell."""


def _shape(digits: int) -> tuple[int, str]:
    """A scale and a shape, so that ``shape % divmod(minor, scale)`` is what ``format_minor`` makes of it, in a third of its time."""
    return 10**digits, f"%d.%0{digits}d" if digits else "%d%.0s"


def _scaled(digits: int) -> Callable[[Values], list[str | None]]:
    """What writes integers as decimals of so many digits."""
    scale, shape = _shape(digits)
    return lambda values: [
        None if one is None else shape % divmod(one, scale) if one >= 0 else "-" + shape % divmod(-one, scale) for one in values
    ]


def _money(values: Values, codes: Values) -> list[str | None]:
    """Minor units, each of the currency beside it."""
    digits = {code: _digits(code) for code in set(codes) if code is not None}
    if len(set(digits.values())) == 1:
        return _scaled(next(iter(digits.values())))(values)
    scales, shapes = ({code: _shape(count)[part] for code, count in digits.items()} for part in (0, 1))
    return [
        None
        if one is None
        else shapes[code] % divmod(one, scales[code])
        if one >= 0
        else "-" + shapes[code] % divmod(-one, scales[code])
        for one, code in zip(values, codes, strict=True)
    ]


def _moments(values: Values) -> list[str | None]:
    return [None if one is None else rfc3339_of(one) for one in values]


def _defused(values: Values) -> list[str | None]:
    return ["'" + one if one and one[0] in DANGEROUS else one for one in values]


_SHOWN: Final[dict[Kind, Callable[[Values], Values]]] = {
    Kind.MOMENT: _moments,
    Kind.RATE: _scaled(10),
    Kind.PERCENT: _scaled(2),
}


def _shower(columns: Sequence[Column], *, with_defused: bool) -> Callable[[Sequence[Row]], list[Values]]:
    """What turns rows of figures into columns of texts and numbers."""
    places = {column.name: index for index, column in enumerate(columns)}
    money = [(index, places[column.unit or ""]) for index, column in enumerate(columns) if column.kind is Kind.MONEY]
    plain = [(index, _SHOWN[column.kind]) for index, column in enumerate(columns) if column.kind in _SHOWN]
    if with_defused:
        plain += [(index, _defused) for index, column in enumerate(columns) if column.kind is Kind.TEXT]

    def show(rows: Sequence[Row]) -> list[Values]:
        found: list[Values] = list(zip(*rows, strict=True))
        shown = found.copy()
        for index, unit in money:
            shown[index] = _money(found[index], found[unit])
        for index, convert in plain:
            shown[index] = convert(found[index])
        return shown

    return show


# --- streams ----------------------------------------------------------------------------------------------------------


def stream(kind: Format, columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """The file in pieces, for formats in STREAMED."""
    return _csv(columns, rows) if kind is Format.CSV else _jsonl(columns, rows)


def csv_header(columns: Sequence[Column]) -> bytes:
    """The first line of a CSV file."""
    return (",".join(column.name for column in columns) + "\r\n").encode()


def csv_rows(columns: Sequence[Column], rows: Iterable[Row]) -> bytes:
    """Some lines of a CSV file."""
    found = list(rows)
    return _csv_writer(columns)(found) if found else b""


def _csv_writer(columns: Sequence[Column]) -> Callable[[Sequence[Row]], bytes]:
    """What writes rows as lines. Most need no quotes, and are joined and looked over at once; the others go through the csv module."""
    show = _shower(columns, with_defused=True)
    numbers = {index for index, column in enumerate(columns) if column.kind is Kind.NUMBER}

    def write(rows: Sequence[Row]) -> bytes:
        cells = [
            ["" if one is None else str(one) for one in values] if index in numbers else [one or "" for one in values]
            for index, values in enumerate(show(rows))
        ]
        text = "\r\n".join(map(",".join, zip(*cells, strict=True))) + "\r\n"
        if (
            text.count(",") == len(rows) * (len(columns) - 1)
            and text.count("\n") == text.count("\r") == len(rows)
            and '"' not in text
        ):
            return text.encode()
        quoted = io.StringIO(newline="")
        csv.writer(quoted, lineterminator="\r\n").writerows(zip(*cells, strict=True))
        return quoted.getvalue().encode()

    return write


def _csv(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    yield csv_header(columns)
    write, source = _csv_writer(columns), iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield write(chunk)


def _jsonl(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    names, encode = [column.name for column in columns], msgspec.json.Encoder().encode
    show, source = _shower(columns, with_defused=False), iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield b"".join([encode(dict(zip(names, row, strict=True))) + b"\n" for row in zip(*show(chunk), strict=True)])


# --- files ------------------------------------------------------------------------------------------------------------


def write_file(
    path: Path,
    kind: Format,
    columns: Sequence[Column],
    rows: Iterable[Row],
    *,
    title: str = "Cardrail",
    progress: Progress | None = None,
) -> int:
    """Write the table to a file that only its owner can read; how many rows. Raises FormatUnavailable."""
    counted = _Counted(rows, progress)
    path.touch(mode=0o600)
    if kind is Format.XLSX:
        _write_xlsx(path, columns, counted, title)
    elif kind is Format.PARQUET:
        _write_parquet(path, columns, counted)
    else:
        with path.open("wb") as file:
            for piece in stream(kind, columns, counted):
                file.write(piece)
    if progress is not None:
        progress(counted.count)
    return counted.count


class _Counted:
    """Rows as they pass, told of every now and then."""

    EVERY: Final = 20_000

    def __init__(self, rows: Iterable[Row], progress: Progress | None) -> None:
        self._rows, self._progress, self.count = rows, progress, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            if self._progress is not None and self.count % self.EVERY == 0:
                self._progress(self.count)
            yield row


_WIDTHS: Final = {Kind.MONEY: 14, Kind.NUMBER: 10, Kind.PERCENT: 12, Kind.MOMENT: 20, Kind.RATE: 16}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _write_xlsx(path: Path, columns: Sequence[Column], rows: Iterable[Row], title: str) -> None:
    """Numbers are numbers, moments are dates (UTC), and a text is never a formula or a link, whatever it looks like."""
    options = {
        "constant_memory": True,
        "tmpdir": str(path.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd hh:mm:ss",
    }
    book = xlsxwriter.Workbook(str(path), options)
    book.set_properties({"title": title, "created": _EPOCH.replace(tzinfo=None)})
    bold, moment = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    by_digits = {digits: book.add_format({"num_format": "0" + ("." + "0" * digits if digits else "")}) for digits in range(5)}
    places = {column.name: index for index, column in enumerate(columns)}
    scales = {Kind.RATE: (10, book.add_format({"num_format": "0.0000000000"})), Kind.PERCENT: (2, by_digits[2])}
    source = iter(rows)
    number = 0
    while True:
        chunk = islice(source, SHEET_ROWS_MAX)
        first = next(chunk, None)
        if first is None and number:
            break
        number += 1
        sheet = book.add_worksheet(f"{title[:24]} {number}" if number > 1 else title[:31])
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)  # printed as wide as a page
        for place, column in enumerate(columns):
            sheet.set_column(place, place, _WIDTHS.get(column.kind, 30))
            sheet.write_string(0, place, column.name, bold)
        for line, row in enumerate(_first_and(first, chunk), 1):
            for place, (column, value) in enumerate(zip(columns, row, strict=True)):
                if value is None:
                    continue
                if column.kind is Kind.MONEY:
                    digits = _digits(row[places[column.unit or ""]])
                    sheet.write_number(line, place, Decimal(value).scaleb(-digits), by_digits[digits])
                elif column.kind is Kind.NUMBER:
                    sheet.write_number(line, place, value)
                elif column.kind is Kind.MOMENT:
                    sheet.write_datetime(line, place, from_micros(value).replace(tzinfo=None), moment)
                elif column.kind in scales:
                    digits, shape = scales[column.kind]
                    sheet.write_number(line, place, Decimal(value).scaleb(-digits), shape)
                else:
                    sheet.write_string(line, place, value)
    book.close()


def _first_and(first: Row | None, rest: Iterable[Row]) -> Iterator[Row]:
    if first is not None:
        yield first
        yield from rest


def _write_parquet(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise FormatUnavailable(format="parquet", extra="parquet") from None
    kinds = {
        Kind.TEXT: pa.string(),
        Kind.WORD: pa.string(),
        Kind.NUMBER: pa.int64(),
        Kind.MONEY: pa.decimal128(24, 4),
        Kind.MOMENT: pa.timestamp("us", tz="UTC"),
        Kind.RATE: pa.decimal128(24, 10),
        Kind.PERCENT: pa.decimal128(12, 2),
    }
    schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
    places = {column.name: index for index, column in enumerate(columns)}
    source = iter(rows)
    with parquet.ParquetWriter(str(path), schema, compression="zstd") as writer:
        while chunk := list(islice(source, PARQUET_CHUNK)):
            arrays = [
                pa.array([_parquet_value(column, row, row[place], places) for row in chunk], type=kinds[column.kind])
                for place, column in enumerate(columns)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _parquet_value(column: Column, row: Row, value: Any, places: dict[str, int]) -> Any:
    if value is None:
        return None
    if column.kind is Kind.MONEY:
        return Decimal(value).scaleb(-_digits(row[places[column.unit or ""]]))
    if column.kind is Kind.RATE:
        return Decimal(value).scaleb(-10)
    return Decimal(value).scaleb(-2) if column.kind is Kind.PERCENT else value
