"""What every command shares: the options before the command, the open installation, and how results and refusals are shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from sqlalchemy import exc

from cardrail.bootstrap import Cardrail, SchemaOutdated, opened
from cardrail.config import Settings
from cardrail.kernel import CardrailError, Unavailable
from cardrail.vault import KeyProblem

EXIT_REFUSED: Final = 1
"""A rule refused it: the message says which."""
EXIT_USAGE: Final = 2
"""The command line was not understood (typer's own code)."""
EXIT_NOT_FOUND: Final = 3
EXIT_CLOSED: Final = 4
"""The database or the keys cannot be opened."""

out: Final = Console(highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(slots=True)
class _Shared:
    settings: Settings | None = None


_shared: Final = _Shared()


def use_settings(data: Path | None, database: str | None) -> None:
    """Take the options that stand before every command; the environment fills the rest."""
    given: dict[str, Any] = {}
    if data is not None:
        given["data_dir"] = data
    if database is not None:
        given["database_url"] = database
    _shared.settings = Settings(**given)


def settings() -> Settings:
    """The settings of this run."""
    if _shared.settings is None:
        _shared.settings = Settings()
    return _shared.settings


@contextmanager
def open_context(*, chain: str = "cli") -> Iterator[Cardrail]:
    """The open installation; a refusal inside the block becomes a message on standard error and an exit code."""
    with refusals(), opened(settings(), chain=chain) as cardrail:
        yield cardrail


@contextmanager
def refusals() -> Iterator[None]:
    """Turn Cardrail's errors into a sentence and an exit code; anything else is a fault and keeps its traceback."""
    try:
        yield
    except (KeyProblem, SchemaOutdated, Unavailable) as error:
        err.print(f"[red]{error}[/red]")
        raise typer.Exit(EXIT_CLOSED) from error
    except exc.OperationalError as error:
        err.print(f"[red]The database cannot be opened: {error.orig}[/red]")
        raise typer.Exit(EXIT_CLOSED) from error
    except CardrailError as error:
        err.print(f"[red]{error}[/red]")
        raise typer.Exit(EXIT_NOT_FOUND if error.code.endswith("_not_found") else EXIT_REFUSED) from error


def show_json(value: Any) -> None:
    """A result for programs: one JSON document on standard output."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())
