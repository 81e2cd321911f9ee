"""The one table of our own; the library for durable work makes the others."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, instant, key, metadata

nodes = sa.Table(
    "nodes",
    metadata,
    key(),  # the worker's executor id: host-pid-random
    instant("seen"),  # by the database's clock: workers' own may differ
    **CLUSTERED,
)
"""Workers on PostgreSQL that live, or lived. On SQLite there is one worker, and this stays empty."""
