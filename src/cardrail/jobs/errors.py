"""What the machinery of background work refuses.

JobError
├── JobFailed
└── WorkerRunning
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class JobError(CardrailError):
    """Background work went wrong."""

    code = "job_error"


class JobFailed(JobError):
    """A job or a step of it failed; the log says why.

    This is all that the job's row keeps of a failure: the text of a database error would bring along the values of its statement.
    """

    code = "job_failed"


class WorkerRunning(JobError):
    """This process runs a worker already; the library for durable work allows one."""

    code = "worker_running"
