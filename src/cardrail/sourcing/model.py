"""What sourcing keeps: suppliers, what they sell, what was asked of them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cardrail.kernel import Mode, apply_bps


class SupplierState(StrEnum):
    """Whether we buy from it."""

    ACTIVE = "active"
    PAUSED = "paused"
    """What is open is asked after; nothing new is bought."""
    RETIRED = "retired"


class AttemptState(StrEnum):
    """What is known of one purchase."""

    ASKING = "asking"
    """The row is written, and the call may be under way. After a crash: unknown."""
    ACCEPTED = "accepted"
    """The supplier has it and will say."""
    UNKNOWN = "unknown"
    """Nobody can say whether it was bought; it is asked about."""
    DELIVERED = "delivered"
    """Final: codes came, all or some of them."""
    REFUSED = "refused"
    """Final: the supplier said no."""
    ABSENT = "absent"
    """Final: it was asked about, and was never bought."""
    INVALIDATED = "invalidated"
    """Final: killed at the supplier while its outcome was unknown."""
    CLOSED = "closed"
    """Ended by an operator, who decided what became of it."""


OPEN: Final = frozenset({AttemptState.ASKING, AttemptState.ACCEPTED, AttemptState.UNKNOWN})
"""States in which something may have been bought that is not in the vault yet: nothing is bought again for the same units."""


class ProcurementState(StrEnum):
    """Where an item that waits for suppliers stands."""

    WAITING = "waiting"
    """Nobody has begun."""
    BUYING = "buying"
    REVIEW = "review"
    """A human decides; what is open is still asked after."""
    DONE = "done"


Story = tuple[tuple[int, str], ...]
"""(microseconds, sentence), oldest first. Never a code."""


@dataclass(frozen=True, slots=True)
class Supplier:
    """Somebody who sells to us."""

    id: str
    name: str
    kind: str
    mode: Mode
    state: SupplierState
    currency: str
    config: Mapping[str, Any]
    secrets: bytes | None
    """Sealed."""
    priority: int
    weight: int
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Health:
    """What was measured of a supplier."""

    supplier_id: str
    breaker: str = "closed"
    failures_in_row: int = 0
    retry_at: int | None = None
    blocked_until: int | None = None
    calls: int = 0
    failures: int = 0
    success_e6: int = 1_000_000
    latency_us: int = 0
    units_bought: int = 0
    bad_codes: int = 0
    balance_minor: int | None = None
    balance_at: int | None = None
    spent_day_minor: int = 0
    spent_since: int | None = None
    burn_day_minor: int = 0
    alert_below_minor: int | None = None
    alerted_at: int | None = None
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """A supplier's product that is mapped to a denomination, with its supplier and health: one way to buy it."""

    supplier: Supplier
    health: Health
    supplier_sku: str
    face_minor: int | None
    min_minor: int | None
    max_minor: int | None
    step_minor: int | None
    cost_minor: int | None
    cost_bps: int | None
    cost_currency: str
    stock: int | None
    is_available: bool
    is_held: bool
    """Its cost jumped and waits for an operator."""

    def sells(self, face_minor: int) -> bool:
        """Whether it comes with this face value."""
        if self.min_minor is None or self.max_minor is None:
            return self.face_minor is None or self.face_minor == face_minor
        step = self.step_minor or 1
        return self.min_minor <= face_minor <= self.max_minor and (face_minor - self.min_minor) % step == 0

    def unit_cost(self, face_minor: int) -> int | None:
        """What one unit costs, in ``cost_currency``; None where nobody told. A part of the face value is in the face value's currency."""
        if self.cost_minor is not None:
            return self.cost_minor
        return apply_bps(face_minor, self.cost_bps) if self.cost_bps is not None else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One purchase, or what may have been one."""

    id: str
    order_id: str
    line: int
    n: int
    mode: Mode
    supplier_id: str
    supplier_sku: str
    denomination_id: str
    face_minor: int
    quantity: int
    reference: str
    state: AttemptState
    max_cost_minor: int
    expected_cost_minor: int
    cost_currency: str
    asked_at: int
    look_at: int
    deadline_at: int
    match_key: str | None = None
    supplier_order_id: str | None = None
    refusal: str | None = None
    """Where it was refused: connector.RefusalKind."""
    delivered: int = 0
    cost_minor: int | None = None
    answered_at: int | None = None
    looks: int = 0
    misses: int = 0
    leased_until: int | None = None
    """Until then somebody may be asking about it: no second one does."""
    story: Story = ()

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Procurement:
    """An order item that waits for suppliers, or waited."""

    order_id: str
    line: int
    partner_id: str
    mode: Mode
    state: ProcurementState
    denomination_id: str
    quantity: int
    delivered: int
    all_or_nothing: bool
    created_at: int
    wake_at: int
    round: int
    trace: Story = ()


@dataclass(frozen=True, slots=True)
class Route:
    """How a denomination is bought."""

    policy: str = "cheapest"
    supplier_id: str | None = None
    margin_floor_bps: int = 0


@dataclass(frozen=True, slots=True)
class NewSupplier:
    """What an operator says about a supplier."""

    name: str
    kind: str
    mode: Mode
    currency: str
    config: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 100
    weight: int = 100
