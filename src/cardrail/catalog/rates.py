"""Exchange rates by date: the newest that is not in the future holds, also read backwards, or across one currency between.

A rate stays a fraction of integers until the one rounding of the price; what is recorded (``rate_e10``) is its value x 10**10.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from cardrail.catalog.errors import InvalidRate
from cardrail.kernel import BPS_ONE, RATE_ONE, currency, divide_half_up, format_minor

RATE_MAX: Final = 10**8 * RATE_ONE - 1
"""The largest rate, x 10**10: it fits a signed 64-bit column."""


@dataclass(frozen=True, slots=True)
class FxRate:
    """One row: a unit of ``base`` is ``rate_e10`` x 10**-10 units of ``quote`` from ``on_date`` on."""

    base: str
    quote: str
    on_date: str
    rate_e10: int
    margin_bps: int
    source: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """From minor units of one currency to minor units of another, as two fractions: at the rate, and with the margin on top."""

    numerator: int
    denominator: int
    margin_numerator: int
    margin_denominator: int
    on_date: str
    digits_from: int
    digits_to: int

    @property
    def charged(self) -> tuple[int, int]:
        """The fraction that a partner is charged at."""
        return self.numerator * self.margin_numerator, self.denominator * self.margin_denominator

    @property
    def rate_e10(self) -> int:
        """The charged rate between whole units, x 10**10, rounded half up: for the record."""
        numerator, denominator = self.charged
        return divide_half_up(numerator * RATE_ONE * 10**self.digits_from, denominator * 10**self.digits_to)


SAME = Exchange(1, 1, 1, 1, "", 0, 0)
"""No exchange: both currencies are the same."""


class Rates:
    """The rates that hold on one day."""

    def __init__(self, rows: Iterable[FxRate], day: date) -> None:
        newest: dict[tuple[str, str], FxRate] = {}
        today = day.isoformat()
        for row in rows:
            known = newest.get((row.base, row.quote))
            if row.on_date <= today and (known is None or row.on_date > known.on_date):
                newest[(row.base, row.quote)] = row
        self._newest = newest
        self._codes = sorted({code for pair in newest for code in pair})
        self._found: dict[tuple[str, str], Exchange | None] = {}

    def find(self, base: str, quote: str) -> Exchange | None:
        """The way from one currency to another: by a rate of the two, else across the currency whose older rate is the newest."""
        if base == quote:
            return SAME
        pair = (base, quote)
        if pair not in self._found:
            if len(self._found) > 10_000:
                self._found.clear()
            self._found[pair] = self._direct(base, quote) or self._across(base, quote)
        return self._found[pair]

    def _direct(self, base: str, quote: str) -> Exchange | None:
        """By the rate of the two, or its reciprocal if that is newer."""
        forward, backward = self._newest.get((base, quote)), self._newest.get((quote, base))
        if forward is None and backward is None:
            return None
        digits_from, digits_to = currency(base).digits, currency(quote).digits
        if forward is not None and (backward is None or backward.on_date <= forward.on_date):
            row, up, down = forward, forward.rate_e10, RATE_ONE
        else:
            assert backward is not None
            row, up, down = backward, RATE_ONE, backward.rate_e10
        return Exchange(
            up * 10**digits_to,
            down * 10**digits_from,
            BPS_ONE + row.margin_bps,
            BPS_ONE,
            row.on_date,
            digits_from,
            digits_to,
        )

    def _across(self, base: str, quote: str) -> Exchange | None:
        best: Exchange | None = None
        for middle in self._codes:
            first, second = self._direct(base, middle), self._direct(middle, quote)
            if first is None or second is None:
                continue
            on_date = min(first.on_date, second.on_date)
            if best is None or on_date > best.on_date:
                best = Exchange(
                    first.numerator * second.numerator,
                    first.denominator * second.denominator,
                    first.margin_numerator * second.margin_numerator,
                    first.margin_denominator * second.margin_denominator,
                    on_date,
                    first.digits_from,
                    second.digits_to,
                )
        return best


def parse_rate(text: str) -> int:
    """A rate from its decimal text, x 10**10. Raises InvalidRate."""
    whole, _, decimals = text.strip().partition(".")
    if not (whole + decimals).isascii() or not whole.isdigit() or (decimals and not decimals.isdigit()) or len(decimals) > 10:
        raise InvalidRate(rate=text[:40], reason="a plain decimal number with at most ten decimals")
    rate = int(whole[:20] + decimals.ljust(10, "0"))
    if len(whole) > 8 or not 0 < rate <= RATE_MAX:
        raise InvalidRate(rate=text[:40], reason="above 0 and at most 99999999")
    return rate


def show_rate(rate_e10: int) -> str:
    """A rate as a decimal text, as short as can be: 92.5."""
    return format_minor(rate_e10, 10).rstrip("0").rstrip(".")
