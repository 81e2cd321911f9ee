"""The background work of orders: thin, each job calls one use case.

A job here has no steps of its own: ``procure_order`` keeps all that it knows in its own rows and may be begun again anywhere, so
remembering steps a second time would only cost commits. What the lane placed together is one job, which visits its orders side by side;
a process that dies in it leaves the job to be run again, and each order is found where it stands. An order that waits is a chain of
visits, each a job with a delay; a chain that broke is found by ``wake_orders`` and taken up again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from cardrail.jobs import Jobs, Queue
from cardrail.kernel import OrderId, to_micros
from cardrail.orders.buying import Buying
from cardrail.orders.procure import procure_order
from cardrail.orders.replacements.desk import ReplacementDesk
from cardrail.orders.replacements.pursue import pursue_replacement
from cardrail.sourcing import overdue
from cardrail.storage import Tx

log = structlog.get_logger("cardrail.procure")

QUEUE: Final = "procure"
REPLACE_QUEUE: Final = "replace"
REPLACE: Final = "order.replace_code"
REPLACE_CONCURRENCY: Final = 8
REPLACE_POLL_SECONDS: Final = 0.2
PROCURE: Final = "order.procure"
PROCURE_BATCH: Final = "order.procure_batch"

CONCURRENCY: Final = 48
POLL_SECONDS: Final = 0.1
OVERDUE_SECONDS: Final = 20.0
CHAINED_SECONDS: Final = 15.0
"""A claim that is to be looked at sooner than this has a job of its own; the others wait for the next ``wake_replacements``."""
CHAIN_MAX: Final = 50
WAKE_MAX: Final = 500
NEVER_BEHIND: Final = 1 << 40
"""The round of a visit that is not turned away because another has been there since."""


def register_jobs(jobs: Jobs, buying: Buying) -> None:
    """Tell what there is to do for orders that wait for suppliers."""
    jobs.add_queue(Queue(QUEUE, worker_concurrency=CONCURRENCY, polling_seconds=POLL_SECONDS))
    hands = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="cardrail-buy")

    def visit(order_id: str, round_: int) -> None:
        rest = procure_order(buying, OrderId(order_id), round_)
        if rest.until is not None:
            wait = max(0.0, (rest.until - to_micros(buying.clock.now())) / 1_000_000)
            buying.write(lambda tx: _enqueue_visit(jobs, tx, order_id, rest.round, wait))

    def try_visit(order_id: str) -> None:
        try:
            visit(order_id, 0)
        except Exception as error:  # ``wake_orders`` takes it up again; its neighbours go on
            log.error("an order's visit failed", order_id=order_id, error=type(error).__name__)  # noqa: TRY400  # values in its text

    @jobs.workflow(PROCURE)
    def procure(order_id: str, round_: int) -> None:
        visit(order_id, round_)

    @jobs.workflow(PROCURE_BATCH)
    def procure_batch(order_ids: list[str]) -> None:
        list(hands.map(try_visit, order_ids))


def register_replacements(jobs: Jobs, desk: ReplacementDesk) -> None:
    """Tell what there is to do for claims: a chain of visits, each a job with a delay. ``wake_replacements`` takes up a broken one."""
    jobs.add_queue(Queue(REPLACE_QUEUE, worker_concurrency=REPLACE_CONCURRENCY, polling_seconds=REPLACE_POLL_SECONDS))
    enqueue = replace_with(jobs)

    @jobs.workflow(REPLACE)
    def pursue(replacement_id: str, round_: int) -> None:
        until = pursue_replacement(desk, replacement_id)
        wait = None if until is None else (until - to_micros(desk.clock.now())) / 1_000_000
        if wait is not None and wait < CHAINED_SECONDS and round_ < CHAIN_MAX:  # what is later is found by ``wake_replacements``
            desk.buying.write(lambda tx: enqueue(tx, replacement_id, round_ + 1, max(0.0, wait)))


def replace_with(jobs: Jobs) -> Callable[[Tx, str, int, float], None]:
    """What a claim's own transaction calls. Where nothing is prepared to enqueue, ``wake_replacements`` finds the claims."""

    def enqueue(tx: Tx, replacement_id: str, round_: int, wait: float) -> None:
        if jobs.is_prepared:
            jobs.enqueue(tx, REPLACE, REPLACE_QUEUE, f"replace:{replacement_id}:{round_}", replacement_id, round_, delay=wait)

    return enqueue


def begin_with(jobs: Jobs) -> Callable[[Tx, Sequence[OrderId]], None]:
    """What the lane calls in its transaction. Where nothing is prepared to enqueue, ``wake_orders`` finds the orders."""

    def begin(tx: Tx, orders: Sequence[OrderId]) -> None:
        if not jobs.is_prepared:
            return
        if len(orders) == 1:
            _enqueue_visit(jobs, tx, orders[0], 0)
        else:
            jobs.enqueue(tx, PROCURE_BATCH, QUEUE, f"orders:{orders[0]}", list(orders))

    return begin


def wake_orders(jobs: Jobs, buying: Buying) -> int:
    """Take up the orders whose next visit is overdue; how many. Run from time to time."""
    now = to_micros(buying.clock.now())
    with buying.db.transaction() as tx:
        late = overdue(tx, now - int(OVERDUE_SECONDS * 1_000_000), WAKE_MAX)
        for order_id, round_ in late:
            jobs.enqueue(tx, PROCURE, QUEUE, f"order:{order_id}:{round_}:{now // 60_000_000}", order_id, round_)
    return len(late)


def enqueue_now(jobs: Jobs, tx: Tx, order_id: str, because: str) -> None:
    """A visit out of turn. ``because`` names it, so that the same cause makes one visit. It looks at the order however often others did."""
    jobs.enqueue(tx, PROCURE, QUEUE, f"order:{order_id}:{because}", order_id, NEVER_BEHIND)


def _enqueue_visit(jobs: Jobs, tx: Tx, order_id: str, round_: int, wait: float = 0.0) -> None:
    jobs.enqueue(tx, PROCURE, QUEUE, f"order:{order_id}:{round_}", order_id, round_, delay=wait)
