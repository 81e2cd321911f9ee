"""What changed what a partner can spend, by pages: for callers who know one balance, and neither holds nor posts of them.

Money leaves when it is set aside, so the charge of a hold changes nothing more, and what a hold gives back comes in.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.ledger import store
from cardrail.ledger.model import Phase, Transfer, wallet
from cardrail.ledger.tables import transfers
from cardrail.storage import Tx

_t = transfers.c


class BalanceChange(NamedTuple):
    """One transfer, as it changed what its partner can spend."""

    transfer: Transfer
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
    own = sa.and_(
        _t.partner_id == partner_id,
        _t.mode == mode.value,
        _t.currency == currency,
        sa.or_(_t.phase != Phase.POSTED.value, _t.hold_id.is_(None)),
    )
    asked = sa.and_(own, *_between(since, until))
    total = int(tx.execute(sa.select(sa.func.count()).select_from(transfers).where(asked)).scalar_one())
    if offset >= total:
        return [], total
    found = store.load_transfers(tx, asked, offset=offset, limit=limit)
    ((available, credit_limit),) = [
        (one.available_minor, one.credit_limit_minor)
        for one in store.load_balances(tx, partner_id, mode)
        if one.currency == currency
    ]
    is_in = sa.or_(_t.phase == Phase.VOID.value, _t.credit == name)
    change = sa.case((is_in, _t.amount_minor), else_=-_t.amount_minor)
    newer = sa.select(sa.func.coalesce(sa.func.sum(change), 0)).where(own, _t.id > found[0].id)
    after = available - int(tx.execute(newer).scalar_one())
    changes = []
    for one in found:
        is_credit = one.phase is Phase.VOID or one.credit == name
        amount = one.amount_minor if is_credit else -one.amount_minor
        changes.append(BalanceChange(one, amount, after, credit_limit))
        after -= amount
    return changes, total


def _between(since: int | None, until: int | None) -> list[sa.ColumnElement[bool]]:
    found = []
    if since is not None:
        found.append(_t.created_at >= since)
    if until is not None:
        found.append(_t.created_at < until)
    return found
