"""The catalog in memory: what is listed, what is asked, and when it is read again."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from cardrail.catalog import (
    Brand,
    CatalogCache,
    CatalogSnapshot,
    Category,
    FaceValueRequired,
    InvalidFaceValue,
    PriceUnavailable,
    Product,
    ProductFilter,
    retire,
)
from cardrail.kernel import BrandId, CategoryId, FrozenClock, ProductId, currency
from cardrail.storage import Database, read_version
from tests.catalog.build import AUDIT, CLOCK, GIFT_CARDS, SEVERAL, TODAY, TOPUPS, a_rule, an_offer, bring_in, snapshot_of

START = datetime(2026, 1, 1, tzinfo=UTC)
GAMES = Category(CategoryId("cat_1"), 1, "games", "Games", None, {})
CARDS = Category(CategoryId("cat_2"), 2, "cards", "Cards", GAMES.id, {})


def a_product(place: int, **what: Any) -> Product:
    brand = Brand(BrandId(f"brd_{place % 500}"), place % 500, f"b{place % 500}", f"Brand {place % 500}")
    product = Product(
        id=ProductId(f"prd_{place:06}"),
        number=place,
        code=f"C{place}",
        name=f"Card {place}",
        brand=brand,
        category=CARDS if place % 2 else GAMES,
        kind="code",
        classification="CLOSED_LOOP",
        delivery_mode="ONLINE",
        sourcing="stock",
        currency=currency("INR"),
        countries=("IN",),
        image_url=None,
        validity_days=None,
        input_fields=(),
        translations={},
        created_at=START,
        updated_at=START + timedelta(minutes=place),
        retired_at=None,
        offers=(an_offer(sku=f"C{place}", denomination_id=f"den_{place}"),),
    )
    return replace(product, **what)


def a_snapshot(products: list[Product]) -> CatalogSnapshot:
    brands = {product.brand.id: product.brand for product in products}
    return CatalogSnapshot(
        version=1,
        day=TODAY,
        products=products,
        brands=list(brands.values()),
        categories=[GAMES, CARDS],
        rules=[a_rule()],
        rates=[],
    )


def codes(snapshot: CatalogSnapshot, wanted: ProductFilter) -> list[str]:
    return [product.code for product in snapshot.products(wanted).products]


def test_pages_go_through_all_products_once() -> None:
    snapshot = a_snapshot([a_product(place) for place in range(25)])
    seen, after = [], None
    for _ in range(3):
        page = snapshot.products(after=after, limit=10)
        seen += [product.number for product in page.products]
        after = page.after
    assert (seen, after) == (list(range(25)), None)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ProductFilter(), ["C0", "C1", "C3"]),
        (ProductFilter(brand="b1"), ["C1"]),
        (ProductFilter(category="cards"), ["C1", "C3"]),
        (ProductFilter(category="games"), ["C0", "C1", "C3"]),  # what stands below counts
        (ProductFilter(country="fr"), ["C3"]),
        (ProductFilter(country="IN", category="cards"), ["C1"]),
        (ProductFilter(currency="USD"), []),
        (ProductFilter(kind="code", search="CARD brand c3"), ["C3"]),
        (ProductFilter(include_retired=True), ["C0", "C1", "C2", "C3"]),
        (ProductFilter(updated_since=START + timedelta(minutes=2)), ["C2", "C3"]),  # with the tombstone
        (ProductFilter(updated_since=START + timedelta(minutes=2), category="cards"), ["C3"]),
    ],
)
def test_filters(wanted: ProductFilter, expected: list[str]) -> None:
    third = a_product(3, countries=("FR", "DE"))
    snapshot = a_snapshot([a_product(0), a_product(1), a_product(2, retired_at=START), third])
    assert codes(snapshot, wanted) == expected


def test_a_page_of_a_hundred_from_fifty_thousand_takes_microseconds() -> None:
    snapshot = a_snapshot([a_product(place) for place in range(50_000)])
    wanted = [ProductFilter(), ProductFilter(brand="b7"), ProductFilter(category="games", country="IN")]
    for one in wanted:
        snapshot.products(one)
    started = time.thread_time()
    for place in range(0, 50_000, 500):
        for one in wanted:
            snapshot.products(one, after=f"prd_{place:06}", limit=100)
    assert (time.thread_time() - started) / 300 < 0.0004


def test_face_values_of_a_range_are_on_its_step_from_the_minimum() -> None:
    snapshot, offer = a_snapshot([]), an_offer(type="range", min_minor=10100, max_minor=20000, step_minor=2500)
    assert [snapshot.face_of(offer, face) for face in (10100, 12600, 17600)] == [10100, 12600, 17600]
    for face in (10099, 10000, 12500, 20000, 20100, 0, -1):
        with pytest.raises(InvalidFaceValue):
            snapshot.face_of(offer, face)
    with pytest.raises(FaceValueRequired):
        snapshot.face_of(offer)


def test_a_fixed_face_value_may_be_said_or_not() -> None:
    snapshot, offer = a_snapshot([]), an_offer()
    assert snapshot.face_of(offer) == snapshot.face_of(offer, 3333) == 3333
    with pytest.raises(InvalidFaceValue):
        snapshot.face_of(offer, 3334)


def test_without_a_rule_there_is_no_price(db: Database) -> None:
    bring_in(db, SEVERAL)
    with_cost = snapshot_of(db)
    yen = with_cost.offer("SHOP-JP")
    assert yen is not None
    with pytest.raises(PriceUnavailable):
        with_cost.unit_price(yen, 1000, partner_id=None, price_list_id=None, currency="JPY")


def test_the_cache_reads_again_when_the_catalog_or_the_day_moved(db: Database) -> None:
    clock = FrozenClock()
    cache = CatalogCache(db, clock)
    empty = cache.current()
    bring_in(db, SEVERAL)
    assert cache.current() is empty
    fresh = cache.refresh()
    assert (len(fresh.all_products), cache.refresh() is fresh) == (3, True)
    clock.advance(days=1)
    assert cache.refresh().day == date(2026, 1, 2)


def test_the_lane_never_prices_from_an_old_copy(db: Database) -> None:
    cache = CatalogCache(db, CLOCK)
    bring_in(db, SEVERAL)
    old = cache.current()
    retire(db, CLOCK, AUDIT, ["GAME-EU"], actor="cli")
    with db.transaction() as tx:
        new = cache.ensure(tx, read_version(tx, "catalog"), TODAY)
        assert cache.ensure(tx, new.version, TODAY) is new
    before, after = old.offer("GAME-EU-10"), new.offer("GAME-EU-10")
    assert before is not None
    assert after is not None
    assert (before.is_sellable, after.is_sellable) == (True, False)


def test_real_products_are_found_by_words(db: Database) -> None:
    bring_in(db, GIFT_CARDS)
    bring_in(db, TOPUPS)
    snapshot = snapshot_of(db)
    assert codes(snapshot, ProductFilter(search="uber")) == ["EGCGBUBER001"]
    assert snapshot.count_products(ProductFilter(country="BD", category="mobile", kind="topup")) == 50
