"""A supplier in memory that does as it is told: what it was asked, what it sold, and what it charged can be read off it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cardrail.kernel import Money, PlainCode, currency
from cardrail.sourcing import (
    Accepted,
    BaseConnector,
    Capabilities,
    Delivered,
    Invalidated,
    InvalidateOutcome,
    Lookup,
    LookupOutcome,
    LookupRequest,
    NoAnswer,
    NotFound,
    NotSent,
    Outcome,
    PlaceRequest,
    RateLimited,
    RefusalKind,
    Refused,
    ReplaceOutcome,
    ReplaceRequest,
    Unknown,
)

QUICK = Capabilities(
    lookup=Lookup.BY_REFERENCE,
    call_seconds=2.0,
    settle_seconds=10.0,
    unknown_seconds=600.0,
    poll_seconds=1.0,
    poll_seconds_max=8.0,
    accepted_seconds=3_600.0,
)


class Died(BaseException):
    """The process ends here: nothing after this line happens."""


@dataclass
class Sold:
    """One order in the supplier's own books."""

    id: str
    reference: str
    sku: str
    quantity: int
    codes: list[PlainCode]
    is_ready: bool = True
    is_dead: bool = False


@dataclass
class ScriptedSupplier(BaseConnector):
    """``script`` says what each ``place`` does, one word after the other; when it is empty, everything is delivered.

    deliver, short (one unit less than asked), accept, refuse:<kind>, lost (bought, and the answer lost), dropped (not bought, and the
    answer lost), unreached, busy, dies_before, dies_after.
    """

    name: str = "A"
    capabilities: Capabilities = QUICK
    unit_cost: Money = field(default_factory=lambda: Money(8_000, currency("INR")))
    script: deque[str] = field(default_factory=deque)
    looks: deque[str] = field(default_factory=deque)
    """What each ``lookup`` does: truth (also when empty), silent, hides."""
    refuses: bool = False
    """Whether it says of what it has accepted that it came to nothing."""
    stock_left: int | None = None
    sold: list[Sold] = field(default_factory=list)
    asked: list[PlaceRequest] = field(default_factory=list)
    looked: int = 0
    replaced: list[ReplaceRequest] = field(default_factory=list)
    meanwhile: deque[Callable[[], object]] = field(default_factory=deque)
    """What happens elsewhere while a call is under way, one for each ``place`` or ``lookup``."""

    def place(self, request: PlaceRequest) -> Outcome:
        self.asked.append(request)
        word = self.script.popleft() if self.script else "deliver"
        self._wait()
        if word == "unreached":
            raise NotSent(because="no route")
        if word == "busy":
            raise RateLimited(retry_after_seconds=3.0)
        if word == "dies_before":
            raise Died
        if word == "dropped":
            raise NoAnswer(because="ReadTimeout")
        if word.startswith("refuse"):
            return Refused("as the script wants it", RefusalKind(word.partition(":")[2] or "out_of_stock"))
        known = self._known(request.reference)
        if known is not None and self.capabilities.is_idempotent:
            return self._told(known)
        count = max(0, request.quantity - (1 if word == "short" else 0))
        if self.stock_left is not None:
            count = min(count, self.stock_left)
            self.stock_left -= count
        if not count:
            return Refused("sold out", RefusalKind.OUT_OF_STOCK)
        sold = self._sell(request, count, is_ready=word != "accept")
        if word == "dies_after":
            raise Died
        if word == "lost":
            return Unknown("the answer was lost")
        return self._told(sold)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        self.looked += 1
        word = self.looks.popleft() if self.looks else "truth"
        self._wait()
        if word == "silent":
            raise NoAnswer(because="ReadTimeout")
        if word == "hides":
            return NotFound()
        if word == "died":
            raise Died
        found = self._found(about)
        if found is not None and self.refuses:
            return Refused("it came to nothing")
        return NotFound() if found is None else self._told(found)

    def invalidate(self, about: LookupRequest) -> InvalidateOutcome:
        found = self._found(about)
        if found is not None:
            found.is_dead = True
        return Invalidated()

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        self.replaced.append(request)
        word = self.script.popleft() if self.script else "deliver"
        if word.startswith("refuse"):
            return Refused("the code was used", RefusalKind.INVALID)
        return Delivered((PlainCode(f"NEW-{self.name}-{request.reference}"),), Money(0, self.unit_cost.currency))

    def stock(self, skus: Sequence[str]) -> Mapping[str, int]:
        return {} if self.stock_left is None else dict.fromkeys(skus, self.stock_left)

    def ready(self) -> None:
        """What was accepted is delivered from now on."""
        for one in self.sold:
            one.is_ready = True

    @property
    def units(self) -> int:
        """What it sold and charged for."""
        return sum(len(one.codes) for one in self.sold if not one.is_dead)

    @property
    def codes(self) -> list[str]:
        return [str(code.code) for one in self.sold if not one.is_dead for code in one.codes]

    def _wait(self) -> None:
        if self.meanwhile:
            self.meanwhile.popleft()()

    def _sell(self, request: PlaceRequest, count: int, *, is_ready: bool) -> Sold:
        number = len(self.sold) + 1
        codes = [PlainCode(f"{self.name}-{number:04d}-{i:03d}-{request.reference[-6:]}") for i in range(count)]
        sold = Sold(f"{self.name.lower()}-{number}", request.reference, request.supplier_sku, request.quantity, codes, is_ready)
        self.sold.append(sold)
        return sold

    def _told(self, sold: Sold) -> Delivered | Accepted:
        if not sold.is_ready:
            return Accepted(sold.id)
        return Delivered(tuple(sold.codes), self.unit_cost * len(sold.codes), sold.id)

    def _known(self, reference: str) -> Sold | None:
        return next((one for one in self.sold if one.reference == reference and not one.is_dead), None)

    def _found(self, about: LookupRequest) -> Sold | None:
        if about.supplier_order_id is not None:
            return next((one for one in self.sold if one.id == about.supplier_order_id), None)
        if self.capabilities.lookup is Lookup.BY_REFERENCE:
            return self._known(about.placed.reference)
        matching = [
            one
            for one in self.sold
            if (one.sku, one.quantity) == (about.placed.supplier_sku, about.placed.quantity)
            and one.id not in about.known_order_ids
            and not one.is_dead
        ]
        return matching[0] if matching else None
