"""FoxReload V1 (specs/foxreload.md, section 4): its event names, its flat body, its signature over `t.body`.

`order.delivered` is the one webhook that carries codes, and only to endpoints that asked for it; else `delivery_data` is null.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cardrail.kernel import PlainCode, Secret, currency, format_minor, uuid_of
from cardrail.orders import Order
from cardrail.storage import Event
from cardrail.webhooks.formats.base import Facts, Message
from cardrail.webhooks.model import Schedule
from cardrail.webhooks.payload import encode_body

EVENTS: Final = {
    "order.placed": "order.reserved",
    "order.processing": "order.processing",
    "order.fulfilled": "order.delivered",
    "order.partially_fulfilled": "order.delivered",
    "order.failed": "order.failed",
    "order.cancelled": "order.failed",
    "order.refunded": "order.refunded",
    "order.invalidated": "order.refunded",
    "balance.low": "balance.low",
}
"""Our type → theirs (section 4.1)."""

OTHER_NAMES: Final = {"order.delivered": "order.fulfilled", "order.reserved": "order.created", "order.created": "order.reserved"}
"""The same thing on another of the vendor's pages (section 4.1)."""

STATUSES: Final = {"order.created": "pending", "order.reserved": "reserved", "order.processing": "processing"}
CODE_TYPE: Final = "redeem_code"
REASON: Final = "supplier_error"
"""Of a failed order where nothing better is known."""


class FoxReloadV1:
    """Signed with each valid secret, whole and as it is written; several `v1` parts while one is rotated."""

    name: Final = "foxreload_v1"
    schedule: Schedule | None = Schedule((30, 120, 600, 3_600, 21_600, 86_400))
    types: frozenset[str] | None = frozenset(EVENTS)
    needs_number = False

    def needs_order(self, event_type: str) -> bool:
        return event_type.startswith("order.")

    def has_codes(self, event_type: str) -> bool:
        return EVENTS.get(event_type) == "order.delivered"

    def message(self, facts: Facts) -> Message:
        body = encode_body(_body(facts))
        stamp = str(int(facts.at.timestamp()))
        signed = [signature(one, stamp, body) for one in facts.secrets]
        headers = {
            "X-FoxReload-Signature": ",".join([f"t={stamp}", *[f"v1={one}" for one in signed]]),
            "X-FoxReload-Event-Id": uuid_of(facts.event.id),
        }
        return Message(headers, body)


def signature(secret: Secret, stamp: str, body: bytes) -> str:
    """Lower-case hex over the time, a full stop and the body; the key is the secret as it is written (section 4.4)."""
    return hmac.digest(secret.reveal().encode(), stamp.encode() + b"." + body, "sha256").hex()


def _body(facts: Facts) -> dict[str, Any]:
    event, order = facts.event, facts.order
    name = EVENTS[event.type]
    if name == "balance.low":
        return {
            "event": name,
            "currency": event.data["currency"],
            "available": _money(event.data["available_minor"], event.data["currency"]),
            "threshold": _money(event.data["threshold_minor"], event.data["currency"]),
            "occurred_at": seconds(event.at),
        }
    assert order is not None
    if name == "order.reserved" and order.pay_until is not None:
        name = "order.created"
    said = _said(name, facts.endpoint.labels.get("events", ()))
    about = {"event": said, "order_id": order.id, "sku_id": " ".join([item.sku for item in order.items])}
    if name == "order.delivered":
        return about | _delivered(event, order, facts.codes)
    if name == "order.failed":
        return about | {"status": "failed", "reason": event.reason or REASON, "occurred_at": seconds(event.at)}
    if name == "order.refunded":
        return about | _refunded(event, order)
    return about | {"status": STATUSES[name], "occurred_at": seconds(event.at)}


def _said(name: str, wanted: Sequence[str]) -> str:
    """The vendor has two names for some events; the endpoint gets the one that it subscribed to."""
    other = OTHER_NAMES.get(name, name)
    return other if other in wanted and name not in wanted else name


def _delivered(event: Event, order: Order, codes: Sequence[Sequence[tuple[PlainCode, int]]] | None) -> dict[str, Any]:
    """The documented flat members, and the list of the second page (section 4.3)."""
    shown = [
        {"type": CODE_TYPE, "code": one.code or one.url, "pin": one.pin} for item in codes or () for one, _expires_at in item
    ]
    first = {"code": shown[0]["code"], "type": CODE_TYPE} if shown else None
    return {
        "wholesale_cost_usd": _money(order.charged_minor, order.currency),
        "delivered_at": seconds(event.at),
        "delivery_data": first,
        "codes": shown,
    }


def _refunded(event: Event, order: Order) -> dict[str, Any]:
    """An order that was taken back names its refund as the answer to POST /v1/refunds does, by its own id."""
    subject = order.id if event.type == "order.invalidated" else event.id
    amount = event.data.get("amount_minor", event.data.get("refunded_minor", 0))
    return {
        "refund_id": event.data.get("reference") or f"rfd_{subject[4:]}",
        "amount_usd": _money(amount, event.data["currency"]),
        "occurred_at": seconds(event.at),
    }


def _money(minor: int, code: str) -> str:
    return format_minor(minor, currency(code).digits)


def seconds(moment: datetime) -> str:
    """ISO 8601, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
