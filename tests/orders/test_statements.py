"""What an order costs the database: as many statements for a batch of 64 as for one, and few rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from cardrail.access import Limits
from cardrail.orders import PayOrder, Placed
from cardrail.storage import Database
from cardrail.storage.engines import sqlite_module
from cardrail.storage.schema import metadata
from tests.build import World, a_world, item
from tests.orders.build import quoted, unpaid

counted: list[str] = []
"""What was given to the driver since somebody last looked."""


class PostgresCursor(psycopg.Cursor[Any]):
    """Counts what is asked of it; many rows of one statement count once."""

    def execute(self, query: Any, *rest: Any, **facts: Any) -> Any:
        counted.append(str(query))
        return super().execute(query, *rest, **facts)

    def executemany(self, query: Any, *rest: Any, **facts: Any) -> None:
        counted.append(str(query))
        super().executemany(query, *rest, **facts)

    def copy(self, statement: Any, *rest: Any, **facts: Any) -> Any:
        counted.append(str(statement))
        return super().copy(statement, *rest, **facts)


class SqliteCursor(sqlite_module().Cursor):  # type: ignore[misc]  # whichever of the two libraries it is
    """The same for SQLite."""

    def execute(self, query: str, *rest: Any) -> Any:
        counted.append(query)
        return super().execute(query, *rest)

    def executemany(self, query: str, *rest: Any) -> Any:
        counted.append(query)
        return super().executemany(query, *rest)


class SqliteConnection(sqlite_module().Connection):  # type: ignore[misc]  # whichever of the two libraries it is
    """A connection whose cursors count."""

    def cursor(self, *_factory: Any) -> Any:
        return super().cursor(SqliteCursor)


@pytest.fixture
def watched(db_url: str, tmp_path: Path) -> Iterator[World]:
    """A shop whose statements are counted."""
    db = Database(db_url)
    event.listen(db.engine, "do_connect", _count_on)
    yield a_world(db, tmp_path)
    db.close()


def _count_on(dialect: sa.Dialect, _record: Any, arguments: list[Any], facts: dict[str, Any]) -> None:
    facts.update({"factory": SqliteConnection} if dialect.name == "sqlite" else {"cursor_factory": PostgresCursor})


def statements(world: World, *requests: Any) -> list[str]:
    """What placing this batch asks of the database."""
    counted.clear()
    outcomes = world.place(*requests)
    assert all(isinstance(one, Placed) for one in outcomes), outcomes
    return [one.split(" (")[0].split(" WHERE")[0][:60] for one in counted]


def rows(world: World) -> int:
    with world.db.read() as tx:
        return sum(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables)


def kinds(found: list[str]) -> list[str]:
    """The statements by what they do and to which table. Rows that are inserted together are one, however the driver is given them."""
    named = [one.replace("COPY ", "INSERT INTO ") for one in found]
    return sorted(one for one, next_ in zip(named, [*named[1:], ""], strict=True) if one != next_ or "INSERT" not in one)


@pytest.mark.parametrize("size", [2, 64])
def test_a_batch_takes_as_many_statements_as_one_order(watched: World, size: int) -> None:
    watched.stock("TEA", 100, cost="80")
    watched.order("TEA")  # opens the platform's accounts
    one = statements(watched, watched.command(item("TEA"), key="k"))
    many = statements(watched, *[watched.command(item("TEA"), key=f"k{n}") for n in range(size)])
    assert kinds(many) == kinds(one)
    assert 5 < len(one) < 25


def test_so_it_is_with_limits_and_many_items(watched: World) -> None:
    for sku in ("TEA", "BOOKS"):
        watched.stock(sku, 200)
    buyer = watched.a_partner("INR", "1000000.00", limits=Limits(orders_per_day_max=1_000, quantity_per_sku_per_day_max=1_000))
    lines = (item("TEA"), item("BOOKS"), item("TEA"))
    watched.place(watched.command(*lines, buyer=buyer))
    one = statements(watched, watched.command(*lines, buyer=buyer))
    assert kinds(statements(watched, *[watched.command(*lines, buyer=buyer) for _ in range(64)])) == kinds(one)


def test_an_order_from_stock_adds_at_most_five_rows(watched: World) -> None:
    watched.stock("TEA", 2)
    watched.order("TEA")  # opens the platform's accounts
    before = rows(watched)
    watched.order("TEA", key="k")
    assert rows(watched) - before <= 5  # order, item, transfer, event; and the batch's audit row


def test_a_batch_adds_four_rows_an_order_and_two_for_all(watched: World) -> None:
    watched.stock("TEA", 100, cost="80")
    watched.order("TEA")  # opens the platform's accounts
    before = rows(watched)
    watched.place(*[watched.command(item("TEA"), key=f"k{n}") for n in range(64)])
    assert rows(watched) - before <= 4 * 64 + 2  # the audit row, and what the codes of the lot cost


def test_a_refused_batch_adds_no_row(watched: World) -> None:
    before = rows(watched)
    watched.place(*[watched.command(item("TEA"), key=f"k{n}") for n in range(64)])
    assert rows(watched) == before


def test_codes_of_many_slices_cost_a_row_each_and_no_more_statements(watched: World) -> None:
    for number in range(6):
        watched.stock("TEA", [f"{number}-{n}" for n in range(2)])
    watched.order("TEA")
    one = statements(watched, watched.command(item("TEA", 2)))
    before = rows(watched)
    more = statements(watched, watched.command(item("TEA", 8)))
    assert set(kinds(more)) - set(kinds(one)) == set()
    assert rows(watched) - before == 5 + 4  # an allocation beyond the first is a row


@pytest.mark.parametrize("step", ["pay", "quote"])
def test_paying_and_quotes_ask_little_for_each_order(watched: World, step: str) -> None:
    watched.stock("TEA", 100)
    watched.order("TEA")

    def batch(size: int) -> list[str]:
        if step == "pay":
            return statements(watched, *[PayOrder(unpaid(watched).id, watched.partner) for _ in range(size)])
        return statements(watched, *[watched.command(item("TEA"), quote_id=quoted(watched, ("TEA", 1)).id) for _ in range(size)])

    assert len(kinds(batch(16))) - len(kinds(batch(1))) <= 2 * 15
