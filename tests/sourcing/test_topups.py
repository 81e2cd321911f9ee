"""Top-ups: their fields checked before anything is bought, their outcome a receipt, and what came too late never sold to anybody else."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cardrail.catalog import import_catalog, set_rate
from cardrail.kernel import Mode, PlainCode
from cardrail.ledger import Purpose, platform_balances
from cardrail.orders import (
    InvalidationRefused,
    NotATopup,
    Order,
    SupplierCheck,
    TopupVerdict,
    erase_customer,
    resolve_as_failed,
    validate_topup,
)
from cardrail.sourcing import FieldsVerdict, Lookup, NoAnswer, RefusalKind, Refused
from cardrail.storage import Database
from tests.build import item, the_order
from tests.orders.build import invalidate, unseeing
from tests.sourcing.build import Supplied, states, supplied
from tests.sourcing.fake import QUICK, ScriptedSupplier

REAL = (Path(__file__).parents[2] / "src/cardrail/catalog/demo/topups-bd.csv").read_bytes()
"""Bangladesh's operators: real products, priced in BDT, bought in EUR."""
SKU = "robi-3424"
NUMBER = {"mobile_number": "01812345678"}


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> Supplied:
    world = supplied(db, tmp_path)
    import_catalog(world.db, world.clock, world.audit, REAL, actor="test")
    set_rate(world.db, world.clock, world.audit, base="BDT", quote="INR", rate_e10=7 * 10**9, source="test", actor="test")
    set_rate(world.db, world.clock, world.audit, base="EUR", quote="INR", rate_e10=90 * 10**10, source="test", actor="test")
    world.catalog.refresh()
    return world


@dataclass
class Telco(ScriptedSupplier):
    """A supplier of top-ups: every receipt of an order has the order's number."""

    verdict: FieldsVerdict | None = None
    validated: list[Any] = field(default_factory=list)

    def validate(self, sku: str, fields: Any) -> FieldsVerdict:
        self.validated.append((sku, fields))
        if self.verdict is None:
            raise NoAnswer(because="ReadTimeout")
        return self.verdict

    def _sell(self, request: Any, count: int, *, is_ready: bool) -> Any:
        sold = super()._sell(request, count, is_ready=is_ready)
        sold.codes = [PlainCode(sold.id)] * count
        return sold


def telco(shop: Supplied, *script: str, **facts: Any) -> Telco:
    shop.supplier("A", sku=SKU, cost="30.00", abilities=replace(QUICK, delivers_topups=True, can_validate=True))
    fake = Telco("A", shop.fakes["A"].capabilities, shop.fakes["A"].unit_cost, **facts)
    fake.script.extend(script)
    shop.connectors.put(shop.suppliers["A"], fake)
    return fake


def ordered(shop: Supplied, quantity: int = 1, **facts: Any) -> Order:
    (outcome,) = shop.place(shop.command(item(SKU, quantity, **NUMBER), **facts))
    return the_order(outcome)


def check(shop: Supplied, fields: dict[str, str] | None = None, mode: Mode = Mode.LIVE, seconds: float = 5.0) -> TopupVerdict:
    return validate_topup(shop.buying, mode, SKU, NUMBER if fields is None else fields, seconds=seconds)


def worth(shop: Supplied, purpose: Purpose) -> int:
    with shop.db.read() as tx:
        return sum(one.balance_minor for one in platform_balances(tx) if one.purpose is purpose and one.currency == "INR")


def test_a_top_up_delivers_a_receipt_for_each_unit(shop: Supplied) -> None:
    fake = telco(shop)
    done = shop.finish(ordered(shop, 2))
    receipts = shop.shown(done)
    assert (states(done)[0], fake.asked[0].fields, len(set(receipts)), receipts[0]) == ("FULFILLED", NUMBER, 2, "a-1")
    assert shop.findings() == []


class Strict(Telco):
    """It looks at the fields before it looks at the reference."""

    def place(self, request: Any) -> Any:
        if request.fields:
            return super().place(request)
        self.asked.append(request)
        return Refused("whose number?", RefusalKind.INVALID)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_lost_top_up_is_not_placed_again_without_its_fields_when_its_customer_was_erased(shop: Supplied) -> None:
    telco(shop)
    able = replace(shop.fakes["A"].capabilities, lookup=Lookup.NONE, is_idempotent=True)
    fake = Strict("A", able, shop.fakes["A"].unit_cost)
    fake.script.append("lost")
    shop.connectors.put(shop.suppliers["A"], fake)
    order = ordered(shop, customer_id="kid-1")
    shop.visit(order)
    assert erase_customer(shop.db, shop.clock, shop.audit, order.partner_id, "kid-1", actor="test").orders == 1
    shop.finish(order, visits=12)
    assert (len(fake.sold), [one.state.value for one in shop.attempts(order)]) == (1, ["unknown"])
    assert shop.stands(order).state.value == "NEEDS_REVIEW"
    never = ordered(shop, customer_id="kid-2")
    erase_customer(shop.db, shop.clock, shop.audit, never.partner_id, "kid-2", actor="test")
    assert (shop.finish(never).state.value, len(fake.asked)) == ("FAILED", 1)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("fields", "wrong", "reason"),
    [
        ({}, "mobile_number", "it is required"),
        ({"mobile_number": "0123"}, "mobile_number", "it is not of its form"),
        (NUMBER | {"player": "x"}, "player", "not asked for"),
    ],
)
def test_a_field_off_its_pattern_is_invalid_and_no_supplier_is_asked(
    shop: Supplied, fields: dict[str, str], wrong: str, reason: str
) -> None:
    fake = telco(shop)
    verdict = check(shop, fields)
    assert (verdict.is_valid, verdict.field, verdict.reason, fake.validated) == (False, wrong, reason, [])


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_suppliers_word_is_told_from_its_silence(shop: Supplied) -> None:
    fake = telco(shop)
    assert check(shop) == TopupVerdict(True, SupplierCheck.UNAVAILABLE)
    fake.verdict = FieldsVerdict(False, "no such number", "mobile_number")
    assert check(shop) == TopupVerdict(False, SupplierCheck.INVALID, "mobile_number", "no such number")
    fake.verdict = FieldsVerdict(True, account_name="R. Rahman")
    assert check(shop) == TopupVerdict(True, SupplierCheck.VALID, account_name="R. Rahman")
    assert (fake.validated[0], fake.asked) == (("A-robi-3424", NUMBER), [])


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_supplier_that_takes_too_long_makes_nothing_invalid(shop: Supplied) -> None:
    fake, over = telco(shop), threading.Event()
    fake.validate = lambda sku, fields: over.wait(20)  # type: ignore[assignment, method-assign, return-value]  # it never comes to an answer
    assert check(shop, seconds=0.05) == TopupVerdict(True, SupplierCheck.UNAVAILABLE)
    over.set()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_where_nobody_can_be_asked_the_patterns_alone_say_it(shop: Supplied) -> None:
    shop.supplier("B", sku=SKU, cost="30.00")
    assert check(shop) == TopupVerdict(True, SupplierCheck.NOT_OFFERED)
    assert check(shop, mode=Mode.TEST).account_name == "Test account"
    with pytest.raises(NotATopup):
        validate_topup(shop.buying, Mode.LIVE, "TEA", {})


def test_a_top_up_that_comes_when_it_was_given_up_is_nobodys_stock_and_its_cost_is_lost(shop: Supplied) -> None:
    fake = telco(shop, "lost")
    fake.looks.extend(["silent"] * 300)
    placed = ordered(shop)
    shop.visit(placed)
    shop.frozen.advance(hours=1)
    shop.visit(placed)
    resolve_as_failed(shop.db, shop.clock, shop.audit, placed.id, because="the telco says no", actor="cli")
    fake.looks.clear()
    done = shop.finish(placed)
    assert (states(done)[0], done.charged_minor, shop.in_stock(SKU)) == ("FAILED", 0, 0)
    assert (worth(shop, Purpose.WRITE_OFFS), shop.findings()) == (3_000, [])


def test_a_delivered_top_up_is_not_taken_back_though_nobody_looked_at_its_receipt(shop: Supplied) -> None:
    telco(shop)
    done = shop.finish(ordered(shop, buyer=unseeing(shop.partner)))
    assert done.revealed_at is None
    with pytest.raises(InvalidationRefused, match="top-up"):
        invalidate(shop, done.id)
    assert (shop.in_stock(SKU), shop.findings()) == (0, [])
