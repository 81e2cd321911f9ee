"""What this dialect answers instead of our errors: one table, and three shapes (specs/starship.md, section 1.7).

Shape A is ``{"error": text, "message": text}``, on ``/auth`` and for tokens in the first generation; shape B has an object with name,
code, message and, for what fails validation, messages by field; shape C is for idempotency keys alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from cardrail.api.compat import Answer, json_answer
from cardrail.api.errors import RETRY_SECONDS, STATUS, HttpError
from cardrail.kernel import CardrailError


class Words(NamedTuple):
    """One refusal in the vendor's words."""

    status: int
    code: str
    name: str
    message: str


class Failure(msgspec.Struct, frozen=True):
    """One rule that a field broke."""

    rule: str
    field: str
    message: str


class Refusal(HttpError):
    """The request is refused in the dialect's own words."""

    def __init__(self, words: Words, messages: Mapping[str, Sequence[Failure]] | None = None, *, shape: str = "B") -> None:
        super().__init__()
        self.words = words
        self.messages = messages
        self.shape = shape


VALIDATION: Final = Words(400, "E_VALIDATION_FAILURE", "ValidationException", "Input validation failed.")
PARAMETER: Final = Words(400, "VALIDATION_FAILURE", "ValidationException", "Validation failed.")
SYNTAX: Final = Words(400, "SYNTAX_ERROR", "SyntaxError", "The body is not JSON.")
BAD_REQUEST: Final = Words(400, "BAD_REQUEST", "BadRequestError", "The request is malformed.")
UNAUTHORIZED: Final = Words(401, "UNAUTHORIZED", "UnauthorizedError", "Invalid or expired token")
FORBIDDEN: Final = Words(403, "FORBIDDEN", "ForbiddenError", "Insufficient permissions")
NOT_FOUND: Final = Words(404, "NOT_FOUND", "NotFoundError", "Not found.")
INVALID_STATUS: Final = Words(400, "INVALID_STATUS", "InvalidStatusError", "The operation is not valid in this status.")
TOO_MANY: Final = Words(429, "TOO_MANY_REQUESTS", "TooManyRequestsError", "Too many requests. Please try again later.")
SERVER: Final = Words(500, "INTERNAL_SERVER_ERROR", "InternalServerError", "Internal server error.")
UNAVAILABLE: Final = SERVER._replace(status=503, message="The service cannot answer at the moment. Please try again.")
NO_PRODUCT: Final = NOT_FOUND._replace(status=400, message="The product or denomination does not exist.")
DUPLICATE: Final = BAD_REQUEST._replace(message="An order with this ref exists already.")
BULK_LIMIT: Final = BAD_REQUEST._replace(message="The quantity exceeds the bulk limit.")
INVALID_INPUT: Final = Words(400, "INVALID_INPUT", "InvalidInputError", "The product cannot be ordered like this.")

KEY_REQUIRED: Final = Words(400, "IDEMPOTENCY_KEY_REQUIRED", "", "The Idempotency-Key header is required.")
KEY_TOO_SHORT: Final = Words(400, "IDEMPOTENCY_KEY_TOO_SHORT", "", "The Idempotency-Key has fewer than 8 characters.")
KEY_TOO_LONG: Final = Words(400, "IDEMPOTENCY_KEY_TOO_LONG", "", "The Idempotency-Key has more than 256 characters.")
KEY_REUSED: Final = Words(409, "IDEMPOTENCY_KEY_REUSED", "", "The Idempotency-Key belongs to a request with another content.")

_BY_STATUS: Final[dict[int, Words]] = {
    400: BAD_REQUEST,
    401: UNAUTHORIZED,
    402: BAD_REQUEST._replace(message="Insufficient balance."),
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: BAD_REQUEST._replace(status=405, message="This address does not know this method."),
    408: BAD_REQUEST._replace(status=408, message="The request was not complete in time."),
    409: INVALID_STATUS,
    413: BAD_REQUEST._replace(status=413, message="The body is too large."),
    415: BAD_REQUEST._replace(status=415, message="The body must be plain JSON."),
    422: VALIDATION,
    429: TOO_MANY,
    431: BAD_REQUEST._replace(status=431, message="The headers are too large."),
    500: SERVER,
    503: UNAVAILABLE,
}
"""What a code is that needs no word of its own."""

TABLE: Final[dict[str, Words]] = {
    **{code: _BY_STATUS.get(status, BAD_REQUEST._replace(status=status)) for code, status in STATUS.items()},
    **dict.fromkeys(
        ("invalid_body", "unknown_member", "missing_member", "wrong_type", "invalid_quantity", "no_items", "too_many_items"),
        VALIDATION,
    ),
    **dict.fromkeys(("invalid_query", "invalid_header", "invalid_cursor"), PARAMETER),
    "malformed_body": SYNTAX,
    "limit_exceeded": BAD_REQUEST._replace(message="The order is beyond one of the client's limits."),
    # The documentation admits that 400 is historical here (A15).
    **dict.fromkeys(
        ("unknown_sku", "product_not_found", "face_value_required", "invalid_face_value", "invalid_amount"), NO_PRODUCT
    ),
    **dict.fromkeys(
        ("unknown_currency", "currency_mismatch", "wrong_currency", "price_unavailable", "no_exchange_rate", "below_cost"),
        INVALID_INPUT,
    ),
    "price_changed": INVALID_INPUT._replace(message="The price has changed."),
    "out_of_stock": INVALID_INPUT._replace(message="The product is not available in this quantity."),
    **dict.fromkeys(("too_many_units", "amount_too_large"), BULK_LIMIT),
    **dict.fromkeys(("reference_used", "idempotency_conflict"), DUPLICATE),
}
"""Our code → the vendor's words on resources (shape B). In the first generation some 401 and 403 have shape A instead."""

_SHAPE_A: Final[dict[int, str]] = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    429: "Too Many Requests",
    500: "internal_error",
    503: "unavailable",
}
"""``error`` on the token endpoints by status (1.3 documents the first two and 429)."""


class _Named(msgspec.Struct, omit_defaults=True):
    name: str
    code: str
    message: str
    messages: Mapping[str, Sequence[Failure]] | None = None


class _Keyed(msgspec.Struct):
    code: str
    message: str
    details: dict[str, Any]


class ShapeB(msgspec.Struct):
    """{"error": {"name", "code", "message", "messages"?}}."""

    error: _Named


class ShapeC(msgspec.Struct):
    """{"error": {"code", "message", "details"}}."""

    error: _Keyed


class ShapeA(msgspec.Struct):
    """{"error", "message"}."""

    error: str
    message: str


def words_of(error: CardrailError) -> Words:
    """The vendor's words for an error of ours."""
    return error.words if isinstance(error, Refusal) else TABLE.get(error.code, SERVER)


def answer_b(error: CardrailError, words: Words) -> Answer:
    """A refusal on a resource, or about an idempotency key."""
    if isinstance(error, Refusal) and error.shape == "C":
        body: Any = ShapeC(_Keyed(words.code, words.message, {}))
    else:
        messages = error.messages if isinstance(error, Refusal) else None
        body = ShapeB(_Named(words.name, words.code, words.message, messages))
    return json_answer(body, words.status, _headers(error, words.status))


def answer_a(error: CardrailError, status: int, message: str, *, name: str | None = None) -> Answer:
    """A refusal of the token endpoints, or of a token."""
    return json_answer(ShapeA(name or _SHAPE_A.get(status, "bad_request"), message), status, _headers(error, status))


def _headers(error: CardrailError, status: int) -> list[tuple[bytes, bytes]]:
    seconds = error.facts.get("retry_after")
    if seconds is None:
        seconds = RETRY_SECONDS.get(error.code)
    if seconds is None and status == 429:
        seconds = 60
    return [] if seconds is None else [(b"retry-after", str(seconds).encode())]
