"""How the process logs: one event a line, with the request's and the partner's id, and without secrets.

Three nets under a slip: values of the types ``Secret`` and ``PlainCode`` show a mask, keys on the deny-list lose their value, and what
looks like one of our tokens is cut out of any text. A traceback shows where, and never the values of variables.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog

from cardrail.kernel import CardrailError, PlainCode, Secret

MASK: Final = "***"

DENIED: Final = frozenset(
    {
        "access_token", "api_key", "api_secret", "authorization", "body", "client_secret", "code", "codes", "cookie", "key", "master_key",
        "master_keys", "password", "pin", "plain", "refresh_token", "sealed", "secret", "serial", "signing_secret", "token", "url",
        "webhook_secret", "wrapped_key", "x-access-token", "x-api-key", "x-api-secret", "x_api_key",
    }
)  # fmt: skip
"""Keys whose values are never shown, at any depth."""

_TOKEN: Final = re.compile(
    r"cr_(?:live|test|op)_[0-9A-Za-z]{4,}|(?:fr|sk)_(?:live|test)_\w{4,}|whsec_[\w+/=-]{4,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
)
_DEPTH_MAX: Final = 6
_ERROR_CODE: Final = re.compile(r"[a-z][a-z0-9_]{1,40}")


def configure_logs(log_format: str = "console", *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging alike; ``log_format`` is console or json."""
    out = stream or sys.stderr
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        show_where,
        redact,
    ]
    renderer: structlog.types.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(default=_shown)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing(out))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_strip, renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


class _Unfailing:
    """A stream whose failures stay its own: whoever logs is doing something more important than logging."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # a full disk, a closed pipe
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut secrets out of an event, by type, by key, and by their look."""
    for name in list(event):
        event[name] = _clean(name, event[name], 0)
    return event


def show_where(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception's frames in place of the exception; no values, and of foreign errors no message, which may quote some."""
    info = event.pop("exc_info", None)
    error = (
        info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info else None
    )
    if error is not None:
        event["where"] = "\n".join(_told(error))
    return event


def _told(error: BaseException) -> list[str]:
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        message = f": {current.message}" if isinstance(current, CardrailError) else ""
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}{message}")
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(current.__traceback__)]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


def _clean(name: object, value: Any, depth: int) -> Any:
    if isinstance(value, (Secret, PlainCode)):
        return MASK
    if isinstance(name, str) and name.lower() in DENIED:
        is_error_code = name == "code" and isinstance(value, str) and _ERROR_CODE.fullmatch(value) is not None
        return value if is_error_code or value is None else MASK
    if isinstance(value, str):
        return _TOKEN.sub(MASK, value)
    if isinstance(value, bytes):
        return MASK
    if depth < _DEPTH_MAX and isinstance(value, Mapping):
        return {key: _clean(key, one, depth + 1) for key, one in value.items()}
    if depth < _DEPTH_MAX and isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", one, depth + 1) for one in value]
    return value


def _shown(value: Any) -> str:
    """What a value that JSON does not know shows as: its type, because its text may be anything."""
    return f"<{type(value).__name__}>"


def _strip(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in ("_record", "_from_structlog"):
        event.pop(name, None)
    return event
