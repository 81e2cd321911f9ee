"""Jobs for the tests: a queue that is looked at often, and a workflow that notes what it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from cardrail.jobs import Jobs, Pace, Queue
from cardrail.storage import Database, Tx
from tests.waiting import PATIENCE_SECONDS

QUICK = Pace(chores_seconds=0.1, beat_seconds=0.2, silent_seconds=1.5, reap_cron="* * * * * *")

_CREATE = sa.text("CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, times BIGINT NOT NULL)")
_NOTE = sa.text("INSERT INTO notes VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET times = notes.times + 1")
_TIMES = sa.text("SELECT times FROM notes WHERE id = :id")


def make_notes(db: Database) -> None:
    """A table that stands for business data."""
    with db.transaction() as tx:
        tx.execute(_CREATE)


def note(tx: Tx, subject: str) -> None:
    tx.execute(_NOTE, {"id": subject})


def times_noted(db: Database, subject: str) -> int:
    with db.read() as tx:
        return int(tx.execute(_TIMES, {"id": subject}).scalar() or 0)


def some_jobs(db: Database, before: Callable[[str], object] = lambda _subject: None) -> Jobs:
    """Jobs with one workflow, `note`: a step that calls `before`, then a transaction step that notes the subject."""
    make_notes(db)
    jobs = Jobs(db, pace=QUICK)
    jobs.add_queue(Queue("notes", worker_concurrency=4, polling_seconds=0.05))

    @jobs.step("note.before")
    def ask(subject: str) -> None:
        before(subject)

    @jobs.tx_step("note.write")
    def write(tx: Tx, subject: str) -> None:
        note(tx, subject)

    @jobs.workflow("note")
    def note_it(subject: str) -> None:
        ask(subject)
        write(subject)

    return jobs


@contextmanager
def working(jobs: Jobs) -> Iterator[Jobs]:
    jobs.start()
    try:
        yield jobs
    finally:
        jobs.stop()


def eventually(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether it becomes true in that time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
