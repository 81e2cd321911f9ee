"""The table of replacements: claims that a sold code is bad, and what came of each."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, instant, key, metadata, minor, number, text

replacements = sa.Table(
    "replacements",
    metadata,
    key(),
    text("order_id"),
    number("line"),
    number("position"),  # of the unit in its line, from 1, in the order in which its codes are shown
    text("partner_id"),
    text("mode"),
    text("lot_id"),  # the code that is said to be bad
    number("seq"),
    text("state"),  # orders.replacements.model.ReplacementState
    text("reason"),  # orders.replacements.model.ReplacementReason
    text("evidence", null=True),  # what the partner says of it
    text("links", default="[]"),  # JSON: where the partner's evidence is
    text("actor"),  # who asked for it
    blob("key_hash", null=True),  # binds an Idempotency-Key to the request that this came with, for ever
    number("part", default=0),  # which code of that request
    blob("fingerprint"),  # of that request
    text("supplier_id", null=True),  # who was asked
    text("attempt_id", null=True),  # the purchase that brought the bad code
    text("call", null=True),  # orders.replacements.model.CallState: what is known of the supplier's answer
    text("supplier_claim_id", null=True),
    instant("asked_at", null=True),
    number("looks", default=0),
    instant("wake_at", null=True),  # when somebody should look at it again; null: never
    instant("deadline_at"),  # past it the supplier is waited for no longer
    text("source", null=True),  # stock | supplier: where the new code is from
    text("new_lot_id", null=True),
    number("new_seq", null=True),
    instant("new_expires_at", null=True),
    minor("refunded_minor", default=0),  # in the order's currency
    text("because", null=True),  # why it ended, or needs somebody
    text("decided_by", null=True),
    text("story", default="[]"),  # JSON: [[micros, sentence], …]; never a code
    instant("created_at"),
    instant("updated_at"),
    sa.Index(
        "uq_replacements_code",
        "lot_id",
        "seq",
        unique=True,  # a code is claimed once at a time, and replaced or refunded once at all
        sqlite_where=sa.text("state <> 'REFUSED'"),
        postgresql_where=sa.text("state <> 'REFUSED'"),
    ),
    sa.Index(
        "uq_replacements_new_code",
        "new_lot_id",
        "new_seq",
        unique=True,  # one code replaces one other
        sqlite_where=sa.text("new_lot_id IS NOT NULL"),
        postgresql_where=sa.text("new_lot_id IS NOT NULL"),
    ),
    sa.Index(
        "uq_replacements_key_hash",
        "key_hash",
        "part",
        unique=True,
        sqlite_where=sa.text("key_hash IS NOT NULL"),
        postgresql_where=sa.text("key_hash IS NOT NULL"),
    ),
    sa.Index(None, "order_id", "id"),
    sa.Index(None, "partner_id", "mode", "id"),
    sa.Index(
        "ix_replacements_wake_at",
        "wake_at",
        sqlite_where=sa.text("wake_at IS NOT NULL"),
        postgresql_where=sa.text("wake_at IS NOT NULL"),
    ),
    sa.CheckConstraint(
        "state IN ('REQUESTED', 'ASKING_SUPPLIER', 'NEEDS_REVIEW', 'REPLACED', 'REFUNDED', 'REFUSED')", name="state"
    ),
    sa.CheckConstraint("(state = 'REPLACED') = (new_lot_id IS NOT NULL AND new_seq IS NOT NULL)", name="new_code"),
    sa.CheckConstraint("refunded_minor = 0 OR state = 'REFUNDED'", name="refunded"),
    **CLUSTERED,
)

unjournalled = sa.Table(
    "unjournalled_replacements",
    metadata,
    sa.Column("replacement_id", sa.Text, sa.ForeignKey("replacements.id"), primary_key=True),
    instant("since"),
    **CLUSTERED,
)
"""Codes that were given for bad ones, until the journal has them: written with the code, taken away once the line is written."""
