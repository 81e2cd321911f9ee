"""Every statement of sourcing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql  # its upsert compiles for SQLite too

from cardrail.kernel import Mode
from cardrail.sourcing.connector import SupplierProduct
from cardrail.sourcing.errors import SupplierNameTaken
from cardrail.sourcing.model import (
    Attempt,
    AttemptState,
    Health,
    Listing,
    Procurement,
    ProcurementState,
    Route,
    Story,
    Supplier,
    SupplierState,
)
from cardrail.sourcing.tables import (
    attempts,
    mapping_rules,
    procurements,
    routes,
    supplier_health,
    supplier_mappings,
    supplier_products,
    suppliers,
)
from cardrail.storage import Bulk, Tx, bulk_insert

_json = msgspec.json.Encoder()
_story = msgspec.json.Decoder(tuple[tuple[int, str], ...]).decode
_config = msgspec.json.Decoder(dict[str, Any]).decode

STORY_MAX: Final = 200
"""Sentences of one story; the oldest after the first go."""


def story_text(story: Story) -> str:
    """A story as its column."""
    if len(story) > STORY_MAX:
        story = (story[0], *story[-STORY_MAX + 1 :])
    return _json.encode(story).decode()


# --- suppliers --------------------------------------------------------------------------------------------------------


def insert_supplier(tx: Tx, one: Supplier) -> None:
    """Write a new supplier and its empty health. Raises SupplierNameTaken."""
    if tx.execute(sa.select(suppliers.c.id).where(suppliers.c.name == one.name)).first() is not None:
        raise SupplierNameTaken(name=one.name)
    tx.execute(sa.insert(suppliers).values(_supplier_values(one)))
    tx.execute(sa.insert(supplier_health).values(supplier_id=one.id, breaker="closed", updated_at=one.created_at))


def update_supplier(tx: Tx, one: Supplier) -> None:
    tx.execute(sa.update(suppliers).where(suppliers.c.id == one.id).values(_supplier_values(one)))


def _supplier_values(one: Supplier) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "mode": one.mode.value,
        "state": one.state.value,
        "currency": one.currency,
        "config": _json.encode(one.config).decode(),
        "secrets": one.secrets,
        "priority": one.priority,
        "weight": one.weight,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }


_SUPPLIER: Final = sa.select(suppliers).where(
    sa.or_(suppliers.c.id == sa.bindparam("of"), suppliers.c.name == sa.bindparam("of"))
)
_LOCK_SUPPLIER: Final = _SUPPLIER.with_for_update()


def find_supplier(tx: Tx, name_or_id: str, *, lock: bool = False) -> Supplier | None:
    """The supplier of this id or name."""
    row = tx.execute(_LOCK_SUPPLIER if lock else _SUPPLIER, {"of": name_or_id}).first()
    return _supplier(row) if row is not None else None


def list_suppliers(tx: Tx, *, with_retired: bool = False) -> list[Supplier]:
    query = sa.select(suppliers).order_by(suppliers.c.name)
    if not with_retired:
        query = query.where(suppliers.c.state != SupplierState.RETIRED.value)
    return [_supplier(row) for row in tx.execute(query)]


def _supplier(row: Any) -> Supplier:
    return Supplier(
        id=row.id,
        name=row.name,
        kind=row.kind,
        mode=Mode(row.mode),
        state=SupplierState(row.state),
        currency=row.currency,
        config=_config(row.config),
        secrets=bytes(row.secrets) if row.secrets is not None else None,
        priority=row.priority,
        weight=row.weight,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


# --- health -----------------------------------------------------------------------------------------------------------

_HEALTH_COLUMNS: Final = tuple([one.name for one in fields(Health)])


_HEALTH: Final = sa.select(*[supplier_health.c[name] for name in _HEALTH_COLUMNS]).where(
    supplier_health.c.supplier_id == sa.bindparam("of")
)
_LOCK_HEALTH: Final = _HEALTH.with_for_update()
_HEALTH_CHANGES: Final = tuple([name for name in _HEALTH_COLUMNS if name != "supplier_id"])
_save_healths: Final = Bulk(
    sa.update(supplier_health)
    .where(supplier_health.c.supplier_id == sa.bindparam("of"))
    .values({name: sa.bindparam(f"to_{name}") for name in _HEALTH_CHANGES}),
    (*[f"to_{name}" for name in _HEALTH_CHANGES], "of"),
)
_LOCK_HEALTHS: Final = (
    sa.select(*[supplier_health.c[name] for name in _HEALTH_COLUMNS])
    .where(supplier_health.c.supplier_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(supplier_health.c.supplier_id)
    .with_for_update()
)


def load_health(tx: Tx, supplier_id: str, *, lock: bool = False) -> Health:
    """What is known of a supplier; a fresh one where nothing is."""
    row = tx.execute(_LOCK_HEALTH if lock else _HEALTH, {"of": supplier_id}).first()
    return Health(*row) if row is not None else Health(supplier_id)


def lock_healths(tx: Tx, supplier_ids: Iterable[str]) -> dict[str, Health]:
    """What is known of these suppliers, locked in the order of their ids; a fresh one where nothing is."""
    ids = sorted(set(supplier_ids))
    if not ids:
        return {}
    found = [Health(*row) for row in tx.execute(_LOCK_HEALTHS, {"ids": ids})]
    return {one: Health(one) for one in ids} | {one.supplier_id: one for one in found}


def save_health(tx: Tx, one: Health) -> None:
    """Write it whole; the caller has locked it."""
    save_healths(tx, [one])


def save_healths(tx: Tx, health: Iterable[Health]) -> None:
    """Write them whole; the caller has locked them."""
    _save_healths(tx, [(*[getattr(one, name) for name in _HEALTH_CHANGES], one.supplier_id) for one in health])


# --- what they sell ---------------------------------------------------------------------------------------------------

_LISTINGS: Final = (
    sa.select(
        suppliers,
        *[supplier_health.c[name].label(f"health_{name}") for name in _HEALTH_COLUMNS if name != "supplier_id"],
        supplier_products.c.supplier_sku,
        supplier_products.c.face_minor,
        supplier_products.c.min_minor,
        supplier_products.c.max_minor,
        supplier_products.c.step_minor,
        supplier_products.c.cost_minor,
        supplier_products.c.cost_bps,
        supplier_products.c.cost_currency,
        supplier_products.c.stock,
        supplier_products.c.is_available,
        supplier_products.c.held_cost_minor,
        supplier_products.c.held_cost_bps,
    )
    .select_from(
        supplier_mappings.join(suppliers, suppliers.c.id == supplier_mappings.c.supplier_id)
        .join(
            supplier_products,
            sa.and_(
                supplier_products.c.supplier_id == supplier_mappings.c.supplier_id,
                supplier_products.c.supplier_sku == supplier_mappings.c.supplier_sku,
            ),
        )
        .outerjoin(supplier_health, supplier_health.c.supplier_id == suppliers.c.id)
    )
    .where(
        supplier_mappings.c.denomination_id == sa.bindparam("of"),
        supplier_mappings.c.is_enabled.is_(sa.true()),
        suppliers.c.mode == sa.bindparam("mode"),
        suppliers.c.state == SupplierState.ACTIVE.value,
    )
    .order_by(suppliers.c.id, supplier_products.c.supplier_sku)
)


def load_listings(tx: Tx, denomination_id: str, mode: Mode) -> list[Listing]:
    """Every way to buy this denomination from an active supplier."""
    return [_listing(row) for row in tx.execute(_LISTINGS, {"of": denomination_id, "mode": mode.value})]


def _listing(row: Any) -> Listing:
    known = {
        name: getattr(row, f"health_{name}")
        for name in _HEALTH_COLUMNS
        if name != "supplier_id" and row.health_breaker is not None
    }
    return Listing(
        supplier=_supplier(row),
        health=Health(row.id, **known),
        supplier_sku=row.supplier_sku,
        face_minor=row.face_minor,
        min_minor=row.min_minor,
        max_minor=row.max_minor,
        step_minor=row.step_minor,
        cost_minor=row.cost_minor,
        cost_bps=row.cost_bps,
        cost_currency=row.cost_currency,
        stock=row.stock,
        is_available=row.is_available,
        is_held=row.held_cost_minor is not None or row.held_cost_bps is not None,
    )


_SUPPLIED: Final = (
    sa.select(supplier_mappings.c.denomination_id)
    .join(suppliers, suppliers.c.id == supplier_mappings.c.supplier_id)
    .where(
        supplier_mappings.c.is_enabled.is_(sa.true()),
        suppliers.c.mode == Mode.LIVE.value,
        suppliers.c.state == SupplierState.ACTIVE.value,
    )
    .distinct()
)


def load_supplied(tx: Tx) -> frozenset[str]:
    """The denominations that an active supplier of live mode sells."""
    return frozenset(tx.execute(_SUPPLIED).scalars())


_SUPPLIED_COUNTS: Final = (
    sa.select(supplier_mappings.c.denomination_id, supplier_products.c.face_minor, supplier_products.c.stock)
    .join(suppliers, suppliers.c.id == supplier_mappings.c.supplier_id)
    .join(
        supplier_products,
        sa.and_(
            supplier_products.c.supplier_id == supplier_mappings.c.supplier_id,
            supplier_products.c.supplier_sku == supplier_mappings.c.supplier_sku,
        ),
    )
    .where(
        supplier_mappings.c.denomination_id.in_(sa.bindparam("ids", expanding=True)),
        supplier_mappings.c.is_enabled.is_(sa.true()),
        suppliers.c.mode == Mode.LIVE.value,
        suppliers.c.state == SupplierState.ACTIVE.value,
        supplier_products.c.is_available.is_(sa.true()),
        supplier_products.c.face_minor.is_not(None),
        supplier_products.c.held_cost_minor.is_(None),
        supplier_products.c.held_cost_bps.is_(None),
    )
)


def supplied_counts(tx: Tx, denomination_ids: Sequence[str], *, unsaid: int) -> dict[tuple[str, int], int]:
    """(denomination, face value) → units that active suppliers say they have; ``unsaid`` where one does not say."""
    counts: dict[tuple[str, int], int] = {}
    if not denomination_ids:
        return counts
    for row in tx.execute(_SUPPLIED_COUNTS, {"ids": list(denomination_ids)}):
        key = (row.denomination_id, row.face_minor)
        counts[key] = counts.get(key, 0) + (unsaid if row.stock is None else row.stock)
    return counts


def put_product(tx: Tx, supplier_id: str, product: SupplierProduct, cost_currency: str, at: int) -> None:
    """Write one of a supplier's products as it is now, whatever it was."""
    values = {
        "supplier_id": supplier_id,
        "supplier_sku": product.sku,
        "name": product.name,
        "brand": product.brand,
        "category": product.category,
        "kind": product.kind,
        "countries": " ".join(product.countries),
        "currency": product.currency,
        "face_minor": product.face_minor,
        "min_minor": product.min_minor,
        "max_minor": product.max_minor,
        "step_minor": product.step_minor,
        "cost_minor": product.cost.minor if product.cost is not None else None,
        "cost_bps": product.cost_bps,
        "cost_currency": product.cost.currency.code if product.cost is not None else cost_currency,
        "stock": product.stock,
        "is_available": product.is_available,
        "held_cost_minor": None,
        "held_cost_bps": None,
        "fields": _json.encode(list(product.fields)).decode() if product.fields else None,
        "updated_at": at,
        "seen_at": at,
    }
    changes = {name: value for name, value in values.items() if name not in ("supplier_id", "supplier_sku")}
    tx.execute(
        postgresql.insert(supplier_products)
        .values(values)
        .on_conflict_do_update(index_elements=["supplier_id", "supplier_sku"], set_=changes)
    )


def has_rules(tx: Tx, supplier_id: str) -> bool:
    """Whether any rule maps this supplier's products."""
    query = sa.select(mapping_rules.c.id).where(mapping_rules.c.supplier_id == supplier_id).limit(1)
    return tx.execute(query).first() is not None


def put_mapping(
    tx: Tx, denomination_id: str, supplier_id: str, supplier_sku: str, *, is_enabled: bool, mapped_by: str, at: int
) -> None:
    """Say that this product of the supplier's is this denomination."""
    tx.execute(
        postgresql.insert(supplier_mappings)
        .values(
            denomination_id=denomination_id,
            supplier_id=supplier_id,
            supplier_sku=supplier_sku,
            is_enabled=is_enabled,
            mapped_by=mapped_by,
            created_at=at,
        )
        .on_conflict_do_update(
            index_elements=["denomination_id", "supplier_id", "supplier_sku"],
            set_={"is_enabled": is_enabled, "mapped_by": mapped_by},
        )
    )


_TAKE_STOCK: Final = (
    sa.update(supplier_products)
    .where(
        supplier_products.c.supplier_id == sa.bindparam("of"),
        supplier_products.c.supplier_sku == sa.bindparam("sku"),
        supplier_products.c.stock.is_not(None),
    )
    .values(
        stock=sa.case(
            (supplier_products.c.stock > sa.bindparam("count"), supplier_products.c.stock - sa.bindparam("count")), else_=0
        )
    )
)


def take_stock(tx: Tx, supplier_id: str, supplier_sku: str, count: int) -> None:
    """Count off what was bought, until the next sync tells anew. A supplier that said "out of stock" has none."""
    tx.execute(_TAKE_STOCK, {"of": supplier_id, "sku": supplier_sku, "count": count})


_NOTE_COST: Final = (
    sa.update(supplier_products)
    .where(
        supplier_products.c.supplier_id == sa.bindparam("of"),
        supplier_products.c.supplier_sku == sa.bindparam("sku"),
        supplier_products.c.cost_minor < sa.bindparam("cost"),
    )
    .values(cost_minor=sa.bindparam("cost"))
)


def note_cost(tx: Tx, supplier_id: str, supplier_sku: str, unit_cost_minor: int) -> None:
    """A unit cost more than the price list had it: so it is bought at that price or not at all, until the next sync tells anew."""
    tx.execute(_NOTE_COST, {"of": supplier_id, "sku": supplier_sku, "cost": unit_cost_minor})


_ROUTES: Final = sa.select(routes).where(routes.c.id.in_(sa.bindparam("ids", expanding=True)))


def load_route(tx: Tx, denomination_id: str, product_id: str | None) -> Route | None:
    """The route of the denomination, else of its product, else the default; None where nobody set one."""
    wanted = [denomination_id, product_id or denomination_id, "default"]
    found = {row.id: row for row in tx.execute(_ROUTES, {"ids": wanted})}
    for one in wanted:
        if one in found:
            row = found[one]
            return Route(row.policy, row.supplier_id, row.margin_floor_bps)
    return None


def put_route(tx: Tx, key: str, route: Route, at: int) -> None:
    values = {
        "policy": route.policy,
        "supplier_id": route.supplier_id,
        "margin_floor_bps": route.margin_floor_bps,
        "updated_at": at,
    }
    tx.execute(postgresql.insert(routes).values(id=key, **values).on_conflict_do_update(index_elements=["id"], set_=values))


# --- items that wait --------------------------------------------------------------------------------------------------

PROCUREMENT_COLUMNS: Final = (
    "order_id",
    "line",
    "partner_id",
    "mode",
    "state",
    "denomination_id",
    "quantity",
    "all_or_nothing",
    "created_at",
    "wake_at",
)
insert_procurements = bulk_insert(procurements, *PROCUREMENT_COLUMNS)
"""Write new items: one tuple each, in the order of PROCUREMENT_COLUMNS."""

_OLDEST: Final = sa.select(sa.func.min(procurements.c.created_at)).where(procurements.c.state == ProcurementState.WAITING.value)


def oldest_waiting(tx: Tx) -> int | None:
    """When the item was placed that has waited longest without anybody having begun; None if there is none."""
    at: int | None = tx.execute(_OLDEST).scalar()
    return at


_OF_ORDER: Final = sa.select(procurements).where(procurements.c.order_id == sa.bindparam("of")).order_by(procurements.c.line)


_LOCK_OF_ORDER: Final = _OF_ORDER.with_for_update()


def load_procurements(tx: Tx, order_id: str, *, lock: bool = False) -> list[Procurement]:
    """The order's items that wait, or waited, for suppliers."""
    return [_procurement(row) for row in tx.execute(_LOCK_OF_ORDER if lock else _OF_ORDER, {"of": order_id})]


_LOCK_OF_ORDERS: Final = (
    sa.select(procurements)
    .where(procurements.c.order_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(procurements.c.order_id, procurements.c.line)
    .with_for_update()
)


def lock_procurements(tx: Tx, order_ids: Iterable[str]) -> dict[str, list[Procurement]]:
    """The items of these orders that wait, or waited, for suppliers, by order."""
    found: dict[str, list[Procurement]] = defaultdict(list)
    for row in tx.execute(_LOCK_OF_ORDERS, {"ids": list(order_ids)}):
        found[row.order_id].append(_procurement(row))
    return found


_OVERDUE: Final = (
    sa.select(procurements.c.order_id, sa.func.max(procurements.c.round).label("round"))
    .where(procurements.c.state != ProcurementState.DONE.value, procurements.c.wake_at < sa.bindparam("before"))
    .group_by(procurements.c.order_id)
    .order_by(procurements.c.order_id)
    .limit(sa.bindparam("max"))
)


def overdue(tx: Tx, before: int, limit: int) -> list[tuple[str, int]]:
    """(order, round) of items that should have been looked at before that moment, and were not."""
    return [(row.order_id, row.round) for row in tx.execute(_OVERDUE, {"before": before, "max": limit})]


_PROCUREMENT_CHANGES: Final = ("state", "delivered", "wake_at", "round", "trace")
_save_procurements: Final = Bulk(
    sa.update(procurements)
    .where(procurements.c.order_id == sa.bindparam("of"), procurements.c.line == sa.bindparam("of_line"))
    .values({name: sa.bindparam(f"to_{name}") for name in _PROCUREMENT_CHANGES}),
    (*[f"to_{name}" for name in _PROCUREMENT_CHANGES], "of", "of_line"),
)


def save_procurement(tx: Tx, one: Procurement) -> None:
    """Write how the item stands; the caller has locked it."""
    save_procurements(tx, [one])


def save_procurements(tx: Tx, changed: Iterable[Procurement]) -> None:
    """Write how the items stand; the caller has locked them."""
    _save_procurements(
        tx,
        [
            (one.state.value, one.delivered, one.wake_at, one.round, story_text(one.trace), one.order_id, one.line)
            for one in changed
        ],
    )


def _procurement(row: Any) -> Procurement:
    return Procurement(
        order_id=row.order_id,
        line=row.line,
        partner_id=row.partner_id,
        mode=Mode(row.mode),
        state=ProcurementState(row.state),
        denomination_id=row.denomination_id,
        quantity=row.quantity,
        delivered=row.delivered,
        all_or_nothing=row.all_or_nothing,
        created_at=row.created_at,
        wake_at=row.wake_at,
        round=row.round,
        trace=_story(row.trace),
    )


# --- attempts ---------------------------------------------------------------------------------------------------------

_ATTEMPT_COLUMNS: Final = tuple([one.name for one in fields(Attempt)])
_ATTEMPTS_OF: Final = sa.select(attempts).where(attempts.c.order_id == sa.bindparam("of")).order_by(attempts.c.line, attempts.c.n)
_KNOWN_IDS: Final = sa.select(attempts.c.supplier_order_id).where(
    attempts.c.supplier_id == sa.bindparam("of"),
    attempts.c.supplier_order_id.is_not(None),
    attempts.c.id != sa.bindparam("but"),
    attempts.c.asked_at >= sa.bindparam("since"),
)
_ATTEMPT_CHANGES: Final = (
    "state",
    "match_key",
    "supplier_order_id",
    "refusal",
    "delivered",
    "cost_minor",
    "cost_currency",
    "answered_at",
    "look_at",
    "leased_until",
    "looks",
    "misses",
    "deadline_at",
    "story",
)
_save_attempts: Final = Bulk(
    sa.update(attempts)
    .where(attempts.c.id == sa.bindparam("of"), attempts.c.state == sa.bindparam("from_state"))
    .values({name: sa.bindparam(f"to_{name}") for name in _ATTEMPT_CHANGES}),
    (*[f"to_{name}" for name in _ATTEMPT_CHANGES], "of", "from_state"),
)


_insert_attempts = bulk_insert(attempts, *_ATTEMPT_COLUMNS)
_ATTEMPT: Final = sa.select(attempts).where(attempts.c.id == sa.bindparam("of"))
_LOCK_ATTEMPT: Final = _ATTEMPT.with_for_update()


def insert_attempt(tx: Tx, one: Attempt) -> None:
    """Write an attempt before its call."""
    values = {name: getattr(one, name) for name in _ATTEMPT_COLUMNS}
    values |= {"mode": one.mode.value, "state": one.state.value, "story": story_text(one.story)}
    _insert_attempts(tx, [tuple(values.values())])


def save_attempt(tx: Tx, one: Attempt, *, from_state: AttemptState) -> bool:
    """Write how it stands, compare-and-set on its state; False if somebody else was first.

    One whose number at the supplier is known is not looked for by match any more: another like it can be told from it.
    """
    return save_attempts(tx, [(one, from_state)]) == 1


def save_attempts(tx: Tx, changed: Iterable[tuple[Attempt, AttemptState]]) -> int:
    """``save_attempt`` of several, each with the state that it had; how many were written."""
    return _save_attempts(tx, [_attempt_changes(one, from_state) for one, from_state in changed])


def _attempt_changes(one: Attempt, from_state: AttemptState) -> tuple[Any, ...]:
    return (
        one.state.value,
        one.match_key if one.supplier_order_id is None else None,
        one.supplier_order_id,
        one.refusal,
        one.delivered,
        one.cost_minor,
        one.cost_currency,
        one.answered_at,
        one.look_at,
        one.leased_until,
        one.looks,
        one.misses,
        one.deadline_at,
        story_text(one.story),
        one.id,
        from_state.value,
    )


_LOCK_ATTEMPTS_OF: Final = (
    sa.select(attempts)
    .where(attempts.c.order_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(attempts.c.order_id, attempts.c.line, attempts.c.n)
    .with_for_update()
)


def lock_attempts(tx: Tx, order_ids: Iterable[str]) -> dict[str, list[Attempt]]:
    """The attempts of these orders, by line and number, by order."""
    found: dict[str, list[Attempt]] = defaultdict(list)
    for row in tx.execute(_LOCK_ATTEMPTS_OF, {"ids": list(order_ids)}):
        found[row.order_id].append(_attempt(row))
    return found


def load_attempts(tx: Tx, order_id: str) -> list[Attempt]:
    """The order's attempts, by line and number."""
    return [_attempt(row) for row in tx.execute(_ATTEMPTS_OF, {"of": order_id})]


def load_attempt(tx: Tx, attempt_id: str, *, lock: bool = False) -> Attempt | None:
    row = tx.execute(_LOCK_ATTEMPT if lock else _ATTEMPT, {"of": attempt_id}).first()
    return _attempt(row) if row is not None else None


def known_order_ids(tx: Tx, supplier_id: str, *, but: str, since: int) -> frozenset[str]:
    """The supplier's order ids that belong to other attempts than ``but``, asked since that moment."""
    found = tx.execute(_KNOWN_IDS, {"of": supplier_id, "but": but, "since": since}).scalars()
    return frozenset(found)


_ANOTHERS: Final = (
    sa.select(attempts.c.id)
    .where(
        attempts.c.supplier_id == sa.bindparam("of"),
        attempts.c.supplier_order_id == sa.bindparam("number"),
        attempts.c.supplier_order_id.is_not(None),
        attempts.c.id != sa.bindparam("but"),
    )
    .limit(1)
)


def is_order_of_another(tx: Tx, supplier_id: str, supplier_order_id: str, *, but: str) -> bool:
    """Whether the supplier's order belongs to another attempt than ``but``."""
    return tx.execute(_ANOTHERS, {"of": supplier_id, "number": supplier_order_id, "but": but}).first() is not None


_MATCH: Final = (
    sa.select(attempts.c.id)
    .where(attempts.c.match_key == sa.bindparam("of"), sa.literal_column("attempts.state IN ('asking', 'unknown')"))
    .limit(1)
)


def is_match_taken(tx: Tx, match_key: str) -> bool:
    """Whether an unresolved attempt of this account, product, face value and quantity is there."""
    return tx.execute(_MATCH, {"of": match_key}).first() is not None


_UNRESOLVED_MATCHES: Final = sa.select(attempts).where(
    attempts.c.match_key.is_not(None),
    sa.literal_column("attempts.state IN ('asking', 'unknown')"),
    attempts.c.supplier_order_id.is_(None),
    attempts.c.mode == Mode.LIVE.value,
)


def unresolved_matches(tx: Tx) -> list[Attempt]:
    """Live attempts that are looked for by match."""
    return [_attempt(row) for row in tx.execute(_UNRESOLVED_MATCHES)]


def open_attempts(tx: Tx, supplier_ids: Iterable[str] | None = None, limit: int = 1_000) -> list[Attempt]:
    """What is open, the longest waiting first."""
    query = sa.select(attempts).where(is_open_attempt)
    if supplier_ids is not None:
        query = query.where(attempts.c.supplier_id.in_(list(supplier_ids)))
    return [_attempt(row) for row in tx.execute(query.order_by(attempts.c.look_at).limit(limit))]


is_open_attempt: Final[sa.ColumnElement[bool]] = sa.literal_column("attempts.state IN ('asking', 'accepted', 'unknown')")
_RESERVED: Final = (
    sa.select(attempts.c.supplier_id, sa.func.sum(attempts.c.expected_cost_minor))
    .where(attempts.c.supplier_id.in_(sa.bindparam("ids", expanding=True)), is_open_attempt)
    .group_by(attempts.c.supplier_id)
)


def reserved_costs(tx: Tx, supplier_ids: Sequence[str]) -> dict[str, int]:
    """By supplier, what its open attempts may still cost."""
    if not supplier_ids:
        return {}
    return {supplier_id: int(total) for supplier_id, total in tx.execute(_RESERVED, {"ids": list(supplier_ids)})}


def _attempt(row: Any) -> Attempt:
    values = {name: getattr(row, name) for name in _ATTEMPT_COLUMNS}
    values |= {"mode": Mode(row.mode), "state": AttemptState(row.state), "story": _story(row.story)}
    return Attempt(**values)
