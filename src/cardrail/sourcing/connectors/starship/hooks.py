"""Webhooks of the second generation (specs/starship.md, section 2.12): `X-Signature` over `X-Timestamp.body`. They never hold codes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cardrail.kernel import Secret
from cardrail.sourcing.errors import WebhookForged
from cardrail.sourcing.hooks import Hook, Notice, body_key, body_of, check_time, hex_hmac, moment_of, prove, text_of

_UNDONE: Final = frozenset({"order.cancelled"})


class StarshipHooks:
    """The id of an event, where a sibling sends one, is not signed: what is the same message is told by the body."""

    def read(self, hook: Hook, secrets: Sequence[Secret], now: datetime) -> Notice:
        stamp = hook.headers.get("x-timestamp", "")
        at = moment_of(stamp)
        if at is None:
            raise WebhookForged
        given = hook.headers.get("x-signature", "").strip().lower()
        prove([given], [hex_hmac(one, stamp.encode() + b"." + hook.body) for one in secrets])
        check_time(at, now)
        body = body_of(hook)
        data = body.get("data")
        facts = data if isinstance(data, dict) else {}
        event = text_of(body, "event_type") or "unknown"
        return Notice(
            key=body_key(hook, text_of(facts, "id") or text_of(facts, "reference_code"), stamp),
            event=event,
            event_id=text_of(hook.headers, "x-event-id"),
            supplier_order_id=text_of(facts, "id"),
            reference=text_of(facts, "reference_code"),
            is_undone=event in _UNDONE,
        )
