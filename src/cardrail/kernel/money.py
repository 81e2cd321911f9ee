"""Exact money: integers of a currency's minor unit, and the few roundings that are allowed.

Currency digits come from ISO 4217 (through the ``iso4217`` package): INR has 2, JPY 0, KWD 3. Nothing here is a float; a rate is an
integer with its scale in its name: ``_bps`` is 1/10,000, ``_e10`` is 10**-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from iso4217 import Currency as Iso4217

from cardrail.kernel.errors import CardrailError

BPS_ONE: Final = 10_000
RATE_ONE: Final = 10**10
MINOR_MAX: Final = 10**15
"""The largest amount any input may name, in minor units: sums of a thousand such still fit a signed 64-bit column."""


class MoneyError(CardrailError):
    """The amount is not valid."""

    code = "invalid_amount"


class UnknownCurrency(MoneyError):
    """The currency is not an ISO 4217 code with a minor unit."""

    code = "unknown_currency"


class InvalidAmount(MoneyError):
    """The amount is not a plain decimal number with at most the currency's digits."""

    code = "invalid_amount"


class CurrencyMismatch(MoneyError):
    """Two amounts in different currencies cannot be added or compared."""

    code = "currency_mismatch"


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: its three letters and the digits of its minor unit."""

    code: str
    digits: int

    def __str__(self) -> str:
        return self.code


@lru_cache(maxsize=512)
def currency(code: str) -> Currency:
    """The currency of an ISO 4217 code. Raises UnknownCurrency, also for codes without a minor unit (gold, SDR)."""
    try:
        exponent = Iso4217(code).exponent
    except ValueError:
        raise UnknownCurrency(currency=code) from None
    if exponent is None:
        raise UnknownCurrency(currency=code)
    return Currency(code, exponent)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in minor units: Money(2500, EUR) is EUR 25.00. Never a float."""

    minor: int
    currency: Currency

    @classmethod
    def parse(cls, text: str, code: str | Currency) -> Money:
        """Read a plain decimal: "25", "25.0", "25.00". No sign but a leading minus, no exponent, no separators."""
        unit = currency(code) if isinstance(code, str) else code
        return cls(parse_minor(text, unit.digits), unit)

    @property
    def amount(self) -> str:
        """The decimal text, with all the currency's digits: "25.00", "500" for JPY."""
        return format_minor(self.minor, self.currency.digits)

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __mul__(self, count: int) -> Money:
        return Money(self.minor * count, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor < other.minor

    def split(self, n: int) -> list[Money]:
        """n parts that differ by at most one minor unit and sum to the whole; n must be positive."""
        return [Money(share(self.minor, n, i, 1), self.currency) for i in range(n)]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency.code}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(left=self.currency.code, right=other.currency.code)


def parse_minor(text: str, digits: int) -> int:
    """Minor units of a plain decimal text: ("20.0", 2) is 2000. Raises InvalidAmount, also for digits that would be lost."""
    body = text[1:] if text.startswith("-") else text
    whole, dot, fraction = body.partition(".")
    if not whole.isascii() or not whole.isdigit() or (dot and not (fraction.isascii() and fraction.isdigit())):
        raise InvalidAmount(amount=text[:40])
    kept = fraction.rstrip("0")
    if len(kept) > digits or len(whole.lstrip("0")) > 16:
        raise InvalidAmount(amount=text[:40], digits=digits)
    minor = int(whole + kept.ljust(digits, "0"))
    if minor > MINOR_MAX:
        raise InvalidAmount(amount=text[:40], digits=digits)
    return -minor if body is not text else minor


def format_minor(minor: int, digits: int) -> str:
    """The decimal text of minor units: (2500, 2) is "25.00"."""
    if digits == 0:
        return str(minor)
    text = str(abs(minor)).rjust(digits + 1, "0")
    return f"{'-' if minor < 0 else ''}{text[:-digits]}.{text[-digits:]}"


def share(total: int, n: int, first: int, count: int) -> int:
    """What ``count`` of ``n`` equal parts, starting at part ``first``, make of ``total``; all parts sum to the total.

    Part i is the difference of two floors, so a range costs as little as one part and no minor unit is ever lost.
    """
    return total * (first + count) // n - total * first // n


def divide_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded to the nearest integer, halves away from zero. The denominator must be positive."""
    quotient, rest = divmod(abs(numerator), denominator)
    if 2 * rest >= denominator:
        quotient += 1
    return quotient if numerator >= 0 else -quotient


def apply_bps(minor: int, bps: int) -> int:
    """``bps`` basis points of an amount, rounded half up: (2000, 425) is 85."""
    return divide_half_up(minor * bps, BPS_ONE)


def parse_bps(text: str) -> int:
    """Basis points of a percent text: "4.25" is 425. Raises InvalidAmount for more than two decimals."""
    return parse_minor(text, 2)
