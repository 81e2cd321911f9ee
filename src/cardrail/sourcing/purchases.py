"""What we bought on demand, as plain figures: for margins, and for comparing with suppliers' own statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.sourcing.model import AttemptState
from cardrail.sourcing.tables import attempts, suppliers
from cardrail.storage import Tx


class Purchase(NamedTuple):
    """One attempt, and what it came to."""

    attempt_id: str
    order_id: str
    line: int
    supplier_id: str
    supplier: str
    """Its name."""
    reference: str
    """Ours, as it was sent."""
    supplier_order_id: str | None
    state: str
    """sourcing.model.AttemptState."""
    delivered: int
    cost_minor: int | None
    cost_currency: str
    asked_at: int


_a = attempts.c
_PURCHASES: Final = sa.select(
    _a.id,
    _a.order_id,
    _a.line,
    _a.supplier_id,
    suppliers.c.name,
    _a.reference,
    _a.supplier_order_id,
    _a.state,
    _a.delivered,
    _a.cost_minor,
    _a.cost_currency,
    _a.asked_at,
).join(suppliers, suppliers.c.id == _a.supplier_id)
_OF_ORDERS: Final = _PURCHASES.where(
    _a.order_id.in_(sa.bindparam("ids", expanding=True)), _a.state == AttemptState.DELIVERED.value
).order_by(_a.order_id, _a.line, _a.n)


def delivered_purchases(tx: Tx, order_ids: Iterable[str]) -> dict[tuple[str, int], list[Purchase]]:
    """What suppliers delivered for these orders, by order and line."""
    found: dict[tuple[str, int], list[Purchase]] = defaultdict(list)
    for row in tx.execute(_OF_ORDERS, {"ids": list(order_ids)}):
        one = Purchase._make(row)
        found[one.order_id, one.line].append(one)
    return dict(found)


def purchases_of(tx: Tx, supplier: str, mode: Mode, since: int | None, until: int | None) -> Iterator[Purchase]:
    """What was asked of a supplier (its id or its name) in [since, until), microseconds, in the order of our references; streamed."""
    query = _PURCHASES.where(sa.or_(_a.supplier_id == supplier, suppliers.c.name == supplier), _a.mode == mode.value)
    if since is not None:
        query = query.where(_a.asked_at >= since)
    if until is not None:
        query = query.where(_a.asked_at < until)
    for row in tx.execute(query.order_by(_a.reference), execution_options={"yield_per": 500}):
        yield Purchase._make(row)


def purchases_by_key(tx: Tx, supplier: str, mode: Mode, keys: Iterable[str], *, by_theirs: bool) -> list[Purchase]:
    """What was asked of a supplier under these of our references, or under these of its own numbers; of any time."""
    column = _a.supplier_order_id if by_theirs else _a.reference
    query = _PURCHASES.where(
        column.in_(list(keys)), sa.or_(_a.supplier_id == supplier, suppliers.c.name == supplier), _a.mode == mode.value
    )
    return [Purchase._make(row) for row in tx.execute(query.order_by(_a.id))]


def all_purchases(tx: Tx) -> Iterator[list[Purchase]]:
    """Everything that was ever asked of a supplier, a few hundred at a time."""
    found = tx.execute(_PURCHASES.order_by(_a.id), execution_options={"yield_per": 500})
    for rows in found.partitions():
        yield [Purchase._make(row) for row in rows]
