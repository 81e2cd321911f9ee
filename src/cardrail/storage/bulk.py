"""Many rows at a time, without a compiler in between: SQL compiled once, tuples given to the driver.

This is the one shortcut past SQLAlchemy's execution layer (it costs more than the database does for a row); the statements themselves
are still Core expressions, built once at module level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from cardrail.storage.database import Tx

_SQLITE = sqlite.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here
_POSTGRES = postgresql.dialect(paramstyle="format")


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


def bulk_insert(table: sa.Table, *columns: str) -> Bulk:
    """An INSERT of the named columns."""
    return Bulk(sa.insert(table).values({name: sa.bindparam(name) for name in columns}), columns)


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
