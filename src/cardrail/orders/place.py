"""Placing and paying orders: the heart of the order lane.

load → decide → save, in one transaction, with the same number of statements for one request as for 256. The wallets are locked before
the keys are looked up: whoever places for a partner holds that partner's wallet, so what another process bound meanwhile is seen. The
unique indexes stand behind that, and a batch that meets one starts over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from cardrail.access import LimitsBook, OrderFigures, load_limits
from cardrail.catalog import CatalogCache, CatalogSnapshot, load_quotes
from cardrail.kernel import Clock, Mode, OrderId, OutcomeUnknown, QuoteId, Unavailable, to_micros
from cardrail.ledger import load_wallets, wallet
from cardrail.orders import store
from cardrail.orders.decide import Facts, Known, Plan, decide
from cardrail.orders.journal import journal_entries
from cardrail.orders.model import Order, OrderRequest, Outcome, PayOrder, PlaceOrder
from cardrail.orders.sandbox import SUPPLIED
from cardrail.orders.save import Books, save
from cardrail.sourcing import SupplyCache, oldest_waiting
from cardrail.storage import Database, Journal, Tx, driver_select, is_unique_violation, retrying
from cardrail.vault import Stock, load_open_slices


@dataclass(frozen=True, slots=True)
class Shop:
    """What placing orders needs besides the database: built once, in bootstrap."""

    db: Database
    clock: Clock
    catalog: CatalogCache
    books: Books
    unpaid_minutes: int = 30
    journal: Journal | None = None
    """Where what was sold is kept outside the database, for the day on which a backup is restored."""
    supply: SupplyCache = field(default_factory=SupplyCache)
    """What suppliers sell."""


BINDING_TRIES: Final = 3

LATE_MICROS: Final = 30 * 1_000_000
"""How old the oldest item may be that no worker has begun to buy, before nothing more is taken that suppliers must bring."""


def place_orders(shop: Shop, requests: Sequence[OrderRequest]) -> list[Outcome]:
    """Price, pay for and allocate each order, in the order given: each one wholly, or refused with its reason.

    One transaction. A repeated key gets its order again (Repeated). A refusal is an outcome, not an exception: its neighbours go
    through. Raises Unavailable or OutcomeUnknown when the database is away; any other exception means that nothing was written.
    """
    for attempt in range(1, BINDING_TRIES + 1):
        try:
            return _place_once(shop, requests)
        except Exception as error:
            if not is_unique_violation(error) or attempt == BINDING_TRIES:
                raise
            requests = [_unnumbered(one) for one in requests]
    raise AssertionError("unreachable: the last try returns or raises")


def _unnumbered(request: OrderRequest) -> OrderRequest:
    """The request without the number that another process may have given meanwhile: ``number_orders`` finds a free one."""
    if isinstance(request, PlaceOrder) and request.number is not None:
        return replace(request, number=None)
    return request


def _place_once(shop: Shop, requests: Sequence[OrderRequest]) -> list[Outcome]:
    plan: Plan | None = None
    try:
        with shop.db.transaction() as tx:
            plan = _load_and_decide(tx, shop, requests)
            save(tx, shop.books, plan)
    except OutcomeUnknown:
        _write_journal(
            shop, plan
        )  # it may stand, and be asked for again: a line too many costs a code, a line too few sells one twice
        if plan is None or not _was_committed(shop.db, plan):
            raise
        return plan.outcomes
    _write_journal(shop, plan)
    return plan.outcomes


def _write_journal(shop: Shop, plan: Plan | None) -> None:
    if shop.journal is not None and plan is not None and plan.sales:
        shop.journal.append(journal_entries(plan))


def _was_committed(db: Database, plan: Plan) -> bool:
    """Whether the batch whose commit lost its answer took place: one of its orders is as planned, then all are.

    The best witness is a new order: its id is ours alone. An order that was only paid may have been paid by another process since, so
    it must carry this batch's moment and codes; one that was changed once more says nothing, which is False. A batch that writes
    nothing needs no commit. Where the database cannot be asked, nobody knows: that is False too.
    """
    if not plan.sales:
        return True
    sale = next((one for one in plan.sales if isinstance(one.request, PlaceOrder)), plan.sales[0])

    def look() -> bool:
        with db.read() as tx:
            found = store.load_orders(tx, [sale.order.id])
        if isinstance(sale.request, PlaceOrder):
            return bool(found)
        return found[0].updated_at == plan.facts.now and _marks(found[0]) == _marks(sale.order)

    try:
        return retrying(look)
    except Unavailable:
        return False


def _marks(order: Order) -> list[tuple[str, str | None, tuple[str, int, int] | None]]:
    """What a payment wrote to each line: its state, its hold, and where its first codes are from."""
    firsts = [(item, item.allocations[0] if item.allocations else None) for item in order.items]
    return [(item.state, item.hold_id, (one.lot_id, one.first_seq, one.count) if one else None) for item, one in firsts]


def _load_and_decide(tx: Tx, shop: Shop, requests: Sequence[OrderRequest]) -> Plan:
    """Decide; and where it came up short while others may have been selling, lock every slice and decide again before refusing."""
    plan = decide(requests, load(tx, shop, requests))
    if not shop.db.is_sqlite and any(stock.was_short for stock in plan.facts.stock.values()):
        plan = decide(requests, load(tx, shop, requests, every_slice=True))
    return plan


def load(tx: Tx, shop: Shop, requests: Sequence[OrderRequest], *, every_slice: bool = False) -> Facts:
    """Lock and read all that the decision looks at: wallets, then orders, quotes and limits, then slices; each kind in id order.

    The versions are read when the wallets and orders are locked: a batch may wait for those locks for seconds, and a key that is revoked
    or a price that is changed meanwhile must count. (Only a wait for slices comes later; they are held by batches that already write.)
    """
    moment = shop.clock.now()
    now = to_micros(moment)
    placing = [one for one in requests if isinstance(one, PlaceOrder)]
    paying = sorted({one.order_id for one in requests if isinstance(one, PayOrder)})
    names = {wallet(one.buyer.partner_id, one.buyer.currency, one.buyer.mode) for one in placing}
    if paying:  # an order is paid from a wallet of its own currency, and only a look at it tells which
        names |= {wallet(one.partner_id, one.currency, one.mode) for one in store.load_orders(tx, paying)}
    wallets = load_wallets(tx, names)
    unpaid = {order.id: order for order in store.load_orders(tx, paying, lock=True)} if paying else {}
    catalog_version, access_version, supply_version = _versions(tx)
    snapshot = shop.catalog.ensure(tx, catalog_version, moment.date())
    quotes = sorted({QuoteId(one.quote_id) for one in placing if one.quote_id})
    is_on_demand = _is_on_demand(snapshot, placing, unpaid.values())
    oldest = oldest_waiting(tx) if is_on_demand else None
    return Facts(
        now=now,
        access_version=access_version,
        snapshot=snapshot,
        wallets=wallets,
        known_keys=_known(tx, "key_hash", [one.key_hash for one in placing if one.key_hash]),
        known_references=_known(tx, "reference_hash", [one.reference_hash for one in placing if one.reference_hash]),
        unpaid=unpaid,
        quotes=load_quotes(tx, quotes) if quotes else {},
        limits=_load_limits(tx, requests, now),
        stock=_load_stock(tx, snapshot, placing, unpaid.values(), now, every_slice=every_slice),
        pay_until=to_micros(moment + timedelta(minutes=shop.unpaid_minutes)),
        supplied=shop.supply.ensure(tx, supply_version) if is_on_demand else frozenset(),
        suppliers_are_late=oldest is not None and now - oldest > LATE_MICROS,
    )


def _known(tx: Tx, column: str, hashes: list[bytes]) -> dict[bytes, Known]:
    return {bytes(one): Known(OrderId(order_id), bytes(mark)) for one, order_id, mark in store.load_bindings(tx, column, hashes)}


def _load_limits(tx: Tx, requests: Sequence[OrderRequest], now: int) -> LimitsBook:
    """What limited partners have used up today; partners without limits cost nothing."""
    wanted = []
    for request in requests:
        buyer = request.buyer
        if buyer.limits is not None and isinstance(request, PlaceOrder):
            figures = OrderFigures(
                buyer.currency, 0, tuple([(one.sku, one.quantity) for one in request.items]), request.customer_id
            )
            wanted.append((buyer.partner_id, buyer.mode, buyer.limits, figures))
    return load_limits(tx, wanted, now) if wanted else LimitsBook()


def _load_stock(
    tx: Tx,
    snapshot: CatalogSnapshot,
    placing: Iterable[PlaceOrder],
    unpaid: Iterable[Order],
    now: int,
    *,
    every_slice: bool,
) -> dict[Mode, Stock]:
    """The open slices of everything that is asked for: enough of each for the whole batch, or all of them."""
    wanted: dict[Mode, set[str]] = {}
    units = 0
    for request in placing:
        denominations = wanted.setdefault(request.buyer.mode, set())
        for one in request.items:
            offer = snapshot.offer(one.sku)
            if offer is not None:
                denominations.add(offer.denomination_id)
        units += request.units
    for order in unpaid:
        wanted.setdefault(order.mode, set()).update(item.denomination_id for item in order.items)
        units += sum(item.quantity for item in order.items)
    limit = 0 if every_slice else units
    return {
        mode: Stock(load_open_slices(tx, mode, sorted(ids), limit=limit, now_micros=now) if ids else (), now)
        for mode, ids in wanted.items()
    }


def _is_on_demand(snapshot: CatalogSnapshot, placing: Iterable[PlaceOrder], unpaid: Iterable[Order]) -> bool:
    """Whether anything is asked for that suppliers may have to bring."""
    for request in placing:
        for one in request.items:
            offer = snapshot.offer(one.sku)
            if (offer is not None and offer.sourcing != "stock") or one.sku in SUPPLIED:
                return True
    for order in unpaid:
        for item in order.items:
            offer = snapshot.denomination(item.denomination_id)
            if (offer is not None and offer.sourcing != "stock") or item.sku in SUPPLIED:
                return True
    return False


_VERSIONS: Final = "SELECT name, value FROM versions WHERE name IN ('catalog', 'access', 'supply')"


def _versions(tx: Tx) -> tuple[int, int, int]:
    """The versions of catalog, access and supply data, in one statement."""
    found = dict(driver_select(tx, _VERSIONS, ()))
    return int(found.get("catalog", 0)), int(found.get("access", 0)), int(found.get("supply", 0))
