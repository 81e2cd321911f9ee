"""The background work of settlement: an export is a job of one step."""

from __future__ import annotations

from typing import Final

from cardrail.jobs import Jobs, Queue
from cardrail.settlement.exports import Export, ExportDesk, make_export
from cardrail.storage import Tx

QUEUE: Final = Queue("exports", worker_concurrency=1, polling_seconds=1.0)
"""One at a time in each process: an export reads much and must not be felt by orders."""
WORKFLOW: Final = "settlement.export"


def register_jobs(jobs: Jobs, desk: ExportDesk) -> None:
    """Tell the worker how to make exports. Call it before the worker starts, once."""
    jobs.add_queue(QUEUE)

    @jobs.step("settlement.export.write")
    def write(export_id: str) -> str:
        return make_export(desk, export_id).state

    @jobs.workflow(WORKFLOW)
    def export(export_id: str) -> str:
        return write(export_id)


def enqueue_export(jobs: Jobs, tx: Tx, one: Export) -> None:
    """Let a worker make the export, in the transaction that asks for it."""
    jobs.enqueue(tx, WORKFLOW, QUEUE.name, f"export:{one.id}", one.id)
