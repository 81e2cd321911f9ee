"""What was measured, as rows of a table: on the terminal, as JSON, and as docs/benchmarks.md."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.table import Table

from cardrail.storage import sqlite_module


class Row(msgspec.Struct, kw_only=True):
    """One line of the table."""

    name: str
    what: str
    target: str
    measured: str
    met: bool | None
    """None: nothing to compare with, because no yardstick was there."""
    ratio: float | None = None
    """The rate by the yardstick's."""
    details: dict[str, str] = {}
    """What stands below the table: label → figures."""

    @property
    def verdict(self) -> str:
        return "not judged" if self.met is None else "met" if self.met else "**not met**"


class Report(msgspec.Struct, kw_only=True):
    """A whole run."""

    rows: list[Row]
    yardstick_tps: float | None
    yardstick_runs: list[float]
    yardstick_fsync: str | None
    seconds: float
    rounds: int
    taken_at: str
    commit: str
    python: str
    sqlite: str
    cpu: str
    cores: int
    disk: str
    load_before: float


def machine_facts() -> dict[str, str | int | float]:
    """What the figures depend on besides the code."""
    return {
        "taken_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "python": platform.python_version(),
        "sqlite": sqlite_module().sqlite_version,
        "cpu": _cpu(),
        "cores": _cores(),
        "disk": _disk(Path(tempfile.gettempdir())),
        "load_before": float(Path("/proc/loadavg").read_text().split()[0]),
    }


def as_table(report: Report) -> Table:
    """For the terminal."""
    table = Table("what", "target", "measured", "× yardstick", "", title="Cardrail benchmarks")
    for row in report.rows:
        colour = {True: "green", False: "red", None: "yellow"}[row.met]
        verdict = f"[{colour}]{row.verdict.strip('*')}[/{colour}]"
        table.add_row(row.what, row.target, row.measured, "" if row.ratio is None else f"{row.ratio:.2f}", verdict)
    return table


def as_markdown(report: Report) -> str:
    """For docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`cardrail bench --write docs/benchmarks.md`). Every figure is the median of interleaved runs against",
        "a fresh installation with encryption, ledger, events and audit on; each answer leaves after its commit is on disk.",
        "",
        f"- Taken {report.taken_at} at commit `{report.commit}`, {report.rounds} rounds of {report.seconds:g} s.",
        f"- Machine: {report.cpu}, {report.cores} cores, temporary folder on {report.disk}, load before the run {report.load_before:.2f}.",
        "  The load generator, the server and the database share those cores.",
        f"- Python {report.python}, SQLite {report.sqlite} (WAL, `synchronous=FULL`).",
        f"- Yardstick: {_yardstick(report)}",
        "",
        "| what | target | measured | × yardstick | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in report.rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.target} | {row.measured} | {ratio} | {row.verdict} |")
    for row in report.rows:
        if row.details:
            lines += ["", f"## {row.what}", ""]
            lines += [f"- {label}: {figures}" for label, figures in row.details.items()]
    lines += ["", *_NOTES]
    return "\n".join(lines) + "\n"


_NOTES = [
    "## How it is measured",
    "",
    "- **Load**: a process of its own on uvloop (some 10 µs of processor time per request), 64 keep-alive connections, a new",
    "  `Idempotency-Key` with every order. Closed loop for rates; open loop for the time at half of the full rate, counted from the",
    "  moment each request was due, so that a stall is charged for everybody who would have waited.",
    "- **Yardstick**: `pgbench -i -s 20`, then `pgbench -c 16 -j 2 -T 10 -M prepared` on PostgreSQL with `fsync=on`, between the rounds.",
    "- **Processor time**: user and system time of the server process, all threads, from `/proc`, divided by the answers.",
    "- **Rows**: counted in every table before and after. **Statements and commits** (SQLite): counted by a server with a trace on its",
    "  connections, which is never the one whose rate is measured. A commit is one fdatasync of the WAL.",
    "- **Past orders** are written straight into the tables, with item, transfer and event each, and a code sold for each.",
]


def _yardstick(report: Report) -> str:
    if report.yardstick_tps is None:
        return "none, no PostgreSQL was there."
    runs = ", ".join([f"{one:,.0f}" for one in report.yardstick_runs])
    return f"pgbench TPC-B-like, fsync {report.yardstick_fsync}: **{report.yardstick_tps:,.0f} tps** (median of {runs})."


def _commit() -> str:
    """The commit of this checkout, with a mark if it has changes; "unknown" outside of one."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True)  # noqa: S603, S607  # git, wherever it is
        return done.stdout.strip()

    try:
        changed = bool(git("status", "--porcelain", "--untracked-files=no", "--", str(here.parents[1])))
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or sys.platform


def _cores() -> int:
    return sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())


def _disk(folder: Path) -> str:
    """The kind of file system under a folder: on tmpfs an fsync costs nothing, and no rate means anything."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, name, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, name
    return kind


def write(report: Report, path: Path) -> None:
    """Write docs/benchmarks.md."""
    path.write_text(as_markdown(report), encoding="utf-8")
