"""What is answered instead of our errors: the envelope of section 1.5, the codes of section 1.7 (specs/oneclickdz.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from cardrail.api.compat import Answer, Call, json_answer, json_number
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.errors import STATUS
from cardrail.kernel import CardrailError

Word = tuple[int, str, str | None]
"""Status, the vendor's code, the vendor's sentence (None: ours)."""


class ErrorOut(Struct):
    """1.5."""

    code: str
    message: str
    details: Any = UNSET


class FailureOut(Struct):
    """1.5: no ``meta`` on errors."""

    success: bool
    error: ErrorOut
    request_id: str = msgspec.field(name="requestId")


class UnknownRouteOut(Struct):
    """1.5: what a router answers that never reached the application."""

    message: str
    error: str
    status_code: int = msgspec.field(name="statusCode")


AUTH_RETRY_SECONDS: Final = 5
"""1.3: what AUTH_UNAVAILABLE carries."""

_VALIDATION: Final[Word] = (400, "ERR_VALIDATION", None)
_BAD_KEY: Final[Word] = (401, "INVALID_ACCESS_TOKEN", "The provided access token is invalid")
_NOT_FOUND: Final[Word] = (404, "NOT_FOUND", None)
_INTERNAL: Final[Word] = (500, "INTERNAL_ERROR", "Something is wrong on our side")
_UNAVAILABLE: Final[Word] = (503, "SERVICE_UNAVAILABLE", "The service is temporarily unavailable")
_BLOCKED: Final[Word] = (403, "IP_BLOCKED", "Your IP has been temporarily blocked due to too many invalid attempts")

_BY_STATUS: Final[dict[int, Word]] = {
    400: _VALIDATION,
    401: _BAD_KEY,
    402: (403, "INSUFFICIENT_BALANCE", "Your balance is insufficient for this operation"),
    403: (403, "ERR_AUTH", None),
    404: _NOT_FOUND,
    405: _NOT_FOUND,
    408: _VALIDATION,
    # What a state or a limit forbids: the vendor knows none of it, so the request is not acceptable.
    409: _VALIDATION,
    413: (413, "PAYLOAD_TOO_LARGE", "The request body is too large"),
    415: _VALIDATION,
    422: _VALIDATION,
    429: (429, "RATE_LIMIT_EXCEEDED", "Too many requests"),
    431: _VALIDATION,
    500: _INTERNAL,
    503: _UNAVAILABLE,
}
"""What a code is that needs no word of its own."""


def words_of(profile: Profile) -> Mapping[str, Word]:
    """Our code → the vendor's word, for every code that can reach a partner."""
    no_stock: Word = (profile.no_stock_status, profile.no_stock_code, "Product out of stock")
    no_balance: Word = (403, profile.no_balance_code, "Your balance is insufficient for this operation")
    duplicate: Word = (403, profile.duplicate_code, "This reference ID is already in use")
    return {
        **{code: _BY_STATUS.get(status, _BY_STATUS[status // 100 * 100]) for code, status in STATUS.items()},
        "missing_credentials": (401, "MISSING_ACCESS_TOKEN", "Access token is required"),
        "too_many_failures": _BLOCKED,
        "address_not_allowed": (403, profile.not_allowed_address_code, "This IP address is not allowed to use this key"),
        "partner_suspended": (403, profile.disabled_code, "API access is disabled"),
        "scope_missing": (403, profile.read_only_code, "This key is not allowed to do this"),
        "insufficient_funds": no_balance,
        "wallet_not_found": no_balance,
        "wallet_overdrawn": no_balance,
        "out_of_stock": no_stock,
        # Nothing that can be sold at the moment, whatever the reason is on our side.
        "price_unavailable": no_stock,
        "no_exchange_rate": no_stock,
        "below_cost": no_stock,
        # A type is a denomination with its face value: one that does not fit is no type of the product.
        "face_value_required": (404, "NOT_FOUND", "Unknown product or type"),
        "invalid_face_value": (404, "NOT_FOUND", "Unknown product or type"),
        "unknown_sku": (404, "NOT_FOUND", "Unknown product or type"),
        "product_not_found": (404, "NOT_FOUND", "Unknown product or type"),
        "order_not_found": (404, "NOT_FOUND", "Order not found"),
        "idempotency_conflict": duplicate,
        "reference_used": duplicate,
    }


def failure(call: Call, error: CardrailError, words: Mapping[str, Word], currency_code: str | None) -> Answer:
    """The envelope of a refusal or fault; ``currency_code`` is that of the caller's wallet, where he is known."""
    status, code, text = words.get(error.code, _INTERNAL)
    headers: list[tuple[bytes, bytes]] = []
    if status == 503 and call.facts.get("is_authenticating"):
        status, code, text = 503, "AUTH_UNAVAILABLE", "The key could not be checked in time"
        headers.append((b"retry-after", b"%d" % AUTH_RETRY_SECONDS))
    elif status == 429:
        headers.append((b"retry-after", str(error.facts.get("retry_after", 60)).encode()))
    details = _details(call, error, currency_code)
    message = text if text is not None else _sentence(error)
    return json_answer(FailureOut(False, ErrorOut(code, message, details), call.request_id), status, headers)


def unknown_route(call: Call) -> Answer:
    """1.5: outside the envelope, as the vendor's router answers."""
    return json_answer(UnknownRouteOut(f"Route {call.method}:{call.path} not found", "Not Found", 404), 404)


def _sentence(error: CardrailError) -> str:
    detail = error.facts.get("detail")
    return f"{error.message} {detail}" if isinstance(detail, str) else error.message


def _details(call: Call, error: CardrailError, currency_code: str | None) -> Any | UnsetType:
    """1.5, 1.7: what helps the caller, where there is something."""
    facts = error.facts
    if error.code == "insufficient_funds" and currency_code is not None:
        needed, available = facts.get("needed_minor"), facts.get("available_minor")
        if isinstance(needed, int) and isinstance(available, int):
            return {"required": json_number(needed, currency_code), "available": json_number(available, currency_code)}
    if "attempts_left" in call.facts and STATUS.get(error.code) == 401:
        return {"attemptsLeft": call.facts["attempts_left"]}
    where = facts.get("pointer") or facts.get("parameter")
    if isinstance(where, str):
        return {"field": where.lstrip("/")}
    return UNSET
