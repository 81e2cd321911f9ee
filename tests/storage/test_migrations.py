"""The schema that migrations make is the schema that the code declares."""

from cardrail.storage import Database
from cardrail.storage.migrations import current_revision, migrate, newest_revision, pending_changes
from cardrail.storage.migrations.tables import metadata


def test_an_empty_database_is_brought_to_the_newest_revision(database_url: str) -> None:
    db = Database(database_url)
    before, after = migrate(db)
    assert (before, after) == (None, newest_revision())
    assert current_revision(db) == newest_revision()
    db.close()


def test_migrating_twice_changes_nothing(db: Database) -> None:
    before, after = migrate(db)
    assert before == after == newest_revision()


def test_the_migrated_schema_is_the_one_that_the_code_declares(db: Database) -> None:
    assert len(metadata.tables) > 20
    assert pending_changes(db) == []
