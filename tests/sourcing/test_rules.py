"""Rules that map a supplier's products, and rules that choose suppliers: set, applied, shown, taken back, in the audit log."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.catalog import ProductNotFound, UnknownSku, import_catalog
from cardrail.kernel import Money, currency
from cardrail.sourcing import (
    DEFAULT_ROUTE,
    InvalidMappingRule,
    InvalidRoute,
    MappingRule,
    MappingRuleNotFound,
    RouteNotFound,
    RuleMapping,
    SupplierNotFound,
    SupplierOwesAnswers,
    SupplierProduct,
    SupplierState,
    add_rule,
    apply_rules,
    change_supplier,
    clear_route,
    list_routes,
    load_mappings,
    load_rules,
    map_product,
    put_product,
    remove_rule,
    route_name,
    set_route,
    sync_supplier,
    unmap_product,
    unmapped,
)
from cardrail.storage import AuditFilter, list_audit
from tests.sourcing.build import Supplied
from tests.sourcing.test_mapping import SHEET

INR = currency("INR")


@pytest.fixture
def known(shop: Supplied) -> Supplied:
    """A shop with a supplier "A" that lists Steam and Flipkart cards."""
    import_catalog(shop.db, shop.clock, shop.audit, SHEET, actor="test")
    shop.catalog.refresh()
    shop.supplier("A")
    lists(shop, "ST-IN-100", "Steam India 100", 10_000, brand="Steam", countries=("IN",))
    lists(shop, "ST-US-20", "Steam USA 20", 2_000, "USD", brand="Steam", countries=("US",))
    lists(shop, "FK-RANGE", "Flipkart any", None, min_minor=1_000, max_minor=50_000)
    return shop


def lists(shop: Supplied, sku: str, name: str, face: int | None, code: str = "INR", **facts: Any) -> None:
    product = SupplierProduct(sku, name, code, face_minor=face, cost=Money.parse("8.00", INR), **facts)
    with shop.db.transaction() as tx:
        put_product(tx, shop.suppliers["A"].id, product, "INR", 1)


def rule(shop: Supplied, product: str, **facts: Any) -> tuple[MappingRule, list[RuleMapping]]:
    return add_rule(shop.db, shop.clock, shop.audit, shop.catalog.current(), "A", product, actor="test", **facts)


def pairs(made: list[RuleMapping]) -> list[tuple[str, str]]:
    return [(one.product.supplier_sku, one.offer.sku) for one in made]


def mapped(shop: Supplied) -> dict[str, str]:
    """Their sku → who mapped it, of what can be bought."""
    with shop.db.read() as tx:
        return {one.supplier_sku: one.mapped_by for one in load_mappings(tx, shop.suppliers["A"].id) if one.is_enabled}


CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("STEAM", {"brand": "steam"}, [("ST-IN-100", "STEAM-100")]),
    ("STEAMUS", {"brand": "Steam"}, [("ST-US-20", "STEAMUS")]),
    ("STEAM", {"sku_like": "st-*"}, [("ST-IN-100", "STEAM-100")]),
    ("STEAM", {"name_like": "*INDIA ???"}, [("ST-IN-100", "STEAM-100")]),
    ("STEAM", {"country": "US"}, []),
    ("STEAM", {"country": "IN", "code": "INR"}, [("ST-IN-100", "STEAM-100")]),
    ("STEAM", {"brand": "Steam", "code": "INR", "face_min_minor": 10_001}, []),
    ("FLIP", {"sku_like": "FK-*"}, [("FK-RANGE", "FLIP")]),
    ("STEAM", {"sku_like": "FK-*"}, [("FK-RANGE", "STEAM-100"), ("FK-RANGE", "STEAM-500")]),
    ("STEAM", {"sku_like": "FK-*", "face_max_minor": 20_000}, [("FK-RANGE", "STEAM-100")]),
]


def test_a_rule_maps_what_it_says_and_what_fits(known: Supplied) -> None:
    for product, facts, expected in CASES:
        kept, made = rule(known, product, **facts)
        assert (pairs(made), facts) == (expected, facts)
        assert remove_rule(known.db, known.clock, known.audit, kept.id, actor="test") == len(expected)


def test_what_a_supplier_lists_later_is_mapped_by_its_sync_and_stands_in_the_report(known: Supplied) -> None:
    kept, _ = rule(known, "STEAM", brand="Steam")
    lists(known, "ST-IN-500", "Steam India 500", 50_000, brand="Steam", countries=("IN",))
    fake = known.fakes["A"]
    fake.capabilities = fake.capabilities.__class__(has_stock=True)
    report = sync_supplier(
        known.db,
        known.clock,
        known.audit,
        known.connectors,
        "A",
        jump_bps=2_000,
        actor="test",
        snapshot=known.catalog.current(),
    )
    assert (report.mapped, report.changes[0].words) == (1, f"is STEAM-500, by {kept.id}")
    assert mapped(known)["ST-IN-500"] == kept.id
    with known.db.read() as tx:
        entries = {one.entry.action for one in list_audit(tx, AuditFilter(), limit=100).items}
    assert {"supplier.rule_added", "supplier.mapped_by_rule"} <= entries


def test_what_a_person_decided_stays(known: Supplied) -> None:
    snapshot = known.catalog.current()
    map_product(known.db, known.clock, known.audit, snapshot, "A", [("FK-RANGE", "STEAM-100")], actor="anna")
    assert pairs(rule(known, "FLIP", sku_like="FK-*")[1]) == []
    assert pairs(rule(known, "STEAM", brand="Steam")[1]) == [("ST-IN-100", "STEAM-100")]
    unmap_product(known.db, known.clock, known.audit, snapshot, "A", "ST-IN-100", None, actor="anna")
    assert pairs(rule(known, "STEAM", sku_like="ST-*")[1]) == []
    assert "ST-IN-100" not in mapped(known)
    map_product(known.db, known.clock, known.audit, snapshot, "A", [("ST-IN-100", "STEAM-100")], actor="anna")
    assert mapped(known)["ST-IN-100"] == "anna"


def test_brackets_of_a_name_are_brackets(known: Supplied) -> None:
    lists(known, "B-1", "Steam [US] 500", 50_000)
    lists(known, "B-2", "Steam U 500", 50_000)
    assert pairs(rule(known, "STEAM", name_like="steam [us] *")[1]) == [("B-1", "STEAM-500")]


def test_what_a_person_has_mapped_and_unmapped_is_mapped_by_no_rule_again(known: Supplied) -> None:
    rule(known, "STEAM", brand="Steam", country="IN")
    rule(known, "STEAM", sku_like="FK-*")
    snapshot = known.catalog.current()
    for sku in ("STEAM-100", "STEAM-500"):
        map_product(known.db, known.clock, known.audit, snapshot, "A", [("FK-RANGE", sku)], actor="anna")
    unmap_product(known.db, known.clock, known.audit, snapshot, "A", "FK-RANGE", None, actor="anna")
    assert pairs(apply_rules(known.db, known.clock, known.audit, snapshot, known.suppliers["A"], actor="test")) == []
    assert "FK-RANGE" not in mapped(known)


def test_a_rule_is_taken_back_with_what_it_mapped_or_without(known: Supplied) -> None:
    steam, flip = rule(known, "STEAM", brand="Steam")[0], rule(known, "FLIP", sku_like="FK-*")[0]
    with known.db.read() as tx:
        assert [one.id for one in load_rules(tx, known.suppliers["A"].id)] == [steam.id, flip.id]
    assert remove_rule(known.db, known.clock, known.audit, steam.id, actor="test") == 1
    assert remove_rule(known.db, known.clock, known.audit, flip.id, keep=True, actor="anna") == 1
    assert mapped(known) == {"A-CARD": "test", "FK-RANGE": "anna"}
    with known.db.read() as tx:
        assert "ST-IN-100" in {one.supplier_sku for one in unmapped(tx, known.suppliers["A"].id)}
    with pytest.raises(MappingRuleNotFound):
        remove_rule(known.db, known.clock, known.audit, steam.id, actor="test")


def test_a_rule_that_would_map_everything_is_refused(known: Supplied) -> None:
    for facts in ({}, {"code": "INR"}, {"brand": ""}, {"name_like": "x" * 201}, {"country": "india"}):
        with pytest.raises(InvalidMappingRule):
            rule(known, "STEAM", **facts)
    with pytest.raises(ProductNotFound):
        rule(known, "NONE", brand="Steam")


# --- routes -----------------------------------------------------------------------------------------------------------


def test_a_route_is_set_changed_and_taken_back(shop: Supplied) -> None:
    shop.supplier("A")
    shop.supplier("B", cost="70.00")

    def put(name: str, policy: str, **facts: Any) -> None:
        set_route(shop.db, shop.clock, shop.audit, shop.catalog.current(), name, policy, actor="test", **facts)

    def asked() -> str:
        shop.bought()
        (name,) = [name for name, fake in shop.fakes.items() if fake.asked]
        shop.fakes[name].asked.clear()
        return name

    assert asked() == "B"  # the cheapest
    put(DEFAULT_ROUTE, "pinned", supplier="A")
    assert asked() == "A"
    put("CARD", "cheapest", margin_floor_bps=100)
    assert asked() == "B"
    with shop.db.read() as tx:
        kept = {route_name(shop.catalog.current(), one.key): one.route.policy for one in list_routes(tx)}
    assert kept == {"default": "pinned", "CARD": "cheapest"}
    clear_route(shop.db, shop.clock, shop.audit, shop.catalog.current(), "CARD", actor="test")
    assert asked() == "A"
    with shop.db.read() as tx:
        actions = [
            one.entry.action for one in list_audit(tx, AuditFilter(), limit=100).items if one.entry.action.startswith("route.")
        ]
    assert sorted(actions) == ["route.cleared", "route.set", "route.set"]


ODD: list[tuple[str, str, dict[str, Any], type[Exception]]] = [
    ("CARD", "dearest", {}, InvalidRoute),
    ("CARD", "pinned", {}, InvalidRoute),
    ("CARD", "cheapest", {"supplier": "A"}, InvalidRoute),
    ("CARD", "cheapest", {"margin_floor_bps": 10_000}, InvalidRoute),
    ("CARD", "pinned", {"supplier": "Z"}, SupplierNotFound),
    ("NONE", "cheapest", {}, UnknownSku),
]


def test_a_route_that_cannot_be_kept_is_refused(shop: Supplied) -> None:
    shop.supplier("A")
    for name, policy, facts, error in ODD:
        with pytest.raises(error):
            set_route(shop.db, shop.clock, shop.audit, shop.catalog.current(), name, policy, actor="test", **facts)
    with pytest.raises(RouteNotFound):
        clear_route(shop.db, shop.clock, shop.audit, shop.catalog.current(), "CARD", actor="test")


def test_a_supplier_is_retired_once_nothing_there_is_open(shop: Supplied) -> None:
    fake = shop.supplier("A", "accept")
    order = shop.order("CARD", 1)
    shop.visit(order)

    def retire() -> SupplierState:
        return change_supplier(
            shop.db, shop.clock, shop.audit, shop.connectors._sealer, "A", actor="test", state=SupplierState.RETIRED
        ).state

    with pytest.raises(SupplierOwesAnswers):
        retire()
    fake.ready()
    shop.finish(order)
    assert retire() is SupplierState.RETIRED
