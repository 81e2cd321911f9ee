"""`cardrail reconcile`: suppliers' statements against our own purchases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json
from cardrail.cli.ledger import NODE
from cardrail.cli.moments import micros_of, moment_of
from cardrail.kernel import Mode, currency, format_minor, from_micros, rfc3339
from cardrail.settlement import (
    BadLines,
    BadStatementLine,
    Difference,
    MatchKind,
    Resolution,
    SupplierStatement,
    assign_difference,
    fetch_statement,
    get_supplier_statement,
    import_supplier_file,
    list_differences,
    list_supplier_statements,
    parse_mapping,
    resolve_difference,
    run_matching,
)

app = typer.Typer(help="Suppliers' statements: import, match, resolve what differs.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
StatementArg = Annotated[str, typer.Argument(help="The supplier's statement, sst_…", metavar="STATEMENT")]
DifferenceArg = Annotated[str, typer.Argument(help="The difference, dif_…", metavar="DIFFERENCE")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The supplier's CSV file.", exists=True, dir_okay=False)],
    *,
    supplier: Annotated[str, typer.Option(help="The supplier, by the name that its purchases have.")],
    wallet: Annotated[str, typer.Option("--currency", help="Currency of its amounts.")],
    mapping: Annotated[Path, typer.Option(help="How to read the file (TOML).", exists=True, dir_okay=False)],
    since: Annotated[str | None, typer.Option(help="Begin of the period that it speaks of: a date or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="Its end, exclusive.")] = None,
    on_error: Annotated[
        Literal["refuse", "list"], typer.Option(help="What bad lines do: refuse the file, or be left out and listed.")
    ] = "refuse",
    mode: Annotated[Mode, typer.Option("--mode", help="live or test.")] = Mode.LIVE,
    as_json: AsJson = False,
) -> None:
    """Take a supplier's statement, whole or not at all; nothing is booked by it. Then run `cardrail reconcile run`."""
    with open_context() as ctx, _progress() as progress:
        task = progress.add_task("Lines", total=file.stat().st_size)
        rules = parse_mapping(mapping.read_text())
        try:
            taken = import_supplier_file(
                ctx.db,
                ctx.clock,
                ctx.audit,
                file,
                rules,
                supplier=supplier,
                currency=currency(wallet).code,
                mode=mode,
                since=micros_of(since),
                until=micros_of(until),
                refuse_bad=on_error == "refuse",
                actor="cli",
                progress=lambda done, read: progress.update(task, completed=read, description=f"{done} lines"),
            )
        except BadLines as error:
            _end_bad(error)
    if as_json:
        show_json({**_plain(taken.statement), "bad": taken.bad})
        return
    _show_bad(taken.bad)
    out.print(f"{taken.statement.id}: {taken.statement.lines} lines taken, {taken.statement.refused} left out.")


@app.command()
def fetch(
    supplier: Annotated[str, typer.Argument(help="The supplier's name or id, sup_…", metavar="SUPPLIER")],
    *,
    since: Annotated[str, typer.Option("--from", help="Begin of the period: a date (its first instant, UTC) or a time.")],
    until: Annotated[str, typer.Option("--to", help="Its end, exclusive.")],
    on_error: Annotated[
        Literal["refuse", "list"], typer.Option(help="What bad lines do: refuse the statement, or be left out and listed.")
    ] = "refuse",
    match: Annotated[bool, typer.Option("--run/--no-run", help="Match it at once, as `cardrail reconcile run` does.")] = True,
    as_json: AsJson = False,
) -> None:
    """Ask a supplier for its own statement, where its protocol has one, and match it. Nothing is booked by it."""
    with open_context() as ctx, _progress() as progress:
        begin, end = moment_of(since), moment_of(until)
        assert begin is not None
        assert end is not None
        progress.add_task("Asking", total=None)
        connectors = ctx.buying.connectors
        try:
            taken = fetch_statement(
                ctx.db, ctx.clock, ctx.audit, connectors, supplier, begin, end, refuse_bad=on_error == "refuse", actor="cli"
            )
        except BadLines as error:
            _end_bad(error)
        one = taken.statement
        done = run_matching(ctx.db, ctx.clock, ctx.audit, one.id, actor="cli") if match else one
    if as_json:
        show_json({**_plain(done), "bad": taken.bad})
        return
    _show_bad(taken.bad)
    out.print(f"{one.id}: {one.lines} purchases told, {one.refused} left out.")
    if match:
        out.print(", ".join(f"{kind}: {count}" for kind, count in done.counts.items()))


@app.command()
def run(statement: StatementArg, as_json: AsJson = False) -> None:
    """Match a statement, order by order, and list what differs. It can be run again; what was resolved stays so."""
    with open_context() as ctx, _progress() as progress:
        with ctx.db.read() as tx:
            most = get_supplier_statement(tx, statement).lines
        task = progress.add_task("Comparing", total=most or None)
        done = run_matching(
            ctx.db,
            ctx.clock,
            ctx.audit,
            statement,
            actor="cli",
            progress=lambda count: progress.update(task, completed=count, description=f"{count} compared"),
        )
    if as_json:
        show_json(_plain(done))
    else:
        out.print(", ".join(f"{kind}: {count}" for kind, count in done.counts.items()))


@app.command("list")
def list_(supplier: Annotated[str | None, typer.Option(help="Only this supplier's.")] = None, as_json: AsJson = False) -> None:
    """List imported statements, newest first."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = list_supplier_statements(tx, supplier=supplier)
    if as_json:
        show_json({"items": [_plain(one) for one in found]})
        return
    table = Table(*[Column(name, overflow="fold") for name in ("id", "supplier", "file", "state", "lines", "matched")], box=None)
    for one in found:
        counts = ", ".join(f"{kind} {count}" for kind, count in one.counts.items() if count)
        table.add_row(one.id, escape(one.supplier), escape(one.name), one.state, str(one.lines), counts)
    out.print(table)


@app.command()
def differences(
    statement: Annotated[str | None, typer.Argument(help="Of this statement; unset: of all.", metavar="STATEMENT")] = None,
    *,
    state: Annotated[Literal["open", "resolved"] | None, typer.Option(help="Only these.")] = None,
    kind: Annotated[MatchKind | None, typer.Option(help="Only this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at a time.")] = 1_000,
    after: Annotated[str, typer.Option(help="Those behind this one, where the list before ended.", metavar="DIFFERENCE")] = "",
    as_json: AsJson = False,
) -> None:
    """List what differs, each with its reason, its owner and what became of it."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = list_differences(tx, statement, state=state, kind=kind.value if kind else None, after=after, limit=limit + 1)
        more, found = len(found) > limit, found[:limit]
        codes = {one: get_supplier_statement(tx, one).currency for one in {one.statement_id for one in found}}
    if as_json:
        show_json({"items": found, "next": found[-1].id if more else None})
        return
    names = ("id", "kind", "key", "ours", "theirs", "reason", "order", "state", "owner")
    table = Table(*[Column(name, overflow="fold") for name in names], box=None)
    for one in found:
        code = codes[one.statement_id]
        table.add_row(
            one.id,
            one.kind,
            escape(one.key),
            _money(one.ours_minor, code),
            _money(one.theirs_minor, code),
            escape(one.reason),
            one.order_id or "",
            one.resolution or one.state,
            escape(one.owner or ""),
        )
    out.print(table)
    if more:
        err.print(f"There are more: --after {found[-1].id}")


@app.command()
def assign(
    difference: DifferenceArg, owner: Annotated[str, typer.Argument(help="Who looks after it.")], as_json: AsJson = False
) -> None:
    """Say who looks after a difference."""
    with open_context() as ctx:
        done = assign_difference(ctx.db, ctx.clock, ctx.audit, difference, owner, actor="cli")
    _show(done, as_json)


@app.command()
def resolve(
    difference: DifferenceArg,
    resolution: Annotated[
        Resolution, typer.Argument(help="write_off: we bear it; claim: we demand it; correction: our books were wrong.")
    ],
    *,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Resolve a difference: its amount is booked against the supplier, and its order then counts as reconciled."""
    with open_context() as ctx:
        done = resolve_difference(ctx.db, ctx.clock, ctx.audit, difference, resolution, node=NODE, actor="cli", note=note)
    _show(done, as_json)


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err, transient=True)


def _show_bad(bad: list[BadStatementLine]) -> None:
    for one in bad:
        column = f", column {one.column}" if one.column else ""
        err.print(f"[yellow]line {one.line}{escape(column)}: {escape(one.problem)}[/yellow]")


def _end_bad(error: BadLines) -> NoReturn:
    bad: list[BadStatementLine] = error.facts["lines"]  # type: ignore[assignment]  # as it was raised
    _show_bad(bad)
    err.print(f"[red]{escape(error.message)} {error.facts['count']} bad lines.[/red]")
    raise typer.Exit(EXIT_REFUSED) from None


def _show(one: Difference, as_json: bool) -> None:
    if as_json:
        show_json(one)
    else:
        out.print(f"{one.id}: {one.resolution or one.state}" + (f", owner {escape(one.owner)}" if one.owner else ""))


def _plain(one: SupplierStatement) -> dict[str, Any]:
    return {
        "id": one.id,
        "supplier": one.supplier,
        "currency": one.currency,
        "mode": one.mode.value,
        "name": one.name,
        "sha256": one.content_hash,
        "state": one.state,
        "since": rfc3339(from_micros(one.since)) if one.since is not None else None,
        "until": rfc3339(from_micros(one.until)) if one.until is not None else None,
        "lines": one.lines,
        "refused": one.refused,
        "counts": one.counts,
        "imported_at": rfc3339(from_micros(one.imported_at)),
    }


def _money(minor: int | None, code: str) -> str:
    return "" if minor is None else format_minor(minor, currency(code).digits)
