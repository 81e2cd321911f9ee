"""Surface V1, the seed era's: bearer keys, idempotency, webhooks (specs/foxreload.md, sections 1.2 and 2.2)."""

from __future__ import annotations

from typing import Final

from cardrail.api.compat import Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.bearer import BearerSurface
from cardrail.api.dialects.foxreload.errors import V1, V1_REPLACEMENT
from cardrail.api.dialects.foxreload.v1.catalog import V1Catalog
from cardrail.api.dialects.foxreload.v1.money import balance
from cardrail.api.dialects.foxreload.v1.orders import V1Orders
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.refunds import V1Refunds
from cardrail.api.dialects.foxreload.v1.replacements import V1Replacements
from cardrail.api.dialects.foxreload.v1.webhooks import V1Webhooks

__all__ = ["v1_routes", "v1_surface"]

REPLACEMENT: Final = "/orders/{order_id}/replacement"


def v1_routes(profile: V1Profile) -> tuple[Route, ...]:
    """All that it answers."""
    goods, orders, webhooks = V1Catalog(profile), V1Orders(profile), V1Webhooks(profile)
    replacements = V1Replacements(orders, profile)
    return (
        Route("GET", "/catalog", goods.catalog, scope="catalog:read"),
        Route("GET", "/catalog/inventory", goods.inventory, scope="catalog:read"),
        Route("GET", "/catalog/{sku_id}", goods.sku, scope="catalog:read"),
        Route("POST", "/orders", orders.create, scope="orders:write", is_order=True),
        Route("GET", "/orders", orders.list_own, scope="orders:read"),
        Route("GET", "/orders/{order_id}", orders.show, scope="orders:read"),
        Route("POST", REPLACEMENT, replacements.create, scope="orders:write"),
        Route("GET", REPLACEMENT, replacements.show, scope="orders:read"),
        Route("POST", "/refunds", V1Refunds(orders).create, scope="orders:write"),
        Route("GET", "/balance", balance, scope="balances:read"),
        Route("POST", "/webhooks", webhooks.register, scope="webhooks:write"),
        Route("POST", "/webhooks/{id}/replay", webhooks.replay, scope="webhooks:write"),
    )


def v1_surface(desk: Desk, profile: V1Profile) -> Surface:
    """The surface, ready to answer."""
    return BearerSurface(desk, "foxreload/v1", v1_routes(profile), V1, profile.requests_per_minute, {REPLACEMENT: V1_REPLACEMENT})
