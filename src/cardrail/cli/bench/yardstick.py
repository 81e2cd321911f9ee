"""The yardstick: pgbench's TPC-B-like script on PostgreSQL with fsync on, in the same minutes as what it is held against.

Absolute figures drift from machine to machine and from hour to hour; how many TPC-B transactions the same disk and cores do beside
Cardrail's orders drifts far less.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from cardrail.cli.bench.postgres import Postgres, pgbench, tps_of

SCALE: Final = 20
CLIENTS: Final = 16
THREADS: Final = 2


class Yardstick:
    """A database made for pgbench; ``measure()`` runs it once, ``tps`` is the median so far."""

    def __init__(self, server: Postgres, url: str, seconds: int = 10) -> None:
        self._server = server
        self._url = url
        self._seconds = seconds
        self.runs: list[float] = []
        pgbench(server, url, "-i", "-q", "-s", str(SCALE))

    def measure(self) -> float:
        """One run, in transactions a second."""
        options = ("-c", str(CLIENTS), "-j", str(THREADS), "-T", str(self._seconds), "-M", "prepared")
        self.runs.append(tps_of(pgbench(self._server, self._url, *options)))
        return self.runs[-1]

    @property
    def tps(self) -> float:
        """The median of the runs."""
        return median(self.runs)
