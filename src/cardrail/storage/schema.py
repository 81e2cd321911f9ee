"""The one collection of tables, and the few column kinds they are made of.

Instants are BIGINT microseconds (kernel.clock), money is BIGINT minor units, ids are text, documents are JSON text. Tables whose key is
time-ordered are WITHOUT ROWID on SQLite: one tree instead of two, and every insert appends.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

CLUSTERED: Final[dict[str, Any]] = {"sqlite_with_rowid": False}
"""Table option: the primary key is the table."""


def key(name: str = "id") -> sa.Column[str]:
    """A text primary key."""
    return sa.Column(name, sa.Text, primary_key=True)


def text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, server_default=default)


def number(name: str, *, null: bool = False, default: int | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if default is None else str(default))


def instant(name: str, *, null: bool = False) -> sa.Column[int]:
    """Microseconds since the epoch, UTC."""
    return sa.Column(name, sa.BigInteger, nullable=null)


def minor(name: str, *, null: bool = False, default: int | None = None) -> sa.Column[int]:
    """Money in minor units; its currency is another column of the row."""
    return number(name, null=null, default=default)


def blob(name: str, *, null: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=null)


def flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text("false"))


def unsequenced_index(table: str) -> sa.Index:
    """What the sequencer looks for: rows of the table that have no position yet. An entry lives for a tenth of a second."""
    condition = sa.text("position IS NULL")
    return sa.Index(f"ix_{table}_unsequenced", "id", sqlite_where=condition, postgresql_where=condition)


versions = sa.Table(
    "versions",
    metadata,
    key("name"),
    number("value"),
)
"""A number per cached thing (catalog, access) that each change of it moves on, so that every process knows when to reload."""

sequences = sa.Table(
    "sequences",
    metadata,
    key("name"),
    number("position"),
)
"""The last position that was given in a table whose rows are followed; whoever gives the next ones locks its row (storage.sequence)."""

position_marks = sa.Table(
    "position_marks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    number("position"),
    **CLUSTERED,
)
"""Every few minutes, how far a table was sequenced: where somebody who asks for what came since a moment has to begin."""
