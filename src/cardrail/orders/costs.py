"""What codes cost us, as rows for the order lane's bulk statements; elsewhere ``ledger.book`` does it."""

from __future__ import annotations

from typing import Any

from cardrail.kernel import Mode, new_body
from cardrail.ledger import Phase, Purpose, TransferPurpose, platform


def cost_transfer(
    purpose: TransferPurpose,
    debit: Purpose,
    credit: Purpose,
    amount_minor: int,
    *,
    currency: str,
    mode: Mode,
    node: str,
    lot_id: str,
    now: int,
) -> tuple[Any, ...]:
    """The row of a transfer between two of the platform's accounts; its reference is the lot, and it names no order."""
    return (
        "trf_" + new_body(),
        platform(debit, currency, mode, node),
        platform(credit, currency, mode, node),
        amount_minor,
        currency,
        mode.value,
        Phase.POSTED.value,
        purpose.value,
        None,
        None,
        None,
        None,
        lot_id,
        None,
        now,
    )


def account_row(
    purpose: Purpose, currency: str, mode: Mode, node: str, debits: int, credited: int, now: int
) -> tuple[Any, ...]:  # a row, in its columns' order
    """What a platform account's sums grow by."""
    name = platform(purpose, currency, mode, node)
    return (name, "platform", purpose.value, currency, mode.value, node, debits, credited, now)
