"""The table of restores: a row each, made in the restored copy before anybody can use it."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, instant, metadata

restores = sa.Table(
    "restores",
    metadata,
    sa.Column("restored_at", sa.BigInteger, primary_key=True, autoincrement=False),
    instant("taken_at"),  # when the backup was taken: what the journals say from then on is news to this database
    instant("released_at", null=True),  # null: frozen, no live code is sold
    **CLUSTERED,
)
