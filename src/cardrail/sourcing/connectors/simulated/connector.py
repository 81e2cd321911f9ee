"""A supplier that exists in arithmetic only: its codes are a keyed hash of our reference, so that asking again gives the same ones.

What a sku does is in its name: TEST_SLOW is accepted and delivered after some seconds, TEST_TIMEOUT is bought though no answer came,
TEST_TIMEOUT_LOST was never bought though no answer came, TEST_SUPPLIER_REFUSES is refused. Everything else is delivered at once. Claims are
granted for codes of TEST_BAD_CODE.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from cardrail.kernel import Clock, Mode, Money, PlainCode, SystemClock, currency
from cardrail.sourcing.connector import (
    Accepted,
    BaseConnector,
    Capabilities,
    ConfigField,
    ConnectorKind,
    Delivered,
    FieldsVerdict,
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
    ReplacementOutcome,
    ReplaceOutcome,
    ReplaceRequest,
    Setup,
    SupplierProduct,
    Unknown,
)
from cardrail.sourcing.errors import InvalidSupplierConfig

SLOW_SECONDS: Final = 2.0
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


class SimulatedSupplier(BaseConnector):
    """See the module's text. ``latency_ms`` and ``unit_cost_minor`` are there for benchmarks."""

    capabilities = Capabilities(
        lookup=Lookup.BY_REFERENCE,
        is_idempotent=True,
        can_replace=True,
        tells_replacements=True,
        has_catalog=True,
        has_stock=True,
        has_price=True,
        has_balance=True,
        delivers_topups=True,
        can_validate=True,
        obeys_max_cost=True,
        call_seconds=10.0,
        settle_seconds=1.0,
        unknown_seconds=60.0,
        poll_seconds=0.5,
        poll_seconds_max=2.0,
        accepted_seconds=120.0,
    )

    def __init__(self, setup: Setup, clock: Clock | None = None) -> None:
        self._setup = setup
        self._clock = clock or SystemClock()
        self._latency = _number(setup.config, "latency_ms", 0) / 1_000
        self._slow = timedelta(seconds=_number(setup.config, "slow_ms", int(SLOW_SECONDS * 1_000)) / 1_000)
        self._unit_cost = _number(setup.config, "unit_cost_minor", 0)
        if setup.mode is Mode.LIVE and setup.config.get("pretend") is not True:
            raise InvalidSupplierConfig(reason="a simulated supplier sells to test orders only")

    def place(self, request: PlaceRequest) -> Outcome:
        if self._latency:
            time.sleep(self._latency)
        if request.supplier_sku == "TEST_SLOW":
            return Accepted(_order_id(request.reference), poll_after_seconds=self._slow.total_seconds())
        if request.supplier_sku in ("TEST_TIMEOUT", "TEST_TIMEOUT_LOST"):
            return Unknown("the answer was lost, as this sku wants it")
        if request.supplier_sku == "TEST_SUPPLIER_REFUSES":
            return Refused("refused, as this sku wants it", RefusalKind.OUT_OF_STOCK)
        return self._delivered(request)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        sku = about.placed.supplier_sku
        if sku in ("TEST_TIMEOUT_LOST", "TEST_SUPPLIER_REFUSES"):
            return NotFound()
        if sku == "TEST_SLOW" and self._clock.now() < about.asked_at + self._slow:
            return Accepted(_order_id(about.placed.reference))
        return self._delivered(about.placed)

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        return Invalidated()

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        """TEST_BAD_CODE's codes are bad, and one that works is given at once. The other skus' codes work, so claims for them are refused;
        but what a sku does to a purchase it does to a claim too."""
        sku = request.supplier_sku
        if sku == "TEST_SLOW":
            return Accepted(_order_id(request.reference), poll_after_seconds=self._slow.total_seconds())
        if sku in ("TEST_TIMEOUT", "TEST_TIMEOUT_LOST"):
            return Unknown("the answer was lost, as this sku wants it")
        return self._replaced(request) if sku == "TEST_BAD_CODE" else Refused("this code works", RefusalKind.INVALID)

    def replacement(self, about: ReplaceRequest, claim_id: str | None) -> ReplacementOutcome:
        sku = about.supplier_sku
        if sku == "TEST_TIMEOUT_LOST":
            return NotFound()
        if sku == "TEST_SLOW" and about.asked_at is not None and self._clock.now() < about.asked_at + self._slow:
            return Accepted(_order_id(about.reference))
        return self._replaced(about)

    def _replaced(self, request: ReplaceRequest) -> Delivered:
        return Delivered((_code(request.reference, 0),), Money(0, currency(self._setup.currency)), _order_id(request.reference))

    def catalog(self) -> Iterable[SupplierProduct]:
        skus = ("TEST_OK", "TEST_SLOW", "TEST_TIMEOUT", "TEST_TIMEOUT_LOST")
        unit = currency(self._setup.currency)
        cost = Money(self._unit_cost, unit)
        return [SupplierProduct(sku, f"Simulated {sku}", unit.code, face_minor=10 * 10**unit.digits, cost=cost) for sku in skus]

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(skus, 1_000_000)

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        return Money(self._unit_cost * quantity, currency(self._setup.currency))

    def balance(self) -> Sequence[Money]:
        return [Money(10**12, currency(self._setup.currency))]

    def validate(self, sku: str, fields: Mapping[str, str]) -> FieldsVerdict:
        wrong = next((name for name, value in sorted(fields.items()) if value == "TEST_INVALID"), None)
        if wrong is not None:
            return FieldsVerdict(is_valid=False, reason="as this value wants it", field=wrong)
        return FieldsVerdict(is_valid=True, account_name="Test account")

    def _delivered(self, request: PlaceRequest) -> Delivered:
        codes = tuple([_code(request.reference, i) for i in range(request.quantity)])
        cost = Money(self._unit_cost * request.quantity, currency(self._setup.currency))
        return Delivered(codes, cost, _order_id(request.reference))


def _order_id(reference: str) -> str:
    return f"sim-{hashlib.blake2b(reference.encode(), digest_size=8).hexdigest()}"


def _code(reference: str, index: int) -> PlainCode:
    """A code that looks like one and redeems nowhere."""
    number = int.from_bytes(hashlib.blake2b(f"{reference}/{index}".encode(), digest_size=16).digest(), "big")
    letters = "".join([_ALPHABET[(number >> (5 * i)) & 31] for i in range(12)])
    return PlainCode(
        f"TEST-{letters[:4]}-{letters[4:8]}-{letters[8:]}", f"{(number >> 60) % 10_000:04d}", f"T{number >> 94:011d}"
    )


def _number(config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidSupplierConfig(field=name, reason="a whole number, not below 0")
    return value


KIND: Final = ConnectorKind(
    "simulated",
    "A supplier that exists for tests only",
    SimulatedSupplier,
    (
        ConfigField("latency_ms", "How long each purchase takes.", is_required=False, default="0"),
        ConfigField("slow_ms", "How long TEST_SLOW takes.", is_required=False, default="2000"),
        ConfigField("unit_cost_minor", "What one unit costs.", is_required=False, default="0"),
    ),
)
