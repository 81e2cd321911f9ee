"""Tables as files: what a cell may hold, and that no text becomes a formula."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from cardrail.kernel import currency, format_minor, from_micros, rfc3339
from cardrail.settlement import formats
from cardrail.settlement.formats import Column, Format, Kind, defused, stream, write_file

COLUMNS = (
    Column("id", Kind.WORD),
    Column("name", Kind.TEXT),
    Column("count", Kind.NUMBER),
    Column("price", Kind.MONEY, "currency"),
    Column("currency", Kind.WORD),
    Column("at", Kind.MOMENT),
    Column("rate", Kind.RATE),
    Column("tax", Kind.PERCENT),
)
ROW = ("x1", "=1+1", 3, -1250, "INR", 1_767_225_600_000_000, 925_000_000_000, 1800)
EMPTY = ("x2", None, None, None, "JPY", None, None, None)
WORKBOOK = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells(path: Path, sheet: int = 1) -> list[list[tuple[str | None, str | None]]]:
    """(type, value) of each cell of a sheet; an XLSX file is a zip of XML."""
    with zipfile.ZipFile(path) as book:
        root = ET.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))
    assert root.find(f".//{WORKBOOK}f") is None, "a formula"
    return [[(cell.get("t"), "".join(cell.itertext())) for cell in row] for row in root.iter(f"{WORKBOOK}row")]


CODES = st.sampled_from(["INR", "JPY", "KWD"])
MINOR = st.none() | st.integers(-(10**12), 10**12)
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["a,b", 'a"b', "a\nb", "\r", "=1", ""])
ROWS = st.lists(
    st.tuples(st.just("x1"), TEXTS, MINOR, MINOR, CODES, st.none() | st.integers(0, 4 * 10**15), MINOR, MINOR), max_size=6
)


@given(ROWS)
def test_a_csv_file_is_what_the_plain_way_of_writing_each_cell_makes(rows: list[tuple[Any, ...]]) -> None:
    def plain(row: tuple[Any, ...]) -> list[Any]:
        id_, name, count, price, code, at, rate, tax = row
        scaled = [None if one is None else format_minor(one, digits) for one, digits in ((rate, 10), (tax, 2))]
        paid = None if price is None else format_minor(price, currency(code).digits)
        return [id_, name and defused(name), count, paid, code, None if at is None else rfc3339(from_micros(at)), *scaled]

    expected = io.StringIO(newline="")
    csv.writer(expected, lineterminator="\r\n").writerows([[one.name for one in COLUMNS], *map(plain, rows)])
    assert b"".join(stream(Format.CSV, COLUMNS, rows)).decode() == expected.getvalue()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1"])
def test_a_text_that_could_be_a_formula_is_defused(text: str) -> None:
    assert defused(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Tea", "1+1", " =1", "a=b", "'quoted"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


def test_a_product_named_like_a_formula_is_harmless_in_csv_and_an_amount_stays_a_number() -> None:
    data = b"".join(stream(Format.CSV, COLUMNS, [ROW, EMPTY])).decode()
    assert data.splitlines(keepends=True)[0] == "id,name,count,price,currency,at,rate,tax\r\n"
    _, first, second = csv.reader(io.StringIO(data))
    assert first == ["x1", "'=1+1", "3", "-12.50", "INR", "2026-01-01T00:00:00.000000Z", "92.5000000000", "18.00"]
    assert second == ["x2", "", "", "", "JPY", "", "", ""]


@pytest.mark.parametrize("text", ['say "hi"', "a,b", "two\r\nlines", "žluť 茶"])
def test_csv_quotes_as_rfc_4180_says(text: str) -> None:
    data = b"".join(stream(Format.CSV, COLUMNS[:2], [("x", text)])).decode()
    assert list(csv.reader(io.StringIO(data, newline="")))[1] == ["x", text]


def test_json_lines_keep_texts_as_they_are() -> None:
    (line,) = b"".join(stream(Format.JSONL, COLUMNS, [ROW])).splitlines()
    assert json.loads(line) == {
        "id": "x1",
        "name": "=1+1",
        "count": 3,
        "price": "-12.50",
        "currency": "INR",
        "at": "2026-01-01T00:00:00.000000Z",
        "rate": "92.5000000000",
        "tax": "18.00",
    }


def test_a_sheet_has_numbers_dates_and_texts_and_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    assert write_file(path, Format.XLSX, COLUMNS, [ROW, EMPTY], title="Items") == 2
    _, first, second = cells(path)
    assert first == [
        ("inlineStr", "x1"),
        ("inlineStr", "=1+1"),
        (None, "3"),
        (None, "-12.50"),
        ("inlineStr", "INR"),
        (None, "46023"),
        (None, "92.5000000000"),
        (None, "18.00"),
    ]
    assert second == [("inlineStr", "x2"), ("inlineStr", "JPY")]
    assert path.stat().st_mode & 0o777 == 0o600


def test_rows_beyond_one_sheet_go_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "SHEET_ROWS_MAX", 2)
    path = tmp_path / "a.xlsx"
    write_file(path, Format.XLSX, COLUMNS[:1], [("a",), ("b",), ("c",)])
    assert [len(cells(path, sheet)) for sheet in (1, 2)] == [3, 2]


def test_an_empty_table_has_its_header_in_every_format(tmp_path: Path) -> None:
    for kind in Format:
        write_file(tmp_path / f"a.{kind}", kind, COLUMNS, [])
    assert (tmp_path / "a.csv").read_bytes().count(b"\r\n") == 1
    assert len(cells(tmp_path / "a.xlsx")) == 1
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == 0


def test_parquet_keeps_exact_decimals(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_file(path, Format.PARQUET, COLUMNS, [ROW, EMPTY])
    first, second = parquet.read_table(path).to_pylist()
    assert (first["price"], first["rate"], first["at"]) == (
        Decimal("-12.5000"),
        Decimal("92.5"),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert (second["price"], second["name"]) == (None, None)


def test_progress_is_told_while_rows_pass(tmp_path: Path) -> None:
    told: list[int] = []
    write_file(tmp_path / "a.csv", Format.CSV, COLUMNS[:1], (("x",) for _ in range(45_000)), progress=told.append)
    assert told == [20_000, 40_000, 45_000]
