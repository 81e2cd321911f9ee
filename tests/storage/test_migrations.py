"""The schema that migrations make is the schema that the code declares; and a database of an earlier release keeps its rows."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from cardrail.storage import Database, migrations
from cardrail.storage.migrations import current_revision, migrate, newest_revision, pending_changes
from cardrail.storage.migrations.tables import metadata

FIRST_ROWS = (
    (
        "INSERT INTO orders (id, partner_id, mode, state, currency, total_minor, charged_minor, fingerprint, created_at, updated_at)"
        " VALUES ('ord_1', 'par_1', 'live', 'FULFILLED', 'EUR', 5, 5, 'x', 1, 1)"
    ),
    (
        "INSERT INTO transfers (id, debit, credit, amount_minor, currency, mode, phase, purpose, partner_id, created_at)"
        " VALUES ('trf_1', 'a', 'b', 5, 'EUR', 'live', 'posted', 'sale', 'par_1', 1)"
    ),
    (
        "INSERT INTO events (id, type, mode, subject_id, subject_seq, actor, at)"
        " VALUES ('evt_1', 'order.fulfilled', 'live', 'ord_1', 1, 'key_1', 1)"
    ),
)


def test_an_empty_database_is_brought_to_the_newest_revision(database_url: str) -> None:
    db = Database(database_url)
    before, after = migrate(db)
    assert (before, after) == (None, newest_revision())
    assert current_revision(db) == newest_revision()
    db.close()


def test_a_database_of_the_first_schema_is_brought_up_with_its_rows(database_url: str) -> None:
    db = Database(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with db.transaction() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
    with db.transaction() as tx:
        for row in FIRST_ROWS:
            tx.execute(sa.text(row))
    assert migrate(db) == ("0001", newest_revision())
    assert pending_changes(db) == []
    with db.read() as tx:
        assert tx.execute(sa.text("SELECT id, position FROM transfers")).all() == [("trf_1", None)]
        assert tx.execute(sa.text("SELECT id, number FROM orders")).all() == [("ord_1", None)]
    db.close()


def test_migrating_twice_changes_nothing(db: Database) -> None:
    before, after = migrate(db)
    assert before == after == newest_revision()


def test_the_migrated_schema_is_the_one_that_the_code_declares(database_url: str) -> None:
    db = Database(database_url)
    migrate(db)
    assert len(metadata.tables) > 20
    assert pending_changes(db) == []
    db.close()
