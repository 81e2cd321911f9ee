"""A job exists exactly if its cause was committed, and a key stands for one job."""

from __future__ import annotations

import pytest

from cardrail.jobs import Jobs, WorkerRunning
from cardrail.storage import Database, Tx
from tests.jobs.build import eventually, make_notes, note, some_jobs, times_noted, working


def test_a_job_runs_after_the_commit_that_wrote_it(db: Database) -> None:
    with working(some_jobs(db)) as jobs:
        with db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:a", "a")
        assert eventually(lambda: times_noted(db, "a") == 1)


def test_a_rolled_back_transaction_leaves_no_job(db: Database) -> None:
    with working(some_jobs(db)) as jobs:
        with pytest.raises(ZeroDivisionError), db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:lost", "lost")
            raise ZeroDivisionError
        with db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:kept", "kept")
        assert eventually(lambda: times_noted(db, "kept") == 1)
    assert times_noted(db, "lost") == 0


def test_a_key_enqueued_twice_runs_once(db: Database) -> None:
    with working(some_jobs(db)) as jobs:
        for subject in ("twice", "twice", "last"):
            with db.transaction() as tx:
                jobs.enqueue(tx, "note", "notes", f"note:{subject}", subject)
        assert eventually(lambda: times_noted(db, "last") == 1)
        with db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:twice", "twice")
            jobs.enqueue(tx, "note", "notes", "note:end", "end")
        assert eventually(lambda: times_noted(db, "end") == 1)
    assert times_noted(db, "twice") == 1


def test_a_delayed_job_waits(db: Database) -> None:
    with working(some_jobs(db)) as jobs:
        with db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:late", "late", delay=600)
            jobs.enqueue(tx, "note", "notes", "note:soon", "soon", delay=0.5)
        assert eventually(lambda: times_noted(db, "soon") == 1)
    assert times_noted(db, "late") == 0


def test_who_does_not_work_can_enqueue_for_who_does(db: Database) -> None:
    enqueuer = Jobs(db)
    enqueuer.prepare()
    with db.transaction() as tx:
        enqueuer.enqueue(tx, "note", "notes", "note:handed over", "handed over")
    with working(some_jobs(db)):
        assert eventually(lambda: times_noted(db, "handed over") == 1)


def test_a_failed_step_writes_nothing_and_the_others_go_on(db: Database) -> None:
    jobs = some_jobs(db)

    @jobs.tx_step("break.write")
    def write_and_fail(tx: Tx) -> None:
        note(tx, "broken")
        raise ZeroDivisionError

    @jobs.workflow("break")
    def break_it() -> None:
        write_and_fail()

    with working(jobs):
        with db.transaction() as tx:
            jobs.enqueue(tx, "break", "notes", "break:1")
            jobs.enqueue(tx, "note", "notes", "note:after", "after")
        assert eventually(lambda: times_noted(db, "after") == 1)
    assert times_noted(db, "broken") == 0


def test_without_a_worker_a_step_is_the_function_itself(db: Database) -> None:
    make_notes(db)
    jobs = Jobs(db)

    @jobs.tx_step("write")
    def write(tx: Tx, subject: str) -> None:
        note(tx, subject)

    write("plain")
    assert times_noted(db, "plain") == 1


def test_a_process_has_one_worker(db: Database) -> None:
    with working(some_jobs(db)), pytest.raises(WorkerRunning):
        Jobs(db).start()
