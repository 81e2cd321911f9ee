"""What every command shares: the options before the command, the open installation, and how results and refusals are shown."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import sqlalchemy as sa
import typer
from limits.errors import ConfigurationError
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import exc

from cardrail.bootstrap import Cardrail, SchemaOutdated, opened
from cardrail.cli.screen import Screen
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

_WIDE: Final = 10_000
"""Columns of a line that a program reads: nothing is folded there."""


def _width() -> int | None:
    """The terminal's; into a pipe or a file a row is one line, whole, unless COLUMNS says otherwise."""
    return None if sys.stdout is None or sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE


out: Final = Screen(highlight=False, soft_wrap=True, width=_width())
err: Final = Screen(stderr=True, highlight=False, soft_wrap=True)


_PASSWORD: Final = re.compile(r"://[^\s/]*@")


class DatabaseMissing(CardrailError):
    """There is no database here yet; `cardrail init` makes one."""

    code = "database_missing"


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
    with refusals():
        _shared.settings = Settings(**given)
        _check_url(_shared.settings.url)


def _check_url(url: str) -> None:
    """Raises ArgumentError; the library raises ValueError for a port that is no number."""
    try:
        sa.make_url(url)
    except ValueError as error:
        raise exc.ArgumentError from error


def settings() -> Settings:
    """The settings of this run."""
    if _shared.settings is None:
        _shared.settings = Settings()
    return _shared.settings


@contextmanager
def open_context(*, chain: str = "cli") -> Iterator[Cardrail]:
    """The open installation; a refusal inside the block becomes a message on standard error and an exit code."""
    with refusals():
        must_exist(settings())
        with opened(settings(), chain=chain) as cardrail:
            yield cardrail


def is_missing(given: Settings) -> bool:
    """Whether the database is a file of SQLite that does not exist; to open it would make an empty one."""
    if not given.url.startswith("sqlite"):
        return False
    name = sa.make_url(given.url).database
    return bool(name) and name != ":memory:" and not str(name).startswith("file:") and not Path(str(name)).exists()


def must_exist(given: Settings) -> None:
    """Raises DatabaseMissing, for all commands but those that make a database."""
    if is_missing(given):
        raise DatabaseMissing(database=sa.make_url(given.url).database)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what an operator can mend into a sentence and an exit code; anything else is a fault and keeps its traceback."""
    try:
        yield
    except (KeyProblem, SchemaOutdated, Unavailable, DatabaseMissing) as error:
        _end(str(error), EXIT_CLOSED, error)
    except CardrailError as error:
        _end(str(error), EXIT_NOT_FOUND if is_not_found(error) else EXIT_REFUSED, error)
    except ValidationError as error:
        found = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)
        ]
        _end(f"A setting is not valid. {'; '.join(found)}.", EXIT_CLOSED, error)
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        _end(
            "The database URL cannot be read. It is written like postgresql://host/name, with user and @ before the host.",
            EXIT_CLOSED,
            error,
        )
    except (exc.IntegrityError, exc.DataError, exc.ProgrammingError):
        raise  # the database answers; a statement of ours is wrong
    except exc.DatabaseError as error:
        _end(f"The database cannot be opened: {error.orig}", EXIT_CLOSED, error)
    except ConfigurationError as error:
        _end(f"The rate limits' storage cannot be used: {error}", EXIT_CLOSED, error)
    except BrokenPipeError:
        raise  # whoever read our output went away
    except OSError as error:
        where = f": {error.filename}" if error.filename is not None else ""
        _end(f"{error.strerror or type(error).__name__}{where}", EXIT_CLOSED, error)


def is_not_found(error: CardrailError) -> bool:
    """Whether what was named does not exist."""
    return error.code.endswith("_not_found") or error.code == "unknown_sku"


def _end(sentence: str, status: int, error: Exception) -> NoReturn:
    """Say it without a URI's password, and stop."""
    err.print(f"[red]{escape(_PASSWORD.sub('://***@', sentence))}[/red]")
    raise typer.Exit(status) from error


def table_of(*names: str) -> Table:
    """A table of these columns. The first one names the row and stays whole, so that it can be copied; the others fold, and none is cut."""
    return Table(*[Column(name, overflow="fold", no_wrap=at == 0) for at, name in enumerate(names)], box=None)


def show_json(value: Any) -> None:
    """A result for programs: one JSON document on standard output."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())
