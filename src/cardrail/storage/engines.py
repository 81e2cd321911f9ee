"""The one place that makes database engines, and the only one that knows what differs between the two databases.

SQLite runs in WAL mode with ``synchronous=FULL``: a commit is on disk before it is acknowledged. Transactions begin IMMEDIATE, so that
a reader never discovers at its first write that it is too late.
"""

from __future__ import annotations

import math
import sqlite3
import time
import warnings
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from cardrail.storage.turns import Turn, connection_in_turn

SQLITE_FIXED: Final = (3, 51, 3)
"""The first release without the WAL-reset bug, which could lose a commit when a checkpoint met a reader."""

SESSION: Final = {
    "default_transaction_isolation": r"read\ committed",
    "lock_timeout": 2_000,
    "timezone": "UTC",
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Settings of each PostgreSQL session. A node that loses its power or its network amid a transaction has locks that everybody waits for,
such as a series' row (storage.sequence): the server ends it after a minute, not after the two hours that TCP gives it.
"""

FLUSHED_COMMITS: Final = (
    b"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
"""Said to each PostgreSQL session: where a server or a database is set to acknowledge commits before they are in its log, an order that was
acknowledged could be lost when it crashes. Whatever else an operator chose (``remote_apply``, ``local``) is left to him.
"""

PING_AFTER_SECONDS: Final = 1.0
"""How long a pooled PostgreSQL connection may rest before it is asked whether its server is still there."""

WAL_PAGES: Final = 4_000
"""Pages between checkpoints: fewer, longer ones cost less in the slowest percent of orders than SQLite's 1,000."""


@lru_cache(maxsize=1)
def sqlite_module() -> ModuleType:
    """The one SQLite library of this process: the standard one if it is new enough, else pysqlite3's."""
    if sqlite3.sqlite_version_info >= SQLITE_FIXED:
        return sqlite3
    try:
        import pysqlite3.dbapi2 as module
    except ImportError:
        warnings.warn(
            f"SQLite {sqlite3.sqlite_version} has a known fault in WAL mode; install pysqlite3 or a newer Python", stacklevel=2
        )
        return sqlite3
    return module  # type: ignore[no-any-return]  # pysqlite3 ships no types


def make_engine(url: str | sa.URL, *, for_dbos: bool = False, pool: int = 20, turn: Turn | None = None) -> sa.Engine:
    """An engine on SQLite or PostgreSQL. The library for durable work gets its own (``for_dbos``), on the same database.

    ``turn`` is for who does not go through ``Database``: on SQLite its connections hold it while they write.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, for_dbos=for_dbos, pool=pool, turn=turn)
    return _postgres_engine(parsed, pool=pool)


def _postgres_engine(url: sa.URL, *, pool: int) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        hide_parameters=True,  # no row in an error's text
        connect_args={"options": " ".join([f"-c {name}={value}" for name, value in SESSION.items()])},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.execute(FLUSHED_COMMITS)
        connection.commit()

    @event.listens_for(engine, "checkin")
    def _checkin(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(connection: Any, record: Any, _proxy: Any) -> None:
        """Ask whether the server is still there; of a connection that just spoke with it that cost a sixth of a busy lane's time."""
        if time.monotonic() - record.info.get("idle_since", -math.inf) < PING_AFTER_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # whatever the driver calls it, the connection is of no use
            raise sa.exc.DisconnectionError from error

    return engine


def _sqlite_engine(url: sa.URL, *, for_dbos: bool, pool: int, turn: Turn | None) -> sa.Engine:
    module = sqlite_module()
    arguments: dict[str, Any] = {"cached_statements": 512}
    if turn is not None:
        arguments["factory"] = connection_in_turn(module, turn)
    engine = sa.create_engine(url, module=module, pool_size=pool, max_overflow=0, hide_parameters=True, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE" if for_dbos else None
        pragmas = (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=30000",
            "foreign_keys=ON",
            f"cache_size={-65_536 if turn is None else -4_096}",
            f"wal_autocheckpoint={WAL_PAGES}",
        )
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        if module.sqlite_version_info < (3, 42):
            connection.create_function("unixepoch", 1, lambda _modifier: time.time())

    if not for_dbos:

        @event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'IMMEDIATE')}")

    return engine
