"""Taking ranges of codes out of stock for good: they were sold, and this database does not know to whom (after a restore)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cardrail.kernel import new_id
from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.model import ExceptionKind, LotKind
from cardrail.vault.returns import mark_exceptions
from cardrail.vault.store import Lot

SOLD_UNKNOWN: Final = "sold after the backup that was restored"
"""Why a release revoked a code."""
_REVOKED: Final = ExceptionKind.REVOKED.value

Span = tuple[int, int]
"""(first seq, the first seq that is not in it any more)."""


def withdraw_codes(tx: Tx, lot_id: str, spans: Iterable[Span]) -> list[Span]:
    """Take these codes out of every slice of the lot; returns those that were in one, so a second time returns nothing.

    A slice that has one of them in its middle is split. A shared code is sold to everybody, so there is nothing to take out. The
    caller books what the codes cost. Raises LotNotFound.
    """
    lot = store.load_lot(tx, lot_id, lock=True)
    if lot.kind is LotKind.SHARED:
        return []
    unwanted = merge_spans(spans)
    withdrawn: list[Span] = []
    for one in store.load_lot_slices(tx, lot_id, lock=True):
        if one.head == one.tail:
            continue
        kept, gone = cut((one.head, one.tail), unwanted)
        if not gone:
            continue
        withdrawn += gone
        head, tail = kept[0] if kept else (one.tail, one.tail)
        store.set_range(tx, one.id, head, tail)
        fixed = (lot.id, lot.denomination_id, lot.face_minor, lot.mode.value, one.expires_at)
        store.insert_slices(tx, [(new_id("slc"), *fixed, head, tail, one.is_shared, one.is_frozen) for head, tail in kept[1:]])
    return sorted(withdrawn)


def revoke_spans(tx: Tx, lot: Lot, spans: Iterable[Span], *, actor: str, at: int) -> int:
    """Remember that these codes were sold to somebody this database does not know; returns how many it had not known of.

    Whether they are in a slice, blocked, or in an order of this database: none of them goes on sale again, and no order shows them.
    """
    if lot.kind is LotKind.SHARED:
        return 0
    inside = [(first, min(end, lot.count)) for first, end in merge_spans(spans) if first < lot.count]
    ranges = [(lot.id, first, end - first) for first, end in inside]
    known = withheld(tx, ranges)
    new = [seq for first, end in inside for seq in range(first, end) if (lot.id, seq) not in known]
    mark_exceptions(tx, ExceptionKind.REVOKED, lot.id, new, actor=actor, at=at, reason=SOLD_UNKNOWN)
    return len(new)


def withheld(tx: Tx, ranges: Iterable[store.Range]) -> set[tuple[str, int]]:
    """Which codes of these (lot, first seq, count) a release revoked, as (lot, seq)."""
    happened = store.read_exceptions(tx, ranges)
    return {code for code, facts in happened.items() if any((one.kind, one.reason) == (_REVOKED, SOLD_UNKNOWN) for one in facts)}


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """The same codes in as few spans as it takes, ascending."""
    merged: list[Span] = []
    for first, end in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((first, end))
    return merged


def cut(whole: Span, unwanted: Sequence[Span]) -> tuple[list[Span], list[Span]]:
    """What is kept of a span, and what of it is gone; ``unwanted`` as ``merge_spans`` gives it."""
    at, tail = whole
    kept: list[Span] = []
    gone: list[Span] = []
    for first, end in unwanted:
        first, end = max(first, at), min(end, tail)  # noqa: PLW2901  # the part of it that lies in here
        if first >= end:
            continue
        if at < first:
            kept.append((at, first))
        gone.append((first, end))
        at = end
    if at < tail:
        kept.append((at, tail))
    return kept, gone
