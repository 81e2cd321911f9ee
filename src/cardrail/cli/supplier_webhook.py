"""`cardrail supplier webhook`: taking a supplier's webhooks, and those that a human should look at."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.cli.context import err, open_context, out, show_json, table_of
from cardrail.kernel import Secret, from_micros, rfc3339
from cardrail.orders import retry_notice
from cardrail.sourcing import (
    Receiver,
    dismiss_notice,
    find_receiver,
    get_supplier,
    list_notices,
    notice_counts,
    remove_receiver,
    set_receiver,
)

app = typer.Typer(help="Webhooks that a supplier sends us: an order that is ready is fetched at once.", no_args_is_help=True)

ACTOR = "cli"

SupplierArg = Annotated[str, typer.Argument(help="The supplier's name or id, sup_…", metavar="SUPPLIER")]
NoticeArg = Annotated[str, typer.Argument(help="The webhook's id, ntc_…", metavar="WEBHOOK")]
SecretFile = Annotated[
    Path | None, typer.Option("--secret", help="File of the secret, - for standard input. Unset: asked for, without an echo.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("set")
def set_command(
    supplier: SupplierArg,
    *,
    secret: SecretFile = None,
    form: Annotated[
        str, typer.Option("--format", help="own: as its protocol signs; standard: Standard Webhooks, of another Cardrail.")
    ] = "own",
    as_json: AsJson = False,
) -> None:
    """Take its webhooks, signed with a secret that it gave you; prints the address to give to it. The secret is sealed."""
    _set(supplier, secret, form, 0, as_json=as_json, fresh=True)


@app.command()
def rotate(
    supplier: SupplierArg,
    *,
    secret: SecretFile = None,
    overlap: Annotated[int, typer.Option(min=0, max=720, help="Hours for which the old secret stays valid.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Check with a new secret; the old one stays valid for a while. The address stays."""
    _set(supplier, secret, None, overlap, as_json=as_json, fresh=False)


def _set(supplier: str, secret: Path | None, form: str | None, overlap: int, *, as_json: bool, fresh: bool) -> None:
    with open_context() as ctx:
        with ctx.db.read() as tx:
            known = get_supplier(tx, supplier)
            before = None if fresh else find_receiver(tx, known.id, ctx.clock.now())
        given = _secret(secret)
        found = set_receiver(
            ctx.db,
            ctx.clock,
            ctx.audit,
            ctx.sealer,
            known.id,
            given,
            actor=ACTOR,
            form=form or (before.format if before is not None else "own"),
            overlap=timedelta(hours=overlap),
        )
        _show(_plain(ctx.settings, found), as_json=as_json)


@app.command()
def show(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """Show the address that the supplier is to send to, and how many secrets are valid."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = find_receiver(tx, get_supplier(tx, supplier).id, ctx.clock.now())
        _show(_plain(ctx.settings, found), as_json=as_json)


@app.command()
def off(supplier: SupplierArg) -> None:
    """Take its webhooks no more. Orders are polled as before; its address and secrets are gone."""
    with open_context() as ctx:
        remove_receiver(ctx.db, ctx.clock, ctx.audit, supplier, actor=ACTOR)
    out.print("Off.")


@app.command("list")
def list_command(
    supplier: Annotated[str | None, typer.Option(help="Of this supplier only.")] = None,
    *,
    state: Annotated[str | None, typer.Option(help="waiting, done, review or dismissed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what suppliers' webhooks said, the newest first, and what came of it. No bodies are kept."""
    with open_context() as ctx, ctx.db.read() as tx:
        of = get_supplier(tx, supplier).id if supplier is not None else None
        found = list_notices(tx, supplier_id=of, state=state, limit=limit)
        waiting, _, review = notice_counts(tx)
    if as_json:
        show_json({"items": [_notice(one) for one in found], "waiting": waiting, "review": review})
        return
    table = table_of("id", "received", "supplier", "event", "their order", "state", "result")
    for one in found:
        row = (one.supplier, one.event, one.supplier_order_id or "", one.state, one.result or "")
        table.add_row(one.id, rfc3339(from_micros(one.received_at)), *[escape(text) for text in row])
    out.print(table)
    err.print(f"Waiting: {waiting}; for a human: {review}")


@app.command()
def retry(notice: NoticeArg, as_json: AsJson = False) -> None:
    """Look once more for the purchase of a webhook that waits for a human."""
    with open_context() as ctx:
        ctx.jobs.prepare()
        with ctx.db.transaction() as tx:
            state = retry_notice(ctx.jobs, ctx.buying, tx, notice)
    if as_json:
        show_json({"id": notice, "state": state})
    else:
        out.print("Its purchase is not known here." if state == "review" else f"It is {state}.")


@app.command()
def dismiss(notice: NoticeArg) -> None:
    """Note that a human has looked at it."""
    with open_context() as ctx:
        dismiss_notice(ctx.db, ctx.clock, ctx.audit, notice, actor=ACTOR)
    out.print("Dismissed.")


def _secret(file: Path | None) -> Secret:
    """The secret, without the line's end."""
    if file is None:
        return Secret(typer.prompt("Secret", hide_input=True))
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    return Secret(text.rstrip("\r\n"))


def _plain(given: Any, one: Receiver) -> dict[str, Any]:
    base = given.public_url.rstrip("/")
    return {"supplier_id": one.supplier_id, "url": base + one.path, "format": one.format, "secrets": one.secrets}


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    out.print(f"[bold]{escape(found['url'])}[/bold]")
    err.print(f"Format {found['format']}; valid secrets: {found['secrets']}")
    if found["url"].startswith("/"):
        err.print("[yellow]Set CARDRAIL_PUBLIC_URL to the address that suppliers reach, and put it before this path.[/yellow]")


def _notice(one: Any) -> dict[str, Any]:
    names = ("id", "supplier_id", "supplier", "event", "event_id", "supplier_order_id", "state", "result", "attempt_id", "tries")
    found = {name: getattr(one, name) for name in names}
    for name in ("received_at", "done_at"):
        value = getattr(one, name)
        found[name] = None if value is None else rfc3339(from_micros(value))
    return found
