"""A partner's wallets as a list of entries: one for all that an order took, one for each refund, one for each credit or debit by hand.

For callers who know neither holds nor parts of a charge. An order's entry is pending while any of its money is set aside, completed once
what was charged is all there is, failed if everything was given back before it was charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.ledger.model import Phase, TransferPurpose
from cardrail.ledger.tables import transfers
from cardrail.storage import Tx

PENDING: Final = "pending"
COMPLETED: Final = "completed"
FAILED: Final = "failed"

_t = transfers.c
_TAKEN_BY_ORDER: Final = [
    one.value
    for one in (TransferPurpose.SALE, TransferPurpose.FEE, TransferPurpose.TAX, TransferPurpose.HOLD, TransferPurpose.VOID)
]


class WalletEntry(NamedTuple):
    """One entry."""

    id: str
    """Of its first transfer."""
    order_id: str | None
    currency: str
    is_credit: bool
    amount_minor: int
    state: str
    purpose: str
    """ledger.model.TransferPurpose; of an order's own entry, "sale"."""
    created_at: int


def _sum(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, _t.amount_minor), else_=0)), 0)


_is_order: Final = sa.and_(_t.order_id.is_not(None), _t.purpose.in_(_TAKEN_BY_ORDER))
_is_refund: Final = sa.and_(_t.order_id.is_not(None), _t.purpose == TransferPurpose.REFUND.value)
_key: Final = sa.case((_is_order, _t.order_id), (_is_refund, _t.order_id + ":" + sa.cast(_t.created_at, sa.Text)), else_=_t.id)
_wallet_name: Final = _t.partner_id + ":wallet:" + _t.currency + ":" + _t.mode
_posted: Final = _sum(_t.phase == Phase.POSTED.value)
_held: Final = (
    _sum(_t.phase == Phase.PENDING.value)
    - _sum(_t.phase == Phase.VOID.value)
    - _sum(sa.and_(_t.phase == Phase.POSTED.value, _t.hold_id.is_not(None)))
)
_taken: Final = _sum(_t.phase == Phase.PENDING.value)
_state: Final = sa.case((_held > 0, PENDING), (_posted > 0, COMPLETED), else_=FAILED)
_amount: Final = sa.case((_held > 0, _posted + _held), (_posted > 0, _posted), else_=_taken)
_is_credit: Final = sa.func.max(sa.case((sa.and_(_t.phase == Phase.POSTED.value, _t.credit == _wallet_name), 1), else_=0))
_ENTRIES: Final = sa.select(
    sa.func.min(_t.id).label("id"),
    sa.func.max(_t.order_id).label("order_id"),
    sa.func.max(_t.currency).label("currency"),
    _is_credit.label("is_credit"),
    _amount.label("amount_minor"),
    _state.label("state"),
    sa.func.max(sa.case((_is_order, TransferPurpose.SALE.value), else_=_t.purpose)).label("purpose"),
    sa.func.min(_t.created_at).label("created_at"),
).group_by(_key)
_SORTS: Final = {"id": "id", "amount": "amount_minor", "created_at": "created_at"}


def slice_entries(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    *,
    currency: str | None = None,
    is_credit: bool | None = None,
    state: str | None = None,
    sort: str = "id",
    descending: bool = True,
    offset: int,
    limit: int,
) -> tuple[list[WalletEntry], int]:
    """A page of a partner's entries from the ``offset``-th on, and how many there are. ``sort``: id, amount or created_at.

    All the partner's transfers are added up for it: for callers who count pages. The native API's cursors cost less.
    """
    query = _ENTRIES.where(_t.partner_id == partner_id, _t.mode == mode.value)
    if currency is not None:
        query = query.where(_t.currency == currency)
    found = query.subquery()
    conditions: list[sa.ColumnElement[bool]] = []
    if is_credit is not None:
        conditions.append(found.c.is_credit == int(is_credit))
    if state is not None:
        conditions.append(found.c.state == state)
    total = int(tx.execute(sa.select(sa.func.count()).select_from(found).where(*conditions)).scalar_one())
    if offset >= total:
        return [], total
    by = found.c[_SORTS[sort]]
    order = (by.desc(), found.c.id.desc()) if descending else (by.asc(), found.c.id.asc())
    rows = tx.execute(sa.select(found).where(*conditions).order_by(*order).offset(offset).limit(limit))
    return [_entry(row) for row in rows], total


def order_entry(tx: Tx, partner_id: str, mode: Mode, order_id: str) -> WalletEntry | None:
    """What an order of the partner took; None if nothing."""
    return _one(tx, [_t.order_id == order_id, _is_order, _t.partner_id == partner_id, _t.mode == mode.value])


def entries_between(tx: Tx, partner_id: str, mode: Mode, first: str, last: str) -> list[WalletEntry]:
    """The partner's entries whose id lies from ``first`` to before ``last``, but for those of what orders took."""
    own = (_t.partner_id == partner_id, _t.mode == mode.value)
    near = sa.select(_t.id, _t.order_id, _t.created_at, _is_refund.label("is_refund")).where(
        *own, _t.id >= first, _t.id < last, sa.not_(_is_order)
    )
    found: dict[str, WalletEntry] = {}
    for row in tx.execute(near.order_by(_t.id)):
        whose: Sequence[Any] = [_t.order_id == row.order_id, _t.created_at == row.created_at, _is_refund]
        entry = _one(tx, [*own, *(whose if row.is_refund else [_t.id == row.id])])
        if entry is not None and first <= entry.id < last:
            found[entry.id] = entry
    return list(found.values())


def _one(tx: Tx, conditions: Sequence[Any]) -> WalletEntry | None:
    row = tx.execute(_ENTRIES.where(*conditions)).first()
    return None if row is None else _entry(row)


def _entry(row: Any) -> WalletEntry:
    return WalletEntry(
        row.id, row.order_id, row.currency, bool(row.is_credit), int(row.amount_minor), row.state, row.purpose, row.created_at
    )
