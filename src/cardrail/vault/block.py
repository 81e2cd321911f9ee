"""Taking single codes off sale, and taking back a whole import: what an operator does to stock."""

from __future__ import annotations

from collections.abc import Callable

from cardrail.kernel import Clock, new_id, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx
from cardrail.vault import store
from cardrail.vault.errors import (
    CodeAlreadySold,
    CodeNotBlocked,
    CodeNotSold,
    CodeRevoked,
    LotAlreadySold,
    LotHasBlocked,
    LotNotOpen,
)
from cardrail.vault.import_codes import OnOpen, remove_codes
from cardrail.vault.model import ExceptionKind, LotKind, LotState, cost_of
from cardrail.vault.returns import mark_exceptions
from cardrail.vault.store import Lot, SliceRow
from cardrail.vault.withdraw import withheld

OnCost = Callable[[Tx, Lot, int], None]
"""Called in the same transaction with the lot and a code's cost, to book it."""


def block_code(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    lot_id: str,
    seq: int,
    *,
    actor: str,
    reason: str | None = None,
    on_write_off: OnCost | None = None,
) -> None:
    """Take an unsold code off sale: its slice is cut in two around it.

    Raises LotNotFound, CodeNotFound, CodeAlreadySold. A code that is blocked already stays so, and nothing is written.
    """

    def write(tx: Tx) -> None:
        lot = _lot_with_code(tx, lot_id, seq)
        kinds = _kinds(tx, lot_id, seq)
        if ExceptionKind.BLOCKED in kinds:
            return
        holder = _holder(store.load_lot_slices(tx, lot_id, lock=True), seq)
        if holder is None or lot.kind is LotKind.SHARED:
            raise CodeAlreadySold(lot_id=lot_id, seq=seq)
        _cut_out(tx, lot, holder, seq)
        now = clock.now()
        mark_exceptions(tx, ExceptionKind.BLOCKED, lot_id, [seq], actor=actor, reason=reason, at=to_micros(now))
        if on_write_off is not None:
            on_write_off(tx, lot, cost_of(lot, seq, 1))
        audit.append(tx, [audit_entry(now, actor, "code.blocked", lot_id, details={"seq": seq, "reason": reason})])

    in_tx(db, write)


def unblock_code(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    lot_id: str,
    seq: int,
    *,
    actor: str,
    on_return: OnCost | None = None,
) -> None:
    """Undo a block: the code goes back on sale in a slice of its own.

    Raises LotNotFound, CodeNotFound, CodeNotBlocked, CodeRevoked (it was sold after the backup that the database came from).
    """

    def write(tx: Tx) -> None:
        lot = _lot_with_code(tx, lot_id, seq)
        code = store.require_code(tx, lot_id, seq)
        if not store.delete_exception(tx, lot_id, seq, ExceptionKind.BLOCKED.value):
            raise CodeNotBlocked(lot_id=lot_id, seq=seq)
        if ExceptionKind.REVOKED in _kinds(tx, lot_id, seq):
            raise CodeRevoked(lot_id=lot_id, seq=seq)
        is_frozen = store.goes_on_sale_frozen(tx, lot.mode)
        _insert_slice(tx, lot, code.expires_at, seq, seq + 1, is_frozen=is_frozen)
        if on_return is not None:
            on_return(tx, lot, cost_of(lot, seq, 1))
        audit.append(tx, [audit_entry(clock.now(), actor, "code.unblocked", lot_id, details={"seq": seq})])

    in_tx(db, write)


def revoke_code(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    lot_id: str,
    seq: int,
    *,
    actor: str,
    reason: str | None = None,
) -> None:
    """Say that a sold code is no longer honoured. Raises LotNotFound, CodeNotFound, CodeNotSold.

    A code that a release revoked stays so, with its reason: orders that hold it do not show it.
    """

    def write(tx: Tx) -> None:
        _lot_with_code(tx, lot_id, seq)
        holder = _holder(store.load_lot_slices(tx, lot_id, lock=True), seq)
        if withheld(tx, [(lot_id, seq, 1)]):
            return
        if holder is not None or ExceptionKind.BLOCKED in _kinds(tx, lot_id, seq):
            raise CodeNotSold(lot_id=lot_id, seq=seq)
        now = clock.now()
        mark_exceptions(tx, ExceptionKind.REVOKED, lot_id, [seq], actor=actor, reason=reason, at=to_micros(now))
        audit.append(tx, [audit_entry(now, actor, "code.revoked", lot_id, details={"seq": seq, "reason": reason})])

    in_tx(db, write)


def undo_import(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    lot_id: str,
    *,
    actor: str,
    on_undo: OnOpen | None = None,
) -> Lot:
    """Take back a whole import of which nothing was sold; its codes are deleted and can be imported again.

    Raises LotNotFound, LotNotOpen, LotAlreadySold (also for codes that were sold and came back), LotHasBlocked.
    """

    def write(tx: Tx) -> Lot:
        lot = store.load_lot(tx, lot_id, lock=True)
        if lot.state is not LotState.OPEN or lot.kind is LotKind.BOUND:
            raise LotNotOpen(lot_id=lot_id, state=lot.state.value, kind=lot.kind.value)
        _check_unsold(tx, lot)
        store.move_lot_state(tx, lot_id, LotState.OPEN, LotState.UNDONE)
        store.delete_slices(tx, lot_id)
        if on_undo is not None:
            on_undo(tx, lot)
        details = {"count": lot.count, "cost_minor": lot.cost_minor, "cost_currency": lot.cost_currency}
        audit.append(tx, [audit_entry(clock.now(), actor, "codes.import_undone", lot_id, details=details)])
        return lot

    lot = in_tx(db, write)
    remove_codes(db, lot_id)  # if this is cut short, `clean_imports` finishes it
    return lot


# --- parts ----------------------------------------------------------------------------------------------------------------


def _lot_with_code(tx: Tx, lot_id: str, seq: int) -> Lot:
    lot = store.load_lot(tx, lot_id, lock=True)
    if lot.state is not LotState.OPEN:
        raise LotNotOpen(lot_id=lot_id, state=lot.state.value)
    store.require_code(tx, lot_id, seq)
    return lot


def _kinds(tx: Tx, lot_id: str, seq: int) -> set[str]:
    return {one.kind for one in store.read_exceptions(tx, [(lot_id, seq, 1)]).get((lot_id, seq), [])}


def _holder(slices: list[SliceRow], seq: int) -> SliceRow | None:
    return next((one for one in slices if one.head <= seq < one.tail), None)


def _check_unsold(tx: Tx, lot: Lot) -> None:
    slices = store.load_lot_slices(tx, lot.id, lock=True)
    if lot.kind is LotKind.SHARED:
        if any(one.head for one in slices):
            raise LotAlreadySold(lot_id=lot.id)
        return
    unsold = sum(one.tail - one.head for one in slices)
    happened = store.read_exceptions(tx, [(lot.id, 0, lot.count)])
    blocked = sum(any(one.kind == ExceptionKind.BLOCKED for one in facts) for facts in happened.values())
    if unsold + blocked < lot.count or len(happened) > blocked:
        raise LotAlreadySold(lot_id=lot.id, sold=lot.count - unsold - blocked)
    if blocked:
        raise LotHasBlocked(lot_id=lot.id, blocked=blocked)


def _cut_out(tx: Tx, lot: Lot, holder: SliceRow, seq: int) -> None:
    """Leave one code out: the slice keeps what comes before, a new one takes what comes after."""
    if seq == holder.head:
        store.set_range(tx, holder.id, seq + 1, holder.tail)
        return
    store.set_range(tx, holder.id, holder.head, seq)
    if seq + 1 < holder.tail:
        _insert_slice(tx, lot, holder.expires_at, seq + 1, holder.tail, is_frozen=holder.is_frozen)


def _insert_slice(tx: Tx, lot: Lot, expires_at: int, head: int, tail: int, *, is_frozen: bool) -> None:
    row = (
        new_id("slc"),
        lot.id,
        lot.denomination_id,
        lot.face_minor,
        lot.mode.value,
        expires_at,
        head,
        tail,
        False,
        is_frozen,
    )
    store.insert_slices(tx, [row])
