"""The interface of a connector: it speaks one supplier's protocol and keeps no state.

What comes in and goes out are plain frozen values. What was asked and what came of it is kept by the core (attempts), never by a
connector: any method may be called by any process, again, after a crash.

``place`` is the one call that costs money, and the one rule of a connector: **an answer is final only if it is an explicit yes or no.**
A time-out, a dropped connection, a 500, a page of HTML, half a body are ``Unknown``. An exception that leaves ``place`` is ``Unknown``
too, whatever it is, unless it is one of the two that prove that nothing was bought: ``NotSent`` and ``RateLimited``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from cardrail.kernel import Mode, Money, PlainCode, Secret
from cardrail.sourcing.errors import NotSupported
from cardrail.sourcing.hooks import HookReader


class Lookup(StrEnum):
    """How the supplier can be asked about an order whose answer was lost."""

    BY_REFERENCE = "by_reference"
    """It keeps our reference, and finds the order by it."""
    BY_MATCH = "by_match"
    """It keeps none: only product, quantity and time tell. Then one unresolved attempt per account, product and quantity is allowed."""
    NONE = "none"
    """It cannot be asked. Unless ``place`` is idempotent, a human decides."""


class RefusalKind(StrEnum):
    """Why a supplier said no, as far as routing cares."""

    OUT_OF_STOCK = "out_of_stock"
    NO_FUNDS = "no_funds"
    """Our balance there does not cover it."""
    PRICE = "price"
    """It costs more than we allow."""
    INVALID = "invalid"
    """It does not take this request: a field, a face value, a quantity."""
    CLOSED = "closed"
    """The product is not sold (any more), or our account may not buy it."""
    BUSY = "busy"
    """Not now: rate limited, in maintenance. The same request may go through later."""
    UNREACHABLE = "unreachable"
    """The request never left us: no route, no connection, no name."""
    FAILED = "failed"
    """It was accepted and came to nothing; nothing is charged."""


TEMPORARY: Final = frozenset({RefusalKind.BUSY, RefusalKind.UNREACHABLE})
"""Refusals that say nothing about the product: the supplier may be asked again for the same item."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector can do. The core calls nothing that is not declared here."""

    lookup: Lookup = Lookup.NONE
    is_idempotent: bool = False
    """``place`` with a reference that the supplier knows makes no second order, but answers with the first one."""
    can_poll: bool = True
    """``lookup`` with the supplier's order id tells how that order stands."""
    can_invalidate: bool = False
    """An order can be killed at the supplier by our reference or its id, also while its outcome is unknown."""
    can_replace: bool = False
    """A bad code can be claimed."""
    tells_replacements: bool = False
    """``replacement`` tells how a claim stands, also one whose answer was lost."""
    has_catalog: bool = False
    has_stock: bool = False
    has_price: bool = False
    has_balance: bool = False
    has_statement: bool = False
    delivers_topups: bool = False
    can_validate: bool = False
    """Top-up fields can be checked before anything is bought."""
    obeys_max_cost: bool = False
    """The supplier itself refuses what would cost more than ``PlaceRequest.max_cost``."""
    quantity_max: int = 1_000
    """Units of one order; more are several attempts."""
    call_seconds: float = 30.0
    """How long one call may take in all; ``place`` must have answered or raised by then."""
    settle_seconds: float = 30.0
    """How long after a lost ``place`` the supplier may still show the order for the first time; a "no" before that proves nothing."""
    unknown_seconds: float = 2 * 3_600.0
    """How long a lost answer is asked after before a human is asked."""
    look_seconds_max: float = 60.0
    """The longest wait between two looks meanwhile; the first come sooner."""
    poll_seconds: float = 2.0
    """The first wait before an accepted order is asked after; it doubles up to ``poll_seconds_max``."""
    poll_seconds_max: float = 60.0
    accepted_seconds: float = 24 * 3_600.0
    """How long an accepted order may stay so before a human is asked."""
    breaker_seconds: float = 60.0
    """How long nothing new is bought once its circuit breaker is open."""


TIMINGS: Final[Mapping[str, str]] = {
    "call_seconds": "How long a purchase, or a look at one, may take in all.",
    "settle_seconds": "How long after a lost answer the order may show at the supplier for the first time.",
    "unknown_seconds": "How long a lost answer is asked after before a human is asked.",
    "look_seconds_max": "The longest wait between two looks meanwhile.",
    "accepted_seconds": "How long an accepted order may stay so before a human is asked.",
    "poll_seconds": "The first wait before an accepted order is asked after.",
    "poll_seconds_max": "The longest such wait.",
    "breaker_seconds": "How long it is left alone once its circuit breaker is open.",
}
"""Capabilities that an operator may set in a supplier's configuration, whatever its kind: what they are for."""


# --- what is asked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """One order at the supplier. Every unit of it is alike."""

    reference: str
    """Ours: unique for ever, at most 36 characters of ``[A-Za-z0-9_]``. Sent where the supplier keeps one."""
    supplier_sku: str
    quantity: int
    face: Money
    """Face value of one unit."""
    max_cost: Money
    """The most that all units together may cost, in the supplier's currency."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """A player id, a phone number: what a top-up needs."""
    country: str | None = None
    customer_id: str | None = None
    mode: Mode = Mode.LIVE


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """What is known of an order whose outcome is not."""

    placed: PlaceRequest
    supplier_order_id: str | None
    """With it: how does this order stand? Without: is there an order of ours?"""
    asked_at: datetime
    """When ``place`` was called."""
    known_order_ids: frozenset[str] = frozenset()
    """By match: the supplier's order ids that belong to other attempts of ours. None of them is the one that is looked for."""


# --- what came of it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivered:
    """Final. These codes are ours; what is missing of the quantity was not bought and will not come.

    A top-up has a ``PlainCode`` per unit too: its ``code`` is the receipt's number.
    """

    codes: tuple[PlainCode, ...]
    cost: Money | None = None
    """What all of them together cost; None where the answer does not say (then it is the price that we know)."""
    supplier_order_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The supplier has the order and will say later what came of it: it is polled under this id."""

    supplier_order_id: str
    poll_after_seconds: float | None = None
    """Where the supplier says when to ask again."""
    cost: Money | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Final: nothing was bought under this reference, nothing is charged, and nothing will come."""

    reason: str
    """In words, for the operator. Never a code, never a secret."""
    kind: RefusalKind = RefusalKind.FAILED
    retry_after_seconds: float | None = None
    supplier_order_id: str | None = None
    """Where it made an order before it said no."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether it was bought. It is asked about, and never bought again meanwhile."""

    why: str
    supplier_order_id: str | None = None
    """Where the answer got this far."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """A lookup's answer: the supplier says that it has no such order. Whether that is final yet, the core decides."""


Outcome = Delivered | Accepted | Refused | Unknown
LookupOutcome = Delivered | Accepted | Refused | Unknown | NotFound


@dataclass(frozen=True, slots=True)
class Invalidated:
    """The order is dead at the supplier: its codes, if there were any, never redeem, and we are not charged."""


InvalidateOutcome = Invalidated | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Credited:
    """A claim's answer: the supplier gives back what the code had cost us, and no other code."""

    amount: Money | None = None
    """None: it does not say how much."""


ReplaceOutcome = Delivered | Accepted | Refused | Unknown | Credited
ReplacementOutcome = Delivered | Accepted | Refused | Unknown | Credited | NotFound


@dataclass(frozen=True, slots=True)
class ReplaceRequest:
    """A claim that a code does not work."""

    reference: str
    """Ours, of this claim."""
    placed_reference: str
    supplier_order_id: str | None
    supplier_sku: str
    code: PlainCode
    """The bad one."""
    reason: str
    """One word: already_redeemed, not_recognised, not_activated, expired, wrong_value, wrong_region, incomplete, not_received, other."""
    evidence: str | None = None
    """What the partner gave: his words, links to what he has."""
    face: Money | None = None
    """Face value of the bad code."""
    asked_at: datetime | None = None
    """When ``replace`` was called, where it was."""


# --- what the supplier tells ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SupplierProduct:
    """One thing that the supplier sells: fixed at one face value, or a range of them."""

    sku: str
    """What ``place`` takes. Where the supplier needs two ids, both in one text."""
    name: str
    currency: str
    """Of the face value."""
    face_minor: int | None = None
    min_minor: int | None = None
    max_minor: int | None = None
    step_minor: int | None = None
    cost: Money | None = None
    """Of one unit of a fixed one."""
    cost_bps: int | None = None
    """What a range costs, as a part of the face value."""
    brand: str | None = None
    category: str | None = None
    kind: str = "code"
    """code | link | topup."""
    countries: tuple[str, ...] = ()
    stock: int | None = None
    """None: it does not say."""
    is_available: bool = True
    fields: tuple[Mapping[str, Any], ...] = ()
    """What a top-up asks for: name, label, pattern, required."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of the supplier's own account of what we bought."""

    at: datetime
    amount: Money
    """Positive: charged to us. Negative: given back."""
    supplier_order_id: str | None
    reference: str | None = None
    kind: str = "order"
    """order | refund | topup | other."""
    note: str | None = None


@dataclass(frozen=True, slots=True)
class FieldsVerdict:
    """Whether the supplier would deliver to this account."""

    is_valid: bool
    reason: str | None = None
    field: str | None = None
    """Which field is wrong, where it says."""
    account_name: str | None = None
    """Whose account it is, where the supplier tells: for the buyer to compare."""


class Connector(Protocol):
    """One supplier's protocol. Methods block, on a thread of their own, with no transaction open; each returns or raises within
    ``capabilities.call_seconds``. All but ``place`` raise SupplierError's kinds where they cannot answer."""

    @property
    def capabilities(self) -> Capabilities: ...

    def place(self, request: PlaceRequest) -> Outcome:
        """Buy. Raises NotSent and RateLimited only where it is certain that nothing was bought; everything else is Unknown."""
        ...

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        """How an order stands (with its id), or whether there is one (without). Must buy nothing.

        Delivered carries the codes. Unknown: it cannot tell now; ask again.
        """
        ...

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        """Kill the order, whatever became of it. Refused: it stands."""
        ...

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        """Claim a bad code. Delivered: the replacement. Credited: its cost is given back. Refused: neither, and that is final.

        Accepted: it will be decided; the id is what ``replacement`` is asked with. As with ``place``, NotSent and RateLimited are raised
        only where it is certain that there is no claim; everything else is Unknown, and the same code is not claimed again.
        """
        ...

    def replacement(self, about: ReplaceRequest, claim_id: str | None) -> ReplacementOutcome:
        """How a claim stands (with its id), or whether there is one (without). Must claim nothing."""
        ...

    def catalog(self) -> Iterable[SupplierProduct]:
        """Everything that we could buy, streamed page by page."""
        ...

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        """How many units there are; a sku that is missing is not known."""
        ...

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        """What ``quantity`` units cost together, now."""
        ...

    def balance(self) -> Sequence[Money]:
        """What we may still spend, in each currency."""
        ...

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        """The supplier's own account of that time, oldest first."""
        ...

    def validate(self, sku: str, fields: Mapping[str, str]) -> FieldsVerdict:
        """Whether a top-up with these fields would be taken. Must buy nothing."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class BaseConnector:
    """What most connectors lack: each method that is not overridden raises NotSupported."""

    capabilities: Capabilities = Capabilities()

    def place(self, request: PlaceRequest) -> Outcome:
        raise NotSupported(call="place")

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        raise NotSupported(call="lookup")

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        raise NotSupported(call="invalidate")

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        raise NotSupported(call="replace")

    def replacement(self, about: ReplaceRequest, claim_id: str | None) -> ReplacementOutcome:
        raise NotSupported(call="replacement")

    def catalog(self) -> Iterable[SupplierProduct]:
        raise NotSupported(call="catalog")

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        raise NotSupported(call="stock")

    def price(self, sku: str, face: Money, quantity: int) -> Money:
        raise NotSupported(call="price")

    def balance(self) -> Sequence[Money]:
        raise NotSupported(call="balance")

    def statement(self, since: datetime, until: datetime) -> Iterable[StatementLine]:
        raise NotSupported(call="statement")

    def validate(self, sku: str, fields: Mapping[str, str]) -> FieldsVerdict:
        raise NotSupported(call="validate")

    def close(self) -> None:
        """Nothing is held."""


# --- how one is made --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setup:
    """What a connector is built from: the supplier's row, its secrets opened."""

    supplier_id: str
    mode: Mode
    currency: str
    """In which the supplier charges us."""
    config: Mapping[str, Any]
    secrets: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class ConfigField:
    """One thing that an operator tells about a supplier of this kind."""

    name: str
    help: str
    is_secret: bool = False
    is_required: bool = True
    default: str | None = None


class ConnectorFactory(Protocol):
    def __call__(self, setup: Setup) -> Connector: ...


@dataclass(frozen=True, slots=True)
class ConnectorKind:
    """A protocol that suppliers speak, as the registry knows it."""

    name: str
    title: str
    make: ConnectorFactory
    """Raises InvalidSupplierConfig. Must reach out to nobody."""
    fields: tuple[ConfigField, ...] = ()
    hooks: HookReader | None = None
    """Reads the webhooks that suppliers of this kind send; None: they send none."""
