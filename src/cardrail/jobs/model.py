"""What background work is made of: queues, chores, and how often the machinery looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """Jobs of one kind, taken by every worker in turn. Jobs per second are at most concurrency ÷ interval in each process."""

    name: str
    worker_concurrency: int
    """Jobs of this queue that one process runs at once."""
    polling_seconds: float
    partition_concurrency: int | None = None
    """For a queue whose jobs name a partition (a supplier, a channel): jobs of one partition that run at once, in all processes."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do at certain times, on one of the workers. It may be done twice, so that must do no harm."""

    name: str
    cron: str
    """Minute, hour, day, month, weekday in UTC; with six fields the first is the second."""
    run: Callable[[], object]
    """One use case. A figure that it returns is logged."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the machinery looks. The defaults cost next to nothing when there is nothing to do."""

    chores_seconds: float = 2.0
    beat_seconds: float = 5.0
    """On PostgreSQL: how often a worker says that it lives."""
    silent_seconds: float = 30.0
    """On PostgreSQL: how long a worker must have been silent before others take its jobs over."""
    reap_cron: str = "*/15 * * * * *"
    retain_days: int = 30
    """How long finished jobs can be looked at."""
    retain_chores_days: int = 2
