"""The two hubs' books, side by side: read from the tables of both, not from the code that writes them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from cardrail.settlement import self_check
from tests.sourcing.hubs.hubs import Hub, Orders, Reseller, Seller, prefix

OPEN: Final = ("asking", "accepted", "unknown")
_BY_MATCH: Final = ("unknown: creating it", "unknown: the process ended")
"""What the story of an attempt says whose order's number is not known."""


@dataclass
class Comparison:
    """What came of the orders through one protocol."""

    kind: str
    orders: int = 0
    states: Counter[str] = field(default_factory=Counter)
    units: int = 0
    bought: int = 0
    """Units that the seller charged for."""
    attempts: int = 0
    unknown: int = 0
    """Attempts whose answer was lost, or that were under way when the process was killed."""
    resolved: Counter[str] = field(default_factory=Counter)
    """How they ended: by lookup, by match, by asking again, by invalidation."""
    review: int = 0
    """How many wait for a human."""
    late: int = 0
    """Codes that came when nobody waited for them any more: they are in stock."""
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    """Unknown past their deadline, and no human was asked."""
    uncoded: list[str] = field(default_factory=list)
    """Orders that are charged for more than they have codes."""
    dead: list[str] = field(default_factory=list)
    """Codes here that the seller has taken back."""

    @property
    def faults(self) -> dict[str, list[str]]:
        return {
            name: found
            for name in ("twice", "lost", "unexplained", "forgotten", "uncoded", "dead")
            if (found := getattr(self, name))
        }

    def line(self, disturbed: float, seconds: float, kills: int) -> str:
        """A line of the report."""
        ended = ", ".join(f"{count} by {how}" for how, count in sorted(self.resolved.items())) or "none"
        states = ", ".join(f"{count} {state.lower()}" for state, count in sorted(self.states.items()))
        return (
            f"{self.kind}: {self.orders} orders ({states}), {disturbed:.0%} of the calls disturbed, {kills} kills, {seconds:.0f} s: "
            f"bought twice {len(self.twice)}, charged without code or refund {len(self.unexplained) + len(self.uncoded)}, "
            f"codes lost {len(self.lost)}, killed ones sold {len(self.dead)}, unresolved and not in review {len(self.forgotten)}; "
            f"{self.unknown} of {self.attempts} purchases unknown, resolved: {ended}; wait for a human: {self.review}"
        )


def compare(seller: Seller, reseller: Reseller, orders: Orders, kind: str) -> Comparison:
    """Order by order: what the reseller has, what the seller sold and charged."""
    found = Comparison(kind)
    mine = _Mine(reseller, kind)
    every = _theirs(seller, kind)
    theirs = [one for one in every if one.charged_minor]
    found.dead += [f"a code of {one.id}" for one in every if not one.charged_minor for code in one.codes if code in mine.codes]
    found.states.update(one.state for one in mine.orders.values())
    found.orders, found.attempts = len(mine.orders), len(mine.attempts)
    wanted = {key for key, sku, _ in orders.wanted if sku.startswith(prefix(kind))}
    known = {one.reference for one in mine.orders.values()}
    found.forgotten += [f"the acknowledged order {key} is gone" for key in (wanted & orders.placed.keys()) - known]
    _codes(found, mine, theirs)
    _money(found, mine)
    _open(found, mine)
    _ways(found, mine)
    return found


class _Mine:
    """What the reseller's tables say of one supplier."""

    def __init__(self, hub: Reseller, kind: str) -> None:
        supplier = hub.suppliers[kind]
        self.items = {(row.order_id, row.line): row for row in hub.rows("order_items") if row.sku.startswith(prefix(kind))}
        ids = {order for order, _ in self.items}
        self.orders = {row.id: row for row in hub.rows("orders") if row.id in ids}
        self.attempts = [row for row in hub.rows("attempts") if row.supplier_id == supplier]
        self.procurements = {(row.order_id, row.line): row for row in hub.rows("procurements") if row.order_id in ids}
        holders, late = hub.holders(), {row.id: row.source for row in hub.rows("lots", "id", "source", kind="stock")}
        of_attempt = {row.id: row.order_id for row in hub.rows("attempts", "id", "order_id")}
        self.codes: dict[str, str] = {}
        """By code, the order that it was bought for."""
        self.late: set[str] = set()
        for code, place in hub.codes().items():
            if place[0] in late:
                self.late.add(code)
                self.codes[code] = of_attempt[late[place[0]].rpartition(" ")[2]]
            else:
                self.codes[code] = holders[place]


@dataclass(frozen=True)
class _Theirs:
    """An order of ours in the seller's books."""

    id: str
    face_minor: int
    charged_minor: int
    codes: frozenset[str]


def _theirs(hub: Seller, kind: str) -> list[_Theirs]:
    codes: defaultdict[str, set[str]] = defaultdict(set)
    holders = hub.holders()
    for code, place in hub.codes().items():
        if place in holders:
            codes[holders[place]].add(code)
    faces = {row.order_id: row.face_minor for row in hub.rows("order_items", "order_id", "face_minor")}
    return [
        _Theirs(row.id, faces[row.id], row.charged_minor - row.refunded_minor, frozenset(codes[row.id]))
        for row in hub.rows("orders", partner_id=hub.partners[kind])
        if row.charged_minor
    ]


def _codes(found: Comparison, mine: _Mine, theirs: list[_Theirs]) -> None:
    """Every code that the seller charged for is here, and no item has more than were ordered."""
    units: Counter[str] = Counter()
    missing: list[_Theirs] = []
    for one in theirs:
        found.bought += len(one.codes)
        here = [code for code in one.codes if code in mine.codes]
        units.update(mine.codes[code] for code in here)
        if not one.codes:
            found.unexplained.append(f"{one.id} is charged and has no codes")
        elif not here:
            missing.append(one)
        elif len(here) < len(one.codes):
            found.lost.append(f"{len(one.codes) - len(here)} codes of {one.id}")
        if len({mine.codes[code] for code in here}) > 1:
            found.twice.append(f"{one.id} is in two orders")
        found.late += sum(code in mine.late for code in one.codes)
    _explain(found, mine, missing)
    for (order_id, _), item in mine.items.items():
        found.units += item.quantity
        if units[order_id] > item.quantity:
            found.twice.append(f"{order_id}: {units[order_id]} bought of {item.quantity}")


def _explain(found: Comparison, mine: _Mine, missing: list[_Theirs]) -> None:
    """An order whose codes are not here may be one that a human is asked about."""
    waiting = [one for one in mine.attempts if one.state in OPEN]
    for one in missing:
        fitting = [at for at in waiting if at.face_minor == one.face_minor and at.quantity == len(one.codes)]
        if fitting:
            waiting.remove(fitting[0])
        else:
            found.lost.append(f"{len(one.codes)} codes of {one.id}")


def _money(found: Comparison, mine: _Mine) -> None:
    """Each order of the customers' is charged for the codes that it has."""
    has = Counter(order for code, order in mine.codes.items() if code not in mine.late)
    for (order_id, _), item in mine.items.items():
        order = mine.orders[order_id]
        if (item.delivered, order.charged_minor - order.refunded_minor) != (has[order_id], has[order_id] * item.unit_price_minor):
            found.uncoded.append(f"{order_id}: {item.delivered} delivered, {has[order_id]} codes, {order.charged_minor} charged")


def _open(found: Comparison, mine: _Mine) -> None:
    """What is not known past its deadline waits for a human; nothing else waits for anything."""
    reviewed = {place for place, one in mine.procurements.items() if one.state == "review"}
    found.review = len(reviewed)
    for place, one in mine.procurements.items():
        if one.state not in ("done", "review"):
            found.forgotten.append(f"{place[0]} is {one.state}")
    for attempt in mine.attempts:
        if attempt.state in OPEN and (attempt.order_id, attempt.line) not in reviewed:
            found.forgotten.append(f"{attempt.id} is {attempt.state}")


def _ways(found: Comparison, mine: _Mine) -> None:
    """How those ended whose answer was lost."""
    for one in mine.attempts:
        told = [sentence for _, sentence in msgspec.json.decode(one.story)]
        lost = [sentence for sentence in told if sentence.startswith("unknown: ")]
        if not lost:
            continue
        found.unknown += 1
        if one.state not in OPEN:
            found.resolved[_way(found.kind, one, lost[0])] += 1


def _way(kind: str, attempt: Any, lost: str) -> str:
    if attempt.state == "invalidated":
        return "invalidation"
    if kind == "oneclickdz" or (kind == "foxreload_public" and lost.startswith(_BY_MATCH)):
        return "match"
    return "asking again" if kind in ("finperks", "foxreload_v1") else "lookup"


def check_books(*hubs: Hub) -> None:
    """`cardrail verify` and the daily self-check find nothing."""
    for hub in hubs:
        hub.cli("verify", "--json")
        with hub.opened() as one:
            assert self_check(one.db, one.clock, one.audit) == []
