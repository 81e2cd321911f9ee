"""Tables of sourcing: who sells to us, what, at what cost; what we asked of them; and where each item that waits for them stands."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, flag, instant, key, metadata, minor, number, text

suppliers = sa.Table(
    "suppliers",
    metadata,
    key(),
    text("name"),
    text("kind"),  # of its connector: simulated, rest …
    text("mode"),
    text("state"),  # active | paused (asked about what is open, nothing new is bought) | retired
    text("currency"),  # in which it charges us
    text("config"),  # JSON, no secrets
    blob("secrets", null=True),  # JSON, sealed
    number("priority", default=100),  # lower is asked sooner, where the policy goes by it
    number("weight", default=100),
    instant("created_at"),
    instant("updated_at"),
    sa.Index(None, "name", unique=True),
    sa.CheckConstraint("state IN ('active', 'paused', 'retired')", name="state"),
    sa.CheckConstraint("weight >= 0", name="weight"),
    **CLUSTERED,
)

supplier_health = sa.Table(
    "supplier_health",
    metadata,
    key("supplier_id"),
    text("breaker"),  # closed | open | trying (one call is let through)
    number("failures_in_row", default=0),
    instant("retry_at", null=True),  # while open: when one call is let through
    instant("blocked_until", null=True),  # as its rate limit said
    number("calls", default=0),
    number("failures", default=0),
    number("success_e6", default=1_000_000),  # part of calls that were answered, x 10**6, newer ones count more
    number("latency_us", default=0),  # of place, newer ones count more
    number("units_bought", default=0),
    number("bad_codes", default=0),
    minor("balance_minor", null=True),  # as last told, less what was bought since
    instant("balance_at", null=True),
    minor("spent_day_minor", default=0),  # in the day that began at spent_since
    instant("spent_since", null=True),
    minor("burn_day_minor", default=0),  # what a day costs, newer days count more
    minor("alert_below_minor", null=True),
    instant("alerted_at", null=True),
    instant("updated_at"),
    sa.CheckConstraint("breaker IN ('closed', 'open', 'trying')", name="breaker"),
    **CLUSTERED,
)
"""What was measured of a supplier: rows, so that all processes know, and a restart forgets nothing."""

supplier_products = sa.Table(
    "supplier_products",
    metadata,
    sa.Column("supplier_id", sa.Text, sa.ForeignKey("suppliers.id"), primary_key=True),
    sa.Column("supplier_sku", sa.Text, primary_key=True),
    text("name"),
    text("brand", null=True),
    text("category", null=True),
    text("kind", default="code"),
    text("countries", default=""),  # blank-separated ISO 3166 codes
    text("currency"),  # of the face value
    minor("face_minor", null=True),
    minor("min_minor", null=True),
    minor("max_minor", null=True),
    minor("step_minor", null=True),
    minor("cost_minor", null=True),  # of one unit, in cost_currency
    number("cost_bps", null=True),  # of a range, as a part of the face value
    text("cost_currency"),
    number("stock", null=True),  # null: it does not say
    flag("is_available"),
    minor("held_cost_minor", null=True),  # a cost that jumped: it waits for an operator, and nothing is bought meanwhile
    number("held_cost_bps", null=True),
    text("fields", null=True),  # JSON: what a top-up asks for
    instant("updated_at"),
    instant("seen_at"),  # by the last sync that listed it
    **CLUSTERED,
)
"""What a supplier sells, as its last sync told."""

supplier_mappings = sa.Table(
    "supplier_mappings",
    metadata,
    sa.Column("denomination_id", sa.Text, primary_key=True),
    sa.Column("supplier_id", sa.Text, sa.ForeignKey("suppliers.id"), primary_key=True),
    sa.Column("supplier_sku", sa.Text, primary_key=True),
    flag("is_enabled"),
    text("mapped_by"),
    instant("created_at"),
    sa.Index(None, "supplier_id", "supplier_sku"),
    **CLUSTERED,
)
"""Which product of a supplier's is which denomination of ours."""

mapping_rules = sa.Table(
    "mapping_rules",
    metadata,
    key(),
    sa.Column("supplier_id", sa.Text, sa.ForeignKey("suppliers.id"), nullable=False),
    text("product_id"),  # ours: what their products are mapped to, each to the denominations that it fits
    text("sku_like", null=True),  # * and ?, without regard to case; null: any
    text("name_like", null=True),
    text("brand", null=True),  # as they write it, without regard to case
    text("country", null=True),
    text("currency", null=True),
    minor("face_min_minor", null=True),
    minor("face_max_minor", null=True),
    text("created_by"),
    instant("created_at"),
    sa.Index(None, "supplier_id"),
    **CLUSTERED,
)
"""Which products of a supplier's are denominations of ours without a person saying so each time. A mapping by rule names its rule."""

routes = sa.Table(
    "routes",
    metadata,
    key(),  # a denomination's or a product's id, or "default"
    text("policy"),  # cheapest | fastest | weighted | priority | pinned
    text("supplier_id", null=True),  # pinned
    number("margin_floor_bps", default=0),  # of the price; what would leave less is not bought
    instant("updated_at"),
    sa.CheckConstraint("policy IN ('cheapest', 'fastest', 'weighted', 'priority', 'pinned')", name="policy"),
    **CLUSTERED,
)

procurements = sa.Table(
    "procurements",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    text("partner_id"),
    text("mode"),
    text("state"),  # waiting (nobody has begun) | buying | review | done
    text("denomination_id"),
    number("quantity"),  # units that suppliers have to bring
    number("delivered", default=0),
    flag("all_or_nothing"),
    instant("created_at"),
    instant("wake_at"),  # when somebody should look at it again
    number("round", default=0),  # looks so far: the key of the next one's job
    text("trace", default="[]"),  # JSON: the route in words, [[micros, sentence], …]
    sa.Index(
        "ix_procurements_waiting",
        "created_at",
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    sa.Index(
        "ix_procurements_open",
        "wake_at",
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    ),
    sa.CheckConstraint("state IN ('waiting', 'buying', 'review', 'done')", name="state"),
    sa.CheckConstraint("quantity > 0 AND 0 <= delivered AND delivered <= quantity", name="quantity"),
    **CLUSTERED,
)
"""One row for each order item that stock could not fill. Orders wholly from stock have none."""

attempts = sa.Table(
    "attempts",
    metadata,
    key(),
    text("order_id"),
    number("line"),
    number("n"),  # 1, 2, 3 … of this item
    text("mode"),
    text("supplier_id"),
    text("supplier_sku"),
    text("denomination_id"),
    minor("face_minor"),
    number("quantity"),
    text("reference"),  # ours, as sent
    text("state"),  # sourcing.model.AttemptState
    text("match_key", null=True),  # by match: account, product, face value, quantity
    text("supplier_order_id", null=True),
    text("refusal", null=True),  # sourcing.connector.RefusalKind, where it was refused
    number("delivered", default=0),
    minor("max_cost_minor"),  # beyond it nothing is earned
    minor("expected_cost_minor"),  # as the supplier's price list had it
    minor("cost_minor", null=True),  # what it came to
    text("cost_currency"),
    instant("asked_at"),
    instant("answered_at", null=True),
    instant("look_at"),  # when it is to be asked after
    instant("leased_until", null=True),  # while a look may be under way
    number("looks", default=0),
    number("misses", default=0),  # looks that found no such order, after the settling time
    instant("deadline_at"),  # past it a human is asked
    text("story", default="[]"),  # JSON: [[micros, sentence], …]; never a code
    sa.Index(None, "order_id", "line", "n", unique=True),
    sa.Index(None, "reference", unique=True),
    sa.Index(
        "ix_attempts_open",
        "supplier_id",
        "look_at",
        sqlite_where=sa.text("state IN ('asking', 'accepted', 'unknown')"),
        postgresql_where=sa.text("state IN ('asking', 'accepted', 'unknown')"),
    ),
    sa.Index(
        "uq_attempts_match",
        "match_key",
        unique=True,  # what is only found by match cannot be told from another one like it
        sqlite_where=sa.text("match_key IS NOT NULL AND state IN ('asking', 'unknown')"),
        postgresql_where=sa.text("match_key IS NOT NULL AND state IN ('asking', 'unknown')"),
    ),
    sa.Index(
        "ix_attempts_their_order",
        "supplier_id",
        "supplier_order_id",  # a webhook names it, and most webhooks are of purchases that are done long since
        sqlite_where=sa.text("supplier_order_id IS NOT NULL"),
        postgresql_where=sa.text("supplier_order_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_attempts_supplier_order",
        "supplier_id",
        "asked_at",
        sqlite_where=sa.text("supplier_order_id IS NOT NULL"),
        postgresql_where=sa.text("supplier_order_id IS NOT NULL"),
    ),
    sa.CheckConstraint("quantity > 0 AND 0 <= delivered AND delivered <= quantity", name="quantity"),
    **CLUSTERED,
)
"""Written before each call that could cost money."""

supplier_receivers = sa.Table(
    "supplier_receivers",
    metadata,
    key("supplier_id"),
    text("token"),  # the end of the address that the supplier was given; the signature is what counts
    text("format"),  # own: its protocol's | standard: Standard Webhooks 1.0, of another Cardrail
    instant("created_at"),
    sa.Index(None, "token", unique=True),
    sa.CheckConstraint("format IN ('own', 'standard')", name="format"),
    **CLUSTERED,
)
"""Suppliers whose webhooks we take."""

supplier_receiver_secrets = sa.Table(
    "supplier_receiver_secrets",
    metadata,
    key(),
    sa.Column("supplier_id", sa.Text, sa.ForeignKey("supplier_receivers.supplier_id"), nullable=False),
    blob("sealed"),
    instant("created_at"),
    instant("ends_at", null=True),  # null: the present one
    sa.Index(None, "supplier_id"),
    **CLUSTERED,
)

supplier_notices = sa.Table(
    "supplier_notices",
    metadata,
    key(),
    text("supplier_id"),
    text("key"),  # sourcing.hooks.Notice.key
    text("event"),  # theirs
    text("event_id", null=True),
    text("supplier_order_id", null=True),
    text("reference", null=True),  # ours
    flag("is_undone"),
    text("state"),  # waiting | done | review (a human looks at it) | dismissed
    text("result", null=True),  # in words
    text("attempt_id", null=True),  # the purchase that it is about
    number("tries", default=0),  # looks for that purchase
    instant("due_at", null=True),  # the next one, while it waits
    instant("received_at"),
    instant("done_at", null=True),
    sa.Index(None, "supplier_id", "key", unique=True),  # what comes again is nothing new
    sa.Index(
        "ix_supplier_notices_waiting",
        "due_at",
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    sa.Index(
        "ix_supplier_notices_review",
        "id",
        sqlite_where=sa.text("state = 'review'"),
        postgresql_where=sa.text("state = 'review'"),
    ),
    sa.CheckConstraint("state IN ('waiting', 'done', 'review', 'dismissed')", name="state"),
    **CLUSTERED,
)
"""What suppliers' webhooks said, as far as it is believed: never a body, a code or an amount."""
