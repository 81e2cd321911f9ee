"""Tables of alerts: what the operator should know, how he was told, and how far events were looked through for it."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, flag, instant, key, metadata, number, text

alerts = sa.Table(
    "alerts",
    metadata,
    key(),
    text("kind"),  # alerts.model.KINDS
    text("subject"),  # the wallet, sku, supplier, endpoint …; or one word for all of a kind
    text("state"),  # open | notified | acknowledged | cleared
    number("count", default=1),  # events that it stands for
    text("facts"),  # JSON, of the newest of them: ids, names and figures
    instant("opened_at"),
    instant("last_at"),  # its newest event
    instant("hold_until", null=True),  # not told before: it was told of a moment ago, and came back
    instant("told_at", null=True),  # when its telling was last enqueued
    number("tells", default=0),
    instant("acknowledged_at", null=True),
    text("acknowledged_by", null=True),
    instant("cleared_at", null=True),
    flag("owes_end"),  # it was told, it is over, and that is to be told too
    sa.Index(
        "uq_alerts_open",
        "kind",
        "subject",
        unique=True,  # one open alert of a kind and subject, however often it is seen
        sqlite_where=sa.text("state <> 'cleared'"),
        postgresql_where=sa.text("state <> 'cleared'"),
    ),
    sa.Index(None, "kind", "subject", "id"),
    sa.Index(
        "ix_alerts_owing",
        "id",
        sqlite_where=sa.text("owes_end"),
        postgresql_where=sa.text("owes_end"),
    ),
    sa.CheckConstraint("state IN ('open', 'notified', 'acknowledged', 'cleared')", name="state"),
    **CLUSTERED,
)

alert_sends = sa.Table(
    "alert_sends",
    metadata,
    key(),
    text("route"),  # a hash of the target, which may hold a secret
    text("channel"),  # email | telegram | webhook
    text("about"),  # JSON: [[alert's id, raised | reminder | cleared], …]
    text("state"),  # waiting | sent | failed
    number("tries", default=0),
    text("error", null=True),  # of the last try, in words; never an address
    instant("created_at"),
    instant("due_at", null=True),  # the next try
    instant("sent_at", null=True),
    sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name="state"),
    **CLUSTERED,
)
"""One message to one target, about one alert or many."""

alert_cursors = sa.Table(
    "alert_cursors",
    metadata,
    key("name"),
    number("position"),
)
"""How far events were looked through; whoever does it holds the row."""
