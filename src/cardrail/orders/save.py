"""Writing what ``decide`` decided: a fixed number of statements for the whole batch, each given all its rows at once.

A one-item order from stock adds four rows: the order, its item with the allocation, the sale's transfer, the event. Per batch come one
netted update for each wallet, slice and platform account, the cost of goods by lot, and one audit row that lists what was revealed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cardrail.access import add_usage
from cardrail.catalog import use_quotes
from cardrail.kernel import Mode, OrderId, QuoteId, from_micros, new_body
from cardrail.ledger import (
    Phase,
    Purpose,
    TransferPurpose,
    add_to_accounts,
    debit_wallets,
    insert_transfers,
    place_holds,
    platform,
    void_hold,
)
from cardrail.orders import store
from cardrail.orders.decide import Plan, Sale
from cardrail.orders.model import Order, OrderItem, PayOrder, PlaceOrder, Unit
from cardrail.orders.states import OrderState
from cardrail.storage import AuditLog, Tx, audit_entry, insert_events
from cardrail.vault import Allocation, Keyring, advance_heads, append_bound_codes, cost_of, generate_test_codes, read_sealed

EVENT_OF_STATE = {
    OrderState.PLACED: "order.placed",
    OrderState.PROCESSING: "order.processing",
    OrderState.FULFILLED: "order.fulfilled",
    OrderState.PARTIALLY_FULFILLED: "order.partially_fulfilled",
    OrderState.FAILED: "order.failed",
    OrderState.NEEDS_REVIEW: "order.needs_review",
    OrderState.CANCELLED: "order.cancelled",
    OrderState.INVALIDATED: "order.invalidated",
}
"""The event that tells of each state."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where a batch is written to: this node's name in the platform accounts, its audit chain, and the keys that seal test codes."""

    node: str
    audit: AuditLog
    keyring: Keyring
    hold_deadline_micros: int = 72 * 3_600 * 1_000_000


def save(tx: Tx, books: Books, plan: Plan) -> None:
    """Write the plan, and read the ciphertext of what is revealed; nothing is opened here."""
    sales = plan.sales
    if not sales:
        return
    now = plan.now
    for sale in sales:
        for item, count in sale.generate:
            _generate(tx, books, sale, item, count, now)
    advance_heads(tx, plan.stock.moved())
    _write_money(tx, books, sales, plan, now)
    _write_orders(tx, sales)
    insert_events(tx, [_event_row(sale, now) for sale in sales])
    if plan.quotes_used:
        use_quotes(tx, [(QuoteId(quote), order_id) for quote, order_id in plan.quotes_used])
    usage = plan.limits.rows()
    if usage:
        add_usage(tx, usage)
    _reveal(tx, books, sales, plan, now)


def _generate(tx: Tx, books: Books, sale: Sale, item: OrderItem, count: int, now: int) -> None:
    """Test codes enter the vault bound to their item: every code that leaves, leaves the vault."""
    allocation = append_bound_codes(
        tx,
        books.keyring,
        mode=Mode.TEST,
        brand_id="brd_TEST",
        denomination_id=item.denomination_id,
        face_minor=item.face_minor,
        codes=generate_test_codes(count),
        now=now,
        actor=sale.request.buyer.actor,
    )
    item.allocations.append(allocation)


# --- orders -----------------------------------------------------------------------------------------------------------


def _write_orders(tx: Tx, sales: Iterable[Sale]) -> None:
    order_rows, item_rows, allocation_rows = [], [], []
    for sale in sales:
        order = sale.order
        for item in order.items:
            if len(item.allocations) > 1:
                allocation_rows += store.allocation_rows(order, item)
        if isinstance(sale.request, PayOrder):
            store.update_order(tx, order, from_version=order.version - 1)
            continue
        order_rows.append(_order_row(order, sale.request))
        for item in order.items:
            item_rows.append(store.item_row(order, item))
    store.insert_orders(tx, order_rows)
    store.insert_items(tx, item_rows)
    store.insert_allocations(tx, allocation_rows)


def _order_row(order: Order, request: PlaceOrder) -> tuple[Any, ...]:
    return (
        order.id,
        order.partner_id,
        order.mode.value,
        order.state.value,
        order.currency,
        order.total_minor,
        order.charged_minor,
        order.reference,
        request.key_hash,
        request.reference_hash,
        request.fingerprint,
        request.buyer.actor,
        order.customer_id,
        order.quote_id,
        order.pay_until,
        order.revealed_at,
        order.details,
        order.created_at,
        order.updated_at,
    )


def _event_row(sale: Sale, now: int) -> tuple[Any, ...]:
    order = sale.order
    is_new = isinstance(sale.request, PlaceOrder)
    return (
        "evt_" + (order.id[4:] if is_new else new_body()),
        EVENT_OF_STATE[order.state],
        order.partner_id,
        order.mode.value,
        order.id,
        1 if is_new else order.version,
        None if is_new else OrderState.PLACED.value,
        order.state.value,
        None if is_new else "paid",
        sale.request.buyer.actor,
        now,
        None,
    )


# --- money ------------------------------------------------------------------------------------------------------------


def _write_money(tx: Tx, books: Books, sales: list[Sale], plan: Plan, now: int) -> None:
    transfers: list[tuple[Any, ...]] = []
    wallets: dict[str, int] = defaultdict(int)
    sums: dict[tuple[Purpose, str, Mode], list[int]] = {}
    for sale in sales:
        parts = (
            (TransferPurpose.SALE, Purpose.SALES, sale.sale_minor),
            (TransferPurpose.FEE, Purpose.FEES, sale.fee_minor),
            (TransferPurpose.TAX, Purpose.TAX, sale.tax_minor),
        )
        order = sale.order
        after = sale.wallet_after + sale.sale_minor + sale.fee_minor + sale.tax_minor
        for purpose, account, amount in parts:
            if not amount:
                continue
            after -= amount
            wallets[sale.wallet_name] += amount
            total = sums.setdefault((account, order.currency, order.mode), [0, 0])
            total[1] += amount
            body = order.id[4:] if purpose is TransferPurpose.SALE else new_body()
            credit = platform(account, order.currency, order.mode, books.node)
            transfers.append(_sale_transfer(body, sale, credit, amount, purpose, after, now))
    _add_costs(transfers, sums, sales, plan, books, now)
    debit_wallets(tx, [(amount, 0, name) for name, amount in sorted(wallets.items())])
    insert_transfers(tx, transfers)
    add_to_accounts(
        tx,
        [
            (
                platform(purpose, currency, mode, books.node),
                "platform",
                purpose.value,
                currency,
                mode.value,
                books.node,
                debits,
                credits,
                now,
            )
            for (purpose, currency, mode), (debits, credits) in sorted(sums.items())
        ],
    )
    for sale in sales:
        if sale.hold_minor:
            _write_hold(tx, books, sale, now)


def _sale_transfer(
    body: str, sale: Sale, credit: str, amount: int, purpose: TransferPurpose, after: int, now: int
) -> tuple[Any, ...]:
    order = sale.order
    return (
        "trf_" + body,
        sale.wallet_name,
        credit,
        amount,
        order.currency,
        order.mode.value,
        Phase.POSTED.value,
        purpose.value,
        order.partner_id,
        order.id,
        None,
        None,
        order.reference,
        after,
        now,
    )


def _add_costs(
    transfers: list[tuple[Any, ...]],
    sums: dict[tuple[Purpose, str, Mode], list[int]],
    sales: Iterable[Sale],
    plan: Plan,
    books: Books,
    now: int,
) -> None:
    """What the sold codes cost: one transfer per batch and lot, from stock to cost of goods."""
    by_lot: dict[str, int] = defaultdict(int)
    for sale in sales:
        for item in sale.order.items:
            for one in item.allocations:
                figures = plan.stock.lot(one.lot_id)
                if figures is not None and figures.cost_minor:
                    by_lot[one.lot_id] += cost_of(figures, one.first_seq, one.count)
    for lot_id, cost in by_lot.items():
        figures = plan.stock.lot(lot_id)
        if not cost or figures is None:
            continue
        currency, mode = figures.cost_currency, figures.mode
        sums.setdefault((Purpose.COST_OF_GOODS, currency, mode), [0, 0])[0] += cost
        sums.setdefault((Purpose.STOCK, currency, mode), [0, 0])[1] += cost
        transfers.append(
            (
                "trf_" + new_body(),
                platform(Purpose.COST_OF_GOODS, currency, mode, books.node),
                platform(Purpose.STOCK, currency, mode, books.node),
                cost,
                currency,
                mode.value,
                Phase.POSTED.value,
                TransferPurpose.COST_OF_SALE.value,
                None,
                None,
                None,
                None,
                lot_id,
                None,
                now,
            )
        )
