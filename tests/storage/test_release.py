"""After a restore and its release no code is sold, or shown, a second time: not by an import, an unblocking or an old order either."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.build import NODE, POLICY, World, item
from tests.storage.restoring import Restorer, back_up, faults, release, sell

from cardrail.kernel import Mode, to_micros
from cardrail.orders import (
    ImportedWhileFrozen,
    OutOfStock,
    StockBooks,
    get_order,
    invalidate_order,
    journal_since,
    release_restored,
)
from cardrail.storage import Journal, JournalReading, journal_files, read_journal
from cardrail.vault import Allocation, CodeRevoked, block_code, find_code, list_lots, return_to_stock, unblock_code, undo_import


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Iterator[World]:
    """Three codes in stock, and a journal."""
    journal = Journal(tmp_path / "journal", NODE)
    world.shop = replace(world.shop, journal=journal)
    world.stock("TEA", ["one", "two", "three"], cost="50.33")
    yield world
    journal.close()


def lot_of(world: World) -> str:
    with world.db.read() as tx:
        return list_lots(tx)[-1].id


def block(world: World, seq: int) -> None:
    books = StockBooks(world.clock, NODE)
    block_code(world.db, world.clock, world.audit, lot_of(world), seq, actor="test", on_write_off=books.blocked)


def unblock(world: World, seq: int) -> None:
    books = StockBooks(world.clock, NODE)
    unblock_code(world.db, world.clock, world.audit, lot_of(world), seq, actor="test", on_return=books.unblocked)


def invalidate(world: World, order_id: object) -> None:
    invalidate_order(
        world.db,
        world.clock,
        world.audit,
        world.partner,
        order_id,  # type: ignore[arg-type]  # an order's id
        POLICY,
        node=NODE,
        because="a test",
    )


# --- frozen is a state ------------------------------------------------------------------------------------------------


def test_what_is_imported_while_frozen_waits_for_the_release(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    restored = restore(shop, back_up(shop, tmp_path / "a.backup"), empty_url)
    restored.stock("TEA", ["new"])
    restored.stock("TEA", ["for tests"], mode=Mode.TEST)
    assert restored.in_stock("TEA") == 0
    assert isinstance(restored.refusal(item("TEA")), OutOfStock)
    restored.order("TEA", buyer=replace(shop.partner, mode=Mode.TEST))
    assert release(restored, tmp_path / "journal").is_released
    assert restored.in_stock("TEA") == 4


def test_what_is_unblocked_or_returned_while_frozen_waits_for_the_release(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    block(shop, 0)
    order = shop.order("TEA")
    restored = restore(shop, back_up(shop, tmp_path / "a.backup"), empty_url)
    unblock(restored, 0)
    (sold,) = order.items[0].allocations
    with restored.db.transaction() as tx:
        assert return_to_stock(
            tx, Allocation(sold.lot_id, sold.first_seq, 1, sold.expires_at, False, sold.denomination_id), actor="t", at=1
        )
    assert restored.in_stock("TEA") == 0
    release(restored, tmp_path / "journal")
    assert restored.in_stock("TEA") == 3


def test_a_file_with_sold_codes_that_was_imported_again_stops_the_release(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    sell(shop, 3)
    file = back_up(shop, tmp_path / "a.backup")
    late = ["late-1", "late-2"]
    shop.stock("TEA", late)
    sell(shop, 1)
    restored = restore(shop, file, empty_url)
    restored.stock("TEA", late)
    rehearsed = release(restored, tmp_path / "journal", dry_run=True)
    with pytest.raises(ImportedWhileFrozen):
        release(restored, tmp_path / "journal")
    assert restored.in_stock("TEA") == 0

    (again,) = rehearsed.imported_since
    undo_import(restored.db, restored.clock, restored.audit, again, actor="test")
    assert release(restored, tmp_path / "journal").is_released
    assert restored.in_stock("TEA") == 0


def test_an_import_that_somebody_vouches_for_does_not_stop_the_release(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    sell(shop, 3)
    file = back_up(shop, tmp_path / "a.backup")
    shop.stock("TEA", ["late"])
    sell(shop, 1)
    restored = restore(shop, file, empty_url)
    restored.stock("TEA", ["another"])
    lines = read_journal(journal_files([tmp_path / "journal"], journal_since(restored.db)), 0, JournalReading())
    release_restored(restored.db, restored.clock, restored.audit, lines, node=NODE, actor="test", accept_imports=True)
    assert sell(restored, 1) == ["another"]


# --- codes that are in no slice ---------------------------------------------------------------------------------------


def test_a_code_that_was_blocked_in_the_backup_and_sold_since_is_never_unblocked(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    block(shop, 1)
    file = back_up(shop, tmp_path / "a.backup")
    unblock(shop, 1)
    sold = sell(shop, 1, each=3)
    restored = restore(shop, file, empty_url)
    assert release(restored, tmp_path / "journal").codes_revoked == 3
    with pytest.raises(CodeRevoked):
        unblock(restored, 1)
    assert restored.in_stock("TEA") == 0
    with restored.db.read() as tx:
        assert all(find_code(tx, restored.keys, code) for code in sold)
    assert faults(restored) == []


def test_an_old_order_does_not_show_a_code_that_another_order_got_since(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    unseen = shop.order("TEA", 2, buyer=replace(shop.partner, may_reveal=False))
    file = back_up(shop, tmp_path / "a.backup")
    invalidate(shop, unseen.id)
    sold = sell(shop, 1, each=2)
    restored = restore(shop, file, empty_url)
    report = release(restored, tmp_path / "journal")
    withheld = [(one.order_id, one.codes) for one in report.held]
    shown = restored.codes(restored.reveal(unseen.id))
    assert not set(shown) & set(sold)
    assert withheld == [(unseen.id, 2 - len(shown))]
    assert faults(restored) == []


def test_the_other_codes_of_such_an_order_are_shown_and_noted_exactly(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    unseen = shop.order("TEA", 3, buyer=replace(shop.partner, may_reveal=False))
    file = back_up(shop, tmp_path / "a.backup")
    invalidate(shop, unseen.id)
    sold = sell(shop, 1)
    restored = restore(shop, file, empty_url)
    release(restored, tmp_path / "journal")
    release(restored, tmp_path / "journal")
    shown = restored.codes(restored.reveal(unseen.id))
    assert sorted(shown + sold) == ["one", "three", "two"]
    (line,) = restored.reveal(unseen.id).items
    assert [one.position for one in line.units] == [1 + one.seq - line.allocations[0].first_seq for one in line.units]


def test_an_order_that_cost_nothing_counts_as_revealed_too(
    shop: World, tmp_path: Path, empty_url: str, restore: Restorer
) -> None:
    order = shop.order("TEA", buyer=replace(shop.partner, may_reveal=False))
    with shop.db.transaction() as tx:
        tx.exec_driver_sql("UPDATE orders SET charged_minor = 0")
    restored = restore(shop, back_up(shop, tmp_path / "a.backup"), empty_url)
    assert get_order(restored.db, shop.partner, order.id).revealed_at == to_micros(restored.clock.now())
