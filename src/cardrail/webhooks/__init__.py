"""Webhooks: events, sent to those who asked for them, signed, until they arrive."""

from cardrail.webhooks.addresses import AddressRules, check_url
from cardrail.webhooks.endpoints import EndpointBook, Who
from cardrail.webhooks.errors import (
    AddressForbidden,
    DeliveryNotFound,
    EndpointDisabled,
    EndpointNotFound,
    HttpsRequired,
    InvalidEndpoint,
    TooManyEndpoints,
    UnknownEventType,
    UnknownFormat,
    WebhookError,
)
from cardrail.webhooks.formats import FORMATS
from cardrail.webhooks.model import (
    STANDARD,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointId,
    EndpointState,
    Schedule,
    parse_schedule,
)
from cardrail.webhooks.payload import example, payload
from cardrail.webhooks.post import Poster
from cardrail.webhooks.read import backlog, disabled_endpoints, list_deliveries, load_delivery
from cardrail.webhooks.retention import purge_webhooks
from cardrail.webhooks.sender import Counts, Sender, SenderPace
from cardrail.webhooks.types import EVENT_TYPES, PARTNER_TYPES, SHARED_TYPES, Audience, EventType

__all__ = [
    "EVENT_TYPES",
    "FORMATS",
    "PARTNER_TYPES",
    "SHARED_TYPES",
    "STANDARD",
    "AddressForbidden",
    "AddressRules",
    "Attempt",
    "Audience",
    "Counts",
    "Delivery",
    "DeliveryNotFound",
    "DeliveryState",
    "Endpoint",
    "EndpointBook",
    "EndpointDisabled",
    "EndpointId",
    "EndpointNotFound",
    "EndpointState",
    "EventType",
    "HttpsRequired",
    "InvalidEndpoint",
    "Poster",
    "Schedule",
    "Sender",
    "SenderPace",
    "TooManyEndpoints",
    "UnknownEventType",
    "UnknownFormat",
    "WebhookError",
    "Who",
    "backlog",
    "check_url",
    "disabled_endpoints",
    "example",
    "list_deliveries",
    "load_delivery",
    "parse_schedule",
    "payload",
    "purge_webhooks",
]
