"""A wallet's movements by position: what a statement is cut from, and the sums that prove it.

Positions are given after the commit (storage.sequence), so all of a wallet's movements up to one stand still for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.ledger.model import AccountName, Phase, Purpose, TransferPurpose, account_parts
from cardrail.ledger.tables import accounts, holds, transfers
from cardrail.storage import Tx, sequenced_through


class WalletMovement(NamedTuple):
    """One posted transfer as the wallet sees it."""

    position: int
    id: str
    created_at: int
    change_minor: int
    """What it adds to the wallet's balance; negative where it takes."""
    purpose: str
    """ledger.model.TransferPurpose."""
    account: str
    """What the account on its other side is for: ledger.model.Purpose."""
    order_id: str | None
    reference: str | None
    reverses: str | None
    line: int | None
    """The order's line, where it charges a hold (a hold is one line's)."""


class WalletSums(NamedTuple):
    """What the transfers of a range of positions add up to."""

    change_minor: int
    held_minor: int
    """Set aside less charged or given back."""
    movements: int


class PartnerWallet(NamedTuple):
    """One wallet of one partner."""

    name: AccountName
    partner_id: str
    currency: str
    mode: Mode


_t = transfers.c
_after, _through = sa.bindparam("after", type_=sa.BigInteger), sa.bindparam("through", type_=sa.BigInteger)
_of_wallet: Final = (
    _t.partner_id == sa.bindparam("partner"),
    _t.mode == sa.bindparam("mode"),
    _t.currency == sa.bindparam("currency"),
)
_in_range: Final = (_t.position > _after, _t.position <= _through)
_MOVEMENTS: Final = (
    sa.select(
        _t.position,
        _t.id,
        _t.created_at,
        _t.debit,
        _t.credit,
        _t.amount_minor,
        _t.purpose,
        _t.order_id,
        _t.reference,
        _t.reverses,
        holds.c.line,
    )
    .select_from(transfers.outerjoin(holds, holds.c.id == _t.hold_id))
    .where(*_of_wallet, *_in_range, _t.phase == Phase.POSTED.value)
    .order_by(_t.position)
    .limit(sa.bindparam("most"))
)
_is_debit: Final = _t.debit == sa.bindparam("name")
_SUMS: Final = sa.select(
    sa.func.coalesce(
        sa.func.sum(sa.case((_t.phase != Phase.POSTED.value, 0), (_is_debit, -_t.amount_minor), else_=_t.amount_minor)), 0
    ),
    sa.func.coalesce(
        sa.func.sum(
            sa.case((_t.hold_id.is_(None), 0), (_t.phase == Phase.PENDING.value, _t.amount_minor), else_=-_t.amount_minor)
        ),
        0,
    ),
    sa.func.coalesce(sa.func.sum(sa.case((_t.phase == Phase.POSTED.value, 1), else_=0)), 0),
).where(*_of_wallet, *_in_range)
_LATER: Final = sa.select(sa.func.min(_t.position)).where(*_of_wallet, *_in_range, _t.created_at >= sa.bindparam("moment"))
_WAITING: Final = sa.select(
    sa.exists().where(*_of_wallet, _t.position.is_(None), _t.created_at < sa.bindparam("moment", type_=sa.BigInteger))
)
_FIRST: Final = sa.select(sa.func.min(_t.created_at)).where(*_of_wallet)
_WALLETS: Final = (
    sa.select(accounts.c.name, accounts.c.owner, accounts.c.currency, accounts.c.mode)
    .where(accounts.c.purpose == Purpose.WALLET.value)
    .order_by(accounts.c.name)
)


def _named(name: AccountName) -> dict[str, Any]:
    parts = account_parts(name)
    return {"name": name, "partner": parts.owner, "mode": parts.mode.value, "currency": parts.currency}


def partner_wallets(tx: Tx, partner_id: str | None = None, mode: Mode | None = None) -> list[PartnerWallet]:
    """All wallets, or one partner's, by name."""
    query = _WALLETS if partner_id is None else _WALLETS.where(accounts.c.owner == partner_id)
    if mode is not None:
        query = query.where(accounts.c.mode == mode.value)
    return [PartnerWallet(AccountName(row[0]), row[1], row[2], Mode(row[3])) for row in tx.execute(query)]


def wallet_movements(tx: Tx, name: AccountName, *, after: int, through: int, limit: int) -> list[WalletMovement]:
    """Posted movements of a wallet at positions after ``after`` up to ``through``, in that order, ``limit`` at most."""
    facts = {**_named(name), "after": after, "through": through, "most": limit}
    kinds: dict[str, str] = {}
    found = []
    rows = tx.execute(_MOVEMENTS, facts).fetchall()
    for position, id_, created_at, debit, credit, amount, purpose, order_id, reference, reverses, line in rows:
        is_debit = debit == name
        other = credit if is_debit else debit
        kind = kinds.get(other)
        if kind is None:
            kind = kinds[other] = account_parts(other).purpose.value
        change = -amount if is_debit else amount
        found.append(WalletMovement(position, id_, created_at, change, purpose, kind, order_id, reference, reverses, line))
    return found


def wallet_sums(tx: Tx, name: AccountName, *, after: int, through: int) -> WalletSums:
    """What the transfers of a wallet in that range of positions add up to, summed by the database."""
    change, held, count = tx.execute(_SUMS, {**_named(name), "after": after, "through": through}).one()
    return WalletSums(int(change), int(held), int(count))


def wallet_cut(tx: Tx, name: AccountName, *, after: int, moment: int) -> int:
    """The last position of a period that ends at ``moment`` (microseconds): the one before the wallet's first transfer of that time or
    later, or else what is sequenced by now. ``after`` is the cut of the period before."""
    through = sequenced_through(tx, "transfers")
    later = tx.execute(_LATER, {**_named(name), "after": after, "through": through, "moment": moment}).scalar()
    return max(after, through if later is None else int(later) - 1)


def is_movement_waiting(tx: Tx, name: AccountName, moment: int) -> bool:
    """Whether a transfer of this wallet from before ``moment`` has no position yet."""
    return bool(tx.execute(_WAITING, {**_named(name), "moment": moment}).scalar_one())


def first_movement_at(tx: Tx, name: AccountName) -> int | None:
    """When the wallet was used first, in microseconds; None if it never was."""
    found = tx.execute(_FIRST, _named(name)).scalar()
    return None if found is None else int(found)


# --- everybody's ------------------------------------------------------------------------------------------------------

TransferFigures = tuple[int, str, int, str, str, int, str, str, str, str, str | None, str | None, str | None, str | None]
"""position, id, created_at, debit, credit, amount_minor, currency, mode, phase, purpose, partner, order, reference, reverses."""

_ALL: Final = (
    sa.select(
        _t.position,
        _t.id,
        _t.created_at,
        _t.debit,
        _t.credit,
        _t.amount_minor,
        _t.currency,
        _t.mode,
        _t.phase,
        _t.purpose,
        _t.partner_id,
        _t.order_id,
        _t.reference,
        _t.reverses,
    )
    .order_by(_t.id)
    .limit(sa.bindparam("most"))
)


def transfers_after(
    tx: Tx,
    after: str,
    limit: int,
    *,
    partner_id: str | None = None,
    mode: Mode | None = None,
    since: int | None = None,
    until: int | None = None,
) -> list[TransferFigures]:
    """Transfers by id, behind ``after`` (""), as plain tuples."""
    query = _ALL.where(_t.id > after)
    for given, condition in (
        (partner_id, _t.partner_id.__eq__),
        (mode.value if mode else None, _t.mode.__eq__),
        (since, _t.created_at.__ge__),
        (until, _t.created_at.__lt__),
    ):
        if given is not None:
            query = query.where(condition(given))
    return [*map(tuple, tx.execute(query, {"most": limit}).fetchall())]


_PARTS: Final = {Purpose.SALES.value: 0, Purpose.FEES.value: 1, Purpose.TAX.value: 2}
_REFUNDS: Final = sa.select(_t.id, _t.order_id, _t.debit, _t.amount_minor).where(
    _t.order_id.in_(sa.bindparam("ids", expanding=True)),
    _t.purpose == TransferPurpose.REFUND.value,
    _t.phase == Phase.POSTED.value,
)


class RefundPart(NamedTuple):
    """What one transfer gave back of an order's price (``place`` 0), fees (1) or tax (2)."""

    transfer_id: str
    place: int
    amount_minor: int


def refund_transfers(tx: Tx, order_ids: Iterable[str]) -> dict[str, list[RefundPart]]:
    """What was given back of each order; orders without a refund are absent."""
    found: dict[str, list[RefundPart]] = defaultdict(list)
    for transfer_id, order_id, debit, amount in tx.execute(_REFUNDS, {"ids": list(order_ids)}):
        found[order_id].append(RefundPart(transfer_id, _PARTS[account_parts(debit).purpose.value], amount))
    return dict(found)


class CostChange(NamedTuple):
    """What one transfer of an order changed about the cost of goods."""

    order_id: str
    reference: str | None
    currency: str
    change_minor: int
    created_at: int


_COSTS: Final = (
    sa.select(_t.order_id, _t.reference, _t.currency, _t.debit, _t.credit, _t.amount_minor, _t.created_at)
    .where(
        _t.order_id.in_(sa.bindparam("ids", expanding=True)),
        _t.purpose.in_([TransferPurpose.PURCHASE.value, TransferPurpose.WRITE_OFF.value]),
        _t.phase == Phase.POSTED.value,
    )
    .order_by(_t.id)
)


def cost_changes(tx: Tx, order_ids: Iterable[str]) -> list[CostChange]:
    """What was bought for these orders, given back for that, or written off, as the transfers that name the order say."""
    found = []
    for order_id, reference, code, debit, credit, amount, at in tx.execute(_COSTS, {"ids": list(order_ids)}):
        sides = [account_parts(one).purpose is Purpose.COST_OF_GOODS for one in (debit, credit)]
        if any(sides):
            found.append(CostChange(order_id, reference, code, amount * (sides[0] - sides[1]), at))
    return found


_TOTALS: Final = (
    sa.select(_t.currency, _t.purpose, _t.debit, _t.credit, sa.func.sum(_t.amount_minor))
    .where(
        _t.partner_id == sa.bindparam("partner"),
        _t.mode == sa.bindparam("mode"),
        _t.phase == Phase.POSTED.value,
        _t.created_at >= sa.bindparam("since", type_=sa.BigInteger),
        _t.created_at < sa.bindparam("until", type_=sa.BigInteger),
    )
    .group_by(_t.currency, _t.purpose, _t.debit, _t.credit)
)


def wallet_totals(tx: Tx, partner_id: str, mode: Mode, since: int, until: int) -> dict[str, dict[tuple[str, str], int]]:
    """Currency → (purpose, purpose of the account on the other side) → change of the wallet, of what was made in [since, until)."""
    found: dict[str, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    facts = {"partner": partner_id, "mode": mode.value, "since": since, "until": until}
    for currency, purpose, debit, credit, amount in tx.execute(_TOTALS, facts):
        is_debit = account_parts(debit).purpose is Purpose.WALLET
        other = account_parts(credit if is_debit else debit).purpose.value
        found[currency][purpose, other] += -int(amount) if is_debit else int(amount)
    return {currency: dict(totals) for currency, totals in found.items()}
