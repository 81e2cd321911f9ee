"""One commit for what several threads write at the same time.

Background work on SQLite would otherwise pay a disk flush for each small transaction, and thirty threads would stand in the queue for
the file before the order lane. Here they have one place in that queue between them: whoever gets it does what the others have put down,
each in a savepoint of its own, and commits once. It lets go after some milliseconds, and sooner where somebody else waits for the file.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cardrail.storage.database import Database, Tx, in_tx

T = TypeVar("T")

GROUP_MAX: Final = 32
GROUP_MIN: Final = 2
"""What is done before others who wait for the file are let through."""
CONNECTIONS_MAX: Final = 8
"""Connections that these threads use at once on PostgreSQL: the others are for orders and readers."""
GROUP_SECONDS: Final = 0.012
"""How long the first of a group may have to wait for the last, before it is committed without it."""


@dataclass(slots=True, eq=False)
class _Entry:
    work: Callable[[Tx], Any]
    is_done: bool = False
    result: Any = None
    error: BaseException | None = None


class GroupWriter:
    """Transactions of many threads, on SQLite several to a commit; on PostgreSQL each on its own connection."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: deque[_Entry] = deque()
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def run(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` in a transaction, again if somebody was in the way; what it returns is committed. It must have no other effects.

        Raises what it raises, then nothing of it was written; Unavailable when the database cannot answer.
        """
        if not self._db.is_sqlite:
            with self._places:
                return in_tx(self._db, work)
        entry = _Entry(work)
        with self._guard:
            self._waiting.append(entry)
        with self._turn:
            while not entry.is_done:
                self._serve()
        if entry.error is not None:
            raise entry.error
        result: T = entry.result
        return result

    def _serve(self) -> None:
        """Do what waits, in the order in which it came, and commit it."""
        done: list[_Entry] = []
        try:
            with self._db.group():
                until = time.monotonic() + GROUP_SECONDS
                while len(done) < GROUP_MAX and time.monotonic() < until:
                    with self._guard:
                        entry = self._waiting.popleft() if self._waiting else None
                    if entry is None:
                        break
                    done.append(entry)
                    self._do(entry)
                    if len(done) >= GROUP_MIN and self._db.write_lock.is_wanted:
                        break
        except Exception:  # the commit of all failed: each on its own, so that only those that cannot be written fail
            for entry in done:
                self._do_alone(entry)
        except BaseException as fault:  # whoever waits must not wait for ever
            for entry in done:
                entry.error = fault
            raise
        finally:
            for entry in done:
                entry.is_done = True

    def _do(self, entry: _Entry) -> None:
        try:
            with self._db.transaction() as tx:
                entry.result = entry.work(tx)
        except Exception as error:  # raised where the work was handed in
            entry.error = error

    def _do_alone(self, entry: _Entry) -> None:
        entry.error = None
        try:
            entry.result = in_tx(self._db, entry.work)
        except Exception as error:  # likewise
            entry.error = error
