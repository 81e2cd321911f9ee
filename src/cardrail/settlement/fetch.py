"""A supplier's statement over its protocol instead of by a file: asked for, summed up order by order, imported like any other.

A ledger has a line for each movement, a purchase of ours is one thing: what was charged and given back under one order is one line here.
The supplier notes an order a moment after we asked, so a little more than the period is asked for, and of that only what belongs to
purchases of the period is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from cardrail.kernel import CardrailError, Clock, rfc3339, to_micros
from cardrail.settlement import reconcile_store as store
from cardrail.settlement.errors import InvalidPeriod, StatementImported
from cardrail.settlement.match import FREE, PurchaseState, TheirLine
from cardrail.settlement.read_statement import BadStatementLine
from cardrail.settlement.reconcile import ImportedStatement, import_lines, our_states, run_matching
from cardrail.settlement.reconcile_store import SupplierStatement
from cardrail.sourcing import (
    Connectors,
    Supplier,
    SupplierState,
    get_supplier,
    list_suppliers,
    load_health,
    supplier_lines,
    tell_supplier,
)
from cardrail.sourcing import StatementLine as SupplierLine
from cardrail.storage import AuditLog, Database, Tx

log = structlog.get_logger("cardrail.settlement")

SLACK: Final = timedelta(hours=1)
"""How much later than we asked a supplier may note an order."""
DAYS_MAX: Final = 7
"""How many days back the nightly run makes up for what it missed."""
ACTOR: Final = "system"
_CHARGES: Final = frozenset({"order", "refund"})


@dataclass(slots=True)
class _Sum:
    """What a supplier says of one order, all its movements together."""

    number: int
    at: datetime
    reference: str | None
    supplier_order_id: str | None
    charged: int = 0
    returned: int = 0
    is_inside: bool = False


def fetch_statement(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    connectors: Connectors,
    name_or_id: str,
    since: datetime,
    until: datetime,
    *,
    refuse_bad: bool = True,
    actor: str,
) -> ImportedStatement:
    """Ask a supplier what we bought in [since, until), and take it as a statement that can be matched. Nothing is booked.

    Deposits are passed over. A charge that names no order is a line of its own, which nobody knows here: that is a difference. Raises
    SupplierNotFound, NotSupported, SupplierError's kinds, InvalidPeriod, BadLines, StatementImported (the same was taken before).
    """
    if since >= until:
        raise InvalidPeriod(since=rfc3339(since), until=rfc3339(until))
    with db.read() as tx:
        supplier = get_supplier(tx, name_or_id)
    told = supplier_lines(connectors, supplier, since, until + SLACK)
    found = list(_purchases(db, supplier, told, since, until))
    period = to_micros(since), to_micros(until)
    return import_lines(
        db,
        clock,
        audit,
        found,
        supplier=supplier.name,
        currency=supplier.currency,
        name=f"{rfc3339(since)} to {rfc3339(until)}, by {supplier.kind}",
        content_hash=_mark(found, supplier, period),
        mode=supplier.mode,
        since=period[0],
        until=period[1],
        refuse_bad=refuse_bad,
        may_be_empty=True,
        actor=actor,
    )


def fetch_yesterday(db: Database, clock: Clock, audit: AuditLog, connectors: Connectors) -> int:
    """The UTC day that is over, of every active supplier that has a statement: fetched and matched; how many days were.

    Days of the last week that are missing, because the supplier did not answer then or no worker ran, are made up for. One that does not
    answer keeps nobody from the next. What differs becomes the event supplier.statement_differs.
    """
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    with db.read() as tx:
        active = [one for one in list_suppliers(tx) if one.state is SupplierState.ACTIVE]
    count = 0
    for one in active:
        try:
            if not connectors.of(one).capabilities.has_statement:
                continue
            for day in range(1, DAYS_MAX + 1):
                until = midnight - timedelta(days=day - 1)
                if to_micros(until) <= one.created_at:
                    break
                count += _fetch_day(db, clock, audit, connectors, one, until)
        except CardrailError as error:
            log.warning("a supplier's statement could not be fetched", supplier=one.name, reason=error.code)
    return count


def _fetch_day(db: Database, clock: Clock, audit: AuditLog, connectors: Connectors, one: Supplier, until: datetime) -> int:
    """Fetch the day that ends then and match it, unless that was done; how many times. Raises as ``fetch_statement`` does."""
    since = until - timedelta(days=1)
    with db.read() as tx:
        known = store.of_period(tx, one.name, to_micros(since), to_micros(until), ACTOR)
    if known is not None and known.state == "matched":
        return 0
    try:
        known = (
            known or fetch_statement(db, clock, audit, connectors, one.id, since, until, refuse_bad=False, actor=ACTOR).statement
        )
    except StatementImported:  # by hand, who then saw what differs
        return 0
    _tell(db, clock, one, run_matching(db, clock, audit, known.id, actor=ACTOR))
    return 1


def _tell(db: Database, clock: Clock, supplier: Supplier, done: SupplierStatement) -> None:
    """Differences wait for a person: the operator is told, of all that are open with this supplier."""
    counts = {kind: count for kind, count in done.counts.items() if count and kind != "equal"}
    if not counts and not done.refused:
        return
    log.warning("a supplier's statement differs", supplier=supplier.name, statement=done.id, refused=done.refused, **counts)
    with db.transaction() as tx:
        load_health(tx, supplier.id, lock=True)
        still = store.open_counts(tx, supplier.name, supplier.mode)
        data = {
            "statement_id": done.id,
            "differences": sum(still.values()),
            "kinds": ", ".join([f"{kind} {count}" for kind, count in still.items()]) or "none",
            "left_out": done.refused,
        }
        tell_supplier(tx, "supplier.statement_differs", supplier.id, supplier.mode.value, to_micros(clock.now()), data)


def differing_suppliers(tx: Tx) -> set[str]:
    """Those of whom a difference waits for a decision, or whose newest statement has lines that could not be taken; by id."""
    return {
        one.id
        for one in list_suppliers(tx)
        if store.open_counts(tx, one.name, one.mode) or store.left_out(tx, one.name, one.mode)
    }


def _purchases(
    db: Database, supplier: Supplier, told: Iterable[SupplierLine], since: datetime, until: datetime
) -> Iterator[TheirLine | BadStatementLine]:
    """A line for each order, in the order of their first movements."""
    sums: dict[str, _Sum] = {}
    by_theirs = True
    for number, one in enumerate(told, 1):
        is_inside = since <= one.at < until
        if one.kind not in _CHARGES and not (one.kind == "other" and one.amount.minor > 0):
            continue
        if one.amount.currency.code != supplier.currency:
            if is_inside:
                yield BadStatementLine(number, "currency", f"{one.amount.currency.code}, where {supplier.currency} is expected")
            continue
        key = one.supplier_order_id or one.reference
        by_theirs = by_theirs and (one.supplier_order_id is not None or key is None)
        found = sums.setdefault(key or f"line-{number}", _Sum(number, one.at, one.reference, one.supplier_order_id))
        found.is_inside = found.is_inside or is_inside
        found.charged += max(one.amount.minor, 0)
        found.returned -= min(one.amount.minor, 0)
    if not by_theirs:
        sums = _by_reference(sums.values())
    ours = our_states(db, supplier, sums, by_theirs=by_theirs)
    for key, found in sums.items():
        known = ours.get(key)
        if not found.is_inside and (known is None or not to_micros(since) <= known.asked_at < to_micros(until)):
            continue
        state = PurchaseState.DELIVERED if found.charged > found.returned else PurchaseState.REFUNDED
        if state is PurchaseState.REFUNDED and known is not None and known.state in FREE:
            state = known.state  # a charge and its return do not tell whether something came in between
        yield TheirLine(
            key=key,
            line=found.number,
            amount_minor=found.charged - found.returned if state is PurchaseState.DELIVERED else found.charged,
            state=state,
            our_reference=found.reference if by_theirs else key,
            their_reference=found.supplier_order_id,
            at=to_micros(found.at),
        )


def _by_reference(sums: Iterable[_Sum]) -> dict[str, _Sum]:
    """The same sums by our reference: two orders under one were charged twice, and a return may name the reference alone."""
    found: dict[str, _Sum] = {}
    for one in sums:
        first = found.setdefault(one.reference or f"line-{one.number}", one)
        if first is not one:
            first.charged += one.charged
            first.returned += one.returned
            first.is_inside = first.is_inside or one.is_inside
            first.supplier_order_id = first.supplier_order_id or one.supplier_order_id
    return found


def _mark(found: Iterable[TheirLine | BadStatementLine], supplier: Supplier, period: tuple[int, int]) -> str:
    """What makes two statements the same one."""
    made = hashlib.sha256(f"{supplier.id} {period[0]} {period[1]}".encode())
    for one in found:
        words = (one.key, one.amount_minor, one.state.value) if isinstance(one, TheirLine) else (one.line, one.problem)
        made.update(repr(words).encode())
    return made.hexdigest()
