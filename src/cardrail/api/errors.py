"""What HTTP adds to the ways a request can be refused, and the one table from an error's ``code`` to its status.

HttpError
├── MalformedRequest, HeadersTooLarge, RequestTimeout
├── MalformedBody, InvalidQuery, InvalidHeader
├── InvalidBody
│   ├── UnknownMember, MissingMember, WrongType
│   └── InvalidQuantity, NoItems, TooManyItems
├── UnsupportedMediaType, BodyTooLarge
├── RouteNotFound, MethodNotAllowed
├── MissingCredentials, TestKeyRequired
└── InternalFault

Every refusal is a problem of RFC 9457. ``charged`` is false but where it cannot be known.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from cardrail.kernel import CardrailError, all_error_types

DOCS_URL: Final = "/docs/errors"


class HttpError(CardrailError):
    """The request cannot be read."""

    code = "http_error"


class MalformedRequest(HttpError):
    """What was sent is not an HTTP/1.1 request."""

    code = "malformed_request"


class HeadersTooLarge(HttpError):
    """The address and headers are larger than this server takes."""

    code = "headers_too_large"


class RequestTimeout(HttpError):
    """The request was not complete in time; nothing of it was done."""

    code = "request_timeout"
    retryable = True


class MalformedBody(HttpError):
    """The body is not JSON in UTF-8."""

    code = "malformed_body"


class InvalidBody(HttpError):
    """The body is JSON, but not of the form that this operation takes; nothing is converted or passed over."""

    code = "invalid_body"


class UnknownMember(InvalidBody):
    """The body has a member that this operation does not know; nothing is passed over."""

    code = "unknown_member"


class MissingMember(InvalidBody):
    """The body lacks a member that this operation needs."""

    code = "missing_member"


class WrongType(InvalidBody):
    """A member is of another JSON type than it must be; nothing is converted."""

    code = "wrong_type"


class InvalidQuantity(InvalidBody):
    """A quantity is a JSON integer from 1 to 1,000, written without a point or quotes."""

    code = "invalid_quantity"


class NoItems(InvalidBody):
    """The list of items is empty."""

    code = "no_items"


class TooManyItems(InvalidBody):
    """The list of items has more than 100; send the rest as another order."""

    code = "too_many_items"


class InvalidQuery(HttpError):
    """A query parameter is unknown, given twice, or not of its form."""

    code = "invalid_query"


class InvalidHeader(HttpError):
    """A header is not of its form."""

    code = "invalid_header"


class UnsupportedMediaType(HttpError):
    """The body must be sent as application/json, and not compressed."""

    code = "unsupported_media_type"


class BodyTooLarge(HttpError):
    """The body is larger than this server takes."""

    code = "body_too_large"


class RouteNotFound(HttpError):
    """There is nothing at this address."""

    code = "route_not_found"


class MethodNotAllowed(HttpError):
    """This address does not know this method."""

    code = "method_not_allowed"


class MissingCredentials(HttpError):
    """The request carries no credential: send `Authorization: Bearer <API key>`."""

    code = "missing_credentials"


class TestKeyRequired(HttpError):
    """This works with a test key only."""

    __test__ = False  # not a test, whatever its name begins with
    code = "test_key_required"


class InternalFault(HttpError):
    """Something is wrong on our side. The request id finds it in the log; repeat with the same key to learn what came of it."""

    code = "internal_error"
    charged: ClassVar[bool | None] = None


STATUS: Final[dict[str, int]] = {
    # What cannot be read.
    "malformed_request": 400,
    "headers_too_large": 431,
    "request_timeout": 408,
    "malformed_body": 400,
    "invalid_body": 400,
    "unknown_member": 400,
    "missing_member": 400,
    "wrong_type": 400,
    "invalid_quantity": 400,
    "no_items": 400,
    "too_many_items": 400,
    "invalid_query": 400,
    "invalid_header": 400,
    "http_error": 400,
    "invalid_cursor": 400,
    "invalid_amount": 400,
    "unknown_currency": 400,
    "currency_mismatch": 400,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "route_not_found": 404,
    "method_not_allowed": 405,
    # Who asks.
    "missing_credentials": 401,
    "not_authenticated": 401,
    "invalid_api_key": 401,
    "api_key_revoked": 401,
    "api_key_expired": 401,
    "invalid_access_token": 401,
    "access_error": 403,
    "address_not_allowed": 403,
    "partner_suspended": 403,
    "scope_missing": 403,
    "test_key_required": 403,
    "invalid_key_request": 422,
    "unknown_scope": 422,
    "client_partner_not_found": 404,
    "invalid_client_partner": 422,
    "client_partner_event_refused": 409,
    "too_many_requests": 429,
    "too_many_failures": 429,
    # Money.
    "insufficient_funds": 402,
    "limit_exceeded": 409,
    "wallet_not_found": 404,
    "wallet_overdrawn": 409,
    "account_full": 409,
    "ledger_error": 409,
    "transfer_not_found": 404,
    # The catalog.
    "unknown_sku": 404,
    "product_not_found": 404,
    "face_value_required": 422,
    "invalid_face_value": 422,
    "missing_field": 422,
    "invalid_field": 422,
    "price_unavailable": 409,
    "no_exchange_rate": 409,
    "below_cost": 409,
    "quote_error": 409,
    "quote_not_found": 404,
    "quote_expired": 409,
    "quote_used": 409,
    "quote_mismatch": 422,
    "catalog_error": 422,
    "catalog_busy": 503,
    # Claims.
    "claim_not_found": 404,
    "nothing_to_claim": 409,
    "invalid_delivery": 422,
    "channel_not_set": 422,
    "message_not_found": 404,
    # Orders.
    "order_error": 422,
    "order_not_found": 404,
    "invalid_order": 422,
    "too_many_units": 422,
    "amount_too_large": 422,
    "wrong_currency": 422,
    "out_of_stock": 409,
    "price_changed": 409,
    "idempotency_conflict": 422,
    "reference_used": 409,
    "invalid_transition": 409,
    "not_cancellable": 409,
    "not_payable": 409,
    "invalidation_refused": 409,
    "refund_too_large": 409,
    "replacement_not_found": 404,
    "invalid_replacement": 422,
    "code_position_not_found": 404,
    "replacement_refused": 409,
    "replacement_open": 409,
    "unit_refunded": 409,
    "not_a_topup": 422,
    "credential_changed": 503,
    # Settlement.
    "settlement_error": 409,
    "statement_not_found": 404,
    "invalid_period": 400,
    "export_error": 409,
    "export_not_found": 404,
    "alert_not_found": 404,
    "export_not_ready": 409,
    "export_gone": 404,
    "invalid_export": 422,
    "format_unavailable": 422,
    "invalid_link": 403,
    # Webhooks.
    "webhook_error": 422,
    "endpoint_not_found": 404,
    "delivery_not_found": 404,
    "invalid_endpoint": 422,
    "https_required": 422,
    "address_forbidden": 422,
    "unknown_event_type": 422,
    "unknown_webhook_format": 422,
    "too_many_endpoints": 409,
    "endpoint_disabled": 409,
    # What suppliers send us.
    "receiver_not_found": 404,
    "webhook_forged": 401,
    "webhook_stale": 401,
    "webhook_unreadable": 400,
    # Us.
    "stock_moved": 503,
    "unavailable": 503,
    "outcome_unknown": 503,
    "queue_full": 503,
    "suppliers_busy": 503,
    "internal_error": 500,
    "error": 500,
}
"""The status of each code that can reach a partner. What is not here is ours alone (``OPERATOR_CODES``) and shows as internal_error."""

OPERATOR_CODES: Final = frozenset(
    {
        # Partners, keys and limits are made by the operator.
        "partner_not_found", "api_key_not_found", "invalid_partner", "invalid_limits", "invalid_network", "too_many_keys",
        "api_key_not_valid", "unknown_dialect", "invalid_dialect_settings",
        # What a recipient meets, on a page in his language.
        "delivery_error", "claim_expired", "claim_revoked", "claim_empty", "pin_required", "wrong_pin", "claim_locked",
        # So are prices, rates and sheets.
        "price_list_not_found", "price_rule_not_found", "invalid_pattern", "invalid_price_rule", "invalid_rate",
        "duplicate_price_list", "unreadable_sheet",
        # Corrections in the ledger; a partner that meets one of these met a fault of ours.
        "transfer_reference_used", "not_reversible", "already_reversed", "credit_in_use", "amount_not_positive", "hold_not_found",
        "hold_exceeded",
        # Bad codes, and purchases that nobody knows of, are decided by hand.
        "nothing_to_replace_with", "supplier_being_asked",
        # A restored backup is released by hand.
        "imported_while_frozen",
        # The books are closed, and suppliers' statements reconciled, by the operator.
        "period_open", "movements_waiting", "statement_mismatch", "invalid_schedule", "reconcile_error", "invalid_mapping",
        "unreadable_statement", "bad_lines", "supplier_statement_not_found", "statement_imported", "difference_not_found",
        "difference_resolved", "invalid_resolution", "import_replaced",
    }
)  # fmt: skip
"""Codes that only the operator's own commands show: a partner who meets one met a fault of ours, and reads internal_error."""

OPERATOR_PACKAGES: Final = frozenset({"alerts", "sourcing", "bootstrap", "cli", "jobs", "storage", "vault"})
"""Packages that answer to nobody outside: the same goes for all their errors that are not in the table."""


def is_operators(error: type[CardrailError]) -> bool:
    """Whether only the operator's own commands show errors of this type."""
    return error.code not in STATUS and (error.code in OPERATOR_CODES or error.__module__.split(".")[1] in OPERATOR_PACKAGES)


UNKNOWN_CHARGE: Final = frozenset({"internal_error", "error", "outcome_unknown"})
"""Where we cannot say whether something was charged: asking again with the same key gives the one answer."""

RETRY_SECONDS: Final = {"unavailable": 2, "outcome_unknown": 2, "queue_full": 1, "catalog_busy": 1, "credential_changed": 1}

SAFE_FACTS: Final = frozenset(
    {
        "allowed", "amount", "available", "because", "count", "currency", "current", "customer_id", "digits", "expected", "expired",
        "field", "given", "limit", "line", "max", "max_minor", "maximum", "minimum", "order_id", "parameter", "pointer", "position",
        "product", "quote_id", "reason", "required", "retry_after", "scope", "sku", "skus", "state", "step", "total_minor", "units",
        "wanted", "window",
    }
)  # fmt: skip
"""Facts that an answer may carry; what else an error knows stays in the log."""

_encode: Final = msgspec.json.Encoder().encode
_TITLES: Final = {code: code.replace("_", " ").capitalize() for code in STATUS}


def status_of(error: CardrailError) -> int:
    """The HTTP status of an error."""
    return STATUS.get(error.code, 500)


def problem(error: BaseException, request_id: str) -> dict[str, Any]:
    """The problem of an error; whatever is not ours, or not a partner's to see, is an internal one that says nothing more."""
    if not isinstance(error, CardrailError) or error.code not in STATUS:
        error = InternalFault()
    code = error.code
    members: dict[str, Any] = {
        "type": f"{DOCS_URL}#{code}",
        "title": _TITLES[code],
        "status": STATUS[code],
        "detail": error.message,
        "code": code,
        "retryable": error.retryable,
        "charged": None if code in UNKNOWN_CHARGE else False,
        "request_id": request_id,
    }
    for name, value in error.facts.items():
        if name == "detail":
            members["detail"] = f"{error.message} {value}"
        elif name in SAFE_FACTS:
            members[name] = value if isinstance(value, (str, int, bool)) or value is None else str(value)
    return members


def problem_response(error: BaseException, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """(status, headers, body) of the answer to an error: what the bare endpoint and the framework alike send."""
    members = problem(error, request_id)
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    status: int = members["status"]
    retry = error.facts.get("retry_after") if isinstance(error, CardrailError) else None
    if retry is None:
        retry = RETRY_SECONDS.get(members["code"])
    if retry is not None:
        headers.append((b"retry-after", str(retry).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="cardrail"'))
    return status, headers, _encode(members)


def partner_errors() -> list[type[CardrailError]]:
    """One class for each code that can reach a partner, in the order of the table: what the documentation lists."""
    by_code: dict[str, type[CardrailError]] = {CardrailError.code: CardrailError}
    by_code |= {one.code: one for one in reversed(all_error_types()) if one.__module__.startswith("cardrail.")}
    return [by_code[code] for code in STATUS if code in by_code]
