"""`cardrail worker`: the background work alone, beside any number of servers on the same PostgreSQL database."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from typing import Annotated

import typer

from cardrail.api import Watch
from cardrail.bootstrap import opened
from cardrail.chores import chores
from cardrail.cli.context import EXIT_CLOSED, err, must_exist, refusals, settings
from cardrail.logs import configure_logs


def worker(
    host: Annotated[str, typer.Option(help="Address that monitoring asks at.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port for /healthz, /readyz and /metrics; 0 takes a free one. Without it there are none."
        ),
    ] = None,
) -> None:
    """Buy, send and keep house until stopped. On PostgreSQL, as many as you like; what one leaves when it dies, another takes over."""
    with refusals():
        given = settings()
        must_exist(given)
    if given.url.startswith("sqlite"):
        err.print("[red]On SQLite the server is the worker: `cardrail serve`. A worker of its own needs PostgreSQL.[/red]")
        raise typer.Exit(EXIT_CLOSED)
    configure_logs(given.log_format)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with refusals(), opened(given, chain="worker") as cardrail, ExitStack() as stack:
        if port is not None:
            watch = Watch(cardrail, host, port)
            watch.start()
            stack.callback(watch.close)
            err.print(f"Health and metrics on {watch.url}.")
        cardrail.sequencer.start()
        cardrail.sender.start()
        cardrail.jobs.start(chores(cardrail))
        err.print("Working. Ctrl-C stops.")
        stopped.wait()
