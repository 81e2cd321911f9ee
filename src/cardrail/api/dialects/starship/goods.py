"""The catalog as this dialect counts it: products by number, denominations as ranges, categories in two levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from cardrail.access import Principal
from cardrail.api.compat import minor_of
from cardrail.api.dialects.starship.amounts import discount_bps
from cardrail.api.dialects.starship.errors import NO_PRODUCT, Refusal
from cardrail.catalog import Brand, CatalogSnapshot, Category, Offer, Product, UnitPrice
from cardrail.kernel import BrandId, CardrailError, InvalidAmount, Mode, ProductId, currency, number_of
from cardrail.orders import TEST_SKUS, behaviour_of, sandbox_offer, sandbox_price
from cardrail.orders import Behaviour as SandboxBehaviour

KEPT_MAX: Final = 20_000
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Shelf:
    """One snapshot of the catalog, by the numbers that this dialect knows things by."""

    snapshot: CatalogSnapshot
    by_number: dict[int, Product] = field(default_factory=dict)
    listed: list[Product] = field(default_factory=list)
    """What can be ordered, by number."""
    sold: dict[int, Product] = field(default_factory=dict)
    """The same, to be looked up."""
    categories: dict[str, Category] = field(default_factory=dict)
    """By id."""
    priced_apart: frozenset[str] = frozenset()
    """Partners with prices of their own."""
    percents: dict[str, int] = field(default_factory=dict)
    """Rules that take a percentage off, by id → basis points."""
    kept: dict[Any, Any] = field(default_factory=dict)
    """What was worked out before, by whatever it depends on; emptied when it is full."""

    @classmethod
    def of(cls, snapshot: CatalogSnapshot) -> Shelf:
        rules = snapshot.rules
        shelf = cls(
            snapshot,
            by_number={one.number: one for one in snapshot.all_products},
            categories={one.id: one for one in snapshot.categories},
            priced_apart=frozenset([one.partner_id for one in rules if one.partner_id]),
            percents={one.id: one.value for one in rules if one.kind == "discount"},
        )
        sellable = [one for one in snapshot.all_products if one.retired_at is None and one.sellable]
        shelf.listed = sorted(sellable, key=lambda one: one.number)
        shelf.sold = {one.number: one for one in shelf.listed}
        return shelf

    def keep(self, key: Any, value: Any) -> Any:
        """Remember a result."""
        if len(self.kept) >= KEPT_MAX:
            self.kept.clear()
        self.kept[key] = value
        return value

    def shelves_of(self, product: Product) -> tuple[Category | None, Category | None]:
        """(category, sub category): the shelf at the top, and the product's own where that is another."""
        own = product.category
        top = own
        for _ in range(16):
            above = self.categories.get(top.parent_id) if top is not None and top.parent_id else None
            if above is None:
                break
            top = above
        return top, (own if own is not top else None)

    def percent_off(self, price: UnitPrice) -> int:
        """The discount in basis points: the rule's own percentage, or what its price comes to."""
        own = self.percents.get(price.rule_id) if price.rule_id else None
        return discount_bps(price) if own is None else own


class Goods:
    """The shelf of the present snapshot. One per server, used on its event loop and by its threads."""

    def __init__(self, catalog: Any, *, sandbox: bool) -> None:
        self._catalog = catalog
        self._sandbox = sandbox
        self._shelf: Shelf | None = None

    def shelf(self) -> Shelf:
        """The present one; it is made anew when the catalog has changed."""
        snapshot = self._catalog.current()
        shelf = self._shelf
        if shelf is None or shelf.snapshot is not snapshot:
            shelf = self._shelf = Shelf.of(snapshot)
        return shelf

    def sandbox(self, principal: Principal) -> Sequence[Product]:
        """Products that stand for test mode's reserved skus, in the wallet's own currency."""
        if principal.mode is not Mode.TEST or not self._sandbox:
            return ()
        shelf = self.shelf()
        key = ("sandbox", principal.currency)
        made: Sequence[Product] | None = shelf.kept.get(key)
        return made if made is not None else shelf.keep(key, [sandbox_product(sku, principal.currency) for sku in TEST_SKUS])

    def product(self, number: int, principal: Principal) -> Product | None:
        """The product of a number that can be ordered."""
        shelf = self.shelf()
        found = shelf.sold.get(number)
        if found is not None or number in shelf.by_number:
            return found
        return next((one for one in self.sandbox(principal) if one.number == number), None)

    def sandbox_skus(self, number: int) -> Sequence[str]:
        """The reserved sku that a product of this number stands for."""
        return [sku for sku in TEST_SKUS if number_of(f"prd_{sku}") == number]

    def product_of(self, denomination_id: str, sku: str) -> tuple[int, str]:
        """(number, kind) of the product that an order's line was for, also where it is no longer sold."""
        offer = self.shelf().snapshot.denomination(denomination_id)
        if offer is not None:
            product = self.shelf().snapshot.product(offer.product_id)
            if product is not None:
                return product.number, product.kind
        return number_of(f"prd_{sku}"), "code"

    def offer_of(self, product: Product, denomination: Decimal) -> tuple[Offer, int]:
        """``offer_of``, worked out once for each catalog: shops order the same few denominations over and over. Raises Refusal."""
        shelf = self.shelf()
        key = ("offer", product.number, product.currency.code, denomination)
        found: tuple[Offer, int] | None = shelf.kept.get(key)
        return found if found is not None else shelf.keep(key, offer_of(product, denomination))

    def price(self, offer: Offer, face_minor: int, principal: Principal, wallet: str) -> UnitPrice:
        """What a unit costs the caller. Raises what ``CatalogSnapshot.unit_price`` raises."""
        if behaviour_of(offer.sku, principal.mode) is not SandboxBehaviour.REAL:
            return sandbox_price(offer)
        return self.shelf().snapshot.unit_price(
            offer, face_minor, partner_id=principal.partner_id, price_list_id=principal.price_list_id, currency=wallet
        )

    def price_or_none(self, offer: Offer, face_minor: int, principal: Principal, wallet: str) -> UnitPrice | None:
        """``price``; None where there is none to be had."""
        try:
            return self.price(offer, face_minor, principal, wallet)
        except CardrailError:
            return None


def offer_of(product: Product, denomination: Any, status: int = 400) -> tuple[Offer, int]:
    """The offer that a denomination means, and its minor units: a fixed one before a range. Raises Refusal."""
    try:
        face_minor = minor_of(denomination, product.currency.code)
    except InvalidAmount:
        raise Refusal(NO_PRODUCT._replace(status=status)) from None
    ranged: Offer | None = None
    for offer in product.sellable:
        if offer.type == "fixed":
            if offer.face_minor == face_minor:
                return offer, face_minor
        elif ranged is None and (offer.min_minor or 0) <= face_minor <= (offer.max_minor or 0):
            ranged = offer if (face_minor - (offer.min_minor or 0)) % (offer.step_minor or 1) == 0 else None
    if ranged is None:
        raise Refusal(NO_PRODUCT._replace(status=status))
    return ranged, face_minor


def sandbox_product(sku: str, wallet_currency: str) -> Product:
    """A reserved sku as a product of one denomination."""
    offer = sandbox_offer(sku, wallet_currency)
    return Product(
        id=ProductId(f"prd_{sku}"),
        number=number_of(f"prd_{sku}"),
        code=sku,
        name=offer.name,
        brand=Brand(BrandId("brd_TEST"), 0, "test", "Test"),
        category=None,
        kind="code",
        classification="CLOSED_LOOP",
        delivery_mode="ONLINE",
        sourcing="stock",
        currency=currency(wallet_currency),
        countries=(),
        image_url=None,
        validity_days=None,
        input_fields=(),
        translations={},
        created_at=_EPOCH,
        updated_at=_EPOCH,
        retired_at=None,
        offers=(offer,),
    )
