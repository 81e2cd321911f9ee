"""Every statement of the catalog, one function each; rows ↔ model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cardrail.catalog.prices import PriceRule
from cardrail.catalog.rates import FxRate
from cardrail.catalog.tables import (
    brands,
    categories,
    denominations,
    fx_rates,
    price_lists,
    price_rules,
    product_barcodes,
    products,
    quotes,
)
from cardrail.kernel import OrderId, PriceRuleId, QuoteId, currency
from cardrail.storage import Tx, bulk_insert, events

Row = sa.Row[Any]

# --- reads ----------------------------------------------------------------------------------------------------------

_CATEGORIES = sa.select(categories)
_BRANDS = sa.select(brands)
_PRODUCTS = (
    sa.select(products, product_barcodes.c.kind.label("barcode"))
    .outerjoin(product_barcodes, product_barcodes.c.product_id == products.c.id)
    .order_by(products.c.id)
)
_DENOMINATIONS = sa.select(denominations).order_by(denominations.c.product_id, denominations.c.id)
_RULES = sa.select(price_rules).order_by(price_rules.c.id)
_RATES = sa.select(
    fx_rates.c.base,
    fx_rates.c.quote,
    fx_rates.c.on_date,
    fx_rates.c.rate_e10,
    fx_rates.c.margin_bps,
    fx_rates.c.source,
).order_by(fx_rates.c.base, fx_rates.c.quote, fx_rates.c.on_date)
_LISTS = sa.select(price_lists).order_by(price_lists.c.name)
_QUOTE = sa.select(quotes).where(quotes.c.id == sa.bindparam("of"))
_QUOTES = sa.select(quotes).where(quotes.c.id.in_(sa.bindparam("ids", expanding=True))).order_by(quotes.c.id).with_for_update()
_HISTORY = (
    sa.select(events.c.subject_id, sa.func.max(events.c.subject_seq))
    .where(events.c.subject_id.in_(sa.bindparam("ids", expanding=True)))
    .group_by(events.c.subject_id)
)


def load_categories(tx: Tx) -> Sequence[Row]:
    return tx.execute(_CATEGORIES).all()


def load_brands(tx: Tx) -> Sequence[Row]:
    return tx.execute(_BRANDS).all()


def load_products(tx: Tx) -> Sequence[Row]:
    """All products, retired ones too, by id."""
    return tx.execute(_PRODUCTS).all()


_TOPUPS = (
    sa.select(denominations.c.id)
    .join(products, products.c.id == denominations.c.product_id)
    .where(products.c.kind == "topup", denominations.c.id.in_(sa.bindparam("ids", expanding=True)))
)


def topups_among(tx: Tx, denomination_ids: Iterable[str]) -> set[str]:
    """Which of these denominations are top-ups: what they deliver is in somebody's account, and their codes are receipts."""
    return set(tx.execute(_TOPUPS, {"ids": list(denomination_ids)}).scalars())


def load_denominations(tx: Tx) -> Sequence[Row]:
    """All denominations, by product and id."""
    return tx.execute(_DENOMINATIONS).all()


def row_dict(row: Row) -> dict[str, Any]:
    """A row by its columns' names."""
    return dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it, underscore and all


def load_rules(tx: Tx) -> list[PriceRule]:
    return [_rule(row) for row in tx.execute(_RULES)]


def load_rates(tx: Tx) -> list[FxRate]:
    return [FxRate(*row) for row in tx.execute(_RATES)]


def load_price_lists(tx: Tx) -> Sequence[Row]:
    return tx.execute(_LISTS).all()


def read_quote(tx: Tx, quote_id: QuoteId) -> Row | None:
    """One quote, as it stands."""
    return tx.execute(_QUOTE, {"of": quote_id}).one_or_none()


def lock_quotes(tx: Tx, ids: Iterable[QuoteId]) -> Sequence[Row]:
    """Quotes by id, locked until the transaction ends."""
    return tx.execute(_QUOTES, {"ids": sorted(set(ids))}).all()


def load_last_seqs(tx: Tx, subject_ids: Sequence[str]) -> dict[str, int]:
    """The number of each subject's newest event; subjects without events are absent."""
    found: dict[str, int] = {}
    for start in range(0, len(subject_ids), 500):
        rows = tx.execute(_HISTORY, {"ids": subject_ids[start : start + 500]})
        found.update({row[0]: int(row[1]) for row in rows})
    return found


def _rule(row: Row) -> PriceRule:
    return PriceRule(
        id=PriceRuleId(row.id),
        partner_id=row.partner_id,
        price_list_id=row.price_list_id,
        product_id=row.product_id,
        denomination_id=row.denomination_id,
        kind=row.kind,
        value=int(row.value),
        currency=currency(row.currency) if row.currency else None,
        rounding=row.rounding,
        rounding_minor=int(row.rounding_minor),
        fee_minor=int(row.fee_minor),
        tax_bps=int(row.tax_bps),
        allow_below_cost=bool(row.allow_below_cost),
    )


# --- writes ---------------------------------------------------------------------------------------------------------

CATEGORY_COLUMNS = ("id", "number", "slug", "name", "updated_at")
BRAND_COLUMNS = ("id", "number", "slug", "name", "updated_at")
PRODUCT_VALUES = (
    "brand_id",
    "category_id",
    "name",
    "kind",
    "classification",
    "delivery_mode",
    "sourcing",
    "currency",
    "countries",
    "image_url",
    "validity_days",
    "input_fields",
    "translations",
)
PRODUCT_COLUMNS = ("id", "number", "code", "created_at", *PRODUCT_VALUES, "updated_at")
DENOMINATION_VALUES = (
    "type",
    "face_minor",
    "min_minor",
    "max_minor",
    "step_minor",
    "cost_minor",
    "cost_bps",
    "cost_currency",
)
DENOMINATION_COLUMNS = ("id", "number", "sku", "product_id", "created_at", *DENOMINATION_VALUES, "updated_at")
RULE_VALUES = (
    "kind",
    "value",
    "currency",
    "rounding",
    "rounding_minor",
    "fee_minor",
    "tax_bps",
    "allow_below_cost",
    "updated_at",
)
RULE_COLUMNS = (
    "id",
    "partner_id",
    "price_list_id",
    "product_id",
    "denomination_id",
    "created_at",
    *RULE_VALUES,
)


def _update(table: sa.Table, *columns: str) -> sa.Update:
    """An UPDATE of the named columns of the row whose id is bound as ``of``."""
    return sa.update(table).where(table.c.id == sa.bindparam("of")).values({name: sa.bindparam(name) for name in columns})


insert_categories = bulk_insert(categories, *CATEGORY_COLUMNS)
insert_brands = bulk_insert(brands, *BRAND_COLUMNS)
insert_products = bulk_insert(products, *PRODUCT_COLUMNS)
insert_barcodes = bulk_insert(product_barcodes, "product_id", "kind")
insert_denominations = bulk_insert(denominations, *DENOMINATION_COLUMNS)
insert_rules = bulk_insert(price_rules, *RULE_COLUMNS)

_UPDATE_PRODUCT = _update(products, *PRODUCT_VALUES, "updated_at")
_DELETE_BARCODE = sa.delete(product_barcodes).where(product_barcodes.c.product_id == sa.bindparam("of"))
_UPDATE_DENOMINATION = _update(denominations, *DENOMINATION_VALUES, "updated_at")
_UPDATE_RULE = _update(price_rules, *RULE_VALUES)
_DELETE_RULE = sa.delete(price_rules).where(price_rules.c.id == sa.bindparam("of"))
_RETIRE_PRODUCT = _update(products, "retired_at", "updated_at")
_RETIRE_DENOMINATION = _update(denominations, "retired_at", "updated_at")
_TOUCH_PRODUCT = _update(products, "updated_at")
_INSERT_LIST = sa.insert(price_lists)
_DELETE_RATE = sa.delete(fx_rates).where(
    fx_rates.c.base == sa.bindparam("of_base"),
    fx_rates.c.quote == sa.bindparam("of_quote"),
    fx_rates.c.on_date == sa.bindparam("of_date"),
)
_INSERT_RATE = sa.insert(fx_rates)
_INSERT_QUOTE = sa.insert(quotes)
_USE_QUOTE = (
    sa.update(quotes).where(quotes.c.id == sa.bindparam("of"), quotes.c.order_id.is_(None)).values(order_id=sa.bindparam("by"))
)


def update_products(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write products' values; each row names its product as ``of``."""
    _each(tx, _UPDATE_PRODUCT, rows)


def set_barcodes(tx: Tx, kinds: Mapping[str, str | None]) -> None:
    """What products' codes are drawn as, by product id; None: no more."""
    _each(tx, _DELETE_BARCODE, [{"of": one} for one in kinds])
    insert_barcodes(tx, [(one, kind) for one, kind in kinds.items() if kind is not None])


def update_denominations(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write denominations' values; each row names its denomination as ``of``."""
    _each(tx, _UPDATE_DENOMINATION, rows)


def update_rules(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rules' values; each row names its rule as ``of``."""
    _each(tx, _UPDATE_RULE, rows)


def delete_rules(tx: Tx, ids: Iterable[str]) -> None:
    _each(tx, _DELETE_RULE, [{"of": one} for one in ids])


def mark_products(tx: Tx, ids: Iterable[str], retired_at: int | None, at: int) -> None:
    """Retire products, or (with None) bring them back."""
    _each(tx, _RETIRE_PRODUCT, [{"of": one, "retired_at": retired_at, "updated_at": at} for one in ids])


def mark_denominations(tx: Tx, ids: Iterable[str], retired_at: int | None, at: int) -> None:
    """Retire denominations, or (with None) bring them back."""
    _each(tx, _RETIRE_DENOMINATION, [{"of": one, "retired_at": retired_at, "updated_at": at} for one in ids])


def touch_products(tx: Tx, ids: Iterable[str], at: int) -> None:
    """Let lists by ``updated_since`` show products whose denominations or prices changed."""
    _each(tx, _TOUCH_PRODUCT, [{"of": one, "updated_at": at} for one in ids])


def insert_price_list(tx: Tx, row: Mapping[str, Any]) -> None:
    tx.execute(_INSERT_LIST, [row])


def replace_rate(tx: Tx, row: Mapping[str, Any]) -> None:
    """The rate of a pair and a day; the one that was there goes."""
    tx.execute(_DELETE_RATE, {"of_base": row["base"], "of_quote": row["quote"], "of_date": row["on_date"]})
    tx.execute(_INSERT_RATE, [row])


def insert_quote(tx: Tx, row: Mapping[str, Any]) -> None:
    tx.execute(_INSERT_QUOTE, [row])


def use_quote(tx: Tx, quote_id: QuoteId, order_id: OrderId) -> bool:
    """Bind a quote to its one order; False if another has it."""
    return tx.execute(_USE_QUOTE, {"of": quote_id, "by": order_id}).rowcount == 1


def _each(tx: Tx, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        tx.execute(statement, list(rows))
