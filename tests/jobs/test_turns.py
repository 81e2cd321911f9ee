"""On SQLite the library's writes and ours take turns: neither is refused, and a busy queue does not starve the order lane."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from cardrail.storage import Database, FairLock, SharedTurn, make_engine
from tests.jobs.build import eventually, make_notes, note, some_jobs, times_noted, working

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def library(db: Database) -> Iterator[sa.Engine]:
    engine = make_engine(db.url, for_dbos=True, turn=SharedTurn(db.write_lock, FairLock()))
    make_notes(db)
    yield engine
    engine.dispose()


def is_free(lock: FairLock) -> bool:
    done = threading.Event()

    def take() -> None:
        with lock:
            done.set()

    threading.Thread(target=take, daemon=True).start()
    return done.wait(0.2)


def test_reading_takes_no_turn(db: Database, library: sa.Engine) -> None:
    with library.begin() as tx:
        tx.exec_driver_sql("SELECT count(*) FROM notes").scalar()
        assert is_free(db.write_lock)


def test_writing_takes_the_turn_until_its_commit(db: Database, library: sa.Engine) -> None:
    with library.begin() as tx:
        note(tx, "a")
        assert not is_free(db.write_lock)
    assert is_free(db.write_lock)


def test_a_rollback_gives_the_turn_back(db: Database, library: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError), library.begin() as tx:
        note(tx, "a")
        raise ZeroDivisionError
    assert is_free(db.write_lock)


def test_a_refused_statement_gives_the_turn_back(db: Database, library: sa.Engine) -> None:
    with library.connect() as tx, pytest.raises(Exception, match="no such table"):
        tx.exec_driver_sql("INSERT INTO nowhere VALUES (1)")
    assert is_free(db.write_lock)


def slowest_commit(db: Database, until: float) -> float:
    """The longest that a writer like the order lane waited, begin to commit."""
    slowest = 0.0
    while time.monotonic() < until:
        started = time.monotonic()
        with db.transaction() as tx:
            note(tx, "lane")
        slowest = max(slowest, time.monotonic() - started)
    return slowest


def test_a_busy_queue_does_not_starve_other_writers(db: Database) -> None:
    with working(some_jobs(db)) as jobs:
        with db.transaction() as tx:
            for number in range(60):
                jobs.enqueue(tx, "note", "notes", f"note:{number}", str(number))
        slowest = slowest_commit(db, time.monotonic() + 3)
        assert eventually(lambda: all(times_noted(db, str(number)) for number in range(60)))
    assert slowest < 0.85, "what a batch waited for the file before there were turns"
