"""From what we refuse to what the vendor documents: status, class and code (specs/finperks.md, sections 1.3 and 1.4).

State errors are 400, limits and funds are 403. Where the sheet has no row for a case, the nearest documented one stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from cardrail.api.compat import Answer, json_answer
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.dialects.finperks.signing import SCHEME
from cardrail.api.dialects.finperks.wire import ErrorOut, FieldOut
from cardrail.api.errors import RETRY_SECONDS, STATUS
from cardrail.kernel import CardrailError

ROWS: Final[dict[str, tuple[int, str]]] = {
    "invalid_request_body": (400, "invalid_format"),
    "invalid_date_header": (400, "transport"),
    "invalid_host_header": (400, "transport"),
    "invalid_signature_format": (401, "auth"),
    "invalid_signature": (401, "auth"),
    "live_mode_disabled": (403, "forbidden"),
    "api_key_missing_required_scope": (403, "forbidden"),
    "request_blocked": (403, "forbidden"),
    "path_not_found": (404, "not_found"),
    "content_too_large": (413, "transport"),
    "rate_limit_exceeded": (429, "rate_limit"),
    "internal_server_error": (500, "internal"),
    "invalid_body_parameters": (400, "invalid_request"),
    "order_not_allowed_for_product": (400, "invalid_state"),
    "product_not_available": (400, "invalid_state"),
    "invalid_idempotency_key_header": (400, "idempotency"),
    "reused_idempotency_key": (400, "idempotency"),
    "insufficient_available_balance": (403, "forbidden"),
    "customer_amount_limit_exceeded": (403, "forbidden"),
    "entity_not_found": (404, "not_found"),
    "order_processing": (400, "invalid_state"),
    "order_invalidated": (400, "invalid_state"),
    "order_failed": (400, "invalid_state"),
    "order_invalidation_period_expired": (400, "invalid_state"),
    "order_invalidation_not_supported": (400, "invalid_state"),
    "order_not_completed": (400, "invalid_state"),
    "client_partner_event_invalid": (400, "invalid_state"),
}
"""The vendor's code → (status, class): section 1.4 without what only retail orders answer."""

_BY_STATUS: Final = {
    400: "invalid_body_parameters",
    401: "invalid_signature",
    402: "insufficient_available_balance",
    403: "request_blocked",
    404: "entity_not_found",
    405: "path_not_found",
    408: "invalid_request_body",
    409: "internal_server_error",
    413: "content_too_large",
    415: "invalid_request_body",
    422: "invalid_body_parameters",
    429: "rate_limit_exceeded",
    431: "content_too_large",
    500: "internal_server_error",
    503: "internal_server_error",
}

CODES: Final[Mapping[str, str]] = {
    **{code: _BY_STATUS[status] for code, status in STATUS.items()},
    "malformed_request": "invalid_request_body",
    "malformed_body": "invalid_request_body",
    "invalid_header": "invalid_request_body",
    "route_not_found": "path_not_found",
    "test_key_required": "path_not_found",
    "partner_suspended": "live_mode_disabled",
    "scope_missing": "api_key_missing_required_scope",
    "limit_exceeded": "customer_amount_limit_exceeded",
    "wallet_overdrawn": "insufficient_available_balance",
    "unknown_sku": "order_not_allowed_for_product",
    "product_not_found": "order_not_allowed_for_product",
    "missing_field": "order_not_allowed_for_product",
    "invalid_field": "order_not_allowed_for_product",
    "price_unavailable": "order_not_allowed_for_product",
    "no_exchange_rate": "order_not_allowed_for_product",
    "below_cost": "order_not_allowed_for_product",
    "out_of_stock": "product_not_available",
    "price_changed": "product_not_available",
    "idempotency_conflict": "reused_idempotency_key",
    "reference_used": "reused_idempotency_key",
    "invalid_transition": "order_not_completed",
    "not_cancellable": "order_not_completed",
    "not_payable": "order_not_completed",
    "invalidation_refused": "order_invalidation_not_supported",
    "refund_too_large": "order_not_completed",
    "client_partner_event_refused": "client_partner_event_invalid",
}
"""Our code → the vendor's, where nothing more needs to be known of the error."""

REFUNDED: Final = "REFUNDED"
"""``wanted`` of an InvalidTransition that a refund met."""
PERIOD_OVER: Final = "the window is over"

_HEADERS: Final = {
    "Date": "invalid_date_header",
    "Host": "invalid_host_header",
    "Idempotency-Key": "invalid_idempotency_key_header",
}
_OF_STATE: Final = {
    "PLACED": "order_processing",
    "PROCESSING": "order_processing",
    "NEEDS_REVIEW": "order_processing",
    "FAILED": "order_failed",
    "CANCELLED": "order_failed",
    "INVALIDATED": "order_invalidated",
}
_CUSTOMER_LIMITS: Final = ("quantity_per_customer_per_day", "order_amount")

_BY_FACTS: Final[dict[str, Callable[[Mapping[str, Any]], str | None]]] = {
    "invalid_header": lambda facts: _HEADERS.get(facts.get("parameter", "")),
    "invalid_api_key": lambda facts: "invalid_signature_format" if facts.get("reason") == "format" else None,
    "partner_suspended": lambda facts: "request_blocked" if facts.get("is_sandbox") else None,
    "invalid_body": lambda facts: "invalid_request_body" if facts.get("pointer") == "" else None,
    "wrong_type": lambda facts: "invalid_request_body" if facts.get("pointer") == "" else None,
    "limit_exceeded": lambda facts: None if str(facts.get("limit")).startswith(_CUSTOMER_LIMITS) else "request_blocked",
    "invalid_transition": lambda facts: None if facts.get("wanted") == REFUNDED else _OF_STATE.get(facts.get("current", "")),
    "invalidation_refused": lambda facts: "order_invalidation_period_expired" if facts.get("because") == PERIOD_OVER else None,
}

_TEXTS: Final = {
    "invalid_signature": "The request is not signed, or its key id, secret or signed data do not match.",
    "invalid_signature_format": "Authorization is `FP1-HMAC-SHA256 KeyId=…, Signature=<hex>`.",
    "invalid_date_header": "Date is an RFC 7231 date, close to the present time.",
    "invalid_host_header": "Host is not one of this API.",
    "invalid_idempotency_key_header": "Idempotency-Key is required: printable ASCII characters, not too many.",
    "live_mode_disabled": "This client may not use live mode.",
    "path_not_found": "There is no such path.",
    "rate_limit_exceeded": "Too many requests; ask again later.",
    "internal_server_error": "Something is wrong on our side. Repeat the request with the same key.",
}
"""Sentences where ours would speak of what these callers do not have."""

_NAMED: Final = re.compile(r"`([A-Za-z_]+)`")
_FIELDS: Final = {
    "invalid_face_value": "face_value.amount",
    "face_value_required": "face_value.amount",
    "invalid_amount": "face_value.amount",
    "amount_too_large": "face_value.amount",
    "wrong_currency": "face_value.currency",
    "unknown_currency": "face_value.currency",
}


def vendor_code(error: CardrailError, profile: FinperksProfile) -> str:
    """The code that the vendor has for it."""
    if error.code in ("out_of_stock", "price_changed"):
        return profile.out_of_stock_code
    by_facts = _BY_FACTS.get(error.code)
    found = by_facts(error.facts) if by_facts is not None else None
    return found or CODES.get(error.code, "internal_server_error")


def error_answer(error: CardrailError, profile: FinperksProfile, request_id: str) -> Answer:
    """The envelope of a refusal or fault."""
    code = vendor_code(error, profile)
    status, error_class = ROWS.get(code, (400, "invalid_state"))
    out = ErrorOut(error_class, code, _text(error, code), request_id)
    if profile.envelope_aliases:
        out.class_, out.code = error_class, code
    if code == "invalid_body_parameters":
        out.fields = [FieldOut(_field(error), _text(error, code))]
    headers: list[tuple[bytes, bytes]] = []
    retry: Any = error.facts.get("retry_after", RETRY_SECONDS.get(error.code))
    if retry is not None and status in (429, 500):
        headers.append((b"retry-after", str(retry).encode()))
    if status == 401:
        headers.append((b"www-authenticate", SCHEME.encode()))
    return json_answer(out, status, headers)


def _text(error: CardrailError, code: str) -> str:
    text = _TEXTS.get(code)
    if text is not None:
        return text
    detail = error.facts.get("detail")
    return f"{error.message} {detail}" if isinstance(detail, str) else error.message


def _field(error: CardrailError) -> str:
    """The member that is meant, with points between: a pointer's, and where one is missing, that one's."""
    pointer = str(error.facts.get("pointer", ""))
    path = [part for part in pointer.split("/") if part]
    if error.code == "missing_member":
        path += _NAMED.findall(str(error.facts.get("detail", "")))[:1]
    return ".".join(path) or str(error.facts.get("field") or _FIELDS.get(error.code, ""))
