"""Set what prices are made of: rules, price lists, exchange rates. One rule stands at one place; setting it again replaces it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Final

from cardrail.catalog import store
from cardrail.catalog.changes import PRODUCT_UPDATED, Actor, Change, ProductEvent, change_catalog
from cardrail.catalog.errors import (
    DuplicatePriceList,
    InvalidPriceRule,
    InvalidRate,
    PriceListNotFound,
    PriceRuleNotFound,
    ProductNotFound,
    UnknownSku,
)
from cardrail.catalog.model import PriceList
from cardrail.catalog.prices import ROUNDINGS, RULE_KINDS, PriceRule
from cardrail.catalog.rates import RATE_MAX, FxRate
from cardrail.kernel import BPS_ONE, MINOR_MAX, Clock, PriceListId, PriceRuleId, currency, is_id, new_id, to_micros
from cardrail.storage import AuditLog, Database

NEW_RULE: Final = PriceRuleId("")
"""The id of a rule that is to be set; it gets its own."""


def set_price_rule(
    db: Database, clock: Clock, audit: AuditLog, rule: PriceRule, *, actor: str, origin: str | None = None
) -> PriceRule:
    """Make a rule, or replace the one at the same place (partner or price list; sku or product); the rule as it now is.

    Raises InvalidPriceRule, PriceListNotFound, ProductNotFound, UnknownSku.
    """
    check_rule(rule)
    return change_catalog(db, clock, audit, Actor(actor, origin), lambda change: _set_rule(change, rule))


def remove_price_rule(
    db: Database, clock: Clock, audit: AuditLog, rule_id: str, *, actor: str, origin: str | None = None
) -> PriceRule:
    """Take a rule away; the next more general one then holds. Raises PriceRuleNotFound."""

    def remove(change: Change) -> PriceRule:
        rule = next((one for one in store.load_rules(change.tx) if one.id == rule_id), None)
        if rule is None:
            raise PriceRuleNotFound(rule=rule_id[:60])
        store.delete_rules(change.tx, [rule.id])
        _tell_rule(change, rule, "price.removed", _product_of(change, rule))
        return rule

    return change_catalog(db, clock, audit, Actor(actor, origin), remove)


def create_price_list(
    db: Database, clock: Clock, audit: AuditLog, name: str, *, actor: str, origin: str | None = None
) -> PriceList:
    """Open a price list; partners are put on it by the access part. Raises DuplicatePriceList, InvalidPriceRule for a blank name."""
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise InvalidPriceRule(reason="a price list needs a name of 1 to 100 printable characters")

    def create(change: Change) -> PriceList:
        if any(row.name == name for row in store.load_price_lists(change.tx)):
            raise DuplicatePriceList(name=name)
        made = PriceList(PriceListId(new_id("pls")), name, change.at)
        store.insert_price_list(change.tx, {"id": made.id, "name": name, "created_at": change.micros})
        change.tell("price_list.created", subject=made.id, details={"name": name})
        return made

    return change_catalog(db, clock, audit, Actor(actor, origin), create)


def set_rate(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    *,
    actor: str,
    origin: str | None = None,
    base: str,
    quote: str,
    rate_e10: int,
    on_date: date | None = None,
    margin_bps: int = 0,
    source: str = "manual",
) -> FxRate:
    """Say what one unit of ``base`` is in ``quote`` from a day on (today without one); a rate of that pair and day is replaced.

    Raises UnknownCurrency, InvalidRate.
    """
    if currency(base) == currency(quote):
        raise InvalidRate(reason="both currencies are the same")
    if not 0 < rate_e10 <= RATE_MAX:
        raise InvalidRate(reason="a rate is above 0, with at most ten decimals")
    if not 0 <= margin_bps < BPS_ONE:
        raise InvalidRate(reason="a margin is from 0 to below 100 percent")
    day = on_date or clock.now().date()
    rate = FxRate(base, quote, day.isoformat(), rate_e10, margin_bps, source[:80])

    def save(change: Change) -> FxRate:
        row = {
            "base": rate.base,
            "quote": rate.quote,
            "on_date": rate.on_date,
            "rate_e10": rate.rate_e10,
            "margin_bps": rate.margin_bps,
            "source": rate.source,
            "created_at": change.micros,
        }
        store.replace_rate(change.tx, row)
        facts = {"rate_e10": rate_e10, "margin_bps": margin_bps, "on_date": rate.on_date, "source": rate.source}
        change.tell("rate.set", subject=f"{base}/{quote}", details=facts)
        return rate

    return change_catalog(db, clock, audit, Actor(actor, origin), save)


def check_rule(rule: PriceRule) -> None:
    """Refuse a rule that makes no sense. Raises InvalidPriceRule."""

    def refuse(when: bool, reason: str) -> None:
        if when:
            raise InvalidPriceRule(reason=reason)

    refuse(rule.kind not in RULE_KINDS, "the kind is discount, markup or fixed")
    refuse(rule.rounding not in ROUNDINGS, "the rounding is half_up, up or down")
    refuse(rule.partner_id is not None and rule.price_list_id is not None, "for a partner or for a price list, not both")
    refuse(rule.partner_id is not None and not is_id("par", rule.partner_id), "the partner's id does not look like one")
    refuse(rule.product_id is not None and rule.denomination_id is not None, "for a product or for a sku, not both")
    refuse(rule.kind == "discount" and not -BPS_ONE <= rule.value < BPS_ONE, "a discount is from -100 to below 100 percent")
    refuse(
        rule.kind == "markup" and not -BPS_ONE < rule.value <= 100 * BPS_ONE, "a markup is above -100 and at most 10000 percent"
    )
    refuse(rule.kind == "fixed" and not 0 < rule.value <= MINOR_MAX, "a fixed price is above 0")
    refuse((rule.kind == "fixed") != (rule.currency is not None), "a currency goes with a fixed price, and only with one")
    refuse(rule.kind == "fixed" and not (rule.product_id or rule.denomination_id), "a fixed price is for a sku or a product")
    refuse(not 0 < rule.rounding_minor <= MINOR_MAX, "prices are rounded to a multiple above 0")
    refuse(not 0 <= rule.fee_minor <= MINOR_MAX, "a fee is not negative")
    refuse(not 0 <= rule.tax_bps <= 10 * BPS_ONE, "a tax is from 0 to 1000 percent")


def _set_rule(change: Change, rule: PriceRule) -> PriceRule:
    product_id = _product_of(change, rule)
    if rule.price_list_id and rule.price_list_id not in {row.id for row in store.load_price_lists(change.tx)}:
        raise PriceListNotFound(price_list=rule.price_list_id)
    known = [one for one in store.load_rules(change.tx) if one.place == rule.place]
    saved = replace(rule, id=known[0].id if known else PriceRuleId(new_id("prc")))
    values = _values(saved, change.micros)
    if known:
        store.update_rules(change.tx, [{"of": saved.id, **values}])
    else:
        row = {"id": saved.id, **dict(zip(_PLACE, saved.place, strict=True)), "created_at": change.micros, **values}
        store.insert_rules(change.tx, [tuple([row[name] for name in store.RULE_COLUMNS])])
    _tell_rule(change, saved, "price.set", product_id)
    return saved


_PLACE: Final = ("partner_id", "price_list_id", "product_id", "denomination_id")


def _values(rule: PriceRule, at: int) -> dict[str, Any]:
    return {
        "kind": rule.kind,
        "value": rule.value,
        "currency": rule.currency.code if rule.currency else None,
        "rounding": rule.rounding,
        "rounding_minor": rule.rounding_minor,
        "fee_minor": rule.fee_minor,
        "tax_bps": rule.tax_bps,
        "allow_below_cost": rule.allow_below_cost,
        "updated_at": at,
    }


def _product_of(change: Change, rule: PriceRule) -> str | None:
    """The product that a rule prices; None if it is for all. Raises ProductNotFound, UnknownSku."""
    if rule.denomination_id is not None:
        for row in store.load_denominations(change.tx):
            if row.id == rule.denomination_id:
                return str(row.product_id)
        raise UnknownSku(denomination=rule.denomination_id)
    if rule.product_id is not None and all(row.id != rule.product_id for row in store.load_products(change.tx)):
        raise ProductNotFound(product=rule.product_id)
    return rule.product_id


def _tell_rule(change: Change, rule: PriceRule, action: str, product_id: str | None) -> None:
    events = []
    if product_id is not None:
        store.touch_products(change.tx, [product_id], change.micros)
        events = [ProductEvent(PRODUCT_UPDATED, product_id, {"change": "price"}, rule.partner_id)]
    details = {name: value for name, value in zip(_PLACE, rule.place, strict=True) if value}
    values = {name: value for name, value in _values(rule, to_micros(change.at)).items() if name != "updated_at"}
    change.tell(action, subject=rule.id, partner_id=rule.partner_id, details={**details, **values}, events=events)
