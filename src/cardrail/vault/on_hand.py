"""What is in stock and what it cost, lot by lot: for reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode, share
from cardrail.storage import Tx
from cardrail.vault.model import LotKind, LotState
from cardrail.vault.store import Lot, load_lots
from cardrail.vault.tables import lots, slices


class StockOnHand(NamedTuple):
    """Unsold codes of one slice of a lot."""

    lot_id: str
    denomination_id: str
    mode: str
    face_minor: int
    supplier: str | None
    source: str | None
    bought_at: int
    expires_at: int
    """Microseconds; vault.NEVER where they do not expire."""
    is_frozen: bool
    unsold: int
    cost_minor: int | None
    """Of these codes; None where nobody said what the lot cost."""
    cost_currency: str | None


_ON_HAND: Final = (
    sa.select(
        slices.c.lot_id,
        slices.c.denomination_id,
        slices.c.mode,
        slices.c.face_minor,
        lots.c.supplier,
        lots.c.source,
        lots.c.created_at,
        slices.c.expires_at,
        slices.c.is_frozen,
        slices.c.head,
        slices.c.tail,
        lots.c.cost_minor,
        lots.c.cost_currency,
        lots.c.count.label("lot_count"),
    )
    .join(lots, lots.c.id == slices.c.lot_id)
    .where(slices.c.head < slices.c.tail, lots.c.kind != LotKind.SHARED.value)
    .order_by(slices.c.lot_id, slices.c.head)
)


def stock_on_hand(tx: Tx, mode: Mode | None = None) -> Iterator[StockOnHand]:
    """Every slice that has unsold codes; shared codes left out. Streamed."""
    query = _ON_HAND if mode is None else _ON_HAND.where(slices.c.mode == mode.value)
    for row in tx.execute(query, execution_options={"yield_per": 500}):
        unsold = row.tail - row.head
        known = row.cost_currency is not None
        cost = share(row.cost_minor, row.lot_count, row.head, unsold) if known else None
        yield StockOnHand(
            row.lot_id,
            row.denomination_id,
            row.mode,
            row.face_minor,
            row.supplier,
            row.source,
            row.created_at,
            row.expires_at,
            bool(row.is_frozen),
            unsold,
            cost,
            row.cost_currency,
        )


_SUPPLIED: Final = (
    sa.select(lots.c.id)
    .where(
        lots.c.supplier == sa.bindparam("supplier"), lots.c.mode == sa.bindparam("mode"), lots.c.state != LotState.LOADING.value
    )
    .order_by(lots.c.id)
)


def supplier_lots(tx: Tx, supplier: str, mode: Mode) -> list[Lot]:
    """Every lot that was bought from this supplier beforehand, by id."""
    ids = tx.execute(_SUPPLIED, {"supplier": supplier, "mode": mode.value}).scalars().all()
    found = load_lots(tx, ids)
    return [found[one] for one in sorted(found)]
