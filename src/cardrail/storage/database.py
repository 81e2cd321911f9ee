"""Transactions, visible at the use case: ``with db.transaction() as tx`` commits, raising rolls back, and no other commit exists.

On SQLite every transaction of this process takes one fair lock before BEGIN, because the file has one writer: waiting in a queue is
cheaper than being refused. On SQLite several use cases may also share a commit (``group()``): then each is a savepoint, and whoever
runs the group answers nobody before the one commit.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeVar

import sqlalchemy as sa

from cardrail.kernel import OutcomeUnknown, Unavailable
from cardrail.storage.engines import make_engine
from cardrail.storage.faults import Fault, fault_of

T = TypeVar("T")
Tx = sa.Connection

TRIES_MAX = 5


class FairLock:
    """A lock that is handed over in the order of asking; a plain one lets a busy thread starve the others."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._held = False

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # Ctrl-C while waiting: the place in the queue must not be handed a lock that nobody gives back
            self._leave(turn)
            raise

    def __exit__(self, *_exc: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._waiting)

    def _leave(self, turn: threading.Lock) -> None:
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self.__exit__()


class Database:
    """One database, SQLite or PostgreSQL: where transactions begin and end."""

    def __init__(self, url: str, *, pool: int = 20) -> None:
        self.url = sa.make_url(url)
        self.engine = make_engine(self.url, pool=pool)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.write_lock = FairLock()
        self._local = threading.local()
        self._told: dict[str, list[Callable[[], object]]] = {}

    @property
    def backend(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite" if self.is_sqlite else "postgresql"

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction that writes. Leaving the block commits; raising rolls back.

        Raises OutcomeUnknown when the connection was lost during the commit itself. Inside ``group()`` it is a savepoint of the group.
        """
        grouped: Tx | None = getattr(self._local, "group", None)
        if grouped is not None:
            _check_open(grouped)
            with grouped.begin_nested():
                yield grouped
        elif self.is_sqlite:
            with self.write_lock, self._begin() as tx:
                yield tx
        else:
            with self._begin() as tx:
                yield tx

    @contextmanager
    def group(self) -> Iterator[Tx]:
        """One commit for every ``transaction()`` that this thread opens inside the block."""
        with self.transaction() as tx:
            self._local.group = tx
            try:
                yield tx
            finally:
                self._local.group = None

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent look at the database; nothing may be written. On SQLite it waits for no writer."""
        if self.is_sqlite:
            options: dict[str, Any] = {"sqlite_begin": "DEFERRED"}
        else:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.engine.connect() as connection, connection.execution_options(**options).begin():
            yield connection

    def when(self, mark: str, call: Callable[[], object]) -> Callable[[], None]:
        """Have ``call`` called after each commit of this process whose transaction was marked so (``mark_tx``); returns what ends it.

        It is called on the thread that committed, so it must be quick and raise nothing. Other processes' commits are not seen.
        """

        def end() -> None:
            self._told[mark] = [one for one in self._told[mark] if one != call]

        self._told[mark] = [*self._told.get(mark, []), call]
        return end

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[Tx]:
        with self.engine.connect() as connection:
            started = connection.begin()
            try:
                yield connection
            except BaseException:
                connection.info.pop(_MARKS, None)
                if started.is_active:
                    started.rollback()
                raise
            marks = connection.info.pop(_MARKS, ())
            if self.is_sqlite:
                _check_open(connection)
            try:
                started.commit()
            except Exception as error:
                if fault_of(error) is Fault.AWAY and not self.is_sqlite:
                    raise OutcomeUnknown from error
                if started.is_active:
                    started.rollback()
                raise
        for mark in marks:
            for call in self._told.get(mark, ()):
                call()


_MARKS: Final = "cardrail_marks"


def mark_tx(tx: Tx, mark: str) -> None:
    """Once this transaction is committed, tell those who asked for it by ``Database.when``."""
    tx.info.setdefault(_MARKS, set()).add(mark)


def _check_open(tx: Tx) -> None:
    """Whether SQLite still has the transaction that we believe to be in.

    A full disk or an I/O error makes it roll back the whole of it, not the statement; a commit after that would do nothing and say
    nothing, and a savepoint would become a transaction of its own. Raises Unavailable.
    """
    driver: Any = tx.connection.driver_connection
    if tx.dialect.name == "sqlite" and not driver.in_transaction:
        raise Unavailable


def in_tx(db: Database, work: Callable[[Tx], T], *, tries: int = TRIES_MAX) -> T:
    """Run ``work`` in a transaction, again if somebody was in the way (with jitter). It must have no other effects.

    Raises Unavailable when the database cannot answer: nothing was changed.
    """
    return retrying(lambda: _once(db, work), tries=tries)


def retrying(run: Callable[[], T], *, tries: int = TRIES_MAX) -> T:
    """Call ``run``, which owns its transaction, again after a serialization failure, a deadlock or a lock time-out."""
    for attempt in range(1, tries + 1):
        try:
            return run()
        except OutcomeUnknown:
            raise
        except Exception as error:
            fault = fault_of(error)
            if fault is Fault.AWAY or (fault is Fault.AGAIN and attempt == tries):
                raise Unavailable from error
            if fault is not Fault.AGAIN:
                raise
            time.sleep(random.uniform(0.001, 0.02) * 2**attempt)  # noqa: S311  # jitter, not a secret
    raise AssertionError("unreachable: the last try returns or raises")


def _once(db: Database, work: Callable[[Tx], T]) -> T:
    with db.transaction() as tx:
        return work(tx)
