"""The generic surface, which the seed article describes for any supplier (specs/foxreload.md, sections 1.1 and 2.1)."""

from __future__ import annotations

from cardrail.api.compat import Route, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.bearer import BearerSurface
from cardrail.api.dialects.foxreload.errors import GENERIC
from cardrail.api.dialects.foxreload.generic.catalog import GenericCatalog
from cardrail.api.dialects.foxreload.generic.finance import balance, reconciliation
from cardrail.api.dialects.foxreload.generic.orders import GenericOrders
from cardrail.api.dialects.foxreload.generic.profile import GenericProfile

__all__ = ["generic_routes", "generic_surface"]


def generic_routes(profile: GenericProfile) -> tuple[Route, ...]:
    """All that it answers."""
    goods, orders = GenericCatalog(profile), GenericOrders(profile)
    return (
        Route("GET", "/catalog", goods.catalog, scope="catalog:read"),
        Route("GET", "/stock/{sku}", goods.stock, scope="catalog:read"),
        Route("GET", "/prices/{sku}", goods.price, scope="catalog:read"),
        Route("POST", "/orders", orders.create, scope="orders:write", is_order=True),
        Route("GET", "/orders/{id}", orders.show, scope="orders:read"),
        Route("GET", "/balance", balance, scope="balances:read"),
        Route("GET", "/reconciliation", reconciliation, scope="orders:read"),
    )


def generic_surface(desk: Desk, profile: GenericProfile) -> Surface:
    """The surface, ready to answer."""
    return BearerSurface(desk, "foxreload", generic_routes(profile), GENERIC, profile.requests_per_minute)
