"""How the public surface writes money, moments and ids (specs/foxreload.md, sections 1.3, 2.3, and 7, A21 and A22)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from uuid import UUID

from cardrail.api.compat import decimal_text
from cardrail.api.errors import InvalidQuery
from cardrail.kernel import divide_half_up, format_minor, from_micros, id_of_uuid, is_id, to_micros
from cardrail.orders import TEST_SKUS

PRICE_DIGITS: Final = 6
"""Decimals of a price per unit of an amount (a range): enough that the price of its largest amount is right to the minor unit."""

_PRODUCT: Final = "product_"


@lru_cache(maxsize=8_192)
def money(minor: int, code: str) -> str:
    """A decimal text with at least two decimals."""
    text = decimal_text(minor, code)
    return text if "." in text else text + ".00"


def price_per_unit(minor: int, units: int, digits: int) -> str:
    """What one of so many units costs, when all of them cost this: at least two decimals, and as many more as it takes."""
    scaled = divide_half_up(minor * 10 ** (PRICE_DIGITS - min(digits, PRICE_DIGITS)), units)
    whole, _, fraction = format_minor(scaled, PRICE_DIGITS).partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


@lru_cache(maxsize=1_024)
def moment(micros: int) -> str:
    """ISO 8601 UTC with Z, whole seconds."""
    return from_micros(micros).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: str, parameter: str) -> int:
    """Microseconds of an ISO 8601 time; offsets and fractions are taken, and without an offset it is UTC. Raises InvalidQuery."""
    try:
        found = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        found = None
    if found is None or not 1971 <= found.year <= 9_998:
        raise InvalidQuery(parameter=parameter, detail="It is not an ISO 8601 time.")
    return to_micros(found if found.tzinfo is not None else found.replace(tzinfo=UTC))


# --- ids ----------------------------------------------------------------------------------------------------------------


def product_id(denomination_id: str) -> str:
    """A denomination as a product of theirs: ``product_`` and the 26 characters of its id in lower case."""
    return _TEST_IDS.get(denomination_id) or _PRODUCT + denomination_id[-26:].lower()


def denomination_id(text: str) -> str | None:
    """The denomination that a product id of theirs names, also one of test mode's own; None for what has not its form."""
    lowered = text.lower()
    own = _TEST_DENOMINATIONS.get(lowered)
    if own is not None:
        return own
    found = "den_" + lowered.removeprefix(_PRODUCT).upper()
    return found if lowered.startswith(_PRODUCT) and is_id("den", found) else None


def _made_up(sku: str) -> str:
    """A product id for a reserved sku, which has no row: always the same one."""
    digest = hashlib.blake2b(sku.encode(), digest_size=16).digest()
    return (id_of_uuid("product", str(UUID(bytes=digest))) or "").lower()


TEST_PRODUCTS: Final = {sku: _made_up(sku) for sku in TEST_SKUS}
"""Test mode's reserved skus → their product ids."""

_TEST_IDS: Final = {f"den_{sku}": made for sku, made in TEST_PRODUCTS.items()}
_TEST_DENOMINATIONS: Final = {made: own for own, made in _TEST_IDS.items()}


# --- numbers that a request names ----------------------------------------------------------------------------------------


def sane(number: Decimal) -> bool:
    """Whether it can be reckoned with: finite, and not of thousands of digits."""
    return number.is_finite() and abs(number.adjusted()) <= 30 and len(number.as_tuple().digits) <= 40
