"""What the public surface answers instead of our errors: {"code", "detail"} (specs/foxreload.md, sections 1.3 and 2.5).

``WORDS`` has every code that can reach a partner. Where the sheet has no word for a case, the nearest one stands.
"""

from __future__ import annotations

from typing import Any, Final

from cardrail.api.compat import Answer, json_answer
from cardrail.api.dialects.foxreload.public.texts import money
from cardrail.api.dialects.foxreload.public.wire import ErrorOut
from cardrail.api.errors import RETRY_SECONDS, STATUS
from cardrail.kernel import CardrailError

_INVALID: Final = (422, "VALIDATION_ERROR")
_CONFLICT: Final = (409, "OUT_OF_STOCK")
_NOT_FOUND: Final = (404, "NOT_FOUND")
_EXISTS: Final = (409, "ORDER_ALREADY_EXISTS")
_NOT_PAYABLE: Final = (400, "ORDER_PAYMENT_NOT_POSSIBLE")
_INTERNAL: Final = (500, "INTERNAL_ERROR")

_BY_STATUS: Final[dict[int, tuple[int, str]]] = {
    400: _INVALID,
    401: (401, "UNAUTHORIZED"),
    402: (400, "BALANCE_NOT_ENOUGH"),
    403: (403, "FORBIDDEN"),
    404: _NOT_FOUND,
    405: (405, "NOT_FOUND"),
    408: (408, "VALIDATION_ERROR"),
    409: _CONFLICT,
    413: (413, "VALIDATION_ERROR"),
    415: (415, "VALIDATION_ERROR"),
    422: _INVALID,
    429: (429, "RATE_LIMITED"),
    431: (431, "VALIDATION_ERROR"),
    500: _INTERNAL,
    503: (503, "UNAVAILABLE"),
}
"""What a code is that needs no word of its own."""

WORDS: Final[dict[str, tuple[int, str]]] = {
    code: _BY_STATUS.get(status, (status, "VALIDATION_ERROR")) for code, status in STATUS.items()
} | {
    "price_changed": (409, "OFFER_PRICE_NOT_MATCHED"),
    "idempotency_conflict": _EXISTS,
    "reference_used": _EXISTS,
    "invalid_transition": _NOT_PAYABLE,
    "not_cancellable": _NOT_PAYABLE,
    "not_payable": _NOT_PAYABLE,
    # The operator's limit for a partner: a definite refusal, and none of stock.
    "limit_exceeded": _INVALID,
    "face_value_required": _INVALID,
}
"""Our code → (status, the vendor's code)."""

_TEXTS: Final = {
    "UNAUTHORIZED": "The API key is missing, wrong or expired.",
    "FORBIDDEN": "This key may not be used for this, or not from this address, or the account is not active.",
    "RATE_LIMITED": "Too many requests.",
    "INTERNAL_ERROR": "Something is wrong on our side; before you create an order again, look for it in your orders.",
    "UNAVAILABLE": "Not available at the moment; before you create an order again, look for it in your orders.",
    "ORDER_PAYMENT_NOT_POSSIBLE": "The order is paid already, expired, cancelled or finished.",
    "ORDER_ALREADY_EXISTS": "An order with this idempotencyKey exists.",
}
"""Where our own sentence would tell of something that these callers do not have."""


def error_answer(error: CardrailError, facts: dict[str, Any]) -> Answer:
    """The envelope of a refusal or fault; whatever has no word is an internal one that says nothing more.

    ``facts`` is what the handler noted of its call: ``currency`` for amounts, ``code`` in place of the table's.
    """
    status, code = WORDS.get(error.code, _INTERNAL)
    code = facts.get(error.code, code)
    headers: list[tuple[bytes, bytes]] = []
    retry: Any = error.facts.get("retry_after", RETRY_SECONDS.get(error.code))
    if retry is not None and status in (429, 503):
        headers.append((b"retry-after", str(retry).encode()))
    return json_answer(ErrorOut(code, _detail(error, code, facts)), status, headers)


def _detail(error: CardrailError, code: str, facts: dict[str, Any]) -> str:
    if code == _INTERNAL[1]:
        return _TEXTS[code]
    known = error.facts
    if error.code == "insufficient_funds" and "currency" in facts:
        unit = facts["currency"]
        available, needed = (money(known.get(name, 0), unit) for name in ("available_minor", "needed_minor"))
        return f"Available {available} {unit.lower()}, needed {needed} {unit.lower()}"
    text = known.get("said") or _TEXTS.get(code) or error.message
    where = known.get("where") or known.get("pointer") or known.get("parameter") or known.get("field")
    detail = known.get("detail")
    return ": ".join([str(one) for one in (where, text) if one]) + (f" {detail}" if isinstance(detail, str) else "")
