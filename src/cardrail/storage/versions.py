"""Version numbers of cached things: bumped by whoever changes them, compared by whoever caches them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql  # its upsert compiles for SQLite too

from cardrail.storage.database import Tx
from cardrail.storage.schema import versions

_BUMP = (
    postgresql.insert(versions)
    .values(name=sa.bindparam("of"), value=1)
    .on_conflict_do_update(index_elements=["name"], set_={"value": versions.c.value + 1})
)
_READ = sa.select(versions.c.value).where(versions.c.name == sa.bindparam("of"))


def bump_version(tx: Tx, name: str) -> None:
    """Tell every process that its copy of ``name`` is old. The row is made on first use."""
    tx.execute(_BUMP, {"of": name})


def read_version(tx: Tx, name: str) -> int:
    """The number of the newest change; 0 before the first."""
    return int(tx.execute(_READ, {"of": name}).scalar() or 0)
