"""Old rows of finished jobs: kept for a while to be looked at, then deleted in small batches."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dbos import DBOSClient

FINISHED: Final = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
BATCH: Final = 200
"""Rows to a transaction: on SQLite the order lane waits while it runs."""


def delete_finished(client: DBOSClient, before: datetime, *, prefix: str | None = None) -> int:
    """Delete finished jobs that were made before then, all or those whose id starts with ``prefix``; how many."""
    deleted = 0
    while True:
        found = client.list_workflows(
            status=FINISHED,
            end_time=before.isoformat(),
            workflow_id_prefix=prefix,
            limit=BATCH,
            load_input=False,
            load_output=False,
        )
        if found:
            client.delete_workflows([job.workflow_id for job in found])
            deleted += len(found)
        if len(found) < BATCH:
            return deleted


def delete_old(client: DBOSClient, now: datetime, *, jobs_days: int, chores_days: int) -> int:
    """The daily cleaning: chores leave a row for each time they ran, and nobody asks about last week's."""
    chores = delete_finished(client, now - timedelta(days=chores_days), prefix="sched-")
    return chores + delete_finished(client, now - timedelta(days=jobs_days))
