"""What an operator does to a wallet: credit it, correct it, set its limit, undo a mistake. Each writes a transfer, an event and an audit row.

A credit or debit may carry a reference (a bank statement's line). It belongs to that wallet for ever: the same reference with the same
amount changes nothing and answers with the first transfer, with another amount it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from cardrail.kernel import Mode, Money, TransferId, new_event_id, new_transfer_id, to_micros
from cardrail.ledger import store
from cardrail.ledger.errors import (
    AccountFull,
    AlreadyReversed,
    AmountNotPositive,
    CreditInUse,
    InsufficientFunds,
    NotReversible,
    TransferNotFound,
    TransferReferenceUsed,
    WalletNotFound,
)
from cardrail.ledger.model import (
    REVERSIBLE,
    SUM_MAX,
    AccountName,
    Movement,
    Phase,
    Purpose,
    Transfer,
    TransferPurpose,
    Wallet,
    debt_after,
    platform,
    wallet,
)
from cardrail.storage import AuditLog, Tx, audit_entry, insert_events


@dataclass(frozen=True, slots=True)
class By:
    """Who changes money, when, from where, and into which books."""

    at: datetime
    actor: str
    audit: AuditLog
    node: str
    """This process's part of the platform accounts."""
    origin: str | None = None


def open_wallet(tx: Tx, partner_id: str, currency: str, mode: Mode, now: datetime) -> Wallet:
    """The partner's wallet, locked; opened if this is its first use."""
    name = wallet(partner_id, currency, mode)
    store.open_account(tx, name, to_micros(now))
    return store.load_wallets(tx, [name])[name]


def credit(tx: Tx, by: By, partner_id: str, amount: Money, mode: Mode, *, reference: str | None = None) -> Movement:
    """Add money that was received to a partner's wallet; it repays debt first. Opens the wallet on first use.

    Raises AmountNotPositive, AccountFull, TransferReferenceUsed.
    """
    _check_positive(amount.minor)
    purse = open_wallet(tx, partner_id, amount.currency.code, mode, by.at)
    first = _first(tx, purse, partner_id, mode, TransferPurpose.CREDIT, amount.minor, reference)
    if first is not None:
        return Movement(first, is_new=False)
    bank = platform(Purpose.BANK, purse.currency, mode, by.node)
    transfer = _credit_side(tx, by, purse, bank, amount.minor, TransferPurpose.CREDIT, partner_id, mode, reference=reference)
    _tell(tx, by, "credited", transfer, purse.name)
    return Movement(transfer, is_new=True)


def debit(
    tx: Tx, by: By, partner_id: str, amount: Money, mode: Mode, *, reference: str | None = None, allow_debt: bool = False
) -> Movement:
    """Take money from a partner's wallet: a correction, or a payout.

    Beyond what is available only with ``allow_debt``: then the wallet is in debt, and sells nothing until it is repaid.
    Raises AmountNotPositive, WalletNotFound, InsufficientFunds, AccountFull, TransferReferenceUsed.
    """
    _check_positive(amount.minor)
    purse = _load(tx, wallet(partner_id, amount.currency.code, mode))
    first = _first(tx, purse, partner_id, mode, TransferPurpose.DEBIT, amount.minor, reference)
    if first is not None:
        return Movement(first, is_new=False)
    bank = platform(Purpose.BANK, purse.currency, mode, by.node)
    transfer = _debit_side(
        tx, by, purse, bank, amount.minor, TransferPurpose.DEBIT, partner_id, mode, reference=reference, allow_debt=allow_debt
    )
    _tell(tx, by, "debited", transfer, purse.name)
    return Movement(transfer, is_new=True)


def set_credit_limit(tx: Tx, by: By, partner_id: str, limit: Money, mode: Mode) -> Wallet:
    """Let a partner's wallet go below zero by up to ``limit``. Opens the wallet on first use. A higher limit covers debt.

    Raises AmountNotPositive for a negative limit, CreditInUse for one below what is used.
    """
    if limit.minor < 0:
        raise AmountNotPositive(limit_minor=limit.minor)
    purse = open_wallet(tx, partner_id, limit.currency.code, mode, by.at)
    before = purse.credit_limit_minor
    available = purse.available - before + limit.minor
    if limit.minor < before and available < 0:
        raise CreditInUse(limit_minor=limit.minor, used_minor=before - purse.available)
    purse.credit_limit_minor, purse.debt_minor = limit.minor, max(0, -available)
    store.set_limit(tx, purse.name, purse.credit_limit_minor, purse.debt_minor)
    facts = {"currency": purse.currency, "mode": mode.value, "before_minor": before, "limit_minor": limit.minor}
    _write_event(tx, by, "balance.credit_limit_changed", partner_id, mode, purse.name, None, facts)
    by.audit.append(
        tx, [audit_entry(by.at, by.actor, "ledger.limit_set", purse.name, partner_id=partner_id, origin=by.origin, details=facts)]
    )
    return purse


def reverse(tx: Tx, by: By, transfer_id: TransferId, *, allow_debt: bool = False) -> Movement:
    """Undo a credit or debit by a transfer with its sides swapped, once.

    A credit that has been spent is reversed only with ``allow_debt``. Raises TransferNotFound, NotReversible, AlreadyReversed,
    InsufficientFunds, AccountFull.
    """
    original = store.load_transfer(tx, transfer_id)
    if original is None:
        raise TransferNotFound(transfer_id=transfer_id)
    if original.purpose not in REVERSIBLE or original.partner_id is None:
        raise NotReversible(transfer_id=transfer_id, purpose=original.purpose.value)
    partner_id, mode, amount = original.partner_id, original.mode, original.amount_minor
    purse = _load(tx, wallet(partner_id, original.currency, mode))
    earlier = store.load_reversal(tx, transfer_id)
    if earlier is not None:
        raise AlreadyReversed(transfer_id=transfer_id, reversal_id=earlier.id)
    purpose = TransferPurpose.REVERSAL
    if original.credit == purse.name:
        transfer = _debit_side(
            tx, by, purse, original.debit, amount, purpose, partner_id, mode, reverses=original, allow_debt=allow_debt
        )
    else:
        transfer = _credit_side(tx, by, purse, original.credit, amount, purpose, partner_id, mode, reverses=original)
    _tell(tx, by, "reversed", transfer, purse.name)
    return Movement(transfer, is_new=True)


# --- one side each ----------------------------------------------------------------------------------------------------


def _credit_side(
    tx: Tx,
    by: By,
    purse: Wallet,
    other: AccountName,
    amount: int,
    purpose: TransferPurpose,
    partner_id: str,
    mode: Mode,
    *,
    reference: str | None = None,
    reverses: Transfer | None = None,
) -> Transfer:
    _check_room(purse.credits_posted, amount)
    balance = store.credit_wallet(tx, purse.name, amount)
    transfer = _posted(by, other, purse.name, amount, purpose, partner_id, purse.currency, mode, balance, reference, reverses)
    store.insert_transfers(tx, [store.transfer_row(transfer, to_micros(by.at))])
    store.add_to_account(tx, other, debits=amount, now=to_micros(by.at))
    return transfer


def _debit_side(
    tx: Tx,
    by: By,
    purse: Wallet,
    other: AccountName,
    amount: int,
    purpose: TransferPurpose,
    partner_id: str,
    mode: Mode,
    *,
    reference: str | None = None,
    reverses: Transfer | None = None,
    allow_debt: bool = False,
) -> Transfer:
    if amount > purse.spendable and not allow_debt:
        raise InsufficientFunds(needed_minor=amount, available_minor=purse.spendable)
    _check_room(purse.debits_posted, amount)
    balance = store.take_from_wallet(tx, purse.name, amount, debt_after(purse, amount))
    transfer = _posted(by, purse.name, other, amount, purpose, partner_id, purse.currency, mode, balance, reference, reverses)
    store.insert_transfers(tx, [store.transfer_row(transfer, to_micros(by.at))])
    store.add_to_account(tx, other, credits=amount, now=to_micros(by.at))
    return transfer


def _posted(
    by: By,
    debit: AccountName,
    credit: AccountName,
    amount: int,
    purpose: TransferPurpose,
    partner_id: str,
    currency: str,
    mode: Mode,
    balance: int | None,
    reference: str | None,
    reverses: Transfer | None,
) -> Transfer:
    return Transfer(
        id=new_transfer_id(),
        debit=debit,
        credit=credit,
        amount_minor=amount,
        currency=currency,
        mode=mode,
        phase=Phase.POSTED,
        purpose=purpose,
        partner_id=partner_id,
        order_id=None,
        hold_id=None,
        reverses=reverses.id if reverses else None,
        reference=reverses.reference if reverses else reference,
        wallet_after_minor=balance,
        created_at=by.at,
    )


# --- checks and records -----------------------------------------------------------------------------------------------


def _check_positive(amount: int) -> None:
    if amount <= 0:
        raise AmountNotPositive(amount_minor=amount)


def _check_room(total: int, amount: int) -> None:
    if total + amount > SUM_MAX:
        raise AccountFull(amount_minor=amount)


def _load(tx: Tx, name: AccountName) -> Wallet:
    found = store.load_wallets(tx, [name]).get(name)
    if found is None:
        raise WalletNotFound(wallet=name)
    return found


def _first(
    tx: Tx, purse: Wallet, partner_id: str, mode: Mode, purpose: TransferPurpose, amount: int, reference: str | None
) -> Transfer | None:
    """The transfer that was made with this reference; the wallet's lock keeps a second one from being made meanwhile."""
    if reference is None:
        return None
    found = store.load_by_reference(tx, partner_id, purse.currency, mode, purpose, reference)
    if found is not None and found.amount_minor != amount:
        raise TransferReferenceUsed(reference=reference, transfer_id=found.id, amount_minor=found.amount_minor)
    return found


def _tell(tx: Tx, by: By, what: str, transfer: Transfer, name: AccountName) -> None:
    """The event and the audit row of a transfer made by hand."""
    assert transfer.partner_id is not None
    facts: dict[str, Any] = {
        "transfer_id": transfer.id,
        "currency": transfer.currency,
        "mode": transfer.mode.value,
        "amount_minor": transfer.amount_minor,
        "balance_minor": transfer.wallet_after_minor,
    }
    if transfer.reference is not None:
        facts["reference"] = transfer.reference
    if transfer.reverses is not None:
        facts["reverses"] = transfer.reverses
    kind = "balance.credited" if transfer.credit == name else "balance.debited"
    reason = "reversal" if transfer.reverses else None
    _write_event(tx, by, kind, transfer.partner_id, transfer.mode, name, reason, facts)
    by.audit.append(
        tx,
        [
            audit_entry(
                by.at,
                by.actor,
                f"ledger.{what}",
                transfer.id,
                partner_id=transfer.partner_id,
                origin=by.origin,
                details={"wallet": name, **facts},
            )
        ],
    )


def _write_event(
    tx: Tx, by: By, kind: str, partner_id: str, mode: Mode, name: AccountName, reason: str | None, facts: dict[str, Any]
) -> None:
    seq = store.next_step(tx, name)
    data = msgspec.json.encode(facts).decode()
    row = (new_event_id(), kind, partner_id, mode.value, name, seq, None, None, reason, by.actor, to_micros(by.at), data)
    insert_events(tx, [row])
