"""Bookings that touch no wallet: stock bought, returned, written off."""

from __future__ import annotations

from datetime import datetime

from cardrail.kernel import Mode, new_transfer_id, to_micros
from cardrail.ledger import store
from cardrail.ledger.errors import AmountNotPositive
from cardrail.ledger.model import AccountName, Phase, Purpose, Transfer, TransferPurpose, platform
from cardrail.storage import Tx


def book(
    tx: Tx,
    *,
    debit: Purpose | AccountName,
    credit: Purpose | AccountName,
    amount_minor: int,
    currency: str,
    mode: Mode,
    node: str,
    purpose: TransferPurpose,
    now: datetime,
    reference: str | None = None,
    order_id: str | None = None,
) -> Transfer:
    """One posted transfer between accounts that are not wallets; a Purpose stands for this node's platform account.

    The caller writes the audit row. Raises AmountNotPositive.
    """
    one = booking(
        debit, credit, amount_minor, currency, mode, node=node, purpose=purpose, now=now, reference=reference, order_id=order_id
    )
    store.insert_transfers(tx, [store.transfer_row(one)])
    for name, debits, credits_ in sorted([(one.debit, amount_minor, 0), (one.credit, 0, amount_minor)]):
        store.add_to_account(tx, name, debits=debits, credits=credits_, now=to_micros(now))
    return one


def booking(
    debit: Purpose | AccountName,
    credit: Purpose | AccountName,
    amount_minor: int,
    currency: str,
    mode: Mode,
    *,
    node: str,
    purpose: TransferPurpose,
    now: datetime,
    reference: str | None,
    order_id: str | None,
) -> Transfer:
    """The transfer that ``book`` writes. Pure. Raises AmountNotPositive."""
    if amount_minor <= 0:
        raise AmountNotPositive(amount_minor=amount_minor)
    return Transfer(
        id=new_transfer_id(),
        debit=platform(debit, currency, mode, node) if isinstance(debit, Purpose) else debit,
        credit=platform(credit, currency, mode, node) if isinstance(credit, Purpose) else credit,
        amount_minor=amount_minor,
        currency=currency,
        mode=mode,
        phase=Phase.POSTED,
        purpose=purpose,
        partner_id=None,
        order_id=order_id,
        hold_id=None,
        reverses=None,
        reference=reference,
        wallet_after_minor=None,
        created_at=now,
    )
