"""How much memory a process has needed."""

from __future__ import annotations

import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def memory_peak(*, anew: bool = False) -> int:
    """The most that this process has held at once, in kilobytes; from now on, with ``anew``.

    What getrusage says is inherited: a child of a large process has the parent's peak from its first moment, and never seems to grow.
    """
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if anew:
        STATUS.with_name("clear_refs").write_text("5")
    (line,) = [one for one in STATUS.read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1])
