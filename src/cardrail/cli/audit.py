"""`cardrail audit`: who did what, and whether the log of it is as it was written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Column, Table

from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json
from cardrail.storage import Anchor, AuditFilter, AuditRow, in_tx, list_audit

app = typer.Typer(help="Who did what: list the audit log, anchor it, verify it.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("list")
def list_(
    *,
    partner: Annotated[str | None, typer.Option(help="Only what concerns this partner.")] = None,
    action: Annotated[str | None, typer.Option(help='Only this action; "key." for all that begin so.')] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this id, or names it in its details.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from this time on, in UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many entries.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on where the page before ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List entries, the newest first."""
    moment = None if since is None else since.replace(tzinfo=UTC)
    with open_context() as ctx, ctx.db.read() as tx:
        filters = AuditFilter(partner_id=partner, action=action, subject=subject, since=moment)
        page = list_audit(tx, filters, after, limit)
    if as_json:
        show_json({"items": [_plain(row) for row in page.items], "after": page.after})
        return
    table = Table(
        *[
            Column(name, overflow="fold", no_wrap=name in {"id", "subject"})
            for name in ("time", "actor", "action", "subject", "partner", "from", "details")
        ],
        box=None,
    )
    for row in page.items:
        one = row.entry
        details = "" if one.details is None else msgspec.json.encode(one.details).decode()
        cells = (one.actor, one.action, one.subject, one.partner_id, one.origin, details)
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", *[escape(cell or "") for cell in cells])
    out.print(table)
    if page.after:
        err.print(f"More: --after {page.after}")


@app.command()
def anchor(as_json: AsJson = False) -> None:
    """Anchor the heads of all chains for today, and print the anchor: keep it outside this machine."""
    with open_context() as ctx:
        made = in_tx(ctx.db, lambda tx: ctx.audit.anchor(tx, ctx.clock))
    if as_json:
        show_json(made)
    else:
        out.print(f"{made.day}:{made.hash}")


@app.command()
def verify(
    kept: Annotated[
        str | None, typer.Option("--anchor", help="An anchor kept elsewhere, DAY:HASH, that must still be there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk all chains and anchors; exit code 1 if anything is not as it was written."""
    day, _, digest = (kept or "").partition(":")
    with open_context() as ctx, err.status("Walking the audit log …"), ctx.db.read() as tx:
        breaks = ctx.audit.verify(tx, Anchor(day, digest) if kept else None)
    if as_json:
        show_json({"breaks": breaks})
    else:
        for one in breaks:
            err.print(f"[red]{escape(one.chain)} {one.place}: {escape(one.problem)}[/red]")
        out.print(f"{len(breaks)} breaks" if breaks else "The audit log is as it was written.")
    if breaks:
        raise typer.Exit(EXIT_REFUSED)


def _plain(row: AuditRow) -> dict[str, Any]:
    entry = row.entry
    return {
        "chain": row.chain,
        "seq": row.seq,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "partner_id": entry.partner_id,
        "origin": entry.origin,
        "details": entry.details,
    }
