"""Tables of the ledger: accounts with their four sums, transfers, holds."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, flag, instant, key, metadata, minor, number, text, unsequenced_index

accounts = sa.Table(
    "accounts",
    metadata,
    key("name"),  # owner:purpose:currency:mode[:node], an account is a name and opened on first use
    text("owner"),  # a partner's id, "platform", a supplier's id
    text("purpose"),  # ledger.model.Purpose
    text("currency"),
    text("mode"),
    text("node"),  # "" for wallets; platform accounts have a row per writing node, so that no row is hot
    minor("debits_pending", default=0),
    minor("debits_posted", default=0),
    minor("credits_pending", default=0),
    minor("credits_posted", default=0),
    minor("credit_limit_minor", default=0),
    minor("debt_minor", default=0),  # what an approved correction took beyond the limit
    instant("created_at"),
    sa.Index(None, "owner", "purpose", "currency", "mode", "node", unique=True),
    sa.CheckConstraint(
        "debits_pending >= 0 AND debits_posted >= 0 AND credits_pending >= 0 AND credits_posted >= 0"
        " AND credit_limit_minor >= 0 AND debt_minor >= 0",
        name="not_negative",
    ),
    sa.CheckConstraint(
        "purpose <> 'wallet' OR credits_posted - debits_posted - debits_pending + credit_limit_minor + debt_minor >= 0",
        name="wallet_covered",  # no sale takes a wallet below what it has and may owe
    ),
    **CLUSTERED,
)

transfers = sa.Table(
    "transfers",
    metadata,
    key(),
    text("debit"),
    text("credit"),
    minor("amount_minor"),
    text("currency"),
    text("mode"),
    text("phase"),  # pending (takes a hold) | posted | void (gives a hold's rest back)
    text("purpose"),  # ledger.model.TransferPurpose
    text("partner_id", null=True),  # whose wallet it touches; null where it touches none
    text("order_id", null=True),
    text("hold_id", null=True),  # the hold that it takes (pending), posts or voids
    text("reverses", null=True),  # the transfer that this one undoes
    text("reference", null=True),  # a lot, a statement line, what an operator typed
    minor("wallet_after_minor", null=True),  # the wallet's posted balance after it
    instant("created_at"),
    number("position", null=True),  # storage.sequence: 1, 2, 3 … after the commit; statements are cut by it
    unsequenced_index("transfers"),
    sa.Index(
        "ix_transfers_followed",
        "partner_id",
        "mode",
        "position",
        sqlite_where=sa.text("position IS NOT NULL AND partner_id IS NOT NULL"),
        postgresql_where=sa.text("position IS NOT NULL AND partner_id IS NOT NULL"),
    ),
    sa.Index(
        None,
        "partner_id",
        "id",
        sqlite_where=sa.text("partner_id IS NOT NULL"),
        postgresql_where=sa.text("partner_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_transfers_order_id",
        "order_id",
        sqlite_where=sa.text("order_id IS NOT NULL"),
        postgresql_where=sa.text("order_id IS NOT NULL"),
    ),
    sa.Index(
        "uq_transfers_reverses",
        "reverses",
        unique=True,  # a transfer is undone once
        sqlite_where=sa.text("reverses IS NOT NULL"),
        postgresql_where=sa.text("reverses IS NOT NULL"),
    ),
    sa.Index(
        "uq_transfers_reference",
        "partner_id",
        "currency",
        "mode",
        "purpose",
        "reference",
        unique=True,  # what an operator credits or debits under one reference, he does once for each wallet
        sqlite_where=sa.text("purpose IN ('credit', 'debit') AND reference IS NOT NULL"),
        postgresql_where=sa.text("purpose IN ('credit', 'debit') AND reference IS NOT NULL"),
    ),
    sa.CheckConstraint("amount_minor > 0", name="amount"),
    sa.CheckConstraint("debit <> credit", name="two_accounts"),
    **CLUSTERED,
)

holds = sa.Table(
    "holds",
    metadata,
    key(),
    text("account"),
    text("credit"),  # the account that its posts credit
    text("currency"),
    text("mode"),
    minor("amount_minor"),
    minor("posted_minor", default=0),
    minor("voided_minor", default=0),
    text("partner_id"),
    text("order_id"),
    number("line"),
    instant("deadline_at"),  # past it somebody is told; money is never freed by time
    instant("alerted_at", null=True),
    instant("created_at"),
    sa.Index(None, "order_id"),
    sa.Index(
        "ix_holds_open_deadline",
        "deadline_at",
        sqlite_where=sa.text("posted_minor + voided_minor < amount_minor"),
        postgresql_where=sa.text("posted_minor + voided_minor < amount_minor"),
    ),
    sa.CheckConstraint("amount_minor > 0 AND posted_minor >= 0 AND voided_minor >= 0", name="not_negative"),
    sa.CheckConstraint("posted_minor + voided_minor <= amount_minor", name="not_beyond"),
    **CLUSTERED,
)

balance_thresholds = sa.Table(
    "balance_thresholds",
    metadata,
    key("name"),  # the wallet's
    minor("threshold_minor"),
    flag("is_low"),  # told, and not recovered since
    instant("changed_at"),
    sa.CheckConstraint("threshold_minor > 0", name="threshold"),
    **CLUSTERED,
)
"""Wallets whose owner is told when less than this may be spent."""
