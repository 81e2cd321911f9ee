"""Codes that come back, and what else happens to single codes: all inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from cardrail.kernel import new_id
from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.errors import CodeAlreadyInStock
from cardrail.vault.model import Allocation, ExceptionKind, LotKind

_GONE_FOR_GOOD = frozenset(
    {ExceptionKind.BLOCKED.value, ExceptionKind.REVOKED.value, ExceptionKind.REPLACED.value, ExceptionKind.CLAIMED.value}
)


def return_to_stock(tx: Tx, allocation: Allocation, *, actor: str, at: int, reason: str | None = None) -> list[tuple[int, int]]:
    """Put codes that were sold and never revealed back on sale, as slices of their own; returns which: (first, end) of each.

    Revoked, replaced and claimed codes of the range stay out. A shared code has nothing to return. Raises CodeAlreadyInStock: a code
    comes back once for each time it was sold. The caller has made sure that nobody has seen them.
    """
    lot = store.load_lot(tx, allocation.lot_id, lock=True)
    if lot.kind is LotKind.SHARED:
        return []
    first, end = allocation.first_seq, allocation.first_seq + allocation.count
    for one in store.load_lot_slices(tx, lot.id, lock=True):
        if one.head < end and first < one.tail:
            raise CodeAlreadyInStock(lot_id=lot.id, first_seq=first, count=allocation.count)
    happened = store.read_exceptions(tx, [(lot.id, first, allocation.count)])
    kept_out = {seq for (_, seq), facts in happened.items() if any(one.kind in _GONE_FOR_GOOD for one in facts)}
    is_frozen = store.goes_on_sale_frozen(tx, lot.mode)
    ranges = _runs([seq for seq in range(first, end) if seq not in kept_out])
    store.insert_slices(
        tx,
        [
            (
                new_id("slc"),
                lot.id,
                lot.denomination_id,
                lot.face_minor,
                lot.mode.value,
                allocation.expires_at,
                head,
                tail,
                False,
                is_frozen,
            )
            for head, tail in ranges
        ],
    )
    back = [seq for head, tail in ranges for seq in range(head, tail)]
    mark_exceptions(tx, ExceptionKind.RETURNED, lot.id, back, actor=actor, reason=reason, at=at)
    return ranges


def mark_exceptions(
    tx: Tx,
    kind: ExceptionKind | str,
    lot_id: str,
    seqs: Sequence[int],
    *,
    actor: str,
    at: int,
    reason: str | None = None,
) -> None:
    """Record what happened to codes of a lot. The same thing a second time replaces the first record of it."""
    word = ExceptionKind(kind).value
    store.write_exceptions(tx, [(lot_id, seq, word, reason, actor, at) for seq in sorted(seqs)])


def _runs(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """(first, end) of each run of neighbours in ascending numbers."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and runs[-1][1] == seq:
            runs[-1] = (runs[-1][0], seq + 1)
        else:
            runs.append((seq, seq + 1))
    return runs
