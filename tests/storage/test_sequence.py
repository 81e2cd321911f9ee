"""Positions: who follows them sees every row once, in order, however late it committed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.waiting import PATIENCE_SECONDS, wait_until

from cardrail.kernel import Mode, first_body, new_body, new_event_id
from cardrail.storage import (
    EVENT_COLUMNS,
    EVENT_SERIES,
    Database,
    Sequencer,
    Tx,
    bulk_insert,
    driver_select,
    events,
    in_tx,
    insert_events,
    sequence_rows,
    sequenced_through,
)


def an_event(subject: str = "ord_1", step: int = 1, *, event_id: str | None = None, partner: str = "par_1") -> tuple[object, ...]:
    return (
        event_id or new_event_id(),
        "order.fulfilled",
        partner,
        Mode.LIVE.value,
        subject,
        step,
        None,
        None,
        None,
        "test",
        1,
        None,
    )


insert_without_position = bulk_insert(events, *EVENT_COLUMNS)
"""As every writer on PostgreSQL does, and as an older release did on SQLite."""


def write(db: Database, *rows: tuple[object, ...]) -> None:
    in_tx(db, lambda tx: insert_without_position(tx, list(rows)))


def a_sequencer(db: Database, **pace: float) -> Sequencer:
    return Sequencer(db, [EVENT_SERIES], **pace)  # type: ignore[arg-type]  # the pace's names


def followed(db: Database, after: int = 0) -> list[tuple[int, str]]:
    rows = sa.select(events.c.position, events.c.id).where(events.c.position > after).order_by(events.c.position)
    with db.read() as tx:
        return [(position, event_id) for position, event_id in tx.execute(rows)]


@contextmanager
def running(sequencer: Sequencer) -> Iterator[None]:
    sequencer.start()
    try:
        yield
    finally:
        sequencer.stop()


def test_rows_are_numbered_from_one_without_gaps(db: Database) -> None:
    write(db, *[an_event(f"ord_{n}") for n in range(5)])
    assert a_sequencer(db).run_pass() == 5
    write(db, an_event("ord_9"))
    a_sequencer(db).run_pass()
    assert [position for position, _ in followed(db)] == [1, 2, 3, 4, 5, 6]
    with db.read() as tx:
        assert sequenced_through(tx, "events") == 6


def test_on_sqlite_the_writer_numbers_his_own_rows_in_the_order_given(db: Database) -> None:
    rows = [an_event(f"ord_{n}") for n in range(3)]
    in_tx(db, lambda tx: insert_events(tx, rows[:2]))
    in_tx(db, lambda tx: insert_events(tx, rows[2:]))
    assert a_sequencer(db).run_pass() == (0 if db.is_sqlite else 3)
    assert followed(db) == [(place, row[0]) for place, row in enumerate(rows, 1)]


def begun(db: Database) -> Database:
    """A database whose series has begun: the first position ever is the sequencer's to give, on PostgreSQL."""
    write(db, an_event("ord_0"))
    a_sequencer(db).run_pass()
    return db


def test_the_writer_numbers_his_own_rows_where_nobody_else_is_at_it(db: Database) -> None:
    rows = [an_event(f"ord_{n}") for n in range(1, 21)]
    in_tx(begun(db), lambda tx: insert_events(tx, rows))
    assert followed(db, 1) == [(place, row[0]) for place, row in enumerate(rows, 2)]
    assert a_sequencer(db).run_pass() == 0


def test_what_was_committed_without_a_position_comes_before_a_later_writers_rows(db: Database) -> None:
    if begun(db).is_sqlite:
        return  # there only old releases wrote such rows
    write(db, an_event("ord_1", 2), an_event("ord_2"))
    late = an_event("ord_1", 3, event_id=f"evt_{first_body(1_000)}")
    in_tx(db, lambda tx: insert_events(tx, [late]))
    assert (len(followed(db)), followed(db)[-1]) == (4, (4, late[0]))


def test_a_writer_who_finds_a_backlog_leaves_it_and_his_own_rows_to_the_sequencer(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if begun(db).is_sqlite:
        return
    monkeypatch.setattr("cardrail.storage.sequence.HELPED_MAX", 3)
    monkeypatch.setattr("cardrail.storage.sequence.BACKLOG_SECONDS", 0.0)
    waiting = [an_event(f"ord_{n}") for n in range(1, 6)]
    write(db, *waiting)
    own = an_event("ord_9")
    in_tx(db, lambda tx: insert_events(tx, [own]))
    assert [event_id for _, event_id in followed(db, 1)] == [row[0] for row in waiting[:3]]
    assert a_sequencer(db).run_pass() == 3
    assert followed(db)[-1] == (7, own[0])


def test_a_writer_waits_for_no_other_writer(db: Database) -> None:
    if begun(db).is_sqlite:
        return  # there the file has one at a time
    with db.transaction() as mine:
        insert_events(mine, [an_event("ord_1")])
        in_tx(db, lambda theirs: insert_events(theirs, [an_event("ord_2")]))
        assert [position for position, _ in followed(db)] == [1]  # neither is before the other, and no gap is seen
    assert [position for position, _ in followed(db)] == [1, 2]
    assert a_sequencer(db).run_pass() == 1


def test_the_server_notices_within_a_minute_that_a_node_with_locks_is_gone(db: Database) -> None:
    if db.is_sqlite:
        return  # there the file's lock ends with its process
    asked = "SELECT name, reset_val FROM pg_settings WHERE name LIKE 'tcp_%' ORDER BY name"  # over a socket file none is in force
    with db.read() as tx:
        found = {row.name: int(row.reset_val) for row in tx.execute(sa.text(asked))}
    assert found["tcp_keepalives_idle"] + found["tcp_keepalives_interval"] * found["tcp_keepalives_count"] == 60
    assert found["tcp_user_timeout"] == 60_000


def test_a_commit_is_in_the_log_before_it_is_acknowledged_also_where_the_server_would_not_wait(db: Database) -> None:
    setting = "PRAGMA synchronous" if db.is_sqlite else "SHOW synchronous_commit"  # the tests' own server has it off
    with db.read() as tx:
        assert tx.execute(sa.text(setting)).scalar_one() in (2, "on")


def test_who_asked_is_told_of_a_commit_and_of_no_rollback(db: Database) -> None:
    told: list[int] = []
    end = db.when("events written", lambda: told.append(len(followed(db))))
    with pytest.raises(_Never), db.transaction() as tx:
        insert_events(tx, [an_event("ord_1")])
        raise _Never
    with db.transaction():
        pass
    assert told == []
    in_tx(begun(db), lambda tx: insert_events(tx, [an_event("ord_2")]))
    end()
    in_tx(db, lambda tx: insert_events(tx, [an_event("ord_3")]))
    assert told[-1:] == [2]  # and what was committed is there to be read


def test_a_place_that_was_rolled_back_is_given_again(db: Database) -> None:
    with pytest.raises(_Never), db.transaction() as tx:
        insert_events(tx, [an_event("ord_1")])
        raise _Never
    in_tx(db, lambda tx: insert_events(tx, [an_event("ord_2")]))
    a_sequencer(db).run_pass()
    assert [position for position, _ in followed(db)] == [1]


def test_a_subjects_steps_keep_their_order_whatever_two_clocks_said(db: Database) -> None:
    early, late = f"evt_{first_body(1_000)}", f"evt_{first_body(2_000)}"
    write(db, an_event("ord_1", 1, event_id=late), an_event("ord_1", 2, event_id=early))
    a_sequencer(db).run_pass()
    assert [event_id for _, event_id in followed(db)] == [late, early]


def test_a_pass_is_bounded_and_the_next_goes_on(db: Database) -> None:
    write(db, *[an_event(f"ord_{n}") for n in range(25)])
    sequencer = a_sequencer(db, rows_max=10)
    assert [sequencer.run_pass() for _ in range(4)] == [10, 10, 5, 0]


def test_a_row_that_commits_an_hour_late_has_its_place_at_the_next_sweep(db: Database) -> None:
    write(db, an_event("ord_2"))
    sequencer = a_sequencer(db, sweep_seconds=3_600)
    sequencer.run_pass()
    hour_ago = f"evt_{first_body(1_000_000)}"
    write(db, an_event("ord_1", event_id=hour_ago))
    assert sequencer.run_pass() == 0  # too old for the quick look
    assert a_sequencer(db).run_pass() == 1
    assert followed(db)[-1] == (2, hour_ago)


def test_while_another_process_gives_positions_nobody_waits(db: Database) -> None:
    write(db, an_event("ord_1"))
    a_sequencer(db).run_pass()
    write(db, an_event("ord_2"))
    if db.is_sqlite:  # there the whole file is the lock
        return
    with db.transaction() as mine:
        assert sequence_rows(mine, EVENT_SERIES) == 1
        with db.transaction() as theirs:
            assert sequence_rows(theirs, EVENT_SERIES) == 0


def test_nothing_is_written_while_there_is_nothing_to_number(db: Database) -> None:
    a_sequencer(db).run_pass()
    with db.read() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM sequences")).scalar_one() == 0


def test_the_sequencer_outlives_an_outage(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    write(db, an_event("ord_1"))
    read, refused = db.read, threading.Event()

    def away() -> object:
        refused.set()
        raise OSError("the database is away")

    monkeypatch.setattr("cardrail.storage.sequence.OUTAGE_SECONDS", 0.01)
    monkeypatch.setattr(db, "read", away)
    with running(a_sequencer(db, pass_seconds=0.01)):
        assert refused.wait(PATIENCE_SECONDS)
        monkeypatch.setattr(db, "read", read)
        wait_until(lambda: followed(db))


@pytest.mark.parametrize("table", ["events", "transfers"])
def test_rows_without_a_position_are_found_by_their_own_index(db: Database, table: str) -> None:
    sql = f"SELECT id FROM {table} WHERE position IS NULL AND id > 'x' ORDER BY id LIMIT 9"
    with db.read() as tx:
        if not db.is_sqlite:
            tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = str(tx.execute(sa.text(("EXPLAIN QUERY PLAN " if db.is_sqlite else "EXPLAIN ") + sql)).all())
    assert f"ix_{table}_unsequenced" in plan


def test_a_backlog_that_the_planner_remembers_lets_no_writer_read_the_whole_table(db: Database) -> None:
    if db.is_sqlite:
        return  # there the writer does not look
    write(db, *[an_event(f"ord_{n}") for n in range(500)])
    in_tx(db, lambda tx: tx.execute(sa.text("ANALYZE events")))
    a_sequencer(db).run_pass()
    with db.read() as tx:
        plans = [
            str(driver_select(tx, f"EXPLAIN {insert_events.take}", (1, "events"))),
            str(tx.execute(sa.text(f"EXPLAIN {EVENT_SERIES.any_at_all}")).all()),
            str(tx.execute(sa.text(f"EXPLAIN {EVENT_SERIES.any_recent}"), {"floor": "evt_"}).all()),
        ]
    assert [("Seq Scan on events" in one, "ix_events_unsequenced" in one) for one in plans] == [(False, True)] * 3


def test_readers_who_follow_see_each_row_once_and_in_order_with_many_writers_and_two_sequencers(
    db: Database, full_counts: bool
) -> None:
    writers, rows = (6, 400) if full_counts else (4, 60)
    seen: list[tuple[int, str]] = []
    done = threading.Event()
    threads = [threading.Thread(target=_write_some, args=(db, f"w{n}", rows, random.Random(n))) for n in range(writers)]
    reader = threading.Thread(target=_follow, args=(lambda after: followed(db, after), seen, done))
    sequencers = [a_sequencer(db, pass_seconds=0.001, sweep_seconds=0.02, rows_max=7) for _ in range(2)]
    with running(sequencers[0]), running(sequencers[1]):
        for one in [reader, *threads]:
            one.start()
        for one in threads:
            one.join()
        number_all(db)
        done.set()
        reader.join()
    with db.read() as tx:
        written = [str(event_id) for event_id in tx.execute(sa.select(events.c.id)).scalars()]
    assert [position for position, _ in seen] == list(range(1, writers * rows + 1))
    assert sorted(event_id for _, event_id in seen) == sorted(written)


NODE = "a-node"
"""What such a process calls itself at PostgreSQL, which may go on with its last statement when it is gone."""


def number_all(db: Database) -> None:
    """Until every row has its position, whoever gives it: another sequencer, or one that died, may have the series' row as yet."""
    theirs = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name")

    def is_done() -> bool:
        a_sequencer(db).run_pass()
        with db.read() as tx:
            if not db.is_sqlite and tx.execute(theirs, {"name": NODE}).scalar_one():
                return False
            return not tx.execute(sa.select(events.c.id).where(events.c.position.is_(None)).limit(1)).all()

    wait_until(is_done)


@contextmanager
def a_node(db: Database, seed: int) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that writes and gives positions; it is killed at the end."""
    url = db.url if db.is_sqlite else db.url.update_query_dict({"application_name": NODE})
    command = [sys.executable, "-m", "tests.storage.node", url.render_as_string(hide_password=False), str(seed)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_readers_who_follow_see_each_row_once_while_processes_that_write_are_killed(
    db: Database, full_counts: bool, proved: Callable[[str], None]
) -> None:
    kills, apart = (40, 1_000) if full_counts else (2, 100)
    seen: list[tuple[int, str]] = []
    done = threading.Event()
    reader = threading.Thread(target=_follow, args=(lambda after: followed(db, after), seen, done))
    reader.start()
    try:
        with ExitStack() as stack:
            nodes = [stack.enter_context(a_node(db, n)) for n in range(3)]
            for n in range(kills):
                at = len(seen) + apart
                wait_until(lambda at=at: len(seen) >= at, 120)  # type: ignore[misc]
                nodes[n % 3].kill()
                nodes[n % 3] = stack.enter_context(a_node(db, 3 + n))
        number_all(db)
    finally:
        done.set()
        reader.join()
    by_id = {event_id: place for place, event_id in seen}
    with db.read() as tx:
        written = tx.execute(sa.select(events.c.id).order_by(events.c.subject_id, events.c.subject_seq)).scalars().all()
        subjects = {one.id: one.subject_id for one in tx.execute(sa.select(events.c.id, events.c.subject_id))}
    assert [place for place, _ in seen] == list(range(1, len(written) + 1))
    assert sorted(written, key=lambda one: (subjects[one], by_id[one])) == list(written)
    proved(f"{db.backend}: {len(seen):,} events of 3 processes, {kills} times one was killed, each seen once and in order")


def _write_some(db: Database, name: str, rows: int, rng: random.Random) -> None:
    """Ids made early, commits late: some transactions stay open while others go by, some roll back."""
    step = 0
    while step < rows:
        some = [an_event(name, step + n + 1, event_id=f"evt_{new_body()}") for n in range(min(rng.randint(1, 9), rows - step))]

        def work(tx: Tx, some: list[tuple[object, ...]] = some) -> None:
            insert_events(tx, some)
            if not db.is_sqlite:
                tx.execute(sa.text("SELECT pg_sleep(:s)"), {"s": rng.random() * 0.02})
            if rng.random() < 0.2:
                raise _Never

        try:
            in_tx(db, work)
            step += len(some)
        except _Never:
            continue


class _Never(Exception):
    """A use case that changes its mind."""


def _follow(read: Callable[[int], list[tuple[int, str]]], seen: list[tuple[int, str]], done: threading.Event) -> None:
    while True:
        ending = done.is_set()
        found = read(seen[-1][0] if seen else 0)
        seen.extend(found)
        if ending and not found:
            return
