"""`cardrail bench`: measure this machine against the targets, with the machine's own yardstick beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cardrail.cli.context import EXIT_REFUSED, EXIT_USAGE, err, out, show_json

NAMES = (
    "orders",
    "latency",
    "stock",
    "past",
    "large",
    "import",
    "catalog",
    "race",
    "settlement",
    "dialects",
    "suppliers",
    "webhooks",
)


def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"What to measure: {', '.join(NAMES)}; without any, all.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="Length of one run.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each, interleaved; the median counts.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the stock and past, short runs: under two minutes.")] = False,
    postgres: Annotated[
        str | None, typer.Option(help="A PostgreSQL with fsync on (and pgbench), instead of one of our own.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure this machine on fresh, temporary installations; nothing of yours is touched. Exit code 1 if a target is not met."""
    from cardrail.cli.bench import report as shown
    from cardrail.cli.bench.run import run

    unknown = sorted(set(names or ()) - set(NAMES))
    if unknown:
        err.print(f"[red]There is no benchmark {', '.join(unknown)}. There are: {', '.join(NAMES)}.[/red]")
        raise typer.Exit(EXIT_USAGE)
    if quick:
        seconds, rounds = min(seconds, 2.0), min(rounds, 1)
    report = run(names or NAMES, seconds=seconds, rounds=rounds, quick=quick, postgres_url=postgres)
    if as_json:
        show_json(report)
    else:
        out.print(shown.as_table(report))
    if write is not None:
        shown.write(report, write)
        err.print(f"Written to {write}.")
    if any(row.met is False for row in report.rows):
        raise typer.Exit(EXIT_REFUSED)
