"""A copy holds what its source held, row by row, whatever the two databases are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.build import World
from tests.storage.restoring import all_rows, faults, sell

from cardrail.storage import Database, DatabaseNotEmpty, SchemaMismatch, copy_database
from cardrail.storage.migrations import migrate


@pytest.fixture
def target(other_url: str, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "second").mkdir()
    database = Database(other_url, pool=2)
    yield database
    database.close()


def a_busy_shop(world: World) -> World:
    world.stock("TEA", 60, cost="50.00")
    world.stock("SHOES", 5, face="250")
    sell(world, 5, each=4)
    world.order("SHOES", 2, face="250", reference=None, details={"note": "naïve ☃ \\ tab\t"})
    return world


def test_every_table_of_the_copy_equals_its_source(world: World, target: Database) -> None:
    a_busy_shop(world)
    migrate(target)
    rows = copy_database(world.db, target)
    source = all_rows(world.db)
    assert all_rows(target) == source
    assert rows == {name: len(found) for name, found in source.items()}
    assert min(rows[name] for name in ("orders", "order_items", "codes", "slices", "transfers", "events", "audit")) > 0


def test_a_copy_sells_on_where_its_source_stood(world: World, target: Database) -> None:
    sold = sell(a_busy_shop(world), 1)
    migrate(target)
    copy_database(world.db, target)
    copied = World(target, world.keys, world.clock)
    copied.partner = world.partner
    assert not set(sell(copied, 5)) & set(sold)
    assert faults(copied) == []


def test_a_target_with_a_row_in_it_is_refused_and_left_alone(world: World, target: Database) -> None:
    migrate(target)
    with target.transaction() as tx:
        tx.execute(sa.text("INSERT INTO versions (name, value) VALUES ('catalog', 7)"))
    before = all_rows(target)
    with pytest.raises(DatabaseNotEmpty):
        copy_database(world.db, target)
    assert all_rows(target) == before


def test_a_target_without_the_schema_is_refused(world: World, target: Database) -> None:
    with pytest.raises(SchemaMismatch):
        copy_database(world.db, target)


def test_a_copy_that_fails_leaves_its_target_empty(world: World, target: Database) -> None:
    a_busy_shop(world)
    migrate(target)

    def fail(table: str, done: int, _total: int) -> None:
        if table == "transfers" and done:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        copy_database(world.db, target, fail)
    assert not any(all_rows(target).values())


def test_progress_ends_at_the_number_of_rows(world: World, target: Database) -> None:
    migrate(target)
    seen: dict[str, tuple[int, int]] = {}
    copy_database(world.db, target, lambda table, done, total: seen.update({table: (done, total)}))
    assert all(done == total for done, total in seen.values())
    assert seen["products"][0] == 3
