"""What a partner pays: the rule that fits best, and its arithmetic. Pure, and integers only.

A unit price is rounded once, at its end, as its rule names (half up to the minor unit unless it says otherwise); a line is unit price x
quantity, in every dialect. Fractions stay fractions until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from cardrail.catalog.errors import BelowCost, NoExchangeRate, PriceUnavailable
from cardrail.catalog.model import Offer
from cardrail.catalog.rates import Exchange, Rates
from cardrail.kernel import BPS_ONE, Currency, PriceRuleId, apply_bps, currency, divide_half_up, format_minor

Place = tuple[str | None, str | None, str | None, str | None]
"""Where a rule applies: partner, price list, product, denomination; None is any."""

RULE_KINDS: Final = ("discount", "markup", "fixed")
ROUNDINGS: Final = ("half_up", "up", "down")


@dataclass(frozen=True, slots=True)
class PriceRule:
    """One rule. ``value`` is bps off face value (discount), bps on cost (markup), or minor units of ``currency`` (fixed)."""

    id: PriceRuleId
    partner_id: str | None
    price_list_id: str | None
    product_id: str | None
    denomination_id: str | None
    kind: Literal["discount", "markup", "fixed"]
    value: int
    currency: Currency | None = None
    rounding: Literal["half_up", "up", "down"] = "half_up"
    rounding_minor: int = 1
    fee_minor: int = 0
    tax_bps: int = 0
    allow_below_cost: bool = False

    @property
    def place(self) -> Place:
        return (self.partner_id, self.price_list_id, self.product_id, self.denomination_id)


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What one unit costs a partner, in the currency of his wallet."""

    price_minor: int
    fee_minor: int
    tax_bps: int
    """On price and fee."""
    currency: Currency
    gross_minor: int
    """The face value in the wallet's currency; a discount shown is this minus the price."""
    fx_rate_e10: int | None
    """Wallet units for one unit of face value, x 10**10, margin included; None where both are the same currency."""
    rule_id: PriceRuleId | None
    """None for a price that no rule made (test mode's reserved skus)."""

    @classmethod
    def fixed(cls, price_minor: int, fee_minor: int, tax_bps: int, code: str, rule_id: PriceRuleId | None) -> UnitPrice:
        """A price as it is, with nothing to exchange and no discount to show."""
        return cls(price_minor, fee_minor, tax_bps, currency(code), price_minor, None, rule_id)


class RuleBook:
    """All rules, by where they apply."""

    def __init__(self, rules: Iterable[PriceRule]) -> None:
        self._by_place = {rule.place: rule for rule in rules}
        self.partners = frozenset(place[0] for place in self._by_place if place[0])
        """Partners with rules of their own; for all others one price serves everybody on the same list."""

    def find(self, offer: Offer, partner_id: str | None, price_list_id: str | None) -> PriceRule | None:
        """The most specific rule: partner, then price list, then default; in each the sku, then the product, then all."""
        for place in places(offer, partner_id, price_list_id):
            rule = self._by_place.get(place)
            if rule is not None:
                return rule
        return None


def places(offer: Offer, partner_id: str | None, price_list_id: str | None) -> Iterator[Place]:
    """Where a rule may stand for this offer and buyer, the most specific first."""
    owners: list[tuple[str | None, str | None]] = [(None, None)]
    if price_list_id:
        owners.insert(0, (None, price_list_id))
    if partner_id:
        owners.insert(0, (partner_id, None))
    for partner, price_list in owners:
        yield partner, price_list, None, offer.denomination_id
        yield partner, price_list, offer.product_id, None
        yield partner, price_list, None, None


def price_unit(offer: Offer, face_minor: int, rule: PriceRule, rates: Rates, wallet: Currency) -> UnitPrice:
    """The price of one unit of this face value under a rule.

    Raises PriceUnavailable (markup without a cost, a fixed price for a range, a price that rounds to nothing), NoExchangeRate, BelowCost.
    """
    to_wallet = rates.find(offer.currency.code, wallet.code)
    numerator, denominator = _exact_price(offer, face_minor, rule, rates, wallet)
    price = round_to(numerator, denominator, rule.rounding, rule.rounding_minor)
    if price <= 0:
        raise PriceUnavailable(sku=offer.sku, reason="the price rounds to nothing")
    if not rule.allow_below_cost:
        _check_cost(offer, face_minor, price, rates, wallet)
    same = offer.currency == wallet
    return UnitPrice(
        price_minor=price,
        fee_minor=rule.fee_minor,
        tax_bps=rule.tax_bps,
        currency=wallet,
        # A price made from cost needs no rate for the face value; where there is none, there is no discount to show either.
        gross_minor=price if to_wallet is None else divide_half_up(face_minor * to_wallet.charged[0], to_wallet.charged[1]),
        fx_rate_e10=None if same or to_wallet is None else to_wallet.rate_e10,
        rule_id=rule.id,
    )


def line_total(price: UnitPrice, quantity: int) -> int:
    """What a line costs: quantity x (price + fee), and the tax on that, rounded half up."""
    net = quantity * (price.price_minor + price.fee_minor)
    return net + apply_bps(net, price.tax_bps)


def round_to(numerator: int, denominator: int, rounding: str, multiple: int) -> int:
    """A fraction rounded to a multiple: half_up, up or down. Not for negative ones."""
    scaled = denominator * multiple
    if rounding == "up":
        return -(-numerator // scaled) * multiple
    if rounding == "down":
        return numerator // scaled * multiple
    return divide_half_up(numerator, scaled) * multiple


def _exact_price(offer: Offer, face_minor: int, rule: PriceRule, rates: Rates, wallet: Currency) -> tuple[int, int]:
    """The price as a fraction of minor units of the wallet's currency."""
    if rule.kind == "discount":
        amount, unit, bps = face_minor, offer.currency, BPS_ONE - rule.value
    elif rule.kind == "markup":
        cost = _cost(offer, face_minor)
        if cost is None:
            raise PriceUnavailable(sku=offer.sku, reason="a markup needs a cost", rule=rule.id)
        up, down = _exchange(rates, cost[2], wallet).charged
        return cost[0] * (BPS_ONE + rule.value) * up, cost[1] * BPS_ONE * down
    else:
        if offer.type == "range" or rule.currency is None:
            raise PriceUnavailable(sku=offer.sku, reason="a fixed price needs a fixed face value", rule=rule.id)
        amount, unit, bps = rule.value, rule.currency, BPS_ONE
    up, down = _exchange(rates, unit, wallet).charged
    return amount * bps * up, BPS_ONE * down


def _cost(offer: Offer, face_minor: int) -> tuple[int, int, Currency] | None:
    """What one unit costs us, as a fraction of minor units, and in which currency; None if nobody said."""
    if offer.cost_minor is not None:
        return offer.cost_minor, 1, offer.cost_currency or offer.currency
    if offer.cost_bps is not None:
        return face_minor * offer.cost_bps, BPS_ONE, offer.currency
    return None


def _check_cost(offer: Offer, face_minor: int, price_minor: int, rates: Rates, wallet: Currency) -> None:
    """Refuse a price below cost. The cost is taken at the rate without margin, rounded like a price."""
    cost = _cost(offer, face_minor)
    if cost is None:
        return
    exchange = _exchange(rates, cost[2], wallet)
    cost_minor = divide_half_up(cost[0] * exchange.numerator, cost[1] * exchange.denominator)
    if price_minor < cost_minor:
        raise BelowCost(sku=offer.sku, price=format_minor(price_minor, wallet.digits), currency=wallet.code)


def _exchange(rates: Rates, source: Currency, wallet: Currency) -> Exchange:
    found = rates.find(source.code, wallet.code)
    if found is None:
        raise NoExchangeRate(base=source.code, quote=wallet.code)
    return found
