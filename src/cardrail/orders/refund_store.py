"""The statements behind refunds: which units were paid back, and which line a refund's transfer is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from cardrail.orders.replacements.tables import replacements
from cardrail.orders.tables import refund_lines, refunded_units
from cardrail.orders.units import CodeAt
from cardrail.storage import Tx

_INSERT_UNITS: Final = sa.insert(refunded_units)
_INSERT_LINES: Final = sa.insert(refund_lines)
_ids: Any = sa.bindparam("ids", expanding=True)
_u, _r = refunded_units.c, replacements.c
_REFUNDED: Final = sa.union(
    sa.select(_u.order_id, _u.line, _u.position).where(_u.order_id.in_(_ids)),
    sa.select(_r.order_id, _r.line, _r.position).where(_r.order_id.in_(_ids), _r.state == "REFUNDED"),
).order_by("order_id", "line", "position")
_LINES: Final = sa.select(refund_lines.c.transfer_id, refund_lines.c.line).where(refund_lines.c.order_id.in_(_ids))


def insert_refunded_units(
    tx: Tx, order_id: str, amounts: Sequence[tuple[CodeAt, int]], *, now: int, replacement_id: str | None = None
) -> None:
    """Write down that these units were paid back, each with its amount. The order is locked by the caller."""
    rows = [
        {
            "order_id": order_id,
            "line": unit.line,
            "position": unit.position,
            "amount_minor": amount,
            "replacement_id": replacement_id,
            "created_at": now,
        }
        for unit, amount in amounts
    ]
    if rows:
        tx.execute(_INSERT_UNITS, rows)


def insert_refund_lines(tx: Tx, order_id: str, lines: Iterable[tuple[str, int]]) -> None:
    """(transfer, line) of what was given back for units."""
    rows = [{"order_id": order_id, "transfer_id": transfer, "line": line} for transfer, line in lines]
    if rows:
        tx.execute(_INSERT_LINES, rows)


def load_refunded_units(tx: Tx, order_ids: Iterable[str]) -> dict[tuple[str, int], tuple[int, ...]]:
    """The positions of paid back units by order and line."""
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for order_id, line, position in tx.execute(_REFUNDED, {"ids": list(order_ids)}):
        found[order_id, line].append(position)
    return {place: tuple(positions) for place, positions in found.items()}


def load_refund_lines(tx: Tx, order_ids: Iterable[str]) -> dict[str, int]:
    """The line of each transfer that gave back what units of it were charged; a rebate's is not in it."""
    ids = list(order_ids)
    return {row.transfer_id: row.line for row in tx.execute(_LINES, {"ids": ids})} if ids else {}
