"""Rules, price lists and rates as the operator sets them."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.catalog import (
    DuplicatePriceList,
    InvalidPriceRule,
    InvalidRate,
    PriceListNotFound,
    PriceRuleNotFound,
    ProductNotFound,
    UnknownSku,
    create_price_list,
    parse_rate,
    remove_price_rule,
    retire,
    set_price_rule,
    set_rate,
)
from cardrail.kernel import UnknownCurrency, currency, new_id
from cardrail.storage import AuditFilter, Database, events, list_audit
from tests.catalog.build import AUDIT, CLOCK, GIFT_CARDS, a_rule, bring_in, snapshot_of

SKU = "EGCGBEPON001"  # 59.00 at 5 %


def price(db: Database, **buyer: Any) -> int:
    snapshot = snapshot_of(db)
    offer = snapshot.offer(SKU)
    assert offer is not None
    who = {"partner_id": None, "price_list_id": None, "currency": "INR", **buyer}
    return snapshot.unit_price(offer, 5900, **who).price_minor


def denomination(db: Database) -> str:
    offer = snapshot_of(db).offer(SKU)
    assert offer is not None
    return offer.denomination_id


def test_a_partner_s_own_rule_beats_his_list_and_the_default(db: Database) -> None:
    bring_in(db, GIFT_CARDS)
    gold, partner = create_price_list(db, CLOCK, AUDIT, "gold", actor="cli"), new_id("par")
    set_price_rule(db, CLOCK, AUDIT, a_rule(value=600, place=(None, gold.id, None, None)), actor="cli")
    mine = set_price_rule(db, CLOCK, AUDIT, a_rule(value=700, place=(partner, None, None, denomination(db))), actor="cli")
    prices = [price(db), price(db, price_list_id=gold.id), price(db, partner_id=partner, price_list_id=gold.id)]
    assert prices == [5605, 5546, 5487]
    remove_price_rule(db, CLOCK, AUDIT, mine.id, actor="cli")
    assert price(db, partner_id=partner, price_list_id=gold.id) == 5546


def test_setting_a_rule_again_replaces_it(db: Database) -> None:
    first = set_price_rule(db, CLOCK, AUDIT, a_rule(value=100), actor="cli")
    second = set_price_rule(db, CLOCK, AUDIT, a_rule("markup", 300), actor="cli")
    assert first.id == second.id
    assert snapshot_of(db).rules == (second,)


def test_a_price_change_shows_in_lists_events_and_the_audit_log(db: Database) -> None:
    bring_in(db, GIFT_CARDS)
    rule = set_price_rule(
        db, CLOCK, AUDIT, a_rule(value=700, place=(None, None, None, denomination(db))), actor="opr_1", origin="10.0.0.1"
    )
    with db.read() as tx:
        told = tx.execute(events.select().where(events.c.subject_seq == 2)).one()
        entry = list_audit(tx, AuditFilter(action="price.set")).items[0].entry
    assert (told.type, told.data) == ("product.updated", '{"change":"price"}')
    assert (entry.actor, entry.origin, entry.subject) == ("opr_1", "10.0.0.1", rule.id)


@pytest.mark.parametrize(
    "rule",
    [
        a_rule("gift", 1),
        a_rule("discount", 10_000),
        a_rule("markup", -10_000),
        a_rule("fixed", 100),
        a_rule("fixed", 100, currency=currency("INR")),  # for everything
        a_rule("discount", 100, currency=currency("INR")),
        a_rule(rounding="bankers"),
        a_rule(rounding_minor=0),
        a_rule(fee_minor=-1),
        a_rule(tax_bps=-1),
        a_rule(place=("par_x", None, None, None)),
        a_rule(place=(new_id("par"), "pls_1", None, None)),
        a_rule(place=(None, None, "prd_1", "den_1")),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(db: Database, rule: Any) -> None:
    with pytest.raises(InvalidPriceRule):
        set_price_rule(db, CLOCK, AUDIT, rule, actor="cli")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ((None, "pls_1", None, None), PriceListNotFound),
        ((None, None, "prd_1", None), ProductNotFound),
        ((None, None, None, "den_1"), UnknownSku),
    ],
)
def test_a_rule_for_what_is_not_there_is_refused(db: Database, place: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        set_price_rule(db, CLOCK, AUDIT, a_rule(place=place), actor="cli")


def test_what_is_not_there_cannot_be_retired_or_removed(db: Database) -> None:
    bring_in(db, GIFT_CARDS)
    with pytest.raises(ProductNotFound):
        retire(db, CLOCK, AUDIT, [SKU, "NOTHING"], actor="cli")
    with pytest.raises(PriceRuleNotFound):
        remove_price_rule(db, CLOCK, AUDIT, "prc_1", actor="cli")
    assert snapshot_of(db).all_products[0].retired_at is None


def test_price_lists_have_names_of_their_own(db: Database) -> None:
    create_price_list(db, CLOCK, AUDIT, "gold", actor="cli")
    with pytest.raises(DuplicatePriceList):
        create_price_list(db, CLOCK, AUDIT, " gold ", actor="cli")


def test_a_rate_of_the_same_day_is_replaced(db: Database) -> None:
    for rate in (90, 91):
        set_rate(db, CLOCK, AUDIT, actor="cli", base="EUR", quote="INR", rate_e10=rate * 10**10)
    assert [one.rate_e10 for one in snapshot_of(db).fx_rates] == [91 * 10**10]


@pytest.mark.parametrize(
    ("base", "quote", "rate", "margin", "error"),
    [
        ("EUR", "EUR", 1, 0, InvalidRate),
        ("EUR", "INR", 0, 0, InvalidRate),
        ("EUR", "INR", 10**19, 0, InvalidRate),
        ("EUR", "INR", 1, -1, InvalidRate),
        ("EUR", "XXQ", 1, 0, UnknownCurrency),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(
    db: Database, base: str, quote: str, rate: int, margin: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        set_rate(db, CLOCK, AUDIT, actor="cli", base=base, quote=quote, rate_e10=rate, margin_bps=margin)


def test_rates_are_read_as_plain_decimals() -> None:
    assert [parse_rate(text) for text in ("92.5", "1", "0.0000000001", "99999999")] == [925 * 10**9, 10**10, 1, 99999999 * 10**10]
    for text in ("", "-1", "1e3", "1,5", "0", "1.00000000001", "100000000", ".5", "½", "a"):
        with pytest.raises(InvalidRate):
            parse_rate(text)
