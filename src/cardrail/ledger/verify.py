"""The proof that the books agree with themselves: every sum computed again from the transfers, by the database, in a few passes.

The sums run inside the database and only what differs comes out, so a million transfers cost no memory here. The equations are those of
``model``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.ledger.model import AccountName, Phase, Purpose, TransferPurpose, account_parts
from cardrail.ledger.tables import accounts, holds, transfers
from cardrail.storage import Check, Finding, Tx

Fault = tuple[str, str, str]
"""Subject, what was expected, what was found."""

_STREAM: Final = {"yield_per": 500}
_t = transfers.c
_is_posted = _t.phase == Phase.POSTED.value
_is_pending = _t.phase == Phase.PENDING.value
_amount_if_posted = sa.case((_is_posted, _t.amount_minor), else_=0)
_held = sa.case((_t.hold_id.is_(None), 0), (_is_pending, _t.amount_minor), else_=-_t.amount_minor)

# --- debits equal credits ---------------------------------------------------------------------------------------------

_SIDES: Final = sa.select(
    accounts.c.currency,
    accounts.c.mode,
    sa.func.sum(accounts.c.debits_posted),
    sa.func.sum(accounts.c.credits_posted),
    sa.func.sum(accounts.c.debits_pending),
    sa.func.sum(accounts.c.credits_pending),
).group_by(accounts.c.currency, accounts.c.mode)


def _unbalanced(tx: Tx) -> Iterator[Fault]:
    for currency, mode, debits, credited, held, promised in tx.execute(_SIDES):
        if debits != credited:
            yield f"{currency} {mode}", f"posted debits of {debits} equal posted credits", f"posted credits of {credited}"
        if held != promised:
            yield f"{currency} {mode}", f"pending debits of {held} equal pending credits", f"pending credits of {promised}"


# --- an account row is the sum of its transfers -----------------------------------------------------------------------

_zero: Final = sa.literal(0, sa.BigInteger)


def _entry(account: Any, **sums: Any) -> sa.Select[Any]:
    """One side of transfers: which account, and what it adds to each sum."""
    names = ("debits_posted", "debits_pending", "credits_posted", "credits_pending")
    return sa.select(account.label("account"), *[sums.get(name, _zero).label(name) for name in names])


_entries: Final = sa.union_all(
    _entry(_t.debit, debits_posted=_amount_if_posted, debits_pending=_held),
    _entry(_t.credit, credits_posted=_amount_if_posted),
    # A post may credit another account than the one that its hold had promised it to.
    _entry(holds.c.credit, credits_pending=_held).select_from(transfers.join(holds, holds.c.id == _t.hold_id)),
).subquery()
_SUMS: Final = ("debits_posted", "debits_pending", "credits_posted", "credits_pending")
_totals: Final = (
    sa.select(_entries.c.account, *[sa.func.sum(_entries.c[name]).label(name) for name in _SUMS])
    .group_by(_entries.c.account)
    .subquery()
)
_COMPARED: Final = (
    sa.select(
        accounts.c.name,
        *[accounts.c[name] for name in _SUMS],
        *[sa.func.coalesce(_totals.c[name], 0).label(f"sum_{name}") for name in _SUMS],
    )
    .select_from(accounts.outerjoin(_totals, _totals.c.account == accounts.c.name))
    .where(sa.or_(*[accounts.c[name] != sa.func.coalesce(_totals.c[name], 0) for name in _SUMS]))
    .order_by(accounts.c.name)
)


def _account_sums(tx: Tx) -> Iterator[Fault]:
    for facts in tx.execute(_COMPARED, execution_options=_STREAM).mappings():
        for name in _SUMS:
            if facts[name] != facts[f"sum_{name}"]:
                yield facts["name"], f"{name} is {facts[f'sum_{name}']}, the sum of its transfers", f"{name} is {facts[name]}"


# --- wallets ----------------------------------------------------------------------------------------------------------

_available = accounts.c.credits_posted - accounts.c.debits_posted - accounts.c.debits_pending + accounts.c.credit_limit_minor
_WALLETS: Final = (
    sa.select(accounts.c.name, _available.label("available"), accounts.c.debt_minor)
    .where(
        accounts.c.purpose == Purpose.WALLET.value,
        accounts.c.debt_minor != sa.case((_available < 0, -_available), else_=0),
    )
    .order_by(accounts.c.name)
)


def _overdrawn(tx: Tx) -> Iterator[Fault]:
    for name, available, debt in tx.execute(_WALLETS):
        if available < 0 and debt < -available:
            yield name, f"nothing is available below zero beyond the debt of {debt}", f"{available} is available"
        else:
            yield name, f"a debt of {max(0, -available)}, as {available} is available", f"a debt of {debt}"


# --- transfers --------------------------------------------------------------------------------------------------------

_debited, _credited = accounts.alias("debited"), accounts.alias("credited")
_STRAY: Final = (
    sa.select(
        _t.id,
        _t.debit,
        _t.credit,
        _t.currency,
        _t.mode,
        _t.partner_id,
        _debited.c.currency.label("debit_currency"),
        _debited.c.mode.label("debit_mode"),
        _credited.c.currency.label("credit_currency"),
        _credited.c.mode.label("credit_mode"),
    )
    .select_from(
        transfers.outerjoin(_debited, _debited.c.name == _t.debit).outerjoin(_credited, _credited.c.name == _t.credit),
    )
    .where(
        sa.or_(
            _debited.c.name.is_(None),
            _credited.c.name.is_(None),
            _debited.c.currency != _t.currency,
            _credited.c.currency != _t.currency,
            _debited.c.mode != _t.mode,
            _credited.c.mode != _t.mode,
            sa.and_(_debited.c.purpose == Purpose.WALLET.value, _t.partner_id.is_distinct_from(_debited.c.owner)),
            sa.and_(_credited.c.purpose == Purpose.WALLET.value, _t.partner_id.is_distinct_from(_credited.c.owner)),
        )
    )
    .order_by(_t.id)
)


def _stray_transfers(tx: Tx) -> Iterator[Fault]:
    for row in tx.execute(_STRAY, execution_options=_STREAM):
        sides = ((row.debit, row.debit_currency, row.debit_mode), (row.credit, row.credit_currency, row.credit_mode))
        told = False
        for name, currency, mode in sides:
            if currency is None:
                told = True
                yield row.id, f"the account {name} exists", "there is no such account"
            elif (currency, mode) != (row.currency, row.mode):
                told = True
                yield row.id, f"{name} is in {row.currency} {row.mode} like its transfer", f"it is in {currency} {mode}"
        if not told:
            owners = {account_parts(AccountName(name)).owner for name in (row.debit, row.credit)}
            yield (
                row.id,
                f"its wallet belongs to partner {row.partner_id}",
                f"its accounts belong to {' and '.join(sorted(owners))}",
            )


_ACCOUNT_NAMES: Final = sa.select(accounts).order_by(accounts.c.name)


def _misnamed_accounts(tx: Tx) -> Iterator[Fault]:
    for row in tx.execute(_ACCOUNT_NAMES, execution_options=_STREAM):
        parts = [row.owner, row.purpose, row.currency, row.mode, *([row.node] if row.node else [])]
        if row.name != ":".join(parts):
            yield row.name, f"a row for {':'.join(parts)}, as its columns say", f"the name {row.name}"


# --- holds ------------------------------------------------------------------------------------------------------------


def _moved(phase: Phase) -> sa.Label[Any]:
    return sa.func.coalesce(sa.func.sum(sa.case((_t.phase == phase.value, _t.amount_minor), else_=0)), 0).label(phase.value)


_by_hold: Final = (
    sa.select(_t.hold_id, _moved(Phase.PENDING), _moved(Phase.POSTED), _moved(Phase.VOID))
    .where(_t.hold_id.is_not(None))
    .group_by(_t.hold_id)
    .subquery()
)
_HOLD_PARTS: Final = (("amount_minor", "pending"), ("posted_minor", "posted"), ("voided_minor", "void"))
_HOLDS: Final = (
    sa.select(
        sa.func.coalesce(holds.c.id, _by_hold.c.hold_id).label("hold_id"),
        *[holds.c[column] for column, _ in _HOLD_PARTS],
        *[sa.func.coalesce(_by_hold.c[phase], 0).label(phase) for _, phase in _HOLD_PARTS],
    )
    .select_from(holds.outerjoin(_by_hold, _by_hold.c.hold_id == holds.c.id, full=True))
    .where(
        sa.or_(
            holds.c.id.is_(None),
            *[holds.c[column] != sa.func.coalesce(_by_hold.c[phase], 0) for column, phase in _HOLD_PARTS],
        )
    )
)


def _hold_sums(tx: Tx) -> Iterator[Fault]:
    for facts in tx.execute(_HOLDS, execution_options=_STREAM).mappings():
        if facts["amount_minor"] is None:
            yield facts["hold_id"], "a hold for the transfers that name it", "there is no such hold"
            continue
        for column, phase in _HOLD_PARTS:
            if facts[column] != facts[phase]:
                yield (
                    facts["hold_id"],
                    f"{column} is {facts[phase]}, the sum of its {phase} transfers",
                    f"{column} is {facts[column]}",
                )


# --- reversals --------------------------------------------------------------------------------------------------------

_original = transfers.alias("original")
_REVERSALS: Final = (
    sa.select(_t.id, _t.reverses, _original.c.id.label("original_id"))
    .select_from(transfers.outerjoin(_original, _original.c.id == _t.reverses))
    .where(
        _t.reverses.is_not(None),
        sa.or_(
            _original.c.id.is_(None),
            _original.c.debit != _t.credit,
            _original.c.credit != _t.debit,
            _original.c.amount_minor != _t.amount_minor,
            _original.c.currency != _t.currency,
            _original.c.mode != _t.mode,
            _original.c.phase != Phase.POSTED.value,
            _t.phase != Phase.POSTED.value,
        ),
    )
)


def _odd_reversals(tx: Tx) -> Iterator[Fault]:
    for transfer_id, reverses, original_id in tx.execute(_REVERSALS):
        if original_id is None:
            yield transfer_id, f"the transfer {reverses} that it undoes", "there is no such transfer"
        else:
            yield transfer_id, f"the sides of {reverses} swapped, with its amount, currency and mode", "something else"


LEDGER_CHECKS: Final = (
    Check("balanced", "In every currency and mode debits equal credits", _unbalanced),
    Check("account_sums", "Every account is the sum of its transfers", _account_sums),
    Check("account_names", "Every account is what its name says", _misnamed_accounts),
    Check("wallets", "No wallet is overdrawn", _overdrawn),
    Check("transfers", "Every transfer joins two accounts of its currency and mode", _stray_transfers),
    Check("holds", "Every hold is the sum of its transfers", _hold_sums),
    Check("reversals", "Every reversal mirrors its original", _odd_reversals),
)
"""The ledger's own rules."""


def verify_ledger(tx: Tx) -> list[Finding]:
    """What is not right in the ledger, nothing if all is. Run it inside ``db.read()``."""
    return [finding for check in LEDGER_CHECKS for finding in check.run(tx)]


# --- for whoever checks the ledger against something else -------------------------------------------------------------

_CHARGES: Final = (TransferPurpose.SALE.value, TransferPurpose.FEE.value, TransferPurpose.TAX.value)


def _sum_where(condition: Any, amount: Any) -> Any:
    return sa.func.sum(sa.case((condition, amount), else_=0))


_ORDER_SUMS: Final = (
    sa.select(
        _t.order_id,
        _sum_where(sa.and_(_is_posted, _t.purpose.in_(_CHARGES)), _t.amount_minor),
        _sum_where(sa.and_(_is_posted, _t.purpose == TransferPurpose.REFUND.value), _t.amount_minor),
        sa.func.sum(_held),
    )
    .where(_t.order_id.is_not(None), _t.partner_id.is_not(None))
    .group_by(_t.order_id)
    .order_by(_t.order_id)
)
_is_stock_debit: Final = _t.debit.like("platform:stock:%")
_is_stock_credit: Final = _t.credit.like("platform:stock:%")
_LOT_SUMS: Final = (
    sa.select(
        _t.reference,
        _t.currency,
        _t.mode,
        sa.func.sum(sa.case((_is_stock_debit, _t.amount_minor), else_=0) - sa.case((_is_stock_credit, _t.amount_minor), else_=0)),
    )
    .where(_is_posted, sa.or_(_is_stock_debit, _is_stock_credit))
    .group_by(_t.reference, _t.currency, _t.mode)
    .order_by(_t.reference)
)


def order_sums(tx: Tx) -> Iterator[tuple[str, int, int, int]]:
    """(order id, charged, refunded, still held) of every order that moved money, in the order of ids."""
    for order_id, charged, refunded, held in tx.execute(_ORDER_SUMS, execution_options=_STREAM):
        yield order_id, int(charged), int(refunded), int(held)


def stock_sums(tx: Tx) -> Iterator[tuple[str | None, str, Mode, int]]:
    """(lot id, currency, mode, value) that the stock accounts carry for each lot."""
    for lot_id, currency, mode, value in tx.execute(_LOT_SUMS, execution_options=_STREAM):
        yield lot_id, currency, Mode(mode), int(value)
