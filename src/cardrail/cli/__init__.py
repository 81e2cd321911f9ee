"""The command line: `cardrail`. One noun a module, its verbs as commands; results on standard output, all else on standard error.

A command's module is imported when the command is called. Whoever asks for `--help`, or mistypes a name, waits for none of them.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from cardrail import __version__

COMMANDS: Final = {
    "init": ("setup.init", "Make the data folder, the key file and the database. What is there already is left as it is."),
    "migrate": ("setup.migrate_command", "Bring the database's schema to this release's. Forward only; back up first."),
    "serve": (
        "serve.serve",
        "Serve the API. The database must be at this release's schema and the master keys must be the right ones.",
    ),
    "worker": (
        "worker.worker",
        "Buy, send and keep house until stopped. On PostgreSQL, as many as you like; what one leaves when it dies, another takes over.",
    ),
    "demo": (
        "demo.demo",
        "A whole shop in one folder: real catalog, sealed codes, a partner with money and keys; then serve it.",
    ),
    "export": (
        "export.export",
        "Write a table to a file that only you can read. Rows are written as they are read, so their number costs no memory.",
    ),
    "verify": (
        "verify.verify",
        "Compute everything again and compare; exit code 1 if anything is not as it must be. Nothing is changed, nobody waits.",
    ),
    "backup": (
        "backup.backup",
        "Write a backup while the server runs: one file, checked, mode 0600, codes sealed. Nothing is overwritten.",
    ),
    "restore": (
        "backup.restore",
        "Restore a backup into the configured, empty database. It starts frozen: no live code is sold before `restore-release`.",
    ),
    "restore-release": (
        "backup.restore_release",
        "Let a restored database sell again, without what the journals say was sold after its backup. Doing it twice is harmless.",
    ),
    "copy": (
        "backup.copy",
        "Copy everything into another, empty database. Stop the servers first: what they write meanwhile is not copied.",
    ),
    "bench": (
        "bench.bench",
        "Measure this machine on fresh, temporary installations; nothing of yours is touched. Exit code 1 if a target is not met.",
    ),
    "partner": ("partner.app", "The businesses that buy through us."),
    "client-partner": ("client_partner.app", "The businesses that partners order for as intermediaries."),
    "key": ("access_keys.app", "The partners' API keys."),
    "operator-key": (
        "operator_keys.app",
        "Keys of your own programs: they see suppliers and costs. Never give one to a partner.",
    ),
    "catalog": ("catalog.app", "Products, prices and exchange rates."),
    "codes": ("codes.app", "Codes in stock: import, count, block, find."),
    "order": ("order.app", "Orders: look at them, refund, cancel, invalidate, review."),
    "replacement": ("replacement.app", "Bad codes: look at claims, and decide them."),
    "supplier": ("supplier.app", "Suppliers: connect them, sync what they sell, map it to skus, watch them."),
    "route": ("route.app", "How suppliers are chosen: policies and margin floors."),
    "ledger": ("ledger.app", "Balances and transfers: look at them, credit, correct, set limits, reverse."),
    "settle": ("settle.app", "Partners' statements: look at them, close them, export them."),
    "reconcile": ("reconcile.app", "Suppliers' statements: import, match, resolve what differs."),
    "webhook": ("webhook.app", "Webhook endpoints of partners: add, look at, test, send again."),
    "alert": ("alert.app", "Alerts: what runs low, is down, or waits for you."),
    "keys": ("keys.app", "Master keys: list, rotate, drop."),
    "audit": ("audit.app", "Who did what: list the audit log, anchor it, verify it."),
    "claim": ("delivery.claims", "Claim links: see and withdraw them."),
    "message": ("delivery.messages", "Messages to recipients: see them, send them again, note what came back."),
}
"""In the order of `--help`: what is called, as module and name in this package, and the first paragraph of its own help."""


def load_command(name: str) -> Any:
    """Import the command of this name, which must be one of COMMANDS; a command or a group of the library's."""
    module, _, attribute = COMMANDS[name][0].rpartition(".")
    called = getattr(import_module(f"{__name__}.{module}"), attribute)
    holder = _app()
    if isinstance(called, typer.Typer):
        holder.add_typer(called, name=name)
    else:
        holder.command(name)(called)
    return get_group(holder).commands[name]


class _Commands(TyperGroup):
    """Knows all commands by name and sentence, and imports the one that is called."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=sentence) for name, (_, sentence) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself in the place of its sentence. (The library's types of contexts and commands are private.)"""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name is not None else found, rest


def _app(**given: Any) -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,  # locals may hold codes
        rich_markup_mode="rich",
        **given,
    )


app = _app(name="cardrail", help="Open rails for gift cards and digital goods.", cls=_Commands)


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
    from cardrail.cli.context import use_settings

    use_settings(data, database)


def main() -> None:
    """The console script."""
    os.umask(0o077)  # database, journal and backups are their owner's only
    app()
