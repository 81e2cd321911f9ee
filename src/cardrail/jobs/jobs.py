"""``Jobs``: what the rest of the program sees of durable work.

A job is a row that is written in the transaction that causes it, so there is a job exactly if there is a cause. Its id is a business key
(``order:ord_…``): enqueued twice, it runs once. A worker takes it, remembers each step that was done, and after a crash goes on behind the
last of them. Arguments and results are stored in clear: ids and small states only, never a code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from cardrail.jobs.model import Chore, Pace, Queue
from cardrail.jobs.work import Work
from cardrail.storage import Database, Tx

if TYPE_CHECKING:
    from dbos import DBOSClient

    from cardrail.jobs.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")

STOP_SECONDS: Final = 20
"""How long a worker that is told to stop waits for what it is doing; the rest goes on at the next start."""


class Jobs:
    """The jobs of one process. Register first, then ``prepare`` (whoever enqueues) or ``start`` (whoever also works)."""

    def __init__(self, db: Database, *, pace: Pace | None = None) -> None:
        self.db = db
        self.pace = pace or Pace()
        self._work = Work(db)
        self._queues: dict[str, Queue] = {}
        self._guard = threading.Lock()
        self._client: DBOSClient | None = None
        self._worker: Worker | None = None

    # --- what there is to do ---

    def add_queue(self, queue: Queue) -> None:
        """A queue that this process's worker listens to."""
        self._queues[queue.name] = queue

    def workflow(self, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register the body of a job: deterministic, calling steps for everything else.

        A name ships one release before anything enqueues it: a worker that does not know a name cannot run it. A body that may be in flight
        is changed by registering a new name.
        """
        return lambda function: self._work.add_workflow(name, function)

    def step(self, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register a step that reaches outside or owns its transactions: done at least once, so a repeat must do no harm.

        It returns its outcome instead of raising it: a failure is remembered without its type.
        """
        return lambda function: self._work.add_step(name, function)

    def tx_step(self, name: str) -> Callable[[Callable[Concatenate[Tx, P], R]], Callable[P, R]]:
        """Register a step that is one transaction, its first argument: its writes and its being done are one commit, exactly once.

        Inside it nothing may open a second transaction of this database: on SQLite that would wait for itself.
        """
        return lambda function: self._work.add_tx_step(name, function)

    # --- who enqueues ---

    def prepare(self) -> None:
        """Import the library (a second and a half) and make its tables, so that ``enqueue`` is quick. Starts nothing."""
        from cardrail.jobs.worker import make_client, make_tables

        with self._guard:
            if self._client is None:
                make_tables(self.db)
                self._client = make_client(self.db.engine)

    def enqueue(
        self, tx: Tx, name: str, queue: str, key: str, *args: Any, delay: float = 0.0, partition: str | None = None
    ) -> None:
        """Write a job in the caller's transaction: it exists from that commit on, or never did. A key that was used is a silent no-op.

        ``delay`` in seconds. ``partition`` where the queue has partitions, and only there. Call ``prepare`` at start-up.
        """
        if self._client is None:
            raise RuntimeError("call Jobs.prepare() at start-up, outside any transaction")
        options: dict[str, Any] = {"workflow_name": name, "queue_name": queue, "workflow_id": key}
        if delay:
            options["delay_seconds"] = delay
        if partition is not None:
            options["queue_partition_key"] = partition
        self._client.enqueue_in_transaction(tx, options, *args)  # type: ignore[arg-type]  # a TypedDict, filled by need

    # --- who works ---

    def start(self, chores: Sequence[Chore] = ()) -> None:
        """Begin to work: take over what this worker left at its last end, listen to the queues, keep the chores' times.

        Raises WorkerRunning if this process has a worker already.
        """
        from cardrail.jobs.worker import Worker

        self.prepare()
        self._worker = Worker.start(self._work, list(self._queues.values()), chores, self.pace)

    def stop(self, wait_seconds: int = STOP_SECONDS) -> None:
        """Finish what is being done, at most so long, and take nothing new. Harmless if nothing was started."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(wait_seconds)

    @property
    def is_prepared(self) -> bool:
        """Whether ``enqueue`` may be called."""
        return self._client is not None

    @property
    def is_running(self) -> bool:
        """Whether this process works."""
        return self._worker is not None
