"""Amounts and times as this dialect writes them, and the arithmetic of a quote (specs/starship.md, section 4).

The unit price is rounded once and a line is unit price x quantity; discount is gross less that. The vendor discounts the whole line: up
to half a cent a unit lies between.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from cardrail.api.compat import decimal_text, json_number
from cardrail.catalog import UnitPrice
from cardrail.kernel import RATE_ONE, apply_bps, currency, divide_half_up, format_minor, from_micros


@lru_cache(maxsize=8_192)
def number2(minor: int, code: str) -> msgspec.Raw:
    """A JSON number of two decimals, or as many as the currency has: 25.00."""
    return json_number(minor, code, scale=2)


@lru_cache(maxsize=8_192)
def text2(minor: int, code: str) -> str:
    """A text of two decimals, or as many as the currency has: "25.00"."""
    whole, _, fraction = decimal_text(minor, code).partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


@lru_cache(maxsize=4_096)
def percent(bps: int) -> msgspec.Raw:
    """Basis points as a percentage with at least one decimal: 350 is 3.5."""
    text = format_minor(bps, 2)
    return msgspec.Raw((text[:-1] if text.endswith("0") else text).encode())


def rate_number(rate_e10: int | None) -> msgspec.Raw | None:
    """An exchange rate as a JSON number."""
    if rate_e10 is None:
        return None
    text = format_minor(rate_e10, 10).rstrip("0")
    return msgspec.Raw((text + "0" if text.endswith(".") else text).encode())


def when(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second: 2026-01-01T00:00:00Z (section 1.1)."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=512)
def when_micros(micros: int) -> str:
    """``when`` of microseconds since the epoch."""
    return when(from_micros(micros))


class Sums(NamedTuple):
    """What a line comes to: the first three in the product's currency, the rest in the wallet's."""

    gross: int
    discount: int
    total: int
    net: int
    fee: int
    tax: int

    @property
    def payable(self) -> int:
        return self.net + self.fee + self.tax


@lru_cache(maxsize=4_096)
def sums_of(
    face_minor: int, face_currency: str, price_minor: int, wallet: str, fx_rate_e10: int | None, quantity: int,
    *, fee_minor: int = 0, tax_bps: int = 0,
) -> Sums:  # fmt: skip
    """The sums of ``quantity`` units at a unit price."""
    unit = price_minor if fx_rate_e10 is None else _back(price_minor, face_currency, wallet, fx_rate_e10)
    gross, total = face_minor * quantity, unit * quantity
    net, fee = price_minor * quantity, fee_minor * quantity
    return Sums(gross, gross - total, total, net, fee, apply_bps(net + fee, tax_bps) if tax_bps else 0)


def discount_bps(price: UnitPrice) -> int:
    """The discount of a price on its face value, in basis points rounded half up; negative for a surcharge."""
    gross = price.gross_minor
    return divide_half_up((gross - price.price_minor) * 10_000, gross) if gross else 0


@lru_cache(maxsize=4_096)
def _back(price_minor: int, face_currency: str, wallet: str, fx_rate_e10: int) -> int:
    """A unit price in the product's currency, by the rate that it was made with."""
    up, down = 10 ** currency(face_currency).digits, 10 ** currency(wallet).digits
    return divide_half_up(price_minor * RATE_ONE * up, fx_rate_e10 * down)
