"""What sourcing refuses, and how a supplier can fail to answer.

SourcingError
├── SupplierNotFound, SupplierNameTaken, UnknownConnector, InvalidSupplierConfig
├── SupplierProductNotFound, MappingNotFound, MappingRefused, InvalidMappingRule, MappingRuleNotFound
├── InvalidRoute, RouteNotFound, SupplierOwesAnswers
├── ReceiverNotFound, NoSupplierWebhooks, InvalidReceiver, NoticeNotFound
├── WebhookForged, WebhookStale, WebhookUnreadable
└── SupplierError
    ├── NotSupported
    ├── NotSent                 certain: the request never left us
    ├── RateLimited             certain: it was turned away unread
    ├── NoAnswer                it left us, and no whole answer came
    ├── OddAnswer               an answer that is neither yes nor no
    └── CredentialsRefused
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class SourcingError(CardrailError):
    """Suppliers cannot do this."""

    code = "sourcing_error"


class SupplierNotFound(SourcingError):
    """There is no such supplier."""

    code = "supplier_not_found"


class SupplierNameTaken(SourcingError):
    """Another supplier has this name."""

    code = "supplier_name_taken"


class UnknownConnector(SourcingError):
    """There is no connector of this kind."""

    code = "unknown_connector"


class InvalidSupplierConfig(SourcingError):
    """The supplier's configuration is not what its connector needs."""

    code = "invalid_supplier_config"


class SupplierProductNotFound(SourcingError):
    """The supplier has no such product, as far as its last sync knows."""

    code = "supplier_product_not_found"


class MappingNotFound(SourcingError):
    """This product of the supplier's is not mapped to this sku."""

    code = "mapping_not_found"


class MappingRefused(SourcingError):
    """The supplier's product is not what the sku sells: another currency, face value or kind."""

    code = "mapping_refused"


class InvalidRoute(SourcingError):
    """The routing rule cannot be kept: its policy or its supplier does not exist, or it is pinned to nobody."""

    code = "invalid_route"


class InvalidMappingRule(SourcingError):
    """The rule would map too much, or nothing."""

    code = "invalid_mapping_rule"


class MappingRuleNotFound(SourcingError):
    """There is no such rule."""

    code = "mapping_rule_not_found"


class RouteNotFound(SourcingError):
    """No routing rule was set for this."""

    code = "routing_rule_not_found"


class SupplierOwesAnswers(SourcingError):
    """Purchases at this supplier are not resolved yet; it can be disabled, and retired when they are."""

    code = "supplier_owes_answers"


class SupplierError(SourcingError):
    """The supplier did not answer this call as it should."""

    code = "supplier_error"
    retryable = True


class NotSupported(SupplierError):
    """The connector does not have this call: its capabilities say so."""

    code = "supplier_call_not_supported"
    retryable = False


class NotSent(SupplierError):
    """The request never left us: there was no connection. Nothing was bought."""

    code = "supplier_not_reached"


class RateLimited(SupplierError):
    """The supplier turned the request away unread, because there were too many. Nothing was bought."""

    code = "supplier_rate_limited"


class NoAnswer(SupplierError):
    """The request was sent and no whole answer came: nobody knows what was done."""

    code = "supplier_no_answer"


class OddAnswer(SupplierError):
    """The answer is not what the protocol says."""

    code = "supplier_odd_answer"


class CredentialsRefused(SupplierError):
    """The supplier does not accept our credentials."""

    code = "supplier_credentials_refused"
    retryable = False


class ReceiverNotFound(SourcingError):
    """Nobody receives webhooks here."""

    code = "receiver_not_found"


class NoSupplierWebhooks(SourcingError):
    """Suppliers of this kind send no webhooks that we could check."""

    code = "no_supplier_webhooks"


class InvalidReceiver(SourcingError):
    """Webhooks of this supplier cannot be received like this."""

    code = "invalid_receiver"


class NoticeNotFound(SourcingError):
    """There is no such webhook of a supplier, or it does not wait for anybody."""

    code = "notice_not_found"


class WebhookForged(SourcingError):
    """The webhook is not signed, or not with a secret that is valid here."""

    code = "webhook_forged"


class WebhookStale(SourcingError):
    """The webhook's time is too far from ours."""

    code = "webhook_stale"


class WebhookUnreadable(SourcingError):
    """The webhook is signed rightly, but its body is not a JSON object."""

    code = "webhook_unreadable"
