"""Buying from a supplier that speaks Finperks v1.

The idempotency key is our reference, so an order is asked about by placing it again: the same key and request give the first order. The
body must then be the same to the byte, and it is, because it is made of the request and the configuration alone. Once we have the
order's id it is read under that. A ``reused_idempotency_key`` after our own repeat means that the supplier keeps another rule than we
think: then nothing is known, and a human decides (section 7.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from cardrail.kernel import Clock, Money, SystemClock
from cardrail.sourcing.connector import (
    Accepted,
    BaseConnector,
    Capabilities,
    ConfigField,
    ConnectorKind,
    Delivered,
    Invalidated,
    InvalidateOutcome,
    Lookup,
    LookupOutcome,
    LookupRequest,
    NotFound,
    Outcome,
    PlaceRequest,
    RefusalKind,
    Refused,
    Setup,
    SupplierProduct,
    Unknown,
)
from cardrail.sourcing.connectors.finperks import answers
from cardrail.sourcing.connectors.finperks.hooks import FinperksHooks
from cardrail.sourcing.connectors.finperks.signing import Signer
from cardrail.sourcing.errors import InvalidSupplierConfig, NotSupported, OddAnswer
from cardrail.sourcing.http import Answer, SupplierHttp, checked

SYNC_SECONDS: Final = 60.0
ASYNC_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.5

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_DEAD: Final = frozenset({"failed", "invalidated", "refunded"})


class FinperksSupplier(BaseConnector):
    """See the module's text. Asynchronous unless told otherwise: the order's id is then known before it is processed (7.23)."""

    def __init__(self, setup: Setup, clock: Clock | None = None) -> None:
        config = setup.config
        base_url = _required(config, "base_url")
        if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
            raise InvalidSupplierConfig(field="base_url", reason="an address that begins with https://")
        self._mode = config.get("processing_mode") or "async"
        if self._mode not in ("sync", "async"):
            raise InvalidSupplierConfig(field="processing_mode", reason="sync or async")
        secret = setup.secrets.get("client_secret")
        if secret is None:
            raise InvalidSupplierConfig(field="client_secret", reason="it is required")
        with_port = str(config.get("host_line") or "with_port")
        if with_port not in ("with_port", "bare"):
            raise InvalidSupplierConfig(field="host_line", reason="with_port or bare")
        self._country = _required(config, "country")
        self._customer = str(config.get("customer_id") or "cardrail")
        self._client_partner = config.get("client_partner")
        self._currency = setup.currency
        self._clock = clock or SystemClock()
        self._signer = Signer(base_url, _required(config, "client_id"), secret, with_port=with_port == "with_port")
        seconds = SYNC_SECONDS if self._mode == "sync" else ASYNC_SECONDS
        self._http = SupplierHttp(base_url, seconds=seconds)
        self._capabilities = Capabilities(
            lookup=Lookup.NONE,
            is_idempotent=True,
            can_invalidate=True,
            has_catalog=True,
            has_balance=True,
            quantity_max=1,
            call_seconds=seconds,
            poll_seconds=POLL_SECONDS,
        )

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]  # by what it is set up with
        return self._capabilities

    # --- buying -----------------------------------------------------------------------------------------------------------

    def place(self, request: PlaceRequest) -> Outcome:
        if request.quantity != 1:
            return Refused("one order is one card", RefusalKind.INVALID)
        answer = self._ask("POST", "/orders", _encode(self._order(request)), request.reference)
        if answer.status in (200, 201, 202):
            return self._outcome(answer)
        return _refusal(answer)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        if about.supplier_order_id is None:
            raise NotSupported(call="lookup")
        answer = self._ask("GET", f"/orders/{quote(about.supplier_order_id, safe='')}")
        if answer.status == 404 and answers.error_code(answer.json()) == "entity_not_found":
            return NotFound()
        return self._outcome(checked(answer))

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        if about.supplier_order_id is None:
            return Unknown("without its id the order cannot be invalidated")
        answer = self._ask("POST", f"/orders/{quote(about.supplier_order_id, safe='')}/actions/invalidate")
        if answer.is_ok:
            return Invalidated()
        code = answers.error_code(answer.json()) if answer.status == 400 else ""
        if code in ("order_invalidated", "order_failed"):
            return Invalidated()
        if code in ("order_invalidation_period_expired", "order_invalidation_not_supported"):
            return Refused(code, RefusalKind.CLOSED)
        return Unknown(f"{answer.status} {code}".strip())

    def _order(self, request: PlaceRequest) -> dict[str, Any]:
        """The body; the same for the same request."""
        code, method = answers.parse_sku(request.supplier_sku)
        order: dict[str, Any] = {
            "product_code": code,
            "customer": {"id": request.customer_id or self._customer},
            "country": request.country or self._country,
            "face_value": {"currency": request.face.currency.code, "amount": answers.amount_text(request.face)},
            "processing_mode": self._mode,
            "delivery_method": {"type": method},
        }
        if self._client_partner:
            order["client_partner"] = {"id": str(self._client_partner)}
        return order

    def _outcome(self, answer: Answer) -> Outcome:
        """What an order object says. Raises OddAnswer."""
        order = answer.json()
        order_id = order.get("id") if isinstance(order, dict) else None
        if not isinstance(order_id, str) or not order_id:
            raise OddAnswer(status=answer.status, because="no order")
        state = answers.state_of(order)
        if state == "completed":
            codes = answers.plain_codes(order)
            if codes:
                return Delivered(codes, answers.cost_of(order, self._currency), order_id)
            return Unknown("completed, and no card in the answer", order_id)
        if state in _DEAD:
            return Refused(f"the order is {state}", RefusalKind.FAILED, supplier_order_id=order_id)
        if state == "processing":
            return Accepted(order_id, poll_after_seconds=POLL_SECONDS)
        return Unknown("a state that is not known", order_id)

    # --- what it tells ----------------------------------------------------------------------------------------------------

    def catalog(self) -> Iterable[SupplierProduct]:
        for one in answers.list_of(checked(self._ask("GET", "/products")).json()):
            yield from answers.products_of(one)

    def balance(self) -> Sequence[Money]:
        found = answers.list_of(checked(self._ask("GET", "/balances")).json())
        return [answers.money_of(one.get("available_amount"), one.get("currency")) for one in found]

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, body: bytes = b"", key: str | None = None) -> Answer:
        headers = self._signer.headers(method, path, body, key, self._clock.now())
        return self._http.request(method, path, content=body or None, headers=headers)


def _refusal(answer: Answer) -> Outcome:
    """A ``place`` that was not taken. Only a code of the table is a no."""
    if not 400 <= answer.status < 500:
        return Unknown(f"answered {answer.status}")
    code = answers.error_code(answer.json())
    kind = answers.REFUSALS.get(code)
    if kind is not None:
        return Refused(code, kind)
    if code in answers.UNREAD:
        return Refused(code, RefusalKind.BUSY)
    if code == "reused_idempotency_key":
        return Unknown("the key is known with another request, or cannot be repeated: look at the supplier")
    return Unknown(f"answered {answer.status}")


def _required(config: Any, name: str) -> str:
    value = config.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidSupplierConfig(field=name, reason="it is required")
    return value


KIND: Final = ConnectorKind(
    "finperks",
    "Finperks v1, or whoever speaks its protocol",
    FinperksSupplier,
    (
        ConfigField("base_url", "The address before /orders, for example https://api.supplier.example/v1."),
        ConfigField("client_id", "The client id."),
        ConfigField("client_secret", "What requests are signed with.", is_secret=True),
        ConfigField("country", "Of orders that name none, ISO 3166, two letters."),
        ConfigField("processing_mode", "sync or async.", is_required=False, default="async"),
        ConfigField("customer_id", "The buyer's id in orders that name none.", is_required=False, default="cardrail"),
        ConfigField("client_partner", "The client partner that all orders are for, if any.", is_required=False),
        ConfigField("host_line", "What is signed of the host: with_port or bare.", is_required=False, default="with_port"),
    ),
    FinperksHooks(),
)
