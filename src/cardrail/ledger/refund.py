"""Refunds: charge given back, as transfers from sales, fees and tax to the wallet. Never an edit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from cardrail.kernel import Mode, from_micros, new_transfer_id
from cardrail.ledger import store
from cardrail.ledger.errors import AmountNotPositive, RefundBeyondCharge, WalletNotFound
from cardrail.ledger.model import AccountName, Phase, Purpose, Transfer, TransferPurpose, account_parts, platform, wallet
from cardrail.storage import Tx

PARTS: Final = (Purpose.SALES, Purpose.FEES, Purpose.TAX)
"""What a charge is made of, in the order in which a partial refund gives it back."""


def refund(
    tx: Tx,
    *,
    partner_id: str,
    currency: str,
    mode: Mode,
    node: str,
    order_id: str,
    amount_minor: int,
    now: int,
    reference: str | None = None,
) -> list[Transfer]:
    """Give back part of what an order was charged: price first, then fees, then tax, a transfer for each. It repays debt first.

    The caller writes event and audit row. Raises AmountNotPositive, WalletNotFound, RefundBeyondCharge.
    """
    if amount_minor <= 0:
        raise AmountNotPositive(amount_minor=amount_minor)
    name = wallet(partner_id, currency, mode)
    if name not in store.load_wallets(tx, [name]):
        raise WalletNotFound(wallet=name)
    made = []
    for purpose, amount in split_refund(store.load_order_transfers(tx, order_id), name, amount_minor):
        made.append(
            Transfer(
                id=new_transfer_id(),
                debit=platform(purpose, currency, mode, node),
                credit=name,
                amount_minor=amount,
                currency=currency,
                mode=mode,
                phase=Phase.POSTED,
                purpose=TransferPurpose.REFUND,
                partner_id=partner_id,
                order_id=order_id,
                hold_id=None,
                reverses=None,
                reference=reference,
                wallet_after_minor=store.credit_wallet(tx, name, amount),
                created_at=from_micros(now),
            )
        )
    store.insert_transfers(tx, [store.transfer_row(one) for one in made])
    for one in sorted(made, key=lambda one: one.debit):
        store.add_to_account(tx, one.debit, debits=one.amount_minor, now=now)
    return made


def split_refund(moved: Iterable[Transfer], name: AccountName, amount_minor: int) -> list[tuple[Purpose, int]]:
    """How much of a refund each part of the charge gives back, from what an order moved so far. Raises RefundBeyondCharge."""
    left: Counter[Purpose] = Counter()
    for one in moved:
        if one.phase is Phase.POSTED and one.debit == name:
            left[account_parts(one.credit).purpose] += one.amount_minor
        elif one.phase is Phase.POSTED and one.credit == name:
            left[account_parts(one.debit).purpose] -= one.amount_minor
    split, rest = [], amount_minor
    for purpose in PARTS:
        part = min(rest, left[purpose])
        if part > 0:
            split.append((purpose, part))
            rest -= part
    if rest:
        raise RefundBeyondCharge(asked_minor=amount_minor, left_minor=amount_minor - rest)
    return split
