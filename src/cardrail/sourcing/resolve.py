"""What an answer makes of an attempt. Pure: an attempt and an answer in, the attempt as it then stands out.

The rules that keep us from buying twice are here, and nowhere else:

- only an explicit yes or no ends an attempt; while it is open, its units are not bought again;
- "no such order" counts only after the settling time, because the request may still be on its way;
- "no such order" must be said twice: a list that somebody in between has emptied says it as well;
- an order that the supplier has once confirmed cannot disappear: "no such order" is then an odd answer, not a no.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cardrail.kernel import currency, format_minor
from cardrail.sourcing.connector import (
    TEMPORARY,
    Accepted,
    Capabilities,
    Delivered,
    Invalidated,
    InvalidateOutcome,
    Lookup,
    LookupOutcome,
    NotFound,
    Outcome,
    Refused,
    Unknown,
)
from cardrail.sourcing.model import Attempt, AttemptState

FIRST_LOOK_SECONDS: Final = 2.0
REVIEW_LOOK_SECONDS: Final = 900.0
"""How often an attempt is asked after that waits for a human anyway."""
NOT_LOOKED_FOR: Final = 253_370_764_800_000_000
"""``look_at`` of an attempt that is not looked for (the year 9999), because nobody can be asked, or what would be found may be another
order's. A human decides, and that ends it."""
NOES_NEEDED: Final = 2
SECOND_LOOK_SECONDS: Final = 5.0
"""Between the two looks that a "no" needs."""
GRACE_SECONDS: Final = 5.0
"""How long after its time-out a call may still be writing down its answer."""
INVALIDATE_AFTER_LOOKS: Final = 3
"""Looks that told nothing, before the order is killed where that can be done."""
GIVEN_UP: Final = frozenset({AttemptState.REFUSED, AttemptState.ABSENT, AttemptState.CLOSED})
"""Ends that say that nothing was bought."""


def micros(seconds: float) -> int:
    return int(seconds * 1_000_000)


def is_in_flight(attempt: Attempt, abilities: Capabilities, now: int) -> bool:
    """Whether the call may still be under way, in this process or another."""
    return attempt.state is AttemptState.ASKING and now < in_flight_until(attempt, abilities)


def in_flight_until(attempt: Attempt, abilities: Capabilities) -> int:
    return attempt.asked_at + micros(abilities.call_seconds + GRACE_SECONDS)


def told(attempt: Attempt, sentence: str, now: int) -> Attempt:
    """The attempt with one more sentence in its story."""
    return replace(attempt, story=(*attempt.story, (now, sentence)))


def interrupted(attempt: Attempt, abilities: Capabilities, now: int) -> Attempt:
    """The process ended before it wrote down an answer."""
    lost = Unknown("the process ended before the answer was written down")
    changed = after_place(attempt, lost, abilities, now)
    # Settled is counted from now on, and not from when the call must have ended by the clock of whoever made it, which may be another.
    is_only_killed = abilities.can_invalidate and not can_be_asked(abilities, None)
    return changed if is_only_killed else replace(changed, look_at=now)


def after_place(attempt: Attempt, outcome: Outcome, abilities: Capabilities, now: int) -> Attempt:
    """The attempt after ``place`` has answered."""
    answered = replace(attempt, answered_at=now)
    if isinstance(outcome, Unknown):
        can_ask = can_be_asked(abilities, outcome.supplier_order_id)
        can_end = can_ask or abilities.can_invalidate
        # What can only be killed is, once it has arrived for certain: before that, there may be nothing to kill yet.
        first = FIRST_LOOK_SECONDS if can_ask else max(FIRST_LOOK_SECONDS, abilities.settle_seconds)
        return told(
            replace(
                answered,
                state=AttemptState.UNKNOWN,
                supplier_order_id=outcome.supplier_order_id,
                look_at=now + micros(first) if can_end else NOT_LOOKED_FOR,
                deadline_at=attempt.asked_at + micros(abilities.unknown_seconds) if can_end else now,
            ),
            f"unknown: {outcome.why}" + ("" if can_ask else "; it cannot be asked about"),
            now,
        )
    return _answered(answered, outcome, abilities, now)


def after_look(attempt: Attempt, outcome: LookupOutcome, abilities: Capabilities, now: int) -> Attempt:
    """The attempt after it was asked about."""
    looked = replace(attempt, looks=attempt.looks + 1)
    if isinstance(outcome, NotFound):
        return _not_found(looked, abilities, now)
    if isinstance(outcome, Unknown):
        known = replace(looked, supplier_order_id=attempt.supplier_order_id or outcome.supplier_order_id)
        if attempt.state is AttemptState.ACCEPTED and outcome.supplier_order_id is not None:
            # It spoke of the order, and did not say what became of it: that is no order under way any more, but one that is unknown.
            until = min(attempt.deadline_at, now + micros(abilities.unknown_seconds))
            known = replace(known, state=AttemptState.UNKNOWN, looks=1, deadline_at=until)
            return told(_later(known, abilities, now), f"unknown: {outcome.why}", now)
        return told(_later(known, abilities, now), f"asked about, and still unknown: {outcome.why}", now)
    return _answered(looked, outcome, abilities, now)


def after_repeat(attempt: Attempt, outcome: Outcome, abilities: Capabilities, now: int) -> Attempt:
    """The attempt after it was placed once more under the same reference, where that is how the supplier is asked."""
    if isinstance(outcome, Refused) and (outcome.kind in TEMPORARY or now < settled_at(attempt, abilities)):
        return after_look(attempt, Unknown(f"asked again, it says no for now: {outcome.reason}"), abilities, now)
    return after_look(attempt, outcome, abilities, now)


def after_invalidate(attempt: Attempt, outcome: InvalidateOutcome, abilities: Capabilities, now: int) -> Attempt:
    """The attempt after the supplier was told to kill it."""
    looked = replace(attempt, looks=attempt.looks + 1)
    if isinstance(outcome, Invalidated):
        done = replace(looked, state=AttemptState.INVALIDATED, answered_at=now)
        return told(done, "invalidated at the supplier", now)
    why = outcome.reason if isinstance(outcome, Refused) else outcome.why
    return told(_later(looked, abilities, now), f"not invalidated: {why}", now)


def look_failed(attempt: Attempt, why: str, abilities: Capabilities, now: int, *, after_seconds: float | None = None) -> Attempt:
    """Nobody could be asked; that says nothing about the order."""
    later = _later(replace(attempt, looks=attempt.looks + 1), abilities, now)
    if after_seconds is not None:
        later = replace(later, look_at=max(later.look_at, now + micros(after_seconds)))
    return told(later, f"could not be asked about: {why}", now)


def not_looked_for(attempt: Attempt, now: int) -> Attempt:
    """An attempt about which nobody can be asked: a human decides, and from now on."""
    return replace(attempt, look_at=NOT_LOOKED_FOR, deadline_at=min(attempt.deadline_at, now))


def after_late_answer(attempt: Attempt, supplier_order_id: str, now: int) -> Attempt:
    """An answer that is out of date still tells under which number the supplier has the order.

    Where the attempt had been given up, it may have been bought after all: it is followed up under that number, as long as one that is
    unknown. What was killed at the supplier stays dead.
    """
    named = replace(attempt, supplier_order_id=supplier_order_id)
    if attempt.state not in GIVEN_UP:
        return told(named, f"a late answer: the supplier has it as {supplier_order_id}", now)
    again = replace(
        named,
        state=AttemptState.ACCEPTED,
        refusal=None,
        looks=0,
        look_at=now,
        deadline_at=now + attempt.deadline_at - attempt.asked_at,
    )
    return told(again, f"a late answer: the supplier has it after all, as {supplier_order_id}; it is asked about", now)


def after_strange_codes(attempt: Attempt, supplier_order_id: str | None, now: int) -> Attempt:
    """The attempt after an answer whose codes are all in the vault already, while its item still waits for some.

    So they are another order's, or were sold twice; what became of this one, the answer does not say. It is bought nowhere else until a
    human has looked, or a later look tells. What had ended stays as it is.
    """
    sentence = "its codes were in the vault already, so they are not this order's: what became of it is not known"
    if not attempt.is_open:
        return told(attempt, sentence, now)
    unknown = replace(
        attempt,
        state=AttemptState.UNKNOWN,
        supplier_order_id=attempt.supplier_order_id or supplier_order_id,
        answered_at=attempt.answered_at or now,
        looks=attempt.looks + 1,
        look_at=now + micros(REVIEW_LOOK_SECONDS),
        deadline_at=min(attempt.deadline_at, now),
    )
    return told(unknown, sentence, now)


def can_be_asked(abilities: Capabilities, supplier_order_id: str | None) -> bool:
    """Whether the supplier can tell what became of an order."""
    if supplier_order_id is not None and abilities.can_poll:
        return True
    return abilities.lookup is not Lookup.NONE or abilities.is_idempotent


def asks_by_repeating(attempt: Attempt, abilities: Capabilities) -> bool:
    """Whether the only way to ask is to place the same order again, which the supplier knows for the same."""
    return attempt.supplier_order_id is None and abilities.lookup is Lookup.NONE and abilities.is_idempotent


def should_invalidate(attempt: Attempt, abilities: Capabilities, now: int) -> bool:
    """Whether to kill the order instead of asking about it once more."""
    if not abilities.can_invalidate or attempt.state is not AttemptState.UNKNOWN:
        return False
    return not can_be_asked(abilities, attempt.supplier_order_id) or (
        attempt.looks >= INVALIDATE_AFTER_LOOKS and now >= settled_at(attempt, abilities) and attempt.looks % 2 == 1
    )


def is_overdue(attempt: Attempt, now: int) -> bool:
    """Whether a human should be asked by now."""
    return attempt.is_open and attempt.state is not AttemptState.ASKING and now >= attempt.deadline_at


def settled_at(attempt: Attempt, abilities: Capabilities) -> int:
    """From when on a "no such order" counts."""
    ended = attempt.answered_at if attempt.answered_at is not None else in_flight_until(attempt, abilities)
    return ended + micros(abilities.settle_seconds)


def _answered(attempt: Attempt, outcome: Delivered | Accepted | Refused, abilities: Capabilities, now: int) -> Attempt:
    order_id = outcome.supplier_order_id or attempt.supplier_order_id
    known = replace(attempt, supplier_order_id=order_id)
    if isinstance(outcome, Refused):
        refused = replace(known, state=AttemptState.REFUSED, refusal=outcome.kind.value, answered_at=now)
        return told(refused, f"refused ({outcome.kind.value}): {outcome.reason}", now)
    if isinstance(outcome, Accepted):
        if attempt.state is AttemptState.ACCEPTED:
            return _later(known, abilities, now, outcome.poll_after_seconds)
        begun = replace(
            known,
            state=AttemptState.ACCEPTED,
            looks=0,
            deadline_at=attempt.asked_at + micros(abilities.accepted_seconds) if abilities.can_poll else now,
        )
        return told(_later(begun, abilities, now, outcome.poll_after_seconds), f"accepted as {order_id}", now)
    count = min(len(outcome.codes), attempt.quantity)
    cost = outcome.cost.minor if outcome.cost is not None else attempt.expected_cost_minor * count // attempt.quantity
    done = replace(
        known,
        state=AttemptState.DELIVERED,
        refusal=None,
        delivered=count,
        cost_minor=cost,
        cost_currency=outcome.cost.currency.code if outcome.cost is not None else attempt.cost_currency,
        answered_at=now,
    )
    done = told(done, f"delivered {count} of {attempt.quantity}", now)
    if done.cost_currency == attempt.cost_currency and cost > attempt.max_cost_minor > 0:
        unit = currency(attempt.cost_currency)
        paid, allowed = (f"{format_minor(one, unit.digits)} {unit.code}" for one in (cost, attempt.max_cost_minor))
        done = told(done, f"it cost {paid}, and {allowed} was the most that was allowed", now)
    return done


def _not_found(attempt: Attempt, abilities: Capabilities, now: int) -> Attempt:
    if attempt.supplier_order_id is not None:
        odd = _later(attempt, abilities, now)
        return told(odd, "the supplier, which had it, says that there is no such order", now)
    settled = settled_at(attempt, abilities)
    if now < settled:
        return replace(attempt, look_at=settled)
    misses = attempt.misses + 1
    if misses < NOES_NEEDED:
        again = replace(attempt, misses=misses, look_at=now + micros(SECOND_LOOK_SECONDS))
        return told(again, "the supplier knows no such order; it is asked once more", now)
    gone = replace(attempt, state=AttemptState.ABSENT, misses=misses, answered_at=now)
    return told(gone, "the supplier has no such order: it was never bought", now)


def _later(attempt: Attempt, abilities: Capabilities, now: int, after_seconds: float | None = None) -> Attempt:
    """When to look again: soon at first, then less often, and now and then where a human is asked already."""
    if is_overdue(attempt, now):
        wait = REVIEW_LOOK_SECONDS
    elif after_seconds is not None:
        wait = min(max(after_seconds, 0.1), REVIEW_LOOK_SECONDS)
    elif attempt.state is AttemptState.ACCEPTED:
        wait = min(abilities.poll_seconds * 2 ** min(attempt.looks, 10), abilities.poll_seconds_max)
    else:
        wait = min(FIRST_LOOK_SECONDS * 2 ** min(attempt.looks, 10), abilities.look_seconds_max)
    # The deadline is met on time, so that whoever has to decide is told then.
    look_at = now + micros(wait)
    return replace(attempt, look_at=min(look_at, attempt.deadline_at) if now < attempt.deadline_at else look_at)
