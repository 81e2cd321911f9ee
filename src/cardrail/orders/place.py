"""Placing and paying orders: the heart of the order lane.

load → decide → save, in one transaction, with the same number of statements for one request as for 256. The wallets are locked before
the keys are looked up: whoever places for a partner holds that partner's wallet, so what another process bound meanwhile is seen. The
unique indexes stand behind that, and a batch that meets one starts over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cardrail.access import LimitsBook
from cardrail.catalog import CatalogCache, load_quotes
from cardrail.kernel import Clock, Mode, OutcomeUnknown, QuoteId, to_micros
from cardrail.ledger import load_wallets, wallet
from cardrail.orders import store
from cardrail.orders.decide import Facts, Known, Plan, decide
from cardrail.orders.model import Outcome, PayOrder, PlaceOrder
from cardrail.orders.sandbox import Behaviour, behaviour_of
from cardrail.orders.save import Books, save
from cardrail.storage import Database, Tx, is_unique_violation, retrying
from cardrail.vault import OpenSlice, Stock, load_open_slices

Request = PlaceOrder | PayOrder

SLICES_MAX = 512
"""Slices read for a batch at first; if they turn out too short, all are read before anybody is refused."""

BINDING_TRIES = 3


@dataclass(frozen=True, slots=True)
class Shop:
    """What placing orders needs besides the database: built once, in bootstrap."""

    db: Database
    clock: Clock
    catalog: CatalogCache
    books: Books
    read_versions: Callable[[Tx], tuple[int, int]]
    """(catalog, access) versions, in one statement."""
    unpaid_minutes: int = 30


def place_orders(shop: Shop, requests: Sequence[Request]) -> list[Outcome]:
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
    raise AssertionError("unreachable: the last try returns or raises")


def _place_once(shop: Shop, requests: Sequence[Request]) -> list[Outcome]:
    plan: Plan | None = None
    try:
        with shop.db.transaction() as tx:
            plan = _load_and_decide(tx, shop, requests)
            save(tx, shop.books, plan)
    except OutcomeUnknown:
        if plan is None or not _was_committed(shop.db, plan):
            raise
    assert plan is not None
    return plan.outcomes


def _was_committed(db: Database, plan: Plan) -> bool:
    """Whether the batch whose commit lost its answer took place: one of its orders is there, then all are."""
    ids = [sale.order.id for sale in plan.sales if isinstance(sale.request, PlaceOrder)]

    def look() -> bool:
        with db.read() as tx:
            return bool(ids) and store.count_existing(tx, ids) > 0

    return retrying(look)


def _load_and_decide(tx: Tx, shop: Shop, requests: Sequence[Request]) -> Plan:
    slices = SLICES_MAX
    facts = load(tx, shop, requests, slices_max=slices)
    plan = decide(requests, facts)
    if facts.stock.was_short and not shop.db.is_sqlite or facts.stock.was_cut:
        plan = decide(requests, load(tx, shop, requests, slices_max=0))
    return plan


def load(tx: Tx, shop: Shop, requests: Sequence[Request], *, slices_max: int) -> Facts:
    """Lock and read all that the decision looks at: wallets, then orders, quotes and limits, then slices; each kind in id order."""
    now = shop.clock.now()
    catalog_version, access_version = shop.read_versions(tx)
    snapshot = shop.catalog.ensure(tx, catalog_version, now.date())
    names = {wallet(one.buyer.partner_id, one.buyer.currency, one.buyer.mode) for one in requests}
    wallets = load_wallets(tx, sorted(names))
    placing = [one for one in requests if isinstance(one, PlaceOrder)]
    paying = [one for one in requests if isinstance(one, PayOrder)]
    unpaid = {order.id: order for order in store.load_orders(tx, [one.order_id for one in paying], lock=True)} if paying else {}
    owners = {one.order_id: one.buyer for one in paying}
    return Facts(
        now=to_micros(now),
        access_version=access_version,
        snapshot=snapshot,
        wallets=wallets,
        known_keys=_known(tx, "key_hash", [one.key_hash for one in placing if one.key_hash]),
        known_references=_known(tx, "reference_hash", [one.reference_hash for one in placing if one.reference_hash]),
        quotes=dict(load_quotes(tx, sorted({QuoteId(one.quote_id) for one in placing if one.quote_id}))),
        unpaid={
            key: order
            for key, order in unpaid.items()
            if order.partner_id == owners[key].partner_id and order.mode is owners[key].mode
        },
        limits=_limits(tx, placing, paying, to_micros(now)),
        stock=_stock(tx, shop, placing, list(unpaid.values()), to_micros(now), slices_max),
        pay_until=to_micros(now + timedelta(minutes=shop.unpaid_minutes)),
    )


def _known(tx: Tx, column: str, hashes: list[bytes]) -> dict[bytes, Known]:
    return {
        bytes(one): Known(store.OrderId(order_id), bytes(mark)) for one, order_id, mark in store.load_bindings(tx, column, hashes)
    }
