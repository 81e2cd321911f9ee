"""A whole run: the yardstick's server, the rows one after another, the report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cardrail.cli.bench.postgres import NoPostgres, Postgres, postgres
from cardrail.cli.bench.report import Report, machine_facts
from cardrail.cli.bench.rows import ROWS, Bench
from cardrail.cli.bench.yardstick import Yardstick
from cardrail.cli.context import err

WITH_POSTGRES: Final = {"orders", "latency", "suppliers", "webhooks"}
WITH_YARDSTICK: Final = {"orders"}
YARDSTICK_SECONDS: Final = 10


def run(names: Sequence[str], *, seconds: float, rounds: int, quick: bool, postgres_url: str | None) -> Report:
    """Measure the named rows and say what was found."""
    facts: dict[str, Any] = machine_facts()
    if facts["disk"] == "tmpfs":
        err.print(
            "[yellow]The temporary folder is in memory: an fsync costs nothing there. Set TMPDIR to a folder on a disk.[/yellow]"
        )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        server = _server(stack, names, postgres_url)
        yardstick = None
        if server is not None and WITH_YARDSTICK & set(names):
            yardstick = Yardstick(server, stack.enter_context(server.database()), 3 if quick else YARDSTICK_SECONDS)
        progress = stack.enter_context(Progress(*columns, console=err))
        bench = Bench(seconds, rounds, quick, progress, server, yardstick)
        rows = [row for name, measure in ROWS.items() if name in names for row in measure(bench)]
        return Report(
            rows=rows,
            yardstick_tps=yardstick.tps if yardstick is not None else None,
            yardstick_runs=yardstick.runs if yardstick is not None else [],
            yardstick_fsync=server.fsync() if yardstick is not None and server is not None else None,
            seconds=seconds,
            rounds=rounds,
            **facts,
        )


def _server(stack: ExitStack, names: Sequence[str], url: str | None) -> Postgres | None:
    if not WITH_POSTGRES & set(names):
        return None
    try:
        return stack.enter_context(postgres(url))
    except NoPostgres as error:
        err.print(f"[yellow]{error}[/yellow] Without it the rates are measured and not judged.")
        return None
