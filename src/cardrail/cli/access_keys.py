"""`cardrail key`: the partners' API keys, and credentials of other dialects. A secret is printed once, by the command that makes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from cardrail.access import ALL_SCOPES, KINDS, SCOPES, ApiKey, create_credential, create_key, list_keys, revoke_key, rotate_key
from cardrail.cli.context import err, open_context, out, show_json
from cardrail.kernel import ApiKeyId, Mode, PartnerId, Secret

app = typer.Typer(help="The partners' API keys.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
KeyArg = Annotated[str, typer.Argument(help="The key's id, key_…", metavar="KEY")]


@app.command()
def create(
    partner: Annotated[str, typer.Argument(help="The partner's id, par_…")],
    *,
    mode: Annotated[Mode, typer.Option(help="live or test.")] = Mode.TEST,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may do, repeatable; all unless given: {', '.join(SCOPES)}.")
    ] = None,
    network: Annotated[list[str] | None, typer.Option(help="Address or CIDR block it may be used from, repeatable.")] = None,
    expires: Annotated[datetime | None, typer.Option(help="When it ends, in UTC.")] = None,
    dialect: Annotated[
        str | None, typer.Option(help=f"For another dialect than the native API: {', '.join(sorted(KINDS))}.", metavar="NAME")
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", min=0, help="Its own rate limit in the dialect; 0: none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print its secrets, once. Two of a partner, mode and dialect may be valid at a time."""
    if per_minute is not None and dialect is None:
        raise typer.BadParameter(
            "it is for --dialect; a partner's own limit is set with `cardrail partner`", param_hint="--requests-per-minute"
        )
    with open_context() as ctx:
        common: dict[str, Any] = {
            "name": name,
            "scopes": scope or ALL_SCOPES,
            "expires_at": None if expires is None else expires.replace(tzinfo=UTC),
            "networks": network or (),
            "actor": "cli",
        }
        if dialect is None:
            key, token = create_key(ctx.db, ctx.clock, ctx.audit, PartnerId(partner), mode, **common)
            secrets = {"token": token}
        else:
            issued = create_credential(
                ctx.db,
                ctx.clock,
                ctx.audit,
                ctx.sealer,
                PartnerId(partner),
                mode,
                dialect,
                requests_per_minute=per_minute,
                **common,
            )
            key, secrets = issued.key, issued.fields
    _show_new(key, secrets, as_json)


@app.command("list")
def list_(partner: Annotated[str, typer.Argument(help="The partner's id, par_…")], as_json: AsJson = False) -> None:
    """List a partner's keys, the oldest first."""
    with open_context() as ctx, ctx.db.read() as tx:
        keys = list_keys(tx, PartnerId(partner))
        now = ctx.clock.now()
    if as_json:
        show_json({"items": [_plain(key) for key in keys]})
        return
    table = Table(
        *[
            Column(name, overflow="fold", no_wrap=name in {"id", "subject"})
            for name in ("id", "mode", "dialect", "name", "ends in", "state", "expires", "networks", "scopes")
        ],
        box=None,
    )
    for key in keys:
        state = "revoked" if key.revoked_at else "valid" if key.is_valid(now) else "expired"
        expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else ""
        scopes = "all" if key.scopes == ALL_SCOPES else " ".join(sorted(key.scopes))
        networks = " ".join(key.networks)
        table.add_row(key.id, key.mode.value, key.dialect or "", escape(key.name), key.hint, state, expires, networks, scopes)
    out.print(table)


@app.command()
def rotate(
    key: KeyArg,
    overlap_hours: Annotated[float, typer.Option(min=0, max=24 * 90, help="How long the old key goes on.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Create a key like this one, print its token once, and let the old one end after the overlap."""
    with open_context() as ctx:
        overlap = timedelta(hours=overlap_hours)
        new, token = rotate_key(ctx.db, ctx.clock, ctx.audit, ApiKeyId(key), overlap=overlap, actor="cli")
    _show_new(new, {"token": token}, as_json)


@app.command()
def revoke(key: KeyArg, yes: Yes = False, as_json: AsJson = False) -> None:
    """End a key now, for ever."""
    if not yes:
        typer.confirm(f"End {key} now, for ever?", err=True, abort=True)
    with open_context() as ctx:
        revoked = revoke_key(ctx.db, ctx.clock, ctx.audit, ApiKeyId(key), actor="cli")
    if as_json:
        show_json(_plain(revoked))
    else:
        out.print(f"{revoked.id} is revoked.")


def _plain(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "partner_id": key.partner_id,
        "mode": key.mode.value,
        "dialect": key.dialect,
        "name": key.name,
        "hint": key.hint,
        "scopes": sorted(key.scopes),
        "networks": list(key.networks),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _show_new(key: ApiKey, secrets: dict[str, Secret], as_json: bool) -> None:
    """The one place that prints a key's secrets."""
    if as_json:
        show_json(_plain(key) | {name: one.reveal() for name, one in secrets.items()})
        return
    if set(secrets) == {"token"}:
        err.print(f"{key.id} for {key.partner_id}. This is its token; it is not shown again:")
        typer.echo(secrets["token"].reveal())
        return
    err.print(f"{key.id} for {key.partner_id}, to speak {key.dialect}. This is not shown again:")
    for name, one in secrets.items():
        typer.echo(f"{name} {one.reveal()}")
