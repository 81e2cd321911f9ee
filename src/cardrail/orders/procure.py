"""Buying what stock could not fill: from an order's waiting items to codes, without ever buying twice (DESIGN.md, section 8).

``procure_order`` is the whole of it, and it may be called at any time, by several workers at once, and again after a crash: where things
stand is in the rows, never in the caller. It goes round and round:

- ``_next`` looks, in one transaction, for what is to be done now. To buy, it writes the attempt in that same transaction;
- the supplier is called with no transaction open;
- ``receive`` writes down what came of it, in one transaction: the attempt's new state, the codes, the money, the order's state, the event.

**Where a process may die.** Between the attempt's row and the call: the attempt is ASKING and nobody asked; once the call would have timed
out it counts as unknown, is asked about, found absent, and its units are bought elsewhere. Between the supplier's answer and our commit:
the same, only that the lookup now finds the order, and its codes come with it. After the commit: nothing is left to do. A process that was
stopped and wakes up late does not call: it finds that its moment is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import structlog

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import Mode, Money, OrderId, currency, from_micros, new_id, to_micros
from cardrail.orders import store
from cardrail.orders.buying import SIMULATED, Buying, simulated_ways
from cardrail.orders.journal import journal_attempt
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.receive import Call, close_item, receive, review_overdue
from cardrail.orders.states import OrderState
from cardrail.sourcing import (
    GRACE_SECONDS,
    NOT_LOOKED_FOR,
    REVIEW_LOOK_SECONDS,
    Answered,
    Attempt,
    AttemptState,
    Capabilities,
    Connector,
    CredentialsRefused,
    Listing,
    Lookup,
    LookupRequest,
    Need,
    NotFound,
    NotSent,
    OddAnswer,
    PlaceRequest,
    Procurement,
    ProcurementState,
    RateLimited,
    RefusalKind,
    Refused,
    Route,
    Situation,
    SourcingError,
    Step,
    Supplier,
    SupplierError,
    Unknown,
    after_invalidate,
    after_look,
    after_place,
    after_repeat,
    asks_by_repeating,
    find_supplier,
    in_flight_until,
    insert_attempt,
    interrupted,
    is_in_flight,
    is_match_taken,
    is_overdue,
    known_order_ids,
    let_through,
    load_attempts,
    load_health,
    load_listings,
    load_procurements,
    load_route,
    look_failed,
    micros,
    not_looked_for,
    plan_route,
    reserved_costs,
    save_attempt,
    save_health,
    save_procurement,
    should_invalidate,
    sound,
    sound_end,
    sound_seconds,
    within,
)
from cardrail.storage import Tx, is_unique_violation, open_restores, read_version

log = structlog.get_logger("cardrail.procure")

ROUNDS_MAX: Final = 400
"""Calls that one visit makes at most: an item of 100 units from a supplier that sells them one by one needs 100."""
BEGIN_WITHIN_SECONDS: Final = 3.0
"""A call begins at most so long after its row was written: whoever was stopped in between must not buy what was given up meanwhile."""
CLOCKS_MARGIN_SECONDS: Final = 3_600.0
"""How far back the supplier's orders are looked through that belong to other attempts."""

_details = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class _Ask:
    """Something to call a supplier for."""

    how: str
    """place | lookup | repeat | invalidate."""
    attempt: Attempt
    supplier: Supplier
    about: LookupRequest
    order: Order
    snapshot: CatalogSnapshot


@dataclass(frozen=True, slots=True)
class _Close:
    """What has not come for this line will not come."""

    line: int
    because: str
    attempts: int
    """How many there were when that was decided."""


@dataclass(frozen=True, slots=True)
class _Review:
    """Attempts are unknown past their deadline."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing can be done before that moment; None: nothing is open any more."""

    until: int | None
    round: int = 0
    """How often the order was left so: names the next visit."""


def procure_order(buying: Buying, order_id: OrderId, round_: int | None = None) -> Rest:
    """Do all that can be done now for the order's waiting items, and say when to come back.

    ``round_`` is that of the visit that was ordered: where another one has been here since, and nothing is due, this one leaves at once.
    """
    for _ in range(ROUNDS_MAX):
        todo = _next_in_tx(buying, order_id, round_)
        if isinstance(todo, Rest):
            return todo
        if isinstance(todo, _Ask):
            if _call(buying, todo):
                return Rest(None)
        elif isinstance(todo, _Close):
            close_item(buying, order_id, todo.line, todo.because, todo.attempts)
        else:
            review_overdue(buying, order_id)
        round_ = None
    return Rest(_now(buying), 0)


def _next_in_tx(buying: Buying, order_id: OrderId, round_: int | None) -> _Ask | _Close | _Review | Rest:
    """``_next``, again where another order took the one place of its kind at a supplier that is asked by match."""
    for _ in range(3):
        try:
            return buying.write(lambda tx: _next(tx, buying, order_id, round_))
        except Exception as error:
            if not is_unique_violation(error):
                raise
    return Rest(_now(buying) + 1_000_000)


# --- what is to be done -----------------------------------------------------------------------------------------------


def _next(tx: Tx, buying: Buying, order_id: OrderId, round_: int | None) -> _Ask | _Close | _Review | Rest:
    procurements = load_procurements(tx, order_id, lock=True)
    left = [one for one in procurements if one.state is not ProcurementState.DONE]
    now = _now(buying)
    if not left or (round_ is not None and all(one.round > round_ and one.wake_at > now for one in left)):
        return Rest(None)
    (order,) = store.load_orders(tx, [order_id])
    attempts = load_attempts(tx, order_id)
    snapshot = buying.catalog.ensure(tx, read_version(tx, "catalog"), from_micros(now).date())
    visit = _Visit(tx, buying, snapshot, order, now)
    for waiting in left:
        own = [one for one in attempts if one.line == waiting.line]
        item = next(one for one in order.items if one.line == waiting.line)
        if waiting.state is ProcurementState.BUYING and any(is_overdue(one, now) for one in own):
            return _Review()
        todo = visit.due(item, own) or visit.purchase(item, waiting, own)
        if todo is not None:
            return todo
    until = max(min(visit.wake), now) if visit.wake else now + micros(REVIEW_LOOK_SECONDS)
    round_ = 1 + max(one.round for one in left)
    for one in load_procurements(tx, order_id):
        if one.state is not ProcurementState.DONE:
            save_procurement(tx, replace(one, wake_at=until, round=round_))
    return Rest(until, round_)


@dataclass(slots=True)
class _Visit:
    """One look at an order, in one transaction."""

    tx: Tx
    buying: Buying
    snapshot: CatalogSnapshot
    order: Order
    now: int
    wake: list[int] = field(default_factory=list)
    """When something may be done that cannot be done now."""

    def due(self, item: OrderItem, attempts: list[Attempt]) -> _Ask | None:
        """An open attempt that is to be asked after now."""
        for attempt in attempts:
            if attempt.is_open:
                found = self._due_one(item, attempt)
                if found is not None:
                    return found
        return None

    def _due_one(self, item: OrderItem, attempt: Attempt) -> _Ask | None:
        now = self.now
        if self.order.mode is Mode.LIVE and open_restores(self.tx):
            self.wake.append(now + micros(60))  # asking may buy, kill, or find what belongs to an order that is not known here
            return None
        if attempt.look_at >= NOT_LOOKED_FOR:
            self.wake.append(now + micros(REVIEW_LOOK_SECONDS))
            return None
        supplier = _supplier_of(self.tx, attempt)
        abilities = _abilities(self.buying, supplier)
        if abilities is None:
            if attempt.state is AttemptState.ASKING and now >= attempt.deadline_at:  # nobody is told of what is only being asked
                save_attempt(self.tx, replace(attempt, state=AttemptState.UNKNOWN, answered_at=now), from_state=attempt.state)
            self.wake.append(now + micros(60))
            return None
        if attempt.state is AttemptState.ASKING:
            if is_in_flight(attempt, abilities, now):
                self.wake.append(in_flight_until(attempt, abilities))
                return None
            lost = interrupted(attempt, abilities, now)
            save_attempt(self.tx, lost, from_state=attempt.state)
            attempt = lost
        if attempt.look_at > now:
            self.wake.append(attempt.look_at)
            return None
        how = _how_to_ask(attempt, abilities, now)
        if how == "repeat" and self._lacks_fields(item):
            how = None  # it would be another request, and a no to that one says nothing of the first
        if how is None:  # nobody can be asked: a human decides
            save_attempt(self.tx, not_looked_for(attempt, now), from_state=attempt.state)
            self.wake.append(now)
            return None
        by_match = abilities.lookup is Lookup.BY_MATCH
        about = _about(self.tx, self.order, item, attempt, supplier, by_match=by_match)
        # Nobody else asks before this call has ended: two looks at the same moment are one.
        until = now + micros(abilities.call_seconds + GRACE_SECONDS)
        leased = replace(attempt, look_at=until, leased_until=until)
        save_attempt(self.tx, leased, from_state=attempt.state)
        return _Ask(how, leased, supplier, about, self.order, self.snapshot)

    def purchase(self, item: OrderItem, waiting: Procurement, attempts: list[Attempt]) -> _Ask | _Close | None:
        """The next purchase for the item, its attempt written; None if there is none to make now."""
        open_ = [one for one in attempts if one.is_open]
        missing = waiting.quantity - waiting.delivered - sum(one.quantity for one in open_)
        if missing <= 0 or item.state is not OrderState.PROCESSING or waiting.state is ProcurementState.REVIEW:
            return None
        if self.order.mode is Mode.LIVE and open_restores(self.tx):
            self.wake.append(self.now + micros(60))  # a restored database does not know what was bought since
            return None
        if self._lacks_fields(item):
            return _Close(waiting.line, "its customer was erased, and his fields with him", len(attempts)) if not open_ else None
        need = Need(missing, item.face_minor, item.unit_price_minor, self.order.currency, self.order.id, waiting.all_or_nothing)
        plan = plan_route(need, *self._ways(item, missing, attempts))
        news = [(self.now, one) for one in plan.words if all(one != known for _, known in waiting.trace)]
        waiting = replace(waiting, state=ProcurementState.BUYING, trace=(*waiting.trace, *news))
        if plan.steps:
            return self._begin(plan.steps[0], item, waiting, attempts)
        save_procurement(self.tx, waiting)
        if plan.later_at is not None and self.now < waiting.created_at + micros(self.buying.patience_seconds):
            self.wake.append(plan.later_at)
            return None
        if open_:
            return None
        because = "no supplier had it" if not waiting.delivered else "no supplier had the rest"
        return _Close(waiting.line, because, len(attempts))

    def _begin(self, step: Step, item: OrderItem, waiting: Procurement, past: list[Attempt]) -> _Ask:
        """Write the attempt; what is called afterwards is what is written here."""
        supplier = step.listing.supplier
        abilities = self.buying.connectors.abilities(supplier)
        attempt = _new_attempt(self.order, item, step, abilities, 1 + max((one.n for one in past), default=0), self.now)
        insert_attempt(self.tx, attempt)
        if step.listing.health.breaker != "closed":
            save_health(self.tx, let_through(load_health(self.tx, supplier.id, lock=True), self.now))
        save_procurement(self.tx, replace(waiting, wake_at=attempt.look_at))
        return _Ask("place", attempt, supplier, _about(self.tx, self.order, item, attempt, supplier), self.order, self.snapshot)

    def _lacks_fields(self, item: OrderItem) -> bool:
        """Whether the fields without which it cannot be bought are gone: they are erased with a customer."""
        offer = None if item.fields else self.snapshot.denomination(item.denomination_id)
        return offer is not None and any(one.required for one in offer.input_fields)

    def _ways(self, item: OrderItem, missing: int, attempts: list[Attempt]) -> tuple[list[Listing], Situation]:
        """The ways to buy the item, and what else the plan looks at."""
        tx, order = self.tx, self.order
        if order.mode is Mode.TEST:
            return simulated_ways(item.sku, order.currency), self._situation(Route(), attempts, {SIMULATED.id: item.quantity})
        offer = self.snapshot.denomination(item.denomination_id)
        route = load_route(tx, item.denomination_id, offer.product_id if offer is not None else None)
        ways, limits, taken = [], {}, set()
        for one in load_listings(tx, item.denomination_id, order.mode):
            abilities = _abilities(self.buying, one.supplier)
            if abilities is None:
                continue
            ways.append(one)
            limits[one.supplier.id] = abilities.quantity_max
            if abilities.lookup is Lookup.BY_MATCH and is_match_taken(tx, _match_of(one, item.face_minor, missing, abilities)):
                taken.add(one.supplier.id)
        return ways, self._situation(route or self.buying.route, attempts, limits, frozenset(taken))

    def _situation(
        self, route: Route, attempts: list[Attempt], limits: dict[str, int], match_taken: frozenset[str] = frozenset()
    ) -> Situation:
        return Situation(
            now=self.now,
            route=route,
            exchange=lambda code: self.snapshot.exchange(code, self.order.currency),
            limits=limits,
            past=attempts,
            reserved=reserved_costs(self.tx, sorted(limits)) if self.order.mode is Mode.LIVE else {},
            match_taken=match_taken,
        )


def _how_to_ask(attempt: Attempt, abilities: Capabilities, now: int) -> str | None:
    if should_invalidate(attempt, abilities, now):
        return "invalidate"
    if asks_by_repeating(attempt, abilities):
        return "repeat"
    if abilities.lookup is not Lookup.NONE or (attempt.supplier_order_id is not None and abilities.can_poll):
        return "lookup"
    return None


def _match_of(listing: Listing, face_minor: int, missing: int, abilities: Capabilities) -> str:
    """The key of what would be asked of this supplier first. Where the plan asks for less, the unique index stands behind it."""
    most = min(missing, abilities.quantity_max, listing.stock or missing)
    return _match_key(listing.supplier.id, listing.supplier_sku, face_minor, most)


def _match_key(supplier_id: str, supplier_sku: str, face_minor: int, quantity: int) -> str:
    return f"{supplier_id}|{supplier_sku}|{face_minor}|{quantity}"


def _abilities(buying: Buying, supplier: Supplier) -> Capabilities | None:
    """What the supplier's connector can do; None where it cannot be built: a fault for the operator, not for the order."""
    try:
        return buying.connectors.abilities(supplier)
    except SourcingError as error:
        log.warning("a connector cannot be built", supplier=supplier.name, reason=error.code)
        return None


def _new_attempt(order: Order, item: OrderItem, step: Step, abilities: Capabilities, n: int, now: int) -> Attempt:
    supplier, sku = step.listing.supplier, step.listing.supplier_sku
    attempt_id = new_id("att")
    is_matched = abilities.lookup is Lookup.BY_MATCH
    return Attempt(
        id=attempt_id,
        order_id=order.id,
        line=item.line,
        n=n,
        mode=order.mode,
        supplier_id=supplier.id,
        supplier_sku=sku,
        denomination_id=item.denomination_id,
        face_minor=item.face_minor,
        quantity=step.quantity,
        reference=attempt_id,
        state=AttemptState.ASKING,
        max_cost_minor=step.max_cost_minor,
        expected_cost_minor=step.unit_cost_minor * step.quantity,
        cost_currency=step.listing.cost_currency,
        asked_at=now,
        look_at=now + micros(abilities.call_seconds + GRACE_SECONDS),
        deadline_at=now + micros(abilities.unknown_seconds),
        match_key=_match_key(supplier.id, sku, item.face_minor, step.quantity) if is_matched else None,
        story=((now, f"asked {supplier.name} for {step.quantity}"),),
    )


def _supplier_of(tx: Tx, attempt: Attempt) -> Supplier:
    if attempt.supplier_id == SIMULATED.id:
        return SIMULATED
    found = find_supplier(tx, attempt.supplier_id)
    assert found is not None, attempt.supplier_id
    return found


def _about(
    tx: Tx, order: Order, item: OrderItem, attempt: Attempt, supplier: Supplier, *, by_match: bool = False
) -> LookupRequest:
    details = _details(order.details) if order.details else {}
    placed = PlaceRequest(
        reference=attempt.reference,
        supplier_sku=attempt.supplier_sku,
        quantity=attempt.quantity,
        face=Money(attempt.face_minor, currency(item.face_currency)),
        max_cost=Money(attempt.max_cost_minor, currency(attempt.cost_currency)),
        fields=item.fields or {},
        country=details.get("country"),
        customer_id=order.customer_id,
        mode=order.mode,
    )
    known: frozenset[str] = frozenset()
    if by_match and attempt.supplier_order_id is None:
        known = known_order_ids(tx, supplier.id, but=attempt.id, since=attempt.asked_at - micros(CLOCKS_MARGIN_SECONDS))
    return LookupRequest(placed, attempt.supplier_order_id, from_micros(attempt.asked_at), known)


# --- the call ---------------------------------------------------------------------------------------------------------


def _call(buying: Buying, ask: _Ask) -> bool:
    """Call the supplier, and write down what came of it; whether the order is done. No transaction is open while it is called."""
    connector, abilities = buying.connectors.of(ask.supplier), buying.connectors.abilities(ask.supplier)
    if ask.how == "place":
        buying.write_journal([journal_attempt(ask.attempt)])
    if ask.how == "place" and _now(buying) > ask.attempt.asked_at + micros(BEGIN_WITHIN_SECONDS):
        refused = Refused("this process was stopped before it could ask", RefusalKind.UNREACHABLE)
        late = Call(refused, lambda one, now: after_place(one, refused, abilities, now), None)
        return receive(buying, ask.snapshot, ask.order, ask.attempt, late)
    started = time.monotonic()
    with within(abilities.call_seconds):  # later somebody else may take it for interrupted
        call = _CALLS[ask.how](connector, ask.about, abilities)
    took = int((time.monotonic() - started) * 1_000_000)
    call = replace(call, latency_us=took if ask.how == "place" else None, open_us=micros(abilities.breaker_seconds))
    return receive(buying, ask.snapshot, ask.order, ask.attempt, call)


def _place(connector: Connector, about: LookupRequest, abilities: Capabilities) -> Call:
    outcome, how, wait = _purchased(connector, about)
    return Call(outcome, lambda one, now: after_place(one, outcome, abilities, now), how, wait)


def _repeat(connector: Connector, about: LookupRequest, abilities: Capabilities) -> Call:
    outcome, how, wait = _purchased(connector, about)
    return Call(outcome, lambda one, now: after_repeat(one, outcome, abilities, now), how, wait)


def _purchased(connector: Connector, about: LookupRequest) -> tuple[Any, Answered, float | None]:
    """What ``place`` came to, how well the supplier answered, and how long it wants to be left alone.

    Whatever else is raised is unknown: a fault of the connector proves nothing about the supplier.
    """
    try:
        outcome = sound(connector.place(about.placed))
    except NotSent as error:
        return Refused(f"not reached: {_reason(error)}", RefusalKind.UNREACHABLE), Answered.NOT, None
    except RateLimited as error:
        wait = _seconds(error)
        return Refused("too many requests", RefusalKind.BUSY, wait), Answered.BUSY, wait
    except Exception as error:
        log.warning("a purchase's answer was lost", reference=about.placed.reference, error=type(error).__name__)
        return Unknown(_reason(error)), Answered.NOT, None
    if isinstance(outcome, NotFound):
        outcome = Unknown("a purchase was answered like a question")
    if isinstance(outcome, Unknown):
        return outcome, Answered.NOT, None
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.BUSY:
        return outcome, Answered.BUSY, outcome.retry_after_seconds
    is_lost = isinstance(outcome, Refused) and outcome.kind is RefusalKind.UNREACHABLE
    return outcome, Answered.NOT if is_lost else Answered.WELL, None


def _lookup(connector: Connector, about: LookupRequest, abilities: Capabilities) -> Call:
    def look() -> Call:
        outcome = sound(connector.lookup(about))
        how = Answered.NOT if isinstance(outcome, Unknown) else Answered.WELL
        return Call(outcome, lambda one, now: after_look(one, outcome, abilities, now), how)

    return _looked(look, abilities)


def _invalidate(connector: Connector, about: LookupRequest, abilities: Capabilities) -> Call:
    def kill() -> Call:
        outcome = sound_end(connector.invalidate(about))
        how = Answered.NOT if isinstance(outcome, Unknown) else Answered.WELL
        return Call(None, lambda one, now: after_invalidate(one, outcome, abilities, now), how)

    return _looked(kill, abilities)


def _looked(look: Callable[[], Call], abilities: Capabilities) -> Call:
    """A look that fails says nothing about the order."""
    try:
        return look()
    except RateLimited as error:
        why, how, wait = "too many requests", Answered.BUSY, _seconds(error)
    except Exception as error:
        if not isinstance(error, SupplierError):
            log.warning("a lookup failed", error=type(error).__name__)
        why, how, wait = _reason(error), Answered.NOT, None
    return Call(None, lambda one, now: look_failed(one, why, abilities, now, after_seconds=wait), how, wait)


_CALLS: Final[dict[str, Callable[[Connector, LookupRequest, Capabilities], Call]]] = {
    "place": _place,
    "repeat": _repeat,
    "lookup": _lookup,
    "invalidate": _invalidate,
}


def _reason(error: Exception) -> str:
    """What a story may say of an error: never its text, which may hold what the supplier sent."""
    if isinstance(error, (OddAnswer, CredentialsRefused, SupplierError)):
        status = error.facts.get("status")
        because = error.facts.get("because")
        return error.code + (f" {status}" if isinstance(status, int) else "") + (f" ({because})" if because else "")
    return type(error).__name__


def _seconds(error: RateLimited) -> float | None:
    return sound_seconds(error.facts.get("retry_after_seconds"))


def _now(buying: Buying) -> int:
    return to_micros(buying.clock.now())
