"""Syncs: by diff, never half a catalog, and never past a jump without an operator's yes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.kernel import Money, currency
from cardrail.sourcing import (
    KeptProduct,
    NoAnswer,
    NotSupported,
    OddAnswer,
    SupplierProduct,
    SupplierProductNotFound,
    SyncReport,
    TrialState,
    accept_costs,
    load_products,
    refresh_supplier,
    sync_supplier,
    sync_suppliers,
    try_supplier,
)
from cardrail.storage import AuditFilter, events, list_audit
from tests.sourcing.build import Supplied, states
from tests.sourcing.fake import QUICK, ScriptedSupplier

INR = currency("INR")
ABLE = replace(QUICK, has_catalog=True)
JUMP_BPS = 2_000


def card(sku: str = "A-CARD", cost: str = "80.00", **facts: Any) -> SupplierProduct:
    return SupplierProduct(sku, facts.pop("name", f"Card {sku}"), "INR", face_minor=10_000, cost=Money.parse(cost, INR), **facts)


@dataclass
class Lister(ScriptedSupplier):
    """A supplier with a catalog; ``breaks`` is raised behind its last product."""

    lists: list[SupplierProduct] = field(default_factory=list)
    breaks: Exception | None = None
    prices: dict[str, str] = field(default_factory=dict)
    priced: list[str] = field(default_factory=list)

    def catalog(self) -> Iterator[SupplierProduct]:
        yield from self.lists
        if self.breaks is not None:
            raise self.breaks

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        return {} if self.stock_left is None else dict.fromkeys(skus, self.stock_left)

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        self.priced.append(sku)
        return Money.parse(self.prices[sku], INR) * quantity


def lister(shop: Supplied, *lists: SupplierProduct, **facts: Any) -> Lister:
    """The supplier "A", which sells our CARD as A-CARD at 80.00, and from now on lists these."""
    shop.supplier("A")
    fake = Lister("A", facts.pop("abilities", ABLE), lists=list(lists), **facts)
    shop.connectors.put(shop.suppliers["A"], fake)
    return fake


def sync(shop: Supplied, **facts: Any) -> SyncReport:
    shop.frozen.advance(seconds=60)
    return sync_supplier(shop.db, shop.clock, shop.audit, shop.connectors, "A", jump_bps=JUMP_BPS, actor="test", **facts)


def refresh(shop: Supplied) -> SyncReport:
    return refresh_supplier(shop.db, shop.clock, shop.audit, shop.connectors, "A", jump_bps=JUMP_BPS, actor="test")


def kept(shop: Supplied, sku: str = "A-CARD") -> KeptProduct:
    with shop.db.read() as tx:
        return next(one for one in load_products(tx, shop.suppliers["A"].id) if one.supplier_sku == sku)


def kinds(report: SyncReport) -> list[tuple[str, str]]:
    return [(one.kind, one.sku) for one in report.changes]


def told(shop: Supplied) -> list[str]:
    with shop.db.read() as tx:
        return list(tx.execute(sa.select(events.c.type).where(events.c.subject_id == shop.suppliers["A"].id)).scalars())


def test_only_what_differs_is_written_and_told(shop: Supplied) -> None:
    fake = lister(shop, card(name="CARD of A"), card("X"), card("Y", stock=3))
    assert kinds(sync(shop)) == [("new", "X"), ("new", "Y")]
    before = kept(shop, "X")
    fake.lists[1:] = [card("X"), card("Y", "81.00", stock=2)]
    again = sync(shop)
    assert kinds(again) == [("changed", "Y")]
    assert again.changes[0].words == "cost 80.00 INR → 81.00 INR"
    after = kept(shop, "X")
    assert (after.updated_at, after.seen_at > before.seen_at) == (before.updated_at, True)
    fake.lists[2] = card("Y", "81.00", stock=1)
    assert (sync(shop).restocked, kept(shop, "Y").stock) == (1, 1)


def test_a_mapped_cost_that_jumped_is_not_bought_at_until_an_operator_says_yes(shop: Supplied) -> None:
    fake = lister(shop, card())
    sync(shop)
    fake.lists[:] = [card(cost="97.00")]
    assert kinds(sync(shop)) == [("held", "A-CARD")]
    assert (kept(shop).cost_minor, kept(shop).held_cost_minor, told(shop)) == (8_000, 9_700, ["supplier.cost_held"])
    assert states(shop.bought())[0] == "FAILED"
    assert kinds(sync(shop)) == []
    accept_costs(shop.db, shop.clock, shop.audit, "A", None, actor="test")
    assert (kept(shop).cost_minor, kept(shop).is_held) == (9_700, False)
    with shop.db.read() as tx:
        assert [row.entry.action for row in list_audit(tx, AuditFilter(action="supplier.cost_accepted")).items] == [
            "supplier.cost_accepted"
        ]
    with pytest.raises(SupplierProductNotFound):
        accept_costs(shop.db, shop.clock, shop.audit, "A", ["A-CARD"], actor="test")


def test_a_cost_that_comes_back_frees_the_product_by_itself(shop: Supplied) -> None:
    fake = lister(shop, card())
    sync(shop)
    for cost, held in (("8.00", True), ("88.00", False)):
        fake.lists[:] = [card(cost=cost)]
        sync(shop)
        assert kept(shop).is_held is held
    assert (kept(shop).cost_minor, states(shop.bought())[0]) == (8_800, "FULFILLED")


def test_a_cost_in_another_currency_waits_and_stays_waiting(shop: Supplied) -> None:
    fake = lister(shop, card())
    sync(shop)
    fake.lists[:] = [replace(card(), cost=Money.parse("1.00", currency("USD")))]
    for _ in range(2):
        sync(shop)
        assert (kept(shop).cost_currency, kept(shop).cost_minor, kept(shop).held_cost_minor) == ("USD", None, 100)


def test_a_jump_of_what_is_not_mapped_is_no_matter(shop: Supplied) -> None:
    fake = lister(shop, card(), card("X"))
    sync(shop)
    fake.lists[1] = card("X", "800.00")
    assert (kinds(sync(shop)), kept(shop, "X").is_held) == ([("changed", "X")], False)


@pytest.mark.parametrize(("fault", "shown"), [(NoAnswer(because="ReadTimeout"), NoAnswer), (KeyError("page"), OddAnswer)])
def test_half_a_catalog_changes_nothing(shop: Supplied, fault: Exception, shown: type[Exception]) -> None:
    fake = lister(shop, card(), card("X"))
    sync(shop)
    fake.lists[:], fake.breaks = [card(cost="81.00")], fault
    with pytest.raises(shown):
        sync(shop)
    assert (kept(shop).cost_minor, kept(shop, "X").is_available) == (8_000, True)


def test_what_is_listed_no_more_is_gone_and_may_come_back(shop: Supplied) -> None:
    fake = lister(shop, card(), card("X"), card("Y"))
    sync(shop)
    fake.lists[:] = [card(), card("X")]
    assert kinds(sync(shop)) == [("gone", "Y")]
    fake.lists.append(card("Y"))
    assert kinds(sync(shop)) == [("back", "Y")]


def test_a_catalog_most_of_which_is_gone_waits_for_an_operator(shop: Supplied) -> None:
    fake = lister(shop, card(), card("X"), card("Y"))
    sync(shop)
    fake.lists[:] = []
    report = sync(shop)
    assert (report.withheld, kinds(report), kept(shop).is_available) == (3, [], True)
    report = sync(shop, take_missing=True)
    assert (report.withheld, report.counts["gone"], kept(shop).is_available) == (0, 3, False)


def test_stock_and_cost_are_asked_for_one_by_one_only_where_the_catalog_is_silent(shop: Supplied) -> None:
    able = replace(ABLE, has_stock=True, has_price=True)
    silent = replace(card("X"), cost=None)
    fake = lister(shop, card(), silent, abilities=able, stock_left=7, prices={"X": "70.00"})
    sync(shop)
    assert (kept(shop).stock, fake.priced) == (7, [])
    fake.stock_left = 0
    report = refresh(shop)
    assert (report.restocked, kept(shop).stock, kept(shop).cost_minor) == (1, 0, 8_000)
    fake.lists[0] = card()
    sync(shop)
    assert kept(shop).stock == 0


def test_what_was_sold_out_is_sold_again_when_there_is_stock_and_what_is_not_sold_stays_so(shop: Supplied) -> None:
    able = replace(ABLE, has_stock=True)
    fake = lister(shop, card(stock=0, is_available=False), abilities=able, stock_left=0)
    sync(shop)
    fake.stock_left = 4
    assert (kinds(refresh(shop)), kept(shop).is_available) == ([("back", "A-CARD")], True)
    fake.lists[:] = [card(stock=4, is_available=False)]
    sync(shop)
    assert (kinds(refresh(shop)), kept(shop).is_available) == ([], False)


def test_a_supplier_without_a_catalog_is_asked_for_costs_and_they_jump_too(shop: Supplied) -> None:
    fake = lister(shop, abilities=replace(QUICK, has_price=True), prices={"A-CARD": "84.00"})
    assert kinds(refresh(shop)) == [("changed", "A-CARD")]
    fake.prices["A-CARD"] = "20.00"
    assert (kinds(refresh(shop)), kept(shop).cost_minor) == ([("held", "A-CARD")], 8_400)


def test_foreign_nonsense_is_left_out(shop: Supplied) -> None:
    nonsense = [replace(card("A"), currency="???"), card("B", stock=-1), card("\0"), replace(card("C"), face_minor=2**70)]
    lister(shop, card(), *nonsense, card("D", name="Nul\0" + "x" * 1_000))
    report = sync(shop)
    assert (report.unusable, report.listed, len(kept(shop, "D").name)) == (4, 2, 300)


def test_one_supplier_that_does_not_answer_keeps_no_other_from_its_sync(shop: Supplied) -> None:
    lister(shop, breaks=NoAnswer(because="ReadTimeout"))
    shop.supplier("B")
    shop.connectors.put(shop.suppliers["B"], Lister("B", ABLE, lists=[card("B-CARD")]))
    shop.supplier("C")
    assert sync_suppliers(shop.db, shop.clock, shop.audit, shop.connectors, jump_bps=JUMP_BPS, whole=True) == 1
    with pytest.raises(NotSupported):
        sync_supplier(shop.db, shop.clock, shop.audit, shop.connectors, "C", jump_bps=JUMP_BPS, actor="test")


def test_a_trial_says_what_works_and_what_does_not(shop: Supplied) -> None:
    fake = lister(shop, card(), breaks=NoAnswer(because="ReadTimeout"))
    trials = {one.call: (one.state, one.error) for one in try_supplier(fake, "INR")}
    assert trials["balance"] == (TrialState.NOT_OFFERED, None)
    assert trials["catalog"] == (TrialState.FAILS, "supplier_no_answer")
    fake.lists *= 3
    assert {one.call: one.state for one in try_supplier(fake, "INR")}["catalog"] is TrialState.WORKS
