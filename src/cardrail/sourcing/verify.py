"""What `cardrail verify` asks of sourcing: its own sums, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from cardrail.sourcing.model import ProcurementState
from cardrail.sourcing.store import is_open_attempt
from cardrail.sourcing.tables import attempts, procurements
from cardrail.storage import Tx

_STREAM: Final = {"yield_per": 500}
_of_attempts: Final = (
    sa.select(
        attempts.c.order_id,
        attempts.c.line,
        sa.func.sum(attempts.c.delivered).label("delivered"),
        sa.func.sum(sa.case((is_open_attempt, attempts.c.quantity), else_=0)).label("open"),
    )
    .group_by(attempts.c.order_id, attempts.c.line)
    .subquery()
)
_SUMS: Final = (
    sa.select(
        procurements.c.order_id,
        procurements.c.line,
        procurements.c.state,
        procurements.c.quantity,
        procurements.c.delivered,
        sa.func.coalesce(_of_attempts.c.delivered, 0).label("bought"),
        sa.func.coalesce(_of_attempts.c.open, 0).label("open"),
    )
    .select_from(
        procurements.outerjoin(
            _of_attempts,
            sa.and_(_of_attempts.c.order_id == procurements.c.order_id, _of_attempts.c.line == procurements.c.line),
        )
    )
    .order_by(procurements.c.order_id, procurements.c.line)
)


@dataclass(frozen=True, slots=True)
class ProcurementSum:
    """An item that waited for suppliers, beside what its attempts say."""

    order_id: str
    line: int
    state: ProcurementState
    quantity: int
    delivered: int
    bought: int
    """Units that its attempts delivered to it."""
    open: int
    """Units of attempts whose outcome is not known."""


def procurement_sums(tx: Tx) -> Iterator[ProcurementSum]:
    """Every item that waited, or waits, for suppliers, in the order of ids."""
    for row in tx.execute(_SUMS, execution_options=_STREAM):
        yield ProcurementSum(
            row.order_id, row.line, ProcurementState(row.state), row.quantity, row.delivered, int(row.bought), int(row.open)
        )
