"""What can be wrong with an endpoint or a delivery.

WebhookError
├── EndpointNotFound, DeliveryNotFound
├── InvalidEndpoint
│   ├── HttpsRequired
│   └── AddressForbidden
├── UnknownEventType
├── UnknownFormat
├── TooManyEndpoints
└── EndpointDisabled
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class WebhookError(CardrailError):
    """The webhook endpoint or delivery cannot be used like this."""

    code = "webhook_error"


class EndpointNotFound(WebhookError):
    """There is no webhook endpoint with this id."""

    code = "endpoint_not_found"


class DeliveryNotFound(WebhookError):
    """This endpoint has no delivery of that event."""

    code = "delivery_not_found"


class InvalidEndpoint(WebhookError):
    """The endpoint's address or description cannot be taken."""

    code = "invalid_endpoint"


class HttpsRequired(InvalidEndpoint):
    """The address must be one of https."""

    code = "https_required"


class AddressForbidden(InvalidEndpoint):
    """The address is not on the public internet."""

    code = "address_forbidden"


class UnknownEventType(WebhookError):
    """There is no event of this type that an endpoint could get."""

    code = "unknown_event_type"


class UnknownFormat(WebhookError):
    """There is no webhook format of this name."""

    code = "unknown_webhook_format"


class TooManyEndpoints(WebhookError):
    """A partner may have this many webhook endpoints in one mode."""

    code = "too_many_endpoints"


class EndpointDisabled(WebhookError):
    """The endpoint is disabled; enable it first."""

    code = "endpoint_disabled"
