"""`cardrail operator-key`: keys of the operator's own programs, which see suppliers and costs. A token is printed once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.access import (
    OPERATOR_SCOPES,
    OperatorKey,
    create_operator_key,
    list_operator_keys,
    revoke_operator_key,
)
from cardrail.cli.context import err, open_context, out, show_json, table_of

app = typer.Typer(
    help="Keys of your own programs: they see suppliers and costs. Never give one to a partner.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help=f"What it may do; unset: {', '.join(OPERATOR_SCOPES)}.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="Address or CIDR block it may be used from, repeatable.")] = None,
    expires: Annotated[datetime | None, typer.Option(help="When it ends, in UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print its token, once."""
    with open_context() as ctx:
        key, token = create_operator_key(
            ctx.db,
            ctx.clock,
            ctx.audit,
            name=name,
            scopes=scope or OPERATOR_SCOPES,
            networks=network or (),
            expires_at=None if expires is None else expires.replace(tzinfo=UTC),
            actor="cli",
        )
    if as_json:
        show_json(_plain(key) | {"token": token.reveal()})
        return
    err.print(f"{key.id}. This is its token; it is not shown again:")
    typer.echo(token.reveal())


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the keys, the oldest first."""
    with open_context() as ctx, ctx.db.read() as tx:
        keys = list_operator_keys(tx)
    if as_json:
        show_json({"items": [_plain(key) for key in keys]})
        return
    table = table_of("id", "name", "ends in", "scopes", "networks", "expires", "revoked")
    for key in keys:
        times = [f"{one:%Y-%m-%d %H:%M}" if one else "" for one in (key.expires_at, key.revoked_at)]
        table.add_row(key.id, escape(key.name), key.hint, " ".join(sorted(key.scopes)), " ".join(key.networks), *times)
    out.print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, opk_…", metavar="KEY")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a key now, for ever."""
    if not yes:
        typer.confirm(f"End {key} now, for ever?", err=True, abort=True)
    with open_context() as ctx:
        revoked = revoke_operator_key(ctx.db, ctx.clock, ctx.audit, key, actor="cli")
    if as_json:
        show_json(_plain(revoked))
    else:
        out.print(f"{revoked.id} is revoked.")


def _plain(key: OperatorKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": sorted(key.scopes),
        "networks": list(key.networks),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
