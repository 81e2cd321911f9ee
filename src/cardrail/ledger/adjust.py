"""What an operator does to a wallet: credit it, correct it, set its limit, undo a mistake; each with its event and its audit row.

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
    bank = platform(Purpose.BANK, purse.currency, mode, by.node)
    draft = _Draft(TransferPurpose.CREDIT, amount.minor, partner_id, mode, bank, reference)
    first = _first(tx, purse, draft)
    if first is not None:
        return Movement(first, is_new=False)
    transfer = _credit_side(tx, by, purse, draft)
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
    bank = platform(Purpose.BANK, purse.currency, mode, by.node)
    draft = _Draft(TransferPurpose.DEBIT, amount.minor, partner_id, mode, bank, reference)
    first = _first(tx, purse, draft)
    if first is not None:
        return Movement(first, is_new=False)
    transfer = _debit_side(tx, by, purse, draft, allow_debt=allow_debt)
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
    _write_event(tx, by, "balance.credit_limit_changed", purse.name, partner_id=partner_id, mode=mode, facts=facts)
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
    is_credit = original.credit == purse.name
    other = original.debit if is_credit else original.credit
    draft = _Draft(TransferPurpose.REVERSAL, amount, partner_id, mode, other, original.reference, original.id)
    transfer = _debit_side(tx, by, purse, draft, allow_debt=allow_debt) if is_credit else _credit_side(tx, by, purse, draft)
    _tell(tx, by, "reversed", transfer, purse.name)
    return Movement(transfer, is_new=True)


# --- one side each ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draft:
    """A transfer before it is known which side the wallet is on."""

    purpose: TransferPurpose
    amount: int
    partner_id: str
    mode: Mode
    other: AccountName
    """The account that is not the wallet."""
    reference: str | None = None
    reverses: str | None = None


def _credit_side(tx: Tx, by: By, purse: Wallet, draft: _Draft) -> Transfer:
    _check_room(purse.credits_posted, draft.amount)
    _check_room(store.posted_of(tx, draft.other)[0], draft.amount)  # the bank has the sums of all wallets
    balance = store.credit_wallet(tx, purse.name, draft.amount)
    transfer = _posted(by, purse, draft, is_credit=True, balance=balance)
    store.insert_transfers(tx, [store.transfer_row(transfer)])
    store.add_to_account(tx, draft.other, debits=draft.amount, now=to_micros(by.at))
    return transfer


def _debit_side(tx: Tx, by: By, purse: Wallet, draft: _Draft, *, allow_debt: bool) -> Transfer:
    if draft.amount > purse.spendable and not allow_debt:
        raise InsufficientFunds(needed_minor=draft.amount, available_minor=purse.spendable)
    _check_room(purse.debits_posted, draft.amount)
    _check_room(store.posted_of(tx, draft.other)[1], draft.amount)
    balance = store.take_from_wallet(tx, purse.name, draft.amount, debt_after(purse, draft.amount))
    transfer = _posted(by, purse, draft, is_credit=False, balance=balance)
    store.insert_transfers(tx, [store.transfer_row(transfer)])
    store.add_to_account(tx, draft.other, credits=draft.amount, now=to_micros(by.at))
    return transfer


def _posted(by: By, purse: Wallet, draft: _Draft, *, is_credit: bool, balance: int | None) -> Transfer:
    return Transfer(
        id=new_transfer_id(),
        debit=draft.other if is_credit else purse.name,
        credit=purse.name if is_credit else draft.other,
        amount_minor=draft.amount,
        currency=purse.currency,
        mode=draft.mode,
        phase=Phase.POSTED,
        purpose=draft.purpose,
        partner_id=draft.partner_id,
        order_id=None,
        hold_id=None,
        reverses=draft.reverses,
        reference=draft.reference,
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


def _first(tx: Tx, purse: Wallet, draft: _Draft) -> Transfer | None:
    """The transfer that was made with this reference; the wallet's lock keeps a second one from being made meanwhile."""
    if draft.reference is None:
        return None
    found = store.load_by_reference(tx, (draft.partner_id, purse.currency, draft.mode), draft.purpose, draft.reference)
    if found is not None and found.amount_minor != draft.amount:
        raise TransferReferenceUsed(reference=draft.reference, transfer_id=found.id, amount_minor=found.amount_minor)
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
    _write_event(tx, by, kind, name, partner_id=transfer.partner_id, mode=transfer.mode, facts=facts, reason=reason)
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
    tx: Tx,
    by: By,
    kind: str,
    name: AccountName,
    *,
    partner_id: str,
    mode: Mode,
    facts: dict[str, Any],
    reason: str | None = None,
) -> None:
    seq = store.next_step(tx, name)
    data = msgspec.json.encode(facts).decode()
    row = (new_event_id(), kind, partner_id, mode.value, name, seq, None, None, reason, by.actor, to_micros(by.at), data)
    insert_events(tx, [row])
