"""Finperks (specs/finperks.md, section 4): `Fp-Signature` with its KeyId, over the seven lines that requests are signed by.

Nearly all of it but the headers is inferred there: the payload is provisional, so it says the id and the state and no more, and whoever
gets it reads the order again.
"""

from __future__ import annotations

import hashlib
import hmac
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cardrail.kernel import Secret
from cardrail.storage import Event
from cardrail.webhooks.formats.base import Facts, Message
from cardrail.webhooks.formats.foxreload import seconds
from cardrail.webhooks.model import Schedule
from cardrail.webhooks.payload import encode_body

SCHEME: Final = "FP1-HMAC-SHA256"

ORDERS: Final = {
    "order.processing": ("order_processing", "processing"),
    "order.fulfilled": ("order_completed", "completed"),
    "order.partially_fulfilled": ("order_completed", "completed"),
    "order.failed": ("order_failed", "failed"),
    "order.cancelled": ("order_failed", "failed"),
    "order.refunded": ("order_refunded", "refunded"),
    "order.invalidated": ("order_invalidated", "invalidated"),
}
"""Our type → event and state."""
PRODUCTS: Final = {"product.updated": "product_updated", "product.retired": "product_disabled"}


class Finperks:
    """The endpoint's label ``key_id`` names the client whose secret signs."""

    name: Final = "finperks"
    schedule: Schedule | None = Schedule((60, 300, 1_800, 7_200, 21_600, 86_400, 86_400, 86_400))
    types: frozenset[str] | None = frozenset(ORDERS) | frozenset(PRODUCTS)
    needs_number = False

    def needs_order(self, event_type: str) -> bool:  # an interface
        return False

    def has_codes(self, event_type: str) -> bool:
        return False

    def message(self, facts: Facts) -> Message:
        body = encode_body(_body(facts.event))
        date = format_datetime(facts.at, usegmt=True)
        signed = signature(facts.secrets[0], facts.endpoint.url, date, body)
        key_id = facts.endpoint.labels.get("key_id", facts.endpoint.id)
        return Message({"Fp-Signature": f"{SCHEME} KeyId={key_id}, Signature={signed}", "Date": date}, body)


def signature(secret: Secret, url: str, date: str, body: bytes) -> str:
    """Lower-case hex over seven lines: the receiver's host and port, method, path, query, date, no idempotency key, the body's digest."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    lines = [f"{parts.hostname}:{port}", "POST", parts.path or "/", parts.query, date, "", hashlib.sha256(body).hexdigest()]
    return hmac.digest(secret.reveal().encode(), "\n".join(lines).encode(), "sha256").hex()


def _body(event: Event) -> dict[str, Any]:
    about: dict[str, Any]
    if event.type in PRODUCTS:
        name, about = PRODUCTS[event.type], {"product": {"id": event.subject_id}}
    else:
        name, state = ORDERS[event.type]
        about = {"order": {"id": event.subject_id, "state": state}}
    return {"event": name, "event_occurred_at": seconds(event.at), **about}
