"""A real worker is killed in the middle of a step: the step is repeated, and its result is there once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from cardrail.jobs import Jobs
from cardrail.jobs.nodes import Beat, take_over
from cardrail.jobs.tables import nodes
from cardrail.jobs.worker import make_client
from cardrail.storage import Database, make_engine
from tests.jobs.build import QUICK, eventually, make_notes, some_jobs, times_noted, working


@contextmanager
def worker_process(db: Database, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "started").unlink(missing_ok=True)
    url = db.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.worker_process", url, str(folder)], cwd=Path(__file__).parents[2]
    )
    try:
        assert eventually((folder / "started").exists)
        yield process
    finally:
        process.kill()
        process.wait()


def marks(folder: Path) -> list[str]:
    path = folder / "marks"
    return path.read_text().split() if path.exists() else []


def kill_in_a_step(db: Database, folder: Path) -> None:
    make_notes(db)
    jobs = Jobs(db)
    jobs.prepare()
    (folder / "hang").touch()
    with worker_process(db, folder) as process:
        with db.transaction() as tx:
            jobs.enqueue(tx, "note", "notes", "note:x", "x")
        assert eventually(lambda: marks(folder) == ["x"])
        process.kill()
    (folder / "hang").unlink()
    assert times_noted(db, "x") == 0


@pytest.mark.chaos
def test_after_a_kill_in_a_step_the_step_is_repeated_and_its_result_is_there_once(db: Database, tmp_path: Path) -> None:
    kill_in_a_step(db, tmp_path)
    with worker_process(db, tmp_path):
        assert eventually(lambda: times_noted(db, "x") == 1)
    assert marks(tmp_path) == ["x", "x"]


@pytest.mark.chaos
@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_silent_workers_job_is_taken_over_by_one_that_lives(db: Database, tmp_path: Path) -> None:
    asked: list[str] = []
    kill_in_a_step(db, tmp_path)
    with working(some_jobs(db, asked.append)):
        assert eventually(lambda: times_noted(db, "x") == 1)
    assert asked == ["x"]


@pytest.mark.chaos
@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_living_workers_job_is_left_to_it(db: Database, tmp_path: Path) -> None:
    make_notes(db)
    (tmp_path / "hang").touch()
    engine = make_engine(db.url, for_dbos=True)
    client = make_client(engine)
    with worker_process(db, tmp_path):
        enqueuer = Jobs(db)
        enqueuer.prepare()
        with db.transaction() as tx:
            enqueuer.enqueue(tx, "note", "notes", "note:slow", "slow")
        assert eventually(lambda: marks(tmp_path) == ["slow"])
        began = last_beat(db)
        assert eventually(lambda: last_beat(db) > began), "it goes on saying that it lives"
        assert take_over(db, client, a_steady_beat(db), replace(QUICK, silent_seconds=60)) == 0
        (tmp_path / "hang").unlink()
        assert eventually(lambda: times_noted(db, "slow") == 1)
    assert marks(tmp_path) == ["slow"]
    client.destroy()
    engine.dispose()


def last_beat(db: Database) -> int:
    with db.read() as tx:
        return int(tx.execute(sa.select(nodes.c.seen)).scalar_one())


def a_steady_beat(db: Database) -> Beat:
    """Of a worker that has been heard all the time, and may tell who is silent."""
    beat = Beat(db, "us", replace(QUICK, silent_seconds=60))
    beat._steady_since -= 60
    assert beat.is_steady
    return beat
