"""Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature` over `id.timestamp.body`."""

from __future__ import annotations

from typing import Final

from standardwebhooks.webhooks import Webhook

from cardrail.webhooks.formats.base import Facts, Message
from cardrail.webhooks.model import STANDARD, Schedule
from cardrail.webhooks.payload import encode_body, payload


class Standard:
    """Thin JSON, signed with every secret that is valid: the receiver takes whichever it knows."""

    name: Final = STANDARD
    schedule: Schedule | None = None
    types: frozenset[str] | None = None
    needs_number = False

    def needs_order(self, event_type: str) -> bool:  # an interface
        return False

    def has_codes(self, event_type: str) -> bool:
        return False

    def message(self, facts: Facts) -> Message:
        body = encode_body(payload(facts.event))
        signatures = [Webhook(one.reveal()).sign(facts.event.id, facts.at, body.decode()) for one in facts.secrets]
        headers = {
            "webhook-id": facts.event.id,
            "webhook-timestamp": str(int(facts.at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return Message(headers, body)
