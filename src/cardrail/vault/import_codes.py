"""Importing a file of codes: all of it, or none of it, and no sale waits for it.

The file is read whole and checked against the vault; then its codes are sealed and stored in chunks, each its own transaction, in a lot
that is still loading and that nobody can buy from; the last transaction opens the slices and books the cost. A process that dies on the
way leaves a loading lot, which ``clean_imports`` removes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from typing import BinaryIO, Final

from cardrail.kernel import Clock, Mode, new_id, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx, is_unique_violation
from cardrail.vault import store
from cardrail.vault.errors import EmptyImport, ImportOvertaken, InvalidImport, SharedImport
from cardrail.vault.fingerprint import Fingerprinter
from cardrail.vault.keys import FINGERPRINT_KEY, KEY_BYTES, MasterKeys, current_number, service_key
from cardrail.vault.model import SHARED_TAIL, LotKind, LotState
from cardrail.vault.read_file import BadLine, DuplicateLine, Lines, ParsedCodes, Progress, read_codes
from cardrail.vault.seal import seal_many
from cardrail.vault.store import Lot
from cardrail.vault.tables import NEVER

CHUNK: Final = 5_000
"""Codes in one transaction: some 20 ms, which is what a sale may have to wait on SQLite."""
CHECK_CHUNK: Final = 20_000
SLICES_MAX: Final = 400
"""More expiries than this in one file are rounded to days: a slice then expires with the first of its codes."""
DAY_MICROS: Final = 86_400 * 1_000_000

OnOpen = Callable[[Tx, Lot], None]
"""Called in the transaction that opens (or undoes) a lot, to book its cost."""


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """What the codes are: the caller has found it in the catalog."""

    brand_id: str
    denomination_id: str
    face_minor: int


@dataclass(frozen=True, slots=True)
class PurchaseCost:
    """What the codes cost us: each, or all together."""

    currency: str
    each_minor: int | None = None
    whole_minor: int | None = None

    def total(self, count: int) -> int:
        """The cost of ``count`` codes, in minor units."""
        return self.whole_minor if self.whole_minor is not None else (self.each_minor or 0) * count


@dataclass(slots=True)
class ImportReport:
    """What an import did, or would do."""

    lot: Lot | None
    """None after a dry run."""
    count: int
    """Codes stored, or that would be."""
    bad: Lines[BadLine]
    duplicates: Lines[DuplicateLine]
    expiries: list[tuple[int, int]]
    """(expiry in microseconds, codes) of each slice, soonest first."""
    cost_minor: int
    cost_currency: str | None
    dry_run: bool

    @property
    def is_clean(self) -> bool:
        """Whether every line could be imported."""
        return not self.bad.count and not self.duplicates.count


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import, besides what."""

    mode: Mode = Mode.LIVE
    source_name: str | None = None
    supplier: str | None = None
    cost: PurchaseCost | None = None
    expires_at: int = NEVER
    """For lines that give no expiry of their own."""
    is_shared: bool = False
    """One secret for every buyer; the file then holds that one."""
    skip_duplicates: bool = False
    dry_run: bool = False
    actor: str = "cli"
    progress: Progress | None = field(default=None, repr=False)


def import_codes(
    db: Database,
    clock: Clock,
    keyring: MasterKeys,
    audit: AuditLog,
    source: BinaryIO,
    target: ImportTarget,
    options: ImportOptions | None = None,
    *,
    on_open: OnOpen | None = None,
) -> ImportReport:
    """Read, check, seal and store a file of codes, then put them on sale.

    Raises InvalidImport with the report where a line is bad, or a duplicate and duplicates are not skipped; EmptyImport; what
    ``read_codes`` raises; ImportOvertaken where somebody stored one of the codes meanwhile. In each case nothing is stored.
    """
    options = options or ImportOptions()
    brand_key = in_tx(db, lambda tx: service_key(tx, keyring, FINGERPRINT_KEY))
    marks = Fingerprinter(brand_key, target.brand_id)
    parsed = read_codes(source, marks, now=clock.now(), default_expires_at=options.expires_at, progress=options.progress)
    _drop_stored(db, parsed, options.progress)
    _sort(parsed)
    report = _report(parsed, options)
    if options.dry_run:
        return report
    _check(report, options)
    lot = _open_loading_lot(db, clock, keyring, target, options, report)
    try:
        _store(db, keyring, lot, parsed, options)
        report.lot = _open_for_sale(db, clock, audit, lot, report, on_open)
    except BaseException as error:
        with suppress(Exception):  # what is left then, `codes clean` removes; the first error is the one to show
            remove_lot(db, lot.id)
        if is_unique_violation(error):
            raise ImportOvertaken(lot_id=lot.id) from None
        raise
    return report


# --- before anything is stored --------------------------------------------------------------------------------------------


def _drop_stored(db: Database, parsed: ParsedCodes, progress: Progress | None) -> None:
    """Take out what the vault has already, sold codes too."""
    stored: set[int] = set()
    total = len(parsed)
    with db.read() as tx:
        loading = {lot.id for lot in store.list_lots(tx, state=LotState.LOADING)}
        for start in range(0, total, CHECK_CHUNK):
            part = parsed.marks[start : start + CHECK_CHUNK]
            found = store.find_fingerprints(tx, part)
            if found:
                for i, mark in enumerate(part, start):
                    if mark in found:
                        stored.add(i)
                        where = "loading" if found[mark][0] in loading else "vault"
                        parsed.duplicates.add(DuplicateLine(parsed.lines[i], where))
            if progress is not None:
                progress("checking", min(start + CHECK_CHUNK, total), total)
    if stored:
        parsed.keep([i for i in range(total) if i not in stored])


def _sort(parsed: ParsedCodes) -> None:
    """By expiry, so that the codes of a slice are neighbours; then by fingerprint, so that the unique index grows in its own order.

    In the order of the file each chunk would touch every page of that index, and a large vault would import at a third of the speed.
    """
    expiries, marks = parsed.expiries, parsed.marks
    order = sorted(range(len(parsed)), key=marks.__getitem__)
    if len(set(expiries)) > 1:
        order.sort(key=expiries.__getitem__)
    parsed.keep(order)


def _report(parsed: ParsedCodes, options: ImportOptions) -> ImportReport:
    cost = options.cost
    return ImportReport(
        lot=None,
        count=len(parsed),
        bad=parsed.bad,
        duplicates=parsed.duplicates,
        expiries=_expiry_groups(parsed),
        cost_minor=cost.total(len(parsed)) if cost is not None else 0,
        cost_currency=cost.currency if cost is not None else None,
        dry_run=options.dry_run,
    )


def _expiry_groups(parsed: ParsedCodes) -> list[tuple[int, int]]:
    """(expiry, how many) of each slice; the codes are sorted by expiry."""
    exact = [(expiry, sum(1 for _ in run)) for expiry, run in groupby(parsed.expiries)]
    if len(exact) <= SLICES_MAX:
        return exact
    days = [list(run) for _, run in groupby(exact, key=lambda one: one[0] // DAY_MICROS)]
    return [(run[0][0], sum(count for _, count in run)) for run in days]


def _check(report: ImportReport, options: ImportOptions) -> None:
    if report.bad.count or (report.duplicates.count and not options.skip_duplicates):
        raise InvalidImport(report, bad_lines=report.bad.count, duplicates=report.duplicates.count)
    if not report.count:
        raise EmptyImport(duplicates=report.duplicates.count)
    if options.is_shared and (report.count != 1 or report.cost_minor):
        raise SharedImport(codes=report.count)


# --- storing ----------------------------------------------------------------------------------------------------------------


def _open_loading_lot(
    db: Database, clock: Clock, keyring: MasterKeys, target: ImportTarget, options: ImportOptions, report: ImportReport
) -> Lot:
    data_key = os.urandom(KEY_BYTES)
    lot_id = new_id("lot")

    def write(tx: Tx) -> Lot:
        number = current_number(tx, keyring)
        lot = Lot(
            id=lot_id,
            kind=LotKind.SHARED if options.is_shared else LotKind.STOCK,
            state=LotState.LOADING,
            mode=options.mode,
            brand_id=target.brand_id,
            denomination_id=target.denomination_id,
            face_minor=target.face_minor,
            supplier=options.supplier,
            source=options.source_name,
            cost_currency=report.cost_currency,
            cost_minor=report.cost_minor,
            count=report.count,
            wrapped_key=keyring.wrap(number, data_key),
            master_key=number,
            created_by=options.actor,
            created_at=to_micros(clock.now()),
        )
        store.insert_lot(tx, lot)
        return lot

    return in_tx(db, write)


def _store(db: Database, keyring: MasterKeys, lot: Lot, parsed: ParsedCodes, options: ImportOptions) -> None:
    data_key = keyring.unwrap(lot.master_key, lot.wrapped_key)
    for first in range(0, lot.count, CHUNK):
        end = min(first + CHUNK, lot.count)
        sealed = seal_many(
            data_key,
            lot.id,
            lot.denomination_id,
            first,
            parsed.records[first:end],
            is_shared=options.is_shared,
        )
        _store_chunk(db, lot.id, first, sealed, parsed.marks[first:end], list(parsed.expiries[first:end]))
        if options.progress is not None:
            options.progress("storing", end, lot.count)


def _store_chunk(db: Database, lot_id: str, first: int, sealed: list[bytes], marks: list[bytes], expiries: list[int]) -> None:
    def write(tx: Tx) -> None:
        if not store.is_loading(tx, lot_id):
            raise ImportOvertaken(lot_id=lot_id)
        store.insert_codes(tx, lot_id, first, sealed=sealed, fingerprints=marks, expires_at=expiries)

    in_tx(db, write)


def _open_for_sale(db: Database, clock: Clock, audit: AuditLog, lot: Lot, report: ImportReport, on_open: OnOpen | None) -> Lot:
    """The last transaction: slices, money, audit."""
    opened = replace(lot, state=LotState.OPEN)

    def write(tx: Tx) -> None:
        if not store.move_lot_state(tx, lot.id, LotState.LOADING, LotState.OPEN):
            raise ImportOvertaken(lot_id=lot.id)
        is_frozen = store.goes_on_sale_frozen(tx, lot.mode)
        store.insert_slices(tx, list(_slice_rows(opened, report.expiries, is_frozen=is_frozen)))
        if on_open is not None:
            on_open(tx, opened)
        details = {
            "kind": lot.kind.value,
            "mode": lot.mode.value,
            "denomination_id": lot.denomination_id,
            "count": lot.count,
            "cost_minor": lot.cost_minor,
            "cost_currency": lot.cost_currency,
            "supplier": lot.supplier,
            "source": lot.source,
            "duplicates_skipped": report.duplicates.count,
        }
        audit.append(tx, [audit_entry(clock.now(), lot.created_by, "codes.imported", lot.id, details=details)])

    in_tx(db, write)
    return opened


def _slice_rows(lot: Lot, expiries: list[tuple[int, int]], *, is_frozen: bool) -> Iterator[tuple[object, ...]]:
    head = 0
    is_shared = lot.kind is LotKind.SHARED
    for expires_at, count in expiries:
        tail = SHARED_TAIL if is_shared else head + count
        yield (
            new_id("slc"),
            lot.id,
            lot.denomination_id,
            lot.face_minor,
            lot.mode.value,
            expires_at,
            head,
            tail,
            is_shared,
            is_frozen,
        )
        head = tail


# --- taking away what never went on sale --------------------------------------------------------------------------------------


def clean_imports(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    *,
    actor: str = "cli",
    older_than: timedelta = timedelta(hours=1),
    lot_id: str | None = None,
) -> list[Lot]:
    """Remove imports that died while loading, and what an interrupted undo left; returns the lots that were cleaned.

    Imports that began less than ``older_than`` ago may still be running and are left alone, unless ``lot_id`` names one.
    """
    before = to_micros(clock.now() - older_than)
    with db.read() as tx:
        dead = [
            lot
            for lot in store.list_lots(tx, state=LotState.LOADING)
            if (lot.id == lot_id if lot_id else lot.created_at <= before)
        ]
        half_undone = [lot for lot in store.list_lots(tx, state=LotState.UNDONE) if store.first_code(tx, lot.id) is not None]
    for lot in dead:
        remove_lot(db, lot.id)
    for lot in half_undone:
        remove_codes(db, lot.id)
    cleaned = dead + half_undone
    if cleaned:
        entries = [audit_entry(clock.now(), actor, "codes.cleaned", lot.id, details={"count": lot.count}) for lot in cleaned]
        in_tx(db, lambda tx: audit.append(tx, entries))
    return cleaned


def remove_lot(db: Database, lot_id: str) -> None:
    """Remove a loading lot and its codes; whoever is still loading it finds out at the next chunk."""
    if in_tx(db, lambda tx: store.move_lot_state(tx, lot_id, LotState.LOADING, LotState.UNDONE)):
        remove_codes(db, lot_id)
        in_tx(db, lambda tx: store.delete_lot(tx, lot_id))


def remove_codes(db: Database, lot_id: str) -> None:
    """Delete a lot's codes, a chunk to a transaction."""

    def delete_some(tx: Tx) -> bool:
        first = store.first_code(tx, lot_id)
        if first is not None:
            store.delete_codes(tx, lot_id, first + CHUNK)
        return first is not None

    while in_tx(db, delete_some):
        pass
