"""`cardrail webhook`: where partners' events are sent, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.access import get_partner
from cardrail.cli.context import err, open_context, out, show_json, table_of
from cardrail.kernel import Mode, PartnerId, rfc3339
from cardrail.webhooks import (
    FORMATS,
    STANDARD,
    Attempt,
    Delivery,
    Endpoint,
    Who,
    backlog,
    list_deliveries,
    load_delivery,
)

app = typer.Typer(help="Webhook endpoints of partners: add, look at, test, send again.", no_args_is_help=True)

CLI = Who("cli")

EndpointArg = Annotated[str, typer.Argument(help="The endpoint's id, whe_…", metavar="ENDPOINT")]
EventArg = Annotated[str, typer.Argument(help="The event's id, evt_…", metavar="EVENT")]
ModeOption = Annotated[Mode, typer.Option("--mode", help="Whose events: live or test ones.")]
EventsOption = Annotated[
    list[str] | None, typer.Option("--event", help="A type of event that it is to get; repeat it. Unset: all.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def add(
    partner: Annotated[str, typer.Argument(help="The partner's id, par_…", metavar="PARTNER")],
    url: Annotated[str, typer.Argument(help="https://…")],
    *,
    mode: ModeOption = Mode.LIVE,
    event: EventsOption = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    form: Annotated[str, typer.Option("--format", help=f"How it is said and signed: {', '.join(sorted(FORMATS))}.")] = STANDARD,
    with_codes: Annotated[
        bool, typer.Option(help="Send codes in the body, where the format has a place for them; each is noted in the audit log.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint; its secret is printed once."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            owner = get_partner(tx, PartnerId(partner))
        endpoint, secret = ctx.webhooks.create(
            owner.id,
            mode,
            url=url,
            events=event or None,
            description=description,
            format=form,
            with_codes=with_codes,
            who=CLI,
        )
        if as_json:
            show_json({**_plain(endpoint), "secret": secret.reveal()})
        else:
            out.print(f"[bold]{endpoint.id}[/bold] {escape(endpoint.url)}")
            out.print(f"Secret, not shown again: {secret.reveal()}")


@app.command("list")
def list_command(
    partner: Annotated[str | None, typer.Option(help="Of this partner only.")] = None, as_json: AsJson = False
) -> None:
    """List endpoints."""
    with open_context() as ctx:
        found = [one for one in ctx.webhooks.everybodys() if partner in (None, one.partner_id)]
        with ctx.db.read() as tx:
            waiting, _ = backlog(tx)
    if as_json:
        show_json({"items": [_plain(one) for one in found], "waiting": waiting})
        return
    table = table_of("id", "partner", "mode", "state", "format", "url", "since")
    for one in found:
        state = "failing" if one.failing_since and one.state.value == "enabled" else one.state.value
        since = rfc3339(one.failing_since) if one.failing_since else one.reason or ""
        table.add_row(one.id, one.partner_id, one.mode.value, state, one.format, escape(one.url), escape(since))
    out.print(table)
    err.print(f"Waiting deliveries: {waiting}")


@app.command()
def show(endpoint: EndpointArg, as_json: AsJson = False) -> None:
    """Show an endpoint and its newest deliveries."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = ctx.webhooks.find(tx, endpoint)
        newest = list_deliveries(tx, found.id, limit=20)
    _show_deliveries(found, newest, as_json=as_json)


@app.command()
def deliveries(
    endpoint: EndpointArg,
    *,
    state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    event: Annotated[str | None, typer.Option(help="Of this type of event.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List an endpoint's deliveries, newest event first."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = ctx.webhooks.find(tx, endpoint)
        chosen = list_deliveries(tx, found.id, state=state, event_type=event, limit=limit)
    _show_deliveries(found, chosen, as_json=as_json)


@app.command()
def attempts(endpoint: EndpointArg, event: EventArg, as_json: AsJson = False) -> None:
    """Show every attempt to deliver one event."""
    with open_context() as ctx, ctx.db.read() as tx:
        delivery, tried = load_delivery(tx, ctx.webhooks.find(tx, endpoint).id, event)
    if as_json:
        show_json({**_delivery(delivery), "attempts": [_attempt(one) for one in tried]})
        return
    table = table_of("at", "status", "ms", "error", "answer")
    for one in tried:
        table.add_row(
            rfc3339(one.at), str(one.status or ""), str(one.milliseconds), one.error or "", escape((one.answer or "")[:100])
        )
    out.print(table)


@app.command()
def enable(endpoint: EndpointArg, as_json: AsJson = False) -> None:
    """Send to a disabled endpoint again: what waited, and new events. What came between is for `recover`."""
    with open_context() as ctx:
        changed = ctx.webhooks.update(endpoint, who=CLI, enabled=True)
    _done(changed, "Enabled.", as_json=as_json)


@app.command()
def disable(endpoint: EndpointArg, as_json: AsJson = False) -> None:
    """Send nothing more to an endpoint."""
    with open_context() as ctx:
        changed = ctx.webhooks.update(endpoint, who=CLI, enabled=False)
    _done(changed, "Disabled.", as_json=as_json)


@app.command()
def change(
    endpoint: EndpointArg,
    *,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    event: EventsOption = None,
    all_events: Annotated[bool, typer.Option(help="Every type of event.")] = False,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    with_codes: Annotated[bool | None, typer.Option(help="Send codes where the format has a place for them, or not.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change an endpoint."""
    with open_context() as ctx:
        changed = ctx.webhooks.update(
            endpoint,
            who=CLI,
            url=url,
            events=event or None,
            all_events=all_events,
            description=description,
            with_codes=with_codes,
        )
    _done(changed, "Changed.", as_json=as_json)


@app.command()
def delete(endpoint: EndpointArg, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete an endpoint and its secrets."""
    if not yes:
        typer.confirm(f"Delete {endpoint}?", err=True, abort=True)
    with open_context() as ctx:
        ctx.webhooks.delete(endpoint, who=CLI)
    if as_json:
        show_json({"id": endpoint, "state": "deleted"})
    else:
        out.print("Deleted.")


@app.command()
def rotate(
    endpoint: EndpointArg,
    overlap_hours: Annotated[int, typer.Option(min=0, max=168, help="How long the old secret goes on.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Make a new secret, printed once; for the overlap messages carry both signatures."""
    with open_context() as ctx:
        secret = ctx.webhooks.rotate(endpoint, who=CLI, overlap=timedelta(hours=overlap_hours))
        if as_json:
            show_json({"id": endpoint, "secret": secret.reveal()})
        else:
            out.print(f"Secret, not shown again: {secret.reveal()}")


@app.command("test")
def send_test(endpoint: EndpointArg, as_json: AsJson = False) -> None:
    """Let the worker send a test event; `attempts` shows what came of it."""
    with open_context() as ctx:
        event_id = ctx.webhooks.test(endpoint, who=CLI)
    if as_json:
        show_json({"id": endpoint, "event_id": event_id})
    else:
        out.print(event_id)


@app.command()
def resend(endpoint: EndpointArg, event: EventArg, as_json: AsJson = False) -> None:
    """Send one event again, now."""
    with open_context() as ctx:
        delivery = ctx.webhooks.resend(endpoint, event, who=CLI)
    if as_json:
        show_json(_delivery(delivery))
    else:
        out.print("It is sent again.")


@app.command()
def recover(
    endpoint: EndpointArg,
    since: Annotated[datetime, typer.Argument(help="From this time on, in UTC.")],
    as_json: AsJson = False,
) -> None:
    """Send everything since a time that has not arrived, also what came while the endpoint was disabled."""
    with open_context() as ctx, err.status("Looking …"):
        count = ctx.webhooks.recover(endpoint, since.replace(tzinfo=UTC), who=CLI)
    if as_json:
        show_json({"id": endpoint, "count": count})
    else:
        out.print(f"{count} events are sent.")


def _done(endpoint: Endpoint, sentence: str, *, as_json: bool) -> None:
    if as_json:
        show_json(_plain(endpoint))
    else:
        out.print(sentence)


def _show_deliveries(endpoint: Endpoint, found: list[Delivery], *, as_json: bool) -> None:
    if as_json:
        show_json({**_plain(endpoint), "deliveries": [_delivery(one) for one in found]})
        return
    out.print(f"[bold]{endpoint.id}[/bold] {endpoint.state.value} {escape(endpoint.url)} {escape(endpoint.reason or '')}")
    table = table_of("event", "type", "state", "tries", "next attempt")
    for one in found:
        table.add_row(one.event_id, one.type, one.state.value, str(one.tries), rfc3339(one.due_at) if one.due_at else "")
    out.print(table)


def _plain(one: Endpoint) -> dict[str, Any]:
    return {
        "id": one.id,
        "partner": one.partner_id,
        "mode": one.mode.value,
        "url": one.url,
        "events": None if one.events is None else sorted(one.events),
        "description": one.description,
        "format": one.format,
        "with_codes": one.with_codes,
        "state": one.state.value,
        "reason": one.reason,
        "failing_since": rfc3339(one.failing_since) if one.failing_since else None,
    }


def _delivery(one: Delivery) -> dict[str, Any]:
    return {
        "event": one.event_id,
        "type": one.type,
        "state": one.state.value,
        "tries": one.tries,
        "due_at": rfc3339(one.due_at) if one.due_at else None,
        "done_at": rfc3339(one.done_at) if one.done_at else None,
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "at": rfc3339(one.at),
        "status": one.status,
        "milliseconds": one.milliseconds,
        "error": one.error,
        "answer": one.answer,
    }
