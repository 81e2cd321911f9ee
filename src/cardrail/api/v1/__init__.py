"""The native API's routes, by what they are about."""

from cardrail.api.v1.account import ACCOUNT_ROUTES
from cardrail.api.v1.catalog import CATALOG_ROUTES
from cardrail.api.v1.claims import CLAIM_ROUTES
from cardrail.api.v1.events import EVENT_ROUTES
from cardrail.api.v1.exports import EXPORT_ROUTES
from cardrail.api.v1.messages import MESSAGE_ROUTES
from cardrail.api.v1.money import MONEY_ROUTES
from cardrail.api.v1.operator import OPERATOR_ROUTES
from cardrail.api.v1.orders import ORDER_ROUTES
from cardrail.api.v1.quotes import QUOTE_ROUTES
from cardrail.api.v1.replacements import REPLACEMENT_ROUTES
from cardrail.api.v1.settlements import SETTLEMENT_ROUTES
from cardrail.api.v1.topups import TOPUP_ROUTES
from cardrail.api.v1.webhooks import WEBHOOK_ROUTES

ROUTES = (
    *CATALOG_ROUTES,
    *QUOTE_ROUTES,
    *ORDER_ROUTES,
    *REPLACEMENT_ROUTES,
    *TOPUP_ROUTES,
    *MONEY_ROUTES,
    *ACCOUNT_ROUTES,
    *CLAIM_ROUTES,
    *MESSAGE_ROUTES,
    *EVENT_ROUTES,
    *WEBHOOK_ROUTES,
    *SETTLEMENT_ROUTES,
    *EXPORT_ROUTES,
    *OPERATOR_ROUTES,
)

__all__ = ["ROUTES"]
