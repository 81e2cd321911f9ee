"""The command line: `cardrail`. One noun a module, its verbs as commands; results on standard output, all else on standard error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cardrail import __version__
from cardrail.cli import (
    access_keys,
    alert,
    audit,
    backup,
    bench,
    catalog,
    client_partner,
    codes,
    delivery,
    demo,
    export,
    keys,
    ledger,
    operator_keys,
    order,
    partner,
    reconcile,
    replacement,
    route,
    serve,
    settle,
    setup,
    supplier,
    verify,
    webhook,
    worker,
)
from cardrail.cli.context import use_settings

app = typer.Typer(
    name="cardrail",
    help="Open rails for gift cards and digital goods.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold codes
    rich_markup_mode="rich",
)

for name, module in (
    ("partner", partner),
    ("client-partner", client_partner),
    ("key", access_keys),
    ("operator-key", operator_keys),
    ("catalog", catalog),
    ("codes", codes),
    ("order", order),
    ("replacement", replacement),
    ("supplier", supplier),
    ("route", route),
    ("ledger", ledger),
    ("settle", settle),
    ("reconcile", reconcile),
    ("webhook", webhook),
    ("alert", alert),
    ("keys", keys),
    ("audit", audit),
):
    app.add_typer(module.app, name=name)
app.add_typer(delivery.claims, name="claim")
app.add_typer(delivery.messages, name="message")

setup.add_to(app)
serve.add_to(app)
worker.add_to(app)
demo.add_to(app)
export.add_to(app)
verify.add_to(app)
backup.add_to(app)
bench.add_to(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cardrail {__version__}")
        raise typer.Exit


@app.callback()
def options(
    data: Annotated[
        Path | None, typer.Option("--data-dir", envvar="CARDRAIL_DATA_DIR", help="Folder of database, keys, backups.")
    ] = None,
    database: Annotated[
        str | None, typer.Option("--database-url", envvar="CARDRAIL_DATABASE_URL", help="Another database.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Open rails for gift cards and digital goods."""
    use_settings(data, database)


def main() -> None:
    """The console script."""
    os.umask(0o077)  # database, journal and backups are their owner's only
    app()
