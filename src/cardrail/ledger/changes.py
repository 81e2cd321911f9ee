"""What changed what a partner can spend, by pages: for callers who know one balance, and neither holds nor posts of them.

Money leaves when it is set aside, so the charge of a hold changes nothing more, and what a hold gives back comes in. What an order
takes at one moment (price, fee, tax, and what it sets aside) is one change, told by the first transfer of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode, to_micros
from cardrail.ledger import store
from cardrail.ledger.model import AccountName, Phase, Transfer, TransferPurpose, wallet
from cardrail.ledger.tables import transfers
from cardrail.storage import Tx

_t = transfers.c
_earlier: Final = transfers.alias("earlier")
_FOLLOWING: Final = [TransferPurpose.FEE.value, TransferPurpose.TAX.value, TransferPurpose.HOLD.value]


class BalanceChange(NamedTuple):
    """One change of what a partner can spend."""

    transfer: Transfer
    """The first of the change; its amount is not the whole where others follow it."""
    change_minor: int
    after_minor: int
    """What he could spend after it, at the credit limit of today."""
    credit_limit_minor: int


def slice_changes(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    currency: str,
    *,
    since: int | None,
    until: int | None,
    offset: int,
    limit: int,
) -> tuple[list[BalanceChange], int]:
    """A wallet's changes, newest first, from the ``offset``-th on, and how many there are; times in microseconds.

    The balances are reckoned back from the present one, so the transaction must see one state of the database (``db.read()``).
    """
    name = wallet(partner_id, currency, mode)
    own = sa.and_(_t.partner_id == partner_id, _t.mode == mode.value, _t.currency == currency, _moves(transfers))
    shown = sa.and_(own, sa.not_(_follows(name)), *_between(since, until))
    total = int(tx.execute(sa.select(sa.func.count()).select_from(transfers).where(shown)).scalar_one())
    if offset >= total:
        return [], total
    found = store.load_transfers(tx, shown, offset=offset, limit=limit)
    taken = _taken(tx, name, [one.order_id for one in found if one.order_id is not None])
    ((available, credit_limit),) = [
        (one.available_minor, one.credit_limit_minor)
        for one in store.load_balances(tx, partner_id, mode)
        if one.currency == currency
    ]
    change = sa.case((sa.or_(_t.phase == Phase.VOID.value, _t.credit == name), _t.amount_minor), else_=-_t.amount_minor)
    of_older = _follows(name, _earlier.c.id <= found[0].id)
    newer = sa.select(sa.func.coalesce(sa.func.sum(change), 0)).where(own, _t.id > found[0].id, sa.not_(of_older))
    after = available - int(tx.execute(newer).scalar_one())
    changes = []
    for one in found:
        is_in = one.phase is Phase.VOID or one.credit == name
        amount = one.amount_minor if is_in else -taken.get((one.order_id, to_micros(one.created_at)), one.amount_minor)
        changes.append(BalanceChange(one, amount, after, credit_limit))
        after -= amount
    return changes, total


def _moves(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether it changes what can be spent: not where it charges a hold."""
    return sa.or_(table.c.phase != Phase.POSTED.value, table.c.hold_id.is_(None))


def _follows(name: AccountName, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether it is told by an earlier transfer, of the same order and moment, for which the conditions hold."""
    e = _earlier.c
    is_earlier = (e.order_id == _t.order_id, e.created_at == _t.created_at, e.debit == name, e.id < _t.id)
    leads = (e.phase != Phase.VOID.value, _moves(_earlier))
    return sa.and_(
        _t.purpose.in_(_FOLLOWING),
        sa.exists(sa.select(sa.literal(1)).select_from(_earlier).where(*is_earlier, *leads, *conditions)),
    )


def _taken(tx: Tx, name: AccountName, order_ids: list[str]) -> dict[tuple[str | None, int], int]:
    """What these orders took of the wallet at each moment."""
    query = (
        sa.select(_t.order_id, _t.created_at, sa.func.sum(_t.amount_minor))
        .where(_t.order_id.in_(order_ids), _t.debit == name, _t.phase != Phase.VOID.value, _moves(transfers))
        .group_by(_t.order_id, _t.created_at)
    )
    return {(order_id, at): int(amount) for order_id, at, amount in tx.execute(query)}


def _between(since: int | None, until: int | None) -> list[sa.ColumnElement[bool]]:
    found = []
    if since is not None:
        found.append(_t.created_at >= since)
    if until is not None:
        found.append(_t.created_at < until)
    return found
