"""`cardrail` with a counter on its SQLite connections: how many statements, and how many executions of them, orders take.

Run as a program: the first argument is the file for the counts, the others are `cardrail`'s own. It costs time, so it is never the
server whose rate is measured. Of each statement only the beginning is looked at, and nothing of it is kept.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import event

from cardrail.cli import main

KIND_LENGTH: Final = 48
"""Characters that tell one statement from another: verb and table, and no value yet."""


class Counter:
    """Counts what SQLite executes. A statement given many rows at once is one statement and many executions."""

    def __init__(self) -> None:
        self.statements = 0
        self.executions = 0
        self.commits = 0
        self._last = ""

    def __call__(self, text: str) -> None:
        kind = text[:KIND_LENGTH]
        self.executions += 1
        self.statements += kind != self._last
        self.commits += kind.startswith("COMMIT")
        self._last = kind


def run(path: Path) -> None:
    """Run the command line; at each SIGUSR1 the counts so far go to the file."""
    counters: list[Counter] = []

    @event.listens_for(sa.Engine, "connect")
    def _watch(connection: Any, _record: object) -> None:
        counters.append(Counter())
        connection.set_trace_callback(counters[-1])

    def write(*_signal: object) -> None:
        names = ("statements", "executions", "commits")
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode({name: sum([getattr(one, name) for one in counters]) for name in names}))
        draft.replace(path)

    signal.signal(signal.SIGUSR1, write)
    main()


if __name__ == "__main__":
    run(Path(sys.argv.pop(1)))
