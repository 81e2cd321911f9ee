"""What suppliers sell, as it is kept: the statements on their products and on which of them is which denomination of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.sourcing.tables import supplier_mappings, supplier_products
from cardrail.storage import Tx

CHUNK: Final = 500
"""Rows of one statement, and of one transaction of a sync."""


@dataclass(frozen=True, slots=True)
class KeptProduct:
    """A supplier's product as it is kept. Amounts in minor units: of the face value in ``currency``, of the cost in ``cost_currency``."""

    supplier_id: str
    supplier_sku: str
    name: str
    brand: str | None
    category: str | None
    kind: str
    countries: str
    """Blank-separated."""
    currency: str
    face_minor: int | None
    min_minor: int | None
    max_minor: int | None
    step_minor: int | None
    cost_minor: int | None
    cost_bps: int | None
    cost_currency: str
    stock: int | None
    is_available: bool
    held_cost_minor: int | None
    held_cost_bps: int | None
    fields: str | None
    """JSON."""
    updated_at: int
    seen_at: int

    @property
    def is_held(self) -> bool:
        """Whether its cost jumped and waits for an operator."""
        return self.held_cost_minor is not None or self.held_cost_bps is not None

    @property
    def has_cost(self) -> bool:
        return self.cost_minor is not None or self.cost_bps is not None


@dataclass(frozen=True, slots=True)
class Mapping:
    """This product of the supplier's is this denomination of ours."""

    denomination_id: str
    supplier_id: str
    supplier_sku: str
    is_enabled: bool
    mapped_by: str
    created_at: int


_COLUMNS: Final = tuple([one.name for one in fields(KeptProduct)])
_MAPPING_COLUMNS: Final = tuple([one.name for one in fields(Mapping)])
_p, _m = supplier_products.c, supplier_mappings.c
_PRODUCTS: Final = sa.select(*[_p[name] for name in _COLUMNS]).where(_p.supplier_id == sa.bindparam("of"))
_SOME: Final = (
    _PRODUCTS.where(_p.supplier_sku.in_(sa.bindparam("skus", expanding=True))).order_by(_p.supplier_sku).with_for_update()
)
_insert = postgresql.insert(supplier_products)
_PUT: Final = _insert.on_conflict_do_update(
    index_elements=["supplier_id", "supplier_sku"],
    set_={name: _insert.excluded[name] for name in _COLUMNS if name not in ("supplier_id", "supplier_sku")},
)
_SEEN: Final = (
    sa.update(supplier_products)
    .where(_p.supplier_id == sa.bindparam("of"), _p.supplier_sku.in_(sa.bindparam("skus", expanding=True)))
    .values(seen_at=sa.bindparam("at"))
)
_GONE: Final = (
    sa.update(supplier_products)
    .where(_p.supplier_id == sa.bindparam("of"), _p.supplier_sku.in_(sa.bindparam("skus", expanding=True)))
    .values(is_available=False, updated_at=sa.bindparam("at"))
)
_AVAILABLE: Final = sa.select(_p.supplier_sku).where(_p.supplier_id == sa.bindparam("of"), _p.is_available.is_(sa.true()))
_MAPPED: Final = sa.select(_m.supplier_sku).where(_m.supplier_id == sa.bindparam("of")).distinct()
_MAPPINGS: Final = (
    sa.select(*[_m[name] for name in _MAPPING_COLUMNS])
    .where(_m.supplier_id == sa.bindparam("of"))
    .order_by(_m.supplier_sku, _m.denomination_id)
)
_UNMAP: Final = sa.delete(supplier_mappings).where(
    _m.supplier_id == sa.bindparam("of"), _m.supplier_sku == sa.bindparam("sku"), _m.denomination_id == sa.bindparam("den")
)
_COUNTS: Final = sa.select(
    _p.supplier_id,
    sa.func.count(),
    sa.func.sum(sa.case((sa.or_(_p.held_cost_minor.is_not(None), _p.held_cost_bps.is_not(None)), 1), else_=0)),
    sa.func.max(_p.seen_at),
).group_by(_p.supplier_id)
_MAPPED_COUNTS: Final = sa.select(_m.supplier_id, sa.func.count()).group_by(_m.supplier_id)


def load_products(tx: Tx, supplier_id: str) -> list[KeptProduct]:
    """All that a supplier sells, or sold."""
    return [KeptProduct(*row) for row in tx.execute(_PRODUCTS.order_by(_p.supplier_sku), {"of": supplier_id})]


def lock_products(tx: Tx, supplier_id: str, skus: Sequence[str]) -> dict[str, KeptProduct]:
    """Those of them that are kept, to be changed."""
    found = [KeptProduct(*row) for row in tx.execute(_SOME, {"of": supplier_id, "skus": list(skus)})]
    return {one.supplier_sku: one for one in found}


def write_products(tx: Tx, products: Sequence[KeptProduct]) -> None:
    """Write these whole."""
    if products:
        tx.execute(_PUT, [asdict(one) for one in products])


def mark_seen(tx: Tx, supplier_id: str, skus: Sequence[str], at: int) -> None:
    """Note that the supplier still lists these, unchanged."""
    if skus:
        tx.execute(_SEEN, {"of": supplier_id, "skus": list(skus), "at": at})


def mark_gone(tx: Tx, supplier_id: str, skus: Sequence[str], at: int) -> None:
    """Note that the supplier does not list these any more."""
    tx.execute(_GONE, {"of": supplier_id, "skus": list(skus), "at": at})


def available_skus(tx: Tx, supplier_id: str) -> frozenset[str]:
    return frozenset(tx.execute(_AVAILABLE, {"of": supplier_id}).scalars())


def mapped_skus(tx: Tx, supplier_id: str) -> frozenset[str]:
    """The supplier's products that are a denomination of ours."""
    return frozenset(tx.execute(_MAPPED, {"of": supplier_id}).scalars())


def load_mappings(tx: Tx, supplier_id: str) -> list[Mapping]:
    return [Mapping(*row) for row in tx.execute(_MAPPINGS, {"of": supplier_id})]


def delete_mapping(tx: Tx, mapping: Mapping) -> None:
    tx.execute(_UNMAP, {"of": mapping.supplier_id, "sku": mapping.supplier_sku, "den": mapping.denomination_id})


@dataclass(frozen=True, slots=True)
class Shelf:
    """How much of a supplier's is known."""

    products: int = 0
    held: int = 0
    mappings: int = 0
    seen_at: int | None = None
    """When a sync last listed any of it."""


def load_shelves(tx: Tx) -> dict[str, Shelf]:
    """By supplier."""
    mapped = {row[0]: row[1] for row in tx.execute(_MAPPED_COUNTS)}
    found = {row[0]: Shelf(row[1], int(row[2]), mapped.pop(row[0], 0), row[3]) for row in tx.execute(_COUNTS)}
    return found | {supplier_id: Shelf(mappings=count) for supplier_id, count in mapped.items()}


def in_chunks(skus: Iterable[str]) -> Iterator[list[str]]:
    """These, in order, some hundreds at a time."""
    ordered = sorted(skus)
    for start in range(0, len(ordered), CHUNK):
        yield ordered[start : start + CHUNK]


def product_row(one: KeptProduct) -> dict[str, Any]:
    """For programs: as kept, without what belongs to nobody else."""
    return {name: value for name, value in asdict(one).items() if name not in ("supplier_id", "fields")}
