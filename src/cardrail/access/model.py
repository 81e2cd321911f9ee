"""Partners, their API keys, and what a request is allowed to do: frozen facts and pure rules, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from cardrail.access.errors import (
    ClientPartnerEventRefused,
    InvalidClientPartner,
    InvalidKeyRequest,
    InvalidLimits,
    InvalidPartner,
    ScopeMissing,
    UnknownScope,
)
from cardrail.access.networks import Network
from cardrail.kernel import ApiKeyId, ClientPartnerId, Mode, PartnerId, PriceListId, UnknownCurrency, currency

SCOPES: Final[dict[str, str]] = {
    "balances:read": "See the wallets' balances.",
    "catalog:read": "See products, stock, prices, and get quotes.",
    "codes:read": "See the codes of fulfilled orders, in the answer to the order too.",
    "events:read": "See the stream of events.",
    "orders:read": "See orders and their states, without codes.",
    "orders:write": "Place, pay, cancel and invalidate orders.",
    "sandbox:write": "Set the balance of the test wallet; of use to test keys only.",
    "settlements:read": "See statements, reconcile a period, and export your own orders and movements.",
    "transactions:read": "See what moved the wallets' balances.",
    "webhooks:write": "See and manage webhook endpoints and deliveries.",
}
"""Every scope, and what it allows. What a key may do is the union of its scopes; nothing is implied by another."""

ALL_SCOPES: Final = frozenset(SCOPES)

KEYS_VALID_MAX: Final = 2
"""Valid keys of one partner and mode: the present one, and its successor while it is being rolled out."""

NAME_MAX: Final = 200
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


class PartnerState(StrEnum):
    """Whether a partner may do anything at all."""

    ACTIVE = "active"
    """Its keys work."""
    SUSPENDED = "suspended"
    """All its keys are refused; orders that were placed are still fulfilled."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one partner may do at most; None, or a currency that is not named, is no limit. A day is a UTC day. Modes count apart."""

    order_amount_minor_max: dict[str, int] = field(default_factory=dict, hash=False)
    """Currency of the wallet that pays → minor units of one order's total."""
    amount_minor_per_day_max: dict[str, int] = field(default_factory=dict, hash=False)
    """Currency of the wallet that pays → minor units of a day's orders together."""
    orders_per_day_max: int | None = None
    quantity_per_sku_per_day_max: int | None = None
    """Units of any one sku."""
    quantity_per_customer_per_day_max: int | None = None
    """Units for any one customer_id; orders that name none are not counted."""
    requests_per_minute: int | None = None
    """HTTP requests of one API key."""

    @property
    def counts_orders(self) -> bool:
        """Whether any limit needs an order to be looked at, rather than requests only."""
        return bool(
            self.order_amount_minor_max
            or self.amount_minor_per_day_max
            or self.orders_per_day_max is not None
            or self.quantity_per_sku_per_day_max is not None
            or self.quantity_per_customer_per_day_max is not None
        )


@dataclass(frozen=True, slots=True)
class Partner:
    """A business that buys through us."""

    id: PartnerId
    name: str
    state: PartnerState
    currency: str
    """Of the default wallet."""
    timezone: str
    country: str | None
    price_list_id: PriceListId | None
    limits: Limits | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an API key; the token itself is kept nowhere."""

    id: ApiKeyId
    partner_id: PartnerId
    mode: Mode
    name: str
    hint: str
    """The token's last four characters, to recognise it by."""
    scopes: frozenset[str]
    networks: tuple[str, ...]
    """CIDR blocks it may be used from; empty: from anywhere."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    dialect: str | None = None
    """The wire protocol that it is for; None: the native API."""

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what they may do: all that a request needs to know of its credential."""

    partner_id: PartnerId
    api_key_id: ApiKeyId
    mode: Mode
    scopes: frozenset[str]
    networks: tuple[Network, ...]
    expires_at: datetime | None
    currency: str
    price_list_id: PriceListId | None
    limits: Limits | None
    partner_state: PartnerState
    version: int
    """The version of the access data that this was read at."""
    dialect: str | None = None
    """The wire protocol that the credential is for; None: the native API."""
    requests_per_minute: int | None = None
    """The credential's own limit in its dialect: None leaves it to the dialect, 0 is none."""

    def require(self, scope: str) -> None:
        """Raises ScopeMissing."""
        if scope not in self.scopes:
            raise ScopeMissing(scope=scope)


class ClientPartnerState(StrEnum):
    """Whether a partner may order for one of the businesses that it serves."""

    PENDING = "pending"
    """Registered; the operator has not decided."""
    APPROVED = "approved"
    """Orders may be for it."""
    REJECTED = "rejected"
    REVOKED = "revoked"
    """It was approved once, and is no longer."""


class ClientPartnerEvent(StrEnum):
    """What the operator decides about a client partner; in test mode the partner may, to try it out."""

    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"


CLIENT_PARTNER_TRANSITIONS: Final[dict[ClientPartnerEvent, tuple[ClientPartnerState, ClientPartnerState]]] = {
    ClientPartnerEvent.APPROVE: (ClientPartnerState.PENDING, ClientPartnerState.APPROVED),
    ClientPartnerEvent.REJECT: (ClientPartnerState.PENDING, ClientPartnerState.REJECTED),
    ClientPartnerEvent.REVOKE: (ClientPartnerState.APPROVED, ClientPartnerState.REVOKED),
}
"""Event → the only state that it is allowed in, and the one that it leads to."""


@dataclass(frozen=True, slots=True)
class ClientPartner:
    """A business that a partner sells to as an intermediary: orders for it name it, so that it is known where codes go."""

    id: ClientPartnerId
    partner_id: PartnerId
    mode: Mode
    name: str
    details: dict[str, str]
    """What else is known of the company, as the partner names it."""
    state: ClientPartnerState
    created_at: datetime
    updated_at: datetime

    def after(self, event: ClientPartnerEvent, now: datetime) -> ClientPartner:
        """It, as the event leaves it. Raises ClientPartnerEventRefused."""
        before, state = CLIENT_PARTNER_TRANSITIONS[event]
        if self.state is not before:
            raise ClientPartnerEventRefused(current=self.state.value, wanted=state.value)
        return replace(self, state=state, updated_at=now)


def checked_scopes(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes, if there is at least one and all exist. Raises UnknownScope, InvalidKeyRequest."""
    unknown = sorted(scopes - ALL_SCOPES)
    if unknown:
        raise UnknownScope(scope=unknown[0])
    if not scopes:
        raise InvalidKeyRequest(field="scopes")
    return scopes


def checked_name(name: str, error: type[InvalidPartner | InvalidKeyRequest | InvalidClientPartner]) -> str:
    """A name of 1 to NAME_MAX printable characters, without blanks around it. Raises the given error."""
    trimmed = name.strip()
    if not 0 < len(trimmed) <= NAME_MAX or not trimmed.isprintable():
        raise error(field="name")
    return trimmed


def check_partner(partner: Partner) -> Partner:
    """The partner, if its data is valid. Raises InvalidPartner, InvalidLimits, UnknownCurrency."""
    currency(partner.currency)
    checked_name(partner.name, InvalidPartner)
    if partner.country is not None and not _COUNTRY.fullmatch(partner.country):
        raise InvalidPartner(field="country")
    if not _is_timezone(partner.timezone):
        raise InvalidPartner(field="timezone")
    if partner.limits is not None:
        check_limit_values(partner.limits)
    return partner


def check_limit_values(limits: Limits) -> None:
    """Raises InvalidLimits for a negative number or a currency that does not exist."""
    for name in ("order_amount_minor_max", "amount_minor_per_day_max"):
        for code, minor in getattr(limits, name).items():
            try:
                currency(code)
            except UnknownCurrency:
                raise InvalidLimits(field=name, currency=code) from None
            if minor < 0:
                raise InvalidLimits(field=name)
    for name in (
        "orders_per_day_max",
        "quantity_per_sku_per_day_max",
        "quantity_per_customer_per_day_max",
        "requests_per_minute",
    ):
        value = getattr(limits, name)
        if value is not None and value < (1 if name == "requests_per_minute" else 0):
            raise InvalidLimits(field=name)


def _is_timezone(name: str) -> bool:
    if name == "UTC":  # known also where the machine has no time zone data
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
