"""Refunds: charge given back, as a transfer from sales, fees or tax to the wallet. Never an edit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from cardrail.kernel import Mode, new_transfer_id, to_micros
from cardrail.ledger import store
from cardrail.ledger.errors import AmountNotPositive, WalletNotFound
from cardrail.ledger.model import AccountName, Phase, Purpose, Transfer, TransferPurpose, platform, wallet
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
    (made,) = refund_each(
        tx,
        [(sale_minor, fee_minor, tax_minor)],
        partner_id=partner_id,
        currency=currency,
        mode=mode,
        node=node,
        order_id=order_id,
        now=now,
        reference=reference,
    )
    return made


def refund_each(
    tx: Tx,
    parts: Sequence[tuple[int, int, int]],
    *,
    partner_id: str,
    currency: str,
    mode: Mode,
    node: str,
    order_id: str,
    now: datetime,
    reference: str | None = None,
) -> list[list[Transfer]]:
    """``refund`` of several [price, fees, tax] of one order at once, for example of its lines; the transfers of each."""
    name = wallet(partner_id, currency, mode)
    made = []
    for part in parts:
        if min(part) < 0 or not any(part):
            raise AmountNotPositive(sale_minor=part[0], fee_minor=part[1], tax_minor=part[2])
        of_part = []
        for purpose, amount in zip((Purpose.SALES, Purpose.FEES, Purpose.TAX), part, strict=True):
            if not amount:
                continue
            balance = store.credit_wallet(tx, name, amount)
            if balance is None:
                raise WalletNotFound(wallet=name)
            of_part.append(
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
        made.append(of_part)
    every = [one for of_part in made for one in of_part]
    store.insert_transfers(tx, [store.transfer_row(one) for one in every])
    sums: dict[AccountName, int] = defaultdict(int)
    for one in every:
        sums[one.debit] += one.amount_minor
    for account, amount in sorted(sums.items()):  # by name, as whoever else touches several
        store.add_to_account(tx, account, debits=amount, now=to_micros(now))
    return made
