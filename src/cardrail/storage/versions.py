"""Version numbers of cached things: bumped by whoever changes them, compared by whoever caches them."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.database import Tx
from cardrail.storage.schema import versions

_BUMP = sa.update(versions).where(versions.c.name == sa.bindparam("of")).values(value=versions.c.value + 1)
_READ = sa.select(versions.c.value).where(versions.c.name == sa.bindparam("of"))


def bump_version(tx: Tx, name: str) -> None:
    """Tell every process that its copy of ``name`` is old. The row is made on first use."""
    if tx.execute(_BUMP, {"of": name}).rowcount == 0:
        tx.execute(sa.insert(versions).values(name=name, value=1))


def read_version(tx: Tx, name: str) -> int:
    """The number of the newest change; 0 before the first."""
    return int(tx.execute(_READ, {"of": name}).scalar() or 0)
