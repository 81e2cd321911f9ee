"""Durable background work: the one door to the library behind it. Business code sees ``enqueue``, ``workflow``, ``step`` and chores."""

from cardrail.jobs.errors import JobError, JobFailed, WorkerRunning
from cardrail.jobs.jobs import Jobs
from cardrail.jobs.model import Chore, Pace, Queue

__all__ = ["Chore", "JobError", "JobFailed", "Jobs", "Pace", "Queue", "WorkerRunning"]
