"""One caller's look at the catalog: in his language, at his prices, with what is there now (specs/foxreload.md, section 2.3)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from cardrail.access import Principal
from cardrail.api.compat import Call, json_number
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.public import notes
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.shelf import UNCATEGORISED, Node, Shelf, Shelves
from cardrail.api.dialects.foxreload.public.texts import money, price_per_unit, product_id
from cardrail.api.dialects.foxreload.public.wire import CategoryOut, ProductOut
from cardrail.api.errors import InvalidHeader
from cardrail.catalog import CatalogError, Offer, Translation, UnitPrice, line_total
from cardrail.kernel import Mode, UnknownCurrency, currency, format_minor, to_micros
from cardrail.orders import QUANTITY_MAX, Behaviour, behaviour_of, sandbox_price
from cardrail.storage import read_version
from cardrail.vault import stock_counts

TEST_STOCK: Final = 1_000
"""What test keys see of any product: their codes are made, so this is no count."""

BEST_KEPT_MAX: Final = 64
"""Partners and currencies whose lowest prices are remembered."""

_NO_TEXTS: Final = Translation()


@dataclass(frozen=True, slots=True)
class Present:
    """What there is: in the vault, and from suppliers."""

    counts: dict[tuple[str, int], int]
    """Units by denomination and face value."""
    supplied: frozenset[str]
    """Denominations that a supplier sells."""

    def count(self, offer: Offer, face_minor: int) -> int:
        return self.counts.get((offer.denomination_id, face_minor), 0)

    def can_buy(self, offer: Offer) -> bool:
        """Whether suppliers bring it when it is ordered."""
        return offer.sourcing != "stock" and offer.denomination_id in self.supplied


NOTHING: Final = Present({}, frozenset())


@dataclass(frozen=True, slots=True)
class View:
    """Who looks, and at what. Everything here runs on a thread."""

    desk: Desk
    profile: PublicProfile
    shelf: Shelf
    principal: Principal
    wallet: str
    """The currency of prices."""
    language: str

    @property
    def mode(self) -> Mode:
        return self.principal.mode

    @property
    def test_wallet(self) -> str | None:
        """The wallet, where test mode's reserved skus are to be seen."""
        return self.wallet if self.mode is Mode.TEST else None

    # --- prices ---------------------------------------------------------------------------------------------------------

    def unit_price(self, offer: Offer, face_minor: int) -> UnitPrice:
        """Raises PriceUnavailable, NoExchangeRate, BelowCost."""
        if behaviour_of(offer.sku, Mode.TEST) is not Behaviour.REAL:  # no product of the catalog has such a sku
            return sandbox_price(offer)
        who = self.principal
        return self.shelf.snapshot.unit_price(
            offer, face_minor, partner_id=who.partner_id, price_list_id=who.price_list_id, currency=self.wallet
        )

    def price(self, offer: Offer) -> str | None:
        """A unit's price as it is shown; of a range, that of one whole unit of its currency. None: it cannot be ordered."""
        try:
            if offer.type == "fixed":
                return money(line_total(self.unit_price(offer, offer.face_minor or 0), 1), self.wallet)
            least, most = amounts_of(offer)
            if least > most:
                return None
            total = line_total(self.unit_price(offer, most * unit_of(offer)), 1)
            return price_per_unit(total, most, currency(self.wallet).digits)
        except CatalogError:
            return None

    def least_cost(self, offer: Offer) -> Decimal | None:
        """The least that can be spent on it: a unit, or the least amount of a range."""
        price = self.price(offer)
        if price is None:
            return None
        least = 1 if offer.type == "fixed" else amounts_of(offer)[0]
        return (Decimal(price) * least).quantize(Decimal(1).scaleb(-max(currency(self.wallet).digits, 2)), ROUND_HALF_UP)

    # --- stock ----------------------------------------------------------------------------------------------------------

    def present(self, offers: Iterable[Offer]) -> Present:
        """What there is of these now; a test key's orders need none."""
        wanted = [one.denomination_id for one in offers]
        if self.mode is Mode.TEST or not wanted:
            return NOTHING
        parts = self.desk.parts
        with parts.db.read() as tx:
            counts = stock_counts(tx, Mode.LIVE, wanted, to_micros(parts.clock.now()))
            return Present(counts, parts.shop.supply.ensure(tx, read_version(tx, "supply")))

    def all_present(self) -> Present:
        """What there is of everything, some seconds old at most."""
        kept = self.shelf.kept.get("present")
        now = time.monotonic()
        if not isinstance(kept, tuple) or now - kept[0] > self.profile.stock_seconds:
            kept = self.shelf.kept["present"] = (now, self.present(self.shelf.offers))
        found: Present = kept[1]
        return found

    def quantity(self, offer: Offer, present: Present) -> int | None:
        """Units in stock; None: not known. Of a range only its absence is known: it depends on the amount."""
        if self.mode is Mode.TEST:
            return TEST_STOCK if offer.type == "fixed" else None
        if present.can_buy(offer):
            return None
        if offer.type == "fixed":
            return present.count(offer, offer.face_minor or 0)
        return None if any(count for (one, _), count in present.counts.items() if one == offer.denomination_id) else 0

    def in_stock(self) -> frozenset[int]:
        """Places of all products of which there may be any, some seconds old at most."""
        offers = self.shelf.offers
        if self.mode is Mode.TEST:
            return frozenset(range(len(offers)))
        present = self.all_present()
        kept = self.shelf.kept.get("in_stock")
        if not isinstance(kept, tuple) or kept[0] is not present:
            stocked = {denomination for (denomination, _), count in present.counts.items() if count}
            places = [n for n, one in enumerate(offers) if one.denomination_id in stocked or present.can_buy(one)]
            kept = self.shelf.kept["in_stock"] = (present, frozenset(places))
        found: frozenset[int] = kept[1]
        return found

    # --- what is shown --------------------------------------------------------------------------------------------------

    def product(self, offer: Offer, present: Present) -> ProductOut:
        """A product as it is listed."""
        product = self.shelf.product_of(offer)
        texts = self.texts(offer)
        least, most = (1, QUANTITY_MAX) if offer.type == "fixed" else amounts_of(offer)
        node = self.shelf.node_of(product) if product is not None else None
        price = self.price(offer)
        fields = offer.input_fields
        return ProductOut(
            id=product_id(offer.denomination_id),
            name=_name(texts.name or offer.name, offer),
            slug=self.shelf.slug(offer),
            category_id=node.id if node is not None else UNCATEGORISED,
            description=texts.description,
            attributes=_attributes(offer, product.countries if product is not None else ()),
            price=price,
            currency=self.wallet.lower(),
            quantity=self.quantity(offer, present),
            order_min_quantity=least,
            order_max_quantity=most,
            required_note_fields=notes.required_names(fields),
            note_field_options=notes.options(fields),
            note_field_types=notes.types(fields),
            delivery_type=offer.kind,
            is_service=offer.kind == "topup",
            user_guide=texts.instructions,
            image_path=product.image_url if product is not None else None,
            thumbnail_path=None,
        )

    def texts(self, offer: Offer) -> Translation:
        """The product's texts in the caller's language, or in the first one that it has."""
        product = self.shelf.product_of(offer)
        if product is None or not product.translations:
            return _NO_TEXTS
        found = product.translations
        return found.get(self.language) or found.get(self.profile.languages[0]) or next(iter(found.values()))

    def category(self, node: Node) -> dict[str, Any]:
        """The members of a category."""
        offers = self.shelf.offers
        below = [offers[place] for place in node.below]
        present = self.in_stock()
        category = node.category
        return {
            "id": node.id,
            "name": self.profile.uncategorised_name if category is None else category.names.get(self.language, category.name),
            "slug": node.slug,
            "description": None,
            "best_offer_price": self._best_prices().get(node.id) if self.profile.shows_best_price else None,
            "attributes": {} if node.children else self._common_attributes(below),
            "attribute_definitions": [],
            "tags": sorted({self.profile.tags.get(one.kind, one.kind) for one in below}),
            "parent_id": node.parent.id if node.parent is not None else None,
            "has_products": bool(below),
            "in_stock_count": sum([place in present for place in node.below]),
            "image_path": None,
            "thumbnail_path": None,
        }

    def category_out(self, node: Node) -> CategoryOut:
        return CategoryOut(**self.category(node))

    def _common_attributes(self, offers: Iterable[Offer]) -> dict[str, str]:
        """The country and the currency that all of these have in common: what makes a category one of a region."""
        currencies = {one.currency.code for one in offers}
        countries = {product.countries for one in offers if (product := self.shelf.product_of(one)) is not None}
        found: dict[str, str] = {}
        if len(countries) == 1 and len(only := countries.pop()) == 1:
            found["country_code"] = only[0]
        if len(currencies) == 1:
            found["currency"] = currencies.pop()
        return found

    def _best_prices(self) -> dict[str, str]:
        """The lowest price in each category, for who pays these prices in this currency."""
        who = self.principal
        key = ("best", who.partner_id, who.price_list_id, self.wallet)
        kept = self.shelf.kept.get(key)
        if not isinstance(kept, dict):
            prices = [self.least_cost(one) for one in self.shelf.offers]
            best: dict[str, str] = {}
            for node in self.shelf.nodes:
                known = [prices[place] for place in node.below]
                lowest = min([one for one in known if one is not None], default=None)
                if lowest is not None:
                    best[node.id] = str(lowest)
            if len(self.shelf.kept) > BEST_KEPT_MAX:
                self.shelf.kept.clear()
            self.shelf.kept[key] = kept = best
        return kept


def currency_of(call: Call, profile: PublicProfile) -> tuple[str, str | None]:
    """The currency of the caller's prices, and what he named himself. Raises InvalidHeader."""
    given = call.header("x-currency")
    if given is None or not given.strip():
        return (profile.default_currency or call.principal.currency).upper(), None
    code = given.strip().upper()
    if not _is_served(code, profile.currencies):
        raise InvalidHeader(parameter="X-Currency", said="It names no currency that is served here.")
    return code, code


def _is_served(code: str, allowed: tuple[str, ...]) -> bool:
    try:
        return currency(code).code == code and (not allowed or code.lower() in allowed)
    except UnknownCurrency:
        return False


def language_of(call: Call, profile: PublicProfile) -> str:
    """The language of texts; one that is not served is the first one that is."""
    given = (call.header("x-language") or "").strip().lower()
    return given if given in profile.languages else profile.languages[0]


def unit_of(offer: Offer) -> int:
    """One whole unit of the face value's currency, in minor units."""
    return int(10**offer.currency.digits)


def amounts_of(offer: Offer) -> tuple[int, int]:
    """The least and the greatest quantity of a range: whole units of its currency. The first is above the second where it has none."""
    unit = unit_of(offer)
    return max(1, -(-(offer.min_minor or 0) // unit)), (offer.max_minor or 0) // unit


def _name(name: str, offer: Offer) -> str:
    """The product's name with its face value, which our product does not have in its name, or has already."""
    if offer.type != "fixed" or behaviour_of(offer.sku, Mode.TEST) is not Behaviour.REAL:
        return name
    text = _amount(offer.face_minor or 0, offer)
    words = name.replace(",", " ").split()
    return name if text in words else f"{name} {text} {offer.currency.code}"


def _amount(minor: int, offer: Offer) -> str:
    text = format_minor(minor, offer.currency.digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _attributes(offer: Offer, countries: tuple[str, ...]) -> dict[str, Any]:
    code = offer.currency.code
    found: dict[str, Any] = {"currency": code}
    if offer.type == "fixed":
        found = {"amount": json_number(offer.face_minor or 0, code), "currency": code}
    if len(countries) == 1:
        found["country_code"] = countries[0]
    return found


def view_of(call: Call, profile: PublicProfile, shelves: Shelves) -> View:
    """What the caller sees. The first look at a new catalog takes milliseconds per thousand products: call it on a thread."""
    wallet, _ = currency_of(call, profile)
    shelf = shelves.of(call.desk.parts.catalog.current())
    return View(call.desk, profile, shelf, call.principal, wallet, language_of(call, profile))
