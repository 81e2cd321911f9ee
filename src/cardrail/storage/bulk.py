"""Many rows at a time, without a compiler in between: SQL compiled once, tuples given to the driver.

This is the one shortcut past SQLAlchemy's execution layer (it costs more than the database does for a row); the statements themselves
are still Core expressions, built once at module level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from cardrail.storage.database import Tx

_SQLITE = sqlite.dialect(paramstyle="qmark")
_POSTGRES = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here


class Bulk:
    """One write statement for many rows; ``columns`` names its bind parameters in the order of the tuples."""

    def __init__(self, statement: UpdateBase, columns: Sequence[str]) -> None:
        self._texts = {}
        for name, dialect in (("sqlite", _SQLITE), ("postgresql", _POSTGRES)):
            compiled = statement.compile(dialect=dialect)
            assert isinstance(compiled, SQLCompiler)
            order = list(compiled.positiontup or ())
            if sorted(order) != sorted(columns):
                raise ValueError(f"parameters {order} are not {list(columns)}")
            picks = None if order == list(columns) else [list(columns).index(column) for column in order]
            self._texts[name] = (str(compiled), picks)

    def __call__(self, tx: Tx, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute for each tuple; returns how many rows were written."""
        if not rows:
            return 0
        sql, picks = self._texts[tx.dialect.name]
        if picks is not None:
            rows = [tuple([row[i] for i in picks]) for row in rows]
        return driver_executemany(tx, sql, rows)


COPY_MIN: Final = 8
"""Rows from which PostgreSQL's COPY, at two round trips, is cheaper than an INSERT bound once a row."""


class BulkInsert(Bulk):
    """An INSERT of the named columns; many rows go to PostgreSQL as one COPY."""

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        super().__init__(sa.insert(table).values({name: sa.bindparam(name) for name in columns}), columns)
        self._copy = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"

    def __call__(self, tx: Tx, rows: Sequence[tuple[Any, ...]]) -> int:
        """Write the rows; returns how many."""
        if len(rows) < COPY_MIN or tx.dialect.name == "sqlite":
            return super().__call__(tx, rows)
        driver: Any = tx.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(self._copy) as copy:
                for row in rows:
                    copy.write_row(row)
        except driver_errors(tx) as error:
            raise sa.exc.DBAPIError.instance(self._copy, None, error, tx.dialect.loaded_dbapi.Error) from error
        return len(rows)


def bulk_insert(table: sa.Table, *columns: str) -> BulkInsert:
    """An INSERT of the named columns."""
    return BulkInsert(table, columns)


def driver_executemany(tx: Tx, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Give the rows to the driver itself, with its errors wrapped as SQLAlchemy's own would be."""
    driver: Any = tx.connection.driver_connection
    cursor = driver.cursor()
    try:
        cursor.executemany(sql, rows)
        return int(cursor.rowcount)
    except driver_errors(tx) as error:
        raise sa.exc.DBAPIError.instance(sql, None, error, tx.dialect.loaded_dbapi.Error) from error
    finally:
        cursor.close()


def driver_select(tx: Tx, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Rows of a SELECT, as the driver gives them."""
    driver: Any = tx.connection.driver_connection
    cursor = driver.cursor()
    try:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
    except driver_errors(tx) as error:
        raise sa.exc.DBAPIError.instance(sql, None, error, tx.dialect.loaded_dbapi.Error) from error
    finally:
        cursor.close()


def driver_errors(tx: Tx) -> type[Exception]:
    """The root of the driver's exceptions."""
    root: type[Exception] = tx.dialect.loaded_dbapi.Error
    return root
