"""Writing what ``decide`` decided: a fixed number of statements for the whole batch, each given all its rows at once.

A one-item order from stock adds four rows: the order, its item with the allocation, the sale's transfer, the event. Per batch come one
netted update for each wallet, slice and platform account, the cost of goods by lot, and one audit row that lists what was revealed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cardrail.access import add_usage
from cardrail.catalog import use_quotes
from cardrail.kernel import HoldId, Mode, OrderId, from_micros, new_body, new_id
from cardrail.ledger import (
    AccountName,
    NewHold,
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
from cardrail.orders.costs import account_row, cost_transfer
from cardrail.orders.decide import Plan, Sale
from cardrail.orders.history import EVENT_OF_STATE
from cardrail.orders.model import Order, OrderItem, PayOrder, PlaceOrder
from cardrail.orders.read import attach_units, reveal_row
from cardrail.orders.sandbox import Behaviour
from cardrail.orders.states import OrderState
from cardrail.sourcing import ProcurementState, insert_procurements
from cardrail.storage import AuditLog, Tx, audit_entry, insert_events
from cardrail.vault import Keyring, LotFigures, LotKey, Stock, advance_heads, append_bound_codes, cost_of, generate_test_codes

TEST_BRAND: Final = "brd_TEST"

Sums = dict[tuple[Purpose, str, Mode], list[int]]
"""Debits and credits of the platform's accounts, netted over the batch."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where a batch is written to: this node's name in the platform accounts, its audit chain, and the keys that seal test codes."""

    node: str
    audit: AuditLog
    keyring: Keyring
    hold_deadline_micros: int = 72 * 3_600 * 1_000_000
    begin: Callable[[Tx, Sequence[OrderId]], None] | None = None
    """Enqueues the work for orders that wait for suppliers, in the transaction that writes them; None: a worker looks for them."""


def save(tx: Tx, books: Books, plan: Plan) -> None:
    """Write the plan, and read the ciphertext of what is revealed; nothing is opened here."""
    sales, facts = plan.sales, plan.facts
    if not sales:
        return
    now = facts.now
    for sale in sales:
        for item, count in sale.generate:
            item.allocations.append(_generate(tx, books, sale, item, count, now))
    _write_money(tx, books, sales, facts.stock, now)
    advance_heads(tx, sorted([row for stock in facts.stock.values() for row in stock.moved()], key=lambda row: row[1]))
    _write_orders(tx, sales)
    if any(sale.sourced for sale in sales):
        _write_procurements(tx, books, sales, now)
    insert_events(tx, [_event_row(sale, now) for sale in sales])
    if plan.quotes_used:
        use_quotes(tx, plan.quotes_used)
    usage = facts.limits.rows()
    if usage:
        add_usage(tx, usage)
    _reveal(tx, books, sales, facts.stock, now)


def _generate(tx: Tx, books: Books, sale: Sale, item: OrderItem, count: int, now: int) -> Any:
    """Test codes enter the vault bound to their item: every code that leaves, leaves the vault."""
    return append_bound_codes(
        tx,
        books.keyring,
        mode=Mode.TEST,
        brand_id=TEST_BRAND,
        denomination_id=item.denomination_id,
        face_minor=item.face_minor,
        codes=generate_test_codes(count, "BAD" if item.sku == Behaviour.BAD_CODE else "TEST"),
        now=now,
        actor=sale.request.buyer.actor,
        node=books.node,
    )


# --- orders -----------------------------------------------------------------------------------------------------------


def _write_orders(tx: Tx, sales: Sequence[Sale]) -> None:
    order_rows: list[tuple[Any, ...]] = []
    item_rows: list[tuple[Any, ...]] = []
    allocation_rows: list[tuple[Any, ...]] = []
    paid: list[tuple[Order, int]] = []
    for sale in sales:
        order = sale.order
        if isinstance(sale.request, PayOrder):
            paid.append((order, order.version - 1))
        else:
            order_rows.append(_order_row(order, sale.request))
            item_rows += [store.item_row(order, item) for item in order.items]
        for item in order.items:
            if len(item.allocations) > 1:
                allocation_rows += store.allocation_rows(order, item)
    if paid:
        store.update_orders(tx, paid)
    store.insert_orders(tx, order_rows)
    store.insert_items(tx, item_rows)
    store.insert_allocations(tx, allocation_rows)
    deliveries = [
        (sale.order.id, "waiting") for sale in sales if isinstance(sale.request, PlaceOrder) and sale.request.is_delivered
    ]
    if deliveries:
        store.insert_deliveries(tx, deliveries)


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
        request.number,
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


# --- what suppliers are to bring ---------------------------------------------------------------------------------------


def _write_procurements(tx: Tx, books: Books, sales: Iterable[Sale], now: int) -> None:
    """A row for each item that waits for suppliers, and the work for all of them."""
    rows = []
    for sale in sales:
        order = sale.order
        for item, count, all_or_nothing in sale.sourced:
            place = (order.id, item.line, order.partner_id, order.mode.value, ProcurementState.WAITING.value)
            rows.append((*place, item.denomination_id, count, all_or_nothing, now, now))
    insert_procurements(tx, rows)
    if books.begin is not None:
        books.begin(tx, [sale.order.id for sale in sales if sale.sourced])


# --- money ------------------------------------------------------------------------------------------------------------


def _write_money(tx: Tx, books: Books, sales: list[Sale], stock: Mapping[Mode, Stock], now: int) -> None:
    transfers: list[tuple[Any, ...]] = []
    wallets: dict[AccountName, int] = defaultdict(int)
    sums: Sums = {}
    for sale in sales:
        charge = sale.sale_minor + sale.fee_minor + sale.tax_minor
        if charge:
            wallets[sale.wallet_name] += charge
            _add_sale(transfers, sums, sale, books.node, now)
    _add_costs(transfers, sums, sales, stock, books.node, now)
    debit_wallets(tx, [(amount, 0, name) for name, amount in sorted(wallets.items())])
    insert_transfers(tx, transfers)
    add_to_accounts(tx, [account_row(*key, books.node, debits, credited, now) for key, (debits, credited) in sums.items()])
    for sale in sales:
        if sale.hold_minor:
            _write_holds(tx, books, sale, now)


def _add_sale(transfers: list[tuple[Any, ...]], sums: Sums, sale: Sale, node: str, now: int) -> None:
    """The sale's transfer, which shares the new order's time-ordered body, and those of its fees and tax.

    An order that is paid later gets a new body: the wallet's statement goes by ids, and must show the payment where it was made.
    """
    order = sale.order
    body = order.id[4:] if isinstance(sale.request, PlaceOrder) else new_body()
    after = sale.wallet_after + sale.fee_minor + sale.tax_minor
    parts = (
        (TransferPurpose.SALE, Purpose.SALES, sale.sale_minor, 0),
        (TransferPurpose.FEE, Purpose.FEES, sale.fee_minor, sale.fee_minor),
        (TransferPurpose.TAX, Purpose.TAX, sale.tax_minor, sale.tax_minor),
    )
    for purpose, account, amount, taken in parts:
        after -= taken
        if not amount:
            continue
        key = (account, order.currency, order.mode)
        if key in sums:
            sums[key][1] += amount
        else:
            sums[key] = [0, amount]
        transfers.append(
            (
                "trf_" + (body if purpose is TransferPurpose.SALE else new_body()),
                sale.wallet_name,
                platform(account, order.currency, order.mode, node),
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
        )


def _add_costs(
    transfers: list[tuple[Any, ...]], sums: Sums, sales: Iterable[Sale], stock: Mapping[Mode, Stock], node: str, now: int
) -> None:
    """What the sold codes cost: one transfer per batch and lot, from stock to cost of goods."""
    costs: dict[str, int] = defaultdict(int)
    lots: dict[str, LotFigures | None] = {}
    for sale in sales:
        for item in sale.order.items:
            for one in item.allocations:
                if one.lot_id not in lots:
                    lots[one.lot_id] = stock[sale.order.mode].lot(one.lot_id)
                lot = lots[one.lot_id]
                if lot is not None and lot.lot_cost_minor:
                    costs[one.lot_id] += cost_of(lot, one.first_seq, one.count)
    for lot_id, cost in sorted(costs.items()):
        lot = lots[lot_id]
        if not cost or lot is None or lot.cost_currency is None:
            continue
        sums.setdefault((Purpose.COST_OF_GOODS, lot.cost_currency, lot.mode), [0, 0])[0] += cost
        sums.setdefault((Purpose.STOCK, lot.cost_currency, lot.mode), [0, 0])[1] += cost
        transfers.append(
            cost_transfer(
                TransferPurpose.COST_OF_SALE,
                Purpose.COST_OF_GOODS,
                Purpose.STOCK,
                cost,
                currency=lot.cost_currency,
                mode=lot.mode,
                node=node,
                lot_id=lot_id,
                now=now,
            )
        )


def _write_holds(tx: Tx, books: Books, sale: Sale, now: int) -> None:
    order = sale.order
    holds = []
    for item, amount in sale.holds:
        if not item.total_minor:  # a free one needs no promise
            continue
        item.hold_id = new_id("hld")
        holds.append(
            NewHold(
                id=HoldId(item.hold_id),
                account=sale.wallet_name,
                credit=platform(Purpose.SALES, order.currency, order.mode, books.node),
                currency=order.currency,
                mode=order.mode,
                amount_minor=amount,
                partner_id=order.partner_id,
                order_id=order.id,
                line=item.line,
                deadline_at=now + books.hold_deadline_micros,
                created_at=now,
                wallet_after_minor=sale.wallet_after,
            )
        )
    place_holds(tx, holds)
    if sale.void_hold:
        for hold in holds:
            void_hold(tx, hold.id, now=from_micros(now))


# --- codes ------------------------------------------------------------------------------------------------------------


def _reveal(tx: Tx, books: Books, sales: Iterable[Sale], stock: Mapping[Mode, Stock], now: int) -> None:
    """Read the ciphertext for those whose answer shows codes, and note it in one audit row for the batch."""
    reveals: list[list[Any]] = []
    items: list[OrderItem] = []
    lots: dict[str, LotKey] = {}
    for sale in sales:
        if not sale.reveals:
            continue
        for item in sale.order.items:
            items.append(item)
            for one in item.allocations:
                reveals.append(reveal_row(sale.order, sale.request.buyer, one))
                if one.lot_id not in lots:
                    lot = stock[sale.order.mode].lot(one.lot_id)
                    if lot is not None:
                        lots[one.lot_id] = lot
    if reveals:
        attach_units(tx, items, lots)
        books.audit.append(tx, [audit_entry(from_micros(now), "lane", "code.revealed", details={"reveals": reveals})])
