"""Hubs buy from hubs through every protocol, over a line that does its worst, and are killed on the way: nothing is bought twice or lost.

In the usual run all protocols trade at once; with ``CARDRAIL_PROVE=1`` each has 2,000 orders of its own. ``CARDRAIL_PROVE_ORDERS`` is
another number.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from cardrail.sourcing import SourcingError
from tests.acceptance.server import Proved
from tests.sourcing.hubs.compare import check_books, compare
from tests.sourcing.hubs.faults import FaultyLine
from tests.sourcing.hubs.hubs import FACES, PROTOCOLS, Orders, Reseller, Running, Seller, trade

pytestmark = [pytest.mark.prove, pytest.mark.chaos]

SEED = 20261121


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path) -> Callable[[str], str]:
    """A fresh database with the schema in a folder of that name."""

    def make(name: str) -> str:
        path = tmp_path / name / "cardrail.db"
        shutil.copyfile(migrated_sqlite, path)
        return f"sqlite:///{path}"

    return make


def run(
    seller: Seller, reseller: Reseller, lines: dict[str, FaultyLine], kinds: Sequence[str], each: int, kills: int
) -> tuple[Orders, float, int]:
    """Orders are placed, the reseller is killed, prices change, stock runs out half-way and comes again; until nothing waits but humans."""
    started = time.monotonic()
    running = Running(reseller)
    orders = Orders(reseller, running, kinds, each)
    for line in lines.values():
        line.is_calm = False
    try:
        orders.start()
        turns = [(len(orders.wanted) * (n + 1) // (kills + 1), running.kill) for n in range(kills)]
        half = len(orders.wanted) // 2
        turns += [(half, lambda: seller.reprice(0, 30)), (half * 3 // 2, lambda: back(seller, reseller, kinds, each))]
        for count, act in sorted(turns, key=lambda turn: turn[0]):
            wait_for(lambda count=count: len(orders.placed) >= count or not orders.is_placing, 3_000)  # type: ignore[misc]
            act()
        wait_for(lambda: not orders.is_placing, 3_000)
        wait_for(lambda: not orders.open, 900)
        return orders, time.monotonic() - started, running.kills
    finally:
        running.close()
        orders.close()


def back(seller: Seller, reseller: Reseller, kinds: Sequence[str], each: int) -> None:
    """What was sold out is there again, and what was dear is cheap; the reseller hears of both, over the line as it is."""
    seller.restock({FACES[-1]: each * len(kinds) * 2 + 20})
    seller.reprice(5, 30)
    for _ in range(10):
        with suppress(SourcingError):
            reseller.sync(*kinds)
            return


def wait_for(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def prove(tmp_path: Path, database: Callable[[str], str], proved: Proved, kinds: Sequence[str], each: int, kills: int) -> None:
    enough = each * len(kinds) * 2 + 20
    stock = dict.fromkeys(FACES, enough) | {FACES[-1]: enough // 10}
    unknown_seconds = 100.0 if each > 50 else 20.0  # an order that is not paid is over after a minute
    with trade(tmp_path, kinds, database, stock, seed=SEED, unknown_seconds=unknown_seconds) as (seller, reseller, lines):
        orders, seconds, killed = run(seller, reseller, lines, kinds, each, kills)
        found = [compare(seller, reseller, orders, kind) for kind in kinds]
        for one in found:
            proved(one.line(lines[one.kind].disturbed, seconds, killed))
        assert {one.kind: one.faults for one in found if one.faults} == {}
        assert sum(line.disturbed * line.calls for line in lines.values()) >= 0.3 * sum(line.calls for line in lines.values())
    check_books(seller, reseller)


def test_all_protocols_at_once(tmp_path: Path, database: Callable[[str], str], full_counts: bool, proved: Proved) -> None:
    prove(tmp_path, database, proved, list(PROTOCOLS), 40 if full_counts else 12, 2)


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_one_protocol_with_thousands_of_orders(
    tmp_path: Path, database: Callable[[str], str], full_counts: bool, proved: Proved, kind: str
) -> None:
    if full_counts:
        prove(tmp_path, database, proved, [kind], int(os.environ.get("CARDRAIL_PROVE_ORDERS", "2000")), 10)
