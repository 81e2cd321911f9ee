"""Lanes: what arrives together is committed together.

A commit costs a disk flush, so a lane takes all that is waiting (bounded, and with no added delay: while one batch commits, the next
gathers), runs it in one transaction on its own thread, and resolves the callers' futures after the commit. On SQLite the same thread
also runs every other write of the process, several use cases to a commit, because the file has one writer anyway.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import structlog

from cardrail.kernel import CardrailError, OutcomeUnknown, QueueFull, Unavailable
from cardrail.storage.database import Database, retrying
from cardrail.storage.faults import Fault, fault_of

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")
T = TypeVar("T")

TASKS_MAX: Final = 64
"""Use cases that may share one commit on SQLite."""

log = structlog.get_logger("cardrail.lane")


@dataclass(slots=True)
class _Entry:
    """One waiting caller: what it asked for, and where its answer goes."""

    payload: Any
    future: Any
    loop: asyncio.AbstractEventLoop | None
    weight: int


class _Stop:
    """Put on the queue to end the thread."""


class Lane(Generic[Request, Outcome]):
    """Batches of requests to one handler, on one thread.

    The handler owns the transaction and returns an outcome per request, in order. If it raises, nothing of the batch was written: for
    a database that is away everybody gets Unavailable; otherwise the batch is halved until the request that cannot be served stands
    alone and fails alone.
    """

    def __init__(
        self,
        db: Database,
        handler: Callable[[Sequence[Request]], Sequence[Outcome]],
        *,
        weigh: Callable[[Request], int] = lambda _request: 1,
        batch_max: int = 256,
        weight_max: int = 2_000,
        queue_max: int = 4_096,
    ) -> None:
        self._db = db
        self._handler = handler
        self._weigh = weigh
        self._batch_max = batch_max
        self._weight_max = weight_max
        self._queue_max = queue_max
        self._arrivals: queue.SimpleQueue[_Entry | _Stop] = queue.SimpleQueue()
        self._requests: deque[_Entry] = deque()
        self._tasks: deque[_Entry] = deque()
        self._waiting = 0
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pool = None if db.is_sqlite else ThreadPoolExecutor(8, thread_name_prefix="cardrail-task")
        self._started = False
        self._closed = False
        self.on_batch: Callable[[int], None] | None = None
        """Told the size of each batch, for whoever measures."""

    def start(self) -> None:
        """Begin to serve. Entries put before are served first."""
        self._started = True
        self._thread = threading.Thread(target=self._serve, name="cardrail-lane", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve what is waiting, then end. Later requests are refused with Unavailable."""
        with self._guard:
            self._closed = True
            self._arrivals.put(_Stop())
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._pool is not None:
            self._pool.shutdown()

    @property
    def is_serving(self) -> bool:
        """Whether what is put on the lane will be answered."""
        return self._thread is not None and self._thread.is_alive() and not self._closed

    @property
    def waiting(self) -> int:
        """Requests taken and not yet answered."""
        return self._waiting

    def submit(self, request: Request, loop: asyncio.AbstractEventLoop | None = None) -> Any:
        """Put a request on the lane; the future gives its outcome after the commit. Raises QueueFull, having taken nothing.

        With ``loop`` the future is that loop's and this must be its thread; without, it is a concurrent.futures one.
        """
        future: Any = loop.create_future() if loop else Future()
        self._put(_Entry(request, future, loop, max(1, self._weigh(request))))
        return future

    async def run(self, use_case: Callable[[], T]) -> T:
        """Run another short use case that writes. On SQLite it shares the lane's thread and commits; elsewhere it gets a pool's thread."""
        loop = asyncio.get_running_loop()
        if self._pool is not None:
            return await loop.run_in_executor(self._pool, lambda: retrying(use_case))
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Entry(use_case, future, loop, 0))
        return await future

    def _put(self, entry: _Entry) -> None:
        """Take the entry, or refuse it whole: what was taken before ``stop`` is answered."""
        with self._guard:
            if self._closed or (self._started and not self.is_serving):
                raise Unavailable
            if self._waiting >= self._queue_max:
                raise QueueFull(retry_after=1)
            self._waiting += 1
            self._arrivals.put(entry)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        running = True
        while running or self._requests or self._tasks:
            running = self._gather(block=running and not self._requests and not self._tasks) and running
            batch = self._next_batch()
            if batch:
                self._finish(batch, self._place)
                if self.on_batch is not None:
                    with suppress(Exception):  # measuring is never worth an answer
                        self.on_batch(len(batch))
            tasks = [self._tasks.popleft() for _ in range(min(len(self._tasks), TASKS_MAX))]
            if tasks:
                self._finish(tasks, self._run_tasks)

    def _finish(self, entries: list[_Entry], work: Callable[[list[_Entry]], list[Any]]) -> None:
        """Do the work and answer everybody, whatever happens: a dead thread would leave all later callers waiting for ever."""
        outcomes: list[Any] = [OutcomeUnknown()] * len(entries)
        try:
            outcomes = work(entries)
        except BaseException as error:  # a panic of a native library is no Exception
            with suppress(Exception):
                log.critical("the lane survived a fault", error=type(error).__name__)
        finally:
            with self._guard:
                self._waiting -= len(entries)
            with suppress(Exception):
                self._answer(entries, outcomes)

    def _gather(self, *, block: bool) -> bool:
        """Move arrivals to their queues; False once told to stop."""
        try:
            entry = self._arrivals.get(block=block)
            while True:
                if isinstance(entry, _Stop):
                    return False
                (self._requests if entry.weight else self._tasks).append(entry)
                entry = self._arrivals.get_nowait()
        except queue.Empty:
            return True

    def _next_batch(self) -> list[_Entry]:
        batch: list[_Entry] = []
        weight = 0
        while self._requests and len(batch) < self._batch_max:
            weight += self._requests[0].weight
            if batch and weight > self._weight_max:
                break
            batch.append(self._requests.popleft())
        return batch

    def _place(self, batch: list[_Entry]) -> list[Any]:
        """An outcome or an exception for each entry."""
        try:
            return list(retrying(lambda: self._handler([entry.payload for entry in batch])))
        except CardrailError as error:
            if len(batch) == 1 or error.retryable:
                return [error] * len(batch)
            return self._place_halves(batch)
        except Exception as error:
            if len(batch) > 1:
                return self._place_halves(batch)
            with suppress(Exception):  # a log that cannot be written must not stop the lane
                log.exception("request failed alone")
            return [error]

    def _place_halves(self, batch: list[_Entry]) -> list[Any]:
        middle = len(batch) // 2
        return self._place(batch[:middle]) + self._place(batch[middle:])

    def _run_tasks(self, tasks: list[_Entry]) -> list[Any]:
        """Several use cases to a commit; one that raises loses its savepoint only, and nobody is answered before the commit."""
        results: list[Any] = []
        try:
            with self._db.group():
                results.extend([_outcome_of(task.payload) for task in tasks])
        except Exception as error:
            return [Unavailable() if fault_of(error) is not Fault.REQUEST else error] * len(tasks)
        return [Unavailable() if isinstance(one, Exception) and fault_of(one) is Fault.AWAY else one for one in results]

    def _answer(self, entries: list[_Entry], outcomes: list[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Any, Any]]] = {}
        for entry, outcome in zip(entries, outcomes, strict=True):
            if entry.loop is None:
                with suppress(InvalidStateError):  # cancelled at this very moment
                    _resolve([(entry.future, outcome)])
            else:
                by_loop.setdefault(entry.loop, []).append((entry.future, outcome))
        for loop, pairs in by_loop.items():
            with suppress(RuntimeError):  # the loop was closed: nobody is left to be told
                loop.call_soon_threadsafe(_resolve, pairs)


def _outcome_of(use_case: Callable[[], Any]) -> Any:
    try:
        return use_case()
    except Exception as error:  # it is its caller's, and raised there
        return error


def _resolve(pairs: list[tuple[Any, Any]]) -> None:
    for future, outcome in pairs:
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
