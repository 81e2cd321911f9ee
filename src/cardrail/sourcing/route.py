"""From the ways to buy a denomination to the order in which they are asked. Pure: what is not given here is not looked at.

Every way is either usable now, usable later (its supplier is at its limit, or its circuit breaker is open), or not at all; and each gets
a sentence that says why, because an operator who looks at an order wants to know why it cost what it cost.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cardrail.catalog import Exchange
from cardrail.kernel import BPS_ONE, currency, format_minor, from_micros
from cardrail.sourcing.connector import TEMPORARY
from cardrail.sourcing.model import Attempt, AttemptState, Health, Listing, Route, Supplier

POLICIES: Final = ("cheapest", "fastest", "weighted", "priority", "pinned")
LATENCY_UNKNOWN_US: Final = 1_000_000
"""What a supplier that was never asked is taken to need: it is tried before slow ones, and after quick ones."""
ABSENT_MAX: Final = 2
"""Times that one supplier is asked for one item whose answers were lost, and which was never bought, or killed: the loss may have been
ours."""
_IN_VAIN: Final = frozenset({AttemptState.ABSENT, AttemptState.INVALIDATED, AttemptState.CLOSED})
"""Ends after which the same supplier may be asked again."""
TRIED_MICROS: Final = 2_000_000
"""When to look again whether a supplier's circuit breaker has closed, while one call is let through."""
RETRIES_MAX: Final = 5
"""Times that one supplier is asked for one item after refusals that were only temporary."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be bought for one item."""

    quantity: int
    face_minor: int
    price_minor: int
    """What one unit brings in, without fees and tax, in the order's currency."""
    currency: str
    seed: str
    """The order's id: the weighted policy draws by it, and a repeat draws the same."""
    all_at_once: bool = False
    """Only from one supplier in one order, or not at all."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to ask of one supplier."""

    listing: Listing
    quantity: int
    unit_cost_minor: int
    max_cost_minor: int
    """For all units together, in the supplier's currency: beyond it the item would be sold below its margin floor."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to ask, in this order."""

    steps: tuple[Step, ...]
    words: tuple[str, ...]
    later_at: int | None
    """When a way that cannot be used now may be usable; None if there is none."""

    @property
    def units(self) -> int:
        return sum(step.quantity for step in self.steps)


@dataclass(frozen=True, slots=True)
class Situation:
    """What else the plan looks at."""

    now: int
    route: Route
    exchange: Callable[[str], Exchange | None]
    """From a supplier's currency to the order's."""
    limits: Mapping[str, int]
    """By supplier, units of one order."""
    past: Sequence[Attempt] = ()
    """What was tried for this item."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """By supplier, what its open attempts may still cost."""
    match_taken: frozenset[str] = frozenset()
    """Suppliers that can only be asked by match, and have an unresolved order just like this one."""


@dataclass(frozen=True, slots=True)
class _Way:
    listing: Listing
    unit_cost: int
    cost_here_e6: int
    """In the order's currency, x 10**6: what the policies compare."""
    max_unit_cost: int
    units: int


def plan_route(need: Need, listings: Sequence[Listing], situation: Situation) -> Plan:
    """The steps that get ``need.quantity`` units, or as many as there are, and why these."""
    words: list[str] = []
    ways: list[_Way] = []
    later: list[int] = []
    for listing in listings:
        found = _way(need, listing, situation)
        if isinstance(found, _Way):
            ways.append(found)
        else:
            why, again_at = found
            words.append(f"{listing.supplier.name} is passed over: {why}")
            if again_at is not None:
                later.append(again_at)
    ordered = sorted(ways, key=lambda way: (_tries(way, situation), *_rank(way, need, situation.route)))
    steps = _one_step(need, ordered) if need.all_at_once else _steps(need, ordered)
    words += [_told(step, situation.route) for step in steps]
    if not listings:
        words.append("no supplier sells it")
    return Plan(tuple(steps), tuple(words), min(later) if later else None)


def simulated_listing(supplier: Supplier, sku: str, code: str) -> Listing:
    """The way to a supplier that sells everything for nothing: the simulated one, for test orders."""
    return Listing(
        supplier=supplier,
        health=Health(supplier.id),
        supplier_sku=sku,
        face_minor=None,
        min_minor=None,
        max_minor=None,
        step_minor=None,
        cost_minor=0,
        cost_bps=None,
        cost_currency=code,
        stock=None,
        is_available=True,
        is_held=False,
    )


def _steps(need: Need, ways: Sequence[_Way]) -> list[Step]:
    steps, missing = [], need.quantity
    for way in ways:
        if not missing:
            break
        count = min(missing, way.units)
        steps.append(_step(way, count))
        missing -= count
    return steps


def _one_step(need: Need, ways: Sequence[_Way]) -> list[Step]:
    return next(([_step(way, need.quantity)] for way in ways if way.units >= need.quantity), [])


def _step(way: _Way, count: int) -> Step:
    return Step(way.listing, count, way.unit_cost, way.max_unit_cost * count)


def _way(need: Need, listing: Listing, situation: Situation) -> _Way | tuple[str, int | None]:
    """The way, if it can be used; else why not, and when it may be."""
    supplier, health, route = listing.supplier, listing.health, situation.route
    if route.policy == "pinned" and supplier.id != route.supplier_id:
        return "the item is pinned to another", None
    if not listing.sells(need.face_minor):
        return "it has no such face value", None
    if not listing.is_available or listing.stock == 0:
        return "it has none", None
    if listing.is_held:
        return "its cost jumped, and nobody has approved the new one", None
    tried = _tried(supplier.id, listing, situation)
    if tried is not None:
        return tried, None
    cost = listing.unit_cost(need.face_minor)
    exchange = situation.exchange(listing.cost_currency)
    if cost is None:
        return "its cost is not known", None
    if exchange is None:
        return f"there is no exchange rate for {listing.cost_currency}", None
    most = _max_unit_cost(need, route, exchange)
    if cost > most:
        return f"at {_money(cost, listing.cost_currency)} it would leave less than the margin floor", None
    again_at = _again_at(listing, situation)
    if again_at is not None:
        return again_at
    units = min(situation.limits.get(supplier.id, need.quantity), listing.stock if listing.stock is not None else need.quantity)
    if health.balance_minor is not None and cost:
        units = min(units, max(0, health.balance_minor - situation.reserved.get(supplier.id, 0)) // cost)
        if not units:
            return "its balance does not cover one", None
    return _Way(listing, cost, cost * 10**6 * exchange.numerator // exchange.denominator, most, units)


def _again_at(listing: Listing, situation: Situation) -> tuple[str, int] | None:
    """Why the supplier cannot be asked now, and when it can."""
    health, now = listing.health, situation.now
    if health.blocked_until is not None and health.blocked_until > now:
        return f"it wants no requests until {_clock(health.blocked_until)}", health.blocked_until
    if health.breaker != "closed" and (health.retry_at or 0) > now:
        # Where one is being asked, its answer decides, and that comes sooner than what it may take.
        again_at = min(health.retry_at or now, now + TRIED_MICROS) if health.breaker == "trying" else health.retry_at or now
        return f"its circuit breaker is {health.breaker} until {_clock(health.retry_at or 0)}", again_at
    if listing.supplier.id in situation.match_taken:
        return "an order just like this one is not resolved there", now + 2_000_000
    return None


def _tried(supplier_id: str, listing: Listing, situation: Situation) -> str | None:
    """Why it is not asked again for this item; None if it may be."""
    temporary = absent = 0
    for one in situation.past:
        if one.supplier_id != supplier_id or one.supplier_sku != listing.supplier_sku or one.is_open:
            continue
        if one.state is AttemptState.DELIVERED and one.delivered == one.quantity:
            continue
        if one.state is AttemptState.REFUSED and one.refusal in TEMPORARY:
            temporary += 1
            continue
        if one.state is AttemptState.CLOSED:  # a human says that it bought nothing, and wants it bought
            continue
        if one.state in (AttemptState.ABSENT, AttemptState.INVALIDATED):
            absent += 1
            continue
        return "it was asked, and had no more to give"
    if absent >= ABSENT_MAX:
        return "its answers were lost, and nothing was bought"
    return "it was asked several times, and was never ready" if temporary >= RETRIES_MAX else None


def _tries(way: _Way, situation: Situation) -> int:
    """How often its supplier was asked for this item in vain, and may be asked again: whoever was not asked yet comes first."""
    asked = [one for one in situation.past if one.supplier_id == way.listing.supplier.id]
    return sum(one.state in _IN_VAIN or one.refusal in TEMPORARY for one in asked)


def _max_unit_cost(need: Need, route: Route, exchange: Exchange) -> int:
    """The most that a unit may cost, in the supplier's currency, rounded down."""
    keep = need.price_minor * (BPS_ONE - route.margin_floor_bps)
    return keep * exchange.denominator // (BPS_ONE * exchange.numerator)


def _rank(way: _Way, need: Need, route: Route) -> tuple[float, int, int, str]:
    supplier, health = way.listing.supplier, way.listing.health
    first: float = way.cost_here_e6
    if route.policy == "fastest":
        first = health.latency_us or LATENCY_UNKNOWN_US
    elif route.policy == "priority":
        first = supplier.priority
    elif route.policy == "weighted":
        first = _draw(need.seed, supplier.id, supplier.weight)
    return first, way.cost_here_e6, supplier.priority, supplier.id


def _draw(seed: str, supplier_id: str, weight: int) -> float:
    """A number whose smallest falls to each supplier as often as its weight says (an exponential race); weight 0 comes last."""
    digest = hashlib.blake2b(f"{seed}/{supplier_id}".encode(), digest_size=8).digest()
    part = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -math.log(part) / weight if weight else float("inf")


def _told(step: Step, route: Route) -> str:
    unit = _money(step.unit_cost_minor, step.listing.cost_currency)
    name = step.listing.supplier.name
    return f"{route.policy}: {step.quantity} from {name} at {unit} each"


def _money(minor: int, code: str) -> str:
    return f"{format_minor(minor, currency(code).digits)} {code}"


def _clock(micros: int) -> str:
    return f"{from_micros(micros):%H:%M:%S}"
