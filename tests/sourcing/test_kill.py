"""Real workers are killed with kill -9 while they buy: what was bought is in the vault once, and each order ends as if nobody had died."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from cardrail.jobs import Jobs
from cardrail.kernel import SystemClock
from cardrail.orders import Placed, begin_with, place_orders, register_jobs
from cardrail.storage import Database
from tests.build import item
from tests.jobs.build import eventually
from tests.sourcing.build import Supplied, supplied

_OPEN = sa.text("SELECT count(*) FROM procurements WHERE state <> 'done'")


@contextmanager
def worker(shop: Supplied, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "started").unlink(missing_ok=True)
    url = shop.db.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.sourcing.worker_process", url, str(folder)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        assert eventually((folder / "started").exists)
        yield process
    finally:
        process.kill()
        process.wait()


def left(shop: Supplied) -> int:
    with shop.db.read() as tx:
        return int(tx.execute(_OPEN).scalar_one())


@pytest.mark.chaos
def test_workers_that_are_killed_while_they_buy_buy_nothing_twice(
    db: Database, tmp_path: Path, full_counts: bool, proved: Callable[[str], None]
) -> None:
    count, kills = (400, 10) if full_counts else (40, 2)
    shop = supplied(db, tmp_path)
    shop.clock = SystemClock()
    shop.supplier("A")
    shop.supplier("B", cost="81.00")
    (tmp_path / "sold").mkdir()
    jobs = Jobs(db)
    register_jobs(jobs, shop.buying)
    jobs.prepare()
    lane = replace(shop.shop, clock=shop.clock, books=replace(shop.shop.books, begin=begin_with(jobs)))
    orders = []
    for _ in range(count // 8):
        outcomes = place_orders(lane, [shop.command(item("CARD", 1 + n % 3)) for n in range(8)])
        orders += [one.order for one in outcomes if isinstance(one, Placed)]
    assert len(orders) == count
    for _ in range(kills):
        before = left(shop)
        with worker(shop, tmp_path) as process:
            assert eventually(lambda: left(shop) < before)  # noqa: B023  # called before the next turn
            time.sleep(0.05)
            process.kill()
    with worker(shop, tmp_path):
        assert eventually(lambda: left(shop) == 0, seconds=180.0)
    sold = {one.name: int(one.read_text()) for one in (tmp_path / "sold").iterdir()}
    shown = [code for order in orders for code in shop.shown(order)]
    assert {shop.stands(order).state.value for order in orders} <= {"FULFILLED", "FAILED"}
    assert sum(shop.stands(order).state.value == "FAILED" for order in orders) <= 2 * kills  # killed at both suppliers, twice
    assert len(shown) == len(set(shown)) == sum(sold.values()) == sum(shop.stands(one).items[0].delivered for one in orders)
    assert shop.findings() == []
    proved(f"{count} orders, {kills} workers killed: {sum(sold.values())} codes bought, as many shown, none twice, none lost")
