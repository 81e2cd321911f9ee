"""What a partner's own finance compares with: every order of a period with what it was charged and given back, and the wallets' sums.

A statement is cut by position and sealed; this is asked for any two moments, by the times of orders and transfers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from cardrail.kernel import Mode, to_micros
from cardrail.ledger import balances, wallet_totals
from cardrail.orders import FINAL, OrderFigures, OrderState, SoldLine, orders_after, sold_lines
from cardrail.settlement.errors import InvalidPeriod
from cardrail.settlement.model import kind_name
from cardrail.storage import Database, Tx

SettlementState = Literal["pending", "settled", "refunded"]

PENDING: Final = "pending"
"""Not final: money may be held or still be charged."""
SETTLED: Final = "settled"
"""Final; what it was charged, less what was given back, is what it cost."""
REFUNDED: Final = "refunded"
"""Final, and nothing of its charge is kept."""


class OrderLine(msgspec.Struct, frozen=True):
    """One line of an order, as it was agreed on."""

    sku: str
    name: str
    quantity: int
    unit_price_minor: int
    unit_fee_minor: int
    tax_bps: int


class ReconciliationOrder(msgspec.Struct, frozen=True):
    """One order with its money."""

    order_id: str
    reference: str | None
    state: str
    settlement: SettlementState
    """pending, settled or refunded."""
    currency: str
    total_minor: int
    charged_minor: int
    refunded_minor: int
    created_at: int
    """Microseconds."""
    completed_at: int | None
    """When it became what it is, if that is final; microseconds."""
    items: list[OrderLine]


class WalletPeriod(msgspec.Struct, frozen=True):
    """One wallet over the period."""

    currency: str
    opening_minor: int
    closing_minor: int
    totals: dict[str, int]
    """Kind of movement (as in statements) → sum of changes."""


class Reconciliation(msgspec.Struct, frozen=True):
    """The wallets of the period, and its orders from one place on."""

    wallets: list[WalletPeriod]
    orders: list[ReconciliationOrder]
    after: str | None
    """Where the next page begins; None at the end."""


def reconciliation(
    db: Database,
    partner_id: str,
    mode: Mode,
    from_: datetime,
    to: datetime,
    *,
    currency: str | None = None,
    after: str = "",
    limit: int = 1_000,
) -> Reconciliation:
    """A page of the partner's orders of [from_, to), oldest first; on the first one also the wallets' sums. Raises InvalidPeriod."""
    check_period(from_, to)
    with db.read() as tx:
        wallets = [] if after else wallet_periods(tx, partner_id, mode, from_, to, currency=currency)
        orders, following = orders_page(tx, partner_id, mode, from_, to, currency=currency, after=after, limit=limit)
    return Reconciliation(wallets, orders, following)


def check_period(from_: datetime, to: datetime) -> None:
    """Raises InvalidPeriod."""
    if not from_ < to:
        raise InvalidPeriod(reason="it ends before it begins")


def wallet_periods(
    tx: Tx, partner_id: str, mode: Mode, from_: datetime, to: datetime, *, currency: str | None = None
) -> list[WalletPeriod]:
    """Opening, movements by kind, and closing of each wallet."""
    step = timedelta(microseconds=1)
    opening = {one.currency: one.balance_minor for one in balances(tx, partner_id, mode, at=from_ - step)}
    closing = {one.currency: one.balance_minor for one in balances(tx, partner_id, mode, at=to - step)}
    totals = wallet_totals(tx, partner_id, mode, to_micros(from_), to_micros(to))
    found = []
    for code in sorted({*opening, *closing}):
        if currency in (None, code):
            kinds: dict[str, int] = {}
            for (purpose, account), change in sorted(totals.get(code, {}).items()):
                kind = kind_name(purpose, account)
                kinds[kind] = kinds.get(kind, 0) + change
            found.append(WalletPeriod(code, opening.get(code, 0), closing.get(code, 0), kinds))
    return found


def orders_page(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    from_: datetime,
    to: datetime,
    *,
    currency: str | None = None,
    after: str = "",
    limit: int = 1_000,
) -> tuple[list[ReconciliationOrder], str | None]:
    """Orders placed in [from_, to), oldest first, behind the id ``after``; and where the next page begins."""
    rows = orders_after(
        tx,
        after,
        limit + 1,
        partner_id=partner_id,
        mode=mode,
        since=to_micros(from_),
        until=to_micros(to),
        currency=currency,
    )
    page = rows[:limit]
    sold = sold_lines(tx, [one.id for one in page]) if page else {}
    return [_order(one, sold.get(one.id, [])) for one in page], page[-1].id if len(rows) > limit else None


def settlement_state(state: str, charged_minor: int, refunded_minor: int) -> SettlementState:
    """How far the order's money is settled: pending, settled or refunded."""
    if OrderState(state) not in FINAL:
        return PENDING
    return REFUNDED if charged_minor == refunded_minor else SETTLED


def _order(one: OrderFigures, lines: list[SoldLine]) -> ReconciliationOrder:
    return ReconciliationOrder(
        order_id=one.id,
        reference=one.reference,
        state=one.state,
        settlement=settlement_state(one.state, one.charged_minor, one.refunded_minor),
        currency=one.currency,
        total_minor=one.total_minor,
        charged_minor=one.charged_minor,
        refunded_minor=one.refunded_minor,
        created_at=one.created_at,
        completed_at=one.updated_at if OrderState(one.state) in FINAL else None,
        items=[
            OrderLine(line.sku, line.name, line.quantity, line.unit_price_minor, line.unit_fee_minor, line.tax_bps)
            for line in lines
        ],
    )
