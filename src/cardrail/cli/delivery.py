"""`cardrail claim` and `cardrail message`: what went to recipients. A link opens codes, so none is printed here; partners get them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.cli.context import open_context, out, show_json, table_of
from cardrail.cli.order import the_order
from cardrail.delivery import Claim, claims_of, list_messages, note_bounce, resend_message, revoke_any_claim
from cardrail.kernel import from_micros, rfc3339, to_micros

claims = typer.Typer(help="Claim links: see and withdraw them.", no_args_is_help=True)
messages = typer.Typer(help="Messages to recipients: see them, send them again, note what came back.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OrderArgument = Annotated[str, typer.Argument(help="The order's id (ord_…).")]
MessageArgument = Annotated[str, typer.Argument(help="The message's id (msg_…).")]


@claims.command("list")
def list_claims_command(order: OrderArgument, as_json: AsJson = False) -> None:
    """An order's claim links, without the links themselves."""
    with open_context() as cardrail:
        found = claims_of(cardrail.db, the_order(cardrail, order).id)
        now = to_micros(cardrail.clock.now())
    if as_json:
        show_json([_claim(one, now) for one in found])
        return
    if not found:
        out.print("No links.")
        return
    table = table_of("claim", "line", "unit", "state", "protection", "wrong PINs", "expires", "opened")
    for one in found:
        table.add_row(
            one.id,
            str(one.line or "all"),
            str(one.unit or "all"),
            one.state(now),
            one.protection.value,
            str(one.tries),
            _time(one.expires_at),
            _time(one.claimed_at),
        )
    out.print(table)


@claims.command("revoke")
def revoke_command(
    claim: Annotated[str, typer.Argument(help="The claim's id (clm_…).")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Withdraw a link, for ever. The order stays as it is."""
    if not yes:
        typer.confirm(f"Withdraw {claim} for ever?", err=True, abort=True)
    with open_context() as cardrail:
        found = revoke_any_claim(cardrail.db, cardrail.clock, cardrail.audit, claim, actor="cli")
        now = to_micros(cardrail.clock.now())
    if as_json:
        show_json(_claim(found, now))
    else:
        out.print(f"{found.id} leads nowhere any more.")


@messages.command("list")
def list_messages_command(order: OrderArgument, as_json: AsJson = False) -> None:
    """What was sent for an order, and how it went."""
    with open_context() as cardrail:
        found = list_messages(cardrail.db, the_order(cardrail, order).id)
    if as_json:
        show_json([_message(one) for one in found])
        return
    if not found:
        out.print("No messages.")
        return
    table = table_of("message", "channel", "to", "state", "tries", "due", "sent", "last error")
    for one in found:
        table.add_row(
            one.id,
            one.channel,
            escape(one.address or "(erased)"),
            one.state,
            str(one.tries),
            _time(one.due_at),
            _time(one.sent_at),
            escape(one.error or ""),
        )
    out.print(table)


@messages.command("resend")
def resend_command(
    message: MessageArgument,
    to: Annotated[str | None, typer.Option(help="Another address of the same channel.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a message once more. A running server sends it."""
    with open_context() as cardrail:
        cardrail.jobs.prepare()
        new = resend_message(cardrail.office, message, actor="cli", address=to).id
    if as_json:
        show_json({"id": new, "of": message})
    else:
        out.print(f"{new} goes out as soon as a worker runs.")


@messages.command("bounced")
def bounced_command(
    message: Annotated[str, typer.Argument(help="The message's id (msg_…), or the mail's Message-ID with its < and >.")],
) -> None:
    """Note that a message came back after it was sent."""
    with open_context() as cardrail:
        note_bounce(cardrail.office, message, actor="cli")
    out.print("Noted.")


def _claim(one: Claim, now: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "order_id": one.order_id,
        "line": one.line or None,
        "unit": one.unit or None,
        "state": one.state(now),
        "protection": one.protection.value,
        "wrong_pins": one.tries,
        "expires_at": _moment(one.expires_at),
        "claimed_at": _moment(one.claimed_at),
    }


def _message(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "order_id": one.order_id,
        "channel": one.channel,
        "address": one.address,
        "state": one.state,
        "tries": one.tries,
        "due_at": _moment(one.due_at),
        "sent_at": _moment(one.sent_at),
        "error": one.error,
    }


def _moment(micros: int | None) -> str | None:
    return None if micros is None else rfc3339(from_micros(micros))


def _time(micros: int | None) -> str:
    return "" if micros is None else f"{from_micros(micros):%Y-%m-%d %H:%M}"
