"""The catalog in memory: immutable, numbered, and good for one UTC day (exchange rates are by day).

Every price and every list is answered from here. Whoever changes the catalog moves its version row on; ``refresh`` sees that with one
small read, and the order lane compares the number inside its own transaction (``ensure``), so no order is priced from an old copy.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

import msgspec

from cardrail.catalog import store
from cardrail.catalog.errors import PriceUnavailable
from cardrail.catalog.fields import InputField, check_fields, decode_fields
from cardrail.catalog.listing import ProductFilter, ProductIndex, ProductPage
from cardrail.catalog.model import Brand, Category, Offer, PriceList, Product, Translation, face_of
from cardrail.catalog.prices import PriceRule, RuleBook, UnitPrice, price_unit
from cardrail.catalog.rates import Exchange, FxRate, Rates
from cardrail.kernel import (
    BrandId,
    CategoryId,
    Clock,
    DenominationId,
    PriceListId,
    ProductId,
    currency,
    from_micros,
)
from cardrail.storage import Database, Tx, read_version

PRICES_KEPT_MAX: Final = 65_536
"""Unit prices that a snapshot remembers; a full memory is emptied, because finding a price again costs microseconds."""

_ANYTHING: Final = ProductFilter()
_translations = msgspec.json.Decoder(dict[str, Translation]).decode
_names = msgspec.json.Decoder(dict[str, dict[str, str]]).decode


class CatalogSnapshot:
    """All that is sold and what it costs, as of one version and one day."""

    def __init__(
        self,
        *,
        version: int,
        day: date,
        products: Sequence[Product],
        brands: Sequence[Brand],
        categories: Sequence[Category],
        rules: Sequence[PriceRule],
        rates: Sequence[FxRate],
        price_lists: Sequence[PriceList] = (),
    ) -> None:
        self.version = version
        self.day = day
        self.rules = tuple(rules)
        self.fx_rates = tuple(rates)
        self.price_lists = tuple(price_lists)
        self.brands = tuple(sorted(brands, key=lambda one: one.slug))
        self.categories = tuple(sorted(categories, key=lambda one: one.slug))
        self.all_products = tuple(products)
        """By id, retired ones too."""
        self._offers = {offer.sku: offer for product in products for offer in product.offers}
        self._denominations = {offer.denomination_id: offer for offer in self._offers.values()}
        self._products = {product.id: product for product in products}
        self._codes = {product.code: product for product in products}
        self._index = ProductIndex(self.all_products, self.categories)
        self._rule_book = RuleBook(rules)
        self._rates = Rates(rates, day)
        self._prices: dict[tuple[Any, ...], UnitPrice] = {}

    # --- what an order asks ---------------------------------------------------------------------------------------

    def offer(self, sku: str) -> Offer | None:
        """The denomination of this sku, also a retired one (``is_sellable`` says)."""
        return self._offers.get(sku)

    def face_of(self, offer: Offer, face_minor: int | None = None) -> int:
        """The face value that is meant. Raises FaceValueRequired, InvalidFaceValue."""
        return face_of(offer, face_minor)

    def unit_price(
        self,
        offer: Offer,
        face_minor: int,
        *,
        partner_id: str | None,
        price_list_id: str | None,
        currency: str,
    ) -> UnitPrice:
        """What one unit of this face value costs the partner, in his wallet's currency.

        Raises PriceUnavailable, NoExchangeRate, BelowCost; UnknownCurrency.
        """
        owner = partner_id if partner_id in self._rule_book.partners else None
        key = (offer.denomination_id, face_minor, owner, price_list_id, currency)
        known = self._prices.get(key)
        if known is None:
            known = self._work_out(offer, face_minor, owner, price_list_id, currency)
            if len(self._prices) >= PRICES_KEPT_MAX:
                self._prices.clear()
            self._prices[key] = known
        return known

    def exchange(self, base: str, quote: str) -> Exchange | None:
        """The way from one currency to another at today's rates, without margin; None where no rate leads there."""
        return self._rates.find(base, quote)

    def check_fields(self, offer: Offer, fields: Mapping[str, str] | None) -> None:
        """Refuse input that the product does not take. Raises MissingField, InvalidField."""
        if fields or offer.input_fields:
            check_fields(offer.input_fields, fields)

    # --- what a list asks -----------------------------------------------------------------------------------------

    def products(self, wanted: ProductFilter = _ANYTHING, *, after: str | None = None, limit: int = 100) -> ProductPage:
        """A page of products by id, those after the id ``after``."""
        return self._index.page(wanted, after, limit)

    def count_products(self, wanted: ProductFilter = _ANYTHING) -> int:
        return self._index.count(wanted)

    def product(self, product_id: str) -> Product | None:
        """A product by id, also a retired one."""
        return self._products.get(ProductId(product_id))

    def denomination(self, denomination_id: str) -> Offer | None:
        """The offer of a denomination's id, also a retired one."""
        return self._denominations.get(DenominationId(denomination_id))

    def product_by_code(self, code: str) -> Product | None:
        """A product by the operator's own code, also a retired one."""
        return self._codes.get(code)

    def price_list(self, name_or_id: str) -> PriceList | None:
        for one in self.price_lists:
            if name_or_id in (one.id, one.name):
                return one
        return None

    def _work_out(self, offer: Offer, face_minor: int, partner_id: str | None, price_list_id: str | None, code: str) -> UnitPrice:
        rule = self._rule_book.find(offer, partner_id, price_list_id)
        if rule is None:
            raise PriceUnavailable(sku=offer.sku, reason="no price rule")
        return price_unit(offer, face_minor, rule, self._rates, currency(code))


class CatalogCache:
    """The newest snapshot that this process has seen."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._snapshot: CatalogSnapshot | None = None
        self._loading = threading.Lock()

    def current(self) -> CatalogSnapshot:
        """The snapshot at hand; nothing is read but for the first one."""
        return self._snapshot or self.refresh()

    def refresh(self) -> CatalogSnapshot:
        """The snapshot of now: one row is read, and the rest only if the catalog changed or a new UTC day began."""
        with self._loading, self._db.read() as tx:
            return self._fresh(tx, read_version(tx, "catalog"), self._clock.now().date())

    def ensure(self, tx: Tx, version: int, today: date) -> CatalogSnapshot:
        """The snapshot of the version that the caller has just read in its own transaction, loaded there if it is not at hand."""
        return self._fresh(tx, version, today)

    def _fresh(self, tx: Tx, version: int, today: date) -> CatalogSnapshot:
        at_hand = self._snapshot
        if at_hand is None or at_hand.version != version or at_hand.day != today:
            loaded = load_snapshot(tx, today)
            newest = self._snapshot
            if newest is None or (loaded.version, loaded.day) >= (newest.version, newest.day):
                self._snapshot = loaded
            return loaded
        return at_hand


def load_snapshot(tx: Tx, today: date) -> CatalogSnapshot:
    """Read the whole catalog. Where each statement sees newer commits (READ COMMITTED), it reads again if the version moved meanwhile."""
    while True:
        version = read_version(tx, "catalog")
        snapshot = _load(tx, version, today)
        if read_version(tx, "catalog") == version:
            return snapshot


def _load(tx: Tx, version: int, today: date) -> CatalogSnapshot:
    categories = {row.id: _category(row) for row in store.load_categories(tx)}
    brands = {row.id: _brand(row) for row in store.load_brands(tx)}
    by_product: dict[str, list[Any]] = {}
    for row in store.load_denominations(tx):
        by_product.setdefault(row.product_id, []).append(row)
    fields: dict[str | None, tuple[InputField, ...]] = {None: ()}
    products = [_product(row, by_product.get(row.id, []), brands, categories, fields) for row in store.load_products(tx)]
    return CatalogSnapshot(
        version=version,
        day=today,
        products=products,
        brands=list(brands.values()),
        categories=list(categories.values()),
        rules=store.load_rules(tx),
        rates=store.load_rates(tx),
        price_lists=[PriceList(PriceListId(row.id), row.name, from_micros(row.created_at)) for row in store.load_price_lists(tx)],
    )


def _category(row: Any) -> Category:
    names = _names(row.translations) if row.translations else {}
    return Category(
        id=CategoryId(row.id),
        number=int(row.number),
        slug=row.slug,
        name=row.name,
        parent_id=row.parent_id,
        names={language: texts["name"] for language, texts in names.items() if "name" in texts},
    )


def _brand(row: Any) -> Brand:
    return Brand(id=BrandId(row.id), number=int(row.number), slug=row.slug, name=row.name)


def _product(
    row: Any,
    denominations: Sequence[Any],
    brands: Mapping[str, Brand],
    categories: Mapping[str, Category],
    fields: dict[str | None, tuple[InputField, ...]],
) -> Product:
    if row.input_fields not in fields:  # thousands of products ask for the same few fields
        fields[row.input_fields] = decode_fields(row.input_fields)
    product = Product(
        id=ProductId(row.id),
        number=int(row.number),
        code=row.code,
        name=row.name,
        brand=brands[row.brand_id],
        category=categories.get(row.category_id),
        kind=row.kind,
        classification=row.classification,
        delivery_mode=row.delivery_mode,
        sourcing=row.sourcing,
        currency=currency(row.currency),
        countries=tuple(row.countries.split()),
        image_url=row.image_url,
        validity_days=row.validity_days,
        input_fields=fields[row.input_fields],
        translations=_translations(row.translations) if row.translations else {},
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        retired_at=from_micros(row.retired_at) if row.retired_at is not None else None,
        offers=(),
        barcode=row.barcode,
    )
    return replace(product, offers=tuple([_offer(product, one) for one in denominations]))


def _offer(product: Product, row: Any) -> Offer:
    return Offer(
        sku=row.sku,
        denomination_id=DenominationId(row.id),
        product_id=product.id,
        brand_id=product.brand.id,
        product_code=product.code,
        name=product.name,
        kind=product.kind,
        type=row.type,
        face_minor=row.face_minor,
        min_minor=row.min_minor,
        max_minor=row.max_minor,
        step_minor=row.step_minor,
        currency=product.currency,
        sourcing=product.sourcing,
        input_fields=product.input_fields,
        cost_minor=row.cost_minor,
        cost_bps=row.cost_bps,
        cost_currency=currency(row.cost_currency) if row.cost_currency else None,
        is_sellable=row.retired_at is None and product.retired_at is None,
        number=int(row.number),
    )
