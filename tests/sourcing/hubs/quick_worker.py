"""`python -m tests.sourcing.hubs.quick_worker worker`: the command line, whose workers miss one another after two seconds, not thirty."""

from __future__ import annotations

import functools

import cardrail.jobs.jobs as machinery
from cardrail.cli import app
from cardrail.jobs import Pace

QUICK = functools.partial(Pace, chores_seconds=0.2, beat_seconds=0.2, silent_seconds=2.0, reap_cron="* * * * * *")

if __name__ == "__main__":
    vars(machinery)["Pace"] = QUICK
    app()
