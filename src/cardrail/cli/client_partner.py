"""`cardrail client-partner`: the businesses that our partners sell to as intermediaries, and whether they may."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Column, Table

from cardrail.access import ClientPartner, ClientPartnerEvent, decide_client_partner, get_partner, list_client_partners
from cardrail.cli.context import open_context, out, show_json
from cardrail.kernel import Mode, PartnerId

app = typer.Typer(help="The businesses that partners order for as intermediaries.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ClientPartnerArg = Annotated[str, typer.Argument(help="The client partner's id, clp_…", metavar="CLIENT_PARTNER")]


@app.command("list")
def list_(
    partner: Annotated[str, typer.Argument(help="The partner's id, par_…", metavar="PARTNER")],
    *,
    mode: Annotated[Mode, typer.Option(help="live or test.")] = Mode.LIVE,
    as_json: AsJson = False,
) -> None:
    """List a partner's client partners, in the order of their registration."""
    with open_context() as ctx, ctx.db.read() as tx:
        get_partner(tx, PartnerId(partner))
        found = list_client_partners(tx, PartnerId(partner), mode)
    if as_json:
        show_json({"items": [_plain(one) for one in found]})
        return
    table = Table(
        *[Column(name, overflow="fold", no_wrap=name == "id") for name in ("id", "name", "state", "registered")], box=None
    )
    for one in found:
        table.add_row(one.id, escape(one.name), one.state.value, one.created_at.isoformat(timespec="seconds"))
    out.print(table)


@app.command()
def approve(client_partner: ClientPartnerArg, as_json: AsJson = False) -> None:
    """Let orders be for it; only one that is pending can be approved."""
    _decide(client_partner, ClientPartnerEvent.APPROVE, as_json)


@app.command()
def reject(client_partner: ClientPartnerArg, as_json: AsJson = False) -> None:
    """Refuse one that is pending, for good."""
    _decide(client_partner, ClientPartnerEvent.REJECT, as_json)


@app.command()
def revoke(client_partner: ClientPartnerArg, as_json: AsJson = False) -> None:
    """Take an approval back, for good: no order can be for it any more. Orders that were placed stay."""
    _decide(client_partner, ClientPartnerEvent.REVOKE, as_json)


def _decide(client_partner: str, event: ClientPartnerEvent, as_json: bool) -> None:
    with open_context() as ctx:
        changed = decide_client_partner(ctx.db, ctx.clock, ctx.audit, client_partner, event, actor="cli")
    if as_json:
        show_json(_plain(changed))
        return
    out.print(f"{changed.id} {escape(changed.name)}: {changed.state.value}")


def _plain(one: ClientPartner) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(one)
    return plain
