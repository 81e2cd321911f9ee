"""Exports: what is in them, who may have them, and what becomes of their files."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from cardrail.catalog import load_snapshot, parse_rate, set_rate
from cardrail.jobs import Jobs
from cardrail.kernel import Mode
from cardrail.ledger import Purpose, platform_balances
from cardrail.orders import CodeAt, InvalidationPolicy, invalidate_order
from cardrail.settlement import (
    Export,
    ExportDesk,
    ExportFilter,
    ExportGone,
    ExportKind,
    ExportNotFound,
    ExportNotReady,
    Format,
    InvalidExport,
    InvalidLink,
    enqueue_export,
    file_of,
    get_export,
    make_export,
    open_link,
    register_settlement_jobs,
    request_export,
    sign_link,
    sweep_exports,
)
from cardrail.settlement.sources import columns_of, rows_of
from tests.build import NODE, item
from tests.jobs.build import eventually, working
from tests.settlement.build import Ledgers


@pytest.fixture
def desk(ledgers: Ledgers, tmp_path: Path) -> ExportDesk:
    world = ledgers.world
    return ExportDesk(world.db, world.clock, world.audit, tmp_path / "exports", b"k" * 32)


def rows(ledgers: Ledgers, kind: ExportKind, **filters: Any) -> list[dict[str, Any]]:
    """The rows of an export by their columns' names."""
    given = ExportFilter(**filters)
    with ledgers.world.db.read() as tx:
        found = list(rows_of(tx, kind, given, load_snapshot(tx, ledgers.clock.now().date())))
    names = [column.name for column in columns_of(kind, given)]
    return [dict(zip(names, row, strict=True)) for row in found]


def request(desk: ExportDesk, kind: ExportKind = ExportKind.ORDERS, form: Format = Format.CSV, **filters: Any) -> Export:
    with desk.db.transaction() as tx:
        return request_export(tx, desk, kind, form, ExportFilter(**filters), actor="test")


def make(desk: ExportDesk, *args: Any, **filters: Any) -> Export:
    return make_export(desk, request(desk, *args, **filters).id)


# --- what is in them --------------------------------------------------------------------------------------------------


def test_orders_and_items_are_narrowed_by_partner_state_sku_and_time(ledgers: Ledgers) -> None:
    first = ledgers.sell("TEA", 2)
    ledgers.clock.advance(days=1)
    ledgers.world.stock("BOOKS", ["only-one"], cost="20")
    second = ledgers.world.order("BOOKS", 3)
    found = rows(ledgers, ExportKind.ITEMS)
    assert [(row["order_id"], row["sku"], row["delivered"], row["charged"]) for row in found] == [
        (first.id, first.items[0].sku, 2, 19000),
        (second.id, second.items[0].sku, 1, 3216),
    ]
    for filters in ({"state": "PARTIALLY_FULFILLED"}, {"sku": second.items[0].sku}, {"since": second.created_at}):
        assert [row["order_id"] for row in rows(ledgers, ExportKind.ORDERS, **filters)] == [second.id]
    assert rows(ledgers, ExportKind.ITEMS, partner_id="par_other") == []
    assert rows(ledgers, ExportKind.ORDERS, mode=Mode.TEST) == []


def test_movements_show_a_partner_his_balance_and_the_operator_his_accounts(ledgers: Ledgers) -> None:
    ledgers.sell()
    own = rows(ledgers, ExportKind.MOVEMENTS, partner_id=ledgers.world.partner.partner_id)
    assert [(row["kind"], row["change"]) for row in own] == [("credit", 100000000), ("sale", -9500)]
    assert "debit" not in own[0]
    every = rows(ledgers, ExportKind.MOVEMENTS)
    assert {row["kind"] for row in every} == {"credit", "sale", "stock_in", "cost_of_sale"}
    assert all(row["debit"] and row["credit"] for row in every)


def test_stock_on_hand_costs_what_the_ledger_says(ledgers: Ledgers) -> None:
    ledgers.world.stock("TEA", [f"tea-{n}" for n in range(7)], cost="80.03", supplier="acme")
    ledgers.world.order("TEA", 3)
    (row,) = rows(ledgers, ExportKind.STOCK)
    assert (row["unsold"], row["cost"], row["supplier"], row["name"]) == (4, 4 * 8003, "acme", "Tea voucher")
    with ledgers.world.db.read() as tx:
        (stock,) = [one for one in platform_balances(tx) if one.purpose is Purpose.STOCK]
    assert stock.balance_minor == row["cost"]


# --- margin -----------------------------------------------------------------------------------------------------------


def test_margins_add_up_to_the_platforms_accounts_however_they_are_grouped(ledgers: Ledgers) -> None:
    world = ledgers.world
    ledgers.sell("TEA", 3)
    part = ledgers.sell("TEA", 2)
    ledgers.refund(part, 3333)
    ledgers.clock.advance(days=1)
    world.stock("TEA", ["cheap-1", "cheap-2"], cost="60", supplier="bazaar")
    world.stock("BOOKS", ["book-1"], cost="20")
    both = world.place(world.command(item("TEA", 2), item("BOOKS", 1)))[0].order  # type: ignore[union-attr]
    ledgers.refund(both, 1001)
    back = ledgers.sell("TEA", 1)
    policy = InvalidationPolicy(timedelta(hours=24), allow_revealed=True)
    invalidate_order(world.db, world.clock, world.audit, world.partner, back.id, policy, node=NODE, because="test")
    with world.db.read() as tx:
        sums = {one.purpose: one.balance_minor for one in platform_balances(tx)}
    for by in ("product", "partner", "supplier", "day"):
        found = rows(ledgers, ExportKind.MARGIN, by=by)
        assert sum(row["revenue"] for row in found) == -sums[Purpose.SALES], by
        assert sum(row["cost"] for row in found) == sums[Purpose.COST_OF_GOODS], by
    assert [row["supplier"] for row in rows(ledgers, ExportKind.MARGIN, by="supplier")] == ["(none named)", "acme", "bazaar"]
    assert [row["units"] for row in rows(ledgers, ExportKind.MARGIN, by="day")] == [5, 4]


def test_a_refunded_unit_is_taken_off_its_own_line(ledgers: Ledgers) -> None:
    world = ledgers.world
    world.stock("TEA", ["tea-1", "tea-2"], cost="60")
    world.stock("BOOKS", ["book-1"], cost="20")
    both = world.place(world.command(item("TEA", 2), item("BOOKS", 1)))[0].order  # type: ignore[union-attr]
    before = {row["product"]: row["revenue"] for row in rows(ledgers, ExportKind.MARGIN, by="product")}
    ledgers.refund(both, units=[CodeAt(1, 1)])
    after = {row["product"]: row["revenue"] for row in rows(ledgers, ExportKind.MARGIN, by="product")}
    assert {name: before[name] - after[name] for name in before} == {"TEA": 9_500, "BOOKS": 0}
    ledgers.refund(both)
    assert {row["revenue"] for row in rows(ledgers, ExportKind.MARGIN, by="product")} == {0}


def test_a_margin_in_one_currency_tells_the_exchange_apart(ledgers: Ledgers) -> None:
    world = ledgers.world
    ledgers.sell("TEA", 1)  # costs INR 80.00, sold for INR 95.00
    for day, rate in (("2026-01-01", "0.01"), ("2026-01-05", "0.02")):
        _rate(ledgers, "INR", "USD", day, rate)
    (row,) = rows(ledgers, ExportKind.MARGIN, base_currency="USD")
    assert (row["base_revenue"], row["base_cost"], row["base_fx_effect"], row["base_margin"]) == (190, 160, 0, 30)
    assert world.partner.currency == "INR"
    ledgers.world.stock("TEA", ["later"], cost="80")
    ledgers.clock.advance(days=10)
    _rate(ledgers, "INR", "USD", "2026-01-15", "0.04")
    world.order("TEA")
    rows_by_day = rows(ledgers, ExportKind.MARGIN, base_currency="USD", by="day")
    assert [(row["base_revenue"], row["base_cost"], row["base_fx_effect"], row["base_margin"]) for row in rows_by_day] == [
        (190, 160, 0, 30),
        (380, 320, 160, 220),
    ]


def test_a_rate_that_is_not_known_is_named_and_nothing_is_guessed(ledgers: Ledgers) -> None:
    ledgers.sell("TEA", 1)
    _rate(ledgers, "INR", "USD", "2026-01-11", "0.02")  # a day after
    (row,) = rows(ledgers, ExportKind.MARGIN, base_currency="USD")
    assert (row["revenue"], row["base_revenue"], row["base_margin"]) == (9500, None, None)
    assert row["unknown_rates"] == "INR/USD 2026-01-10"


def test_units_whose_cost_nobody_gave_have_no_margin(ledgers: Ledgers) -> None:
    ledgers.world.stock("TEA", ["gift"])
    ledgers.world.order("TEA")
    (row,) = rows(ledgers, ExportKind.MARGIN, base_currency="INR")
    assert (row["units_without_cost"], row["cost"], row["base_margin"]) == (1, None, None)


def _rate(ledgers: Ledgers, base: str, quote: str, day: str, rate: str) -> None:
    world = ledgers.world
    on = date.fromisoformat(day)
    set_rate(world.db, world.clock, world.audit, actor="test", base=base, quote=quote, rate_e10=parse_rate(rate), on_date=on)


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_export_becomes_a_file_that_only_its_owner_reads(ledgers: Ledgers, desk: ExportDesk) -> None:
    order = ledgers.sell(reference="=2+5")
    done = make(desk)
    path = file_of(desk, done)
    assert (done.state, done.rows, done.bytes) == ("done", 1, path.stat().st_size)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    (row,) = csv.DictReader(io.StringIO(path.read_text()))
    assert (row["order_id"], row["reference"], row["charged"]) == (order.id, "'=2+5", "95.00")


def test_making_it_again_changes_nothing_that_is_done(ledgers: Ledgers, desk: ExportDesk) -> None:
    done = make(desk)
    ledgers.sell()
    assert make_export(desk, done.id) == done
    assert sorted(path.name for path in desk.folder.iterdir()) == [done.file_name]


def test_a_half_written_file_of_a_process_that_died_is_written_anew(ledgers: Ledgers, desk: ExportDesk) -> None:
    ledgers.sell()
    asked = request(desk)
    desk.folder.mkdir()
    (desk.folder / f".{asked.id}.part").write_text("half a li")
    assert make_export(desk, asked.id).rows == 1
    assert sorted(path.name for path in desk.folder.iterdir()) == [asked.file_name]


def test_exports_that_a_dead_process_left_unfinished_keep_nobody_out_for_long(ledgers: Ledgers, desk: ExportDesk) -> None:
    partner = ledgers.world.partner.partner_id
    for _ in range(10):
        request(desk, partner_id=partner)
    with pytest.raises(InvalidExport):
        request(desk, partner_id=partner)
    ledgers.clock.advance(hours=1)
    assert request(desk, partner_id=partner).state == "waiting"


def test_a_link_opens_its_file_for_a_quarter_of_an_hour(ledgers: Ledgers, desk: ExportDesk) -> None:
    done = make(desk)
    expires, signature = sign_link(desk, done.id)
    assert open_link(desk, done.id, expires, signature)[1] == file_of(desk, done)
    ledgers.clock.advance(seconds=901)
    with pytest.raises(InvalidLink):
        open_link(desk, done.id, expires, signature)


def test_a_link_that_was_touched_opens_nothing(ledgers: Ledgers, desk: ExportDesk) -> None:
    done, other = make(desk), make(desk)
    expires, signature = sign_link(desk, done.id)
    stranger = replace(desk, key=b"x" * 32)
    for id_, until, mark in (
        (other.id, expires, signature),
        (done.id, expires + 1, signature),
        (done.id, expires, "0" * 64),
        (done.id, *sign_link(stranger, done.id)),
    ):
        with pytest.raises(InvalidLink):
            open_link(desk, id_, until, mark)


def test_what_is_not_written_yet_cannot_be_fetched(ledgers: Ledgers, desk: ExportDesk) -> None:
    asked = request(desk)
    with pytest.raises(ExportNotReady):
        open_link(desk, asked.id, *sign_link(desk, asked.id))


def test_a_file_is_deleted_when_its_time_is_over(ledgers: Ledgers, desk: ExportDesk) -> None:
    done = make(desk)
    path = file_of(desk, done)
    assert sweep_exports(desk) == 0
    ledgers.clock.advance(days=7)
    with pytest.raises(ExportGone):
        file_of(desk, done)
    assert (sweep_exports(desk), sweep_exports(desk), path.exists()) == (1, 0, False)
    with desk.db.read() as tx:
        assert get_export(tx, done.id).state == "expired"


def test_another_partners_export_is_unknown(ledgers: Ledgers, desk: ExportDesk) -> None:
    asked = request(desk, partner_id=ledgers.world.partner.partner_id)
    with desk.db.read() as tx, pytest.raises(ExportNotFound):
        get_export(tx, asked.id, partner_id="par_other")


def test_a_closed_statement_is_exported_as_a_sheet(ledgers: Ledgers, desk: ExportDesk) -> None:
    ledgers.sell()
    ledgers.until(2026, 2, 1, 1)
    (one,) = [found for found in ledgers.close().closed if found.mode is Mode.LIVE]
    done = make(desk, ExportKind.STATEMENT, Format.XLSX, statement_id=one.id, partner_id=one.partner_id)
    assert (done.state, done.rows) == ("done", 4)
    failed = make(desk, ExportKind.STATEMENT, Format.XLSX, statement_id=one.id, partner_id="par_other")
    assert (failed.state, failed.problem) == ("failed", "statement_not_found")


REFUSED: list[tuple[ExportKind, dict[str, Any]]] = [
    (ExportKind.ORDERS, {"since": 5, "until": 5}),
    (ExportKind.ORDERS, {"state": "SHIPPED"}),
    (ExportKind.MOVEMENTS, {"state": "FULFILLED"}),
    (ExportKind.MOVEMENTS, {"sku": "TEA"}),
    (ExportKind.STATEMENT, {}),
    (ExportKind.ORDERS, {"statement_id": "stm_1"}),
    (ExportKind.STOCK, {"partner_id": "par_1"}),
    (ExportKind.MARGIN, {"partner_id": "par_1"}),
]


@pytest.mark.parametrize(("kind", "filters"), REFUSED)
def test_what_makes_no_sense_or_is_the_operators_own_is_refused(
    ledgers: Ledgers, desk: ExportDesk, kind: ExportKind, filters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidExport):
        request(desk, kind, **filters)


# --- in the background ------------------------------------------------------------------------------------------------


def test_a_job_makes_the_export_that_its_transaction_asked_for(ledgers: Ledgers, desk: ExportDesk) -> None:
    ledgers.sell()
    jobs = Jobs(desk.db)
    register_settlement_jobs(jobs, desk)
    with working(jobs):
        with desk.db.transaction() as tx:
            one = request_export(tx, desk, ExportKind.ITEMS, Format.JSONL, ExportFilter(), actor="test")
            enqueue_export(jobs, tx, one)
        assert eventually(lambda: state_of(desk, one.id) == "done")
    assert file_of(desk, make_export(desk, one.id)).read_bytes().count(b"\n") == 1


def state_of(desk: ExportDesk, export_id: str) -> str:
    with desk.db.read() as tx:
        return get_export(tx, export_id).state
