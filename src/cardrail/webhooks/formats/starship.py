"""Starship, second generation (specs/starship.md, section 2.12): `event_type` and `data`, `X-Signature` over `X-Timestamp.body`.

Never a code: the receiver reads the order. The members of `data` and `order.failed` are taken from a sibling API, which the sheet says.
"""

from __future__ import annotations

from typing import Any, Final

from cardrail.kernel import base32_of, currency, format_minor, from_micros, number_of, uuid_of
from cardrail.orders import Order
from cardrail.storage import Event
from cardrail.webhooks.formats.base import Facts, Message
from cardrail.webhooks.formats.foxreload import seconds, signature
from cardrail.webhooks.model import Schedule
from cardrail.webhooks.payload import encode_body

EVENTS: Final = {
    "order.placed": ("order.created", "PLACED"),
    "order.processing": ("order.pending", "PENDING"),
    "order.fulfilled": ("order.delivered", "DELIVERED"),
    "order.partially_fulfilled": ("order.partially_delivered", "PARTIALLY_DELIVERED"),
    "order.failed": ("order.failed", "FAILED"),
    "order.cancelled": ("order.cancelled", "CANCELLED"),
    "order.invalidated": ("order.cancelled", "CANCELLED"),
}
"""Our type → theirs, and the status."""


class Starship:
    """One signature: while a secret is rotated, the new one's."""

    name: Final = "starship_g2"
    schedule: Schedule | None = Schedule((30, 120, 600, 3_600, 21_600))
    types: frozenset[str] | None = frozenset(EVENTS)
    needs_number = True

    def needs_order(self, event_type: str) -> bool:  # an interface
        return True

    def has_codes(self, event_type: str) -> bool:
        return False

    def message(self, facts: Facts) -> Message:
        assert facts.order is not None
        name, status = EVENTS[facts.event.type]
        body = encode_body({"event_type": name, "data": _data(facts.event, facts.order, status)})
        stamp = str(int(facts.at.timestamp()))
        return Message(
            {
                "X-Signature": signature(facts.secrets[0], stamp, body),
                "X-Timestamp": stamp,
                "X-Event-ID": uuid_of(facts.event.id),
            },
            body,
        )


def _data(event: Event, order: Order, status: str) -> dict[str, Any]:
    first = order.items[0]
    delivered = sum([item.delivered for item in order.items])
    return {
        "id": order.number or number_of(order.id),
        "reference_code": order.reference
        or f"{order.created_at // 1_000_000:010d}{base32_of(order.id)}",  # as its orders show it
        "status": status,
        "product_name": first.name,
        "denomination": _text(first.face_minor, first.face_currency),
        "quantity": sum([item.quantity for item in order.items]),
        "amount": _text(sum([item.face_minor * item.quantity for item in order.items]), first.face_currency),
        "delivered_quantity": delivered,
        "delivered_on": seconds(event.at) if delivered else None,
        "created_at": seconds(from_micros(order.created_at)),
    }


def _text(minor: int, code: str) -> str:
    """Two decimals, or as many as the currency has."""
    whole, _, fraction = format_minor(minor, currency(code).digits).partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
