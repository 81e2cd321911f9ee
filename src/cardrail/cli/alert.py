"""`cardrail alert`: what the operator should know, and who was told."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.alerts import Alert, AlertNotFound, Route, Send, list_alerts, load_alerts, sends_about, sentence
from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json, table_of
from cardrail.kernel import from_micros, rfc3339

app = typer.Typer(help="Alerts: what runs low, is down, or waits for you.", no_args_is_help=True)

ACTOR = "cli"
AlertArg = Annotated[str, typer.Argument(help="The alert's id, alr_…", metavar="ALERT")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("list")
def list_command(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    kind: Annotated[str | None, typer.Option(help="Of this kind only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List what is so now, the newest first."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            found = list_alerts(tx, everything=everything, kind=kind, limit=limit)
        routes = ctx.alerts.policy.routes
    if as_json:
        show_json({"items": [_plain(one) for one in found]})
        return
    table = table_of("id", "since", "kind", "state", "times", "what")
    for one in found:
        table.add_row(one.id, _time(one.opened_at) or "", one.kind, one.state.value, str(one.count), escape(sentence(one)))
    out.print(table)
    if not routes:
        err.print("[yellow]Nobody is told: CARDRAIL_ALERT_ROUTES is not set.[/yellow]")


@app.command()
def show(alert: AlertArg, as_json: AsJson = False) -> None:
    """Show an alert, and the messages about it."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            found = load_alerts(tx, [alert]).get(alert)
            if found is None:
                raise AlertNotFound(alert_id=alert)
            sent = sends_about(tx, alert)
        names = {one.id: one.shown for one in ctx.alerts.policy.routes}
    if as_json:
        show_json({**_plain(found), "facts": found.facts, "messages": [_send(one, names) for one in sent]})
        return
    out.print(f"[bold]{found.id}[/bold] {found.kind}, {found.state.value}: {escape(sentence(found))}")
    table = table_of("at", "to", "state", "tries", "error")
    for one in sent:
        to = escape(names.get(one.route, f"{one.channel} (not set any more)"))
        table.add_row(_time(one.created_at), to, one.state, str(one.tries), escape(one.error or ""))
    out.print(table)


@app.command()
def ack(alert: AlertArg, as_json: AsJson = False) -> None:
    """Say that you know: nobody is reminded, until it is over and comes back."""
    with open_context() as ctx:
        found = ctx.alerts.acknowledge(alert, actor=ACTOR)
    if as_json:
        show_json(_plain(found))
    else:
        out.print("Acknowledged.")


@app.command()
def test(as_json: AsJson = False) -> None:  # noqa: PT028  # the command of that name
    """Send a test to every recipient, now, whatever the hour. Exit code 1 if one could not be told."""
    with open_context() as ctx:
        done = ctx.alerts.test()
    if as_json:
        show_json({"items": [_tested(route, ok=sent.ok, error=sent.error) for route, sent in done]})
    else:
        for route, sent in done:
            mark = "[green]sent[/green]" if sent.ok else f"[red]{escape(sent.error or 'failed')}[/red]"
            out.print(f"{route.channel} {escape(route.shown)}: {mark}")
        if not done:
            err.print("[yellow]Nobody is told: CARDRAIL_ALERT_ROUTES is not set.[/yellow]")
    if not done or not all(sent.ok for _, sent in done):
        raise typer.Exit(EXIT_REFUSED)


def _tested(route: Route, *, ok: bool, error: str | None) -> dict[str, Any]:
    return {"channel": route.channel, "to": route.shown, "sent": ok, "error": error}


def _plain(one: Alert) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "subject": one.subject,
        "state": one.state.value,
        "text": sentence(one),
        "count": one.count,
        "opened_at": _time(one.opened_at),
        "last_at": _time(one.last_at),
        "told_at": _time(one.told_at),
        "acknowledged_by": one.acknowledged_by,
        "cleared_at": _time(one.cleared_at),
    }


def _send(one: Send, names: dict[str, str]) -> dict[str, Any]:
    return {
        "id": one.id,
        "channel": one.channel,
        "to": names.get(one.route),
        "state": one.state,
        "tries": one.tries,
        "error": one.error,
        "created_at": _time(one.created_at),
        "sent_at": _time(one.sent_at),
    }


def _time(micros: int | None) -> str | None:
    return None if micros is None else rfc3339(from_micros(micros))
