"""Tables of orders. A one-item order from stock: one row here, one item row with its allocation, one transfer, one event."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, blob, instant, key, metadata, minor, number, text

orders = sa.Table(
    "orders",
    metadata,
    key(),
    text("partner_id"),
    text("mode"),
    text("state"),  # orders.states.OrderState
    text("currency"),  # of the wallet that pays
    minor("total_minor"),  # price of what was asked for
    minor("charged_minor"),  # posted so far
    minor("refunded_minor", default=0),
    text("reference", null=True),  # the partner's own
    blob("key_hash", null=True),  # keyed by partner and mode: binds an Idempotency-Key to this order, for ever
    blob("reference_hash", null=True),  # likewise the reference
    blob("fingerprint"),  # version byte and hash of the canonical command
    text("api_key_id", null=True),
    text("customer_id", null=True),
    text("quote_id", null=True),
    instant("pay_until", null=True),  # set while the order is unpaid
    instant("revealed_at", null=True),  # when a code of it was first opened for anybody
    text("details", null=True),  # JSON: country, client partner, delivery, metadata
    number("number", null=True),  # once a dialect whose ids are numbers has placed or shown the order
    number("version", default=1),  # moves with each change of state
    instant("created_at"),
    instant("updated_at"),
    sa.Index(
        "uq_orders_key_hash",
        "key_hash",
        unique=True,
        sqlite_where=sa.text("key_hash IS NOT NULL"),
        postgresql_where=sa.text("key_hash IS NOT NULL"),
    ),
    sa.Index(
        "uq_orders_reference_hash",
        "reference_hash",
        unique=True,
        sqlite_where=sa.text("reference_hash IS NOT NULL"),
        postgresql_where=sa.text("reference_hash IS NOT NULL"),
    ),
    sa.Index(
        "uq_orders_number",
        "number",
        unique=True,
        sqlite_where=sa.text("number IS NOT NULL"),
        postgresql_where=sa.text("number IS NOT NULL"),
    ),
    sa.Index(None, "partner_id", "mode", "id"),
    sa.Index(
        "ix_orders_pay_until",
        "pay_until",
        sqlite_where=sa.text("pay_until IS NOT NULL"),
        postgresql_where=sa.text("pay_until IS NOT NULL"),
    ),
    sa.CheckConstraint("charged_minor >= 0 AND refunded_minor >= 0 AND refunded_minor <= charged_minor", name="charge"),
    **CLUSTERED,
)

order_items = sa.Table(
    "order_items",
    metadata,
    sa.Column("order_id", sa.Text, sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),  # 1 … 100
    text("sku"),
    text("denomination_id"),
    text("name"),  # as it was called when sold
    text("state"),  # orders.states.ItemState
    number("quantity"),
    number("delivered"),  # codes obtained and charged
    minor("face_minor"),
    text("face_currency"),
    minor("unit_price_minor"),
    minor("unit_fee_minor", default=0),
    number("tax_bps", default=0),
    minor("total_minor"),  # for the whole quantity
    minor("charged_minor"),  # for what was delivered
    number("fx_rate_e10", null=True),  # face currency → wallet currency; null where they are the same
    text("lot_id", null=True),  # the first allocation: lot, first seq, count, expiry
    number("first_seq", null=True),
    number("code_count", default=0),
    instant("expires_at", null=True),
    text("hold_id", null=True),
    text("fields", null=True),  # JSON: a player id, a phone number
    sa.Index(
        "uq_order_items_allocation",
        "lot_id",
        "first_seq",
        unique=True,  # no two items begin at the same code, unless it came back from an invalidated order
        sqlite_where=sa.text("lot_id IS NOT NULL AND state <> 'INVALIDATED'"),
        postgresql_where=sa.text("lot_id IS NOT NULL AND state <> 'INVALIDATED'"),
    ),
    sa.CheckConstraint("quantity > 0 AND 0 <= delivered AND delivered <= quantity", name="quantity"),
    **CLUSTERED,
)

order_deliveries = sa.Table(
    "order_deliveries",
    metadata,
    sa.Column("order_id", sa.Text, sa.ForeignKey("orders.id"), primary_key=True),
    text("state"),  # waiting | done
    sa.Index(
        "ix_order_deliveries_waiting",
        "order_id",
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    **CLUSTERED,
)
"""Orders whose partner wants them delivered to somebody: what is still to be done. What he wished is in the order's details."""

allocations = sa.Table(
    "allocations",
    metadata,
    sa.Column("lot_id", sa.Text, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("order_id", sa.Text, primary_key=True),  # a code that came back is sold again
    number("code_count"),
    instant("expires_at"),
    number("line"),
    sa.Index(None, "order_id", "line"),
    sa.CheckConstraint("code_count > 0", name="code_count"),
    **CLUSTERED,
)
"""The second and further allocations of an item that one slice could not fill."""

refunded_units = sa.Table(
    "refunded_units",
    metadata,
    sa.Column("order_id", sa.Text, sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),  # of the unit in its line, from 1
    minor("amount_minor"),  # what was given back for it
    text("replacement_id", null=True),  # of the claim that ended so
    instant("created_at"),
    sa.CheckConstraint("position > 0 AND amount_minor >= 0", name="amount"),
    **CLUSTERED,
)
"""Units that were paid back: each once at all, whoever did it. What a claim paid back before this table was there, only its claim says."""

refund_lines = sa.Table(
    "refund_lines",
    metadata,
    sa.Column("order_id", sa.Text, sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("transfer_id", sa.Text, primary_key=True),
    number("line"),
    **CLUSTERED,
)
"""Which line of its order a refund's transfer is about. A rebate on the whole order has no row."""
