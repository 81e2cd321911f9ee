"""What every test may ask for: a back end, and a fresh database on it."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpcore2
import hypothesis
import pytest
import structlog
import uvicorn.server
from httpx2._config import DEFAULT_TIMEOUT_CONFIG
from sqlalchemy.engine import make_url

from cardrail.jobs import Jobs
from cardrail.storage import Database
from cardrail.storage.migrations import migrate
from tests.postgres import URL_VARIABLE, OwnServer, Postgres
from tests.waiting import PATIENCE_SECONDS

PROVE = os.environ.get("CARDRAIL_PROVE") == "1"

MEANT = {URL_VARIABLE, "CARDRAIL_PROVE", "CARDRAIL_PROVE_ORDERS", "CARDRAIL_CHROMIUM"}
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
# The settings and the proxies of whoever runs the tests are not theirs.
for _name in list(os.environ):
    if (_name.startswith("CARDRAIL_") and _name not in MEANT) or _name.upper() in PROXIES:
        del os.environ[_name]

# No deadline, and nothing is too slow: a shared machine pauses whenever it likes, and that says nothing about the code.
UNHURRIED: dict[str, Any] = {"deadline": None, "print_blob": True, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
# The usual run has the same examples each time, so that a change is judged by what it changes; new ones are for `make prove`.
hypothesis.settings.register_profile("quick", max_examples=60, derandomize=True, database=None, **UNHURRIED)
hypothesis.settings.register_profile("prove", max_examples=2_000, **UNHURRIED)
hypothesis.settings.load_profile("prove" if PROVE else "quick")

_server: OwnServer | None = None


def _own_server() -> str:
    """Start the server if it is not there, and tell this process and its children where it is."""
    global _server  # noqa: PLW0603  # one server per run, stopped in pytest_unconfigure
    if _server is None:
        _server = OwnServer()
        os.environ[URL_VARIABLE] = _server.url
    return _server.url


def pytest_configure(config: pytest.Config) -> None:
    """Under xdist the workers share one server, so it must be there before they are."""
    is_controller = not hasattr(config, "workerinput") and config.getoption("numprocesses", None)
    if is_controller and not os.environ.get(URL_VARIABLE):
        _own_server()


def pytest_unconfigure() -> None:
    """Stop the server, if it is ours."""
    global _server  # noqa: PLW0603  # likewise
    if _server is not None:
        _server.stop()
        _server = None
        del os.environ[URL_VARIABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the proofs counted, a line each."""
    reports = [one for one in terminalreporter.getreports("passed") if one.when == "call"]
    lines = [
        f"{one.nodeid.rpartition('::')[2]}: {text}" for one in reports for name, text in one.user_properties if name == "proved"
    ]
    if lines:
        terminalreporter.section("what was proved")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@pytest.fixture
def proved(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Call it with the figures of a proof: they are shown at the end of the run."""
    return lambda text: record_property("proved", text)


@pytest.fixture(scope="session")
def full_counts() -> bool:
    """Whether to run the full counts that the README states (`make prove`), or a quick share of them."""
    return PROVE


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this run."""
    server = Postgres(os.environ.get(URL_VARIABLE) or _own_server())
    yield server
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a database that we support; a test that uses it runs on each."""
    return str(request.param)


@pytest.fixture
def database_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'cardrail.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, for each test to copy: migrating anew would cost more than most tests."""
    path = tmp_path_factory.mktemp("schema") / "migrated.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """The name of a database with the schema, a template for the others."""
    url = postgres.create()
    _migrate(url)
    return str(make_url(url).database)


@pytest.fixture
def db_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database with the schema."""
    if backend == "sqlite":
        path = tmp_path / "cardrail.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.lend(request.getfixturevalue("migrated_postgres"))
    yield url
    server.give_back(url)


@pytest.fixture
def db(db_url: str) -> Iterator[Database]:
    """A fresh database with the schema."""
    database = Database(db_url)
    yield database
    database.close()


def _migrate(url: str) -> None:
    database = Database(url, pool=2)
    migrate(database)
    Jobs(database).prepare()  # the tables of the library for durable work, which every server would make at its start
    database.close()


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> None:
    """A client loads the machine's certificates, 28 ms, also where it never speaks TLS: here they are loaded once."""
    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)


@pytest.fixture(autouse=True, scope="session")
def patient_clients() -> None:
    """A client of a test that says nothing of time waits as long as a busy machine may need, and not for five seconds."""
    for part in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, part, PATIENCE_SECONDS)


@pytest.fixture(autouse=True, scope="session")
def servers_stop_at_once() -> None:
    """uvicorn looks every tenth of a second whether it is to stop, and then rests for another: a minute for some hundreds of servers."""
    quick = SimpleNamespace(**vars(asyncio))
    quick.sleep = lambda seconds: asyncio.sleep(seconds / 10)
    vars(uvicorn.server)["asyncio"] = quick


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """The streams that one test logs to are closed with it; the next must not log to them."""
    _log_plainly()
    yield
    _log_plainly()


def _log_plainly() -> None:
    """The defaults, but for tracebacks: with a picture of each variable a fault takes seconds."""
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
