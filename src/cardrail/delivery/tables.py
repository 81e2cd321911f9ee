"""Tables of delivery: claim links, and the messages that carry them."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, flag, instant, key, metadata, number, text

claims = sa.Table(
    "claims",
    metadata,
    key(),
    text("order_id"),
    number("line"),  # 0: the whole order
    number("unit"),  # 1, 2, 3 … of the line; 0: all of it
    text("partner_id"),
    text("mode"),
    text("protection"),  # PRIVATE: who has the link opens it | PROTECTED: a PIN too
    blob("pin_hash", null=True),  # keyed
    number("tries", default=0),  # wrong PINs since the last right one
    instant("locked_until", null=True),
    text("language", null=True),
    text("recipient", null=True),  # a name to greet
    instant("created_at"),
    instant("expires_at", null=True),
    instant("claimed_at", null=True),  # when a code of it was first shown
    instant("revoked_at", null=True),
    sa.Index(None, "order_id", "line", "unit", unique=True),
    sa.CheckConstraint("protection IN ('PRIVATE', 'PROTECTED')", name="protection"),
    sa.CheckConstraint("protection = 'PRIVATE' OR pin_hash IS NOT NULL", name="pin"),
    **CLUSTERED,
)
"""The link itself is kept nowhere: it is the id and a keyed hash of it."""

messages = sa.Table(
    "messages",
    metadata,
    key(),
    text("order_id"),
    text("partner_id"),
    text("mode"),
    text("channel"),  # email | telegram
    text("address", null=True),  # null once the recipient's data was erased
    text("language"),
    flag("with_codes"),  # the operator allowed it, and the partner asked for it
    text("state"),  # waiting | sent | failed | bounced | cancelled
    number("tries", default=0),
    text("error", null=True),  # of the last try, in words; never an address or a code
    text("provider_id", null=True),  # the Message-ID, or Telegram's message number
    instant("due_at"),
    instant("sent_at", null=True),
    instant("created_at"),
    sa.Index(None, "order_id"),
    sa.Index(
        "ix_messages_provider_id",
        "provider_id",
        sqlite_where=sa.text("provider_id IS NOT NULL"),
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_messages_waiting",
        "due_at",
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    sa.CheckConstraint("channel IN ('email', 'telegram')", name="channel"),
    **CLUSTERED,
)
