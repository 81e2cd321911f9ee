"""Alembic revisions, forward only, and the one function that applies them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from cardrail.storage.database import Database, Tx
from cardrail.storage.schema import metadata


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def known_revisions() -> set[str]:
    """Every revision that this release can migrate from."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def migrate(db: Database) -> tuple[str | None, str | None]:
    """Bring the schema to the newest revision, in one transaction. Returns the revisions before and after."""
    config = _config()
    with db.transaction() as tx:
        before = MigrationContext.configure(tx).get_current_revision()
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
        return before, MigrationContext.configure(tx).get_current_revision()


def current_revision(db: Database) -> str | None:
    """The revision that the database is at; None for an empty one."""
    with db.read() as tx:
        return revision_of(tx)


def revision_of(tx: Tx) -> str | None:
    """The revision of the database that this transaction is in."""
    return MigrationContext.configure(tx).get_current_revision()


def newest_revision() -> str | None:
    """The revision that this release of the program needs."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def pending_changes(db: Database) -> list[Any]:
    """What the tables in the code have and the migrated schema has not: empty, or a revision is missing."""
    with db.read() as tx:
        return list(compare_metadata(MigrationContext.configure(tx, opts={"compare_type": False}), metadata))
