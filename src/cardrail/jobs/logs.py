"""The library's log, through ours: warnings and errors only. What it says at start-up, an advertisement among it, is information."""

from __future__ import annotations

import logging

import structlog

log = structlog.get_logger("cardrail.jobs")


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.log(record.levelno, record.getMessage(), source="dbos", exc_info=record.exc_info or None)


def forward_library_log() -> None:
    """Before the library starts: it adds a handler of its own only where there is none."""
    theirs = logging.getLogger("dbos")
    if not any(isinstance(handler, _Forward) for handler in theirs.handlers):
        theirs.handlers[:] = [_Forward()]
        theirs.propagate = False
    theirs.setLevel(logging.WARNING)
