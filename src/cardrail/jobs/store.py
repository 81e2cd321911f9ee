"""Every statement on our own table. They run on PostgreSQL only: on SQLite nobody else could be alive."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.jobs.tables import nodes
from cardrail.storage import Tx

_NOW = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * 1_000_000, sa.BigInteger)
_TOUCH = (
    postgresql.insert(nodes)
    .values(id=sa.bindparam("of"), seen=_NOW)
    .on_conflict_do_update(index_elements=[nodes.c.id], set_={"seen": _NOW})
)
_LIVE = sa.select(nodes.c.id).where(nodes.c.seen > _NOW - sa.bindparam("silent"))
_FORGET = sa.delete(nodes).where(nodes.c.id == sa.bindparam("of"))
_FORGET_SILENT = sa.delete(nodes).where(nodes.c.seen < _NOW - sa.bindparam("silent"))


def touch(tx: Tx, node: str) -> None:
    """Write down that this worker lives."""
    tx.execute(_TOUCH, {"of": node})


def live_nodes(tx: Tx, silent_micros: int) -> set[str]:
    """The workers heard of within that time."""
    return set(tx.execute(_LIVE, {"silent": silent_micros}).scalars())


def forget(tx: Tx, node: str) -> None:
    """Take back a worker that has stopped."""
    tx.execute(_FORGET, {"of": node})


def forget_silent(tx: Tx, silent_micros: int) -> None:
    """Delete the rows of workers that have been silent so long that nothing of theirs can be left."""
    tx.execute(_FORGET_SILENT, {"silent": silent_micros})
