"""Every statement of the orders package. On the order path a statement serves the whole batch, and its text is constant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cardrail.kernel import DenominationId, Mode, OrderId, PartnerId
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.refund_store import load_refunded_units
from cardrail.orders.states import OrderState
from cardrail.orders.tables import allocations, order_deliveries, order_items, orders
from cardrail.storage import Bulk, Tx, bulk_insert, driver_select, events
from cardrail.vault import Allocation

ORDER_COLUMNS: Final = (
    "id",
    "partner_id",
    "mode",
    "state",
    "currency",
    "total_minor",
    "charged_minor",
    "reference",
    "key_hash",
    "reference_hash",
    "fingerprint",
    "api_key_id",
    "customer_id",
    "quote_id",
    "pay_until",
    "revealed_at",
    "details",
    "created_at",
    "updated_at",
    "number",
)
ITEM_COLUMNS: Final = (
    "order_id",
    "line",
    "sku",
    "denomination_id",
    "name",
    "state",
    "quantity",
    "delivered",
    "face_minor",
    "face_currency",
    "unit_price_minor",
    "unit_fee_minor",
    "tax_bps",
    "total_minor",
    "charged_minor",
    "fx_rate_e10",
    "lot_id",
    "first_seq",
    "code_count",
    "expires_at",
    "hold_id",
    "fields",
)

insert_orders = bulk_insert(orders, *ORDER_COLUMNS)
insert_items = bulk_insert(order_items, *ITEM_COLUMNS)
insert_deliveries = bulk_insert(order_deliveries, "order_id", "state")
insert_allocations = bulk_insert(allocations, "lot_id", "first_seq", "code_count", "expires_at", "order_id", "line")

_json = msgspec.json.Encoder()


def item_row(order: Order, item: OrderItem) -> tuple[Any, ...]:
    """The item's row, with its first allocation."""
    first = item.allocations[0] if item.allocations else None
    return (
        order.id,
        item.line,
        item.sku,
        item.denomination_id,
        item.name,
        item.state.value,
        item.quantity,
        item.delivered,
        item.face_minor,
        item.face_currency,
        item.unit_price_minor,
        item.unit_fee_minor,
        item.tax_bps,
        item.total_minor,
        item.charged_minor,
        item.fx_rate_e10,
        first.lot_id if first else None,
        first.first_seq if first else None,
        first.count if first else 0,
        first.expires_at if first else None,
        item.hold_id,
        _json.encode(item.fields).decode() if item.fields else None,
    )


def allocation_rows(order: Order, item: OrderItem) -> list[tuple[Any, ...]]:
    """Rows of the second and further allocations."""
    return [(one.lot_id, one.first_seq, one.count, one.expires_at, order.id, item.line) for one in item.allocations[1:]]


# --- what a key or reference is bound to ------------------------------------------------------------------------------

_SQLITE_BINDINGS: Final = {
    "key_hash": "SELECT key_hash, id, fingerprint FROM orders WHERE key_hash IN ({})",
    "reference_hash": "SELECT reference_hash, id, fingerprint FROM orders WHERE reference_hash IN ({})",
}
_POSTGRES_BINDINGS: Final = {
    "key_hash": "SELECT key_hash, id, fingerprint FROM orders WHERE key_hash = ANY(%s)",
    "reference_hash": "SELECT reference_hash, id, fingerprint FROM orders WHERE reference_hash = ANY(%s)",
}


def load_bindings(tx: Tx, column: str, hashes: Sequence[bytes]) -> list[tuple[bytes, str, bytes]]:
    """(hash, order id, fingerprint) of the orders that these keys or references (``column``) are bound to."""
    if not hashes:
        return []
    if tx.dialect.name == "sqlite":
        padded = [*hashes, *[hashes[-1]] * (_bucket(len(hashes)) - len(hashes))]
        sql = _SQLITE_BINDINGS[column].format(",".join("?" * len(padded)))
        return driver_select(tx, sql, tuple(padded))
    return driver_select(tx, _POSTGRES_BINDINGS[column], (list(hashes),))


def _bucket(count: int) -> int:
    """The next power of two: few distinct statement texts, so the driver keeps them all prepared."""
    return 1 << (count - 1).bit_length()


# --- reading orders ---------------------------------------------------------------------------------------------------

_ORDER: Final = sa.select(orders)
_ITEMS: Final = sa.select(order_items).order_by(order_items.c.order_id, order_items.c.line)
_MORE_ALLOCATIONS: Final = sa.select(allocations).order_by(
    allocations.c.order_id,
    allocations.c.line,
    allocations.c.expires_at,
    allocations.c.lot_id,
    allocations.c.first_seq,  # as stock is taken, so that codes are always shown in the order in which they were given
)


_BY_ID: Final = _ORDER.where(orders.c.id.in_(sa.bindparam("ids", expanding=True))).order_by(orders.c.id)
_LOCK_BY_ID: Final = _BY_ID.with_for_update()
_ITEMS_OF: Final = _ITEMS.where(order_items.c.order_id.in_(sa.bindparam("ids", expanding=True)))


def load_orders(
    tx: Tx, ids: Sequence[OrderId], *, partner_id: str | None = None, mode: Mode | None = None, lock: bool = False
) -> list[Order]:
    """Orders with their items, in id order; scoped to a partner and mode in the query itself where given. ``lock`` holds the rows."""
    if partner_id is None and mode is None:
        return _with_items(tx, tx.execute(_LOCK_BY_ID if lock else _BY_ID, {"ids": list(ids)}).all())
    query = _ORDER.where(orders.c.id.in_(ids)).order_by(orders.c.id)
    if partner_id is not None:
        query = query.where(orders.c.partner_id == partner_id)
    if mode is not None:
        query = query.where(orders.c.mode == mode.value)
    return _with_items(tx, tx.execute(query.with_for_update() if lock else query).all())


def load_page(
    tx: Tx, partner_id: str, mode: Mode, conditions: Sequence[sa.ColumnElement[bool]], *, before: str | None, limit: int
) -> list[Order]:
    """A partner's orders, newest first, ``limit`` at most, older than the id ``before``."""
    query = _ORDER.where(orders.c.partner_id == partner_id, orders.c.mode == mode.value, *conditions)
    if before is not None:
        query = query.where(orders.c.id < before)
    return _with_items(tx, tx.execute(query.order_by(orders.c.id.desc()).limit(limit)).all())


def conditions_of(
    *,
    states: Sequence[str],
    reference_hash: bytes | None,
    customer_id: str | None,
    since: int | None,
    until: int | None,
    sku: str | None,
    unpaid: bool | None = None,
    currency: str | None = None,
) -> list[sa.ColumnElement[bool]]:
    """What narrows a list of orders, for ``load_page`` and ``load_slice``."""
    found: list[sa.ColumnElement[bool]] = []
    if states:
        found.append(orders.c.state.in_(states))
    if reference_hash is not None:
        found.append(orders.c.reference_hash == reference_hash)
    if customer_id is not None:
        found.append(orders.c.customer_id == customer_id)
    if since is not None:
        found.append(orders.c.created_at >= since)
    if until is not None:
        found.append(orders.c.created_at < until)
    if sku is not None:
        found.append(sa.exists().where(order_items.c.order_id == orders.c.id, order_items.c.sku == sku))
    if unpaid is not None:
        waits = orders.c.pay_until.is_not(None) if unpaid else orders.c.pay_until.is_(None)
        found.append(sa.or_(orders.c.state != "PLACED", waits))
    if currency is not None:
        found.append(orders.c.currency == currency)
    return found


def standing_conditions(standings: Sequence[tuple[str, bool | None]], skus: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """What narrows a list of orders to some states, each with or without a delivered unit, and to some skus."""
    own = order_items.c.order_id == orders.c.id
    has_units = sa.exists().where(own, order_items.c.delivered > 0)
    found: list[sa.ColumnElement[bool]] = [sa.exists().where(own, order_items.c.sku.in_(skus))] if skus else []
    if standings:
        of_units = {None: sa.true(), True: has_units, False: ~has_units}
        found.append(sa.or_(*[sa.and_(orders.c.state == state, of_units[wanted]) for state, wanted in standings]))
    return found


def load_slice(
    tx: Tx, partner_id: str, mode: Mode, conditions: Sequence[sa.ColumnElement[bool]], *, offset: int, limit: int
) -> list[Order]:
    """A partner's orders, newest first, from the ``offset``-th on. What is skipped is read from the index where that has all of it."""
    own = sa.and_(orders.c.partner_id == partner_id, orders.c.mode == mode.value, *conditions)
    ids = sa.select(orders.c.id).where(own).order_by(orders.c.id.desc()).offset(offset).limit(limit)
    return _with_items(tx, tx.execute(_ORDER.where(orders.c.id.in_(ids.scalar_subquery())).order_by(orders.c.id.desc())).all())


def count_orders(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    conditions: Sequence[sa.ColumnElement[bool]],
    *,
    since: str = "",
    before: str | None = None,
) -> int:
    """How many orders of a partner there are whose ids lie from ``since`` to before ``before``."""
    own = [orders.c.partner_id == partner_id, orders.c.mode == mode.value, orders.c.id >= since, *conditions]
    if before is not None:
        own.append(orders.c.id < before)
    return int(tx.execute(sa.select(sa.func.count()).select_from(orders).where(*own)).scalar_one())


_BETWEEN: Final = (
    _ORDER.where(
        orders.c.partner_id == sa.bindparam("partner"),
        orders.c.mode == sa.bindparam("mode"),
        orders.c.id.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    .order_by(orders.c.id)
    .limit(1)
)
_NUMBERED: Final = _ORDER.where(
    orders.c.number == sa.bindparam("number"),
    orders.c.partner_id == sa.bindparam("partner"),
    orders.c.mode == sa.bindparam("mode"),
)
_SET_NUMBER: Final = (
    sa.update(orders).where(orders.c.id == sa.bindparam("of"), orders.c.number.is_(None)).values(number=sa.bindparam("to_number"))
)
_NUMBERS: Final = sa.select(orders.c.id, orders.c.number).where(orders.c.id.in_(sa.bindparam("ids", expanding=True)))
_NUMBER_TAKEN: Final = sa.select(orders.c.id).where(orders.c.number == sa.bindparam("number"))


def load_between(tx: Tx, partner_id: str, mode: Mode, first: str, last: str) -> list[Order]:
    """The partner's first order whose id lies in the range, if there is one."""
    return _with_items(tx, tx.execute(_BETWEEN, {"partner": partner_id, "mode": mode.value, "first": first, "last": last}).all())


def load_numbered(tx: Tx, partner_id: str, mode: Mode, number: int) -> list[Order]:
    """The partner's order of this number, if there is one."""
    return _with_items(tx, tx.execute(_NUMBERED, {"partner": partner_id, "mode": mode.value, "number": number}).all())


def set_number(tx: Tx, order_id: str, number: int) -> None:
    """Number an order that has no number yet."""
    tx.execute(_SET_NUMBER, {"of": order_id, "to_number": number})


def load_numbers(tx: Tx, ids: Sequence[str]) -> dict[str, int | None]:
    return {row.id: row.number for row in tx.execute(_NUMBERS, {"ids": list(ids)})}


def is_number_taken(tx: Tx, number: int) -> bool:
    return tx.execute(_NUMBER_TAKEN, {"number": number}).first() is not None


def load_all(tx: Tx, *, state: str | None, partner_id: str | None, limit: int) -> list[Order]:
    """The operator's list: newest first, of every partner."""
    query = _ORDER.order_by(orders.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(orders.c.state == state)
    if partner_id is not None:
        query = query.where(orders.c.partner_id == partner_id)
    return _with_items(tx, tx.execute(query).all())


def load_expired_unpaid(tx: Tx, now: int, limit: int) -> list[OrderId]:
    """Unpaid orders whose time is over."""
    query = sa.select(orders.c.id).where(orders.c.pay_until.is_not(None), orders.c.pay_until <= now)
    return [OrderId(one) for one in tx.execute(query.order_by(orders.c.pay_until).limit(limit)).scalars()]


def _with_items(tx: Tx, rows: Sequence[sa.Row[Any]]) -> list[Order]:
    found = {row.id: _order(row) for row in rows}
    if not found:
        return []
    items = tx.execute(_ITEMS_OF, {"ids": list(found)}).all()
    for row in items:
        found[row.order_id].items.append(_item(row))
    if any(row.delivered > row.code_count for row in items):
        by_item = {(order.id, item.line): item for order in found.values() for item in order.items}
        for row in tx.execute(_MORE_ALLOCATIONS.where(allocations.c.order_id.in_(found))):
            item = by_item[(row.order_id, row.line)]
            item.allocations.append(
                Allocation(row.lot_id, row.first_seq, row.code_count, row.expires_at, False, item.denomination_id)
            )
    if refunded := [order for order in found.values() if order.refunded_minor]:
        gone = load_refunded_units(tx, [order.id for order in refunded])
        for order in refunded:
            for item in order.items:
                item.refunded = gone.get((order.id, item.line), ())
    return list(found.values())


def _order(row: sa.Row[Any]) -> Order:
    return Order(
        id=OrderId(row.id),
        partner_id=PartnerId(row.partner_id),
        mode=Mode(row.mode),
        state=OrderState(row.state),
        currency=row.currency,
        total_minor=row.total_minor,
        charged_minor=row.charged_minor,
        refunded_minor=row.refunded_minor,
        reference=row.reference,
        customer_id=row.customer_id,
        quote_id=row.quote_id,
        pay_until=row.pay_until,
        details=row.details,
        created_at=row.created_at,
        updated_at=row.updated_at,
        revealed_at=row.revealed_at,
        version=row.version,
        items=[],
        number=row.number,
    )


def _item(row: sa.Row[Any]) -> OrderItem:
    item = OrderItem(
        line=row.line,
        sku=row.sku,
        denomination_id=DenominationId(row.denomination_id),
        name=row.name,
        state=OrderState(row.state),
        quantity=row.quantity,
        delivered=row.delivered,
        face_minor=row.face_minor,
        face_currency=row.face_currency,
        unit_price_minor=row.unit_price_minor,
        unit_fee_minor=row.unit_fee_minor,
        tax_bps=row.tax_bps,
        total_minor=row.total_minor,
        charged_minor=row.charged_minor,
        fx_rate_e10=row.fx_rate_e10,
        fields=msgspec.json.decode(row.fields, type=dict[str, str]) if row.fields else None,
        hold_id=row.hold_id,
    )
    if row.lot_id is not None:
        item.allocations.append(
            Allocation(row.lot_id, row.first_seq, row.code_count, row.expires_at, False, item.denomination_id)
        )
    return item


# --- changing orders --------------------------------------------------------------------------------------------------


class StaleOrder(RuntimeError):
    """The order changed under a writer that held its row: a fault of ours."""


_update_orders: Final = Bulk(
    sa.update(orders)
    .where(orders.c.id == sa.bindparam("of"), orders.c.version == sa.bindparam("from_version"))
    .values(
        state=sa.bindparam("to_state"),
        charged_minor=sa.bindparam("to_charged"),
        refunded_minor=sa.bindparam("to_refunded"),
        pay_until=sa.bindparam("to_pay_until"),
        revealed_at=sa.bindparam("to_revealed_at"),
        updated_at=sa.bindparam("to_updated_at"),
        version=sa.bindparam("to_version"),
    ),
    (
        *("to_state", "to_charged", "to_refunded", "to_pay_until", "to_revealed_at", "to_updated_at", "to_version"),
        *("of", "from_version"),
    ),
)
_ITEM_CHANGES: Final = ("state", "delivered", "charged_minor", "lot_id", "first_seq", "code_count", "expires_at", "hold_id")
_update_items: Final = Bulk(
    sa.update(order_items)
    .where(order_items.c.order_id == sa.bindparam("of"), order_items.c.line == sa.bindparam("of_line"))
    .values({name: sa.bindparam(f"to_{name}") for name in _ITEM_CHANGES}),
    (*[f"to_{name}" for name in _ITEM_CHANGES], "of", "of_line"),
)


def update_order(tx: Tx, order: Order, *, from_version: int) -> None:
    """``update_orders`` of one."""
    update_orders(tx, [(order, from_version)])


def update_orders(tx: Tx, changed: Sequence[tuple[Order, int]]) -> None:
    """Write the new state and sums of orders, compare-and-set on the version named; and their items with their first allocations."""
    rows = []
    item_rows = []
    for order, from_version in changed:
        order.version = from_version + 1
        rows.append(
            (
                order.state.value,
                order.charged_minor,
                order.refunded_minor,
                order.pay_until,
                order.revealed_at,
                order.updated_at,
                order.version,
                order.id,
                from_version,
            )
        )
        for item in order.items:
            first = item.allocations[0] if item.allocations else None
            item_rows.append(
                (
                    item.state.value,
                    item.delivered,
                    item.charged_minor,
                    first.lot_id if first else None,
                    first.first_seq if first else None,
                    first.count if first else 0,
                    first.expires_at if first else None,
                    item.hold_id,
                    order.id,
                    item.line,
                )
            )
    if _update_orders(tx, rows) != len(rows):
        raise StaleOrder(" ".join([order.id for order, _ in changed]))
    _update_items(tx, item_rows)


_WAITING: Final = (
    sa.select(order_deliveries.c.order_id)
    .join(orders, orders.c.id == order_deliveries.c.order_id)
    .where(order_deliveries.c.state == "waiting", orders.c.state.in_(sa.bindparam("states", expanding=True)))
    .order_by(order_deliveries.c.order_id)
    .limit(sa.bindparam("count"))
)
_END_DELIVERY: Final = (
    sa.update(order_deliveries)
    .where(order_deliveries.c.order_id == sa.bindparam("of"), order_deliveries.c.state == "waiting")
    .values(state="done")
)


def load_deliveries(tx: Tx, states: Sequence[str], count: int) -> list[OrderId]:
    """Orders in one of these states whose delivery waits, the oldest first."""
    return [OrderId(one) for one in tx.execute(_WAITING, {"states": list(states), "count": count}).scalars()]


def end_delivery(tx: Tx, order_id: str) -> bool:
    """Whether the order's delivery waited until now."""
    return tx.execute(_END_DELIVERY, {"of": order_id}).rowcount == 1


_MARK_REVEALED: Final = (
    sa.update(orders)
    .where(orders.c.id == sa.bindparam("of"), orders.c.revealed_at.is_(None))
    .values(revealed_at=sa.bindparam("at"), version=orders.c.version + 1)
)


def mark_revealed(tx: Tx, order_id: OrderId, at: int) -> None:
    """Note that a code of the order was opened for somebody; the first time counts."""
    tx.execute(_MARK_REVEALED, {"of": order_id, "at": at})


_HISTORY: Final = (
    sa.select(events)
    .where(events.c.subject_id == sa.bindparam("of"), events.c.type.like("order.%"))
    .order_by(events.c.subject_seq)
)
_LAST_STEP: Final = sa.select(sa.func.coalesce(sa.func.max(events.c.subject_seq), 0)).where(
    events.c.subject_id == sa.bindparam("of")
)


def load_history(tx: Tx, order_id: OrderId) -> list[sa.Row[Any]]:
    """The order's events, oldest first."""
    return list(tx.execute(_HISTORY, {"of": order_id}).all())


_ENDINGS: Final = (
    sa.select(events.c.subject_id, sa.func.min(events.c.at))
    .where(
        events.c.subject_id.in_(sa.bindparam("ids", expanding=True)),
        events.c.type.in_(["order.fulfilled", "order.partially_fulfilled", "order.failed", "order.cancelled"]),
    )
    .group_by(events.c.subject_id)
)


def load_endings(tx: Tx, ids: Iterable[str]) -> dict[str, int]:
    """When each of these orders came to its end, for those that have."""
    return {order_id: int(at) for order_id, at in tx.execute(_ENDINGS, {"ids": list(ids)})}


def next_step(tx: Tx, subject_id: str) -> int:
    """The place of the next event in a subject's history; the subject's row is locked by the caller."""
    return int(tx.execute(_LAST_STEP, {"of": subject_id}).scalar_one()) + 1


_LAST_STEPS: Final = (
    sa.select(events.c.subject_id, sa.func.max(events.c.subject_seq))
    .where(events.c.subject_id.in_(sa.bindparam("ids", expanding=True)))
    .group_by(events.c.subject_id)
)


def next_steps(tx: Tx, subject_ids: Sequence[str]) -> dict[str, int]:
    """``next_step`` of several subjects."""
    if not subject_ids:
        return {}
    last = {subject_id: int(step) for subject_id, step in tx.execute(_LAST_STEPS, {"ids": list(subject_ids)})}
    return {one: last.get(one, 0) + 1 for one in subject_ids}
