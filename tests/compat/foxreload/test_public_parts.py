"""Surface P's parts by themselves: shelves on shelves, slugs, notes, amounts and ids."""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.api.compat import load_profiles
from cardrail.api.compat.dialect import InvalidDialectSettings
from cardrail.api.dialects.foxreload import DIALECT
from cardrail.api.dialects.foxreload.public import notes
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.shelf import UNCATEGORISED, Shelf
from cardrail.api.dialects.foxreload.public.shown import text_of
from cardrail.api.dialects.foxreload.public.states import states_of
from cardrail.api.dialects.foxreload.public.texts import (
    TEST_PRODUCTS,
    denomination_id,
    money,
    parse_moment,
    price_per_unit,
    product_id,
)
from cardrail.api.errors import InvalidQuery
from cardrail.catalog import Brand, CatalogSnapshot, Category, InputField, Offer, Product
from cardrail.kernel import BrandId, CategoryId, DenominationId, PlainCode, ProductId, currency, new_id, uuid_of
from cardrail.orders import OrderState

NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
BRAND = Brand(BrandId("brd_1"), 1, "brand", "Brand")


def category(name: str, parent: str | None = None) -> Category:
    """A shelf whose id is made of its name."""
    return Category(CategoryId(_id("cat", name)), 1, name, name.title(), CategoryId(_id("cat", parent)) if parent else None, {})


def _id(prefix: str, name: str) -> str:
    return f"{prefix}_" + "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[ord(one) % 32] for one in name).rjust(26, "0")


def offer(sku: str, product: str) -> Offer:
    """A denomination of 10.00."""
    return Offer(
        sku=sku, denomination_id=DenominationId(new_id("den")), product_id=ProductId(product), brand_id=BRAND.id, product_code=sku,
        name=sku, kind="code", type="fixed", face_minor=1_000, min_minor=None, max_minor=None, step_minor=None,
        currency=currency("EUR"), sourcing="stock", input_fields=(), cost_minor=None, cost_bps=None, cost_currency=None,
        is_sellable=True, number=7,
    )  # fmt: skip


def product(sku: str, shelf: Category | None) -> Product:
    """A product with one denomination."""
    made = new_id("prd")
    return Product(
        id=ProductId(made), number=1, code=sku, name=sku, brand=BRAND, category=shelf, kind="code", classification="CLOSED_LOOP",
        delivery_mode="ONLINE", sourcing="stock", currency=currency("EUR"), countries=(), image_url=None, validity_days=None,
        input_fields=(), translations={}, created_at=NOON, updated_at=NOON, retired_at=None, offers=(offer(sku, made),),
    )  # fmt: skip


def shelf_of(products: list[Product], categories: list[Category]) -> Shelf:
    snapshot = CatalogSnapshot(
        version=1, day=date(2026, 9, 21), products=products, brands=[BRAND], categories=categories, rules=[], rates=[]
    )
    return Shelf(snapshot, PublicProfile())


def test_what_stands_on_a_shelf_counts_on_all_below() -> None:
    section, service, region = category("games"), category("nintendo", "games"), category("poland", "nintendo")
    shelf = shelf_of([product("A", region), product("B", service)], [section, service, region])
    games, nintendo, poland = (next(one for one in shelf.nodes if one.slug == name) for name in ("games", "nintendo", "poland"))
    assert [len(one.below) for one in (games, nintendo, poland)] == [2, 2, 1]
    assert [len(one.own) for one in (games, nintendo, poland)] == [0, 1, 1]
    assert (games.parent, nintendo.parent, poland.parent) == (None, games, nintendo)
    assert games.children == [nintendo]
    assert shelf.node(uuid_of(region.id)) is poland


def test_shelves_in_a_circle_or_on_nothing_stand_at_the_bottom() -> None:
    circle = [category("one", "two"), category("two", "one"), category("lost", "gone"), category("self", "self")]
    shelf = shelf_of([product("A", circle[0])], circle)
    assert [one.slug for one in shelf.nodes if one.parent is None] == ["lost", "one", "self", "two"]


def test_what_has_no_category_stands_in_one_of_its_own() -> None:
    shelf = shelf_of([product("A", None)], [])
    (node,) = shelf.nodes
    assert (node.id, node.slug, node.own) == (UNCATEGORISED, "other", [0])
    assert shelf_of([], []).nodes == []


def test_slugs_differ_and_keep_off_the_paths() -> None:
    shelf = shelf_of([product(sku, None) for sku in ("A.B", "a-b", "SEARCH", "--")], [])
    assert list(shelf.slugs.values()) == ["a-b", "a-b-7", "search-7", "product"]
    found = shelf.listed("a-b-7", wallet=None)
    assert found is not None
    assert found.sku == "a-b"


@pytest.mark.parametrize(
    ("minor", "code", "text"), [(1_500, "JPY", "1500.00"), (1_500, "EUR", "15.00"), (1_500, "KWD", "1.500"), (0, "USD", "0.00")]
)
def test_amounts_have_two_decimals_at_least(minor: int, code: str, text: str) -> None:
    assert money(minor, code) == text


@given(minor=st.integers(0, 10**12), units=st.integers(1, 10**5), digits=st.sampled_from([0, 2, 3]))
def test_a_price_per_unit_leads_back_to_the_minor_unit(minor: int, units: int, digits: int) -> None:
    shown = Decimal(price_per_unit(minor, units, digits))
    assert abs(shown * units - Decimal(minor).scaleb(-digits)) <= Decimal(units).scaleb(-6) / 2


def test_a_product_id_leads_back_to_the_denomination() -> None:
    made = new_id("den")
    assert denomination_id(product_id(made)) == denomination_id(product_id(made).upper().replace("PRODUCT", "product")) == made


def test_reserved_products_have_ids_of_their_own_for_ever() -> None:
    assert TEST_PRODUCTS["TEST_OK"] == "product_7tnbx01bxmdmc67125n3z3e1jz"
    assert len(set(TEST_PRODUCTS.values())) == len(TEST_PRODUCTS)
    assert all(denomination_id(made) == f"den_{sku}" for sku, made in TEST_PRODUCTS.items())


@pytest.mark.parametrize(
    ("pattern", "options", "kind"),
    [
        ("EU|US", ("EU", "US"), "select"),
        ("(EU|US)", ("EU", "US"), "select"),
        ("(?:North America|Europe)", ("North America", "Europe"), "select"),
        (r"a|b\d", None, "string"),
        (".|x", None, "string"),
        ("EU", None, "string"),
        ("", None, "string"),
        (r"\d{6,12}", None, "string"),  # it may begin with a zero, which a number loses
        (r"[1-9]\d{5,11}", None, "integer"),
        (r"[1-9][0-9]*", None, "integer"),
    ],
)
def test_a_fields_pattern_tells_its_type_and_options(pattern: str, options: tuple[str, ...] | None, kind: str) -> None:
    field = InputField("server", pattern=pattern)
    assert (notes.options_of(field), notes.type_of(field)) == (options, kind)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (PlainCode("AAAA"), "AAAA"),
        (PlainCode("AAAA", "4471"), "AAAA;4471"),
        (PlainCode(None, None, None, "https://x.example/1"), "https://x.example/1"),
        (PlainCode(None, "1", None, "https://x.example/1"), "https://x.example/1;1"),
        (PlainCode("AAAA", None, "S-1", "https://x.example/1"), "AAAA"),
    ],
)
def test_a_unit_is_one_text(code: PlainCode, text: str) -> None:
    assert text_of(code) == text


def test_statuses_narrow_to_states() -> None:
    assert states_of([]) == ([], None)
    assert states_of(["active"]) == ([OrderState.PLACED], True)
    assert states_of(["paid", "failed"]) == ([OrderState.PLACED, OrderState.FAILED], False)
    assert states_of(["active", "paid"]) == ([OrderState.PLACED], None)
    assert states_of(["canceled"]) == states_of(["cancelled"])


@pytest.mark.parametrize("text", ["2026-09-21T12:00:00Z", "2026-09-21T12:00:00", "2026-09-21t14:00:00.000+02:00"])
def test_moments_are_read_with_offsets_and_fractions(text: str) -> None:
    assert parse_moment(text, "x") == int(NOON.timestamp()) * 1_000_000


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01", "9999-12-31T23:59:59-12:00", "1790000000"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        parse_moment(text, "x")


def test_the_profile_is_overridden_by_its_section(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text('[foxreload.public]\ndefault_currency = "usd"\nlanguages = ["ru", "en"]\nrequests_per_minute = 1000\n')
    found = load_profiles(path, [DIALECT])["foxreload"].public
    assert (found.default_currency, found.languages, found.requests_per_minute) == ("usd", ("ru", "en"), 1000)
    path.write_text("[foxreload.public]\nlanguages = []\n")
    with pytest.raises(InvalidDialectSettings):
        load_profiles(path, [DIALECT])


def test_the_profile_says_where_each_member_comes_from() -> None:
    """Each has a docstring, which names the sheet's section; they are read from the source."""
    source = inspect.getsource(PublicProfile)
    for member in msgspec.structs.fields(PublicProfile):
        assert f"    {member.name}: " in source
        following = source.partition(f"    {member.name}: ")[2].partition("\n")[2].lstrip()
        assert following.startswith('"""'), member.name
