"""Several threads' transactions in one commit: each gets its own result, and a failure is its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from cardrail.storage import BatchWriter, Database, GroupWriter, Tx, grouped

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
def test_threads_that_wait_share_a_commit(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "GROUP_SECONDS", 5.0)  # however slow this machine is
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


# --- many requests in one transaction -------------------------------------------------------------------------------------


def tens(tx: Tx, requests: Sequence[int]) -> list[int]:
    """Count each request, and return ten times its number; 13 cannot be done."""
    for one in requests:
        add(tx)
        if one == 13:
            raise OwnFault
    return [one * 10 for one in requests]


def test_each_request_gets_its_own_outcome(db: Database) -> None:
    writer: BatchWriter[int, int] = BatchWriter(GroupWriter(db), 8)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda n: writer.run(n % 5, n, tens), range(20, 80)))
    assert (found, count(db)) == ([n * 10 for n in range(20, 80)], 60)


def test_a_request_that_cannot_be_done_fails_alone(db: Database) -> None:
    writer: BatchWriter[int, int] = BatchWriter(GroupWriter(db), 8)

    def run(number: int) -> int:
        try:
            return writer.run(number, number, tens)
        except OwnFault:
            return -1

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(run, range(10, 20)))
    assert (found, count(db)) == ([-1 if n == 13 else n * 10 for n in range(10, 20)], 9)


def test_what_waits_is_done_in_one_transaction_but_a_key_is_in_it_once(db: Database) -> None:
    writer: BatchWriter[str, str] = BatchWriter(GroupWriter(db), 3)
    begun, go = threading.Event(), threading.Event()
    seen: list[list[str]] = []

    def handle(_tx: Tx, requests: Sequence[str]) -> Sequence[str]:
        seen.append(list(requests))
        begun.set()
        go.wait(5)
        return requests

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(writer.run, "", "first", handle)]
        assert begun.wait(5)
        for n, name in enumerate(["a1", "b1", "a2", "c1", "d1"], 1):
            running.append(threads.submit(writer.run, name[0], name, handle))
            while len(writer._waiting) < n:
                pass
        go.set()
        assert [one.result(5) for one in running] == ["first", "a1", "b1", "a2", "c1", "d1"]
    assert seen == [["first"], ["a1", "b1", "c1"], ["a2", "d1"]]


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_request_that_waits_for_somebody_takes_no_other_with_it(db: Database) -> None:
    writer: BatchWriter[str, str] = BatchWriter(GroupWriter(db), 8)
    begun, go = threading.Event(), threading.Event()
    touch = sa.text("INSERT INTO versions VALUES (:of, 1) ON CONFLICT (name) DO UPDATE SET value = versions.value + 1")

    def handle(tx: Tx, requests: Sequence[str]) -> Sequence[str]:
        tx.exec_driver_sql("SET LOCAL lock_timeout = 20")
        for one in requests:
            tx.execute(touch, {"of": one})
        begun.set()
        go.wait(5)
        return requests

    with db.transaction() as other, ThreadPoolExecutor(4) as threads:
        other.execute(touch, {"of": "b"})
        leader = threads.submit(writer.run, "", "first", handle)
        assert begun.wait(5)
        running = [threads.submit(writer.run, name, name, handle) for name in "abc"]
        while len(writer._waiting) < len(running):
            pass
        go.set()
        raised = [type(one.exception(30)).__name__ for one in (leader, *running)]
    assert raised == ["NoneType", "NoneType", "Unavailable", "NoneType"]
