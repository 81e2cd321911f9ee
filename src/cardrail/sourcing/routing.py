"""The rules by which suppliers are chosen, as an operator keeps them: for all, for a product, for one sku; set, shown, taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from cardrail.catalog import CatalogSnapshot, UnknownSku
from cardrail.kernel import BPS_ONE, Clock, to_micros
from cardrail.sourcing import store
from cardrail.sourcing.errors import InvalidRoute, RouteNotFound
from cardrail.sourcing.model import Route
from cardrail.sourcing.route import POLICIES
from cardrail.sourcing.suppliers import get_supplier
from cardrail.sourcing.tables import routes
from cardrail.storage import AuditLog, Database, Tx, audit_entry

DEFAULT: Final = "default"
"""The name of the rule for everything that has none of its own."""


@dataclass(frozen=True, slots=True)
class KeptRoute:
    """A rule, and what it is for."""

    key: str
    """A denomination's or a product's id, or DEFAULT."""
    route: Route
    updated_at: int


def route_key(snapshot: CatalogSnapshot, name: str) -> str:
    """What a rule for this is kept under: a sku, a product's code, or "default". Raises UnknownSku."""
    if name == DEFAULT:
        return DEFAULT
    offer = snapshot.offer(name)
    if offer is not None:
        return offer.denomination_id
    product = snapshot.product_by_code(name)
    if product is None:
        raise UnknownSku(sku=name[:64])
    return product.id


def route_name(snapshot: CatalogSnapshot, key: str) -> str:
    """How an operator calls it."""
    offer = snapshot.denomination(key)
    product = snapshot.product(key) if offer is None else None
    return offer.sku if offer is not None else (product.code or key) if product is not None else key


def list_routes(tx: Tx) -> list[KeptRoute]:
    """All rules that were set."""
    rows = tx.execute(sa.select(routes).order_by(routes.c.id))
    return [KeptRoute(row.id, Route(row.policy, row.supplier_id, row.margin_floor_bps), row.updated_at) for row in rows]


def set_route(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    snapshot: CatalogSnapshot,
    name: str,
    policy: str,
    *,
    supplier: str | None = None,
    margin_floor_bps: int = 0,
    actor: str,
) -> KeptRoute:
    """Say how this is bought from now on, instead of what was said before. Raises UnknownSku, InvalidRoute, SupplierNotFound."""
    if policy not in POLICIES:
        raise InvalidRoute(policy=policy[:40], known=", ".join(POLICIES))
    if (policy == "pinned") != (supplier is not None):
        raise InvalidRoute(policy=policy, reason="a supplier is named for pinned, and only for that")
    if not 0 <= margin_floor_bps < BPS_ONE:
        raise InvalidRoute(margin_floor_bps=margin_floor_bps, reason="from 0 to below 10,000")
    key, now = route_key(snapshot, name), clock.now()
    with db.transaction() as tx:
        route = Route(policy, get_supplier(tx, supplier).id if supplier is not None else None, margin_floor_bps)
        before = _known(tx, key)
        store.put_route(tx, key, route, to_micros(now))
        details = {"for": name, "before": _plain(before), "after": _plain(route)}
        audit.append(tx, [audit_entry(now, actor, "route.set", subject=key, details=details)])
    return KeptRoute(key, route, to_micros(now))


def clear_route(db: Database, clock: Clock, audit: AuditLog, snapshot: CatalogSnapshot, name: str, *, actor: str) -> KeptRoute:
    """Take a rule back: the next more general one holds. Raises UnknownSku, RouteNotFound."""
    key = route_key(snapshot, name)
    with db.transaction() as tx:
        before = _known(tx, key)
        if before is None:
            raise RouteNotFound(sku=name[:64])
        tx.execute(sa.delete(routes).where(routes.c.id == key))
        details = {"for": name, "before": _plain(before), "after": None}
        audit.append(tx, [audit_entry(clock.now(), actor, "route.cleared", subject=key, details=details)])
    return KeptRoute(key, before, to_micros(clock.now()))


def _known(tx: Tx, key: str) -> Route | None:
    row = tx.execute(sa.select(routes).where(routes.c.id == key)).first()
    return Route(row.policy, row.supplier_id, row.margin_floor_bps) if row is not None else None


def _plain(route: Route | None) -> dict[str, Any] | None:
    if route is None:
        return None
    return {"policy": route.policy, "supplier_id": route.supplier_id, "margin_floor_bps": route.margin_floor_bps}
