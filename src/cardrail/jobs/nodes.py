"""Who lives, on PostgreSQL, where any number of workers share the jobs: a beat from each, and a reaper of what silent ones left.

A worker that was only cut off for a while finds its jobs taken: the library refuses its late results, and whatever it did outside is done
again, which is why a step that reaches outside asks first.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from cardrail.jobs import store
from cardrail.jobs.logs import log
from cardrail.jobs.model import Pace
from cardrail.storage import Database

if TYPE_CHECKING:
    from dbos import DBOSClient

FORGET_MICROS = 24 * 3_600 * 1_000_000
PENDING_MAX = 1_000
"""Jobs that one look may take over; the next look is seconds away."""


def new_node_id() -> str:
    """A name that no other worker has or had."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Beat:
    """A thread that says every few seconds that this worker lives."""

    def __init__(self, db: Database, node: str, pace: Pace) -> None:
        self._db = db
        self._node = node
        self._pace = pace
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cardrail-beat", daemon=True)
        self._last = self._steady_since = time.monotonic()

    def start(self) -> None:
        """The first beat is there before this returns: a worker without one would be taken for dead."""
        self._touch()
        self._thread.start()

    def stop(self) -> None:
        """Jobs that this worker leaves behind are free for others at once."""
        self._stopping.set()
        self._thread.join()
        try:
            with self._db.transaction() as tx:
                store.forget(tx, self._node)
        except Exception as error:
            log.warning("could not sign off; others will notice by the silence", error=type(error).__name__)

    @property
    def is_steady(self) -> bool:
        """Whether this worker has itself been heard without a gap: who was cut off cannot tell who else is silent."""
        now = time.monotonic()
        return now - self._last < self._pace.silent_seconds / 2 and now - self._steady_since >= self._pace.silent_seconds

    def _run(self) -> None:
        while not self._stopping.wait(self._pace.beat_seconds):
            try:
                self._touch()
            except Exception as error:
                log.warning("beat failed", error=type(error).__name__)

    def _touch(self) -> None:
        with self._db.transaction() as tx:
            store.touch(tx, self._node)
        now = time.monotonic()
        if now - self._last > self._pace.silent_seconds / 2:
            self._steady_since = now
        self._last = now


def take_over(db: Database, client: DBOSClient, beat: Beat, pace: Pace) -> int:
    """Put the running jobs of silent workers back on their queues; how many."""
    if not beat.is_steady:
        return 0
    pending = client.list_workflows(status="PENDING", load_input=False, load_output=False, limit=PENDING_MAX)
    with db.transaction() as tx:
        live = store.live_nodes(tx, int(pace.silent_seconds * 1_000_000))
        store.forget_silent(tx, FORGET_MICROS)
    orphans = defaultdict(list)
    for job in pending:
        if job.executor_id is not None and job.executor_id not in live:
            orphans[job.queue_name].append(job.workflow_id)
    for queue_name, ids in orphans.items():
        client.resume_workflows(ids, queue_name=queue_name)
        log.warning("jobs of a silent worker taken over", queue=queue_name, jobs=ids[:20], count=len(ids))
    return sum(map(len, orphans.values()))
