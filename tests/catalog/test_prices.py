"""Prices, worked by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.catalog import BelowCost, NoExchangeRate, PriceUnavailable, UnitPrice, line_total
from cardrail.catalog.prices import RuleBook, price_unit, round_to
from cardrail.catalog.rates import Rates
from cardrail.kernel import RATE_ONE, currency
from tests.catalog.build import TODAY, a_rate, a_rule, an_offer

INR, EUR, BDT, JPY, KWD = [currency(code) for code in ("INR", "EUR", "BDT", "JPY", "KWD")]
PARTNER, LIST = "par_1", "pls_1"


def price(offer: Any = None, face: int = 3333, rule: Any = None, rates: Any = (), wallet: Any = INR) -> UnitPrice:
    return price_unit(offer or an_offer(), face, rule or a_rule(), Rates(rates, TODAY), wallet)


def test_seven_cards_of_33_33_at_3_5_percent_cost_225_12() -> None:
    # 33.33 x 0.965 = 32.16345, half up 32.16; 7 x 32.16 = 225.12 (and not 7 x 33.33 x 0.965 = 225.14)
    unit = price()
    assert (unit.price_minor, unit.gross_minor) == (3216, 3333)
    assert line_total(unit, 7) == 22512


def test_fee_and_tax_go_on_top_of_the_line() -> None:
    # 3 x (32.16 + 0.50) = 97.98; 18 % of it is 17.6364, half up 17.64
    unit = price(rule=a_rule(fee_minor=50, tax_bps=1800))
    assert line_total(unit, 3) == 9798 + 1764


@pytest.mark.parametrize(
    ("rounding", "multiple", "expected"),
    [
        ("half_up", 1, 3216),
        ("up", 1, 3217),  # 3216.345 up
        ("down", 1, 3216),
        ("half_up", 5, 3215),
        ("up", 100, 3300),
        ("down", 100, 3200),
    ],
)
def test_a_rule_names_its_rounding(rounding: str, multiple: int, expected: int) -> None:
    assert price(rule=a_rule(rounding=rounding, rounding_minor=multiple)).price_minor == expected


def test_half_a_minor_unit_goes_up() -> None:
    assert price(an_offer(face_minor=1000), 1000, a_rule(value=5)).price_minor == 1000  # 999.5


def test_a_markup_is_on_cost_in_the_cost_s_currency() -> None:
    # EUR 1.05 x 1.05 = 1.1025; x 141.25 = BDT 155.728125
    offer = an_offer(face_minor=8900, currency=BDT, cost_minor=105, cost_currency=EUR)
    unit = price(offer, 8900, a_rule("markup", 500), [a_rate("EUR", "BDT", 1_412_500_000_000)], BDT)
    assert (unit.price_minor, unit.gross_minor, unit.fx_rate_e10) == (15573, 8900, None)


def test_the_margin_of_a_rate_is_paid_by_the_partner() -> None:
    # EUR 10.00 x 0.9 x 92.5 x 1.015 = INR 844.9875
    offer = an_offer(face_minor=1000, currency=EUR)
    unit = price(offer, 1000, a_rule(value=1000), [a_rate("EUR", "INR", 925_000_000_000, margin_bps=150)])
    assert (unit.price_minor, unit.gross_minor) == (84499, 93888)
    assert unit.fx_rate_e10 == 938_875_000_000


def test_a_rate_is_read_backwards_without_losing_a_digit() -> None:
    # INR 1000.00 x 0.965 / 92.5 = EUR 10.4324…
    unit = price(face=100_000, rates=[a_rate("EUR", "INR", 925_000_000_000)], wallet=EUR)
    assert unit.price_minor == 1043


def test_two_rates_meet_in_a_common_currency() -> None:
    rates = Rates([a_rate("EUR", "INR", 100 * RATE_ONE), a_rate("EUR", "BDT", 150 * RATE_ONE)], TODAY)
    found = rates.find("INR", "BDT")
    assert found is not None
    assert found.rate_e10 == 15_000_000_000


def test_digits_of_currencies_are_minded() -> None:
    # KWD 1.000 (three digits) x 490 = JPY 490 (none)
    offer = an_offer(face_minor=1000, currency=KWD)
    unit = price(offer, 1000, a_rule(value=0), [a_rate("KWD", "JPY", 490 * RATE_ONE)], JPY)
    assert (unit.price_minor, unit.fx_rate_e10) == (490, 490 * RATE_ONE)


def test_the_newest_rate_that_is_not_in_the_future_holds() -> None:
    rows = [
        a_rate("EUR", "INR", rate * RATE_ONE, day) for rate, day in ((90, "2025-12-30"), (91, "2026-01-01"), (99, "2026-01-02"))
    ]
    found = [Rates(rows, day).find("EUR", "INR") for day in (date(2025, 12, 29), date(2025, 12, 31), TODAY)]
    assert found[0] is None
    assert [one.rate_e10 // RATE_ONE for one in found[1:] if one] == [90, 91]


def test_a_price_below_cost_is_refused_unless_its_rule_allows_it() -> None:
    offer = an_offer(face_minor=1000, cost_minor=966)
    with pytest.raises(BelowCost):
        price(offer, 1000)  # 965
    assert price(an_offer(face_minor=1000, cost_minor=965), 1000).price_minor == 965
    assert price(offer, 1000, a_rule(allow_below_cost=True)).price_minor == 965


def test_a_cost_in_another_currency_floors_the_price_too() -> None:
    offer = an_offer(face_minor=1000, cost_minor=11, cost_currency=EUR)
    with pytest.raises(BelowCost):
        price(offer, 1000, rates=[a_rate("EUR", "INR", 90 * RATE_ONE)])  # cost 9.90, price 9.65
    with pytest.raises(NoExchangeRate):
        price(offer, 1000)


def test_the_cost_of_a_range_is_a_part_of_its_face_value() -> None:
    offer = an_offer(type="range", cost_bps=9500)
    assert price(offer, 20000, a_rule("markup", 200)).price_minor == 19380  # 200.00 x 0.95 x 1.02


@pytest.mark.parametrize(
    ("offer", "rule", "error"),
    [
        (an_offer(), a_rule("markup", 500), PriceUnavailable),  # no cost
        (an_offer(type="range"), a_rule("fixed", 900, currency=INR), PriceUnavailable),  # which face value?
        (an_offer(), a_rule("discount", 9999, rounding="down"), PriceUnavailable),  # rounds to nothing
        (an_offer(currency=EUR), a_rule(), NoExchangeRate),
        (an_offer(), a_rule("fixed", 900, currency=EUR), NoExchangeRate),
    ],
)
def test_there_is_no_price(offer: Any, rule: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        price(offer, offer.face_minor or 10000, rule)


PRECEDENCE = [
    (PARTNER, None, None, "den_1"),
    (PARTNER, None, "prd_1", None),
    (PARTNER, None, None, None),
    (None, LIST, None, "den_1"),
    (None, LIST, "prd_1", None),
    (None, LIST, None, None),
    (None, None, None, "den_1"),
    (None, None, "prd_1", None),
    (None, None, None, None),
]


@pytest.mark.parametrize("strongest", range(len(PRECEDENCE)))
def test_the_most_specific_rule_wins(strongest: int) -> None:
    rules = [a_rule(place=place) for place in PRECEDENCE[strongest:]]
    found = RuleBook(reversed(rules)).find(an_offer(), PARTNER, LIST)
    assert found == rules[0]


def test_rules_of_others_do_not_count() -> None:
    rules = [
        a_rule(place=place)
        for place in (("par_2", None, None, "den_1"), (None, "pls_2", None, None), (None, None, None, "den_2"))
    ]
    assert RuleBook(rules).find(an_offer(), PARTNER, LIST) is None


@given(st.integers(0, 10**15), st.integers(1, 10**12), st.integers(1, 10**6))
def test_rounding_stays_within_its_multiple(numerator: int, denominator: int, multiple: int) -> None:
    down, half, up = [round_to(numerator, denominator, how, multiple) for how in ("down", "half_up", "up")]
    assert all(one % multiple == 0 for one in (down, half, up))
    assert down * denominator <= numerator <= up * denominator
    assert up - down in (0, multiple)
    assert half in (down, up)
    assert 2 * abs(half * denominator - numerator) <= multiple * denominator


@given(st.integers(1, 10**9), st.integers(0, 9_999), st.integers(1, 1_000))
def test_a_line_is_the_rounded_unit_price_times_its_quantity(face: int, bps: int, quantity: int) -> None:
    rule = a_rule(value=bps, rounding="up")
    unit = price(an_offer(face_minor=face), face, rule)
    assert line_total(unit, quantity) == quantity * unit.price_minor
    assert unit.price_minor == -(-face * (10_000 - bps) // 10_000)
