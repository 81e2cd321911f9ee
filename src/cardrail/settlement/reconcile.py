"""Reconciling with suppliers: a statement is imported whole or not at all, matched as often as is wished, and its differences resolved.

Matching goes through both sides in pieces, so a million lines cost no memory: first every purchase of ours in the statement's period, then
every line of theirs that none of these was. What is found is the same each time; what was resolved stays resolved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from cardrail.kernel import Clock, Mode, from_micros, new_id, rfc3339, to_micros
from cardrail.ledger import Purpose, TransferPurpose, book, supplier_account
from cardrail.settlement import reconcile_store as store
from cardrail.settlement.errors import (
    BadLines,
    DifferenceNotFound,
    DifferenceResolved,
    ImportReplaced,
    InvalidPeriod,
    InvalidResolution,
    StatementImported,
    SupplierStatementNotFound,
    UnreadableStatement,
)
from cardrail.settlement.match import Match, MatchKind, OurPurchase, PurchaseState, Resolution, TheirLine, compare
from cardrail.settlement.read_statement import BadStatementLine, Mapping, read_statement
from cardrail.settlement.reconcile_store import Difference, SupplierStatement
from cardrail.sourcing import AttemptState, Purchase, Supplier, find_supplier, purchases_by_key, purchases_of
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx
from cardrail.vault import LotState, supplier_lots

CHUNK: Final = 1_000
"""Purchases and lines that are compared at a time."""
WRITTEN: Final = 5_000
"""Rows that are written or deleted in one transaction: a commit costs a flush, and orders wait for a long one."""
BAD_MAX: Final = 1_000
"""Bad lines that are listed; the rest is counted."""
Progress = Callable[[int], None]
FileProgress = Callable[[int, int], None]
"""Called with lines taken, and bytes read."""


@dataclass(frozen=True, slots=True)
class ImportedStatement:
    """What an import came to."""

    statement: SupplierStatement
    bad: list[BadStatementLine]


# --- import -----------------------------------------------------------------------------------------------------------


def import_supplier_file(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    path: Path,
    mapping: Mapping,
    *,
    supplier: str,
    currency: str,
    mode: Mode = Mode.LIVE,
    since: int | None = None,
    until: int | None = None,
    refuse_bad: bool = True,
    actor: str,
    progress: FileProgress = lambda _lines, _bytes: None,
) -> ImportedStatement:
    """Take a supplier's CSV file: all of it or nothing, or with ``refuse_bad=False`` all but its bad lines, which are listed.

    It is read and written in pieces: memory does not grow with it.
    Raises InvalidPeriod, UnreadableStatement, BadLines (with the first of them), StatementImported, ImportReplaced.
    """
    if since is not None and until is not None and since >= until:
        raise InvalidPeriod(since=rfc3339(from_micros(since)), until=rfc3339(from_micros(until)))
    with path.open("rb") as file:
        mark = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        found = read_statement(file, mapping, currency, since=since, until=until)
        return import_lines(
            db,
            clock,
            audit,
            found,
            supplier=supplier,
            currency=currency,
            name=path.name,
            content_hash=mark,
            mode=mode,
            since=since,
            until=until,
            refuse_bad=refuse_bad,
            actor=actor,
            key_column=getattr(mapping.columns, mapping.match_by),
            progress=lambda done: progress(done, file.tell()),
        )


def import_lines(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    found: Iterable[TheirLine | BadStatementLine],
    *,
    supplier: str,
    currency: str,
    name: str,
    content_hash: str,
    mode: Mode = Mode.LIVE,
    since: int | None = None,
    until: int | None = None,
    refuse_bad: bool = True,
    may_be_empty: bool = False,
    actor: str,
    key_column: str | None = None,
    progress: Progress = lambda _done: None,
) -> ImportedStatement:
    """Take a statement's lines from wherever they come (a file, a connector). Raises as ``import_supplier_file`` does.

    ``may_be_empty``: no line at all says that nothing was bought, where a file without one is more likely broken. ``key_column``: the
    header of what lines are matched by, for those that come twice.
    """
    one = SupplierStatement(
        id=new_id("sst"),
        supplier=supplier,
        currency=currency,
        mode=mode,
        name=name,
        content_hash=content_hash,
        state="loading",
        since=since,
        until=until,
        lines=0,
        refused=0,
        counts={},
        imported_at=to_micros(clock.now()),
        imported_by=actor,
    )

    def begin(tx: Tx) -> None:
        if store.is_imported(tx, supplier, content_hash):
            raise StatementImported(supplier=supplier, name=name)
        store.insert_statement(tx, one)

    _take_away(db, supplier, content_hash)
    in_tx(db, begin)
    bad = _Bad()
    try:
        lines = _load(db, one.id, found, bad, key_column, progress)
        _check_taken(lines or int(may_be_empty), bad, refuse_bad=refuse_bad)
    except BaseException:
        _take_away(db, supplier, content_hash, one.id)
        raise

    def finish(tx: Tx) -> SupplierStatement:
        if store.is_imported(tx, supplier, content_hash):
            raise StatementImported(supplier=supplier, name=name)
        if not store.is_loading(tx, one.id):
            raise ImportReplaced(supplier=supplier, name=name)
        store.open_statement(tx, one.id, lines, bad.count)
        details = {"supplier": supplier, "name": name, "lines": lines, "refused": bad.count, "sha256": content_hash}
        audit.append(tx, [audit_entry(clock.now(), actor, "supplier_statement.imported", one.id, details=details)])
        return store.load_statement(tx, one.id) or one

    return ImportedStatement(in_tx(db, finish), bad.listed)


@dataclass(slots=True)
class _Bad:
    """Lines that cannot be taken: all are counted, the first ones kept."""

    count: int = 0
    listed: list[BadStatementLine] = field(default_factory=list)

    def add(self, one: BadStatementLine) -> None:
        self.count += 1
        if len(self.listed) < BAD_MAX:
            self.listed.append(one)


def _check_taken(lines: int, bad: _Bad, *, refuse_bad: bool) -> None:
    """Raises BadLines, UnreadableStatement."""
    if bad.count and refuse_bad:
        first = bad.listed[0]
        raise BadLines(count=bad.count, line=first.line, column=first.column, reason=first.problem, lines=bad.listed)
    if not lines:
        raise UnreadableStatement(reason="it has no line that can be taken")


def _take_away(db: Database, supplier: str, content_hash: str, statement_id: str | None = None) -> None:
    """Delete what imports of this content, or this one, left unfinished, in pieces: nobody sees it, and no order is to wait for it."""
    for given_up in in_tx(db, lambda tx: store.give_up_loading(tx, supplier, content_hash, statement_id)):
        while in_tx(db, partial(store.delete_given_up, statement_id=given_up, most=WRITTEN)):
            pass


def _load(
    db: Database,
    statement_id: str,
    found: Iterable[TheirLine | BadStatementLine],
    bad: _Bad,
    key_column: str | None,
    progress: Progress,
) -> int:
    """Write the lines in pieces, which nobody sees before the statement is opened; how many. Raises ImportReplaced."""
    lines, source = 0, iter(found)
    while chunk := list(islice(source, WRITTEN)):
        told = [one for one in chunk if isinstance(one, BadStatementLine)]
        good = [one for one in chunk if isinstance(one, TheirLine)]
        twice = in_tx(db, partial(_write, statement_id=statement_id, lines=good)) if good else []
        told += [BadStatementLine(one.line, key_column, f"the same as line {first}") for one, first in twice]
        for one in sorted(told, key=lambda one: one.line):
            bad.add(one)
        lines += len(good) - len(twice)
        progress(lines)
    return lines


def _write(tx: Tx, statement_id: str, lines: list[TheirLine]) -> list[tuple[TheirLine, int]]:
    """Write those that are new; the others, each with the line that it repeats. Raises ImportReplaced."""
    if not store.is_loading(tx, statement_id):
        raise ImportReplaced(statement_id=statement_id)
    known = store.numbers_by_key(tx, statement_id, [one.key for one in lines])
    fresh, twice = [], []
    for one in lines:
        first = known.setdefault(one.key, one.line)
        if first == one.line:
            fresh.append(one)
        else:
            twice.append((one, first))
    store.insert_lines(tx, statement_id, fresh)
    return twice


# --- matching ---------------------------------------------------------------------------------------------------------


def run_matching(
    db: Database, clock: Clock, audit: AuditLog, statement_id: str, *, actor: str, progress: Progress = lambda _done: None
) -> SupplierStatement:
    """Compare every purchase and every line, write down what differs and which orders are reconciled. It can be run again: what
    was resolved stays so, and what differs still keeps its owner.

    Raises SupplierStatementNotFound.
    """
    with db.read() as tx:
        one = _statement(tx, statement_id)
    while in_tx(db, lambda tx: store.forget_open(tx, statement_id, WRITTEN)):
        pass
    with db.read() as tx:
        owned = store.owned_keys(tx, statement_id)
    counts = dict.fromkeys([kind.value for kind in MatchKind], 0)
    done = 0
    with db.read() as tx:
        found = _matches(tx, one)
        while chunk := list(islice(found, WRITTEN)):
            for match in chunk:
                counts[match.kind.value] += 1
                if match.kind is not MatchKind.EQUAL:
                    owned.discard(match.key)
            now = to_micros(clock.now())
            in_tx(db, partial(store.save_matches, one=one, found=chunk, now=now))
            done += len(chunk)
            progress(done)

    def finish(tx: Tx) -> SupplierStatement:
        store.forget_owned(tx, statement_id, owned)
        store.finish_matching(tx, statement_id, counts, to_micros(clock.now()))
        audit.append(tx, [audit_entry(clock.now(), actor, "supplier_statement.matched", statement_id, details=dict(counts))])
        return _statement(tx, statement_id)

    return in_tx(db, finish)


def _matches(tx: Tx, one: SupplierStatement) -> Iterator[Match]:
    """Ours of the period against their lines, then their other lines against ours of any time."""
    by_theirs = store.matches_by_theirs(tx, one.id)
    lots = _lots(tx, one, by_theirs)
    ours = _in_period(tx, one, lots, by_theirs)
    while chunk := list(islice(ours, CHUNK)):
        lines = store.lines_by_key(tx, one.id, [purchase.key for purchase in chunk])
        yield from _compared((purchase, lines.get(purchase.key)) for purchase in chunk)
    after = ""
    while rows := store.lines_after(tx, one.id, after, CHUNK):
        after = rows[-1].key
        known = _known(tx, one, lots, [line.key for line in rows], by_theirs)
        pairs = [(known.get(line.key), line) for line in rows]
        yield from _compared(
            (purchase[0] if purchase else None, line) for purchase, line in pairs if not (purchase and purchase[1])
        )


def _compared(pairs: Iterable[tuple[OurPurchase | None, TheirLine | None]]) -> Iterator[Match]:
    for ours, theirs in pairs:
        found = compare(ours, theirs)
        if found is not None:
            yield found


def _in_period(
    tx: Tx, one: SupplierStatement, lots: dict[str, tuple[OurPurchase, bool]], by_theirs: bool
) -> Iterator[OurPurchase]:
    for purchase in purchases_of(tx, one.supplier, one.mode, one.since, one.until):
        found = _of_attempt(purchase, by_theirs)
        if found is not None and purchase.cost_currency == one.currency:
            yield found
    yield from (purchase for purchase, is_in_period in lots.values() if is_in_period)


def _known(
    tx: Tx, one: SupplierStatement, lots: dict[str, tuple[OurPurchase, bool]], keys: Sequence[str], by_theirs: bool
) -> dict[str, tuple[OurPurchase, bool]]:
    """Our purchases under these keys, each with whether it was in the period (and so compared already)."""
    found = {key: lots[key] for key in keys if key in lots}
    for purchase in purchases_by_key(tx, one.supplier, one.mode, keys, by_theirs=by_theirs):
        ours = _of_attempt(purchase, by_theirs)
        if ours is not None and purchase.cost_currency == one.currency:
            found[ours.key] = ours, _is_inside(one, purchase.asked_at)
    return found


def _is_inside(one: SupplierStatement, at: int) -> bool:
    return (one.since is None or at >= one.since) and (one.until is None or at < one.until)


_STATES: Final = {
    AttemptState.DELIVERED.value: PurchaseState.DELIVERED,
    AttemptState.INVALIDATED.value: PurchaseState.REFUNDED,
    AttemptState.ASKING.value: PurchaseState.PENDING,
    AttemptState.ACCEPTED.value: PurchaseState.PENDING,
    AttemptState.UNKNOWN.value: PurchaseState.PENDING,
}


def _of_attempt(one: Purchase, by_theirs: bool) -> OurPurchase | None:
    """The purchase as the matching rule sees it; None where it has no name of the kind that is matched by."""
    key = one.supplier_order_id if by_theirs else one.reference
    state = _STATES.get(one.state, PurchaseState.FAILED)
    return OurPurchase(key, one.attempt_id, one.order_id, one.cost_minor, state) if key else None


def _lots(tx: Tx, one: SupplierStatement, by_theirs: bool) -> dict[str, tuple[OurPurchase, bool]]:
    """Stock bought beforehand: a lot is named by the source that its import gave (an invoice), or by our id of it."""
    found = {}
    for lot in supplier_lots(tx, one.supplier, one.mode):
        key = lot.source if by_theirs else lot.id
        if key is None or lot.cost_currency not in (None, one.currency):
            continue
        state = PurchaseState.REFUNDED if lot.state is LotState.UNDONE else PurchaseState.DELIVERED
        amount = lot.cost_minor if lot.cost_currency is not None else None
        found[key] = OurPurchase(key, lot.id, None, amount, state), _is_inside(one, lot.created_at)
    return found


def _statement(tx: Tx, statement_id: str) -> SupplierStatement:
    found = store.load_statement(tx, statement_id)
    if found is None or found.state == "loading":
        raise SupplierStatementNotFound(statement_id=statement_id)
    return found


@dataclass(frozen=True, slots=True)
class OurState:
    """How a purchase of ours stands."""

    state: PurchaseState
    asked_at: int


def our_states(db: Database, supplier: Supplier, keys: Iterable[str], *, by_theirs: bool) -> dict[str, OurState]:
    """What became of our purchases under these references, or these of the supplier's numbers."""
    found, wanted = {}, iter(keys)
    while some := list(islice(wanted, CHUNK)):
        with db.read() as tx:
            for one in purchases_by_key(tx, supplier.id, supplier.mode, some, by_theirs=by_theirs):
                ours = _of_attempt(one, by_theirs)
                if ours is not None:
                    found[ours.key] = OurState(ours.state, one.asked_at)
    return found


# --- differences ------------------------------------------------------------------------------------------------------


def get_supplier_statement(tx: Tx, statement_id: str) -> SupplierStatement:
    """One imported statement. Raises SupplierStatementNotFound."""
    return _statement(tx, statement_id)


def assign_difference(db: Database, clock: Clock, audit: AuditLog, difference_id: str, owner: str, *, actor: str) -> Difference:
    """Say who looks after a difference. Raises DifferenceNotFound."""

    def work(tx: Tx) -> Difference:
        one = _difference(tx, difference_id)
        store.set_owner(tx, difference_id, owner)
        details = {"before": one.owner, "owner": owner}
        audit.append(tx, [audit_entry(clock.now(), actor, "difference.assigned", difference_id, details=details)])
        return _difference(tx, difference_id)

    return in_tx(db, work)


def resolve_difference(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    difference_id: str,
    resolution: Resolution,
    *,
    node: str,
    actor: str,
    note: str | None = None,
) -> Difference:
    """Settle a difference: its amount is booked against the supplier, and its order counts as reconciled if nothing else differs.

    Raises DifferenceNotFound, DifferenceResolved, InvalidResolution.
    """

    def work(tx: Tx) -> Difference:
        one = _difference(tx, difference_id, lock=True)
        if one.state == "resolved":
            raise DifferenceResolved(difference_id=difference_id, resolution=one.resolution)
        statement = _statement(tx, one.statement_id)
        now = clock.now()
        transfer_id = None
        if one.gap_minor:
            debit, credit = sides(resolution, one.gap_minor, _booked_under(tx, statement, one))
            made = book(
                tx,
                debit=debit,
                credit=credit,
                amount_minor=abs(one.gap_minor),
                currency=statement.currency,
                mode=statement.mode,
                node=node,
                purpose=TransferPurpose.RECONCILIATION,
                now=now,
                reference=one.id,
            )
            transfer_id = made.id
        elif resolution is Resolution.CLAIM:
            raise InvalidResolution(reason="there is no amount to claim")
        store.resolve(tx, one.id, resolution.value, note, transfer_id, to_micros(now), actor)
        if one.order_id is not None and one.purchase_id is not None:
            store.settle_purchase(tx, one.order_id, one.purchase_id)
        details = {
            "kind": one.kind,
            "resolution": resolution.value,
            "gap_minor": one.gap_minor,
            "currency": statement.currency,
            "supplier": statement.supplier,
            "order_id": one.order_id,
            "transfer_id": transfer_id,
            "note": note,
        }
        audit.append(tx, [audit_entry(now, actor, "difference.resolved", one.id, details=details)])
        return _difference(tx, difference_id)

    return in_tx(db, work)


def _booked_under(tx: Tx, statement: SupplierStatement, one: Difference) -> SupplierStatement:
    """The statement, with the supplier by the name that the account of such a purchase has: bought on demand, its id; a lot, its name."""
    known = find_supplier(tx, statement.supplier)
    if known is None or (one.purchase_id or "").startswith("lot_"):
        return statement
    return replace(statement, supplier=known.id)


def sides(resolution: Resolution, gap_minor: int, statement: SupplierStatement) -> tuple[Any, Any]:
    """(debit, credit) of what is booked. Where they charge more than our books say, the supplier is credited. Raises InvalidResolution."""
    supplier = supplier_account(statement.supplier, statement.currency, statement.mode)
    if resolution is Resolution.CLAIM and gap_minor < 0:
        raise InvalidResolution(reason="they charge less than our books say: there is nothing to claim")
    other = {
        Resolution.WRITE_OFF: Purpose.WRITE_OFFS,
        Resolution.CLAIM: Purpose.CLAIMS,
        Resolution.CORRECTION: Purpose.COST_OF_GOODS,
    }[resolution]
    return (other, supplier) if gap_minor > 0 else (supplier, other)


def _difference(tx: Tx, difference_id: str, *, lock: bool = False) -> Difference:
    found = store.load_difference(tx, difference_id, lock=lock)
    if found is None:
        raise DifferenceNotFound(difference_id=difference_id)
    return found


def statement_mark(lines: Iterable[TheirLine]) -> str:
    """What stands for a file's hash where a statement comes from a connector: the same lines are not imported twice."""
    mark = hashlib.sha256()
    for one in lines:
        mark.update(msgspec.json.encode(one))
    return mark.hexdigest()
