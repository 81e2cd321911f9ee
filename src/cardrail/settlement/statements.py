"""Statements: drafted at any time, closed when their period is over, read afterwards line by line.

A period's cut is a position (ledger.movements): what commits late, behind the cut, stands in the next statement with its own time. So
nothing can come into a statement after it was closed, and closing needs no lock that an order would wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import structlog

from cardrail.access import get_partner
from cardrail.kernel import (
    CardrailError,
    Clock,
    Mode,
    Page,
    PartnerId,
    from_micros,
    new_event_id,
    new_id,
    rfc3339,
    to_micros,
)
from cardrail.ledger import (
    TRANSFER_SERIES,
    AccountName,
    TransferPurpose,
    WalletMovement,
    first_movement_at,
    is_movement_waiting,
    partner_wallets,
    wallet,
    wallet_cut,
    wallet_movements,
    wallet_sums,
)
from cardrail.orders import load_refund_lines, sold_lines
from cardrail.settlement import store
from cardrail.settlement.errors import (
    InvalidSchedule,
    MovementsWaiting,
    PeriodOpen,
    StatementMismatch,
    StatementNotFound,
)
from cardrail.settlement.model import Seal, Statement, StatementLine, Tally, canonical, canonical_foot, foot_of, head_of
from cardrail.settlement.periods import GRACE, Schedule, period_around, period_end
from cardrail.storage import AuditLog, Database, Finding, Sequencer, Tx, audit_entry, in_tx, insert_events, sequenced_through

DRAFT: Final = "draft"
"""The id of what is not closed yet."""
PAGE: Final = 2_000
"""Movements that are read at a time."""
DEFAULT_SCHEDULE: Final = Schedule.MONTHLY
SUBJECT: Final = "settlement.closed"

log = structlog.get_logger("cardrail.books")


class LineMark(NamedTuple):
    """Where a page of lines ended: all that the next one needs."""

    position: int
    n: int
    balance_minor: int


# --- reading ----------------------------------------------------------------------------------------------------------


def list_statements(
    db: Database,
    partner_id: str | None,
    mode: Mode | None,
    *,
    currency: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[Statement]:
    """Closed statements, newest first; those whose period touches [since, until). ``after`` is where the page before ended."""
    with db.read() as tx:
        found = store.load_page(
            tx,
            partner_id,
            mode,
            currency=currency,
            since=to_micros(since) if since else None,
            until=to_micros(until) if until else None,
            before=after,
            limit=limit + 1,
        )
    page = found[:limit]
    return Page(page, page[-1].id if len(found) > limit else None)


def get_statement(db: Database, statement_id: str, *, partner_id: str | None = None, mode: Mode | None = None) -> Statement:
    """One closed statement; of this partner and mode, where given. Raises StatementNotFound."""
    with db.read() as tx:
        found = store.load_statement(tx, statement_id, partner_id=partner_id, mode=mode)
    if found is None:
        raise StatementNotFound(statement_id=statement_id)
    return found


def draft_statement(db: Database, clock: Clock, partner_id: str, currency: str, mode: Mode) -> Statement:
    """The wallet's present period as it stands, all movements that have a position included. Raises StatementNotFound: never used."""
    with db.read() as tx:
        draft = _open_statement(tx, partner_id, currency, mode, clock.now())
        if draft is None:
            raise StatementNotFound(partner_id=partner_id, currency=currency, mode=mode.value)
        draft = replace(draft, through_position=max(draft.after_position, sequenced_through(tx, "transfers")))
        return _summed(tx, draft)


def statement_lines(
    db: Database, statement: Statement, *, after: LineMark | None = None, limit: int = 50
) -> tuple[list[StatementLine], LineMark | None]:
    """A page of a statement's lines, in their order, and where the next one begins (None at the end)."""
    with db.read() as tx:
        return lines_page(tx, statement, after, limit)


def lines_page(tx: Tx, statement: Statement, after: LineMark | None, limit: int) -> tuple[list[StatementLine], LineMark | None]:
    """Like ``statement_lines``, inside the caller's transaction."""
    mark = after or LineMark(statement.after_position, 0, statement.opening_minor)
    tally = Tally(mark.balance_minor, mark.n)
    found = _movements(tx, statement, mark.position, limit + 1)
    lines = [*_lines_of(tx, found[:limit], tally)]
    more = len(found) > limit
    return lines, LineMark(found[limit - 1].position, tally.count, tally.balance_minor) if more else None


def all_lines(tx: Tx, statement: Statement, tally: Tally | None = None) -> Iterator[StatementLine]:
    """Every line of a statement, streamed: memory does not grow with their number."""
    tally = tally or Tally(statement.opening_minor)
    position = statement.after_position
    while found := _movements(tx, statement, position, PAGE):
        yield from _lines_of(tx, found, tally)
        if len(found) < PAGE:
            return
        position = found[-1].position


def canonical_bytes(tx: Tx, statement: Statement) -> Iterator[bytes]:
    """The statement's canonical form, whose SHA-256 is its hash; streamed."""
    return canonical(head_of(statement), all_lines(tx, statement), foot_of(statement))


def _movements(tx: Tx, one: Statement, after: int, limit: int) -> list[WalletMovement]:
    return wallet_movements(tx, _wallet_of(one), after=after, through=one.through_position, limit=limit)


def _lines_of(tx: Tx, movements: list[WalletMovement], tally: Tally) -> Iterator[StatementLine]:
    ids = {one.order_id for one in movements if one.order_id is not None}
    sold = sold_lines(tx, ids) if ids else {}
    refunded = load_refund_lines(
        tx, {one.order_id for one in movements if one.order_id and one.purpose == TransferPurpose.REFUND.value}
    )
    for one in movements:
        if one.id in refunded:
            one = one._replace(line=refunded[one.id])  # noqa: PLW2901  # the same movement, and which line it gives back
        yield tally.line(one, sold.get(one.order_id, []) if one.order_id is not None else [])


def _wallet_of(one: Statement) -> AccountName:
    return wallet(one.partner_id, one.currency, one.mode)


# --- closing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Closing:
    """What one round of closing came to."""

    closed: list[Statement]
    waiting: int
    """Wallets whose period is over and whose movements are not all sequenced: the next round closes them."""
    failed: list[Finding]
    """Wallets that could not be closed, and why: the next round tries them again."""


def close_due(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    *,
    actor: str = "system",
    partner_id: str | None = None,
    mode: Mode | None = None,
    grace: timedelta = GRACE,
) -> Closing:
    """Close every statement whose period is over, oldest first; periods that were missed are closed one by one.

    It may run twice, also at the same time: a statement is closed once. A wallet that cannot be closed is an error in the log and in the
    result, and keeps no other wallet from being closed.
    """
    now, waiting = clock.now(), 0
    closed: list[Statement] = []
    failed: list[Finding] = []
    with db.read() as tx:
        purses = partner_wallets(tx, partner_id, mode)
    for purse in purses:
        while True:
            try:
                closed.append(
                    close_statement(
                        db, clock, audit, purse.partner_id, purse.currency, purse.mode, actor=actor, grace=grace, now=now
                    )
                )
            except (PeriodOpen, StatementNotFound):
                break
            except MovementsWaiting:
                waiting += 1
                break
            except Exception as error:  # of this wallet only: all others are closed on time
                name = f"{purse.partner_id} {purse.currency} {purse.mode.value}"
                reason = error.code if isinstance(error, CardrailError) else type(error).__name__
                log.error("a statement could not be closed", wallet=name, reason=reason)  # noqa: TRY400  # a trace may hold facts
                failed.append(Finding("closing", name, "a statement that can be closed", reason))
                break
    return Closing(closed, waiting, failed)


def close_statement(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    partner_id: str,
    currency: str,
    mode: Mode,
    *,
    actor: str,
    grace: timedelta = GRACE,
    now: datetime | None = None,
) -> Statement:
    """Close the wallet's next period: read and hash its lines in a read transaction, then write one row, its event and its audit row.

    Raises PeriodOpen, MovementsWaiting, StatementMismatch, and StatementNotFound for a wallet that was never used.
    """
    now = now or clock.now()
    with db.read() as tx:
        one = _open_statement(tx, partner_id, currency, mode, now)
        if one is None:
            raise StatementNotFound(partner_id=partner_id, currency=currency, mode=mode.value)
        if now < one.period_to + grace:
            raise PeriodOpen(until=rfc3339(one.period_to + grace))
        if is_movement_waiting(tx, _wallet_of(one), to_micros(one.period_to)):
            raise MovementsWaiting(partner_id=partner_id)
        cut = wallet_cut(tx, _wallet_of(one), after=one.after_position, moment=to_micros(one.period_to))
        one = _sealed(tx, replace(one, id=new_id("stm"), through_position=cut), now, actor)
    return in_tx(db, lambda tx: _write(tx, audit, one, now, actor))


def sequence_now(db: Database) -> None:
    """Give positions to all that is committed: for a command that closes while no server runs."""
    sequencer = Sequencer(db, [TRANSFER_SERIES], sweep_seconds=0.0)
    while sequencer.run_pass():
        pass


def set_schedule(db: Database, clock: Clock, audit: AuditLog, partner_id: str, schedule: str, *, actor: str) -> Schedule:
    """Close a partner's statements so often; the period at hand ends at the new schedule's next boundary.

    Raises InvalidSchedule, PartnerNotFound.
    """
    if schedule not in set(Schedule):
        raise InvalidSchedule(given=schedule[:40])

    def work(tx: Tx) -> Schedule:
        get_partner(tx, PartnerId(partner_id))
        before = store.load_schedules(tx, [partner_id]).get(partner_id, DEFAULT_SCHEDULE)
        store.save_schedule(tx, partner_id, Schedule(schedule), to_micros(clock.now()))
        details = {"before": before.value, "schedule": schedule}
        audit.append(
            tx,
            [audit_entry(clock.now(), actor, "settlement.scheduled", partner_id, partner_id=partner_id, details=details)],
        )
        return Schedule(schedule)

    return in_tx(db, work)


def get_schedule(tx: Tx, partner_id: str) -> Schedule:
    """How often the partner's statements are closed."""
    return store.load_schedules(tx, [partner_id]).get(partner_id, DEFAULT_SCHEDULE)


def _open_statement(tx: Tx, partner_id: str, currency: str, mode: Mode, now: datetime) -> Statement | None:
    """The wallet's next statement as far as it is known before its movements are read; None if nothing ever moved."""
    schedule, timezone = get_schedule(tx, partner_id), get_partner(tx, PartnerId(partner_id)).timezone
    last = store.load_last(tx, partner_id, currency, mode)
    if last is not None:
        begin = last.period_to
    else:
        first = first_movement_at(tx, wallet(partner_id, currency, mode))
        if first is None:
            return None
        begin = period_around(from_micros(first), schedule, timezone)[0]
    return Statement(
        id=DRAFT,
        partner_id=partner_id,
        currency=currency,
        mode=mode,
        number=last.number + 1 if last else 1,
        period_from=begin,
        period_to=period_end(begin, schedule, timezone),
        timezone=timezone,
        schedule=schedule,
        after_position=last.through_position if last else 0,
        through_position=last.through_position if last else 0,
        opening_minor=last.closing_minor if last else 0,
        opening_held_minor=last.closing_held_minor if last else 0,
        closing_minor=0,
        closing_held_minor=0,
        movements=0,
        totals={},
        taxes=[],
        previous_id=last.id if last else None,
        previous_hash=last.hash if last else None,
        hash=None,
        closed_at=None,
        closed_by=None,
    )


def _summed(tx: Tx, one: Statement) -> Statement:
    """The statement with its sums, from its movements."""
    tally = Tally(one.opening_minor)
    for _ in all_lines(tx, one, tally):
        pass
    return _with_sums(tx, one, tally)


def _with_sums(tx: Tx, one: Statement, tally: Tally) -> Statement:
    """The sums that were counted line by line, held against those that the database makes. Raises StatementMismatch."""
    sums = wallet_sums(tx, _wallet_of(one), after=one.after_position, through=one.through_position)
    if (tally.balance_minor, tally.count) != (one.opening_minor + sums.change_minor, sums.movements):
        raise StatementMismatch(partner_id=one.partner_id, currency=one.currency, number=one.number)
    return replace(
        one,
        closing_minor=tally.balance_minor,
        closing_held_minor=one.opening_held_minor + sums.held_minor,
        movements=tally.count,
        totals=tally.sorted_totals,
        taxes=tally.taxes,
    )


def _sealed(tx: Tx, one: Statement, now: datetime, actor: str) -> Statement:
    """The statement with its sums and its hash: one pass over its lines."""
    tally, seal = Tally(one.opening_minor), Seal()
    parts = canonical(head_of(one), all_lines(tx, one, tally), foot_of(one))
    last = b""
    for part in parts:  # all but the foot, whose figures are known only behind the last line
        seal.add(last)
        last = part
    one = _with_sums(tx, one, tally)
    seal.add(canonical_foot(one))
    return replace(one, hash=seal.hex, closed_at=now, closed_by=actor)


def _write(tx: Tx, audit: AuditLog, one: Statement, now: datetime, actor: str) -> Statement:
    if not store.insert_statement(tx, one):
        found = store.load_numbered(tx, one.partner_id, one.currency, one.mode, one.number)
        assert found is not None
        return found
    facts = {
        "currency": one.currency,
        "number": one.number,
        "period_from": rfc3339(one.period_from),
        "period_to": rfc3339(one.period_to),
        "closing_minor": one.closing_minor,
        "movements": one.movements,
        "hash": one.hash,
    }
    data = msgspec.json.encode(facts).decode()
    insert_events(
        tx,
        [
            (
                new_event_id(),
                SUBJECT,
                one.partner_id,
                one.mode.value,
                one.id,
                1,
                "draft",
                "closed",
                None,
                actor,
                to_micros(now),
                data,
            )
        ],
    )
    audit.append(tx, [audit_entry(now, actor, SUBJECT, one.id, partner_id=one.partner_id, details=facts)])
    return one


# --- proof ------------------------------------------------------------------------------------------------------------


def hash_of(tx: Tx, one: Statement) -> str:
    """The hash of a statement, computed again from the ledger."""
    seal = Seal()
    for part in canonical_bytes(tx, one):
        seal.add(part)
    return seal.hex
