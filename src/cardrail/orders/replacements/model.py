"""What a replacement is made of, and its rules: which codes may be claimed, for how long, and how often. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

import msgspec

from cardrail.kernel import Mode, OrderId
from cardrail.orders.errors import InvalidReplacement, InvalidTransition, ReplacementOpen, ReplacementRefused, UnitRefunded
from cardrail.orders.model import Buyer, Order, OrderItem, binding
from cardrail.orders.states import OrderState
from cardrail.orders.units import CodeAt, is_paid
from cardrail.vault import NEVER, Allocation

CODES_MAX: Final = 100
"""Codes of one request."""
EVIDENCE_MAX: Final = 4_000
LINKS_MAX: Final = 10
LINK_LENGTH_MAX: Final = 500
STORY_MAX: Final = 100

FINGERPRINT_VERSION: Final = b"\x01"

Story = tuple[tuple[int, str], ...]


class ReplacementState(StrEnum):
    """Where a replacement stands."""

    REQUESTED = "REQUESTED"
    """The claim was taken, and waits for its turn."""
    ASKING_SUPPLIER = "ASKING_SUPPLIER"
    """Whoever sold us the code was asked, or is about to be."""
    NEEDS_REVIEW = "NEEDS_REVIEW"
    """A human decides."""
    REPLACED = "REPLACED"
    """Another code was given for it."""
    REFUNDED = "REFUNDED"
    """What the unit had cost was given back."""
    REFUSED = "REFUSED"
    """The claim came to nothing."""


S = ReplacementState

REPLACEMENT_TRANSITIONS: Final[dict[ReplacementState, frozenset[ReplacementState]]] = {
    S.REQUESTED: frozenset({S.ASKING_SUPPLIER, S.NEEDS_REVIEW, S.REPLACED, S.REFUNDED, S.REFUSED}),
    S.ASKING_SUPPLIER: frozenset({S.NEEDS_REVIEW, S.REPLACED, S.REFUNDED, S.REFUSED}),
    S.NEEDS_REVIEW: frozenset({S.REPLACED, S.REFUNDED, S.REFUSED}),
    S.REPLACED: frozenset(),
    S.REFUNDED: frozenset(),
    S.REFUSED: frozenset(),
}

OPEN: Final = frozenset({S.REQUESTED, S.ASKING_SUPPLIER, S.NEEDS_REVIEW})
"""States in which nobody has decided yet."""


class ReplacementReason(StrEnum):
    """What is wrong with the code: a closed list, so that suppliers can be compared."""

    ALREADY_REDEEMED = "already_redeemed"
    """Somebody had used it before."""
    NOT_RECOGNISED = "not_recognised"
    """The issuer does not know it."""
    NOT_ACTIVATED = "not_activated"
    """The issuer knows it, and it was never activated."""
    EXPIRED = "expired"
    """It had expired when it was delivered."""
    WRONG_VALUE = "wrong_value"
    """It is worth something else than was bought."""
    WRONG_REGION = "wrong_region"
    """It redeems somewhere else than was bought."""
    INCOMPLETE = "incomplete"
    """Its PIN or a part of it is missing, or cannot be read."""
    NOT_RECEIVED = "not_received"
    """A top-up that did not reach its account."""
    OTHER = "other"
    """Something else: the evidence says it."""


class CallState(StrEnum):
    """What is known of the supplier's answer to the one time that it was asked."""

    ASKING = "asking"
    """The call is under way, or whoever made it died."""
    ACCEPTED = "accepted"
    """It has the claim, and will decide."""
    UNKNOWN = "unknown"
    """Nobody can say whether it has the claim. It is never asked a second time: only looked after."""
    NOT_SENT = "not_sent"
    """The request never left us, or was turned away at the door: it may be asked."""
    DELIVERED = "delivered"
    CREDITED = "credited"
    REFUSED = "refused"
    ABSENT = "absent"
    """It says that it has no such claim."""
    CLOSED = "closed"
    """It is not looked after any longer."""


CALL_OPEN: Final = frozenset({CallState.ASKING, CallState.ACCEPTED, CallState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class RequestReplacement:
    """The command to claim bad codes of one order."""

    order_id: OrderId
    buyer: Buyer
    codes: tuple[CodeAt, ...]
    reason: ReplacementReason
    evidence: str | None = None
    links: tuple[str, ...] = ()
    key: str | None = None
    window: timedelta | None = None
    """Counted from the delivery; None: the operator's."""

    @property
    def key_hash(self) -> bytes | None:
        return None if self.key is None else binding(self.buyer, "replacement", self.key)

    @property
    def fingerprint(self) -> bytes:
        canonical = msgspec.json.encode(
            [
                self.order_id,
                [[one.line, one.position] for one in self.codes],
                self.reason.value,
                self.evidence,
                list(self.links),
            ]
        )
        return FINGERPRINT_VERSION + hashlib.blake2b(canonical, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class ReplacementPolicy:
    """What the operator has set."""

    window: timedelta = timedelta(days=60)
    """After the delivery."""
    unasked: Literal["review", "stock", "refund"] = "review"
    """What to do where no supplier decides: none can be asked, or none answered in time."""
    patience: timedelta = timedelta(days=10)
    """How long a supplier's answer is waited for."""
    per_unit_max: int = 3
    """Claims for one unit of an order, whatever came of them."""
    unasked_bps: int = 200
    """Of a partner's units of the last ``unasked_span``, in 1/10,000: how many the operator's policy replaces or refunds by itself."""
    unasked_least: int = 5
    """So many of each partner it does in any case."""
    unasked_span: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A claim for one code as it stands. See the table for its columns."""

    id: str
    order_id: OrderId
    line: int
    position: int
    partner_id: str
    mode: Mode
    lot_id: str
    seq: int
    state: ReplacementState
    reason: ReplacementReason
    evidence: str | None
    links: tuple[str, ...]
    actor: str
    key_hash: bytes | None
    part: int
    fingerprint: bytes
    deadline_at: int
    created_at: int
    updated_at: int
    supplier_id: str | None = None
    attempt_id: str | None = None
    call: CallState | None = None
    supplier_claim_id: str | None = None
    asked_at: int | None = None
    looks: int = 0
    wake_at: int | None = None
    source: str | None = None
    new_lot_id: str | None = None
    new_seq: int | None = None
    new_expires_at: int | None = None
    refunded_minor: int = 0
    because: str | None = None
    decided_by: str | None = None
    story: Story = field(default=())

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet."""
        return self.state in OPEN

    @property
    def is_looked_after(self) -> bool:
        """Whether the supplier may still answer."""
        return self.call in CALL_OPEN


def told(one: Replacement, sentence: str, now: int, **changes: object) -> Replacement:
    """The replacement with these changes, and a sentence more in its story."""
    story = (*one.story, (now, sentence))
    if len(story) > STORY_MAX:
        story = (*story[:1], *story[-(STORY_MAX - 1) :])
    return replace(one, story=story, updated_at=now, **changes)  # type: ignore[arg-type]


def advance_replacement(current: ReplacementState, to: ReplacementState) -> ReplacementState:
    """``to``, if the table allows it. Raises InvalidTransition."""
    if to not in REPLACEMENT_TRANSITIONS[current]:
        raise InvalidTransition(current=current.value, wanted=to.value)
    return to


# --- which codes may be claimed ---------------------------------------------------------------------------------------


def check_command(command: RequestReplacement) -> None:
    """Raises InvalidReplacement."""
    if not 0 < len(command.codes) <= CODES_MAX or len(set(command.codes)) < len(command.codes):
        raise InvalidReplacement(because=f"1 to {CODES_MAX} different codes")
    if command.evidence is not None and len(command.evidence) > EVIDENCE_MAX:
        raise InvalidReplacement(because=f"the evidence has at most {EVIDENCE_MAX} characters")
    if len(command.links) > LINKS_MAX or any(len(one) > LINK_LENGTH_MAX for one in command.links):
        raise InvalidReplacement(because=f"at most {LINKS_MAX} links of {LINK_LENGTH_MAX} characters")


def check_order(order: Order, delivered_at: int | None, window: timedelta, now: int, *, needs_seeing: bool = True) -> None:
    """Whether codes of the order may be claimed now. A code that nobody has seen cannot have failed; a top-up can. Raises
    ReplacementRefused."""
    if order.state not in (OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED) or delivered_at is None:
        raise ReplacementRefused(because="order_not_delivered", state=order.state.value)
    if needs_seeing and order.revealed_at is None:
        raise ReplacementRefused(because="never_revealed")
    if now > delivered_at + window // timedelta(microseconds=1):
        raise ReplacementRefused(because="window_over", days=window.days)


def check_unit(order: Order, item: OrderItem, at: CodeAt, past: list[Replacement], per_unit_max: int) -> None:
    """Whether this code may be claimed. ``past`` is every replacement of the order. Raises ReplacementRefused, ReplacementOpen,
    UnitRefunded."""
    of_unit = [one for one in past if (one.line, one.position) == (at.line, at.position)]
    where = {"line": at.line, "position": at.position}
    for one in of_unit:
        if one.is_open:
            raise ReplacementOpen(replacement_id=one.id, **where)
        if one.state is S.REFUNDED:
            raise UnitRefunded(replacement_id=one.id, **where)
    if at.position in item.refunded:
        raise UnitRefunded(**where)
    if len(of_unit) >= per_unit_max:
        raise ReplacementRefused(because="too_many_claims", max=per_unit_max, **where)
    if not is_paid(order, item, at.position):
        raise ReplacementRefused(because="order_refunded", **where)


# --- which codes an order has now -------------------------------------------------------------------------------------


def current_codes(item: OrderItem, replaced: list[Replacement]) -> list[Allocation]:
    """The item's codes as they stand, each position's newest, as ranges. ``replaced`` are the item's REPLACED ones, in any order."""
    successor = {(one.lot_id, one.seq): one for one in replaced}
    if not successor:
        return item.allocations
    current: list[Allocation] = []
    for span in item.allocations:
        first = span.first_seq
        for seq in range(span.first_seq, span.first_seq + span.count):
            one = successor.get((span.lot_id, seq))
            if one is None:
                continue
            if seq > first:
                current.append(replace(span, first_seq=first, count=seq - first))
            while (later := successor.get((str(one.new_lot_id), int(one.new_seq or 0)))) is not None:
                one = later
            current.append(successor_of(one, item))
            first = seq + 1
        if first < span.first_seq + span.count:
            current.append(replace(span, first_seq=first, count=span.first_seq + span.count - first))
    return current


def successor_of(one: Replacement, item: OrderItem) -> Allocation:
    """The code that was given for another."""
    assert one.new_lot_id is not None, one.id
    assert one.new_seq is not None, one.id
    return Allocation(one.new_lot_id, one.new_seq, 1, one.new_expires_at or NEVER, False, item.denomination_id)


def code_at(current: list[Allocation], position: int) -> Allocation | None:
    """The one code in this position, as a range of one; None where there is none."""
    passed = 0
    for span in current:
        if 0 < position <= passed + span.count:
            return replace(span, first_seq=span.first_seq + position - passed - 1, count=1)
        passed += span.count
    return None
