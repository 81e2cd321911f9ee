"""Single codes: blocked, put back, revoked, returned; and whole imports taken back."""

from __future__ import annotations

import pytest

from cardrail.kernel import Mode
from cardrail.vault import (
    Allocation,
    CodeAlreadyInStock,
    CodeAlreadySold,
    CodeNotBlocked,
    CodeNotFound,
    CodeNotSold,
    CodeState,
    ExceptionKind,
    LotAlreadySold,
    LotHasBlocked,
    LotNotFound,
    LotNotOpen,
    PurchaseCost,
    StockMoved,
    advance_heads,
    block_code,
    find_code,
    inspect_code,
    load_open_slices,
    mark_exceptions,
    return_to_stock,
    revoke_code,
    set_frozen,
    unblock_code,
    undo_import,
    unsold_cost,
)
from tests.vault.build import DENOMINATION, Vault

FIVE = "A1\nA2\nA3\nA4\nA5\n"


def block(vault: Vault, lot: str, seq: int) -> list[int]:
    """Block a code; the costs that were written off."""
    costs: list[int] = []
    block_code(
        vault.db,
        vault.clock,
        vault.audit,
        lot,
        seq,
        actor="test",
        reason="leaked",
        on_write_off=lambda _tx, _lot, cost: costs.append(cost),
    )
    return costs


def unblock(vault: Vault, lot: str, seq: int) -> None:
    unblock_code(vault.db, vault.clock, vault.audit, lot, seq, actor="test")


def revoke(vault: Vault, lot: str, seq: int) -> None:
    revoke_code(vault.db, vault.clock, vault.audit, lot, seq, actor="test")


def undo(vault: Vault, lot: str) -> None:
    undo_import(vault.db, vault.clock, vault.audit, lot, actor="test")


def give_back(vault: Vault, allocation: Allocation) -> int:
    with vault.db.transaction() as tx:
        return sum(end - first for first, end in return_to_stock(tx, allocation, actor="test", at=vault.now))


def state_of(vault: Vault, lot: str, seq: int) -> CodeState:
    with vault.db.read() as tx:
        return inspect_code(tx, lot, seq).state


def sold_seqs(vault: Vault, count: int) -> list[int]:
    return [seq for one in vault.take(count) for seq in range(one.first_seq, one.first_seq + one.count)]


@pytest.mark.parametrize("seq", [0, 2, 4])
def test_a_blocked_code_is_not_sold_and_its_neighbours_are(vault: Vault, seq: int) -> None:
    lot = vault.lot(FIVE)
    block(vault, lot, seq)
    assert sorted(sold_seqs(vault, 9)) == [one for one in range(5) if one != seq]
    assert state_of(vault, lot, seq) is CodeState.BLOCKED


def test_a_blocked_code_costs_what_it_cost(vault: Vault) -> None:
    lot = vault.lot(FIVE, cost=PurchaseCost("INR", whole_minor=102))
    (cost,) = block(vault, lot, 2)
    with vault.db.read() as tx:
        assert unsold_cost(tx) == {(Mode.LIVE, "INR"): 102 - cost}
    assert cost in (20, 21)


def test_blocking_twice_is_blocking_once(vault: Vault) -> None:
    lot = vault.lot(FIVE, cost=PurchaseCost("INR", each_minor=100))
    assert block(vault, lot, 2) == [100]
    assert block(vault, lot, 2) == []
    assert vault.available() == 4


def test_a_sold_code_cannot_be_blocked(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    (seq,) = sold_seqs(vault, 1)
    with pytest.raises(CodeAlreadySold):
        block(vault, lot, seq)


def test_an_unblocked_code_is_sold_again(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    block(vault, lot, 2)
    unblock(vault, lot, 2)
    assert sorted(sold_seqs(vault, 9)) == [0, 1, 2, 3, 4]


def test_what_is_not_blocked_cannot_be_unblocked(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    with pytest.raises(CodeNotBlocked):
        unblock(vault, lot, 2)


def test_a_sold_code_can_be_revoked_and_an_unsold_one_cannot(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    vault.take(1)
    revoke(vault, lot, 0)
    assert state_of(vault, lot, 0) is CodeState.REVOKED
    with pytest.raises(CodeNotSold):
        revoke(vault, lot, 1)


def test_unknown_lots_and_codes_are_not_found(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    with pytest.raises(LotNotFound):
        block(vault, "lot_NONE", 0)
    with pytest.raises(CodeNotFound):
        block(vault, lot, 5)


# --- what comes back ------------------------------------------------------------------------------------------------------


def test_returned_codes_are_sold_again_with_their_own_expiry(vault: Vault) -> None:
    vault.lot("code,expires_at\nSOON,2026-07-01\nLATE,2028-01-01\n")
    (soon,) = vault.take(1)
    assert give_back(vault, soon) == 1
    assert vault.sell(2) == ["SOON", "LATE"]


def test_codes_cannot_come_back_twice(vault: Vault) -> None:
    vault.lot(FIVE)
    (taken,) = vault.take(3)
    give_back(vault, taken)
    with pytest.raises(CodeAlreadyInStock):
        give_back(vault, taken)
    assert vault.available() == 5


def test_a_code_can_come_back_each_time_it_was_sold(vault: Vault) -> None:
    vault.lot("A1\n")
    for _ in range(3):
        (taken,) = vault.take(1)
        assert give_back(vault, taken) == 1


def test_revoked_and_claimed_codes_stay_out_when_the_rest_comes_back(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    (taken,) = vault.take(5)
    revoke(vault, lot, 1)
    with vault.db.transaction() as tx:
        mark_exceptions(tx, ExceptionKind.CLAIMED, lot, [3], actor="test", at=vault.now)
    assert give_back(vault, taken) == 3
    assert sorted(sold_seqs(vault, 9)) == [0, 2, 4]


def test_a_shared_code_has_nothing_to_return(vault: Vault) -> None:
    vault.lot("WELCOME\n", is_shared=True)
    (taken,) = vault.take(2)
    assert give_back(vault, taken) == 0


# --- undo -----------------------------------------------------------------------------------------------------------------


def test_an_unsold_import_can_be_undone_and_imported_again(vault: Vault) -> None:
    undo(vault, vault.lot(FIVE))
    assert vault.available() == 0
    vault.lot(FIVE)
    assert vault.available() == 5


def test_an_import_of_which_one_code_was_sold_cannot_be_undone(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    (taken,) = vault.take(1)
    with pytest.raises(LotAlreadySold):
        undo(vault, lot)
    give_back(vault, taken)
    with pytest.raises(LotAlreadySold):  # an order still names that code
        undo(vault, lot)


def test_an_import_with_blocked_codes_must_be_unblocked_first(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    block(vault, lot, 0)
    with pytest.raises(LotHasBlocked):
        undo(vault, lot)
    unblock(vault, lot, 0)
    undo(vault, lot)


def test_an_undone_import_cannot_be_undone_again(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    undo(vault, lot)
    with pytest.raises(LotNotOpen):
        undo(vault, lot)


def test_a_sold_shared_code_cannot_be_undone(vault: Vault) -> None:
    lot = vault.lot("WELCOME\n", is_shared=True)
    vault.take(1)
    with pytest.raises(LotAlreadySold):
        undo(vault, lot)


# --- heads and freezing ---------------------------------------------------------------------------------------------------


def test_a_head_moves_only_from_where_it_was_read(vault: Vault) -> None:
    vault.lot(FIVE)
    with vault.db.transaction() as tx:
        (one,) = load_open_slices(tx, Mode.LIVE, [DENOMINATION])
    vault.take(2)
    with pytest.raises(StockMoved), vault.db.transaction() as tx:
        advance_heads(tx, [(1, one.id, 0)])


def test_frozen_slices_are_not_sold_until_they_are_released(vault: Vault) -> None:
    vault.lot(FIVE)
    with vault.db.transaction() as tx:
        assert set_frozen(tx, Mode.LIVE, is_frozen=True) == 1
    assert (vault.available(), vault.take(1)) == (0, [])
    with vault.db.transaction() as tx:
        set_frozen(tx, Mode.LIVE, is_frozen=False)
    assert vault.available() == 5


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100, 0])
def test_enough_slices_are_loaded_to_take_what_is_wanted(vault: Vault, limit: int) -> None:
    vault.lot("code,expires_at\n" + "".join(f"{n}{m},2027-0{9 - n}-01\n" for n in range(1, 6) for m in range(2)))
    with vault.db.transaction() as tx:
        slices = load_open_slices(tx, Mode.LIVE, [DENOMINATION], limit=limit, now_micros=vault.now)
    wanted = 5 if limit == 0 else min(5, (limit + 1) // 2)  # two codes a slice
    assert len(slices) == wanted
    assert [one.id for one in slices] == sorted(one.id for one in slices)


# --- support --------------------------------------------------------------------------------------------------------------


def test_a_code_is_found_by_any_spelling_and_not_shown(vault: Vault) -> None:
    lot = vault.lot("ABCD-1234\nEFGH-5678\n")
    with vault.db.read() as tx:
        (found,) = find_code(tx, vault.keyring, " abcd1234")
        assert find_code(tx, vault.keyring, "ZZZZ") == []
    assert (found.lot.id, found.state) == (lot, CodeState.AVAILABLE)
    assert "ABCD" not in repr(found)


def test_each_change_is_in_the_audit_log(vault: Vault) -> None:
    lot = vault.lot(FIVE)
    block(vault, lot, 4)
    unblock(vault, lot, 4)
    vault.take(1)
    revoke(vault, lot, 0)
    undo(vault, vault.lot("B1\n"))
    with vault.db.read() as tx:
        actions = list(tx.exec_driver_sql("SELECT action FROM audit ORDER BY seq").scalars())
    assert actions == [
        "codes.imported",
        "code.blocked",
        "code.unblocked",
        "code.revoked",
        "codes.imported",
        "codes.import_undone",
    ]
