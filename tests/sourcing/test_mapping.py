"""Mapping: by hand, refused where it cannot be, suggested where it is likely; and what an order makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.catalog import UnknownSku, import_catalog
from cardrail.kernel import Money, currency
from cardrail.orders import OutOfStock
from cardrail.sourcing import (
    KeptProduct,
    MappingNotFound,
    MappingRefused,
    SupplierProduct,
    SupplierProductNotFound,
    load_mappings,
    load_products,
    map_product,
    put_product,
    suggest,
    unmap_product,
    unmapped,
)
from cardrail.storage import AuditFilter, list_audit
from tests.build import item
from tests.sourcing.build import Supplied, states

INR = currency("INR")
HEADER = b"product_code,name,brand,category,kind,country,currency,denomination_type,face_values,"
SHEET = (
    HEADER
    + b"""min_face_value,max_face_value,discount_percent,sourcing
STEAM,Steam Wallet India,Steam,Games,code,IN,INR,fixed,100|500,,,5,on_demand
STEAMUS,Steam Wallet USA,Steam,Games,code,US,USD,fixed,20,,,5,on_demand
FLIP,Flipkart,Flipkart,Shops,code,IN,INR,range,,10,10000,5,on_demand
"""
)


@pytest.fixture
def known(shop: Supplied) -> Supplied:
    """A shop with a supplier "A" and more of a catalog."""
    import_catalog(shop.db, shop.clock, shop.audit, SHEET, actor="test")
    shop.catalog.refresh()
    shop.supplier("A")
    return shop


def lists(shop: Supplied, sku: str, name: str, face: int | None = 10_000, code: str = "INR", **facts: Any) -> None:
    """The supplier "A" lists this, at 80.00."""
    product = SupplierProduct(sku, name, code, face_minor=face, cost=Money.parse("80.00", INR), **facts)
    with shop.db.transaction() as tx:
        put_product(tx, shop.suppliers["A"].id, product, "INR", 1)


def maps(shop: Supplied, *pairs: tuple[str, str], **facts: Any) -> None:
    map_product(shop.db, shop.clock, shop.audit, shop.catalog.current(), "A", pairs, actor="test", **facts)


def guesses(shop: Supplied) -> list[tuple[str, str, bool]]:
    with shop.db.read() as tx:
        waiting = list(unmapped(tx, shop.suppliers["A"].id))
    return [(one.product.supplier_sku, one.offer.sku, one.is_sure) for one in suggest(waiting, shop.catalog.current())]


def test_what_is_mapped_is_bought_and_what_is_unmapped_is_not(known: Supplied) -> None:
    lists(known, "s-100", "Steam 100")
    assert isinstance(known.refusal(item("STEAM-100")), OutOfStock)
    maps(known, ("s-100", "STEAM-100"))
    assert states(known.bought("STEAM-100"))[0] == "FULFILLED"
    unmap_product(known.db, known.clock, known.audit, known.catalog.current(), "A", "s-100", "STEAM-100", actor="test")
    assert isinstance(known.refusal(item("STEAM-100")), OutOfStock)
    with known.db.read() as tx:
        actions = [row.entry.action for row in list_audit(tx, AuditFilter(subject=known.suppliers["A"].id)).items]
    assert {"supplier.mapped", "supplier.unmapped"} <= set(actions)


def test_all_pairs_are_mapped_or_none(known: Supplied) -> None:
    lists(known, "s-100", "Steam 100")
    for wrong, refusal in ((("s-100", "NOPE"), UnknownSku), (("nope", "STEAM-100"), SupplierProductNotFound)):
        with pytest.raises(refusal):
            maps(known, ("s-100", "STEAM-100"), wrong)
    with known.db.read() as tx:
        assert "s-100" not in [one.supplier_sku for one in load_mappings(tx, known.suppliers["A"].id)]
    with pytest.raises(MappingNotFound):
        unmap_product(known.db, known.clock, known.audit, known.catalog.current(), "A", "s-100", None, actor="test")


@pytest.mark.parametrize(
    ("facts", "sku"),
    [
        ({}, "STEAM-500"),
        ({"code": "USD"}, "STEAM-100"),
        ({"kind": "topup"}, "STEAM-100"),
        ({"face": None, "min_minor": 15_000, "max_minor": 90_000}, "STEAM-100"),
        ({"face": None, "min_minor": 1_000, "max_minor": 90_000, "step_minor": 7_000}, "STEAM-100"),
        ({"face": 500}, "FLIP"),
    ],
)
def test_what_cannot_be_sold_as_the_sku_is_refused(known: Supplied, facts: dict[str, Any], sku: str) -> None:
    lists(known, "odd", "Odd one", **facts)
    with pytest.raises(MappingRefused):
        maps(known, ("odd", sku))


def test_a_range_of_theirs_may_be_several_of_our_face_values(known: Supplied) -> None:
    lists(known, "s", "Steam", None, min_minor=5_000, max_minor=100_000)
    maps(known, ("s", "STEAM-100"), ("s", "STEAM-500"))
    assert [states(known.bought(sku))[0] for sku in ("STEAM-100", "STEAM-500")] == ["FULFILLED", "FULFILLED"]


def test_a_supplier_without_a_catalog_gets_its_product_by_hand(known: Supplied) -> None:
    maps(known, ("theirs", "STEAM-100"), cost=Money.parse("81.00", INR))
    with known.db.read() as tx:
        found = next(one for one in _products(known) if one.supplier_sku == "theirs")
        assert (found.cost_minor, found.face_minor, found.is_available) == (8_100, 10_000, True)
        assert list(unmapped(tx, known.suppliers["A"].id)) == []
    assert states(known.bought("STEAM-100"))[0] == "FULFILLED"


def _products(shop: Supplied) -> list[KeptProduct]:
    with shop.db.read() as tx:
        return load_products(tx, shop.suppliers["A"].id)


def test_likely_products_are_suggested_and_only_clear_ones_are_sure(known: Supplied) -> None:
    lists(known, "1", "Steam Wallet Gift Card India 100 INR")
    lists(known, "2", "Steam Wallet USA 20", 2_000, "USD", countries=("US",))
    lists(known, "3", "Netflix 100")
    lists(known, "4", "Flipkart e-Gift Voucher", None, min_minor=1_000, max_minor=500_000)
    lists(known, "5", "Steam Wallet", 10_000, countries=("DE",))
    assert sorted(guesses(known)) == [("1", "STEAM-100", True), ("2", "STEAMUS", True), ("4", "FLIP", True)]


def test_two_that_are_alike_are_not_sure(known: Supplied) -> None:
    lists(known, "1", "Steam Wallet India")
    again = SHEET.replace(b"STEAM,Steam Wallet India,", b"STEAM2,Steam Wallet India,")
    import_catalog(known.db, known.clock, known.audit, again, actor="test")
    known.catalog.refresh()
    assert [(theirs, sure) for theirs, _, sure in guesses(known)] == [("1", False)]


def test_what_is_sold_out_at_present_is_suggested_too(known: Supplied) -> None:
    lists(known, "1", "Steam Wallet India", is_available=False)
    assert guesses(known) == [("1", "STEAM-100", True)]
