"""Tables of the catalog: categories, brands, products, denominations, the rules that price them, rates, quotes."""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, flag, instant, key, metadata, minor, number, text

categories = sa.Table(
    "categories",
    metadata,
    key(),
    number("number"),  # 53-bit, unique: for dialects whose ids are numbers
    text("parent_id", null=True),
    text("slug"),
    text("name"),
    text("translations", null=True),  # JSON: language → {name}
    instant("updated_at"),
    sa.Index(None, "slug", unique=True),
    sa.Index(None, "number", unique=True),
    **CLUSTERED,
)

brands = sa.Table(
    "brands",
    metadata,
    key(),
    number("number"),
    text("slug"),
    text("name"),
    instant("updated_at"),
    sa.Index(None, "slug", unique=True),
    sa.Index(None, "number", unique=True),
    **CLUSTERED,
)

products = sa.Table(
    "products",
    metadata,
    key(),
    number("number"),
    text("code"),  # the operator's or the source's own product code
    sa.Column("brand_id", sa.Text, sa.ForeignKey("brands.id"), nullable=False),
    sa.Column("category_id", sa.Text, sa.ForeignKey("categories.id"), nullable=True),
    text("name"),
    text("kind"),  # code | link | topup
    text("classification"),  # OPEN_LOOP | CLOSED_LOOP | SEMI_OPEN | SEMI_CLOSE
    text("delivery_mode"),  # ONLINE | OFFLINE | ONLINE_OR_OFFLINE | NA
    text("sourcing"),  # stock | on_demand | hybrid
    text("currency"),  # of its face values
    text("countries"),  # blank-separated ISO 3166 codes where it redeems
    text("image_url", null=True),
    number("validity_days", null=True),
    text("input_fields", null=True),  # JSON: [{name, label, pattern, required}]
    text("translations", null=True),  # JSON: language → {name, description, instructions, terms}
    instant("created_at"),
    instant("updated_at"),
    instant("retired_at", null=True),  # never deleted: what was sold stays resolvable
    sa.Index(None, "code", unique=True),
    sa.Index(None, "number", unique=True),
    sa.Index(None, "updated_at"),
    sa.CheckConstraint("kind IN ('code', 'link', 'topup')", name="kind"),
    sa.CheckConstraint("sourcing IN ('stock', 'on_demand', 'hybrid')", name="sourcing"),
    **CLUSTERED,
)

product_barcodes = sa.Table(
    "product_barcodes",
    metadata,
    sa.Column("product_id", sa.Text, sa.ForeignKey("products.id"), primary_key=True),
    text("kind"),  # QR | CODE128 | EAN13
    sa.CheckConstraint("kind IN ('QR', 'CODE128', 'EAN13')", name="kind"),
    **CLUSTERED,
)
"""Products whose codes are scanned when they are redeemed; those that are not in it have none."""

denominations = sa.Table(
    "denominations",
    metadata,
    key(),
    number("number"),
    text("sku"),
    sa.Column("product_id", sa.Text, sa.ForeignKey("products.id"), nullable=False),
    text("type"),  # fixed | range
    minor("face_minor", null=True),  # fixed
    minor("min_minor", null=True),  # range
    minor("max_minor", null=True),
    minor("step_minor", null=True),
    minor("cost_minor", null=True),  # wholesale, for a fixed one
    number("cost_bps", null=True),  # wholesale as a part of face value, for a range
    text("cost_currency", null=True),
    instant("created_at"),
    instant("updated_at"),
    instant("retired_at", null=True),
    sa.Index(None, "sku", unique=True),
    sa.Index(None, "number", unique=True),
    sa.Index(None, "product_id"),
    sa.CheckConstraint(
        "(type = 'fixed' AND face_minor > 0) OR (type = 'range' AND min_minor > 0 AND min_minor <= max_minor AND step_minor > 0)",
        name="face",
    ),
    **CLUSTERED,
)

price_lists = sa.Table(
    "price_lists",
    metadata,
    key(),
    text("name"),
    instant("created_at"),
    sa.Index(None, "name", unique=True),
    **CLUSTERED,
)

price_rules = sa.Table(
    "price_rules",
    metadata,
    key(),
    text("partner_id", null=True),  # the most specific rule wins: partner+sku, partner+product, partner, list+sku … default
    text("price_list_id", null=True),
    text("product_id", null=True),
    text("denomination_id", null=True),
    text("kind"),  # discount (bps off face value) | markup (bps on cost) | fixed (minor units)
    number("value"),
    text("currency", null=True),  # of a fixed price
    text("rounding"),  # half_up | up | down, to a multiple of rounding_minor
    minor("rounding_minor", default=1),
    minor("fee_minor", default=0),  # per unit, in the wallet's currency
    number("tax_bps", default=0),  # on price and fee
    flag("allow_below_cost"),
    instant("created_at"),
    instant("updated_at"),
    sa.CheckConstraint("kind IN ('discount', 'markup', 'fixed')", name="kind"),
    sa.CheckConstraint("rounding_minor > 0 AND fee_minor >= 0 AND tax_bps >= 0", name="not_negative"),
    **CLUSTERED,
)

fx_rates = sa.Table(
    "fx_rates",
    metadata,
    sa.Column("base", sa.Text, primary_key=True),
    sa.Column("quote", sa.Text, primary_key=True),
    sa.Column("on_date", sa.Text, primary_key=True),  # 2026-11-21; the newest that is not in the future holds
    number("rate_e10"),  # units of quote for one of base, x 10**10
    number("margin_bps", default=0),  # added to what the partner pays
    text("source"),
    instant("created_at"),
    sa.CheckConstraint("rate_e10 > 0", name="rate"),
    **CLUSTERED,
)

quotes = sa.Table(
    "quotes",
    metadata,
    key(),
    text("partner_id"),
    text("mode"),
    text("currency"),
    minor("total_minor"),
    text("lines"),  # JSON: what the total is made of
    instant("created_at"),
    instant("expires_at"),
    text("order_id", null=True),  # the one order that used it
    **CLUSTERED,
)
