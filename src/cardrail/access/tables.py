"""Tables of access: partners, their keys, and what their limits have used up."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, instant, key, metadata, minor, number, text

partners = sa.Table(
    "partners",
    metadata,
    key(),
    text("name"),
    text("state"),  # active | suspended
    text("currency"),  # of the default wallet
    text("timezone", default="UTC"),
    text("country", null=True),
    text("price_list_id", null=True),
    text("limits", null=True),  # JSON of access.model.Limits; null: none
    instant("created_at"),
    instant("updated_at"),
    sa.CheckConstraint("state IN ('active', 'suspended')", name="state"),
    **CLUSTERED,
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    key(),
    sa.Column("partner_id", sa.Text, sa.ForeignKey("partners.id"), nullable=False),
    text("mode"),  # live | test
    blob("token_hash"),  # SHA-256 of the whole token; the token itself is shown once and kept nowhere
    text("hint"),  # its last four characters, to recognise it by
    text("name"),
    text("scopes"),  # blank-separated, sorted
    text("networks", null=True),  # blank-separated CIDRs; null: from anywhere
    instant("created_at"),
    instant("expires_at", null=True),
    instant("revoked_at", null=True),
    sa.Index("uq_api_keys_token_hash", "token_hash", unique=True),
    sa.Index(None, "partner_id"),
    sa.CheckConstraint("mode IN ('live', 'test')", name="mode"),
    **CLUSTERED,
)

operator_keys = sa.Table(
    "operator_keys",
    metadata,
    key(),
    blob("token_hash"),  # SHA-256 of the whole token; the token itself is shown once and kept nowhere
    text("hint"),  # its last four characters
    text("name"),
    text("scopes"),  # blank-separated, sorted
    text("networks", null=True),  # blank-separated CIDRs; null: from anywhere
    instant("created_at"),
    instant("expires_at", null=True),
    instant("revoked_at", null=True),
    sa.Index("uq_operator_keys_token_hash", "token_hash", unique=True),
    **CLUSTERED,
)
"""Keys of the operator's own programs. They belong to no partner and are no API keys: neither kind opens what the other one does."""

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("key_id", sa.Text, sa.ForeignKey("api_keys.id"), primary_key=True),
    text("dialect"),  # the wire protocol that this key is for; a key without a row here is for the native API
    text("login", null=True),  # a client id or user name, where the dialect names its callers
    text("password_hash", null=True),  # argon2id, where they log in
    blob("secret", null=True),  # sealed: what requests are signed or accompanied with
    blob("signing_secret", null=True),  # sealed: a second one, where the dialect has two
    number("requests_per_minute", null=True),  # null: the dialect's own; 0: no limit
    sa.Index(
        "uq_credentials_login",
        "dialect",
        "login",
        unique=True,
        sqlite_where=sa.text("login IS NOT NULL"),
        postgresql_where=sa.text("login IS NOT NULL"),
    ),
    **CLUSTERED,
)
"""What an API key has beside its token when it speaks another dialect than ours."""

client_partners = sa.Table(
    "client_partners",
    metadata,
    key(),
    sa.Column("partner_id", sa.Text, sa.ForeignKey("partners.id"), nullable=False),
    text("mode"),  # live | test
    text("name"),
    text("details"),  # JSON: what else is known of the company
    text("state"),  # pending | approved | rejected | revoked
    instant("created_at"),
    instant("updated_at"),
    sa.Index(None, "partner_id", "mode", "id"),
    sa.CheckConstraint("mode IN ('live', 'test')", name="mode"),
    sa.CheckConstraint("state IN ('pending', 'approved', 'rejected', 'revoked')", name="state"),
    **CLUSTERED,
)
"""Businesses that a partner sells to as an intermediary; an order names one in its details."""

partner_sessions = sa.Table(
    "partner_sessions",
    metadata,
    key(),
    sa.Column("key_id", sa.Text, sa.ForeignKey("api_keys.id"), nullable=False),
    number("rotation", default=0),  # how often its refresh token was exchanged: an older token was copied
    instant("created_at"),
    instant("expires_at"),  # of its newest refresh token
    instant("ended_at", null=True),  # logged out, or an old refresh token was used again
    sa.Index(None, "key_id"),
    **CLUSTERED,
)
"""Log-ins of callers whose dialect has a user name and password."""

limit_usage = sa.Table(
    "limit_usage",
    metadata,
    sa.Column("partner_id", sa.Text, primary_key=True),
    sa.Column("mode", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # orders, amount:INR, sku:<sku>, customer:<id>
    sa.Column("window_at", sa.BigInteger, primary_key=True, autoincrement=False),  # start of its window, microseconds
    minor("used"),
    number("expires_at"),  # when the row may be deleted
    sa.CheckConstraint("used >= 0", name="used"),
    **CLUSTERED,
)
"""Counted in the order's own transaction, and only for partners who have limits."""
