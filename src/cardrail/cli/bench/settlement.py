"""A statement of a million movements, closed and then exported as CSV by the command itself: seconds, and memory above an idle one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from typing import Final

from cardrail.cli.bench.report import Row
from cardrail.cli.bench.site import Site
from cardrail.kernel import FrozenClock
from cardrail.settlement import Statement, close_due, sequence_now

SECONDS_MAX: Final = 30
MEGABYTES_MAX: Final = 150


def measure(place: Site) -> list[Row]:
    """Close what the site's partner did as if its month were over, and export the longest statement of it."""
    one = place.cardrail
    sequence_now(one.db)
    began = time.monotonic()
    closed = close_due(one.db, FrozenClock(one.clock.now() + timedelta(days=40)), one.audit, partner_id=place.partner_id).closed
    closing = time.monotonic() - began
    found = max(closed, key=lambda statement: statement.movements)
    idle, _ = _run(place, found, "show", "--lines", "0")
    peak, seconds = _run(place, found, "export", "--out", str(place.settings.data_dir / "statement.csv"))
    above = peak - idle
    return [
        Row(
            name="settlement",
            what=f"settlement export of {found.movements:,} rows, CSV",
            target=f"≤ {SECONDS_MAX} s, ≤ {MEGABYTES_MAX} MB above idle",
            measured=f"{seconds:.1f} s, {above:.0f} MB",
            met=seconds <= SECONDS_MAX and above <= MEGABYTES_MAX,
            details={"closed, with its hash, in": f"{closing:.1f} s", "memory of the idle command": f"{idle:.0f} MB"},
        )
    ]


def _run(place: Site, found: Statement, verb: str, *words: str) -> tuple[float, float]:
    """(peak memory in MB, seconds) of `cardrail settle`."""
    url = place.cardrail.db.url.render_as_string(hide_password=False)
    where = ["--data-dir", str(place.settings.data_dir), "--database-url", url]
    began = time.monotonic()
    child = subprocess.Popen(  # noqa: S603  # ourselves
        [sys.executable, "-m", "cardrail", *where, "settle", verb, found.id, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"cardrail settle {verb} ended with {child.returncode}")
    return used.ru_maxrss / 1024, time.monotonic() - began
