"""Bringing sheets in."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardrail.catalog import ProductNotFound, UnreadableSheet, diff, export, restore, retire, set_barcode
from cardrail.catalog.sheets import read_sheet
from cardrail.catalog.tables import products
from cardrail.storage import Database, events, read_version
from tests.catalog.build import AUDIT, CLOCK, GIFT_CARDS, SEVERAL, TOPUPS, bring_in, snapshot_of

HEADER = b"product_code,name,brand,currency,denomination_type,face_values,min_face_value,max_face_value,discount_percent,cost\n"


def version(db: Database) -> int:
    with db.read() as tx:
        return read_version(tx, "catalog")


def test_both_real_sheets_come_in_and_again_change_nothing(db: Database) -> None:
    assert [bring_in(db, data).count("added") for data in (GIFT_CARDS, TOPUPS)] == [212, 50]
    before = version(db)
    assert [bring_in(db, data).count("unchanged") for data in (GIFT_CARDS, TOPUPS)] == [212, 50]
    assert version(db) == before


def test_real_products_have_the_prices_of_the_sheet(db: Database) -> None:
    bring_in(db, GIFT_CARDS)
    snapshot = snapshot_of(db)
    # fixed 59.00 at 5 %: 56.05; range 10 to 10000, 123.00 at 4.25 %: 117.7725; fixed 2655.00 at 9 %: 2416.05
    for sku, face, price in (("EGCGBEPON001", None, 5605), ("EGCGBUBER001", 12300, 11777), ("EGCGBHIT003", None, 241605)):
        offer = snapshot.offer(sku)
        assert offer is not None
        unit = snapshot.unit_price(offer, snapshot.face_of(offer, face), partner_id="par_1", price_list_id=None, currency="INR")
        assert unit.price_minor == price


def test_topups_are_bought_on_demand_and_ask_for_a_number(db: Database) -> None:
    report = bring_in(db, TOPUPS)
    offer = snapshot_of(db).offer("robi-1658")
    assert report.markup_bps == 500
    assert offer is not None
    assert (offer.kind, offer.sourcing, offer.cost_minor, str(offer.cost_currency)) == ("topup", "on_demand", 105, "EUR")
    assert offer.input_fields[0].pattern == r"(\+?880|0)?1[3-9]\d{8}"


def test_several_face_values_make_several_skus(db: Database) -> None:
    assert bring_in(db, SEVERAL).problems == ()
    snapshot = snapshot_of(db)
    skus = {one.sku: (one.face_minor, one.cost_minor) for one in snapshot.all_products[0].offers}
    assert skus == {"GAME-EU-10": (1000, 900), "GAME-EU-20": (2000, 1810), "GAME-EU-50.5": (5050, 4600)}
    ranged, yen = snapshot.offer("GAME-ANY"), snapshot.offer("SHOP-JP")
    assert ranged is not None
    assert yen is not None
    assert (ranged.min_minor, ranged.max_minor, ranged.step_minor, ranged.cost_bps) == (500, 10000, 500, 9500)
    assert (yen.face_minor, yen.name) == (1000, "Shop, Japan")


def test_what_is_exported_comes_back_unchanged(db: Database) -> None:
    for data in (GIFT_CARDS, TOPUPS, SEVERAL):
        bring_in(db, data)
    report = bring_in(db, "".join(export(snapshot_of(db))).encode())
    assert report.problems == ()
    assert {one.what for one in report.changes} == {"unchanged"}


def test_a_sku_is_kept_when_face_values_come_and_go(db: Database) -> None:
    bring_in(db, HEADER + b"X,X,B,EUR,fixed,10,,,5,\n")
    bring_in(db, HEADER + b"X,X,B,EUR,fixed,10|20,,,5,\n")
    report = bring_in(db, HEADER + b"X,X,B,EUR,fixed,20,,,5,\n")
    offers = {one.sku: one.is_sellable for one in snapshot_of(db).all_products[0].offers}
    assert offers == {"X": False, "X-20": True}
    assert report.changes[0].details == ("X: retired",)


def test_a_diff_says_what_would_change_and_writes_nothing(db: Database) -> None:
    bring_in(db, HEADER + b"X,Old,B,EUR,fixed,10,,,5,9\n")
    before = version(db)
    report = diff(db, HEADER + b"X,New,B,EUR,fixed,10,,,7.5,9.1\n")
    assert report.changes[0].details == ("name: Old → New", "X, cost: 9.00 → 9.10", "X: discount 5 % → 7.5 %")
    assert version(db) == before


def test_a_dry_run_writes_nothing(db: Database) -> None:
    report = bring_in(db, SEVERAL, dry_run=True)
    assert (report.count("added"), report.written, version(db)) == (3, False, 0)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (b",N,B,EUR,fixed,10,,,5,", "product_code"),
        (b"A B,N,B,EUR,fixed,10,,,5,", "product_code"),
        (b"TEST_OK,N,B,EUR,fixed,10,,,5,", "product_code"),
        (b"X,,B,EUR,fixed,10,,,5,", "name"),
        (b"X,N,,EUR,fixed,10,,,5,", "brand"),
        (b"X,N,B,XXQ,fixed,10,,,5,", "currency"),
        (b"X,N,B,EUR,flat,10,,,5,", "denomination_type"),
        (b"X,N,B,EUR,fixed,,,,5,", "face_values"),
        (b'X,N,B,EUR,fixed,"1,000",,,5,', "face_values"),
        (b"X,N,B,EUR,fixed,1e3,,,5,", "face_values"),
        (b"X,N,B,EUR,fixed,-10,,,5,", "face_values"),
        (b"X,N,B,EUR,fixed,0,,,5,", "face_values"),
        (b"X,N,B,EUR,fixed,10.005,,,5,", "face_values"),
        (b"X,N,B,EUR,fixed,10|10.0,,,5,", "face_values"),
        (b"X,N,B,EUR,fixed,10||20,,,5,", "face_values"),
        (b"X,N,B,EUR,fixed,10,5,,5,", "min_face_value"),
        (b"X,N,B,EUR,fixed,10,,,100,", "discount_percent"),
        (b"X,N,B,EUR,fixed,10,,,4.125,", "discount_percent"),
        (b"X,N,B,EUR,fixed,10|20,,,5,9", "cost"),
        (b"X,N,B,EUR,range,,20,10,5,", "max_face_value"),
        (b"X,N,B,EUR,range,,10,,5,", "max_face_value"),
        (b"X,N,B,EUR,range,,10,20,5,9", "cost"),
        (b"GOOD,N,B,EUR,fixed,10,,,5,", "product_code"),  # there twice
        (b"X,N,B,EUR,fixed,10", ""),  # cells are missing
    ],
)
def test_a_bad_line_is_named_and_stops_the_import(db: Database, line: bytes, column: str) -> None:
    data = HEADER + b"GOOD,N,B,EUR,fixed,10,,,5,\n" + line + b"\n"
    report = bring_in(db, data)
    assert report.is_stopped
    assert [(one.line, one.column) for one in report.problems] == [(3, column)]
    assert version(db) == 0


def test_bad_lines_can_be_skipped(db: Database) -> None:
    data = HEADER + b"X,N,B,EUR,fixed,ten,,,5,\nGOOD,N,B,EUR,fixed,10,,,5,\n"
    report = bring_in(db, data, skip_bad=True)
    assert (report.written, report.count("added"), report.problem_count) == (True, 1, 1)
    assert snapshot_of(db).offer("GOOD") is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"code;name\nX;Y\n",
        HEADER.replace(b"brand", b"brnd"),
        HEADER.replace(b"cost", b"name"),
        HEADER.decode().encode("utf-16"),
        HEADER + "X,Café,B,EUR,fixed,10,,,5,\n".encode("latin-1"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused(db: Database, data: bytes) -> None:
    with pytest.raises(UnreadableSheet):
        bring_in(db, data, skip_bad=True)


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    sheet = read_sheet(b"\xef\xbb\xbf" + (HEADER + b"X,N,B,EUR,fixed,20.0,,,5,\n").replace(b"\n", b"\r\n"))
    assert [row.faces[0].face_minor for row in sheet.rows] == [2000]


def test_a_product_keeps_its_currency_and_its_skus(db: Database) -> None:
    bring_in(db, HEADER + b"X,N,B,EUR,fixed,10|20,,,5,\n")
    report = bring_in(db, HEADER + b"X,N,B,USD,fixed,10,,,5,\nX-10,N,B,EUR,fixed,10,,,5,\n")
    assert [(one.line, one.column) for one in report.problems] == [(2, "currency"), (3, "product_code")]


def test_the_import_brings_no_retired_product_back(db: Database) -> None:
    bring_in(db, SEVERAL)
    retire(db, CLOCK, AUDIT, ["GAME-EU"], actor="cli")
    assert bring_in(db, SEVERAL).count("retired") == 1
    offer = snapshot_of(db).offer("GAME-EU-10")
    assert offer is not None
    assert not offer.is_sellable
    restore(db, CLOCK, AUDIT, ["GAME-EU"], actor="cli")
    assert all(one.is_sellable for one in snapshot_of(db).all_products[0].offers)


def test_a_change_is_an_event_with_its_place_in_the_product_s_history(db: Database) -> None:
    bring_in(db, HEADER + b"X,Old,B,EUR,fixed,10,,,5,\n")
    bring_in(db, HEADER + b"X,New,B,EUR,fixed,10,,,5,\n")
    retire(db, CLOCK, AUDIT, ["X"], actor="cli")
    with db.read() as tx:
        told = tx.execute(events.select().order_by(events.c.subject_seq)).all()
    assert [(one.type, one.subject_seq) for one in told] == [
        ("product.updated", 1),
        ("product.updated", 2),
        ("product.retired", 3),
    ]


def test_numbers_are_unique_and_fit_a_double(db: Database) -> None:
    bring_in(db, GIFT_CARDS)
    with db.read() as tx:
        numbers = [row.number for row in tx.execute(products.select())]
    assert len(set(numbers)) == 212
    assert all(0 < one < 2**53 for one in numbers)


def test_an_unknown_markup_is_made_once_and_kept(db: Database) -> None:
    assert bring_in(db, TOPUPS, markup_bps=725).markup_bps == 725
    assert bring_in(db, TOPUPS).markup_bps is None
    assert [(rule.kind, rule.value) for rule in snapshot_of(db).rules] == [("markup", 725)]


LINES = st.lists(
    st.tuples(st.integers(1, 10**6), st.integers(0, 9_999), st.sampled_from(["EUR", "JPY", "KWD"])), min_size=1, max_size=20
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(LINES)
def test_importing_twice_is_importing_once(db: Database, lines: list[tuple[int, int, str]]) -> None:
    out = io.StringIO()
    for place, (face, bps, code) in enumerate(lines):
        csv.writer(out).writerow([f"P{place}{code}", "N", "B", code, "fixed", face, "", "", f"{bps // 100}.{bps % 100:02}", ""])
    data = HEADER + out.getvalue().encode()
    bring_in(db, data)
    first = version(db)
    assert bring_in(db, data).count("unchanged") == len(lines)
    assert version(db) == first


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    for text in (data, HEADER + data):
        sheet = read_sheet(text)
        assert bool(sheet.problems) == bool(sheet.problem_count)


def test_a_bar_code_is_set_by_the_sheet_or_by_hand_and_a_sheet_without_the_column_leaves_it(db: Database) -> None:
    head, line = b"product_code,name,brand,currency,denomination_type,face_values", b"TILL,Till card,Tills,EUR,fixed,25"
    bring_in(db, head + b",barcode\n" + line + b",QR\n")
    assert bring_in(db, head + b"\n" + line + b"\n").count("unchanged") == 1
    assert snapshot_of(db).all_products[0].barcode == "QR"
    set_barcode(db, CLOCK, AUDIT, "TILL", "CODE128", actor="cli")
    assert b"".join([one.encode() for one in export(snapshot_of(db))]).count(b"CODE128") == 1
    assert bring_in(db, head + b",barcode\n" + line + b",\n").changes[0].details == ("barcode: CODE128 → none",)
    assert snapshot_of(db).all_products[0].barcode is None
    with pytest.raises(ProductNotFound):
        set_barcode(db, CLOCK, AUDIT, "NONE", "QR", actor="cli")
