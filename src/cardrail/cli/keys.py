"""`cardrail keys`: the master keys. None is ever printed."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.progress import Progress

from cardrail.cli.context import err, open_context, out, show_json, table_of
from cardrail.kernel import from_micros, rfc3339
from cardrail.vault import KeyStatus, drop_master_key, list_master_keys, rotate_master_key

app = typer.Typer(help="Master keys: list, rotate, drop.", no_args_is_help=True)

ACTOR = "cli"
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List master keys by number."""
    with open_context() as ctx, ctx.db.read() as tx:
        rows = [_facts(one) for one in list_master_keys(tx, ctx.keyring)]
    if as_json:
        show_json({"keys": rows})
        return
    table = table_of("number", "state", "at hand", "wraps", "since", "retired")
    for row in rows:
        at_hand = "yes" if row["at_hand"] else "[red]no[/red]"
        table.add_row(
            str(row["number"]), row["state"], at_hand, str(row["wraps"]), row["created_at"] or "", row["retired_at"] or ""
        )
    out.print(table)


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Make a new master key and wrap everything by it. Codes are not touched; orders go on meanwhile."""
    with open_context() as ctx, Progress(console=err, transient=True) as bar:
        task = bar.add_task("Wrapping", total=None)
        done = rotate_master_key(
            ctx.db,
            ctx.clock,
            ctx.keyring,
            ctx.audit,
            actor=ACTOR,
            progress=lambda _stage, at, total: bar.update(task, completed=at, total=total),
        )
    if as_json:
        show_json({"number": done.number, "retired": list(done.retired), "lots": done.lots, "service_keys": done.service_keys})
        return
    out.print(f"Key {done.number} is current: {done.lots} lots and {done.service_keys} service keys are wrapped by it.")
    err.print("[yellow]Copy the key file to a safe place again.[/yellow]")
    for number in done.retired:
        err.print(f"Key {number} wraps nothing any more. Once no backup from before today is needed: cardrail keys drop {number}")


@app.command()
def drop(
    number: Annotated[int, typer.Argument(min=1, help="A retired key's number.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a retired key that wraps nothing any more, from the key file too."""
    if not yes:
        typer.confirm(f"Delete master key {number}? Older backups cannot be opened without it.", err=True, abort=True)
    with open_context() as ctx:
        drop_master_key(ctx.db, ctx.clock, ctx.keyring, ctx.audit, number, actor=ACTOR)
        in_file = ctx.keyring.path is not None
    if as_json:
        show_json({"dropped": number, "from_file": in_file})
        return
    out.print(f"Key {number} is gone." if in_file else f"Key {number} is no longer needed: take it out of CARDRAIL_MASTER_KEYS.")


def _facts(one: KeyStatus) -> dict[str, Any]:
    state = "current" if one.is_current else "retired" if one.retired_at is not None else "unused"
    return {
        "number": one.number,
        "state": state,
        "at_hand": one.is_at_hand,
        "wraps": one.wraps,
        "created_at": rfc3339(from_micros(one.created_at)) if one.created_at is not None else None,
        "retired_at": rfc3339(from_micros(one.retired_at)) if one.retired_at is not None else None,
    }
