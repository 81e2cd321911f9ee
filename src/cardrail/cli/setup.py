"""`cardrail init` and `cardrail migrate`: from nothing to a database with keys, and from one release's schema to the next."""

from __future__ import annotations

from typing import Annotated

import typer

from cardrail.bootstrap import opened
from cardrail.cli.context import err, is_missing, out, refusals, settings, show_json
from cardrail.config import Settings
from cardrail.storage import Database
from cardrail.storage.migrations import current_revision, migrate
from cardrail.vault import KeyFileUnreadable, create_key_file, keys_are_registered


def prepare(given: Settings) -> tuple[bool, str | None, str | None]:
    """Make what is missing: data folder (0700), key file (0600), schema. Returns (key file made, revisions before and after)."""
    given.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    made_key = False
    if given.master_keys is None and not given.key_path.exists():
        if _has_keys(given):
            raise KeyFileUnreadable(path=given.key_path, reason="No such file, and the database has its keys already")
        create_key_file(given.key_path)
        made_key = True
    before, after = _migrate(given)
    with opened(given, chain="cli"):  # registers the keys, or refuses the wrong ones
        return made_key, before, after


def _has_keys(given: Settings) -> bool:
    """Whether the database was sealed with master keys: a new one would open nothing of it."""
    if is_missing(given):
        return False
    db = Database(given.url, pool=2)
    try:
        if current_revision(db) is None:
            return False
        with db.read() as tx:
            return keys_are_registered(tx)
    finally:
        db.close()


def _migrate(given: Settings) -> tuple[str | None, str | None]:
    db = Database(given.url, pool=2)
    try:
        return migrate(db)
    finally:
        db.close()


def init(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Make the data folder, the key file and the database. What is there already is left as it is."""
    with refusals():
        given = settings()
        made_key, _, revision = prepare(given)
    if as_json:
        show_json(
            {"data_dir": str(given.data_dir), "key_file": str(given.key_path), "key_file_made": made_key, "revision": revision}
        )
        return
    out.print(f"Database ready at revision {revision}.")
    if made_key:
        out.print(f"Master key made: [bold]{given.key_path}[/bold]")
        err.print("[yellow]Copy that file to a safe place now. Without it no stored code can ever be opened again.[/yellow]")


def migrate_command(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Bring the database's schema to this release's. Forward only; back up first."""
    with refusals():
        before, after = _migrate(settings())
    if as_json:
        show_json({"before": before, "after": after})
    else:
        out.print(f"Schema is at {after}." if before == after else f"Schema went from {before or 'empty'} to {after}.")
