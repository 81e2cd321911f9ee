"""Money as other protocols write it: JSON numbers and decimal texts, from minor units and back, without a binary fraction between."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec

from cardrail.kernel import InvalidAmount, currency, format_minor


@lru_cache(maxsize=8_192)
def decimal_text(minor: int, code: str) -> str:
    """The amount as a decimal text with the currency's digits: 294050 DZD is "2940.50"."""
    return format_minor(minor, currency(code).digits)


@lru_cache(maxsize=8_192)
def json_number(minor: int, code: str, *, scale: int | None = None) -> msgspec.Raw:
    """The amount as a JSON number: 2940.5, or with ``scale`` digits after the point, 2940.50."""
    text = decimal_text(minor, code)
    if scale is None:
        short = text.rstrip("0").rstrip(".") if "." in text else text
        return msgspec.Raw(short.encode())
    whole, _, fraction = text.partition(".")
    return msgspec.Raw((f"{whole}.{fraction.ljust(scale, '0')}" if scale else whole).encode())


def minor_of(amount: Decimal | int | str, code: str) -> int:
    """Minor units of an amount that a request names. Raises InvalidAmount for one with too many digits, or that is no number."""
    digits = currency(code).digits
    try:
        number = Decimal(amount)
        if not number.is_finite() or abs(number.adjusted()) > 30:  # before it is multiplied out
            raise InvalidAmount(currency=code, digits=digits)
        scaled = number.scaleb(digits)
        minor = int(scaled)
    except ArithmeticError:
        raise InvalidAmount(currency=code, digits=digits) from None
    if scaled != minor or minor < 0 or minor >= 2**63:
        raise InvalidAmount(currency=code, digits=digits)
    return minor
