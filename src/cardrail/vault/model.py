"""Lots, slices and allocations, and the rules over them: what is taken first, what it cost, what state a code is in. No I/O.

The classes on the order path are slotted and plain, because they are made for every batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from cardrail.kernel import Mode, share

SHARED_TAIL: Final = 10**12
"""Where a shared lot's slice ends: it is never reached, and sums of many such still fit a 64-bit column."""


class LotKind(StrEnum):
    """How a lot came to be, and so who may buy from it."""

    STOCK = "stock"
    """Bought beforehand; sold to whoever comes."""
    BOUND = "bound"
    """Codes that arrived already sold: bought for an order item, or generated for test orders."""
    SHARED = "shared"
    """One secret for every buyer."""


class LotState(StrEnum):
    """Where an import stands."""

    LOADING = "loading"
    """Codes are being written; nothing can be sold."""
    OPEN = "open"
    """Its slices are for sale."""
    UNDONE = "undone"
    """The import was taken back; its codes are gone."""


class ExceptionKind(StrEnum):
    """What can happen to a single code besides being sold."""

    BLOCKED = "blocked"
    """Unsold, and taken off sale."""
    REVOKED = "revoked"
    """Sold, and no longer honoured."""
    REPLACED = "replaced"
    """Sold, and another was given for it."""
    CLAIMED = "claimed"
    """The recipient took or confirmed it."""
    RETURNED = "returned"
    """Sold, never revealed, and back on sale."""


class CodeState(StrEnum):
    """The inventory words for the outside, derived and never stored."""

    AVAILABLE = "AVAILABLE"
    """For sale."""
    ALLOCATED = "ALLOCATED"
    """Sold to an order that is not final."""
    DELIVERED = "DELIVERED"
    """Sold to an order that is final."""
    COMPLETED = "COMPLETED"
    """Claimed, or confirmed by the recipient."""
    BLOCKED = "BLOCKED"
    """Taken off sale."""
    REVOKED = "REVOKED"
    """Sold, and no longer honoured."""


def code_state(exceptions: Collection[str], *, is_unsold: bool, is_final: bool = True) -> CodeState:
    """The inventory word of a code: the kinds of its exceptions, whether a slice still holds it, whether its order is final."""
    if ExceptionKind.BLOCKED in exceptions:
        return CodeState.BLOCKED
    if is_unsold:
        return CodeState.AVAILABLE
    if ExceptionKind.REVOKED in exceptions or ExceptionKind.REPLACED in exceptions:
        return CodeState.REVOKED
    if ExceptionKind.CLAIMED in exceptions:
        return CodeState.COMPLETED
    return CodeState.DELIVERED if is_final else CodeState.ALLOCATED


@dataclass(slots=True)
class OpenSlice:
    """A range of unsold codes of one lot with one expiry, and of the lot what its sale needs."""

    id: str
    lot_id: str
    denomination_id: str
    face_minor: int
    mode: Mode
    expires_at: int
    """Microseconds; NEVER where the codes do not expire."""
    head: int
    """The next seq to sell."""
    tail: int
    """The first seq that is not the slice's."""
    is_shared: bool
    wrapped_key: bytes
    master_key: int
    lot_cost_minor: int
    lot_count: int
    cost_currency: str | None


@dataclass(slots=True)
class Allocation:
    """Codes that were taken together: ``count`` of a lot from ``first_seq`` on, without a gap."""

    lot_id: str
    first_seq: int
    count: int
    expires_at: int
    is_shared: bool
    denomination_id: str


class LotCost(Protocol):
    """Whatever knows what a lot cost and how many codes it has."""

    @property
    def lot_cost_minor(self) -> int: ...
    @property
    def lot_count(self) -> int: ...


def cost_of(lot: LotCost, first_seq: int, count: int) -> int:
    """What ``count`` codes of the lot from ``first_seq`` on cost us: the lot's cost split over its codes, so that all parts sum to it.

    A shared or bound lot carries no cost: the one has no number of codes to split over, the other's cost was booked with its order.
    """
    return share(lot.lot_cost_minor, lot.lot_count, first_seq, count) if lot.lot_cost_minor else 0


@dataclass(frozen=True, slots=True)
class LotKey:
    """What opening a lot's codes needs."""

    wrapped_key: bytes
    master_key: int
    is_shared: bool
    """Whether every seq opens the one secret, seq 0."""


@dataclass(frozen=True, slots=True)
class LotFigures(LotKey):
    """What a sale needs of a lot besides."""

    id: str
    mode: Mode
    lot_cost_minor: int
    lot_count: int
    cost_currency: str | None

    @property
    def cost_minor(self) -> int:
        """What the whole lot cost."""
        return self.lot_cost_minor


class _Shelf:
    """The slices of one denomination and face value, in the order of taking, and how far they are taken."""

    __slots__ = ("cursor", "left", "slices")

    def __init__(self) -> None:
        self.slices: list[list[int]] = []  # [head, index of the slice]
        self.cursor = 0
        self.left = 0


class Stock:
    """A working copy of the open slices: a decision takes from it, and then says which heads it moved.

    Soonest expiry first, then the oldest lot; an expired slice does not exist.
    """

    __slots__ = ("_lots", "_shelves", "_slices", "is_cut", "was_short")

    def __init__(self, slices: Iterable[OpenSlice], now_micros: int, *, is_cut: bool = False) -> None:
        ordered = [one for one in slices if one.expires_at > now_micros and one.head < one.tail]
        ordered.sort(key=_taking_order)
        self._slices = ordered
        self._lots: dict[str, OpenSlice] | None = None
        self._shelves: dict[tuple[str, int], _Shelf] = {}
        for index, one in enumerate(ordered):
            key = (one.denomination_id, one.face_minor)
            shelf = self._shelves.get(key)
            if shelf is None:
                shelf = self._shelves[key] = _Shelf()
            shelf.slices.append([one.head, index])
            shelf.left += one.tail - one.head
        self.is_cut = is_cut
        """Whether there may be more slices than were loaded."""
        self.was_short = False
        """Whether more was asked for than there was."""

    @property
    def was_cut(self) -> bool:
        """Whether it was short and not all slices had been loaded: load all, and decide again."""
        return self.is_cut and self.was_short

    def available(self, denomination_id: str, face_minor: int) -> int:
        """How many codes are left."""
        shelf = self._shelves.get((denomination_id, face_minor))
        return shelf.left if shelf is not None else 0

    def take(self, denomination_id: str, face_minor: int, count: int) -> list[Allocation]:
        """Take up to ``count`` codes: as many ranges as it needs, fewer codes if there are fewer."""
        shelf = self._shelves.get((denomination_id, face_minor))
        if shelf is None or shelf.left < count:
            self.was_short = True
        taken: list[Allocation] = []
        if shelf is None:
            return taken
        while count > 0 and shelf.left:
            place = shelf.slices[shelf.cursor]
            one = self._slices[place[1]]
            first = place[0]
            n = min(count, one.tail - first)
            place[0] = first + n
            shelf.left -= n
            count -= n
            if first + n == one.tail:
                shelf.cursor += 1
            taken.append(Allocation(one.lot_id, first, n, one.expires_at, one.is_shared, denomination_id))
        return taken

    def moved(self) -> list[tuple[int, str, int]]:
        """(new head, slice id, old head) of each slice that was taken from, in the order of ids."""
        moved = []
        for shelf in self._shelves.values():
            for head, index in shelf.slices[: shelf.cursor + 1]:
                one = self._slices[index]
                if head != one.head:
                    moved.append((head, one.id, one.head))
        return sorted(moved, key=lambda row: row[1])

    def lot(self, lot_id: str) -> LotFigures | None:
        """The figures of a lot that has a slice here."""
        if self._lots is None:
            self._lots = {one.lot_id: one for one in self._slices}
        one = self._lots.get(lot_id)
        if one is None:
            return None
        return LotFigures(
            one.wrapped_key,
            one.master_key,
            one.is_shared,
            lot_id,
            one.mode,
            one.lot_cost_minor,
            one.lot_count,
            one.cost_currency,
        )


def _taking_order(one: OpenSlice) -> tuple[int, str, int]:
    return (one.expires_at, one.lot_id, one.head)
