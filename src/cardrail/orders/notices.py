"""What a supplier's webhook makes happen: the purchase that it is about is looked at now, by the same look as ever.

Nothing that the webhook says of codes or money is believed, so a forged, repeated or reordered one costs a look at most. One that comes
before its order's number is written here waits for it; one that nobody knows after hours, or that takes back what was delivered, is kept
for a human.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import structlog

from cardrail.jobs import Jobs, Queue
from cardrail.kernel import OrderId, from_micros, to_micros
from cardrail.orders.buying import Buying
from cardrail.orders.jobs import enqueue_now
from cardrail.orders.locks import lock_order
from cardrail.orders.receive import settle_item
from cardrail.sourcing import (
    GIVEN_UP,
    NOT_LOOKED_FOR,
    WAITS_SECONDS,
    Anew,
    Attempt,
    AttemptState,
    Notice,
    ProcurementState,
    SourcingError,
    SupplierState,
    after_late_answer,
    asks_anew,
    attempt_of,
    end_notice,
    find_supplier,
    keep_notice,
    load_attempt,
    load_notice,
    load_procurements,
    overdue_notices,
    poll_balance,
    put_off,
    save_attempt,
    save_procurement,
    sync_supplier,
    told,
)
from cardrail.storage import AuditLog, Tx, in_tx

log = structlog.get_logger("cardrail.incoming")

QUEUE: Final = "notices"
FOLLOW: Final = "notice.follow"
ANEW: Final = "notice.anew"
SPANS_SECONDS: Final = {Anew.BALANCE: 10, Anew.PRODUCTS: 120}
"""A supplier is asked anew once in so long at most, however many of its webhooks say so."""
_ENDS: Final = ("fail", "cancel", "reject", "expire", "refund", "invalid")
"""Parts of the names of events that tell of an end without codes."""
OVERDUE_SECONDS: Final = 30.0
WAKE_MAX: Final = 500


def register_notices(jobs: Jobs, buying: Buying, audit: AuditLog, jump_bps: int) -> None:
    """Tell what there is to do for a supplier's webhook."""
    jobs.add_queue(Queue(QUEUE, worker_concurrency=8, polling_seconds=0.2))
    follow = jobs.tx_step("notice.settle")(lambda tx, notice_id: follow_notice(jobs, buying, tx, notice_id))

    anew = jobs.step("notice.ask_anew")(lambda supplier_id, what: ask_anew(buying, audit, jump_bps, supplier_id, what))

    @jobs.workflow(ANEW)
    def ask(supplier_id: str, what: str) -> str:
        said: str = anew(supplier_id, what)
        return said

    @jobs.workflow(FOLLOW)
    def follow_one(notice_id: str, _tries: int) -> str:
        state: str = follow(notice_id)
        return state


def take_notice(jobs: Jobs, buying: Buying, supplier_id: str, notice: Notice) -> bool:
    """Keep a notice that was proven, and see to it that it is followed; False where it came before, and then nothing is done."""

    def work(tx: Tx) -> bool:
        notice_id = keep_notice(tx, supplier_id, notice, to_micros(buying.clock.now()))
        if notice_id is not None and jobs.is_prepared:
            _enqueue(jobs, tx, notice_id, 0)
        return notice_id is not None

    return in_tx(buying.db, work)


def wake_notices(jobs: Jobs, buying: Buying) -> int:
    """Take up the notices whose look is overdue: a chain that broke. How many. Run from time to time."""
    now = to_micros(buying.clock.now())
    with buying.db.transaction() as tx:
        late = overdue_notices(tx, now - int(OVERDUE_SECONDS * 1_000_000), WAKE_MAX)
        for notice_id, tries in late:
            jobs.enqueue(tx, FOLLOW, QUEUE, f"notice:{notice_id}:{tries}:{now // 60_000_000}", notice_id, tries)
    return len(late)


def retry_notice(jobs: Jobs, buying: Buying, tx: Tx, notice_id: str) -> str:
    """Look once more for what a notice is about that a human looks at; the state that it comes to. Raises NoticeNotFound."""
    return follow_notice(jobs, buying, tx, notice_id, is_last=True)


def follow_notice(jobs: Jobs, buying: Buying, tx: Tx, notice_id: str, *, is_last: bool = False) -> str:
    """Look for the notice's purchase, and have it looked at; the state that the notice comes to."""
    notice = load_notice(tx, notice_id, lock=True)
    if notice.state not in ("waiting", "review") or (notice.state == "review" and not is_last):
        return str(notice.state)
    now = to_micros(buying.clock.now())
    what = asks_anew(notice.event)
    if what is not None:
        _ask_anew(jobs, tx, notice.supplier_id, what, now)
    if what is not None or (notice.supplier_order_id is None and notice.reference is None):
        end_notice(tx, notice, "done", f"{what.value} asked for" if what is not None else "it is about no order", now)
        return "done"
    attempt = attempt_of(tx, notice)
    if attempt is None or attempt.state is AttemptState.ASKING:
        if notice.state == "review":
            return "review"
        if notice.tries >= len(WAITS_SECONDS):
            end_notice(tx, notice, "review", "nothing was bought here under this number", now)
            return "review"
        _follow_later(jobs, tx, notice, now)
        return "waiting"
    if attempt.is_open and notice.state == "waiting" and (attempt.leased_until or 0) > now:
        _follow_later(jobs, tx, notice, now)  # somebody asks about it now, and may have asked before this was so
        return "waiting"
    if attempt.is_open:
        _look_now(jobs, tx, attempt, notice.event, now)
        end_notice(tx, notice, "done", "the purchase is looked at", now, attempt.id)
        return "done"
    if notice.state == "waiting" and _is_found_again(attempt, notice):
        _take_up(jobs, tx, attempt, notice, now)
        end_notice(
            tx,
            notice,
            "done",
            f"the purchase had been given up ({attempt.state.value}), and is asked about again",
            now,
            attempt.id,
        )
        return "done"
    if notice.is_undone and attempt.state is AttemptState.DELIVERED and notice.state == "waiting":
        end_notice(tx, notice, "review", "it takes back what was delivered here", now, attempt.id)
        return "review"
    if notice.state != "review":
        end_notice(tx, notice, "done", f"the purchase had ended ({attempt.state.value})", now, attempt.id)
        return "done"
    return "review"


def _ask_anew(jobs: Jobs, tx: Tx, supplier_id: str, what: Anew, now: int) -> None:
    """At the end of this span of time, once for all that came in it. Where nothing can be enqueued, the chores ask in their turn."""
    span = SPANS_SECONDS[what] * 1_000_000
    if jobs.is_prepared:
        key, delay = f"anew:{what}:{supplier_id}:{now // span}", (span - now % span) / 1_000_000
        jobs.enqueue(tx, ANEW, QUEUE, key, supplier_id, what.value, delay=delay)


def ask_anew(buying: Buying, audit: AuditLog, jump_bps: int, supplier_id: str, what: str) -> str:
    """Ask a supplier for its balance or its catalog; a word for what came of it."""
    db, clock = buying.db, buying.clock
    with db.read() as tx:
        supplier = find_supplier(tx, supplier_id)
    if supplier is None or supplier.state is not SupplierState.ACTIVE:
        return "not active"
    try:
        able = buying.connectors.abilities(supplier)
        if what == Anew.PRODUCTS:
            snapshot = buying.catalog.refresh()
            sync_supplier(db, clock, audit, buying.connectors, supplier.id, jump_bps=jump_bps, actor="system", snapshot=snapshot)
        elif able.has_balance:
            poll_balance(db, clock, buying.connectors, supplier)
        else:
            return "not told"
    except SourcingError as error:
        log.warning("a supplier could not be asked anew", supplier=supplier.name, reason=error.code)
        return error.code
    return "asked"


def _follow_later(jobs: Jobs, tx: Tx, notice: Any, now: int) -> None:
    wait = WAITS_SECONDS[min(notice.tries, len(WAITS_SECONDS) - 1)]
    put_off(tx, notice, now + wait * 1_000_000)
    if jobs.is_prepared:
        _enqueue(jobs, tx, notice.id, notice.tries + 1, wait)


def _look_now(jobs: Jobs, tx: Tx, seen: Attempt, event: str, now: int) -> None:
    """Let the purchase be looked at, in the order of locks that procurement has: what waits for suppliers first, then the attempt."""
    waiting = [one for one in load_procurements(tx, OrderId(seen.order_id), lock=True) if one.state is not ProcurementState.DONE]
    attempt = load_attempt(tx, seen.id, lock=True)
    if attempt is None or not attempt.is_open or attempt.look_at >= NOT_LOOKED_FOR:  # what must not be looked for is not
        return
    if (attempt.leased_until or 0) > now or attempt.misses:  # a second "no" counts because time lies between the two
        return
    save_attempt(tx, told(replace(attempt, look_at=now), f"the supplier's webhook: {event}", now), from_state=attempt.state)
    for one in waiting:
        if one.line == attempt.line:
            save_procurement(tx, replace(one, wake_at=now))
    if jobs.is_prepared:
        enqueue_now(jobs, tx, attempt.order_id, f"{attempt.id}:{now}")


def _is_found_again(attempt: Attempt, notice: Any) -> bool:
    """Whether what ended without codes seems to be at the supplier after all. An event that itself speaks of an end says nothing new."""
    number = attempt.supplier_order_id or notice.supplier_order_id
    if attempt.state not in GIVEN_UP or number is None or notice.is_undone:
        return False
    return not any(word in notice.event.lower() for word in _ENDS)


def _take_up(jobs: Jobs, tx: Tx, seen: Attempt, notice: Any, now: int) -> None:
    """Ask about a purchase that had been given up, as after a late answer that told its number."""
    order = lock_order(tx, OrderId(seen.order_id))
    waiting = next(one for one in load_procurements(tx, order.id, lock=True) if one.line == seen.line)
    attempt = load_attempt(tx, seen.id, lock=True)
    if attempt is None or attempt.state not in GIVEN_UP:
        return
    again = after_late_answer(attempt, attempt.supplier_order_id or notice.supplier_order_id, now)
    save_attempt(tx, told(again, f"the supplier's webhook: {notice.event}", now), from_state=attempt.state)
    item = next(one for one in order.items if one.line == seen.line)
    settle_item(tx, order, item, waiting, from_micros(now), has_changed=False)
    if jobs.is_prepared:
        enqueue_now(jobs, tx, attempt.order_id, f"{attempt.id}:{now}")


def _enqueue(jobs: Jobs, tx: Tx, notice_id: str, tries: int, wait: float = 0.0) -> None:
    jobs.enqueue(tx, FOLLOW, QUEUE, f"notice:{notice_id}:{tries}", notice_id, tries, delay=wait)
