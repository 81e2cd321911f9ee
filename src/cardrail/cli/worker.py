"""`cardrail worker`: the background work alone, beside any number of servers on the same PostgreSQL database."""

from __future__ import annotations

import signal
import threading

import typer

from cardrail.bootstrap import opened
from cardrail.chores import chores
from cardrail.cli.context import EXIT_CLOSED, err, must_exist, refusals, settings
from cardrail.logs import configure_logs


def worker() -> None:
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
    with refusals(), opened(given, chain="worker") as cardrail:
        cardrail.sequencer.start()
        cardrail.sender.start()
        cardrail.jobs.start(chores(cardrail))
        err.print("Working. Ctrl-C stops.")
        stopped.wait()
