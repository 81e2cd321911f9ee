"""Chores run at their times, and what they leave behind is deleted in the end."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from cardrail.jobs import Chore, Jobs
from cardrail.jobs.retention import delete_finished
from cardrail.jobs.worker import make_client
from cardrail.storage import Database, make_engine
from tests.jobs.build import QUICK, eventually, some_jobs, times_noted, working


def test_a_chore_runs_at_its_times(db: Database) -> None:
    ran: list[int] = []
    jobs = Jobs(db, pace=QUICK)
    jobs.start([Chore("tick", "* * * * * *", lambda: ran.append(1))])
    assert eventually(lambda: len(ran) >= 2)
    jobs.stop()


def test_a_chore_that_fails_is_tried_again_at_its_next_time(db: Database) -> None:
    tries: list[int] = []

    def fail_once() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ZeroDivisionError

    jobs = Jobs(db, pace=QUICK)
    jobs.start([Chore("stumble", "* * * * * *", fail_once)])
    assert eventually(lambda: len(tries) >= 2)
    jobs.stop()


def test_a_chore_that_found_nothing_to_do_is_told_to_nobody_but_those_who_look_closely(db: Database) -> None:
    jobs, ran = Jobs(db, pace=QUICK), iter([3])
    with structlog.testing.capture_logs() as told:
        jobs.start([Chore("tick", "* * * * * *", lambda: next(ran, 0))])
        assert eventually(lambda: len([one for one in told if one["event"] == "chore done" and one["chore"] == "tick"]) >= 2)
        jobs.stop()
    levels = [one["log_level"] for one in told if one["event"] == "chore done" and one["chore"] == "tick"]
    assert levels == ["info", *["debug"] * (len(levels) - 1)]


def test_a_chore_of_an_older_release_no_longer_runs(db: Database) -> None:
    old: list[int] = []
    new: list[int] = []
    jobs = Jobs(db, pace=QUICK)
    jobs.start([Chore("old", "* * * * * *", lambda: old.append(1))])
    assert eventually(lambda: bool(old))
    jobs.stop()
    count = len(old)
    jobs.start([Chore("new", "* * * * * *", lambda: new.append(1))])
    assert eventually(lambda: len(new) >= 2)
    jobs.stop()
    assert len(old) == count


def test_old_finished_jobs_are_deleted_and_young_ones_stay(db: Database) -> None:
    with working(some_jobs(db)) as jobs:
        with db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:done", "done")
        assert eventually(lambda: times_noted(db, "done") == 1)
    engine = make_engine(db.url, for_dbos=True)
    client, now = make_client(engine), datetime.now(UTC)
    assert delete_finished(client, now - timedelta(days=1)) == 0
    assert delete_finished(client, now + timedelta(minutes=1)) >= 1
    assert delete_finished(client, now + timedelta(minutes=1)) == 0
    engine.dispose()


def test_the_library_does_not_advertise(
    db: Database, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with working(Jobs(db, pace=QUICK)):
        assert logging.getLogger("dbos").level == logging.WARNING
    told = capfd.readouterr()
    assert "console.dbos.dev" not in told.out + told.err + caplog.text
