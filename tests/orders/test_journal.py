"""The journal is filled up at the start with what this node sold and did not write down, whoever else writes beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cardrail.kernel import FrozenClock, from_micros
from cardrail.orders import Order, catch_up
from cardrail.storage import Journal, JournalReading, journal_files, read_journal
from tests.build import World


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def ours(folder: Path) -> Iterator[Journal]:
    opened = Journal(folder, "one")
    yield opened
    opened.close()


@pytest.fixture
def theirs(folder: Path) -> Iterator[Journal]:
    """Of a node whose name begins like ours, in the same folder."""
    opened = Journal(folder, "one-more")
    yield opened
    opened.close()


def sold(world: World, journal: Journal | None) -> Order:
    world.shop = replace(world.shop, journal=journal)
    return world.order("TEA")


def pass_by(world: World, time: timedelta) -> None:
    assert isinstance(world.clock, FrozenClock)
    world.clock.advance(seconds=time.total_seconds())


def journalled(folder: Path, order: Order) -> bool:
    since = from_micros(order.created_at)
    return order.id in {one.order_id for one in read_journal(journal_files([folder], since), 0, JournalReading())}


@pytest.mark.parametrize("wrote_before", [True, False])
def test_a_node_that_died_before_its_line_is_not_hidden_by_one_that_goes_on(
    world: World, folder: Path, ours: Journal, theirs: Journal, wrote_before: bool
) -> None:
    pass_by(world, datetime.now(UTC) - world.clock.now())  # ids have the time of the day in them
    world.stock("TEA", 4)
    if wrote_before:
        sold(world, ours)
    lost = sold(world, None)
    pass_by(world, timedelta(minutes=30))
    sold(world, theirs)
    assert not journalled(folder, lost)
    assert (catch_up(world.db, ours), catch_up(world.db, ours)) == (1, 0)
    assert journalled(folder, lost)
