"""The native API's routes, by what they are about."""

from cardrail.api.v1.account import ACCOUNT_ROUTES
from cardrail.api.v1.catalog import CATALOG_ROUTES
from cardrail.api.v1.money import MONEY_ROUTES
from cardrail.api.v1.orders import ORDER_ROUTES
from cardrail.api.v1.quotes import QUOTE_ROUTES
from cardrail.api.v1.settlements import SETTLEMENT_ROUTES

ROUTES = (*CATALOG_ROUTES, *QUOTE_ROUTES, *ORDER_ROUTES, *MONEY_ROUTES, *ACCOUNT_ROUTES, *SETTLEMENT_ROUTES)

__all__ = ["ROUTES"]
