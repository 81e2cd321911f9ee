"""`cardrail export`: orders, items, movements, stock and margins as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cardrail.catalog import load_snapshot
from cardrail.cli.context import EXIT_USAGE, err, open_context, show_json
from cardrail.cli.moments import micros_of
from cardrail.kernel import Mode, currency
from cardrail.settlement import ExportFilter, ExportKind, Format, check_filter, columns_of, rows_of, write_file
from cardrail.storage import audit_entry, in_tx


def export(
    kind: Annotated[ExportKind, typer.Argument(help="orders, items, movements, statement, stock or margin.")],
    *,
    to: Annotated[Path, typer.Option("--out", help="File to write; it must not exist.")],
    form: Annotated[Format, typer.Option("--format", help="csv, jsonl, xlsx, or parquet with its extra.")] = Format.CSV,
    partner: Annotated[str | None, typer.Option("--partner", help="Only this partner's, by id.")] = None,
    mode: Annotated[Mode, typer.Option("--mode", help="live or test.")] = Mode.LIVE,
    since: Annotated[str | None, typer.Option(help="From this date or time on.")] = None,
    until: Annotated[str | None, typer.Option(help="To before this date or time.")] = None,
    state: Annotated[str | None, typer.Option(help="Orders or items in this state.")] = None,
    sku: Annotated[str | None, typer.Option(help="Orders, items, stock or margins of this sku.")] = None,
    statement: Annotated[str | None, typer.Option(help="Which statement, stm_…")] = None,
    by: Annotated[
        Literal["product", "partner", "supplier", "day"], typer.Option(help="What margins are grouped by.")
    ] = "product",
    base: Annotated[
        str | None, typer.Option("--base-currency", help="Show margins in this currency too, by the rates of each day.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a table to a file that only you can read. Rows are written as they are read, so their number costs no memory."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with open_context() as ctx, Progress(*columns, console=err, transient=True) as progress:
        if to.exists():
            err.print(f"[red]{escape(str(to))} exists already.[/red]")
            raise typer.Exit(EXIT_USAGE)
        given = ExportFilter(
            partner_id=partner,
            mode=mode,
            since=micros_of(since),
            until=micros_of(until),
            state=state,
            sku=sku,
            statement_id=statement,
            by=by,
            base_currency=currency(base).code if base is not None else None,
        )
        check_filter(kind, given)
        task = progress.add_task("Rows", total=None)
        entry = audit_entry(
            ctx.clock.now(), "cli", "export.made", partner_id=partner, details={"kind": kind.value, "format": form.value}
        )
        in_tx(ctx.db, lambda tx: ctx.audit.append(tx, [entry]))
        with ctx.db.read() as tx:
            rows = rows_of(tx, kind, given, load_snapshot(tx, ctx.clock.now().date()))
            count = write_file(
                to,
                form,
                columns_of(kind, given),
                rows,
                title=kind.value.capitalize(),
                progress=lambda done: progress.update(task, completed=done, description=f"{done} rows"),
            )
    if as_json:
        show_json({"kind": kind.value, "format": form.value, "rows": count, "bytes": to.stat().st_size, "file": str(to)})
    else:
        err.print(f"{count} rows written to {escape(str(to))}.")
