"""After a restore: frozen until the restored database has been told what was sold after its backup was taken.

What the backup does not know cannot be sold again, so a range of codes that the journal names and the database has not allocated leaves
the stock for good, and its cost is written off. The orders themselves are gone: the report names them with their charge, because what
the partner paid for them is back in his wallet, and somebody has to talk to him.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from cardrail.kernel import Clock, Mode, OrderId, to_micros
from cardrail.ledger import Purpose, TransferPurpose, book
from cardrail.orders import journal_store, store
from cardrail.orders.errors import ImportedWhileFrozen
from cardrail.orders.replacements.held import with_successors
from cardrail.sourcing import (
    NOT_LOOKED_FOR,
    Attempt,
    AttemptState,
    ProcurementState,
    insert_attempt,
    is_match_taken,
    load_attempt,
    load_attempts,
    load_procurements,
    save_attempt,
    save_procurement,
    told,
    unresolved_matches,
)
from cardrail.storage import (
    AuditEntry,
    AuditLog,
    BackupInfo,
    Database,
    JournalAttempt,
    JournalEntry,
    NotRestored,
    Tx,
    all_restores,
    audit_entry,
    close_restores,
    mark_restored,
    open_restores,
)
from cardrail.vault import (
    Lot,
    LotKind,
    LotState,
    cost_of,
    list_lots,
    load_lots,
    merge_spans,
    revoke_spans,
    set_frozen,
    withdraw_codes,
)

T = TypeVar("T")

Span = tuple[int, int]
"""(first seq, the first seq that is not in it any more)."""

MARGIN: Final = timedelta(hours=1)
"""How long before the backup journals are read from: clocks differ, and an order is committed after its line's moment."""

RESTORED_DEADLINE: Final = timedelta(hours=2)
"""How long a purchase that only the journal knows is asked about before a human is."""

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class LostOrder:
    """An order that somebody was answered for and this database does not have."""

    order_id: str
    partner_id: str
    currency: str
    charged_minor: int
    placed_at: int
    """Microseconds."""
    codes: int


@dataclass(frozen=True, slots=True)
class HeldCodes:
    """Codes that an order of this database holds, and that were sold to somebody else after the backup."""

    order_id: str
    partner_id: str
    lot_id: str
    codes: int


@dataclass(slots=True)
class Release:
    """What a release did, or would do."""

    taken_at: datetime
    """When the oldest backup was taken that the database came from."""
    lost_orders: list[LostOrder] = field(default_factory=list)
    codes_sold: int = 0
    """Codes that the journal says were sold and the database does not."""
    codes_withdrawn: int = 0
    """How many of them were still in stock here, and are not any more."""
    written_off: dict[str, int] = field(default_factory=dict)
    """What those had cost, by currency."""
    unknown_lots: dict[str, list[Span]] = field(default_factory=dict)
    """Sold codes of lots that were imported after the backup: their file must not be imported again as it is."""
    codes_revoked: int = 0
    """How many of the sold codes were marked now, wherever they are: they are never sold or shown again."""
    held: list[HeldCodes] = field(default_factory=list)
    """Orders that do not show these codes any more, because another order got them."""
    imported_since: list[str] = field(default_factory=list)
    """Live lots imported since the restore, where ``unknown_lots`` says that they may hold sold codes."""
    attempts_restored: int = 0
    """Purchases made after the backup, for orders that are here: they are asked about now, and not bought again."""
    attempts_lost: list[JournalAttempt] = field(default_factory=list)
    """Purchases made after the backup for orders that are gone: their codes are at the supplier, under these references."""
    slices_released: int = 0
    was_frozen: bool = True
    is_released: bool = False


def freeze_restored(db: Database, clock: Clock, audit: AuditLog, backup: BackupInfo, *, actor: str) -> int:
    """Freeze a restored working copy before anybody can use it; returns how many slices of live stock that stops.

    Its sold codes may all have been seen since the backup, whatever its rows say: none of them may go back to stock unseen.
    """
    now = clock.now()
    with db.transaction() as tx:
        mark_restored(tx, backup.taken_at, now)
        frozen = set_frozen(tx, Mode.LIVE, is_frozen=True)
        revealed = journal_store.mark_all_revealed(tx, to_micros(now))
        details = {"taken_at": backup.taken_at.isoformat(), "slices_frozen": frozen, "orders_taken_as_revealed": revealed}
        audit.append(tx, [audit_entry(now, actor, "database.restored", details=details)])
    return frozen


def journal_since(db: Database) -> datetime:
    """From when on journals matter to this database. Raises NotRestored."""
    with db.read() as tx:
        return _taken_at(tx) - MARGIN


def release_restored(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    entries: Iterable[JournalEntry] | None,
    *,
    node: str,
    actor: str,
    dry_run: bool = False,
    accept_imports: bool = False,
    attempts: Iterable[JournalAttempt] = (),
) -> Release:
    """Take out of stock what the journal's entries say was sold, write its cost off, and let the rest be sold again.

    ``entries`` None releases without a journal: whatever was sold after the backup may be sold a second time. Releasing again, or with
    a journal that is found later, takes out only what is still there.

    Raises NotRestored; ImportedWhileFrozen where a file was imported since the restore and the journal knows sold codes of files that
    this database does not have (``accept_imports``: it is not one of those).
    """
    now = clock.now()
    try:
        with db.transaction() as tx:
            if entries is None:
                _set_aside(tx, None, to_micros(now))
            report = _release(tx, entries or (), attempts, node=node, now=now, actor=actor)
            if report.imported_since and not (dry_run or accept_imports):
                raise ImportedWhileFrozen(lots=", ".join(report.imported_since), option="--accept-imports")
            audit.append(tx, [_audit(report, now, actor, with_journal=entries is not None)])
            if dry_run:
                raise _Rehearsed(report)  # noqa: TRY301  # raising is how a transaction is rolled back
    except _Rehearsed as rehearsal:
        return rehearsal.report
    report.is_released = True
    return report


class _Rehearsed(Exception):
    """Rolls a dry run back."""

    def __init__(self, report: Release) -> None:
        super().__init__()
        self.report = report


def _release(
    tx: Tx, entries: Iterable[JournalEntry], attempts: Iterable[JournalAttempt], *, node: str, now: datetime, actor: str
) -> Release:
    report = Release(_taken_at(tx), was_frozen=bool(open_restores(tx)))
    sold = _unknown_sales(tx, entries, report)
    for ids in _chunks(sorted(sold)):
        lots = load_lots(tx, ids)
        for lot_id in ids:
            lot = lots.get(lot_id)
            if lot is None or lot.state is not LotState.OPEN:
                report.unknown_lots[lot_id] = merge_spans(sold[lot_id])
            elif lot.kind is not LotKind.BOUND:
                spans = [(first, min(end, lot.count)) for first, end in sold[lot_id] if first < lot.count]
                _withdraw(tx, lot, spans, report, node=node, now=now)
                _revoke(tx, lot, spans, report, now=now, actor=actor)
            # A code bought on demand is bound in the transaction that writes it. Those that the database does not know of are lost with
            # that, and what such a lot has in their places since, or will have, are other codes, of other orders.
    if report.unknown_lots and report.was_frozen:
        since = to_micros(min(one.restored_at for one in open_restores(tx)))
        report.imported_since = [lot.id for lot in list_lots(tx, state=LotState.OPEN) if _may_hold_sold_codes(lot, since)]
    _restore_attempts(tx, attempts, report, to_micros(now))
    report.slices_released = set_frozen(tx, Mode.LIVE, is_frozen=False)
    close_restores(tx, now)
    return report


def _restore_attempts(tx: Tx, attempts: Iterable[JournalAttempt], report: Release, now: int) -> None:
    """Purchases that the database does not know: unknown ones, which are asked about before anything is bought again."""
    lines = {one.attempt_id: one for one in attempts if one.mode == Mode.LIVE.value}
    news = [one for one in lines.values() if load_attempt(tx, one.attempt_id) is None]
    alike = Counter(_match_of(one) for one in news)
    alike.update(_set_aside(tx, set(alike), now))
    for one in news:
        waiting = [found for found in load_procurements(tx, one.order_id, lock=True) if found.line == one.line]
        if not waiting:
            report.attempts_lost.append(one)
            continue
        known = [found.n for found in load_attempts(tx, one.order_id) if found.line == one.line]
        attempt = _unknown_attempt(one, 1 + max(known, default=0), now)
        if one.match_key is not None and not is_match_taken(tx, one.match_key):
            attempt = replace(attempt, match_key=one.match_key)
        if one.match_key is not None and alike[_match_of(one)] > 1:
            attempt = _not_looked_for(attempt, now)
        insert_attempt(tx, attempt)
        state = ProcurementState.REVIEW if waiting[0].state is ProcurementState.DONE else ProcurementState.BUYING
        save_procurement(tx, replace(waiting[0], state=state, wake_at=now))
        report.attempts_restored += 1


def _set_aside(tx: Tx, alike: set[str] | None, now: int) -> list[str]:
    """Leave to a human what is looked for by match where an equal order is at the supplier that the rows do not know.

    What a look found could be that other order's. None: without a journal nobody knows what is there. Returns their keys.
    """
    found = [one for one in unresolved_matches(tx) if alike is None or one.match_key in alike]
    for one in found:
        save_attempt(tx, _not_looked_for(one, now), from_state=one.state)
        for waiting in load_procurements(tx, one.order_id, lock=True):
            if waiting.line == one.line and waiting.state is not ProcurementState.DONE:
                save_procurement(tx, replace(waiting, wake_at=now))
    return [one.match_key for one in found if one.match_key is not None]


def _not_looked_for(one: Attempt, now: int) -> Attempt:
    aside = replace(one, state=AttemptState.UNKNOWN, answered_at=one.answered_at or now, look_at=NOT_LOOKED_FOR, deadline_at=now)
    return told(aside, "after the restore it cannot be told from another order like it: a human decides", now)


def _match_of(one: JournalAttempt) -> str:
    return f"{one.supplier_id}|{one.supplier_sku}|{one.face_minor}|{one.quantity}"


def _unknown_attempt(one: JournalAttempt, n: int, now: int) -> Attempt:
    return Attempt(
        id=one.attempt_id,
        order_id=one.order_id,
        line=one.line,
        n=n,
        mode=Mode(one.mode),
        supplier_id=one.supplier_id,
        supplier_sku=one.supplier_sku,
        denomination_id=one.denomination_id,
        face_minor=one.face_minor,
        quantity=one.quantity,
        reference=one.attempt_id,
        state=AttemptState.UNKNOWN,
        max_cost_minor=one.max_cost_minor,
        expected_cost_minor=one.expected_cost_minor,
        cost_currency=one.cost_currency,
        asked_at=one.at,
        answered_at=one.at,
        look_at=now,
        deadline_at=now + RESTORED_DEADLINE // timedelta(microseconds=1),
        story=((one.at, "asked"), (now, "known from the journal only: the database was restored from an older backup")),
    )


def _taken_at(tx: Tx) -> datetime:
    """The moment that this database is behind since: of the oldest restore that is open, or of the last one."""
    still_open = open_restores(tx)
    if still_open:
        return min(one.taken_at for one in still_open)
    every = all_restores(tx)
    if not every:
        raise NotRestored
    return every[-1].taken_at


def _unknown_sales(tx: Tx, entries: Iterable[JournalEntry], report: Release) -> dict[str, list[Span]]:
    """By lot, the codes of live orders that the database has not allocated to them; the orders go into the report."""
    sold: dict[str, list[Span]] = {}
    lost: dict[str, LostOrder] = {}
    for chunk in _chunks(one for one in entries if one.mode == Mode.LIVE.value):
        known = {order.id: order for order in store.load_orders(tx, [OrderId(one.order_id) for one in chunk])}
        with_successors(tx, known.values(), keep_replaced=True)
        for entry in chunk:
            order = known.get(OrderId(entry.order_id))
            here = {(one.lot_id, one.first_seq) for item in order.items for one in item.allocations} if order else set()
            missing = [one for one in entry.ranges if (one[0], one[1]) not in here]
            for lot_id, first, count in missing:
                sold.setdefault(lot_id, []).append((first, first + count))
            if missing or order is None:
                codes = sum(count for _, _, count in missing)
                lost[entry.order_id] = LostOrder(
                    entry.order_id, entry.partner_id, entry.currency, entry.charged_minor, entry.at, codes
                )
    report.lost_orders = sorted(lost.values(), key=lambda one: one.order_id)
    report.codes_sold = sum(end - first for spans in sold.values() for first, end in merge_spans(spans))
    return sold


def _withdraw(tx: Tx, lot: Lot, spans: list[Span], report: Release, *, node: str, now: datetime) -> None:
    gone = withdraw_codes(tx, lot.id, spans)
    cost = sum(cost_of(lot, first, end - first) for first, end in gone)
    report.codes_withdrawn += sum(end - first for first, end in gone)
    if not cost or not lot.cost_currency:
        return
    report.written_off[lot.cost_currency] = report.written_off.get(lot.cost_currency, 0) + cost
    book(
        tx,
        debit=Purpose.WRITE_OFFS,
        credit=Purpose.STOCK,
        amount_minor=cost,
        currency=lot.cost_currency,
        mode=lot.mode,
        node=node,
        purpose=TransferPurpose.WRITE_OFF,
        now=now,
        reference=lot.id,
    )


def _revoke(tx: Tx, lot: Lot, spans: list[Span], report: Release, *, now: datetime, actor: str) -> None:
    """Mark the sold codes, also those that are in no slice: a blocked one could be unblocked, one of an order here be shown."""
    report.codes_revoked += revoke_spans(tx, lot, spans, actor=actor, at=to_micros(now))
    if lot.kind is LotKind.SHARED:
        return
    found: dict[tuple[str, str], int] = {}
    for first, end in merge_spans(spans):
        for order_id, partner_id, codes in journal_store.holders(tx, lot.id, first, end):
            found[order_id, partner_id] = found.get((order_id, partner_id), 0) + codes
    report.held += [HeldCodes(*who, lot.id, codes) for who, codes in sorted(found.items())]


def _may_hold_sold_codes(lot: Lot, since: int) -> bool:
    return lot.mode is Mode.LIVE and lot.kind is LotKind.STOCK and lot.created_at >= since


def _audit(report: Release, now: datetime, actor: str, *, with_journal: bool) -> AuditEntry:
    details = {
        "taken_at": report.taken_at.isoformat(),
        "with_journal": with_journal,
        "orders_lost": len(report.lost_orders),
        "codes_withdrawn": report.codes_withdrawn,
        "codes_revoked": report.codes_revoked,
        "orders_with_codes_withheld": len({one.order_id for one in report.held}),
        "lots_imported_since": report.imported_since,
        "written_off": report.written_off,
        "slices_released": report.slices_released,
        "attempts_restored": report.attempts_restored,
        "attempts_lost": len(report.attempts_lost),
    }
    return audit_entry(now, actor, "database.released", details=details)


def _chunks(things: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(things)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
