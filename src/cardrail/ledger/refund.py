"""Refunds: charge given back, as a transfer from sales, fees or tax to the wallet. Never an edit."""

from __future__ import annotations

from datetime import datetime

from cardrail.kernel import Mode, new_transfer_id, to_micros
from cardrail.ledger import store
from cardrail.ledger.errors import AmountNotPositive, WalletNotFound
from cardrail.ledger.model import Phase, Purpose, Transfer, TransferPurpose, platform, wallet
from cardrail.storage import Tx


def refund(
    tx: Tx,
    *,
    partner_id: str,
    currency: str,
    mode: Mode,
    node: str,
    order_id: str,
    now: datetime,
    sale_minor: int,
    fee_minor: int = 0,
    tax_minor: int = 0,
    reference: str | None = None,
) -> list[Transfer]:
    """Give back what an order was charged, a transfer for each part that is not zero; it repays debt first.

    The caller checks that no more is given back than was charged, and writes event and audit row. Raises AmountNotPositive if
    a part is negative or all are zero, WalletNotFound.
    """
    parts = [(Purpose.SALES, sale_minor), (Purpose.FEES, fee_minor), (Purpose.TAX, tax_minor)]
    if min(amount for _, amount in parts) < 0 or not any(amount for _, amount in parts):
        raise AmountNotPositive(sale_minor=sale_minor, fee_minor=fee_minor, tax_minor=tax_minor)
    name, made = wallet(partner_id, currency, mode), []
    for purpose, amount in parts:
        if not amount:
            continue
        balance = store.credit_wallet(tx, name, amount)
        if balance is None:
            raise WalletNotFound(wallet=name)
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
                wallet_after_minor=balance,
                created_at=now,
            )
        )
    store.insert_transfers(tx, [store.transfer_row(one) for one in made])
    for one in sorted(made, key=lambda one: one.debit):
        store.add_to_account(tx, one.debit, debits=one.amount_minor, now=to_micros(now))
    return made
