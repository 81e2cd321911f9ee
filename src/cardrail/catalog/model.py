"""What is sold: brand → product → denomination (an offer has the denomination's sku), and a page of it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from cardrail.catalog.errors import FaceValueRequired, InvalidFaceValue
from cardrail.catalog.fields import InputField
from cardrail.kernel import BrandId, CategoryId, Currency, DenominationId, PriceListId, ProductId, format_minor

RESERVED_SKU_PREFIX: Final = "TEST_"
"""Skus that break things on purpose in test mode (TEST_OK, TEST_PARTIAL …): no product may take one."""

KINDS: Final = ("code", "link", "topup")
SOURCINGS: Final = ("stock", "on_demand", "hybrid")
CLASSIFICATIONS: Final = ("OPEN_LOOP", "CLOSED_LOOP", "SEMI_OPEN", "SEMI_CLOSE")
BARCODES: Final = ("QR", "CODE128", "EAN13")
"""What a recipient's code is drawn as, beside its text."""
DELIVERY_MODES: Final = ("ONLINE", "OFFLINE", "ONLINE_OR_OFFLINE", "NA")


class Translation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A product's texts in one language."""

    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    terms: str | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A shelf; it may stand on another."""

    id: CategoryId
    number: int
    slug: str
    name: str
    parent_id: CategoryId | None
    names: Mapping[str, str]
    """Language → name."""


@dataclass(frozen=True, slots=True)
class Brand:
    """Whose cards they are."""

    id: BrandId
    number: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A denomination as it is sold: fixed at one face value, or a range of them."""

    sku: str
    denomination_id: DenominationId
    product_id: ProductId
    brand_id: BrandId
    product_code: str
    name: str
    kind: str
    type: Literal["fixed", "range"]
    face_minor: int | None
    min_minor: int | None
    max_minor: int | None
    step_minor: int | None
    currency: Currency
    """Of the face value."""
    sourcing: str
    input_fields: tuple[InputField, ...]
    cost_minor: int | None
    """Wholesale, of a fixed one, in ``cost_currency``."""
    cost_bps: int | None
    """Wholesale as a part of the face value, of a range."""
    cost_currency: Currency | None
    is_sellable: bool
    """Neither it nor its product is retired."""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Product:
    """A product with everything that a list shows of it."""

    id: ProductId
    number: int
    code: str
    name: str
    brand: Brand
    category: Category | None
    kind: str
    classification: str
    delivery_mode: str
    sourcing: str
    currency: Currency
    countries: tuple[str, ...]
    image_url: str | None
    validity_days: int | None
    input_fields: tuple[InputField, ...]
    translations: Mapping[str, Translation]
    created_at: datetime
    updated_at: datetime
    retired_at: datetime | None
    offers: tuple[Offer, ...]
    """All of them, retired ones too; ``sellable`` are those to show."""
    barcode: str | None = None
    """One of BARCODES, where the code is scanned when it is redeemed."""

    @property
    def sellable(self) -> tuple[Offer, ...]:
        return tuple([offer for offer in self.offers if offer.is_sellable])


@dataclass(frozen=True, slots=True)
class PriceList:
    """A name under which rules for several partners are kept."""

    id: PriceListId
    name: str
    created_at: datetime


def face_of(offer: Offer, face_minor: int | None) -> int:
    """The face value that is meant, in minor units. Raises FaceValueRequired, InvalidFaceValue."""
    if offer.type == "fixed":
        assert offer.face_minor is not None
        if face_minor is not None and face_minor != offer.face_minor:
            raise InvalidFaceValue(sku=offer.sku, face_value=format_minor(offer.face_minor, offer.currency.digits))
        return offer.face_minor
    assert offer.min_minor is not None
    assert offer.max_minor is not None
    assert offer.step_minor is not None
    if face_minor is None:
        raise FaceValueRequired(sku=offer.sku, **_range_facts(offer))
    if not offer.min_minor <= face_minor <= offer.max_minor or (face_minor - offer.min_minor) % offer.step_minor:
        raise InvalidFaceValue(sku=offer.sku, **_range_facts(offer))
    return face_minor


def _range_facts(offer: Offer) -> dict[str, object]:
    digits = offer.currency.digits
    return {
        "minimum": format_minor(offer.min_minor or 0, digits),
        "maximum": format_minor(offer.max_minor or 0, digits),
        "step": format_minor(offer.step_minor or 0, digits),
        "currency": offer.currency.code,
    }
