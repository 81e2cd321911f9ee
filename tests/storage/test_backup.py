"""Backup, loss, restore: what was sold after the backup is never sold again, and the books stay true."""

import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.build import NODE, POLICY, World, item
from tests.storage.restoring import Restorer, all_rows, back_up, faults, lines_of, release, release_with, sell

from cardrail.orders import InvalidationRefused, OutOfStock, catch_up, freeze_restored, invalidate_order, release_restored
from cardrail.storage import (
    BackupDamaged,
    BackupExists,
    BackupMissing,
    BackupTooNew,
    BackupUnreadable,
    Database,
    DatabaseNotEmpty,
    Journal,
    NotRestored,
    all_restores,
    backup_database,
    inspect_backup,
    make_restorable,
    sqlite_module,
)
from cardrail.storage.backup import BackupInfo


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Iterator[World]:
    """Three hundred codes in stock, some sold, and a journal."""
    journal = Journal(tmp_path / "journal", NODE)
    world.shop = replace(world.shop, journal=journal)
    world.stock("TEA", 300, cost="50.33")
    sell(world, 3, each=7)
    yield world
    journal.close()


# --- the story --------------------------------------------------------------------------------------------------------


def test_what_was_sold_after_the_backup_is_never_sold_again(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    before = shop.in_stock("TEA")
    file = back_up(shop, tmp_path / "a.backup")
    sold = sell(shop, 20, each=5)

    restored = restore(shop, file, empty_url)
    assert restored.in_stock("TEA") == 0
    assert isinstance(restored.refusal(item("TEA")), OutOfStock)

    report = release(restored, tmp_path / "journal")
    assert (report.codes_withdrawn, len(report.lost_orders)) == (100, 20)
    assert sum(one.charged_minor for one in report.lost_orders) == 100 * 9_500
    rest = sell(restored, 1, each=restored.in_stock("TEA"))
    assert len(rest) == before - 100
    assert not set(rest) & set(sold)
    assert faults(restored) == []


def test_a_backup_is_restored_to_either_kind_of_database(shop: World, tmp_path: Path, other_url: str, restore: Restorer) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    sold = sell(shop, 3)
    restored = restore(shop, file, other_url)
    release(restored, tmp_path / "journal")
    assert not set(sell(restored, 1, each=100)) & set(sold)
    assert faults(restored) == []


def test_what_the_withdrawn_codes_had_cost_is_written_off(shop: World, tmp_path: Path, empty_url: str, restore: Restorer) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    sell(shop, 10, each=10)
    restored = restore(shop, file, empty_url)
    assert release(restored, tmp_path / "journal").written_off == {"INR": 100 * 5_033}
    assert faults(restored) == []


def test_a_range_in_the_middle_of_a_slice_splits_it(shop: World, tmp_path: Path, empty_url: str, restore: Restorer) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    skipped, sold = shop.order("TEA", 10), set(sell(shop, 2, each=10))
    restored = restore(shop, file, empty_url)
    journal = [one for one in lines_of(tmp_path / "journal") if one.order_id != skipped.id]
    assert release_with(restored, journal).codes_withdrawn == 20
    rest = sell(restored, 1, each=restored.in_stock("TEA"))
    assert set(shop.codes(skipped)) <= set(rest)
    assert not set(rest) & sold
    assert faults(restored) == []


def test_releasing_twice_changes_nothing_more(shop: World, tmp_path: Path, empty_url: str, restore: Restorer) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    sell(shop, 5)
    restored = restore(shop, file, empty_url)
    release(restored, tmp_path / "journal")
    sell(restored, 5)
    before = restored.in_stock("TEA")
    again = release(restored, tmp_path / "journal")
    assert (again.codes_withdrawn, again.written_off, again.was_frozen) == (0, {}, False)
    assert restored.in_stock("TEA") == before
    assert faults(restored) == []


def test_a_journal_that_is_found_later_is_taken_out_too(shop: World, tmp_path: Path, empty_url: str, restore: Restorer) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    sold = sell(shop, 6)
    restored = restore(shop, file, empty_url)
    release_with(restored, lines_of(tmp_path / "journal")[:-1])
    assert release_with(restored, lines_of(tmp_path / "journal")).codes_withdrawn == 1
    assert not set(sell(restored, 1, each=restored.in_stock("TEA"))) & set(sold)


def test_a_dry_run_reports_the_same_and_changes_nothing(shop: World, tmp_path: Path, empty_url: str, restore: Restorer) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    sell(shop, 5)
    restored = restore(shop, file, empty_url)
    before = all_rows(restored.db)
    rehearsed = release(restored, tmp_path / "journal", dry_run=True)
    assert all_rows(restored.db) == before
    done = release(restored, tmp_path / "journal")
    assert replace(rehearsed, is_released=True) == done


def test_restoring_a_backup_a_second_time_knows_both_timelines(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    sold = sell(shop, 5)
    first = restore(shop, file, empty_url)
    release(first, tmp_path / "journal")
    sold += sell(first, 5)
    second = restore(first, file, f"sqlite:///{tmp_path / 'third' / 'cardrail.db'}")
    assert release(second, tmp_path / "journal").codes_withdrawn == 10
    assert not set(sell(second, 1, each=second.in_stock("TEA"))) & set(sold)


def test_without_a_journal_everything_is_for_sale_again(shop: World, tmp_path: Path, empty_url: str, restore: Restorer) -> None:
    before = shop.in_stock("TEA")
    file = back_up(shop, tmp_path / "a.backup")
    sell(shop, 5)
    restored = restore(shop, file, empty_url)
    assert release_with(restored, None).is_released
    assert restored.in_stock("TEA") == before


def test_codes_of_a_lot_that_the_backup_does_not_have_are_named(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    sell(shop, 1, each=shop.in_stock("TEA"))
    file = back_up(shop, tmp_path / "a.backup")
    shop.stock("TEA", ["late-1", "late-2", "late-3"])
    sell(shop, 2)
    report = release(restore(shop, file, empty_url), tmp_path / "journal")
    assert list(report.unknown_lots.values()) == [[(0, 2)]]
    assert (report.codes_sold, report.codes_withdrawn) == (2, 0)


def test_what_was_sold_before_the_backup_may_have_been_seen_since(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    order = shop.order("TEA", buyer=replace(shop.partner, may_reveal=False))
    assert order.revealed_at is None
    restored = restore(shop, back_up(shop, tmp_path / "a.backup"), empty_url)
    release(restored, tmp_path / "journal")
    with pytest.raises(InvalidationRefused, match="revealed"):
        invalidate_order(restored.db, restored.clock, restored.audit, shop.partner, order.id, POLICY, node=NODE, because="a test")


def test_an_order_whose_process_died_before_its_line_is_journalled_at_the_next_start(shop: World, tmp_path: Path) -> None:
    shop.shop = replace(shop.shop, journal=None)
    order = shop.order("TEA")
    journal = Journal(tmp_path / "journal", NODE)
    assert catch_up(shop.db, journal) == 1
    assert catch_up(shop.db, journal) == 0
    assert lines_of(tmp_path / "journal")[-1].order_id == order.id
    journal.close()


def test_only_a_restored_database_can_be_released(world: World) -> None:
    with pytest.raises(NotRestored):
        release_restored(world.db, world.clock, world.audit, [], node=NODE, actor="test")


def test_test_stock_is_not_frozen(shop: World) -> None:
    live = shop.in_stock("TEA")
    info = BackupInfo(shop.clock.now(), "sqlite", "0001", 1)
    assert live
    assert freeze_restored(shop.db, shop.clock, shop.audit, info, actor="test") == 1
    assert shop.in_stock("TEA") == 0
    with shop.db.read() as tx:
        assert [one.released_at for one in all_restores(tx)] == [None]


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_backup_is_one_private_file_that_says_when_it_was_taken(shop: World, tmp_path: Path) -> None:
    file = tmp_path / "backups" / "a.backup"
    info = backup_database(shop.db, shop.clock, file)
    assert inspect_backup(file) == info
    assert (info.taken_at, info.backend) == (shop.clock.now(), shop.db.backend)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["a.backup"]


def test_a_backup_never_overwrites(shop: World, tmp_path: Path) -> None:
    (tmp_path / "a.backup").write_text("mine")
    with pytest.raises(BackupExists):
        backup_database(shop.db, shop.clock, tmp_path / "a.backup")
    assert (tmp_path / "a.backup").read_text() == "mine"


def test_a_backup_holds_no_plain_code(shop: World, tmp_path: Path) -> None:
    planted = "PLANTED-CONTROL-0001"
    codes = shop.stock("BOOKS", [f"SECRET-{n:05d}-XYZZY" for n in range(50)])
    file = back_up(shop, tmp_path / "a.backup")
    blob = file.read_bytes() + planted.encode()
    assert planted.encode() in blob
    for code in codes:
        for form in (code.encode(), code.encode("utf-16-le"), code.encode().hex().encode()):
            assert form not in blob


def test_a_backup_taken_while_orders_go_on_is_one_moment_of_the_books(shop: World, tmp_path: Path) -> None:
    shop.stock("TEA", [f"MORE-{n:06d}" for n in range(5_000)], cost="1.00")
    stop = threading.Event()

    def keep_selling() -> None:
        while not stop.is_set():
            shop.order("TEA", 3)

    seller = threading.Thread(target=keep_selling)
    seller.start()
    try:
        files = [tmp_path / f"{n}.backup" for n in range(5)]
        for file in files:
            backup_database(shop.db, shop.clock, file)
    finally:
        stop.set()
        seller.join()
    for file in files:
        copy = Database(f"sqlite:///{file}", pool=2)
        assert faults(shop, copy) == []
        copy.close()


def test_a_backup_with_a_damaged_page_is_refused(shop: World, tmp_path: Path) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    content = bytearray(file.read_bytes())
    for page in range(20, 30):
        content[page * 4096 : page * 4096 + 512] = b"\xff" * 512
    file.write_bytes(content)
    with pytest.raises(BackupDamaged):
        inspect_backup(file)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupMissing):
        inspect_backup(tmp_path / "nowhere")
    (tmp_path / "text").write_text("not a database" * 1_000)
    with pytest.raises(BackupUnreadable):
        inspect_backup(tmp_path / "text")


def test_a_backup_of_a_newer_release_is_refused(shop: World, tmp_path: Path) -> None:
    file = back_up(shop, tmp_path / "a.backup")
    connection = sqlite_module().connect(file)
    connection.execute("UPDATE backup_info SET revision = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(BackupTooNew):
        inspect_backup(file)


def test_a_database_that_holds_something_is_not_restored_over(shop: World) -> None:
    before = all_rows(shop.db)
    with pytest.raises(DatabaseNotEmpty):
        make_restorable(shop.db)
    assert all_rows(shop.db) == before
