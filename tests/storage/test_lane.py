"""Lanes batch what is waiting, and one bad request never takes its neighbours with it."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from cardrail.kernel import OutcomeUnknown, QueueFull, Unavailable
from cardrail.storage import Database, Lane


class Handler:
    """Answers each number with its square; a negative one is a fault. The first batch waits until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Event()

    def __call__(self, requests: Sequence[int]) -> list[int]:
        self.may_go_on.wait(60)
        self.batches.append(list(requests))
        if min(requests) < 0:
            raise ValueError("a poisonous request")
        return [one * one for one in requests]


def test_what_arrives_while_a_batch_runs_goes_into_the_next_one(db: Database) -> None:
    handler = Handler()
    lane: Lane[int, int] = Lane(db, handler)
    futures = [lane.submit(number) for number in range(10)]
    lane.start()
    handler.may_go_on.set()
    assert [future.result(60) for future in futures] == [number * number for number in range(10)]
    lane.stop()
    assert handler.batches == [list(range(10))]


def test_of_a_batch_of_64_with_a_poisonous_request_63_go_through(db: Database) -> None:
    handler = Handler()
    handler.may_go_on.set()
    lane: Lane[int, int] = Lane(db, handler)
    futures = [lane.submit(-1 if number == 41 else number) for number in range(64)]
    lane.start()
    with pytest.raises(ValueError, match="poisonous"):
        futures.pop(41).result(60)
    assert sum(future.result(60) for future in futures) == sum(n * n for n in range(64) if n != 41)
    lane.stop()


def test_a_batch_ends_at_its_weight(db: Database) -> None:
    handler = Handler()
    handler.may_go_on.set()
    lane: Lane[int, int] = Lane(db, handler, weigh=lambda number: number, weight_max=10)
    futures = [lane.submit(number) for number in (4, 4, 4, 30, 1)]
    lane.start()
    for future in futures:
        future.result(60)
    lane.stop()
    assert handler.batches == [[4, 4], [4], [30], [1]]


def test_a_full_queue_takes_nothing_more(db: Database) -> None:
    lane: Lane[int, int] = Lane(db, Handler(), queue_max=2)
    lane.submit(1)
    lane.submit(2)
    with pytest.raises(QueueFull):
        lane.submit(3)


def test_a_stopped_lane_has_answered_everybody_and_takes_nobody(db: Database) -> None:
    handler = Handler()
    handler.may_go_on.set()
    lane: Lane[int, int] = Lane(db, handler)
    lane.start()
    future = lane.submit(3)
    lane.stop()
    assert future.result(0) == 9
    with pytest.raises(Unavailable):
        lane.submit(4)


async def _bump(lane: Lane[int, int], db: Database, name: str, *, fail: bool = False) -> int:
    def use_case() -> int:
        with db.transaction() as tx:
            tx.execute(sa.text("INSERT INTO versions (name, value) VALUES (:name, 1)"), {"name": name})
            if fail:
                raise LookupError("refused")
        return 1

    return await lane.run(use_case)


def test_use_cases_that_share_a_commit_fail_alone(db: Database) -> None:
    async def story() -> list[object]:
        lane: Lane[int, int] = Lane(db, Handler())
        lane.start()
        jobs = [_bump(lane, db, "one"), _bump(lane, db, "two", fail=True), _bump(lane, db, "three")]
        results: list[object] = list(await asyncio.gather(*jobs, return_exceptions=True))
        lane.stop()
        return results

    one, two, three = asyncio.run(story())
    assert (one, three) == (1, 1)
    assert isinstance(two, LookupError)
    with db.read() as tx:
        assert set(tx.execute(sa.text("SELECT name FROM versions")).scalars()) == {"one", "three"}


def test_a_fault_that_is_no_exception_is_answered_and_the_lane_goes_on(db: Database) -> None:
    class Panic(BaseException):
        """What a native library raises when it gives up."""

    def handler(requests: Sequence[int]) -> list[int]:
        if requests[0] == 13:
            raise Panic
        return list(requests)

    lane: Lane[int, int] = Lane(db, handler, batch_max=1)

    def bad_meter(_size: int) -> None:
        raise ZeroDivisionError

    lane.on_batch = bad_meter
    lane.start()
    with pytest.raises(OutcomeUnknown):
        lane.submit(13).result(60)
    assert lane.submit(7).result(60) == 7
    assert (lane.is_serving, lane.waiting) == (True, 0)
    lane.stop()
    assert not lane.is_serving


def test_a_log_that_cannot_be_written_stops_nobody(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_facts: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cardrail.storage.lane.log", SimpleNamespace(exception=full, critical=full))
    handler = Handler()
    handler.may_go_on.set()
    lane: Lane[int, int] = Lane(db, handler)
    lane.start()
    with pytest.raises(ValueError, match="poisonous"):
        lane.submit(-1).result(60)
    assert lane.submit(3).result(60) == 9
    lane.stop()


def test_a_full_disk_inside_a_shared_commit_fails_everybody_in_it(migrated_sqlite: Path, tmp_path: Path) -> None:
    """SQLite then rolls back the whole transaction, not the savepoint: nobody may be told that his part was kept."""
    path = tmp_path / "small.db"
    shutil.copyfile(migrated_sqlite, path)
    db = Database(f"sqlite:///{path}", pool=1)
    with db.transaction() as tx:
        pages = tx.execute(sa.text("PRAGMA page_count")).scalar_one()
        tx.execute(sa.text(f"PRAGMA max_page_count={pages + 2}"))
    write = sa.text("INSERT INTO versions (name, value) VALUES (:name, 1)")

    def keep(name: str) -> None:
        with db.transaction() as tx:
            tx.execute(write, {"name": name})

    async def story() -> list[object]:
        lane: Lane[int, int] = Lane(db, Handler())
        jobs = [lane.run(lambda: keep("one")), lane.run(lambda: keep("x" * 200_000)), lane.run(lambda: keep("three"))]
        waiting = asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.sleep(0.1)
        lane.start()
        results: list[object] = list(await waiting)
        lane.stop()
        return results

    assert [type(one) for one in asyncio.run(story())] == [Unavailable] * 3
    with db.read() as tx:
        assert not tx.execute(sa.text("SELECT name FROM versions")).all()
    db.close()
