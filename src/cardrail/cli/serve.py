"""`cardrail serve`: the API on one address, until it is told to stop; what is in flight is answered first."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from cardrail.api import serve as serve_http
from cardrail.bootstrap import Cardrail, opened
from cardrail.chores import chores
from cardrail.cli.context import EXIT_CLOSED, err, must_exist, refusals, settings
from cardrail.config import Settings
from cardrail.kernel import rfc3339
from cardrail.logs import configure_logs
from cardrail.storage import open_restores


@contextmanager
def only_server(given: Settings) -> Iterator[None]:
    """On SQLite one process serves; a second one on the same folder is refused instead of fighting for the file."""
    if not given.url.startswith("sqlite"):
        yield
        return
    with refusals():
        given.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (given.data_dir / "serve.lock").open("w")
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            err.print(
                "[red]Another `cardrail serve` uses this data folder. On SQLite one process serves; use PostgreSQL for several.[/red]"
            )
            raise typer.Exit(EXIT_CLOSED) from None
        yield


def warn_if_frozen(cardrail: Cardrail) -> None:
    """After a restore no live code is sold until somebody has given the journals to `cardrail restore-release`."""
    with cardrail.db.read() as tx:
        for one in open_restores(tx):
            err.print(
                f"[yellow]Frozen: restored from a backup of {rfc3339(one.taken_at)}. No live stock is sold before "
                "`cardrail restore-release`.[/yellow]"
            )


def run(given: Settings, ready: Any = None, *, worker: bool = True) -> None:
    """Serve until stopped, and do the background work too unless ``worker`` is false. ``ready(base_url)`` is called once requests are
    accepted."""
    configure_logs(given.log_format)
    with refusals():
        must_exist(given)
    with only_server(given), refusals(), opened(given) as cardrail:
        warn_if_frozen(cardrail)
        cardrail.start()
        if worker:
            cardrail.sequencer.start()
            cardrail.sender.start()
            cardrail.jobs.start(chores(cardrail))
        else:
            cardrail.jobs.prepare()
        try:
            serve_http(cardrail, given.host, given.port, ready)
        except SystemExit as stop:  # uvicorn's way of saying that it cannot listen; its own line in the log says why
            err.print(f"[red]Cannot listen on {given.host}:{given.port}. Is another program using it?[/red]")
            raise typer.Exit(EXIT_CLOSED) from stop


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    worker: Annotated[bool, typer.Option(help="Do the background work in this process too.")] = True,
) -> None:
    """Serve the API. The database must be at this release's schema and the master keys must be the right ones."""
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    with refusals():
        given = Settings(**(settings().model_dump(exclude_unset=True) | changes))
    run(given, lambda url: err.print(f"Serving on [bold]{url}[/bold]. Documentation: {url}/docs. Ctrl-C stops."), worker=worker)
