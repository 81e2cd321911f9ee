"""What a webhook format is: a way to say an event in a body, and to sign it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cardrail.kernel import PlainCode, Secret
from cardrail.orders import Order
from cardrail.storage import Event
from cardrail.webhooks.model import Endpoint, Schedule


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a message is made of."""

    endpoint: Endpoint
    event: Event
    secrets: Sequence[Secret]
    """Valid ones, the newest first."""
    at: datetime
    """Of this attempt."""
    order: Order | None = None
    """What the event is about, for formats that ask for it."""
    codes: Sequence[Sequence[tuple[PlainCode, int]]] | None = None
    """Of each of the order's items; only where the endpoint asked for codes and the format wants them for this event."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted."""

    headers: dict[str, str]
    body: bytes


class Format(Protocol):
    """One way of saying and signing. Stateless."""

    @property
    def name(self) -> str: ...

    @property
    def schedule(self) -> Schedule | None:
        """Its own retries, where the dialect publishes them; None: the setting's."""
        ...

    @property
    def types(self) -> frozenset[str] | None:
        """Our types that it has a word for; None: every one."""
        ...

    @property
    def needs_number(self) -> bool:
        """Whether it calls orders by their numbers, which they get when somebody first asks."""
        ...

    def needs_order(self, event_type: str) -> bool:
        """Whether the message says more of the order than the event does."""
        ...

    def has_codes(self, event_type: str) -> bool:
        """Whether the message has a place for codes."""
        ...

    def message(self, facts: Facts) -> Message:
        """The message. Called without a transaction; what it raises is a fault of ours."""
        ...
