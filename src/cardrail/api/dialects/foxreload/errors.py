"""What surfaces G and V1 answer instead of our errors: {"error": code, "message": text} (specs/foxreload.md, sections 1.1, 1.2 and 2.5).

Both share the envelope and most words; ``GENERIC`` and ``V1`` are the whole tables. Where the sheet has no word for a case, the nearest
one stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cardrail.api.compat import Answer, json_answer
from cardrail.api.errors import RETRY_SECONDS, STATUS, UNKNOWN_CHARGE
from cardrail.kernel import CardrailError

Words = Mapping[str, tuple[int, str]]
"""Our code → (status, the vendor's code)."""


class ErrorOut(msgspec.Struct):
    """The error body of G and V1."""

    error: str
    message: str


_INVALID: Final = (400, "invalid_request")
_NOT_FOUND: Final = (404, "not_found")
_REFUSED: Final = (403, "unauthorized")
_NO_STOCK: Final = (409, "out_of_stock")
_UNAVAILABLE: Final = (503, "unavailable")

_BY_STATUS: Final[dict[int, tuple[int, str]]] = {
    400: _INVALID,
    401: (401, "unauthorized"),
    403: _REFUSED,
    402: (402, "insufficient_funds"),
    404: _NOT_FOUND,
    405: (405, "invalid_request"),
    408: (408, "invalid_request"),
    409: (409, "invalid_request"),
    410: _NOT_FOUND,
    413: (413, "invalid_request"),
    415: (415, "invalid_request"),
    422: _INVALID,
    429: (429, "rate_limited"),
    431: (431, "invalid_request"),
    500: (500, "internal_error"),
    503: _UNAVAILABLE,
}
"""What a code is that needs no word of its own."""

_COMMON: Final[dict[str, tuple[int, str]]] = {
    **{code: _BY_STATUS.get(status, (status, "invalid_request")) for code, status in STATUS.items()},
    # A range has a sku per face value here, so a range without one, or with one that it does not allow, is a sku that nobody knows.
    "face_value_required": _NOT_FOUND,
    "invalid_face_value": _NOT_FOUND,
    "unknown_sku": _NOT_FOUND,
    "out_of_stock": _NO_STOCK,
    "price_unavailable": _NO_STOCK,
    "no_exchange_rate": _NO_STOCK,
    "below_cost": _NO_STOCK,
    "price_changed": _NO_STOCK,
    # Limits that the operator has set for a partner stand for a balance that is too low: a client must not try again at once.
    "limit_exceeded": (402, "insufficient_funds"),
    "insufficient_funds": (402, "insufficient_funds"),
}

GENERIC: Final[Words] = {
    **_COMMON,
    "insufficient_funds": (402, "insufficient_balance"),
    "limit_exceeded": (402, "insufficient_balance"),
    "unknown_sku": (404, "invalid_sku"),
    "product_not_found": (404, "invalid_sku"),
    "face_value_required": (404, "invalid_sku"),
    "invalid_face_value": (404, "invalid_sku"),
    "idempotency_conflict": (409, "duplicate_reference"),
    "reference_used": (409, "duplicate_reference"),
}

V1: Final[Words] = {
    **_COMMON,
    "idempotency_conflict": (422, "idempotency_conflict"),
    "reference_used": (422, "idempotency_conflict"),
    "https_required": (422, "https_required"),
    "too_many_endpoints": (422, "webhook_limit"),
    "invalid_transition": (409, "refund_not_allowed"),
    "refund_too_large": (409, "refund_not_allowed"),
    "invalidation_refused": (409, "refund_not_allowed"),
}

V1_REPLACEMENT: Final[Words] = {
    **V1,
    "invalid_transition": (409, "replacement_not_allowed"),
    "invalidation_refused": (409, "replacement_not_allowed"),
    "replacement_refused": (409, "replacement_not_allowed"),
    "replacement_open": (409, "replacement_not_allowed"),
    "unit_refunded": (409, "replacement_not_allowed"),
}
"""Where a replacement is asked for."""

_TEXTS: Final = {
    "unauthorized": "The API key is missing or wrong.",
    "rate_limited": "Too many requests.",
    "internal_error": "Something is wrong on our side.",
    "unavailable": "Not available at the moment; ask again.",
}
"""Where our own sentence would tell of something that these callers do not have."""

_INTERNAL: Final = (500, "internal_error")


def error_answer(error: CardrailError, words: Words) -> Answer:
    """The envelope of a refusal or fault; whatever has no word is an internal one that says nothing more."""
    status, code = words.get(error.code, _INTERNAL)
    headers: list[tuple[bytes, bytes]] = []
    retry: Any = error.facts.get("retry_after", RETRY_SECONDS.get(error.code))
    if retry is not None and status in (429, 503):
        headers.append((b"retry-after", str(retry).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="foxreload"'))
    return json_answer(ErrorOut(code, _text(error, code)), status, headers)


def _text(error: CardrailError, code: str) -> str:
    text = _TEXTS.get(code)
    if text is not None and not (code == "unavailable" and error.code in UNKNOWN_CHARGE):
        return text
    detail = error.facts.get("detail")
    return f"{error.message} {detail}" if isinstance(detail, str) else error.message
