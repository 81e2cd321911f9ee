"""A system-call trace of the server on SQLite: no answer leaves before the order's commit is on disk.

The proof reads the trace of `strace` (Debian's package of that name; the tests do not install it). For each order in an answer there
must be, in this order: a page with that order's id written to the WAL, an fdatasync of the WAL that began after it and ended with 0, and
only then whatever goes out with that id.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.load import Crowd
from tests.acceptance.server import Place, Proved
from tests.waiting import wait_until

pytestmark = [pytest.mark.prove]

CALLS: Final = "fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg"
SHOWN: Final = 70_000
"""Bytes of a buffer that strace writes out: more than a page, and more than an answer."""

STARTED: Final = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<rest>.*)$")
RESUMED: Final = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>.*= (?P<result>-?\d+)")
ORDER: Final = re.compile(r"ord_[0-9A-HJKMNP-TV-Z]{26}")


@dataclass
class Trace:
    """What a trace shows, read line by line."""

    synced: set[str] = field(default_factory=set)
    """Orders whose page was on disk at this line."""
    answered: set[str] = field(default_factory=set)
    too_early: list[str] = field(default_factory=list)
    flushes: int = 0
    _written: set[str] = field(default_factory=set)
    _flushing: dict[str, set[str]] = field(default_factory=dict)
    """Thread → the orders that were written when its fdatasync began."""

    def read(self, line: str) -> None:
        resumed = RESUMED.match(line)
        if resumed is not None:
            if resumed["call"] in ("fdatasync", "fsync"):
                self._end_flush(resumed["thread"], resumed["result"])
            return
        started = STARTED.match(line)
        if started is None:
            return
        call, rest = started["call"], started["rest"]
        is_wal = "cardrail.db-wal>" in rest.partition(",")[0] + rest[-200:]
        if call in ("fdatasync", "fsync"):
            if is_wal:
                self._flushing[started["thread"]] = set(self._written)
                if "unfinished" not in rest:
                    self._end_flush(started["thread"], rest.rpartition("= ")[2].split()[0])
        elif is_wal:
            self._written.update(ORDER.findall(rest))
        elif "<socket:" in rest.partition(",")[0]:
            self._answer(ORDER.findall(rest))

    def _end_flush(self, thread: str, result: str) -> None:
        orders = self._flushing.pop(thread, None)
        if orders is not None and result == "0":
            self.flushes += 1
            self.synced |= orders

    def _answer(self, orders: list[str]) -> None:
        self.answered.update(orders)
        self.too_early += [one for one in orders if one not in self.synced]


def strace_or_skip(tmp_path: Path) -> str:
    """The program, if this machine has it and lets it trace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed (Debian: apt-get install strace)")
    tried = subprocess.run([strace, "-o", str(tmp_path / "try"), "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")
    return strace


def test_on_sqlite_no_answer_leaves_before_its_commit_is_on_disk(
    migrated_sqlite: Path, tmp_path: Path, full_counts: bool, proved: Proved
) -> None:
    strace, file = strace_or_skip(tmp_path), tmp_path / "trace"
    shutil.copyfile(migrated_sqlite, tmp_path / "cardrail.db")
    place = Place(tmp_path, f"sqlite:///{tmp_path / 'cardrail.db'}")
    place.stock(5_000)
    wrap = [strace, "-f", "-y", "-qq", "-s", str(SHOWN), "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(file)]
    with place.serving(wrap=wrap) as server:
        for buyers in (1, 12):
            with Crowd(place, server, f"traced-{buyers}", buyers) as crowd:
                wait_until(lambda: len(crowd.acknowledged) > 12)
                time.sleep(5 if full_counts else 0.5)  # the length of the recording
            assert not crowd.refused
            assert not crowd.unsure
    trace = Trace()
    with file.open(errors="replace") as lines:
        for line in lines:
            trace.read(line)
    assert len(trace.answered) == len(place.rows("orders")) > 20
    assert trace.flushes > 20
    assert not trace.too_early
    proved(f"{len(trace.answered)} answers after {trace.flushes} flushes of the WAL, none before its own")


def test_the_proof_notices_an_answer_that_is_too_early() -> None:
    """A trace in which the second answer leaves before the flush has ended."""
    one, two = "ord_" + "A" * 26, "ord_" + "B" * 26
    trace = Trace()
    for line in (
        f'7 pwrite64(9</d/cardrail.db-wal>, "..{one}..", 4096, 0) = 4096',
        "7 fdatasync(9</d/cardrail.db-wal>) = 0",
        f'5 sendto(4<socket:[1]>, "{{id: {one}}}", 99, 0, NULL, 0) = 99',
        f'7 pwrite64(9</d/cardrail.db-wal>, "..{two}..", 4096, 4096) = 4096',
        "7 fdatasync(9</d/cardrail.db-wal> <unfinished ...>",
        f'5 sendto(4<socket:[1]>, "{{id: {two}}}", 99, 0, NULL, 0) = 99',
        "7 <... fdatasync resumed>) = 0",
    ):
        trace.read(line)
    assert trace.too_early == [two]
