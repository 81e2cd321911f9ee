"""Tables of webhooks: endpoints with their secrets, a row for each delivery, a row for each attempt."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, flag, instant, key, metadata, number, text

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    key(),
    text("partner_id"),
    text("mode"),
    text("url"),
    text("description"),
    text("format"),  # standard, or the name of a dialect's
    text("events", null=True),  # JSON array of types; null: every one
    flag("with_codes"),  # the partner asked for codes in the body, where the format has a place for them
    text("labels", null=True),  # JSON: what a dialect knows the endpoint by
    text("state"),  # webhooks.model.EndpointState
    text("reason", null=True),  # why it is disabled
    number("begins_after", default=0),  # it gets events of later positions: those of its own time
    instant("failing_since", null=True),  # the first failure after the last success
    instant("created_at"),
    instant("updated_at"),
    sa.Index(None, "partner_id", "mode", "id"),
    **CLUSTERED,
)

webhook_secrets = sa.Table(
    "webhook_secrets",
    metadata,
    key(),
    sa.Column("endpoint_id", sa.Text, sa.ForeignKey("webhook_endpoints.id"), nullable=False),
    blob("sealed"),
    instant("created_at"),
    instant("ends_at", null=True),  # null: the present one
    sa.Index(None, "endpoint_id"),
    **CLUSTERED,
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("endpoint_id", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),  # one event comes to one endpoint once, however often it is attempted
    text("type"),
    text("state"),  # webhooks.model.DeliveryState
    number("tries", default=0),  # since it was last asked for
    instant("due_at", null=True),  # the next attempt; while one is under way: when its claim ends; null: none
    instant("created_at"),
    instant("done_at", null=True),
    sa.Index(
        "ix_webhook_deliveries_due",
        "endpoint_id",
        "due_at",
        "event_id",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
    **CLUSTERED,
)

webhook_attempts = sa.Table(
    "webhook_attempts",
    metadata,
    key(),
    text("endpoint_id"),
    text("event_id"),
    instant("at"),
    number("status", null=True),  # of HTTP; null: no answer
    number("milliseconds"),
    text("error", null=True),  # webhooks.model.Failure, where there is no answer
    text("answer", null=True),  # its first kilobyte
    sa.Index(None, "endpoint_id", "event_id"),
    **CLUSTERED,
)

webhook_cursors = sa.Table(
    "webhook_cursors",
    metadata,
    key("name"),
    number("position"),
)
"""How far events were made into deliveries; whoever does it holds the row."""
