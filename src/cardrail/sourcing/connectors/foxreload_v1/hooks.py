"""FoxReload's webhooks (specs/foxreload.md, section 4): `X-FoxReload-Signature: t=…,v1=…` over `t.body`.

The page that signs the body alone (section 7, A1) is not believed: without the time in it a captured message would be good for ever.
`delivery_data` may hold codes; nobody looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cardrail.kernel import Secret
from cardrail.sourcing.errors import WebhookForged
from cardrail.sourcing.hooks import Hook, Notice, body_key, body_of, check_time, hex_hmac, moment_of, prove, text_of

_UNDONE: Final = frozenset({"order.refunded"})


class FoxReloadHooks:
    """The id of an event is a header that nobody signs: what is the same message is told by the body."""

    def read(self, hook: Hook, secrets: Sequence[Secret], now: datetime) -> Notice:
        parts = [one.strip().partition("=") for one in hook.headers.get("x-foxreload-signature", "").split(",")]
        stamps = [value for name, _, value in parts if name == "t"]
        given = [value.lower() for name, _, value in parts if name == "v1"]
        at = moment_of(stamps[0]) if len(stamps) == 1 else None
        if at is None:
            raise WebhookForged
        prove(given, [hex_hmac(one, stamps[0].encode() + b"." + hook.body) for one in secrets])
        check_time(at, now)
        body = body_of(hook)
        event = text_of(body, "event") or "unknown"
        return Notice(
            key=body_key(hook, text_of(body, "order_id") or text_of(body, "reference"), stamps[0]),
            event=event,
            event_id=text_of(hook.headers, "x-foxreload-event-id"),
            supplier_order_id=text_of(body, "order_id"),
            reference=text_of(body, "reference"),
            is_undone=event in _UNDONE,
        )
