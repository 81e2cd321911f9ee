"""Copying a whole database into another one, SQLite or PostgreSQL, in either direction: the way to a larger one, and into a backup file.

What is read is one consistent look: orders may go on meanwhile, and what they write after its beginning is not in the copy. What is
written is one transaction: a copy that fails leaves its target as empty as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, Final

import sqlalchemy as sa

from cardrail.storage.bulk import driver_errors, driver_executemany
from cardrail.storage.database import Database, Tx
from cardrail.storage.errors import DatabaseNotEmpty, SchemaMismatch
from cardrail.storage.migrations import newest_revision, revision_of
from cardrail.storage.schema import metadata

BATCH_ROWS: Final = 5_000

Progress = Callable[[str, int, int], None]
"""Called with a table's name, its rows copied so far, and its rows in all."""

MADE_BY_INIT: Final = frozenset({"audit", "audit_heads", "audit_anchors", "master_keys", "service_keys", "versions"})
"""Tables that `cardrail init` writes to: a database with rows in these only holds nothing that anybody would miss."""


def copy_database(source: Database, target: Database, progress: Progress | None = None) -> dict[str, int]:
    """Copy every row of every table; returns the rows by table. Both must be at this release's schema.

    Raises SchemaMismatch, and DatabaseNotEmpty if the target has a row anywhere: then nothing was written.
    """
    copied = {}
    with source.read() as reader, target.transaction() as writer:
        if not revision_of(reader) == revision_of(writer) == newest_revision():
            raise SchemaMismatch(source=revision_of(reader), target=revision_of(writer), needed=newest_revision())
        filled = tables_with_rows(writer)
        if filled:
            raise DatabaseNotEmpty(tables=", ".join(sorted(filled)))
        for table in all_tables(reader):
            copied[table.name] = _copy_table(reader, writer, table, progress or _silent)
    return copied


def all_tables(tx: Tx) -> list[sa.Table]:
    """Every package's tables that this database has, those that others refer to first."""
    import_module("cardrail.storage.migrations.tables")  # gathers the packages' tables on the one metadata
    present = set(sa.inspect(tx).get_table_names())
    return [table for table in metadata.sorted_tables if table.name in present]


def tables_with_rows(tx: Tx) -> set[str]:
    """The names of the tables that have a row."""
    return {table.name for table in all_tables(tx) if tx.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()}


def require_expendable(tx: Tx) -> set[str]:
    """The tables with a row, which must be what `cardrail init` wrote at most. Raises DatabaseNotEmpty."""
    filled = tables_with_rows(tx)
    if filled - MADE_BY_INIT:
        raise DatabaseNotEmpty(tables=", ".join(sorted(filled - MADE_BY_INIT)))
    return filled


def clear_initialised(tx: Tx) -> None:
    """Take out what `cardrail init` wrote, so that a copy can come in. Raises DatabaseNotEmpty if there is anything else."""
    filled = require_expendable(tx)
    for table in reversed(all_tables(tx)):
        if table.name in filled:
            tx.execute(sa.delete(table))


def _copy_table(reader: Tx, writer: Tx, table: sa.Table, progress: Progress) -> int:
    total = int(reader.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    done = 0
    progress(table.name, 0, total)
    for rows in _batches(reader, table):
        _write(writer, table, rows)
        done += len(rows)
        progress(table.name, done, total)
    return done


def _batches(reader: Tx, table: sa.Table) -> Iterator[Sequence[tuple[Any, ...]]]:
    """In the order of the primary key: the target's tables then fill from the front."""
    statement = sa.select(*table.c).order_by(*table.primary_key.columns)
    streamed = reader.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS).execute(statement)
    with streamed as result:
        for part in result.partitions(BATCH_ROWS):
            yield [tuple(row) for row in part]


def _write(writer: Tx, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    names = [column.name for column in table.c]
    listed = ", ".join(f'"{name}"' for name in names)
    if writer.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        driver_executemany(writer, f'INSERT INTO "{table.name}" ({listed}) VALUES ({marks})', rows)  # noqa: S608  # our own names
        return
    sql = f'COPY "{table.name}" ({listed}) FROM STDIN'
    driver: Any = writer.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
    except driver_errors(writer) as error:
        raise sa.exc.DBAPIError.instance(sql, None, error, writer.dialect.loaded_dbapi.Error) from error


def _silent(_table: str, _done: int, _total: int) -> None:
    """Nobody watches."""
