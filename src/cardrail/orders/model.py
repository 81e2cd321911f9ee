"""What an order is made of: the command that asks for it, and the order as it then stands.

No I/O. The classes on the order path are slotted and plain, because thousands are made each second.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from cardrail.access import Limits
from cardrail.kernel import DenominationId, Mode, Money, OrderId, PartnerId, Reference
from cardrail.orders.states import OrderState
from cardrail.vault import Allocation, LotKey

ITEMS_MAX: Final = 100
QUANTITY_MAX: Final = 1_000
UNITS_MAX: Final = 2_000

TOTAL_MAX: Final = 2**53
"""An order's total, in minor units: what every reader of JSON still counts exactly, and far enough below 64 bits to be summed up."""

FINGERPRINT_VERSION: Final = b"\x01"
"""First byte of a stored fingerprint; a release that canonicalises otherwise takes the next, and still compares old ones the old way."""

_canonical = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """One line as it was asked for. ``face`` is required where the sku is sold as a range."""

    sku: str
    quantity: int
    face: Money | None = None
    fields: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """On whose behalf a command runs: taken from the credential, never from the body."""

    partner_id: PartnerId
    mode: Mode
    currency: str
    """The wallet that pays."""
    actor: str
    """The key's id, or "cli"."""
    origin: str | None = None
    price_list_id: str | None = None
    limits: Limits | None = None
    access_version: int | None = None
    """The version of the access data that the credential was checked against; None needs no check (the operator's own commands)."""
    may_reveal: bool = True
    """Whether codes may be opened for the answer."""


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """The command to place an order. ``order_id`` is made before the first try, so that a lost commit can be looked up."""

    order_id: OrderId
    buyer: Buyer
    items: tuple[ItemRequest, ...]
    fingerprint: bytes
    key_hash: bytes | None = None
    reference: Reference | None = None
    reference_hash: bytes | None = None
    allow_partial: bool = True
    max_total: Money | None = None
    quote_id: str | None = None
    pay_later: bool = False
    customer_id: str | None = None
    details: str | None = None
    """JSON text: country, client partner, metadata."""
    is_delivered: bool = False
    """Whether somebody else is to get the codes from us (``details`` says who and how)."""
    number: int | None = None
    """The order's number (``kernel.new_number``), for callers whose ids are numbers. Where it turns out to be another's, the order is
    placed without one."""
    is_free: bool = False
    """Test mode's reserved skus cost nothing, for callers whose sandbox takes no money."""
    holds_short: bool = False
    """The wallet must cover the whole price even where stock is short: what is missing is held, and given back in the same commit."""

    @property
    def units(self) -> int:
        return sum([item.quantity for item in self.items])


@dataclass(frozen=True, slots=True)
class PayOrder:
    """The command to pay an unpaid order: it then goes through the lane like a placing, at the price that was fixed."""

    order_id: OrderId
    buyer: Buyer
    units: int = 1
    allow_partial: bool = False
    """Whether to pay for what there is, where stock has gone since the order was placed."""


def place_order_command(
    order_id: OrderId,
    buyer: Buyer,
    items: tuple[ItemRequest, ...],
    *,
    key: str | None = None,
    reference: Reference | None = None,
    allow_partial: bool = True,
    max_total: Money | None = None,
    quote_id: str | None = None,
    pay_later: bool = False,
    customer_id: str | None = None,
    details: dict[str, Any] | None = None,
    currency: str | None = None,
    number: int | None = None,
    is_free: bool = False,
    holds_short: bool = False,
) -> PlaceOrder:
    """The command with its hashes: what binds its key and its reference to it, for ever.

    ``currency`` is the wallet that was asked for, None where the request left it to the partner's default: an honest repeat is the same
    order even if the operator has changed that default since.
    """
    noted = _canonical.encode(details) if details else None
    canonical = _canonical.encode(
        [
            [[one.sku, one.quantity, _plain(one.face), one.fields or None] for one in items],
            reference,
            currency,
            allow_partial,
            _plain(max_total),
            quote_id,
            pay_later,
            customer_id,
            msgspec.Raw(noted) if noted else None,
        ]
    )
    return PlaceOrder(
        order_id=order_id,
        buyer=buyer,
        items=items,
        fingerprint=FINGERPRINT_VERSION + hashlib.blake2b(canonical, digest_size=16).digest(),
        key_hash=binding(buyer, "key", key) if key is not None else None,
        reference=reference,
        reference_hash=binding(buyer, "reference", reference) if reference is not None else None,
        allow_partial=allow_partial,
        max_total=max_total,
        quote_id=quote_id,
        pay_later=pay_later,
        customer_id=customer_id,
        details=noted.decode() if noted else None,
        is_delivered=bool(details and "delivery" in details),
        number=number,
        is_free=is_free,
        holds_short=holds_short,
    )


def binding(buyer: Buyer, kind: str, text: str) -> bytes:
    """The hash under which a key or a reference of this partner and mode is stored."""
    return hashlib.blake2b(f"{buyer.partner_id}\0{buyer.mode.value}\0{kind}\0{text}".encode(), digest_size=16).digest()


def _plain(money: Money | None) -> list[object] | None:
    return [money.minor, money.currency.code] if money is not None else None


@dataclass(slots=True)
class Unit:
    """One sealed code of an item, and what is needed to open it."""

    lot_id: str
    seq: int
    sealed: bytes
    lot: LotKey
    expires_at: int
    position: int = 0
    """In its item, from 1, also where codes before it are withheld: what a claim or a refund names."""


@dataclass(slots=True)
class OrderItem:
    """One line as it stands."""

    line: int
    sku: str
    denomination_id: DenominationId
    name: str
    state: OrderState
    quantity: int
    delivered: int
    face_minor: int
    face_currency: str
    unit_price_minor: int
    unit_fee_minor: int
    tax_bps: int
    total_minor: int
    charged_minor: int
    fx_rate_e10: int | None = None
    fields: dict[str, str] | None = None
    hold_id: str | None = None
    allocations: list[Allocation] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    """The sealed codes, where the caller asked for them."""
    refunded: tuple[int, ...] = ()
    """Which of its units were paid back, by position, ascending."""


@dataclass(slots=True)
class Order:
    """An order as it stands, with its items."""

    id: OrderId
    partner_id: PartnerId
    mode: Mode
    state: OrderState
    currency: str
    total_minor: int
    charged_minor: int
    refunded_minor: int
    reference: str | None
    customer_id: str | None
    quote_id: str | None
    pay_until: int | None
    details: str | None
    created_at: int
    updated_at: int
    revealed_at: int | None
    version: int
    items: list[OrderItem]
    number: int | None = None


@dataclass(slots=True)
class Placed:
    """A new order, or an unpaid one that was paid just now."""

    order: Order


@dataclass(slots=True)
class Repeated:
    """The key or reference is this order's, with the same content: answer with the order as it stands."""

    order_id: OrderId


@dataclass(slots=True)
class Refused:
    """Nothing was changed, and the key is not burnt. ``error`` says why."""

    error: Exception


OrderRequest = PlaceOrder | PayOrder
Outcome = Placed | Repeated | Refused
