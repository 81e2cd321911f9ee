"""The audit log's tables: append-only rows, each with a keyed hash over itself and the one before, a chain per writer."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, instant, key, metadata, number, text

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),  # "<node>/lane", "<node>/tasks", "cli": one chain for all would serialise them
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 … without gaps
    instant("at"),
    text("actor"),  # key_…, opr_…, "cli", "system"
    text("action"),  # code.revealed, ledger.credited, key.created …
    text("subject", null=True),
    text("partner_id", null=True),
    text("origin", null=True),  # the address it came from
    text("details", null=True),  # JSON; ids and figures, never a secret
    blob("hash"),  # HMAC-SHA-256 over the previous hash and this row
    **CLUSTERED,
)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    key("chain"),
    number("seq"),
    blob("hash"),
    **CLUSTERED,
)
"""Where each chain stands: whoever appends locks this row."""

audit_anchors = sa.Table(
    "audit_anchors",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),  # 2026-11-21
    text("heads"),  # JSON: chain → [seq, hash]
    blob("hash"),  # keyed hash over the heads and the day before's anchor
)
"""The heads of all chains, anchored together daily, so that a chain cannot be cut off at its end unnoticed."""
