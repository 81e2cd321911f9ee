"""What kind of trouble a database error is, and so what may be done about it."""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy import exc


class Fault(Enum):
    """The three things a failed statement can mean."""

    AGAIN = auto()
    """Somebody was in the way (serialization, deadlock, lock time-out): the same transaction may be run again."""
    AWAY = auto()
    """The database cannot answer: full disk, lost connection, shutting down. Nothing is wrong with the request."""
    REQUEST = auto()
    """The statement itself was refused: a constraint, a value out of range, or a fault of ours."""


_AGAIN_STATES = {"40001", "40P01", "55P03"}
_AWAY_CLASSES = {"08", "53", "57", "58"}
_AWAY_SQLITE = {
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_NOTADB",
    "SQLITE_CORRUPT",
    "SQLITE_NOMEM",
}


def fault_of(error: BaseException) -> Fault:
    """Sort an exception raised inside a transaction; anything that is no database error is the request's."""
    if isinstance(error, (exc.TimeoutError, exc.DisconnectionError)):
        return Fault.AWAY
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    if state:
        return Fault.AGAIN if state in _AGAIN_STATES else Fault.AWAY if state[:2] in _AWAY_CLASSES else Fault.REQUEST
    name = getattr(original, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Fault.AGAIN
    if any(name.startswith(away) for away in _AWAY_SQLITE):
        return Fault.AWAY
    if type(original).__module__.startswith("psycopg") and type(original).__name__ in {"OperationalError", "InterfaceError"}:
        return Fault.AWAY
    return Fault.REQUEST


def is_unique_violation(error: BaseException) -> bool:
    """Whether a unique or primary key refused a row: somebody else wrote the same thing first."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if getattr(original, "sqlstate", None) == "23505":
        return True
    name = getattr(original, "sqlite_errorname", "") or ""
    if name == "SQLITE_CONSTRAINT":  # pysqlite3 gives only the primary code; the words are SQLite's own, and fixed
        return str(original).startswith("UNIQUE constraint failed")
    return name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
