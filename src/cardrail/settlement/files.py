"""A statement as a file: its canonical form (JSON Lines), or a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cardrail.kernel import rfc3339
from cardrail.settlement.formats import Column, Format, Kind, Progress, Row, write_file
from cardrail.settlement.model import Statement, StatementLine
from cardrail.settlement.reconciliation import ReconciliationOrder
from cardrail.settlement.statements import all_lines, canonical_bytes
from cardrail.storage import Tx

STATEMENT_COLUMNS: Final = (
    Column("n", Kind.NUMBER),
    Column("at", Kind.WORD),
    Column("kind", Kind.WORD),
    Column("change", Kind.MONEY, "currency"),
    Column("balance", Kind.MONEY, "currency"),
    Column("currency", Kind.WORD),
    Column("order_id", Kind.WORD),
    Column("reference", Kind.TEXT),
    Column("sku", Kind.TEXT),
    Column("name", Kind.TEXT),
    Column("quantity", Kind.NUMBER),
    Column("unit_price", Kind.MONEY, "currency"),
    Column("unit_fee", Kind.MONEY, "currency"),
    Column("tax_percent", Kind.PERCENT),
    Column("fx_rate", Kind.RATE),
    Column("transfer_id", Kind.WORD),
    Column("reverses", Kind.WORD),
)
"""The statement as a table: a row for the opening balance, one for each movement, one for the closing balance."""

_EMPTY: Final = (None,) * 11


def statement_rows(one: Statement, lines: Iterable[StatementLine]) -> Iterator[Row]:
    """The rows of STATEMENT_COLUMNS. Where an order has several lines, their names stand together and quantity and price are empty:
    the canonical form and the export of items have each of them."""
    yield opening_row(one)
    for line in lines:
        yield line_row(line, one.currency)
    yield closing_row(one)


def opening_row(one: Statement) -> Row:
    """The first row."""
    return (0, rfc3339(one.period_from), "opening", None, one.opening_minor, one.currency, *_EMPTY)


def closing_row(one: Statement) -> Row:
    """The last row."""
    return (one.movements + 1, rfc3339(one.period_to), "closing", None, one.closing_minor, one.currency, *_EMPTY)


def line_row(line: StatementLine, currency: str) -> Row:
    """The row of one movement."""
    head = (line.n, line.at, line.kind, line.change_minor, line.balance_minor, currency, line.order_id, line.reference)
    tail = (line.transfer_id, line.reverses)
    items = line.items
    if len(items) == 1:
        one = items[0]
        return (
            *head,
            one.sku,
            one.name,
            one.units,
            one.unit_price_minor,
            one.unit_fee_minor,
            one.tax_bps,
            one.fx_rate_e10,
            *tail,
        )
    if not items:
        return (*head, None, None, None, None, None, None, None, *tail)
    skus, names = (" + ".join(texts) for texts in ([one.sku for one in items], [one.name for one in items]))
    return (*head, skus, names, None, None, None, None, None, *tail)


def write_statement(tx: Tx, one: Statement, kind: Format, path: Path, progress: Progress | None = None) -> int:
    """The statement as a file of any format; how many rows."""
    if kind is Format.JSONL:
        path.touch(mode=0o600)
        with path.open("wb") as file:
            for piece in canonical_bytes(tx, one):
                file.write(piece)
        return one.movements
    rows = statement_rows(one, all_lines(tx, one))
    return write_file(path, kind, STATEMENT_COLUMNS, rows, title=f"Statement {one.number or 'draft'}", progress=progress)


RECONCILIATION_COLUMNS: Final = (
    Column("order_id", Kind.WORD),
    Column("reference", Kind.TEXT),
    Column("sku", Kind.TEXT),
    Column("name", Kind.TEXT),
    Column("quantity", Kind.NUMBER),
    Column("total", Kind.MONEY, "currency"),
    Column("charged", Kind.MONEY, "currency"),
    Column("refunded", Kind.MONEY, "currency"),
    Column("currency", Kind.WORD),
    Column("state", Kind.WORD),
    Column("settlement", Kind.WORD),
    Column("created_at", Kind.MOMENT),
    Column("completed_at", Kind.MOMENT),
)
"""A row for each order; the skus of several lines stand together, and their quantities are added up."""


def reconciliation_row(one: ReconciliationOrder) -> Row:
    """The row of one order."""
    return (
        one.order_id,
        one.reference,
        " + ".join([item.sku for item in one.items]),
        " + ".join([item.name for item in one.items]),
        sum([item.quantity for item in one.items]),
        one.total_minor,
        one.charged_minor,
        one.refunded_minor,
        one.currency,
        one.state,
        one.settlement,
        one.created_at,
        one.completed_at,
    )


def file_name(one: Statement, kind: Format) -> str:
    """What the file is called where it is saved."""
    return f"statement-{one.currency}-{one.period_from:%Y%m%d}-{one.id}.{kind.value}"
