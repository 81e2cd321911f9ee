"""Regenerate the reference pages that come from the code: `make docs`.

A page belongs in PAGES when the code knows its content better than a writer: settings, commands, events. Each entry is a path under
docs/ and a function that returns the whole text. `tests/tidy/test_docs.py` fails while a page is not what its function returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic_core import PydanticUndefined

from cardrail.api import STATUS, UNKNOWN_CHARGE, description, partner_errors
from cardrail.cli import COMMANDS, load_command
from cardrail.config import Settings
from cardrail.kernel import CardrailError, all_error_types
from cardrail.webhooks import EVENT_TYPES, Audience, example, payload

DOCS = Path(__file__).parents[1] / "docs"

LOADED: Final = {name: load_command(name) for name in COMMANDS}
"""The whole command line; with its modules come the errors that only they know."""

GENERATED: Final = "<!-- Written by `make docs` from {source}; edit that. -->"


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Every setting, its variable and its default."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "", PydanticUndefined) else f"`{_plain(field.default)}`"
        rows.append(f"| `CARDRAIL_{name.upper()}` | {default} | {_cell(field.description or '')} |")
    return "\n".join(
        [
            "# Settings",
            "",
            GENERATED.format(source="`src/cardrail/config.py`"),
            "",
            "A setting is an environment variable. `--data-dir` and `--database-url` before a command, and `--host` and `--port`",
            "after `serve`, go before the environment. An unknown variable is not noticed; a value of the wrong form stops the command.",
            "",
            "| variable | default | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
            "How they play together is told in [Run it](../operating/run-it.md).",
            "",
        ]
    )


def _plain(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# --- the command line -------------------------------------------------------------------------------------------------

CLI_INTRO: Final = """\
Every command takes these two options **before** its name: `--data-dir FOLDER` and `--database-url URL`
(or their variables, see [Settings](settings.md)). Results go to standard output, all else to standard error. `--json` prints the
result as one JSON document. No command prints a code; a new API key is printed once, by the command that makes it.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | refused by a rule, or a check found something; the message says which |
| 2 | the command line was not understood |
| 3 | what was named does not exist |
| 4 | the database or the master keys cannot be opened |
"""


def commands(named: Mapping[str, Any] | None = None, prefix: str = "cardrail") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, in the order of `--help`."""
    for name, command in (LOADED if named is None else named).items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command.commands, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", "", GENERATED.format(source="`src/cardrail/cli`"), "", CLI_INTRO]
    for name, command in commands():
        parts += [f"## {name}", "", _prose(command.help), "", "```", _usage(name, command), "```", ""]
        rows = [f"| {_names(one)} | {_default(one)} | {_cell(_prose(one.help))} |" for one in command.params]
        if rows:
            parts += ["| | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(parts).rstrip() + "\n"


def _prose(text: str | None) -> str:
    """A help text without rich's own marks."""
    return re.sub(r"\[/?(bold|red|green|yellow)\]", "", " ".join((text or "").split()))


def _usage(name: str, command: Any) -> str:
    words = [name]
    for one in command.params:
        if one.param_type_name == "argument":
            shown = _metavar(one) + ("…" if one.nargs != 1 or one.multiple else "")
            words.append(shown if one.required else f"[{shown}]")
        elif one.required:
            words += [one.opts[0], _metavar(one)]
    return " ".join([*words, "[OPTIONS]"] if any(one.param_type_name == "option" for one in command.params) else words)


def _names(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{_metavar(one)}`"
    names = ", ".join([f"`{name}`" for name in [*one.opts, *one.secondary_opts]])
    return names if one.is_flag else f"{names} {_metavar(one)}"


def _metavar(one: Any) -> str:
    return str(one.metavar or one.name.upper().rstrip("_"))


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if one.default is None or one.default is False or callable(one.default):
        return ""
    return f"`{_plain(one.default)}`"


# --- events -----------------------------------------------------------------------------------------------------------

EVENTS: Final = EVENT_TYPES
"""Event type → what it is about, whom it is for, and what has become true."""

EVENTS_INTRO: Final = """\
An event is a row that is written in the transaction that made it true, so there is no change without its event and no event without
its change. It says what happened to what, and never holds a code, a PIN or a key. An order's history (`history` in
`GET /v1/orders/{id}`, `cardrail order show`) is its events.

Partners pull them by `GET /v1/events`, or are [sent them as webhooks](../guides/receive-webhooks.md). Both show the same members:

| member | meaning |
| --- | --- |
| `id` | `evt_…`; the same however often it is sent |
| `type` | one of those below |
| `timestamp` | when it became true, UTC |
| `mode` | `live` or `test` |
| `data` | what it is about (`order_id`, `product_id` …; of a wallet its `currency`) and facts of the case |
| `data.step` | 1, 2, 3 … within that order, wallet, product: the higher is the later, in whatever order they came |
| `data.state`, `data.previous_state`, `data.reason` | where there are such |

New members and new types may be added; ignore what you do not know. Events are kept as long as what they are about; what is
deleted is the [log of deliveries](../operating/webhooks.md).
"""

AUDIENCES: Final = {
    Audience.PARTNER: "",
    Audience.EVERYONE: " For every partner, in the live stream, unless it is about one partner's price.",
    Audience.OPERATOR: " The operator's own: no partner sees it.",
}


def events_page() -> str:
    """Every type of event, with its payload."""
    parts = ["# Events", "", GENERATED.format(source="`EVENT_TYPES` in `src/cardrail/webhooks/types.py`"), "", EVENTS_INTRO]
    for name, one in EVENTS.items():
        shown = msgspec.json.format(msgspec.json.encode(payload(example(name))["data"]), indent=1).decode()
        lines = " ".join([line.strip() for line in shown.splitlines()]).replace("{ ", "{").replace(" }", "}")
        parts += [f"## {name}", "", f"{one.meaning}{AUDIENCES[one.audience]}", "", "```json", lines, "```", ""]
    return "\n".join(parts)


# --- the partner's errors ---------------------------------------------------------------------------------------------

PROBLEM_INTRO: Final = """\
Every refusal is a problem of RFC 9457, sent as `application/problem+json`:

```json
{"type": "/docs/errors#out_of_stock", "title": "Out of stock", "status": 409,
 "detail": "There is not enough stock; nothing was charged.", "code": "out_of_stock",
 "retryable": true, "charged": false, "request_id": "req_01K0ABCDEFGHJKMNPQRSTVWXYZ", "sku": "TEA", "line": 1}
```

- `code` is stable: programs decide by it. `title` and `detail` are for people and may change.
- `retryable`: the same request, unchanged, may succeed later. Where the answer has `Retry-After`, not before that.
- `charged` is `false`: nothing was charged. It is `null` where that cannot be known; then send the same order again under the same
  `Idempotency-Key` or `reference`, and the answer is the one order that there is.
- `pointer` (RFC 6901) says where in the body the mistake is; `parameter` names a parameter or header. Other members are facts of the
  case: `sku`, `line`, `available`, `order_id` …
- `request_id` is also the header `X-Request-Id`. Quote it when you ask us.
"""


def partner_errors_page() -> str:
    """Every error that can answer a partner, with its status."""
    parts = [
        "# Errors of the API",
        "",
        GENERATED.format(source="the error classes and `STATUS` in `src/cardrail/api/errors.py`"),
        "",
    ]
    parts += [PROBLEM_INTRO, "| code | status | retryable | charged | meaning |", "| --- | --- | --- | --- | --- |"]
    for one in partner_errors():
        again, charged = "yes" if one.retryable else "no", "unknown" if one.code in UNKNOWN_CHARGE else "no"
        parts.append(f"| `{one.code}` | {STATUS[one.code]} | {again} | {charged} | {_cell((one.__doc__ or '').strip())} |")
    return "\n".join([*parts, ""])


# --- the operator's errors --------------------------------------------------------------------------------------------

ERRORS_INTRO: Final = """\
What the operator's own commands may refuse, beside [what a partner may meet](errors.md). A command prints the sentence with its facts
on standard error. Where the code ends in `_not_found` it exits with 3, where the database or the keys cannot be opened with 4,
else with 1 (see [Commands](cli.md)). A partner who meets one of these met a fault of ours and reads `internal_error`.
"""


def operator_errors_page() -> str:
    """Every error that no partner may see."""
    found = {one.code: one for one in reversed(all_error_types()) if is_ours(one) and one.code not in STATUS}
    by_package: dict[str, list[type[CardrailError]]] = {}
    for _, one in sorted(found.items()):
        by_package.setdefault(one.__module__.split(".")[1], []).append(one)
    parts = ["# Errors of the operator's commands", "", GENERATED.format(source="the error classes"), "", ERRORS_INTRO]
    for package, errors in sorted(by_package.items()):
        parts += [f"## {package}", "", "| code | meaning |", "| --- | --- |"]
        parts += [f"| `{one.code}` | {_cell((one.__doc__ or '').strip())} |" for one in errors] + [""]
    return "\n".join(parts)


def is_ours(error: type[CardrailError]) -> bool:
    """Whether it is the program's own, and no test's."""
    return error.__module__.startswith("cardrail.")


PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/cli.md": cli_page,
    "reference/events.md": events_page,
    "reference/operator-errors.md": operator_errors_page,
    "reference/errors.md": partner_errors_page,
    "reference/openapi.json": lambda: description().decode(),
}


def main() -> None:
    """Write each page that changed, and name it."""
    for name, render in PAGES.items():
        path, text = DOCS / name, render()
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
