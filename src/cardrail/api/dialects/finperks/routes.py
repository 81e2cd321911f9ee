"""Every operation and the scope that it needs (specs/finperks.md, section 2.0). Stores and retail orders are not there (2.9)."""

from __future__ import annotations

from cardrail.api.compat import Route
from cardrail.api.dialects.finperks import actions, balances, orders, partners, settlements
from cardrail.api.dialects.finperks.ping import ping
from cardrail.api.dialects.finperks.products import ProductLists


def routes() -> tuple[Route, ...]:
    """The table; what it keeps in memory is its own."""
    return (
        Route("GET", "/ping", ping),
        Route("GET", "/products", ProductLists().answer, "catalog:read"),
        Route("GET", "/balances", balances.list_balances, "balances:read"),
        Route("GET", "/balances/{currency}", balances.show_balance, "balances:read"),
        Route("POST", "/orders", orders.Buying().answer, "orders:write", is_order=True),
        Route("GET", "/orders/{id}", orders.show_order, "orders:read"),
        Route("POST", "/orders/{id}/actions/invalidate", actions.invalidate, "orders:write"),
        Route("POST", "/orders/{id}/actions/refund", actions.refund, "orders:write"),
        Route("GET", "/settlements", settlements.list_settlements, "transactions:read"),
        Route("POST", "/client_partners", partners.create, "orders:write"),
        Route("GET", "/client_partners", partners.list_all, "orders:read"),
        Route("GET", "/client_partners/{id}", partners.show, "orders:read"),
        Route("PATCH", "/client_partners/{id}", partners.change, "orders:write"),
        Route("POST", "/client_partners/{id}/actions/trigger_event", partners.trigger_event, "orders:write"),
    )
