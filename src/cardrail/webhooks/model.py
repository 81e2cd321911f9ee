"""Endpoints, deliveries and attempts as frozen facts, and the rules of retrying. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType

from cardrail.kernel import EventId, Mode, PartnerId, Secret

EndpointId = NewType("EndpointId", str)

STANDARD: Final = "standard"
"""The format of those that ask for none: Standard Webhooks 1.0."""


TEST_TYPE: Final = "endpoint.test"
DISABLED_TYPE: Final = "endpoint.disabled"
"""The types of our own events."""


class EndpointState(StrEnum):
    """Whether anything is sent to an endpoint."""

    ENABLED = "enabled"
    """Events become deliveries, and deliveries are sent."""
    DISABLED = "disabled"
    """Neither; ``reason`` says why. What waits, waits."""
    DELETED = "deleted"
    """Shown to nobody; its rows go with time."""


class DeliveryState(StrEnum):
    """How an event's way to one endpoint stands."""

    PENDING = "pending"
    """An attempt is due, or under way."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """The schedule is used up, or the receiver said that it is gone. It can be asked for again."""


class Failure(StrEnum):
    """Why there was no answer."""

    TIMEOUT = "timeout"
    """No whole answer within the time."""
    REFUSED = "address_forbidden"
    """The host's name leads to no address that we may connect to."""
    UNRESOLVED = "name_not_resolved"
    """The host has no address."""
    UNREACHABLE = "connection_failed"
    """No connection, or one that broke."""
    TLS = "tls_failed"
    """The certificate is not good for this host."""
    UNBUILT = "cannot_be_built"
    """A fault of ours: the log has more."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent."""

    id: EndpointId
    partner_id: PartnerId
    mode: Mode
    url: str
    description: str
    format: str
    events: frozenset[str] | None
    """Types that it wants; None: every one."""
    with_codes: bool
    """Whether the body carries codes where the format has a place for them."""
    labels: dict[str, Any] = field(hash=False)
    """What a dialect knows it by: a name, the id of a credential."""
    state: EndpointState
    reason: str | None
    begins_after: int
    """It gets events of later positions: those that came after it was made, or enabled again."""
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime

    def wants(self, event_type: str) -> bool:
        """Whether it asked for events of this type."""
        return self.events is None or event_type in self.events


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """One of the secrets that a message to an endpoint is signed with. Several are valid while a new one is rolled out."""

    id: str
    secret: Secret
    created_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    endpoint_id: EndpointId
    event_id: EventId
    type: str
    state: DeliveryState
    tries: int
    due_at: datetime | None
    created_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, and what came of it."""

    id: str
    at: datetime
    status: int | None
    milliseconds: int
    error: str | None
    answer: str | None
    """The first kilobyte of what the receiver said; none where the body carried codes."""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a failed attempt is repeated."""

    seconds: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 86_400, 172_800)
    jitter: float = 0.1
    """Each wait is made longer by up to this share of it, so that what failed together does not come back together."""

    def wait(self, tries: int, chance: float) -> float | None:
        """Seconds after the ``tries``-th failure, ``chance`` from 0 to 1; None: no more."""
        if tries > len(self.seconds):
            return None
        return self.seconds[tries - 1] * (1 + self.jitter * chance)


def parse_schedule(text: str) -> Schedule:
    """Seconds separated by blanks. Raises ValueError."""
    seconds = tuple([float(one) for one in text.split()])
    if not seconds or min(seconds) <= 0:
        raise ValueError("seconds greater than 0, separated by blanks")
    return Schedule(seconds)
