"""On SQLite the library's writes and ours take turns: neither is refused, and a busy queue does not starve the order lane."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from cardrail.storage import Database, FairLock, SharedTurn, make_engine
from tests.jobs.build import make_notes, note, some_jobs, working
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def library(db: Database) -> Iterator[sa.Engine]:
    engine = make_engine(db.url, for_dbos=True, turn=SharedTurn(db.write_lock, FairLock()))
    make_notes(db)
    yield engine
    engine.dispose()


def is_free(lock: FairLock, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether another thread gets it in that time."""
    done = threading.Event()

    def take() -> None:
        with lock:
            done.set()

    threading.Thread(target=take, daemon=True).start()
    return done.wait(seconds)


def test_reading_takes_no_turn(db: Database, library: sa.Engine) -> None:
    with library.begin() as tx:
        tx.exec_driver_sql("SELECT count(*) FROM notes").scalar()
        assert is_free(db.write_lock)


def test_writing_takes_the_turn_until_its_commit(db: Database, library: sa.Engine) -> None:
    with library.begin() as tx:
        note(tx, "a")
        assert not is_free(db.write_lock, 0.2)
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


class Counted(FairLock):
    """It knows how many others had it while a thread waited for it."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.watched = threading.get_ident()
        self.waited: list[int] = []
        """For each time that the thread which made this had asked: how many were before it."""

    def __enter__(self) -> None:
        asked_at = self.turns
        super().__enter__()
        if threading.get_ident() == self.watched:
            self.waited.append(self.turns - asked_at)
        self.turns += 1


def test_a_busy_queue_does_not_starve_other_writers(db: Database) -> None:
    lock = db.write_lock = Counted()
    with working(some_jobs(db)) as jobs:
        with db.transaction() as tx:
            for number in range(60):
                jobs.enqueue(tx, "note", "notes", f"note:{number}", str(number))
        lock.waited.clear()
        deadline, noted = time.monotonic() + PATIENCE_SECONDS, 0
        while noted < 60:  # each turn a commit like the order lane's
            assert time.monotonic() < deadline
            with db.transaction() as tx:
                note(tx, "lane")
                noted = tx.exec_driver_sql("SELECT count(*) FROM notes WHERE id <> 'lane'").scalar_one()
    # Who holds it and who is next may be before it; a pause between asking and waiting may let more by, now and then.
    assert sum(one > 2 for one in lock.waited) <= len(lock.waited) // 10, lock.waited
    assert len(lock.waited) > 60
