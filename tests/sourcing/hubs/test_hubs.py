"""Hubs buy from hubs through every protocol, over a line that does its worst, and are killed on the way: nothing is bought twice or lost.

In the usual run all protocols trade at once. With ``CARDRAIL_PROVE=1`` each has 2,000 orders of its own on each database;
``CARDRAIL_PROVE_ORDERS`` is another number.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from cardrail.sourcing import SourcingError
from tests.acceptance.server import Proved
from tests.conftest import PROVE
from tests.postgres import Postgres
from tests.sourcing.hubs.compare import check_books, compare
from tests.sourcing.hubs.hubs import FACES, PROTOCOLS, Database, Orders, Reseller, Running, Seller, Working, trade

pytestmark = [pytest.mark.prove, pytest.mark.chaos]

SEED = 20261121
QUICK = 8
QUICK_UNKNOWN_SECONDS = 20.0
FULL = int(os.environ.get("CARDRAIL_PROVE_ORDERS", "2000"))
FULL_UNKNOWN_SECONDS = 100.0
MANY_CALLS = 1_000
"""Longer than the minute after which an order that was not paid is over."""
FULL_CASES = [pytest.param("sqlite", (kind,), id=f"sqlite-{kind}") for kind in PROTOCOLS] + [
    pytest.param("postgres", (kind,), id=f"postgres-{kind}", marks=pytest.mark.postgres) for kind in PROTOCOLS
]


@pytest.fixture
def database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Makes a database with the schema: of the hub in the folder of that name."""
    made: list[str] = []
    server: Postgres | None = request.getfixturevalue("postgres") if backend == "postgres" else None

    def make(name: str) -> str:
        if server is not None:
            made.append(server.lend(request.getfixturevalue("migrated_postgres")))
            return made[-1]
        path = tmp_path / name / "cardrail.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"

    yield make
    for url in made:
        assert server is not None
        server.give_back(url)


def run(
    seller: Seller,
    reseller: Reseller,
    kinds: Sequence[str],
    each: int,
    kills: int,
    begin: Callable[[Reseller], Running] = Running,
) -> tuple[Orders, float, int]:
    """Orders are placed, the reseller (or one of its workers) is killed, prices change, stock runs out half-way and comes again; until
    nothing waits but humans.
    """
    started = time.monotonic()
    running = begin(reseller)
    orders = Orders(reseller, running, kinds, each)
    try:
        orders.start()
        turns = [(len(orders.wanted) * (n + 1) // (kills + 1), running.kill) for n in range(kills)]
        half = len(orders.wanted) // 2
        turns += [(half, lambda: seller.reprice(0, 30)), (half * 3 // 2, lambda: back(seller, reseller, kinds, each))]
        for count, act in sorted(turns, key=lambda turn: turn[0]):
            wait_for(lambda count=count: len(orders.placed) >= count or not orders.is_placing, 6_000)  # type: ignore[misc]  # lambda default
            act()
        wait_for(lambda: not orders.is_placing, 6_000)
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


def prove(
    folder: Path,
    database: Database,
    proved: Proved,
    kinds: Sequence[str],
    each: int,
    kills: int,
    begin: Callable[[Reseller], Running],
) -> None:
    """A run, and the books of both hubs after it."""
    unknown_seconds = FULL_UNKNOWN_SECONDS if PROVE else QUICK_UNKNOWN_SECONDS
    enough = each * len(kinds) * 2 + 20
    stock = dict.fromkeys(FACES, enough) | {FACES[-1]: enough // 10}
    with trade(folder, kinds, database, stock, seed=SEED, unknown_seconds=unknown_seconds) as (seller, reseller, lines):
        for line in lines.values():
            line.is_calm = False
        orders, seconds, killed = run(seller, reseller, kinds, each, kills, begin)
        found = [compare(seller, reseller, orders, kind) for kind in kinds]
        for one in found:
            proved(one.line(lines[one.kind].disturbed, seconds, killed))
        assert {one.kind: one.faults for one in found if one.faults} == {}
        assert killed == kills
        disturbed = sum(line.disturbed * line.calls for line in lines.values()) / sum(line.calls for line in lines.values())
        assert disturbed >= (0.3 if PROVE else 0.2)  # of a hundred calls, 34 are meant to be
        hidden = sum(len(line.hidden) for line in lines.values())
        assert hidden < 10 or any(one.resolved["invalidation"] for one in found)
    check_books(seller, reseller)


@pytest.mark.parametrize(("backend", "kinds"), FULL_CASES if PROVE else [("sqlite", tuple(PROTOCOLS))])
def test_what_hubs_buy_from_hubs_is_bought_once_and_never_lost(
    tmp_path: Path, database: Database, kinds: tuple[str, ...], proved: Proved
) -> None:
    each, kills = (FULL, 10) if PROVE else (QUICK, 1)
    prove(tmp_path, database, proved, kinds, each, kills, Running)


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"])
def test_workers_beside_a_server_that_only_serves_are_killed_and_nothing_is_bought_twice_or_lost(
    tmp_path: Path, database: Database, proved: Proved
) -> None:
    each, kills = (FULL // len(PROTOCOLS), 10) if PROVE else (QUICK // 4, 2)
    prove(tmp_path, database, proved, tuple(PROTOCOLS), each, kills, lambda place: Working(place, is_quick=not PROVE))
