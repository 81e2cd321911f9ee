"""The disk is full, the database is gone: 503, nothing charged, and all is well again by itself."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.books import check_books
from tests.acceptance.load import Crowd
from tests.acceptance.server import Answer, Place, Proved, Server
from tests.postgres import OwnServer
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.prove, pytest.mark.chaos]

LITTLE = 64 * 1024
"""A WAL is not allowed to grow beyond this many bytes while the disk is "full"."""


def test_a_full_disk_refuses_orders_and_charges_nothing(
    migrated_sqlite: Path, tmp_path: Path, full_counts: bool, proved: Proved
) -> None:
    """The server may not make any file longer than it nearly is: every write beyond fails, as on a disk that is full."""
    shutil.copyfile(migrated_sqlite, tmp_path / "cardrail.db")
    place = Place(tmp_path, f"sqlite:///{tmp_path / 'cardrail.db'}")
    place.stock(20_000 if full_counts else 4_000)

    def fill(server: Server) -> None:
        limit_files(server, LITTLE)

    def free(server: Server) -> None:
        limit_files(server, resource.RLIM_INFINITY)

    with place.serving() as server:
        acknowledged: dict[str, Answer] = {}
        refused = [outage(place, server, f"full-{turn}", fill, free, acknowledged) for turn in range(5 if full_counts else 1)]
    check_books(place, acknowledged)
    proved(f"{len(refused)} times full: {sum(refused)} answers 503, none charged; {len(acknowledged)} orders in the end")


def limit_files(server: Server, size: int) -> None:
    """How long the process may make a file. (Its log is a file too: a server must live with that.)"""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class CrashingServer(OwnServer):
    """A PostgreSQL that can be struck down with all its connections, and started again on the same data."""

    def crash(self) -> None:
        """SIGQUIT to the postmaster: every connection ends at once, as after a crash."""
        self._let_go()
        os.kill(int((self._home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        self._process.communicate(timeout=60)

    def restart(self) -> None:
        """Start it again; it recovers from its WAL."""
        self._launch()


@pytest.fixture
def crashing() -> Iterator[CrashingServer]:
    server = CrashingServer()
    yield server
    server.stop()


@pytest.mark.postgres
def test_a_lost_database_refuses_orders_and_charges_nothing(
    crashing: CrashingServer, tmp_path: Path, full_counts: bool, proved: Proved
) -> None:
    place = Place(tmp_path, crashing.create())
    place.stock(20_000 if full_counts else 4_000)
    with place.serving() as server:
        acknowledged: dict[str, Answer] = {}
        refused = [
            outage(place, server, f"gone-{turn}", lambda _: crashing.crash(), lambda _: crashing.restart(), acknowledged)
            for turn in range(5 if full_counts else 1)
        ]
    check_books(place, acknowledged)
    proved(f"{len(refused)} crashes of PostgreSQL: {sum(refused)} answers 503; {len(acknowledged)} orders in the end, each once")


def outage(
    place: Place,
    server: Server,
    name: str,
    begin: Callable[[Server], None],
    end: Callable[[Server], None],
    acknowledged: dict[str, Answer],
) -> int:
    """Load, an outage in the middle of it, its end. Adds the orders that were acknowledged, and those that were refused meanwhile and are
    asked for again; returns how many were refused."""
    with Crowd(place, server, name) as crowd:
        wait_until(lambda: crowd.acknowledged)
        time.sleep(0.5)  # some load before it
        begin(server)
        wait_until(lambda: crowd.refused)
        time.sleep(0.5)  # some load while it lasts
        end(server)
        wait_for_recovery(server, f"{name}-recovered", crowd.acknowledged)
        time.sleep(0.3)  # some load after it
    assert set(crowd.statuses) == {503}, crowd.statuses
    assert not crowd.unsure, "a connection was dropped instead of answered"
    taken = {row.reference for row in place.rows("orders", "reference")}
    lies = [key for key, one in crowd.refused.items() if one.body["charged"] is False and key in taken]
    assert not lies, "an order was charged though the answer denied it"
    with server.buyer() as buyer:
        again = {key: buyer.order(key, reference=key) for key in crowd.refused}
    assert {one.status for one in again.values()} <= {200, 201}
    acknowledged |= crowd.acknowledged | again
    return len(crowd.refused)


def wait_for_recovery(server: Server, name: str, acknowledged: dict[str, Answer]) -> None:
    """Until an order goes through again, soon after the outage."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    tries = 0
    while time.monotonic() < deadline:
        tries += 1
        with server.buyer() as buyer:
            answer = buyer.order(f"{name}-{tries}", reference=f"{name}-{tries}")
        if answer.status == 201:
            acknowledged[f"{name}-{tries}"] = answer
            return
        assert answer.status == 503, answer
        time.sleep(0.1)
    raise AssertionError("it did not recover by itself")
