"""Comparing what a supplier says we bought with what we know we bought, purchase by purchase. No I/O.

Both sides are plain records under one key: our reference, or the supplier's own number. So the rule serves a CSV file, a connector's
statement, purchases on demand and lots alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class PurchaseState(StrEnum):
    """What became of a purchase, in the words that both sides are translated to."""

    DELIVERED = "delivered"
    """The codes came, and cost something."""
    REFUNDED = "refunded"
    """They came, and their cost was given back."""
    PENDING = "pending"
    """Nobody can say yet."""
    FAILED = "failed"
    """Nothing came and nothing is owed."""


FREE: Final = frozenset({PurchaseState.REFUNDED, PurchaseState.FAILED})
"""States in which nothing is owed."""


@dataclass(frozen=True, slots=True)
class OurPurchase:
    """What we know of one purchase."""

    key: str
    purchase_id: str
    """Our attempt's or lot's id."""
    order_id: str | None
    """The order that it was made for; None for stock."""
    amount_minor: int | None
    """What it cost; None where that was never said."""
    state: PurchaseState

    @property
    def owed_minor(self) -> int:
        return 0 if self.state in FREE else self.amount_minor or 0


@dataclass(frozen=True, slots=True)
class TheirLine:
    """What the supplier says of one purchase."""

    key: str
    line: int
    """In their file."""
    amount_minor: int
    state: PurchaseState
    our_reference: str | None = None
    their_reference: str | None = None
    sku: str | None = None
    at: int | None = None
    """Microseconds."""

    @property
    def owed_minor(self) -> int:
        return 0 if self.state in FREE else self.amount_minor


class MatchKind(StrEnum):
    """What a comparison came to."""

    EQUAL = "equal"
    AMOUNT = "amount"
    """Both know it, at different amounts."""
    STATE = "state"
    """Both know it, in different states."""
    ONLY_OURS = "only_ours"
    """We bought it, they do not name it."""
    ONLY_THEIRS = "only_theirs"
    """They name it, we do not know it."""


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison."""

    kind: MatchKind
    reason: str
    """In words."""
    ours: OurPurchase | None
    theirs: TheirLine | None

    @property
    def key(self) -> str:
        one = self.ours or self.theirs
        assert one is not None
        return one.key

    @property
    def gap_minor(self) -> int:
        """What they charge beyond what our books say; negative where they charge less."""
        return (self.theirs.owed_minor if self.theirs else 0) - (self.ours.owed_minor if self.ours else 0)


def compare(ours: OurPurchase | None, theirs: TheirLine | None) -> Match | None:
    """What the two sides of one key make; None where there was no purchase: we know that nothing came, and they name nothing."""
    if theirs is None:
        if ours is None or (ours.state in FREE and not ours.owed_minor and ours.state is not PurchaseState.REFUNDED):
            return None
        return Match(MatchKind.ONLY_OURS, f"{ours.state.value} here, not on their statement", ours, None)
    if ours is None:
        return Match(MatchKind.ONLY_THEIRS, f"{theirs.state.value} there, no such purchase here", None, theirs)
    if ours.state is not theirs.state:
        return Match(MatchKind.STATE, f"{ours.state.value} here, {theirs.state.value} there", ours, theirs)
    if ours.state is not PurchaseState.FAILED and ours.amount_minor != theirs.amount_minor:
        if ours.amount_minor is None:
            return Match(MatchKind.AMOUNT, "its cost is not known here", ours, theirs)
        more = theirs.amount_minor - ours.amount_minor
        return Match(MatchKind.AMOUNT, f"{abs(more)} minor units {'more' if more > 0 else 'less'} there", ours, theirs)
    return Match(MatchKind.EQUAL, "", ours, theirs)


def match_all(ours: Iterable[OurPurchase], theirs: Iterable[TheirLine]) -> Iterator[Match]:
    """All comparisons of two sides that fit in memory: ours in their order, then what only they have, in theirs."""
    lines = {one.key: one for one in theirs}
    for purchase in ours:
        found = compare(purchase, lines.pop(purchase.key, None))
        if found is not None:
            yield found
    for line in lines.values():
        found = compare(None, line)
        if found is not None:
            yield found


class Resolution(StrEnum):
    """How a difference is settled, and so how it is booked."""

    WRITE_OFF = "write_off"
    """We bear it (or keep it): write-offs against the supplier."""
    CLAIM = "claim"
    """We demand it back: claims against the supplier."""
    CORRECTION = "correction"
    """Our books were wrong: cost of goods against the supplier."""
