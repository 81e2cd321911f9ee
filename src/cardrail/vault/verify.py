"""The vault's own proof: slices lie inside their lots and apart from one another, and every code that a lot promises is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from cardrail.kernel import Mode, share
from cardrail.storage import Check, Tx
from cardrail.vault.model import LotKind, LotState
from cardrail.vault.tables import codes, lots, slices

Fault = tuple[str, str, str]
"""Subject, what was expected, what was found."""

_STREAM: Final = {"yield_per": 500}
_SLICES: Final = (
    sa.select(
        slices.c.id,
        slices.c.lot_id,
        slices.c.head,
        slices.c.tail,
        slices.c.denomination_id,
        slices.c.face_minor,
        slices.c.mode,
        lots.c.kind,
        lots.c.state,
        lots.c.count.label("lot_count"),
        lots.c.denomination_id.label("lot_denomination_id"),
        lots.c.face_minor.label("lot_face_minor"),
        lots.c.mode.label("lot_mode"),
        lots.c.cost_minor,
        lots.c.cost_currency,
    )
    .join(lots, lots.c.id == slices.c.lot_id)
    .where(slices.c.head < slices.c.tail)
    .order_by(slices.c.lot_id, slices.c.head, slices.c.id)
)


def _odd_slices(tx: Tx) -> Iterator[Fault]:
    lot_id, end, before = "", 0, ""
    for one in tx.execute(_SLICES, execution_options=_STREAM):
        if one.lot_id != lot_id:
            lot_id, end, before = one.lot_id, 0, ""
        if one.state != LotState.OPEN.value:
            yield one.id, "nothing for sale from a lot that is not open", f"lot {lot_id} is {one.state}"
        if one.kind != LotKind.SHARED.value and one.tail > one.lot_count:
            yield one.id, f"codes below {one.lot_count}, as lot {lot_id} has so many", f"codes {one.head} to {one.tail - 1}"
        lot_facts = (one.lot_denomination_id, one.lot_face_minor, one.lot_mode)
        if (one.denomination_id, one.face_minor, one.mode) != lot_facts:
            yield one.id, f"denomination, face value and mode of lot {lot_id}", "others"
        if one.head < end:
            yield (
                one.id,
                f"codes that are in no other slice, from {end} of lot {lot_id} on",
                f"code {one.head}, which {before} has too",
            )
        if one.tail > end:
            end, before = one.tail, one.id


_CODES: Final = (
    sa.select(
        lots.c.id,
        lots.c.count.label("lot_count"),
        sa.func.count(codes.c.seq).label("codes"),
        sa.func.max(codes.c.seq).label("last"),
    )
    .select_from(lots.outerjoin(codes, codes.c.lot_id == lots.c.id))
    .where(lots.c.state == LotState.OPEN.value, lots.c.kind != LotKind.SHARED.value)
    .group_by(lots.c.id, lots.c.count)
    .having(sa.or_(sa.func.count(codes.c.seq) != lots.c.count, sa.func.max(codes.c.seq) != lots.c.count - 1))
    .order_by(lots.c.id)
)


def _missing_codes(tx: Tx) -> Iterator[Fault]:
    for lot_id, count, found, last in tx.execute(_CODES):
        yield lot_id, f"{count} codes, numbered 0 to {count - 1}", f"{found} codes, the last numbered {last}"


VAULT_CHECKS: Final = (
    Check("slices", "What is for sale lies in its lot, each code once", _odd_slices),
    Check("codes", "Every lot has all its codes", _missing_codes),
)
"""The vault's own rules."""

_LOTS: Final = sa.select(lots.c.id, lots.c.count, lots.c.state).where(lots.c.kind != LotKind.SHARED.value).order_by(lots.c.id)


def lot_counts(tx: Tx) -> dict[str, int]:
    """How many codes each open lot has; shared lots left out."""
    return {lot_id: count for lot_id, count, state in tx.execute(_LOTS) if state == LotState.OPEN.value}


def unsold_spans(tx: Tx) -> Iterator[tuple[str, int, int, str]]:
    """(lot id, first seq, end, slice id) of what is for sale, in this order; shared lots left out."""
    for one in tx.execute(_SLICES, execution_options=_STREAM):
        if one.kind != LotKind.SHARED.value:
            yield one.lot_id, one.head, one.tail, one.id


def unsold_costs(tx: Tx) -> dict[tuple[str, str, Mode], int]:
    """What the unsold codes of each lot cost us, by lot, currency and mode."""
    total: dict[tuple[str, str, Mode], int] = {}
    for one in tx.execute(_SLICES, execution_options=_STREAM):
        if one.cost_minor and one.cost_currency and one.kind != LotKind.SHARED.value:
            key = (one.lot_id, one.cost_currency, Mode(one.lot_mode))
            total[key] = total.get(key, 0) + share(one.cost_minor, one.lot_count, one.head, one.tail - one.head)
    return total
