"""A shop whose database is backed up, lost and restored: what these tests build, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from tests.build import NODE, World

from cardrail.orders import Release, all_checks, freeze_restored, journal_since, release_restored
from cardrail.storage import (
    Database,
    JournalEntry,
    JournalReading,
    backup_database,
    finish_restore,
    inspect_backup,
    journal_files,
    make_restorable,
    prepare_restore,
    read_journal,
)
from cardrail.storage.copy import all_tables


def back_up(world: World, file: Path) -> Path:
    """A backup, and ten minutes gone by."""
    backup_database(world.db, world.clock, file)
    world.frozen.advance(minutes=10)
    return file


class Restorer:
    """Restores shops, and lets go of their databases when the test is over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: list[Database] = []

    def __call__(self, world: World, file: Path, url: str) -> World:
        """The shop on another database, restored from a backup: frozen."""
        target, db = Database(url, pool=2), Database(url)
        self._opened += [target, db]
        make_restorable(target)
        folder = self._folder / f"work{len(self._opened)}"
        folder.mkdir()
        work = prepare_restore(file, folder)
        freeze_restored(work, world.clock, world.audit, inspect_backup(file), actor="test")
        finish_restore(work, target)
        work.close()
        restored = World(db, world.keys, world.clock)
        restored.partner = world.partner
        restored.shop = replace(restored.shop, journal=world.shop.journal)
        return restored

    def close(self) -> None:
        for db in self._opened:
            db.close()


def release(world: World, journal: Path, *, dry_run: bool = False) -> Release:
    entries = read_journal(journal_files([journal], journal_since(world.db)), 0, JournalReading())
    return release_with(world, entries, dry_run=dry_run)


def release_with(world: World, entries: Iterable[JournalEntry] | None, *, dry_run: bool = False) -> Release:
    return release_restored(world.db, world.clock, world.audit, entries, node=NODE, actor="test", dry_run=dry_run)


def sell(world: World, orders: int, each: int = 1) -> list[str]:
    """Sell, one order after the other; the plain codes that went out."""
    return [code for _ in range(orders) for code in world.codes(world.order("TEA", each))]


def faults(world: World, db: Database | None = None) -> list[object]:
    """What `cardrail verify` finds."""
    with (db or world.db).read() as tx:
        return [fault for check in all_checks(world.audit) for fault in check.find(tx)]


def lines_of(journal: Path) -> list[JournalEntry]:
    """Every entry of a journal."""
    return list(read_journal(sorted(journal.iterdir()), 0, JournalReading()))


def all_rows(db: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, in the order of its key."""
    with db.read() as tx:
        return {
            table.name: [tuple(row) for row in tx.execute(sa.select(*table.c).order_by(*table.primary_key.columns))]
            for table in all_tables(tx)
        }
