"""Backup files: one SQLite file whatever the database is, made while the server runs, and the way back from it.

A backup holds codes only as they are stored: sealed. The master keys that open them are not in it.

A restored database does not know what was sold after the backup was taken. So the copy is frozen before it can be used: a row in
``restores`` says since when it is behind, and stays open until somebody releases it (orders.release).
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from cardrail.kernel import Clock, from_micros, to_micros
from cardrail.storage.copy import Progress, clear_initialised, copy_database, require_expendable
from cardrail.storage.database import Database, Tx
from cardrail.storage.engines import sqlite_module
from cardrail.storage.errors import (
    BackupDamaged,
    BackupExists,
    BackupMissing,
    BackupTooNew,
    BackupUnreadable,
    BackupUnwritable,
    NotADatabase,
)
from cardrail.storage.migrations import current_revision, known_revisions, migrate
from cardrail.storage.restore_tables import restores

PAGES: Final = 4_096
"""Pages copied between two looks at the progress: 16 MiB."""

_INFO: Final = "CREATE TABLE backup_info (taken_at INTEGER NOT NULL, backend TEXT NOT NULL, revision TEXT NOT NULL)"


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """What a backup file says of itself."""

    taken_at: datetime
    """Everything that was committed before this moment is in it."""
    backend: str
    """What it was taken from: sqlite or postgresql."""
    revision: str
    bytes: int


# --- making one -------------------------------------------------------------------------------------------------------


def backup_database(db: Database, clock: Clock, path: Path, progress: Progress | None = None) -> BackupInfo:
    """Write a backup of the database to a new file, mode 0600, checked before it gets its name. Nobody has to stop writing.

    Raises BackupExists, BackupUnwritable, BackupDamaged (the database itself does not pass the check), NotADatabase, SchemaMismatch.
    """
    if path.exists():
        raise BackupExists(path=str(path))
    revision = current_revision(db)
    if revision is None:
        raise NotADatabase
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=path.parent) as folder:
            taken_at = clock.now()
            part = _write_part(db, Path(folder), progress, to_micros(taken_at), revision)
            os.link(part, path)  # unlike a rename, it refuses a name that has been taken meanwhile
        _sync(path.parent)
    except FileExistsError as error:
        raise BackupExists(path=str(path)) from error
    except OSError as error:
        raise BackupUnwritable(path=str(path), problem=error.strerror) from error
    return BackupInfo(taken_at, db.backend, revision, path.stat().st_size)


def _write_part(db: Database, folder: Path, progress: Progress | None, taken_at: int, revision: str) -> Path:
    """The backup under a passing name, checked and flushed."""
    part = folder / "part.db"
    part.touch(mode=0o600)
    try:
        if db.is_sqlite:
            _copy_file(Path(str(db.url.database)), part, progress)
        else:
            _copy_into_file(db, part, progress)
        _write_info(part, taken_at, db.backend, revision)
    except sqlite_module().OperationalError as error:  # a full disk, mostly
        raise OSError(errno.EIO, str(error)) from error
    _check_integrity(part)
    _sync(part)
    return part


def _copy_file(source: Path, target: Path, progress: Progress | None) -> None:
    """One consistent look at a file that others write to: the snapshot is held by this connection's own transaction."""
    with _connected(f"file:{_quoted(source)}?mode=ro") as reader, _connected(f"file:{_quoted(target)}") as writer:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reader.backup(writer, pages=PAGES, progress=_page_progress(progress), sleep=0)
        reader.rollback()
        writer.execute("PRAGMA journal_mode=DELETE")  # a backup is one file: no log beside it


def _page_progress(progress: Progress | None) -> Callable[[int, int, int], None] | None:
    if progress is None:
        return None
    return lambda _status, left, total: progress("pages", total - left, total)


def _copy_into_file(db: Database, target: Path, progress: Progress | None) -> None:
    copy = Database(f"sqlite:///{target}", pool=2)
    try:
        migrate(copy)
        copy_database(db, copy, progress)
        make_single_file(copy)
    finally:
        copy.close()


def make_single_file(db: Database) -> None:
    """Bring the write-ahead log of an SQLite database home, so that the file alone is the whole of it."""
    db.close()
    with _connected(f"file:{_quoted(Path(str(db.url.database)))}") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")


def _write_info(path: Path, taken_at: int, backend: str, revision: str) -> None:
    with _connected(f"file:{_quoted(path)}") as connection:
        connection.execute("DROP TABLE IF EXISTS backup_info")
        connection.execute(_INFO)
        connection.execute("INSERT INTO backup_info VALUES (?, ?, ?)", (taken_at, backend, revision))


# --- looking at one ---------------------------------------------------------------------------------------------------


def inspect_backup(path: Path) -> BackupInfo:
    """Check a backup file and read what it says of itself; the file is not touched.

    Raises BackupMissing, BackupUnreadable, BackupDamaged, BackupTooNew.
    """
    if not path.is_file():
        raise BackupMissing(path=str(path))
    _check_integrity(path)
    with _connected(f"file:{_quoted(path)}?mode=ro&immutable=1") as connection:
        try:
            row = connection.execute("SELECT taken_at, backend, revision FROM backup_info").fetchone()
        except sqlite_module().Error as error:
            raise BackupUnreadable(path=str(path)) from error
    if row is None:
        raise BackupUnreadable(path=str(path))
    if row[2] not in known_revisions():
        raise BackupTooNew(revision=row[2])
    return BackupInfo(from_micros(row[0]), row[1], row[2], path.stat().st_size)


def _check_integrity(path: Path) -> None:
    errors = sqlite_module()
    with _connected(f"file:{_quoted(path)}?mode=ro&immutable=1") as connection:
        try:
            answer = connection.execute("PRAGMA integrity_check(10)").fetchone()
        except errors.DatabaseError as error:
            is_other = getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB"
            raise (BackupUnreadable if is_other else BackupDamaged)(path=str(path)) from error
    if answer is None or answer[0] != "ok":
        raise BackupDamaged(path=str(path), problem=answer[0] if answer else "no answer")


# --- the way back -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restore:
    """One restore of this database."""

    restored_at: datetime
    taken_at: datetime
    """When the backup was taken: later sales are unknown here."""
    released_at: datetime | None


def prepare_restore(backup: Path, folder: Path) -> Database:
    """A working copy of a backup in ``folder``, brought to this release's schema: to be frozen, then given to ``finish_restore``."""
    work = folder / "restoring.db"
    work.touch(mode=0o600)
    shutil.copyfile(backup, work)
    db = Database(f"sqlite:///{work}", pool=2)
    with db.transaction() as tx:
        tx.execute(sa.text("DROP TABLE backup_info"))
    migrate(db)
    return db


def mark_restored(tx: Tx, taken_at: datetime, restored_at: datetime) -> None:
    """Say in the working copy that it is behind; whoever freezes the stock does so in the same transaction."""
    tx.execute(sa.insert(restores).values(restored_at=to_micros(restored_at), taken_at=to_micros(taken_at), released_at=None))


def finish_restore(work: Database, target: Database, progress: Progress | None = None) -> None:
    """Put the frozen working copy where the installation looks for its database.

    Raises DatabaseNotEmpty if there is more than what `cardrail init` writes: then nothing was changed.
    """
    make_restorable(target)
    if not target.is_sqlite:
        with target.transaction() as tx:
            clear_initialised(tx)
        copy_database(work, target, progress)
        return
    make_single_file(work)
    place = Path(str(target.url.database))
    target.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{place}{suffix}").unlink(missing_ok=True)
    made = Path(str(work.url.database))
    _sync(made)
    made.replace(place)
    _sync(place.parent)


def make_restorable(target: Database) -> None:
    """Bring an empty target to this release's schema, and take nothing out. Raises DatabaseNotEmpty if anything would be lost."""
    place = Path(str(target.url.database))
    if target.is_sqlite and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.touch(mode=0o600)
    migrate(target)
    with target.read() as tx:
        require_expendable(tx)


def open_restores(tx: Tx) -> list[Restore]:
    """The restores that nobody has released: while there is one, no live code is sold."""
    return _restores(tx, restores.c.released_at.is_(None))


def all_restores(tx: Tx) -> list[Restore]:
    """Every restore that this database went through, oldest first."""
    return _restores(tx, sa.true())


def close_restores(tx: Tx, now: datetime) -> None:
    """Note that the open restores were released."""
    tx.execute(sa.update(restores).where(restores.c.released_at.is_(None)).values(released_at=to_micros(now)))


def _restores(tx: Tx, condition: sa.ColumnElement[bool]) -> list[Restore]:
    rows = tx.execute(sa.select(*restores.c).where(condition).order_by(restores.c.restored_at))
    return [
        Restore(
            from_micros(row.restored_at),
            from_micros(row.taken_at),
            from_micros(row.released_at) if row.released_at is not None else None,
        )
        for row in rows
    ]


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def _connected(uri: str) -> Iterator[Any]:
    """A connection outside the pool, in autocommit."""
    connection: sqlite3.Connection = sqlite_module().connect(uri, uri=True, isolation_level=None, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
