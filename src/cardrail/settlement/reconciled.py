"""Which orders are reconciled: a fact that surfaces show beside an order's state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from cardrail.settlement.tables import reconciled
from cardrail.storage import Tx

_RECONCILED: Final = (
    sa.select(reconciled.c.order_id)
    .where(reconciled.c.order_id.in_(sa.bindparam("ids", expanding=True)))
    .group_by(reconciled.c.order_id)
    .having(sa.func.min(sa.case((reconciled.c.is_settled, 1), else_=0)) == 1)
)


def reconciled_orders(tx: Tx, order_ids: Iterable[str]) -> set[str]:
    """Those of the orders whose purchases a supplier's statement named, each of them equal to ours or resolved."""
    ids = list(order_ids)
    return set(tx.execute(_RECONCILED, {"ids": ids}).scalars()) if ids else set()
