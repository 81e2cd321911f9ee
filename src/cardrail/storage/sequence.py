"""Positions: 1, 2, 3 … without gaps, one for each committed row of a table that is followed, in an order that a reader can rely on.

Ids are made before the first write, so a row that commits late has an id behind a reader's cursor. Positions are given by whoever holds
the series' own row until his commit: a reader who sees position n sees all of 1 … n, and whatever commits later comes after it.

On SQLite the writer himself gives them as he inserts, for the file has one writer at a time and commits in that order. On PostgreSQL he
does so too if the series' row is free at that moment; he never waits for it, for then every order would wait for the one before it. Rows
that were committed without a position before his he numbers first, so that nothing comes before what it followed. Where several nodes write
at the same time, and for rows out of an older release or a copy of another database, the sequencer does it a moment later.

Rows without a position are found by a partial index. It looks at ids of the last half minute, and every few seconds at all of them: a row
that commits an hour late has its place within seconds. (On PostgreSQL a long reader keeps the index's dead entries; looking at all of
them ten times a second would be slow.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql

from cardrail.kernel import CardrailError, first_body
from cardrail.storage.bulk import BulkInsert, driver_select
from cardrail.storage.database import Database, Tx, mark_tx
from cardrail.storage.schema import sequences

ROWS_MAX: Final = 2_000
"""Rows of one table in one pass: on SQLite the order lane waits while it is written, about ten milliseconds."""
PASS_SECONDS: Final = 0.1
RECENT_MILLIS: Final = 30_000
SWEEP_SECONDS: Final = 5.0
SWEEP_SHARE: Final = 20
"""A sweep that took long is repeated after this many times its own duration."""
REFUSED_MAX: Final = 3
"""Passes that may find the series' row taken by writers, before one waits for it."""
OUTAGE_SECONDS: Final = 1.0

log = structlog.get_logger("cardrail.sequencer")


class Series:
    """A table whose rows are followed by position. It has ``id`` (with this prefix), ``position``, and an index of rows without one.

    ``subject`` and ``step`` name the columns that order the rows of one subject, where rows have a subject: clocks of two processes
    differ, and with them the order of their ids, but a subject's second step always comes after its first.
    """

    def __init__(self, table: sa.Table, prefix: str, *, subject: str | None = None, step: str | None = None) -> None:
        self.name = table.name
        self.prefix = prefix
        waiting = table.c.position.is_(None)
        recent = table.c.id > sa.bindparam("floor")
        self.any_recent = _any(table, waiting, recent)
        self.any_at_all = _any(table, waiting)
        self.number_recent = _numbering(table, [waiting, recent], subject, step)
        self.number_all = _numbering(table, [waiting], subject, step)


def _any(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[bool]]:
    """Whether there is such a row. It asks for the first one: of EXISTS PostgreSQL thinks, while its statistics remember a backlog, that
    the whole table is read sooner than the index."""
    first = sa.select(table.c.id).where(*conditions).order_by(table.c.id).limit(sa.literal_column("1"))
    return sa.select(first.scalar_subquery().is_not(None))


def _numbering(table: sa.Table, conditions: Sequence[sa.ColumnElement[bool]], subject: str | None, step: str | None) -> sa.Update:
    """Give the first rows without a position the numbers after ``last``."""
    columns = [table.c.id] if subject is None or step is None else [table.c.id, table.c[subject], table.c[step]]
    some = sa.select(*columns).where(*conditions).order_by(table.c.id).limit(sa.bindparam("most", type_=sa.BigInteger)).subquery()
    if subject is None or step is None:
        order = [some.c.id]
    else:
        begun = sa.func.min(some.c.id).over(partition_by=some.c[subject]).label("begun")
        some = sa.select(some.c.id, some.c[step], begun).subquery()
        order = [some.c.begun, some.c[step], some.c.id]
    numbered = sa.select(some.c.id, sa.func.row_number().over(order_by=order).label("place")).subquery()
    return (
        sa.update(table)
        .where(table.c.id == numbered.c.id)
        .values(position=sa.bindparam("last", type_=sa.BigInteger) + numbered.c.place)
    )


class SequencedInsert(BulkInsert):
    """A bulk insert into a followed table: rows get their positions here, in the order given, where nobody has to wait for it."""

    def __init__(self, table: sa.Table, columns: Sequence[str], series: Series) -> None:
        super().__init__(table, columns)
        self._series = series
        self._with_position = BulkInsert(table, [*columns, "position"])
        self.take = _TAKE_IF_FREE.format(table=table.name)
        self._not_before = 0.0

    def __call__(self, tx: Tx, rows: Sequence[tuple[Any, ...]]) -> int:
        """Write the rows; returns how many."""
        if not rows:
            return 0
        name = self._series.name
        mark_tx(tx, f"{name} written")
        if tx.dialect.name == "sqlite":
            ((last,),) = driver_select(tx, _TAKE, (name, len(rows)))
            return self._number(tx, rows, last)
        taken = driver_select(tx, self.take, (len(rows), name)) if time.monotonic() >= self._not_before else []
        if not taken:
            mark_tx(tx, UNNUMBERED)
            return super().__call__(tx, rows)
        ((last, others_wait),) = taken
        if others_wait:
            before = _number_some(tx, self._series, last - len(rows), None, HELPED_MAX)
            last += before
            if before == HELPED_MAX:  # a backlog, which is for the sequencer
                self._not_before = time.monotonic() + BACKLOG_SECONDS
                tx.execute(_ADVANCE, {"of": name, "to": last - len(rows)})
                mark_tx(tx, UNNUMBERED)
                return super().__call__(tx, rows)
            tx.execute(_ADVANCE, {"of": name, "to": last})
        return self._number(tx, rows, last)

    def _number(self, tx: Tx, rows: Sequence[tuple[Any, ...]], last: int) -> int:
        return self._with_position(tx, [(*row, place) for place, row in enumerate(rows, last - len(rows) + 1)])


HELPED_MAX: Final = 256
"""Rows of others that a writer numbers before his own."""
BACKLOG_SECONDS: Final = 1.0
"""How long writers leave it to the sequencer where more of them wait."""
UNNUMBERED: Final = "rows without a position"

_TAKE: Final = (
    "INSERT INTO sequences (name, position) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET position = position + excluded.position RETURNING position"
)
"""The next places of a series, on SQLite, where its row is then ours until the commit."""

_TAKE_IF_FREE: Final = (
    "UPDATE sequences SET position = position + %s"
    " WHERE name = (SELECT name FROM sequences WHERE name = %s FOR UPDATE SKIP LOCKED)"
    " RETURNING position, (SELECT id FROM {table} WHERE position IS NULL ORDER BY id LIMIT 1) IS NOT NULL"
)
"""The same on PostgreSQL, and whether others wait; no row while another transaction has it, or before the sequencer first made it."""

_OPEN = postgresql.insert(sequences).values(name=sa.bindparam("of"), position=0).on_conflict_do_nothing()
_OF_SERIES = sa.select(sequences.c.position).where(sequences.c.name == sa.bindparam("of"))
_LOCK = _OF_SERIES.with_for_update(skip_locked=True)
_LOCK_PATIENTLY = _OF_SERIES.with_for_update()
_ADVANCE = sa.update(sequences).where(sequences.c.name == sa.bindparam("of")).values(position=sa.bindparam("to"))
_THROUGH = _OF_SERIES


def sequenced_through(tx: Tx, table: str) -> int:
    """The last position given in that table; 0 before the first. All of 1 … n are there for who sees n."""
    return int(tx.execute(_THROUGH, {"of": table}).scalar() or 0)


def is_waiting(tx: Tx, series: Series, floor: str | None) -> bool:
    """Whether a row has no position yet; ``floor`` bounds the look to younger ids."""
    found = tx.execute(series.any_at_all) if floor is None else tx.execute(series.any_recent, {"floor": floor})
    return bool(found.scalar_one())


def sequence_rows(tx: Tx, series: Series, floor: str | None = None, most: int = ROWS_MAX, *, patiently: bool = False) -> int:
    """Give the oldest rows without a position the next ones; how many. None while another transaction is at it, unless ``patiently``.

    Under READ COMMITTED the numbering's snapshot is taken after the series' row was locked, so it sees all that was numbered before.
    """
    last = tx.execute(_LOCK_PATIENTLY if patiently else _LOCK, {"of": series.name}).scalar()
    if last is None:
        # The first time ever, or another transaction has the row: then this waits for nobody and takes nothing.
        if tx.execute(_THROUGH, {"of": series.name}).scalar() is not None or not tx.execute(_OPEN, {"of": series.name}).rowcount:
            return 0
        last = 0
    count = _number_some(tx, series, last, floor, most)
    if count:
        tx.execute(_ADVANCE, {"of": series.name, "to": last + count})
        mark_tx(tx, f"{series.name} written")
    return count


def _number_some(tx: Tx, series: Series, last: int, floor: str | None, most: int) -> int:
    """Give the oldest rows without a position the places after ``last``; how many. The series' row is the caller's."""
    if floor is None:
        return tx.execute(series.number_all, {"last": last, "most": most}).rowcount
    return tx.execute(series.number_recent, {"last": last, "most": most, "floor": floor}).rowcount


@dataclass(slots=True)
class Sequencer:
    """The thread that does it in one process; of several processes one at a time has a series' row."""

    db: Database
    series: Sequence[Series]
    pass_seconds: float = PASS_SECONDS
    sweep_seconds: float = SWEEP_SECONDS
    rows_max: int = ROWS_MAX
    _stopping: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _next_sweep: float = 0.0
    _refused: int = 0
    """Passes one after the other that found the row taken."""
    _unhook: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin. What an earlier process left is found by the first sweep, at once."""
        self._stopping.clear()
        self._next_sweep = 0.0
        self._unhook = self.db.when(UNNUMBERED, self._wake.set)
        self._thread = threading.Thread(target=self._run, name="cardrail-sequencer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the pass at hand. Harmless if it was not started."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._wake.set()
            thread.join()
        if self._unhook is not None:
            self._unhook()

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def run_pass(self) -> int:
        """One look, and one transaction if there is something to number; the most rows that any table had."""
        started = time.monotonic()
        sweeping = started >= self._next_sweep
        now_millis = time.time_ns() // 1_000_000
        floors = {one.name: None if sweeping else f"{one.prefix}_{first_body(now_millis - RECENT_MILLIS)}" for one in self.series}
        with self.db.read() as tx:
            waiting = [one for one in self.series if is_waiting(tx, one, floors[one.name])]
        most = 0
        if waiting:
            with self.db.transaction() as tx:
                patiently = self._refused >= REFUSED_MAX
                most = max(sequence_rows(tx, one, floors[one.name], self.rows_max, patiently=patiently) for one in waiting)
        self._refused = self._refused + 1 if waiting and not most else 0
        if sweeping and most < self.rows_max:
            ended = time.monotonic()
            self._next_sweep = ended + max(self.sweep_seconds, SWEEP_SHARE * (ended - started))
        return most

    def _run(self) -> None:
        failing = False
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                full = self.run_pass() >= self.rows_max
            except Exception as error:  # a database that is away comes back; whatever else it is, readers must not wait for ever
                if not failing:
                    reason = error.code if isinstance(error, CardrailError) else type(error).__name__
                    log.warning("no positions can be given; trying again until it works", reason=reason)
                failing = True
                self._stopping.wait(OUTAGE_SECONDS)
                continue
            if failing:
                log.info("positions are given again")
                failing = False
            if full:  # behind a backlog (a migrated database, an outage) the writer is ours for half of the time at most
                self._stopping.wait(time.monotonic() - started)
            elif self._wake.wait(self.pass_seconds):  # rows that came after a rest are numbered at once, others in their turn
                self._wake.clear()
                self._stopping.wait(started + self.pass_seconds - time.monotonic())
