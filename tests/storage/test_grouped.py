"""Several threads' transactions in one commit: each gets its own result, and a failure is its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from cardrail.storage import Database, GroupWriter, Tx

_READ = sa.text("SELECT value FROM versions WHERE name = 'count'")
_ADD = sa.text("INSERT INTO versions VALUES ('count', 1) ON CONFLICT (name) DO UPDATE SET value = versions.value + 1")


class OwnFault(Exception):
    """A failure of one of them."""


def add(tx: Tx) -> None:
    tx.execute(_ADD)


def count(db: Database) -> int:
    with db.read() as tx:
        return int(tx.execute(_READ).scalar() or 0)


def test_what_many_threads_write_is_all_there(db: Database) -> None:
    writer = GroupWriter(db)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: writer.run(add), range(100)))
    assert count(db) == 100


def test_who_fails_loses_his_own_writes_only(db: Database) -> None:
    writer = GroupWriter(db)

    def fail(tx: Tx) -> None:
        add(tx)
        raise OwnFault

    def run(number: int) -> None:
        if number % 4:
            writer.run(add)
            return
        with pytest.raises(OwnFault):
            writer.run(fail)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(run, range(100)))
    assert count(db) == 75


@pytest.mark.parametrize("backend", ["sqlite"])
def test_threads_that_wait_share_a_commit(db: Database) -> None:
    writer, begun, go = GroupWriter(db), threading.Event(), threading.Event()
    seen: list[Tx] = []

    def first(_tx: Tx) -> None:
        begun.set()
        go.wait(60)

    with ThreadPoolExecutor(5) as threads:
        leader = threads.submit(writer.run, first)
        assert begun.wait(60)
        others = [threads.submit(writer.run, seen.append) for _ in range(4)]
        while len(writer._waiting) < 4:
            pass
        go.set()
        for one in [leader, *others]:
            one.result(60)
    assert len({id(tx) for tx in seen}) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_thread_that_is_stopped_leaves_nobody_waiting(db: Database) -> None:
    writer = GroupWriter(db)

    def stop(_tx: Tx) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.run(stop)
    writer.run(add)
    assert count(db) == 1
