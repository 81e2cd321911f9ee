"""The sandbox: what a SANDBOX key orders becomes, and the cards that it gets (specs/oneclickdz.md, section 4)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.wire import CardOut, PlaceOrderIn
from cardrail.orders import TEST_SKUS, Order

_DETAILS: Final = "oneclickdz"
"""Where an order keeps what was asked for, word for word."""

_details = msgspec.json.Decoder(dict[str, Any]).decode


def sandbox_sku(wanted: PlaceOrderIn) -> str:
    """The reserved sku that behaves as the vendor's trigger does; anything that is no trigger is delivered.

    Half of one card is none, so that TEST_PARTIAL of one card is TEST_REFUND.
    """
    if wanted.type_id == "TEST_PARTIAL" and wanted.quantity == 1:
        return "TEST_REFUND"
    return wanted.type_id if wanted.type_id in TEST_SKUS else "TEST_OK"


def echo_of(wanted: PlaceOrderIn) -> dict[str, Any]:
    """What the order keeps of the request: the sandbox knows no product, and shows what was sent."""
    return {_DETAILS: {"product": wanted.product_id, "type": wanted.type_id}}


def echoed(order: Order) -> tuple[str, str]:
    """Product and type as they were sent; of a test order that came by another way, its sku."""
    kept = _details(order.details).get(_DETAILS) if order.details else None
    if isinstance(kept, dict):
        return str(kept["product"]), str(kept["type"])
    return order.items[0].sku, order.items[0].sku


def sandbox_cards(profile: Profile, count: int) -> list[CardOut]:
    """The cards of an order, counted from 1."""
    return [CardOut(profile.sandbox_card.format(n=n), profile.sandbox_serial.format(n=n)) for n in range(1, count + 1)]
