"""Test mode's reserved skus: each behaves in one named way, so that a partner can see every outcome on purpose (DESIGN.md, section 12).

They exist for test keys only; a live key finds no such sku. They cost 10.00 of the wallet's currency and need no catalog.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final

from cardrail.catalog import Offer, UnitPrice
from cardrail.kernel import BrandId, DenominationId, Mode, ProductId, currency


class Behaviour(StrEnum):
    """What happens to an order for a sku."""

    REAL = "real"
    """An ordinary sku of the catalog."""
    OK = "TEST_OK"
    """Delivered at once."""
    PARTIAL = "TEST_PARTIAL"
    """Half is delivered and charged, rounded down."""
    REFUND = "TEST_REFUND"
    """Taken, then nothing comes: the order fails and the money is given back."""
    PENDING = "TEST_PENDING"
    """Stays PLACED, its money held, until it is cancelled."""
    OUT_OF_STOCK = "TEST_OUT_OF_STOCK"
    """Refused for stock."""
    PRICE_CHANGED = "TEST_PRICE_CHANGED"
    """Refused for its price."""
    SLOW = "TEST_SLOW"
    """Bought from the simulated supplier, which takes some seconds."""
    TIMEOUT = "TEST_TIMEOUT"
    """The simulated supplier's answer is lost; asked again, it has delivered."""
    TIMEOUT_LOST = "TEST_TIMEOUT_LOST"
    """The simulated supplier's answer is lost; asked again, it never got the order: the order fails, and the money is given back."""
    BAD_CODE = "TEST_BAD_CODE"
    """Delivered at once, and every code is bad: a claim for it is granted."""


_BY_SKU: Final = {behaviour.value: behaviour for behaviour in Behaviour if behaviour is not Behaviour.REAL}

TEST_SKUS: Final = tuple(_BY_SKU)

SUPPLIED: Final = frozenset({Behaviour.SLOW, Behaviour.TIMEOUT, Behaviour.TIMEOUT_LOST})
"""What is bought from the simulated supplier."""


def behaviour_of(sku: str, mode: Mode) -> Behaviour:
    """How orders for this sku behave for a key of this mode."""
    return _BY_SKU.get(sku, Behaviour.REAL) if mode is Mode.TEST else Behaviour.REAL


@lru_cache(maxsize=1_024)
def sandbox_offer(sku: str, wallet_currency: str) -> Offer:
    """The offer of a reserved sku: face value 10.00 in the wallet's own currency."""
    unit = currency(wallet_currency)
    return Offer(
        sku=sku,
        denomination_id=DenominationId(f"den_{sku}"),
        product_id=ProductId(f"prd_{sku}"),
        brand_id=BrandId("brd_TEST"),
        product_code=sku,
        name=f"Test product {sku}",
        kind="code",
        type="fixed",
        face_minor=10 * 10**unit.digits,
        min_minor=None,
        max_minor=None,
        step_minor=None,
        currency=unit,
        sourcing="stock",
        input_fields=(),
        cost_minor=None,
        cost_bps=None,
        cost_currency=None,
        is_sellable=True,
    )


def sandbox_price(offer: Offer, *, is_free: bool = False) -> UnitPrice:
    """Its face value, without fee or tax; or nothing."""
    return UnitPrice.fixed(0 if is_free else offer.face_minor or 0, 0, 0, offer.currency.code, None)
