"""`cardrail settle`: partners' statements. They close by themselves; here they are looked at, closed at once, scheduled and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from cardrail.access import get_partner
from cardrail.cli.context import EXIT_REFUSED, EXIT_USAGE, err, open_context, out, show_json
from cardrail.cli.moments import moment_of
from cardrail.kernel import Mode, PartnerId, currency, format_minor, rfc3339
from cardrail.settlement import (
    DRAFT,
    Format,
    Schedule,
    Statement,
    close_due,
    draft_statement,
    get_schedule,
    get_statement,
    list_statements,
    sequence_now,
    set_schedule,
    statement_lines,
    write_statement,
)

app = typer.Typer(help="Partners' statements: look at them, close them, export them.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ModeOption = Annotated[Mode, typer.Option("--mode", help="live or test.")]
PartnerArg = Annotated[str, typer.Argument(help="The partner's id, par_…", metavar="PARTNER")]
StatementArg = Annotated[str, typer.Argument(help="The statement's id, stm_…, or draft with --partner.", metavar="STATEMENT")]
PartnerOption = Annotated[str | None, typer.Option("--partner", help="Only this partner's.")]
CurrencyOption = Annotated[str | None, typer.Option("--currency", help="Wallet of a draft; unset: the partner's own.")]


@app.command("list")
def list_(
    partner: PartnerOption = None,
    *,
    mode: ModeOption = Mode.LIVE,
    wallet: Annotated[str | None, typer.Option("--currency", help="Only wallets in this currency.")] = None,
    since: Annotated[str | None, typer.Option(help="Only periods that end after this date or time.")] = None,
    until: Annotated[str | None, typer.Option(help="Only periods that begin before it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List closed statements, newest first."""
    with open_context() as ctx:
        page = list_statements(
            ctx.db, partner, mode, currency=wallet, since=moment_of(since), until=moment_of(until), limit=limit
        )
    if as_json:
        show_json({"items": [plain(one) for one in page.items], "has_more": page.after is not None})
        return
    table = Table(
        *[Column(name, overflow="fold") for name in ("id", "partner", "period", "opening", "closing", "movements")], box=None
    )
    for one in page.items:
        period = f"{one.period_from:%Y-%m-%d %H:%M} … {one.period_to:%Y-%m-%d %H:%M} UTC"
        table.add_row(
            one.id, one.partner_id, period, _money(one, one.opening_minor), _money(one, one.closing_minor), str(one.movements)
        )
    out.print(table)


@app.command()
def show(
    statement: StatementArg,
    *,
    partner: PartnerOption = None,
    wallet: CurrencyOption = None,
    mode: ModeOption = Mode.LIVE,
    lines: Annotated[int, typer.Option(min=0, max=1_000, help="How many of its first lines to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show a closed statement, or the present period of a wallet as a draft."""
    with open_context() as ctx:
        one = _find(ctx, statement, partner, wallet, mode)
        found = statement_lines(ctx.db, one, limit=lines)[0] if lines else []
    if as_json:
        show_json({**plain(one), "lines": found})
        return
    for name, value in plain(one).items():
        if name not in ("totals", "taxes"):
            out.print(f"[bold]{name}[/bold] {escape(str(value))}")
    for kind, minor in one.totals.items():
        out.print(f"  {kind}: {_money(one, minor)}")
    for tax in one.taxes:
        rate = "several rates" if tax.rate_bps is None else f"{format_minor(tax.rate_bps, 2)} %"
        out.print(f"  tax at {rate}: {_money(one, tax.tax_minor)} on {_money(one, tax.net_minor)}")
    table = Table(*[Column(name, overflow="fold") for name in ("n", "at", "kind", "change", "balance", "order", "sku")], box=None)
    for line in found:
        skus = escape(" + ".join([item.sku for item in line.items]))
        table.add_row(
            str(line.n),
            line.at[:19],
            line.kind,
            _money(one, line.change_minor),
            _money(one, line.balance_minor),
            line.order_id or "",
            skus,
        )
    out.print(table)


@app.command()
def close(
    partner: PartnerOption = None,
    *,
    mode: Annotated[Mode | None, typer.Option("--mode", help="Only live, or only test wallets.")] = None,
    as_json: AsJson = False,
) -> None:
    """Close every statement whose period is over, now. The server does the same each hour; closing twice changes nothing."""
    with open_context() as ctx, _working("Closing …"):
        if partner is not None:
            with ctx.db.read() as tx:
                get_partner(tx, PartnerId(partner))
        sequence_now(ctx.db)
        done = close_due(ctx.db, ctx.clock, ctx.audit, actor="cli", partner_id=partner, mode=mode)
    if as_json:
        show_json(
            {
                "closed": [plain(one) for one in done.closed],
                "waiting": done.waiting,
                "failed": [{"wallet": one.subject, "reason": one.found} for one in done.failed],
            }
        )
        raise typer.Exit(EXIT_REFUSED if done.failed else 0)
    for one in done.closed:
        out.print(
            f"{one.id} {one.partner_id} {one.period_from:%Y-%m-%d} … {one.period_to:%Y-%m-%d}: {_money(one, one.closing_minor)}"
        )
    out.print(f"{len(done.closed)} closed." + (f" {done.waiting} wait for movements without a position." if done.waiting else ""))
    for failed in done.failed:
        out.print(f"Not closed: {failed.subject}: {failed.found}")
    if done.failed:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def schedule(
    partner: PartnerArg,
    every: Annotated[Schedule | None, typer.Argument(help="daily, weekly or monthly; unset: show it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show or set how often a partner's statements are closed, at midnight of his time zone."""
    with open_context() as ctx:
        if every is not None:
            found = set_schedule(ctx.db, ctx.clock, ctx.audit, partner, every.value, actor="cli")
        else:
            with ctx.db.read() as tx:
                get_partner(tx, PartnerId(partner))
                found = get_schedule(tx, partner)
    if as_json:
        show_json({"partner_id": partner, "schedule": found.value})
    else:
        out.print(f"{partner}: {found.value}")


@app.command()
def export(
    statement: StatementArg,
    *,
    form: Annotated[Format, typer.Option("--format", help="jsonl is the canonical form that the hash is made of.")] = Format.CSV,
    to: Annotated[Path, typer.Option("--out", help="File to write; it must not exist.")],
    partner: PartnerOption = None,
    wallet: CurrencyOption = None,
    mode: ModeOption = Mode.LIVE,
) -> None:
    """Write a statement with all its lines to a file that only you can read."""
    with open_context() as ctx, _working(f"Writing {to} …"):
        if to.exists():
            err.print(f"[red]{escape(str(to))} exists already.[/red]")
            raise typer.Exit(EXIT_USAGE)
        one = _find(ctx, statement, partner, wallet, mode)
        with ctx.db.read() as tx:
            write_statement(tx, one, form, to)
    err.print(
        f"{one.movements} movements written to {escape(str(to))}." + (f" SHA-256 {one.hash}" if form is Format.JSONL else "")
    )


def _find(ctx: Any, statement: str, partner: str | None, wallet: str | None, mode: Mode) -> Statement:
    if statement != DRAFT:
        return get_statement(ctx.db, statement, partner_id=partner)
    if partner is None:
        err.print("[red]A draft is of one partner: give --partner.[/red]")
        raise typer.Exit(EXIT_USAGE)
    with ctx.db.read() as tx:
        code = wallet or get_partner(tx, PartnerId(partner)).currency
    sequence_now(ctx.db)  # a server that is not running gives no positions
    return draft_statement(ctx.db, ctx.clock, partner, currency(code).code, mode)


def _working(what: str) -> Progress:
    progress = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True)
    progress.add_task(what, total=None)
    return progress


def plain(one: Statement) -> dict[str, Any]:
    """A statement for people and programs."""
    return {
        "id": one.id,
        "state": one.state,
        "partner_id": one.partner_id,
        "mode": one.mode.value,
        "number": one.number,
        "period_from": rfc3339(one.period_from),
        "period_to": rfc3339(one.period_to),
        "timezone": one.timezone,
        "currency": one.currency,
        "opening": _money(one, one.opening_minor),
        "closing": _money(one, one.closing_minor),
        "held": _money(one, one.closing_held_minor),
        "movements": one.movements,
        "totals": {kind: _money(one, minor) for kind, minor in one.totals.items()},
        "taxes": one.taxes,
        "positions": [one.after_position, one.through_position],
        "previous_id": one.previous_id,
        "hash": one.hash,
        "closed_at": rfc3339(one.closed_at) if one.closed_at else None,
    }


def _money(one: Statement, minor: int) -> str:
    return f"{format_minor(minor, currency(one.currency).digits)} {one.currency}"
