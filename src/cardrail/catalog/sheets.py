"""Catalog sheets: CSV with one product a line, read strictly, every problem reported by line and column.

What a cell means is written here and nowhere else; what is done with it is ``import_catalog``'s. A column that the sheet does not have
leaves the product as it is; a blank cell of a column that it has means "none", or the column's default.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from cardrail.catalog.errors import InvalidPattern
from cardrail.catalog.fields import InputField, check_pattern, decode_fields, encode_fields, field_of
from cardrail.catalog.model import BARCODES, CLASSIFICATIONS, DELIVERY_MODES, KINDS, RESERVED_SKU_PREFIX, SOURCINGS, Translation
from cardrail.kernel import BPS_ONE, Currency, MoneyError, currency, format_minor, parse_bps, parse_minor

SIZE_MAX: Final = 64 * 1024 * 1024
PROBLEMS_MAX: Final = 1_000
"""Problems that are kept; more are only counted."""
FACES_MAX: Final = 200
CELL_MAX: Final = 500
DOCUMENT_MAX: Final = 60_000
"""Characters of a cell that holds JSON."""

REQUIRED: Final = ("product_code", "name", "brand", "currency", "denomination_type")
COLUMNS: Final = (
    "product_code",
    "name",
    "brand",
    "category",
    "kind",
    "country",
    "currency",
    "denomination_type",
    "face_values",
    "min_face_value",
    "max_face_value",
    "step",
    "discount_percent",
    "cost",
    "cost_percent",
    "cost_currency",
    "validity_days",
    "required_fields",
    "sourcing",
    "classification",
    "delivery_mode",
    "image_url",
    "barcode",
    "input_fields",
    "translations",
)

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_URL: Final = re.compile(r"https?://[^\s\"'<>]{3,400}")
_translations = msgspec.json.Decoder(dict[str, Translation]).decode
_encode = msgspec.json.Encoder(order="sorted").encode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be taken. ``line`` is the file's (1 is the header), ``column`` a name of the header or empty."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}{f', {self.column}' if self.column else ''}: {self.message}"


@dataclass(frozen=True, slots=True)
class FaceRow:
    """One denomination of a line. What the sheet has no column for is absent from ``given``."""

    type: str
    face_minor: int | None
    min_minor: int | None = None
    max_minor: int | None = None
    given: dict[str, Any] = field(default_factory=dict)
    """Any of step_minor, cost_minor, cost_bps, cost_currency, discount_bps."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One good line."""

    line: int
    code: str
    brand: str
    category: str | None
    currency: Currency
    given: dict[str, Any]
    """The product's columns that the sheet speaks of."""
    faces: tuple[FaceRow, ...]

    def sku(self, face: FaceRow) -> str:
        """The sku of a new denomination: the product's code, with the face value where there are several."""
        if len(self.faces) == 1 or face.face_minor is None:
            return self.code
        return f"{self.code}-{plain(face.face_minor, self.currency)}"


@dataclass(slots=True)
class Sheet:
    """What was read: the good lines, and what is wrong with the others."""

    rows: list[SheetRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    bad_lines: set[int] = field(default_factory=set)
    is_readable: bool = True
    """False if the file as a whole is not a catalog sheet: then skipping bad lines makes no sense."""

    def add(self, line: int, column: str, message: str) -> None:
        self.problem_count += 1
        self.bad_lines.add(line)
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(line, column, message))


def read_sheet(data: bytes) -> Sheet:
    """Read a sheet. It never raises for what is in the file: that is in ``problems``."""
    sheet = Sheet()
    text = _decode(data, sheet)
    if text is None:
        sheet.is_readable = False
        return sheet
    lines = _lines(text, sheet)
    header = _header(next(lines, None), sheet)
    if header is None:
        sheet.is_readable = False
        return sheet
    codes: dict[str, int] = {}
    skus: dict[str, int] = {}
    for line, cells in lines:
        row = _read_row(line, cells, header, sheet)
        if row is not None and _is_new(row, codes, skus, sheet):
            sheet.rows.append(row)
    return sheet


def plain(minor: int, unit: Currency) -> str:
    """A face value as short as can be: 20, 20.5."""
    text = format_minor(minor, unit.digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(bps: int) -> str:
    """Basis points as a percentage, as short as can be: 425 is 4.25, 900 is 9."""
    return format_minor(bps, 2).rstrip("0").rstrip(".")


# --- the file ---------------------------------------------------------------------------------------------------------


def _decode(data: bytes, sheet: Sheet) -> str | None:
    if len(data) > SIZE_MAX:
        sheet.add(1, "", f"the file is larger than {SIZE_MAX // 2**20} MB")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sheet.add(line, "", "this is not UTF-8 text: save the file as CSV UTF-8")
        return None


def _lines(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Lines with their numbers; a quoted cell may go over several, then the first counts."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            sheet.add(line, "", f"this is not CSV: {error}")
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _header(first: tuple[int, list[str]] | None, sheet: Sheet) -> list[str] | None:
    if first is None:
        sheet.add(1, "", "the file is empty")
        return None
    line, cells = first
    names = [cell.strip().lower() for cell in cells]
    for place, name in enumerate(names, 1):
        if name not in COLUMNS:
            sheet.add(line, name[:40] or f"column {place}", "no such column (columns are separated by commas)")
        elif names.index(name) != place - 1:
            sheet.add(line, name, "the column is there twice")
    for name in REQUIRED:
        if name not in names:
            sheet.add(line, name, "the column is missing")
    if not {"face_values", "min_face_value"} & set(names):
        sheet.add(line, "face_values", "the column is missing")
    return None if sheet.problems else names


def _is_new(row: SheetRow, codes: dict[str, int], skus: dict[str, int], sheet: Sheet) -> bool:
    """Whether no line before has this product or one of its skus."""
    if row.code in codes:
        sheet.add(row.line, "product_code", f"{row.code} is on line {codes[row.code]} already")
        return False
    codes[row.code] = row.line
    fine = True
    for face in row.faces:
        sku = row.sku(face)
        if sku in skus:
            sheet.add(row.line, "face_values", f"the sku {sku} is on line {skus[sku]} already")
            fine = False
        skus.setdefault(sku, row.line)
    return fine


# --- a line -----------------------------------------------------------------------------------------------------------


class _BadCellError(Exception):
    """A cell cannot be read; the message says why."""


class _Cells:
    """One line's cells by column, and where its problems go."""

    def __init__(self, line: int, cells: Sequence[str], header: Sequence[str], sheet: Sheet) -> None:
        self.line = line
        self._cells = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        self._sheet = sheet
        self.is_good = True

    def has(self, column: str) -> bool:
        return column in self._cells

    def text(self, column: str) -> str:
        return self._cells.get(column, "")

    def bad(self, column: str, message: str) -> None:
        self.is_good = False
        self._sheet.add(self.line, column, message)

    def read(self, column: str, parse: Callable[[str], T]) -> T | None:
        """The cell's value; None if it is blank or bad (then the problem is noted)."""
        text = self.text(column)
        if not text:
            return None
        try:
            return parse(text)
        except _BadCellError as error:
            self.bad(column, str(error))
            return None

    def need(self, column: str, parse: Callable[[str], T]) -> T | None:
        if not self.text(column):
            self.bad(column, "this must not be blank")
        return self.read(column, parse)


def _read_row(line: int, values: list[str], header: list[str], sheet: Sheet) -> SheetRow | None:
    if len(values) != len(header):
        sheet.add(line, "", f"{len(values)} cells where the header has {len(header)}")
        return None
    cells = _Cells(line, values, header, sheet)
    code = cells.need("product_code", _code)
    name = cells.need("name", _words)
    brand = cells.need("brand", _words)
    unit = cells.need("currency", _currency)
    countries = cells.read("country", _countries) or ()
    kind = cells.read("kind", _one_of(KINDS)) or "code"
    given: dict[str, Any] = {"name": name, "kind": kind}
    if cells.has("country"):
        given["countries"] = " ".join(countries)
    _read_options(cells, given, countries, kind)
    category = cells.read("category", _words)
    faces = _read_faces(cells, unit) if unit else ()
    if not cells.is_good or code is None or brand is None or unit is None:
        return None
    given["currency"] = unit.code
    if cells.has("category"):
        given["category"] = category
    return SheetRow(line, code, brand, category, unit, given, tuple(faces))


def _read_options(cells: _Cells, given: dict[str, Any], countries: Sequence[str], kind: str) -> None:
    """The product's optional columns: only those that the sheet has."""
    if cells.has("sourcing"):
        given["sourcing"] = cells.read("sourcing", _one_of(SOURCINGS)) or default_sourcing(kind)
    if cells.has("classification"):
        given["classification"] = cells.read("classification", _one_of(CLASSIFICATIONS)) or "CLOSED_LOOP"
    if cells.has("delivery_mode"):
        given["delivery_mode"] = cells.read("delivery_mode", _one_of(DELIVERY_MODES)) or "ONLINE"
    if cells.has("image_url"):
        given["image_url"] = cells.read("image_url", _url)
    if cells.has("barcode"):
        given["barcode"] = cells.read("barcode", _one_of(BARCODES))
    if cells.has("validity_days"):
        given["validity_days"] = cells.read("validity_days", _days)
    if cells.has("translations"):
        given["translations"] = cells.read("translations", _translation_text)
    if cells.has("required_fields") or cells.has("input_fields"):
        fields = cells.read("input_fields", _fields)
        names = cells.read("required_fields", _field_names) or ()
        given["input_fields"] = encode_fields(fields or [field_of(name, countries) for name in names])


def default_sourcing(kind: str) -> str:
    """Top-ups cannot be kept in a vault; what is code or link usually is."""
    return "on_demand" if kind == "topup" else "stock"


def _read_faces(cells: _Cells, unit: Currency) -> Sequence[FaceRow]:
    kind = cells.need("denomination_type", _one_of(("fixed", "range")))
    cost_unit = cells.read("cost_currency", _currency) or unit
    if kind == "range":
        return _read_range(cells, unit)
    if kind == "fixed":
        return _read_fixed(cells, unit, cost_unit)
    return ()


def _read_fixed(cells: _Cells, unit: Currency, cost_unit: Currency) -> Sequence[FaceRow]:
    for column in ("min_face_value", "max_face_value", "step", "cost_percent"):
        if cells.text(column):
            cells.bad(column, "only a range has this")
    faces = cells.need("face_values", lambda text: _several(text, lambda one: _positive(one, unit)))
    if faces is None:
        return ()
    if len(set(faces)) != len(faces) or None in faces:
        cells.bad("face_values", "a face value is there twice, or one is blank")
        return ()
    discounts = _per_face(cells, "discount_percent", len(faces), _discount, same_for_all=True)
    costs = _per_face(cells, "cost", len(faces), lambda one: _positive(one, cost_unit), same_for_all=len(faces) == 1)
    rows = []
    for place, face in enumerate(faces):
        given: dict[str, Any] = {}
        if discounts is not None:
            given["discount_bps"] = discounts[place]
        if costs is not None:
            given["cost_minor"] = costs[place]
            given["cost_currency"] = cost_unit.code if costs[place] is not None else None
        rows.append(FaceRow("fixed", face, given=given))
    return rows


def _read_range(cells: _Cells, unit: Currency) -> Sequence[FaceRow]:
    for column in ("face_values", "cost"):
        if cells.text(column):
            cells.bad(column, "only a fixed denomination has this; the cost of a range goes into cost_percent")
    low = cells.need("min_face_value", lambda text: _positive(text, unit))
    high = cells.need("max_face_value", lambda text: _positive(text, unit))
    step = cells.read("step", lambda text: _positive(text, unit))
    given: dict[str, Any] = {}
    if cells.has("step"):
        given["step_minor"] = step or 10**unit.digits
    if cells.has("discount_percent"):
        given["discount_bps"] = cells.read("discount_percent", _discount)
    if cells.has("cost_percent"):
        given["cost_bps"] = cells.read("cost_percent", _cost_percent)
    if low is None or high is None:
        return ()
    if low > high:
        cells.bad("max_face_value", "this is below the minimum")
        return ()
    return [FaceRow("range", None, low, high, given)]


def _per_face(cells: _Cells, column: str, count: int, parse: Callable[[str], T], *, same_for_all: bool) -> list[T | None] | None:
    """A value for each face value: one for all, or as many separated by ``|``. None if the sheet has no such column."""
    if not cells.has(column):
        return None
    values = cells.read(column, lambda text: _several(text, parse))
    if values is None:
        return [None] * count
    if len(values) == 1 and same_for_all:
        return values * count
    if len(values) != count:
        cells.bad(column, f"{count} face values need {count} values, separated by |")
        return [None] * count
    return values


# --- a cell -----------------------------------------------------------------------------------------------------------


def _words(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if len(text) > CELL_MAX:
        raise _BadCellError(f"longer than {CELL_MAX} characters")
    if not text.isprintable():
        raise _BadCellError("a character that cannot be printed")
    return text


def _code(text: str) -> str:
    if _CODE.fullmatch(text) is None:
        raise _BadCellError("1 to 80 letters, digits and . _ : - are allowed")
    if text.upper().startswith(RESERVED_SKU_PREFIX):
        raise _BadCellError(f"codes that start with {RESERVED_SKU_PREFIX} are kept for test mode")
    return text


def _currency(text: str) -> Currency:
    try:
        return currency(text)
    except MoneyError:
        raise _BadCellError(f"{text[:20]!r} is not an ISO 4217 currency code") from None


def _countries(text: str) -> tuple[str, ...]:
    codes = tuple(dict.fromkeys(text.replace("|", " ").split()))
    for code in codes:
        if _COUNTRY.fullmatch(code) is None:
            raise _BadCellError(f"{code[:20]!r} is not a two-letter country code")
    return codes


def _one_of(values: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise _BadCellError(f"{text[:20]!r} is none of {', '.join(values)}")
        return text

    return parse


def _number(text: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(text)
    except MoneyError:
        hint = " (no separators, a point for decimals)" if "," in text else ""
        raise _BadCellError(f"{text[:20]!r} is not a number that fits{hint}") from None


def _positive(text: str, unit: Currency) -> int:
    minor = _number(text, lambda one: parse_minor(one, unit.digits))
    if minor <= 0:
        raise _BadCellError("this must be more than 0")
    return minor


def _discount(text: str) -> int:
    bps = _number(text.removesuffix("%").strip(), parse_bps)
    if not 0 <= bps < BPS_ONE:
        raise _BadCellError("a discount is from 0 to below 100 percent")
    return bps


def _cost_percent(text: str) -> int:
    bps = _number(text.removesuffix("%").strip(), parse_bps)
    if not 0 < bps <= 10 * BPS_ONE:
        raise _BadCellError("a cost is above 0 and at most 1000 percent")
    return bps


def _several(text: str, parse: Callable[[str], T]) -> list[T | None]:
    parts = [part.strip() for part in text.split("|")]
    if len(parts) > FACES_MAX:
        raise _BadCellError(f"more than {FACES_MAX} values")
    return [parse(part) if part else None for part in parts]


def _days(text: str) -> int:
    days = _number(text, lambda one: parse_minor(one, 0))
    if not 0 < days <= 36_500:
        raise _BadCellError("1 to 36500 days")
    return days


def _url(text: str) -> str:
    if _URL.fullmatch(text) is None:
        raise _BadCellError("this is not an http or https address")
    return text


def _field_names(text: str) -> tuple[str, ...]:
    names = tuple([part.strip() for part in text.split("|")])
    for name in names:
        if _FIELD.fullmatch(name) is None:
            raise _BadCellError(f"{name[:40]!r} is not a field's name (lower case, digits, _; several separated by |)")
    return tuple(dict.fromkeys(names))


def _fields(text: str) -> tuple[InputField, ...]:
    if len(text) > DOCUMENT_MAX:
        raise _BadCellError("too long")
    try:
        fields = decode_fields(text)
        for one in fields:
            if _FIELD.fullmatch(one.name) is None:
                raise _BadCellError(f"{one.name[:40]!r} is not a field's name")
            check_pattern(one.pattern)
    except msgspec.MsgspecError as error:
        raise _BadCellError(f"this is not JSON of fields: {error}") from None
    except InvalidPattern as error:
        raise _BadCellError(str(error)) from None
    return fields


def _translation_text(text: str) -> str:
    if len(text) > DOCUMENT_MAX:
        raise _BadCellError("too long")
    try:
        return _encode(_translations(text)).decode()
    except msgspec.MsgspecError as error:
        raise _BadCellError(f"this is not JSON of translations: {error}") from None
