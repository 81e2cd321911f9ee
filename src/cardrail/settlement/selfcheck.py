"""The daily proof that orders, ledger, vault, suppliers and statements tell one story; what differs is told at once, rows named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from cardrail.kernel import Clock, Mode, new_event_id, to_micros
from cardrail.orders import all_checks, sold_lines
from cardrail.settlement.statements import close_due
from cardrail.settlement.verify import STATEMENT_CHECKS
from cardrail.sourcing import all_purchases
from cardrail.storage import AuditLog, Check, Database, Finding, Tx, events, insert_events

NAMED: Final = 20
"""Findings that the log and the event name; `cardrail verify` names them all."""
SUBJECT: Final = "books"

log = structlog.get_logger("cardrail.books")


def _purchases(tx: Tx) -> Iterator[tuple[str, str, str]]:
    """What was bought on demand was bought for a line that exists, and for no other mode."""
    for chunk in all_purchases(tx):
        lines = sold_lines(tx, {one.order_id for one in chunk})
        for one in chunk:
            if one.line not in {line.line for line in lines.get(one.order_id, [])}:
                yield one.attempt_id, f"line {one.line} of {one.order_id}, which it was made for", "there is no such line"


PURCHASE_CHECKS: Final = (Check("purchases", "Everything bought on demand was bought for an order", _purchases),)


def book_checks(audit: AuditLog) -> tuple[Check, ...]:
    """Everything that `cardrail verify` and the daily self-check run, in their order."""
    return (*all_checks(audit), *PURCHASE_CHECKS, *STATEMENT_CHECKS)


def self_check(db: Database, clock: Clock, audit: AuditLog) -> list[Finding]:
    """Run all checks on one consistent look at the database. What is found becomes lines in the log and the event books.drift."""
    with db.read() as tx:
        found = [finding for check in book_checks(audit) for finding in check.run(tx)]
    if not found:
        with db.transaction() as tx:
            _tell_agreement(tx, to_micros(clock.now()))
        return found
    for one in found[:NAMED]:
        log.error("the books do not agree", check=one.check, subject=one.subject, expected=one.expected, found=one.found)
    if len(found) > NAMED:
        log.error("more findings than are named here: run cardrail verify", findings=len(found))
    with db.transaction() as tx:
        _tell(tx, found, to_micros(clock.now()))
    return found


def close_and_tell(db: Database, clock: Clock, audit: AuditLog) -> str:
    """Close what is due; wallets that could not be closed become the event books.drift. How many closed and failed; empty: none was due."""
    done = close_due(db, clock, audit)
    if done.failed:
        with db.transaction() as tx:
            _tell(tx, done.failed, to_micros(clock.now()))
    return f"{len(done.closed)} closed, {len(done.failed)} failed" if done.closed or done.failed else ""


_LAST: Final = sa.select(sa.func.coalesce(sa.func.max(events.c.subject_seq), 0)).where(events.c.subject_id == SUBJECT)


_NEWEST: Final = sa.select(events.c.type).where(events.c.subject_id == SUBJECT).order_by(events.c.subject_seq.desc()).limit(1)


def _tell_agreement(tx: Tx, now: int) -> None:
    """After a drift: that all agrees again. Else it is nothing to tell."""
    if tx.execute(_NEWEST).scalar() != "books.drift":
        return
    step = int(tx.execute(_LAST).scalar_one()) + 1
    insert_events(
        tx, [(new_event_id(), "books.agree", None, Mode.LIVE.value, SUBJECT, step, None, None, None, "system", now, None)]
    )


def _tell(tx: Tx, found: list[Finding], now: int) -> None:
    """One event for the operator, with the first rows by name."""
    data: dict[str, Any] = {
        "findings": len(found),
        "checks": sorted({one.check for one in found}),
        "rows": [{"check": one.check, "subject": one.subject} for one in found[:NAMED]],
    }
    step = int(tx.execute(_LAST).scalar_one()) + 1
    text = msgspec.json.encode(data).decode()
    insert_events(
        tx, [(new_event_id(), "books.drift", None, Mode.LIVE.value, SUBJECT, step, None, None, None, "system", now, text)]
    )
