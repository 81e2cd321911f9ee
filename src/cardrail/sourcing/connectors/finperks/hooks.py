"""Finperks' webhooks (specs/finperks.md, section 4): `Fp-Signature: FP1-HMAC-SHA256 KeyId=…, Signature=…` over seven lines.

The lines name the receiver's host, port, path and query: the address that the supplier was given, which is not always the one that a
request came in by. The secret is the client secret of the KeyId; while secrets are rotated any valid one may have signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from cardrail.kernel import Secret
from cardrail.sourcing.connectors.finperks.signing import SCHEME
from cardrail.sourcing.errors import WebhookForged
from cardrail.sourcing.hooks import Hook, Notice, body_key, body_of, check_time, hex_hmac, prove, text_of

TOLERANCE_SECONDS: Final = 900
"""Section 1.2: 15 minutes either way."""
_UNDONE: Final = frozenset({"order_refunded", "order_invalidated"})


class FinperksHooks:
    """See the module's text. What of the payload is inferred is the state, which nobody believes; the id is enough."""

    def read(self, hook: Hook, secrets: Sequence[Secret], now: datetime) -> Notice:
        scheme, _, rest = hook.headers.get("fp-signature", "").partition(" ")
        given = [value for name, _, value in [one.strip().partition("=") for one in rest.split(",")] if name == "Signature"]
        date = hook.headers.get("date", "")
        at = _moment(date)
        if scheme != SCHEME or at is None:
            raise WebhookForged
        signed = signed_lines(hook, date)
        prove([one.lower() for one in given], [hex_hmac(one, signed) for one in secrets])
        check_time(at, now, TOLERANCE_SECONDS)
        body = body_of(hook)
        order = body.get("order")
        event = text_of(body, "event") or "unknown"
        number = text_of(order, "id") if isinstance(order, dict) else None
        return Notice(
            key=body_key(hook, number, date),
            event=event,
            supplier_order_id=number,
            is_undone=event in _UNDONE,
        )


def signed_lines(hook: Hook, date: str) -> bytes:
    """Host and port, method, path, query, date, no idempotency key, the body's digest."""
    parts = urlsplit(hook.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    digest = hashlib.sha256(hook.body).hexdigest()
    return "\n".join([f"{parts.hostname}:{port}", "POST", parts.path or "/", parts.query, date, "", digest]).encode()


def _moment(date: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
