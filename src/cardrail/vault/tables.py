"""Tables of the vault: lots, the slices they are sold from, sealed codes, and what happened to a code that was the exception.

Selling n codes moves a slice's ``head`` by n: no code row is touched, so stock of any size sells at the same speed.
"""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, flag, instant, key, metadata, minor, number, text

NEVER = 2**62
"""An expiry that never comes: sorts last on both databases, where NULL would not."""

master_keys = sa.Table(
    "master_keys",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    blob("check_value"),  # proves that the key at hand is this one, and tells nothing about it
    instant("created_at"),
    instant("retired_at", null=True),
)

service_keys = sa.Table(
    "service_keys",
    metadata,
    key("name"),  # fingerprint | audit | cursor
    blob("wrapped"),  # by the numbered master key (RFC 3394)
    number("master_key"),
    **CLUSTERED,
)

lots = sa.Table(
    "lots",
    metadata,
    key(),
    text("kind"),  # stock | bound (bought for one order item, or generated for test orders) | shared (one secret for every buyer)
    text("state"),  # loading | open | undone
    text("mode"),
    text("brand_id"),
    text("denomination_id"),
    minor("face_minor"),
    text("supplier", null=True),
    text("source", null=True),  # the name of the file it came from
    text("cost_currency", null=True),
    minor("cost_minor", default=0),  # of the whole lot
    number("count"),  # its codes: seq 0 … count-1
    blob("wrapped_key"),  # its data key, wrapped by the numbered master key (RFC 3394)
    number("master_key"),
    text("created_by"),
    instant("created_at"),
    sa.Index(None, "denomination_id"),
    sa.CheckConstraint("kind IN ('stock', 'bound', 'shared')", name="kind"),
    sa.CheckConstraint("state IN ('loading', 'open', 'undone')", name="state"),
    sa.CheckConstraint("count >= 0 AND cost_minor >= 0", name="not_negative"),
    **CLUSTERED,
)

slices = sa.Table(
    "slices",
    metadata,
    key(),
    sa.Column("lot_id", sa.Text, sa.ForeignKey("lots.id"), nullable=False),
    text("denomination_id"),
    minor("face_minor"),
    text("mode"),
    instant("expires_at"),  # NEVER where codes do not expire
    number("head"),  # the next seq to sell
    number("tail"),  # the first seq that is not this slice's
    flag("is_shared"),  # every seq opens the lot's one secret, seq 0
    flag("is_frozen"),  # after a restore, until it is released
    sa.Index(
        "ix_slices_open",
        "denomination_id",
        "mode",
        sqlite_where=sa.text("head < tail"),
        postgresql_where=sa.text("head < tail"),
    ),
    sa.Index(None, "lot_id"),
    sa.CheckConstraint("0 <= head AND head <= tail", name="range"),
    **CLUSTERED,
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("lot_id", sa.Text, sa.ForeignKey("lots.id"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    blob("sealed"),  # nonce and AES-256-GCM ciphertext of code, pin, serial, url; bound to lot, seq, denomination
    blob("fingerprint"),  # keyed hash of brand and normalised code: finds duplicates, opens nothing
    instant("expires_at"),  # as imported; NEVER where it does not expire
    # Not CLUSTERED: an index entry then names its row by a short number instead of the lot's id, and imports are a quarter faster.
    sa.Index("uq_codes_fingerprint", "fingerprint", unique=True),
)

code_exceptions = sa.Table(
    "code_exceptions",
    metadata,
    sa.Column("lot_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, primary_key=True),  # blocked | revoked | replaced | claimed | returned
    text("reason", null=True),
    text("actor"),
    instant("at"),
    **CLUSTERED,
)

stock_thresholds = sa.Table(
    "stock_thresholds",
    metadata,
    key("denomination_id"),
    text("sku"),  # what the operator calls it
    number("threshold"),
    flag("is_low"),  # told, and not restocked since
    instant("changed_at"),
    sa.CheckConstraint("threshold > 0", name="threshold"),
    **CLUSTERED,
)
"""Denominations whose operator is told when fewer codes are left."""
