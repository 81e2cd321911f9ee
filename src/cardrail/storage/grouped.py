"""One commit for what several threads write at the same time.

Background work on SQLite would otherwise pay a disk flush for each small transaction, and thirty threads would stand in the queue for
the file before the order lane. Here they have one place in that queue between them: whoever gets it does what the others have put down,
each in a savepoint of its own, and commits once. It lets go after some milliseconds, and sooner where somebody else waits for the file.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from cardrail.kernel import OutcomeUnknown, Unavailable
from cardrail.storage.database import TRIES_MAX, Database, Tx, in_tx
from cardrail.storage.faults import Fault, fault_of

T = TypeVar("T")
Request = TypeVar("Request")
Outcome = TypeVar("Outcome")

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

    @property
    def has_row_locks(self) -> bool:
        """Whether somebody who is in the way of one transaction need not be in the way of another."""
        return not self._db.is_sqlite

    def run(self, work: Callable[[Tx], T], *, tries: int = TRIES_MAX) -> T:
        """Run ``work`` in a transaction, again if somebody was in the way; what it returns is committed. It must have no other effects.

        ``tries`` is for row locks. Raises what it raises, then nothing of it was written; Unavailable when the database cannot answer.
        """
        if self.has_row_locks:
            with self._places:
                return in_tx(self._db, work, tries=tries)
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


@dataclass(slots=True, eq=False)
class _Request:
    key: object
    request: Any
    is_done: bool = False
    is_left: bool = False
    """Whether it is for its own thread: somebody has a lock, for which the others need not wait."""
    outcome: Any = None
    error: BaseException | None = None


class BatchWriter(Generic[Request, Outcome]):
    """Requests of many threads to one handler, several at a time in one transaction: what it reads and writes, it does once for all.

    There is one transaction at a time, and nobody waits for others to come: who comes while it runs is in the next one. Requests of the
    same key are never in one transaction.
    """

    def __init__(self, writer: GroupWriter, most: int) -> None:
        self._writer = writer
        self._most = most
        self._waiting: deque[_Request] = deque()
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def run(self, key: object, request: Request, handler: Callable[[Tx, Sequence[Request]], Sequence[Outcome]]) -> Outcome:
        """The handler's outcome for this request, committed. It gives one for each, in order, and has no other effects.

        If it raises, nothing of the batch was written: then each is done alone, and this raises what its own request came to. So it is
        where somebody has locked what one of them needs, and then by its own thread, beside the next batch.
        Raises Unavailable when the database cannot answer, OutcomeUnknown when its answer to the commit was lost.
        """
        entry = _Request(key, request)
        with self._guard:
            self._waiting.append(entry)
        with self._turn:
            while not entry.is_done:
                self._serve(handler)
        if entry.error is not None:
            raise entry.error
        if entry.is_left:
            return self._writer.run(lambda tx: handler(tx, [request]))[0]
        outcome: Outcome = entry.outcome
        return outcome

    def _serve(self, handler: Callable[[Tx, Sequence[Request]], Sequence[Outcome]]) -> None:
        batch = self._next()
        try:
            self._write(batch, handler)
        except BaseException as fault:  # whoever waits must not wait for ever
            for entry in batch:
                entry.error = entry.error or fault
            raise
        finally:
            for entry in batch:
                entry.is_done = True

    def _next(self) -> list[_Request]:
        """The oldest that wait, each key once, in the order in which they came."""
        found: dict[object, _Request] = {}
        later: list[_Request] = []
        with self._guard:
            while self._waiting and len(found) < self._most:
                entry = self._waiting.popleft()
                if found.setdefault(entry.key, entry) is not entry:
                    later.append(entry)
            self._waiting.extendleft(reversed(later))
        return list(found.values())

    def _write(self, batch: list[_Request], handler: Callable[[Tx, Sequence[Request]], Sequence[Outcome]]) -> None:
        try:
            outcomes = self._writer.run(lambda tx: handler(tx, [one.request for one in batch]), tries=1)
        except Exception as error:  # raised where the requests were handed in, once each was tried alone
            if self._is_in_the_way(error):
                for entry in batch:
                    entry.is_left = True
            elif len(batch) == 1 or isinstance(error, (OutcomeUnknown, Unavailable)):
                for entry in batch:
                    entry.error = error
            else:
                for entry in batch:
                    self._write([entry], handler)
        else:
            for entry, outcome in zip(batch, outcomes, strict=True):
                entry.outcome = outcome

    def _is_in_the_way(self, error: Exception) -> bool:
        """Whether somebody has locked a row that perhaps only one of the requests is about."""
        return self._writer.has_row_locks and error.__cause__ is not None and fault_of(error.__cause__) is Fault.AGAIN
