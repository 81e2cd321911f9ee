"""The only module that touches DBOS. It is imported when something is started, because the library takes a second and a half.

The order of starting is the library's: engines, tables, workflows, the queues to listen to, launch, then queues and schedules.
On SQLite everything that the library writes waits for its turn at the process's one write lock (storage.turns).
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SQLAlchemyDatasource
from dbos import error as dbos_error
from dbos._sys_db import SystemDatabase
from sqlalchemy.orm import Session, sessionmaker

from cardrail.jobs.errors import JobFailed, WorkerRunning
from cardrail.jobs.logs import forward_library_log, log
from cardrail.jobs.model import Chore, Pace, Queue
from cardrail.jobs.nodes import Beat, new_node_id, take_over
from cardrail.jobs.retention import delete_old
from cardrail.jobs.work import Step, Work
from cardrail.kernel import CardrailError
from cardrail.storage import Database, FairLock, Fault, SharedTurn, fault_of, make_engine

NAME: Final = "cardrail"
SERIALIZER: Final = DBOSPortableJSONSerializer()
"""JSON: the library's default would be readable by this Python program only, and by this release of it."""
VERSION: Final = "1"
"""Stays: the library runs a job only under the version that took it, and ours go on across releases."""
CHORES: Final = "cardrail.chores"
CHORE_CONCURRENCY: Final = 4
SPARE_CONNECTIONS: Final = 16
"""For the library's own threads: its pollers, sweeper and scheduler."""
POSTGRES_POOL_MAX: Final = 20
ISOLATION: Final = {"sqlite": "SERIALIZABLE", "postgresql": "READ COMMITTED"}

_one_worker = threading.Lock()


class _WritingSession(Session):
    """The session of a transaction step. On SQLite it begins IMMEDIATE, while the library's look before it only reads."""

    def connection(self, bind_arguments: Any = None, execution_options: Any = None) -> sa.Connection:
        if execution_options is None:  # the step asks for the connection that the library opened
            return super().connection(bind_arguments)
        return super().connection(bind_arguments, {**execution_options, "sqlite_begin": "IMMEDIATE"})


@dataclass(slots=True)
class _Engines:
    """The library's own engine, and the one for transaction steps.

    On SQLite whoever waits for his turn holds a connection, and whoever has it may need another one: a transaction step asks the library
    whether the job is still its own. So there are more connections than threads, or they would wait for each other.
    """

    library: sa.Engine
    steps: sa.Engine
    owned: list[sa.Engine]

    @classmethod
    def of(cls, db: Database, threads: int = 0) -> _Engines:
        if not db.is_sqlite:
            library = make_engine(db.url, for_dbos=True, pool=min(threads + SPARE_CONNECTIONS, POSTGRES_POOL_MAX))
            return cls(library, db.engine, [library])
        turn = SharedTurn(db.write_lock, FairLock())
        library = make_engine(db.url, for_dbos=True, pool=threads + SPARE_CONNECTIONS, turn=turn)
        steps = make_engine(db.url, pool=threads + 1, turn=turn)
        return cls(library, steps.execution_options(sqlite_begin="DEFERRED"), [library, steps])

    def close(self) -> None:
        for engine in self.owned:
            engine.dispose()


@dataclass(slots=True)
class _Running:
    """How many jobs this process is in the middle of."""

    count: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one(self) -> Iterator[None]:
        with self.guard:
            self.count += 1
        try:
            yield
        finally:
            with self.guard:
                self.count -= 1


def make_client(engine: sa.Engine) -> DBOSClient:
    """The library's door for those who do not work: connects to nothing before it is asked to."""
    return DBOSClient(system_database_engine=engine, serializer=SERIALIZER, application_name=NAME, lazy=True)


def make_tables(db: Database) -> None:
    """Make the library's tables, or bring them to its release. A worker's launch does the same; a server without one needs them too.

    ``DBOS.migrate`` would open the SQLite file with another SQLite library than ours.
    """
    forward_library_log()
    engines = _Engines.of(db)
    try:
        system = SystemDatabase.create(
            system_database_url=_plain_url(db),
            engine_kwargs={},
            engine=engines.library,
            schema="dbos",
            serializer=SERIALIZER,
            executor_id=None,
            use_listen_notify=False,
        )
        system.run_migrations()
        system.destroy()
    finally:
        engines.close()


class Worker:
    """The running library. One to a process."""

    def __init__(self, work: Work, queues: Sequence[Queue], chores: Sequence[Chore], pace: Pace) -> None:
        self._work = work
        self._queues = [*queues, Queue(CHORES, CHORE_CONCURRENCY, pace.chores_seconds)]
        self._pace = pace
        self._running = _Running()
        self._node = "main" if work.db.is_sqlite else new_node_id()
        self._beat = None if work.db.is_sqlite else Beat(work.db, self._node, pace)
        self._chores = [*chores, *self._own_chores()]
        self._threads = sum(queue.worker_concurrency for queue in self._queues) + 2
        # Each schedule has a thread of its own.
        self._engines = _Engines.of(work.db, self._threads + len(self._chores))
        self._client = make_client(self._engines.library)

    @classmethod
    def start(cls, work: Work, queues: Sequence[Queue], chores: Sequence[Chore], pace: Pace) -> Worker:
        """Raises WorkerRunning."""
        if not _one_worker.acquire(blocking=False):
            raise WorkerRunning
        try:
            worker = cls(work, queues, chores, pace)
            try:
                worker._launch()
            except BaseException:
                worker._destroy()
                raise
        except BaseException:
            _one_worker.release()
            raise
        return worker

    def stop(self, wait_seconds: int) -> None:
        """Wait for the jobs in the middle of something, then let go. What is not done by then goes on at the next start."""
        until = time.monotonic() + wait_seconds
        # The library's own waiting takes a whole second even if there is nothing to wait for.
        self._destroy(wait_seconds if self._running.count else 0)
        while self._running.count and time.monotonic() < until:
            time.sleep(0.01)
        _one_worker.release()

    def _launch(self) -> None:
        db = self._work.db
        forward_library_log()
        DBOS(
            config={
                "name": NAME,
                "system_database_url": _plain_url(db),
                "system_database_engine": self._engines.library,
                "application_version": VERSION,
                "executor_id": self._node,
                "serializer": SERIALIZER,
                "use_listen_notify": False,
                "log_level": "WARNING",
                "max_executor_threads": self._threads,  # jobs taken up again after a crash come all at once
            }
        )
        self._bind_steps()
        for name, body in self._work.workflows.items():
            DBOS.workflow(name=name)(self._guarded(name, body))
        schedules = [(chore, self._chore_workflow(chore)) for chore in self._chores]
        DBOS.listen_queues([queue.name for queue in self._queues])
        if self._beat is not None:
            self._beat.start()
        DBOS.launch()
        for queue in self._queues:
            DBOS.register_queue(
                queue.name,
                worker_concurrency=queue.worker_concurrency,
                polling_interval_sec=queue.polling_seconds,
                partition_concurrency=queue.partition_concurrency,
                on_conflict="always_update",
            )
        kept = {chore.name for chore in self._chores}
        for known in DBOS.list_schedules():
            if known["schedule_name"] not in kept:  # a chore of an older release
                DBOS.delete_schedule(known["schedule_name"])
        DBOS.apply_schedules(
            [
                {"schedule_name": chore.name, "workflow_fn": body, "schedule": chore.cron, "queue_name": CHORES}
                for chore, body in schedules
            ]
        )

    def _destroy(self, wait_seconds: int = 0) -> None:
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=wait_seconds)
        for step in self._work.steps.values():
            step.call = step.plain
        if self._beat is not None:
            self._beat.stop()
        self._engines.close()

    # --- our functions, made durable ---

    def _bind_steps(self) -> None:
        datasource = SQLAlchemyDatasource.create(
            _plain_url(self._work.db),
            engine=self._engines.steps,
            serializer=SERIALIZER,
            sessionmaker=sessionmaker(class_=_WritingSession),
        )
        for step in self._work.steps.values():
            step.call = self._tx_step(datasource, step) if step.in_transaction else self._step(step)

    def _step(self, step: Step) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with _told(step.name):
                return step.function(*args, **kwargs)

        return DBOS.step(name=step.name)(run)

    def _tx_step(self, datasource: SQLAlchemyDatasource, step: Step) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with _told(step.name):
                return step.function(datasource.sql_session().connection(), *args, **kwargs)

        durable = datasource.transaction(name=step.name, isolation_level=ISOLATION[self._work.db.backend])  # type: ignore[call-overload]  # a Literal
        return durable(run)  # type: ignore[no-any-return]  # likewise: the library's type is lost with it

    def _guarded(self, name: str, body: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with self._running.one(), _told(name):
                return body(*args, **kwargs)

        return run

    def _chore_workflow(self, chore: Chore) -> Callable[[datetime, Any], None]:
        """A job without steps: it is begun again from its start, which its use case allows, and costs fewer commits."""

        def run(_at: datetime, _context: Any) -> None:
            with self._running.one(), _told(chore.name):
                started = time.monotonic()
                result = chore.run()
                tell = log.info if result else log.debug  # most find nothing to do, every few seconds
                tell("chore done", chore=chore.name, result=result, seconds=round(time.monotonic() - started, 3))

        return DBOS.workflow(name=f"chore.{chore.name}")(run)

    def _own_chores(self) -> list[Chore]:
        def delete_old_jobs() -> int:
            return delete_old(
                self._client, datetime.now(UTC), jobs_days=self._pace.retain_days, chores_days=self._pace.retain_chores_days
            )

        own = [Chore("old-jobs", "17 3 * * *", delete_old_jobs)]
        beat = self._beat
        if beat is not None:
            own.append(Chore("reap", self._pace.reap_cron, lambda: take_over(self._work.db, self._client, beat, self._pace)))
        return own


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Log a failure, and let the library keep no more of it than its kind.

    What the library itself raises, and what a repeat can heal, must reach it as it is. The log gets the places, not the message: a
    database error's message holds the values of its statement. One line, because a transaction may be open.
    """
    try:
        yield
    except (dbos_error.DBOSException, JobFailed):
        raise
    except Exception as error:
        if isinstance(error, sa.exc.DBAPIError) and fault_of(error) is not Fault.REQUEST:
            raise
        reason = error.code if isinstance(error, CardrailError) else type(error).__name__
        places = [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in traceback.extract_tb(error.__traceback__)[-6:]]
        log.error("job failed", job=name, reason=reason, places=places)  # see above
        raise JobFailed(job=name, reason=reason) from None


def _plain_url(db: Database) -> str:
    return db.url.render_as_string(hide_password=False)
