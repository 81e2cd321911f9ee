"""What suppliers' webhooks are: read, proven by their signature, and cut down to what we believe of them.

A webhook never brings a code or an amount, whatever stands in its body: it says that something happened to an order, and the order is then
looked up in the ordinary way. So what is kept of it is a ``Notice`` of ids and a name; the body, which may hold codes, is kept nowhere.

What a protocol signs is its reader's matter, beside its connector. A reader compares in constant time, over the bytes as they came, and
gets the current time from its caller.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
from standardwebhooks.webhooks import Webhook

from cardrail.kernel import Secret
from cardrail.sourcing.errors import WebhookForged, WebhookStale, WebhookUnreadable

TOLERANCE_SECONDS: Final = 300
"""How far a message's time may be from ours, where the protocol names nothing else."""
TEXT_MAX: Final = 200
"""Characters of an id or name that are taken from a body."""

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Hook:
    """One request as it came."""

    url: str
    """Ours, as the supplier was given it: one protocol signs it."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def __repr__(self) -> str:
        return f"Hook({len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook says, as far as we believe it: something happened to that order."""

    key: str
    """What makes it the same one when it comes again: the event's id where that is signed, else a hash of the body."""
    event: str
    """Theirs."""
    event_id: str | None = None
    supplier_order_id: str | None = None
    reference: str | None = None
    """Ours, where the body has it."""
    is_undone: bool = False
    """It says that the order was taken back, refunded or cancelled."""


class Anew(StrEnum):
    """What is asked of a supplier anew, because its webhook says that it is another."""

    BALANCE = "balance"
    PRODUCTS = "products"


_ANEW: Final = {"balance": Anew.BALANCE, "wallet": Anew.BALANCE, "product": Anew.PRODUCTS, "products": Anew.PRODUCTS}


def asks_anew(event: str) -> Anew | None:
    """What an event that names no order makes us ask: FoxReload v1's `balance.low` (specs/foxreload.md, 4.1), `wallet.credited` and
    `.debited` (specs/starship.md, 2.12), another Cardrail's `product.…`, and Finperks' of products, whose names nobody knows (4).
    """
    return _ANEW.get(event.replace("_", ".").partition(".")[0])


class HookReader(Protocol):
    """One protocol's way of signing and saying."""

    def read(self, hook: Hook, secrets: Sequence[Secret], now: datetime) -> Notice:
        """The notice, once one of the secrets proves it. Raises WebhookForged, WebhookStale, WebhookUnreadable."""
        ...


class StandardHooks:
    """Standard Webhooks 1.0, with the payload of another Cardrail, or one like it: `type`, and in `data` `order_id` or our `reference`."""

    def read(self, hook: Hook, secrets: Sequence[Secret], now: datetime) -> Notice:
        message_id, stamp = hook.headers.get("webhook-id", ""), hook.headers.get("webhook-timestamp", "")
        given = [one[3:] for one in hook.headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
        at = moment_of(stamp)
        if not 0 < len(message_id) <= TEXT_MAX or at is None:
            raise WebhookForged
        try:
            text = hook.body.decode()
            wanted = [Webhook(one.reveal()).sign(message_id, at, text)[3:] for one in secrets]
        except ValueError:
            raise WebhookForged from None
        prove(given, wanted)
        check_time(at, now)
        body = body_of(hook)
        data = body.get("data")
        facts = data if isinstance(data, dict) else body
        event = text_of(body, "type") or "unknown"
        return Notice(
            key=f"id:{message_id}",
            event=event,
            event_id=message_id,
            supplier_order_id=text_of(facts, "order_id"),
            reference=text_of(facts, "reference"),
            is_undone=event in ("order.invalidated", "order.refunded"),
        )


STANDARD_HOOKS: Final = StandardHooks()


# --- what readers share -----------------------------------------------------------------------------------------------


def hex_hmac(secret: Secret, message: bytes) -> str:
    """HMAC-SHA256 in lower-case hex; the key is the secret as it is written."""
    return hmac.digest(secret.reveal().encode(), message, "sha256").hex()


def prove(given: Iterable[str], wanted: Sequence[str]) -> None:
    """Whether one of the signatures is one of ours; each pair is compared in constant time. Raises WebhookForged."""
    proven = False
    for one in list(given)[:8]:
        for other in wanted:
            proven |= hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())
    if not proven:
        raise WebhookForged


def check_time(at: datetime, now: datetime, seconds: float = TOLERANCE_SECONDS) -> None:
    """Refuse what is older or newer than that. Raises WebhookStale."""
    if abs((now - at).total_seconds()) > seconds:
        raise WebhookStale


def moment_of(stamp: str) -> datetime | None:
    """The moment of seconds since the epoch, written in digits and in no other way."""
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 11:
        return None
    return datetime.fromtimestamp(int(stamp), tz=UTC)


def body_of(hook: Hook) -> dict[str, Any]:
    """The body, once it is proven. Raises WebhookUnreadable."""
    try:
        return _decode(hook.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise WebhookUnreadable from None


def text_of(facts: Mapping[str, Any], name: str) -> str | None:
    """A member that is a short text or a whole number, as a text."""
    value = facts.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= TEXT_MAX and value.isprintable() else None


def body_key(hook: Hook, order: str | None, signed: str) -> str:
    """What names a message whose id is not signed: whoever repeats the body under another id says nothing new.

    Of an order that is enough: it is polled besides, so a second event in the same words brings nothing that a poll would not. A message
    about no order (a balance, a product) is a new one at every time that is signed with it.
    """
    said = hook.body if order is not None else signed.encode() + b"." + hook.body
    return f"sha256:{hashlib.sha256(said).hexdigest()}"
