"""How `cardrail supplier` is given a configuration and secrets: options, files, standard input, or a question without an echo."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from cardrail.cli.context import err
from cardrail.kernel import Secret
from cardrail.sourcing import TIMINGS, ConnectorKind, InvalidSupplierConfig


def given_config(given: Iterable[str] | None, file: Path | None) -> dict[str, Any]:
    """Names and values of a configuration. Raises InvalidSupplierConfig."""
    found: dict[str, Any] = {}
    if file is not None:
        found = _object(file.read_text(), "the configuration file")
    for one in given or ():
        name, mark, value = one.partition("=")
        if not mark or not name.strip(":"):
            raise InvalidSupplierConfig(given=name[:40], reason="write name=text or name:=JSON")
        if not name.endswith(":"):
            found[name] = value
            continue
        try:
            found[name[:-1]] = json.loads(value)
        except ValueError:
            raise InvalidSupplierConfig(field=name[:-1], reason="what stands after := is not JSON") from None
    return found


def given_secrets(kind: ConnectorKind, file: Path | None) -> dict[str, Secret]:
    """The secrets that this kind needs: from a file, from standard input, or asked for without an echo."""
    wanted = [one for one in kind.fields if one.is_secret]
    if file is None and sys.stdin.isatty():
        asked = {
            one.name: typer.prompt(
                f"{one.name} ({one.help})", hide_input=True, err=True, default=None if one.is_required else "", show_default=False
            )
            for one in wanted
        }
        return {name: Secret(text) for name, text in asked.items() if text}
    if file is None and not any(one.is_required for one in wanted):
        return {}
    text = (sys.stdin.read(1_000_000) if file is None or str(file) == "-" else _text_of(file)).strip()
    if not text:
        return {}
    if text.startswith("{") or len(wanted) != 1:
        found = _object(text, "the secrets")
        if not all(isinstance(value, str) for value in found.values()):
            raise InvalidSupplierConfig(reason="each secret is a text")
        unknown = sorted(found.keys() - {one.name for one in wanted})
        if unknown:
            raise InvalidSupplierConfig(reason=f"there is no secret called {', '.join(unknown)[:100]}")
        return {name: Secret(value) for name, value in found.items()}
    return {wanted[0].name: Secret(text)}


def _text_of(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise typer.BadParameter(f"{error.strerror}: {file}", param_hint="--secrets") from None


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None  # the text may be a secret: nothing of it is shown
    if not isinstance(found, dict):
        raise InvalidSupplierConfig(reason=f"{what} must be a JSON object")
    return found


def check_given(kind: ConnectorKind, given: dict[str, Any]) -> None:
    """Say which names this kind does not know. Raises InvalidSupplierConfig for a secret among them, which would be stored in clear."""
    secret = sorted(one.name for one in kind.fields if one.is_secret and one.name in given)
    if secret:
        raise InvalidSupplierConfig(field=secret[0], reason="it is a secret: leave it out, and it is asked for, or use --secrets")
    unknown = sorted(given.keys() - {one.name for one in kind.fields} - TIMINGS.keys())
    if unknown:
        err.print(f"[yellow]{escape(kind.name)} does not say that it needs: {escape(', '.join(unknown))}[/yellow]")
