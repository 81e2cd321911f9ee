"""Products and types in the vendor's sense: a type is a denomination at one face value (specs/oneclickdz.md, sections 2.5 and 2.6).

Product ids are the first 96 bits of ours; so are the ids of types with a fixed face value. A range of face values is shown as some
types, whose id is the denomination's 53-bit number with the face value behind it: it leads back without anything being stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cardrail.catalog import CatalogSnapshot, Offer, Product, ProductFilter, ProductNotFound
from cardrail.kernel import CardrailError, apply_bps, format_minor, hex24_of, ids_of_hex24
from cardrail.orders import Buyer

_EVERYTHING: Final = ProductFilter(include_retired=True)
_HEX24: Final = re.compile(r"[0-9a-f]{24}")
_FACE_BITS: Final = 43
_FACE_MAX: Final = (1 << _FACE_BITS) - 1
"""What fits beside a 53-bit number in 24 hex digits: 87 billion whole units of a currency with two digits."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of a product."""

    id: str
    offer: Offer
    face_minor: int

    @property
    def name(self) -> str:
        """The face value as a label: 50 TRY, 33.33 INR."""
        text = format_minor(self.face_minor, self.offer.currency.digits)
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {self.offer.currency.code}"


def find_product(snapshot: CatalogSnapshot, product_id: str) -> Product:
    """The product of the vendor's id, also a retired one. Raises ProductNotFound."""
    span = ids_of_hex24("prd", product_id)
    if span is not None:
        first, last = span
        page = snapshot.products(_EVERYTHING, after=first[:-1], limit=1)  # the beginning of an id comes right before it
        if page.products and page.products[0].id <= last:
            return page.products[0]
    raise ProductNotFound


def find_kind(snapshot: CatalogSnapshot, product_id: str, type_id: str) -> Kind:
    """The type of this id, if it is this product's. Raises ProductNotFound, InvalidFaceValue."""
    product = find_product(snapshot, product_id)
    if _HEX24.fullmatch(type_id):
        for offer in product.offers:
            if offer.type == "fixed" and hex24_of(offer.denomination_id) == type_id:
                return Kind(type_id, offer, snapshot.face_of(offer))
        number, face_minor = divmod(int(type_id, 16), 1 << _FACE_BITS)
        for offer in product.offers:
            if offer.type == "range" and offer.number == number:
                return Kind(type_id, offer, snapshot.face_of(offer, face_minor))
    raise ProductNotFound


def kinds_of(product: Product, range_types_max: int, faces_in_stock: Iterable[tuple[str, int]] = ()) -> list[Kind]:
    """The types of a product, by face value; of a retired one those that it had.

    ``faces_in_stock`` are (denomination, face value): a range shows these before any others.
    """
    stocked: dict[str, set[int]] = {}
    for denomination_id, face_minor in faces_in_stock:
        stocked.setdefault(denomination_id, set()).add(face_minor)
    kinds = []
    for offer in product.offers if product.retired_at is not None else product.sellable:
        if offer.type == "fixed":
            kinds.append(Kind(hex24_of(offer.denomination_id), offer, offer.face_minor or 0))
        else:
            faces = sorted(stocked.get(offer.denomination_id, ()))[:range_types_max]
            more = _faces_of(offer.min_minor or 0, offer.max_minor or 0, offer.step_minor or 1, range_types_max)
            faces += [one for one in more if one not in stocked.get(offer.denomination_id, ())][: range_types_max - len(faces)]
            kinds += [Kind(_range_id(offer, face), offer, face) for face in faces if face <= _FACE_MAX]
    return sorted(kinds, key=lambda one: (one.face_minor, one.id))


def kind_id(offer: Offer, face_minor: int) -> str:
    """The id of a denomination at a face value."""
    return hex24_of(offer.denomination_id) if offer.type == "fixed" else _range_id(offer, face_minor)


def is_offered(product: Product) -> bool:
    """Whether it can be ordered here: it is sold, and asks for no input, which this protocol has no member for."""
    return product.retired_at is None and bool(product.sellable) and not any(one.required for one in product.input_fields)


def unit_price(snapshot: CatalogSnapshot, kind: Kind, buyer: Buyer) -> int | None:
    """What one card costs this buyer, fee and tax included, in minor units of his wallet; None where it cannot be priced."""
    try:
        price = snapshot.unit_price(
            kind.offer, kind.face_minor, partner_id=buyer.partner_id, price_list_id=buyer.price_list_id, currency=buyer.currency
        )
    except CardrailError:
        return None
    return card_price(price.price_minor, price.fee_minor, price.tax_bps)


def card_price(price_minor: int, fee_minor: int, tax_bps: int) -> int:
    """A unit price with its fee, and the tax on both."""
    net = price_minor + fee_minor
    return net + (apply_bps(net, tax_bps) if tax_bps else 0)


def _range_id(offer: Offer, face_minor: int) -> str:
    return f"{offer.number << _FACE_BITS | face_minor:024x}"


@lru_cache(maxsize=4_096)
def _faces_of(minimum: int, maximum: int, step: int, most: int) -> tuple[int, ...]:
    """All face values of a range if they are few; else its ends, and between them 1, 2, 2.5 and 5 times a power of 10."""
    if (maximum - minimum) // step < most:
        return tuple(range(minimum, maximum + 1, step))
    round_ones = {digits * 10**power for digits in (10, 20, 25, 50) for power in range(16)}
    found = sorted({one for one in round_ones | {minimum, maximum} if minimum <= one <= maximum and (one - minimum) % step == 0})
    return tuple(found[:most])
