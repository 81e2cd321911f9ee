"""Tables of settlement: closed statements, exports, suppliers' statements with what differs from them."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, flag, instant, key, metadata, minor, number, text

settlement_settings = sa.Table(
    "settlement_settings",
    metadata,
    key("partner_id"),
    text("schedule"),  # daily | weekly | monthly; without a row: monthly
    instant("updated_at"),
    sa.CheckConstraint("schedule IN ('daily', 'weekly', 'monthly')", name="schedule"),
    **CLUSTERED,
)

statements = sa.Table(
    "statements",
    metadata,
    key(),
    text("partner_id"),
    text("currency"),
    text("mode"),
    number("number"),  # 1, 2, 3 … of this wallet
    instant("period_from"),
    instant("period_to"),
    text("timezone"),
    text("schedule"),
    number("after_position"),  # the cut of the statement before
    number("through_position"),  # this one's cut: the last position in it
    minor("opening_minor"),
    minor("opening_held_minor"),
    minor("closing_minor"),
    minor("closing_held_minor"),
    number("movements"),
    text("totals"),  # JSON: kind → sum of changes
    text("taxes"),  # JSON: [{rate_bps, net_minor, tax_minor}]
    text("previous_id", null=True),
    text("previous_hash", null=True),
    text("hash"),  # SHA-256 of the canonical form, hex
    instant("closed_at"),
    text("closed_by"),
    sa.Index(None, "partner_id", "currency", "mode", "number", unique=True),  # a wallet's statements are one chain
    sa.CheckConstraint("period_from < period_to", name="period"),
    sa.CheckConstraint("after_position <= through_position", name="positions"),
    **CLUSTERED,
)
"""One row for each closed statement. Its lines are not copied: they are the transfers between two positions, which never change."""

exports = sa.Table(
    "exports",
    metadata,
    key(),
    text("partner_id", null=True),  # whose data it is; null for the operator's own
    text("mode"),
    text("kind"),  # orders | items | movements | stock | margin
    text("format"),  # csv | jsonl | xlsx | parquet
    text("filters"),  # JSON of settlement.exports.ExportFilter
    text("state"),  # waiting | running | done | failed | expired
    number("rows", default=0),  # written so far
    number("bytes", default=0),
    text("problem", null=True),  # an error code
    text("created_by"),
    instant("created_at"),
    instant("finished_at", null=True),
    instant("expires_at"),  # when its file is deleted
    sa.Index("ix_exports_partner", "partner_id", "mode", "id"),
    sa.Index(
        "ix_exports_expiry",
        "expires_at",
        sqlite_where=sa.text("state <> 'expired'"),
        postgresql_where=sa.text("state <> 'expired'"),
    ),
    sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'expired')", name="state"),
    **CLUSTERED,
)

supplier_statements = sa.Table(
    "supplier_statements",
    metadata,
    key(),
    text("supplier"),
    text("currency"),
    text("mode"),
    text("name"),  # of the file
    text("content_hash"),  # SHA-256 of the file: the same one is not imported twice
    text("state"),  # loading | open | matched
    instant("since", null=True),  # the period that it speaks of; ours outside it are not missed
    instant("until", null=True),
    number("lines", default=0),
    number("refused", default=0),  # lines that could not be taken, with --on-error list
    text("counts", null=True),  # JSON: kind of match → how many, of the last run
    instant("imported_at"),
    text("imported_by"),
    instant("matched_at", null=True),
    sa.Index(
        "uq_supplier_statements_content",
        "supplier",
        "content_hash",
        unique=True,
        sqlite_where=sa.text("state <> 'loading'"),
        postgresql_where=sa.text("state <> 'loading'"),
    ),
    sa.CheckConstraint("state IN ('loading', 'open', 'matched')", name="state"),
    **CLUSTERED,
)

supplier_lines = sa.Table(
    "supplier_lines",
    metadata,
    sa.Column("statement_id", sa.Text, sa.ForeignKey("supplier_statements.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),  # what it is matched by: our reference where it is named, else theirs
    number("line"),  # of the file
    text("our_reference", null=True),
    text("their_reference", null=True),
    text("sku", null=True),
    minor("amount_minor"),
    text("state"),  # delivered | refunded | pending | failed, as the mapping translates it
    instant("at", null=True),
    **CLUSTERED,
)

differences = sa.Table(
    "differences",
    metadata,
    key(),
    sa.Column("statement_id", sa.Text, sa.ForeignKey("supplier_statements.id"), nullable=False),
    text("key"),  # of the line, or of our purchase
    text("kind"),  # amount | only_ours | only_theirs | state
    text("reason"),  # in words
    text("order_id", null=True),
    text("purchase_id", null=True),  # our attempt or lot
    number("line", null=True),  # of their file
    minor("ours_minor", null=True),
    minor("theirs_minor", null=True),
    minor("gap_minor"),  # what they charge beyond what our books say
    text("ours_state", null=True),
    text("theirs_state", null=True),
    text("state"),  # open | resolved
    text("owner", null=True),  # who looks after it
    text("resolution", null=True),  # write_off | claim | correction
    text("note", null=True),
    text("transfer_id", null=True),  # what was booked
    instant("created_at"),
    instant("resolved_at", null=True),
    text("resolved_by", null=True),
    sa.Index(None, "statement_id", "key", unique=True),  # a run again finds the same ones
    sa.CheckConstraint("kind IN ('amount', 'only_ours', 'only_theirs', 'state')", name="kind"),
    sa.CheckConstraint("state IN ('open', 'resolved')", name="state"),
    sa.CheckConstraint("(state = 'resolved') = (resolution IS NOT NULL)", name="resolution"),
    **CLUSTERED,
)

reconciled = sa.Table(
    "reconciled",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("purchase_id", sa.Text, primary_key=True),  # an order may have been bought in several pieces
    text("statement_id"),
    flag("is_settled"),
    instant("at"),
    **CLUSTERED,
)
"""Purchases for orders that a supplier's statement names. An order is reconciled once all of them are settled: equal, or resolved."""
