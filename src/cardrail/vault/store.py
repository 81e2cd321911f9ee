"""Every statement of the vault. Those on the order path are compiled once and go to the driver as they are.

Who is safe beside whom: whoever sells, blocks or returns codes of a slice holds that slice's row; whoever makes or splits slices of a lot
holds the lot's row first. A head moves only from the value that was read under that lock.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from cardrail.kernel import Mode, share
from cardrail.storage import Bulk, Tx, bulk_insert, driver_errors, driver_select, open_restores
from cardrail.vault.errors import CodeMissing, CodeNotFound, LotNotFound, StockMoved
from cardrail.vault.model import Allocation, LotKey, LotKind, LotState, OpenSlice
from cardrail.vault.tables import code_exceptions, codes, lots, master_keys, service_keys, slices

MEMBERS_MAX: Final = 500
"""Values of one IN list."""

_SQLITE: Final = sqlite.dialect(paramstyle="qmark")
_POSTGRES: Final = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # it has no types
_json_encode = msgspec.json.Encoder().encode
_MODES: Final = {mode.value: mode for mode in Mode}

Condition = Callable[[sa.ColumnElement[Any], str], sa.ColumnElement[bool]]


class _Read:
    """A SELECT compiled once for each database; called with the values of ``names`` in their order."""

    def __init__(self, build: Callable[[Condition], sa.Select[Any]], *names: str) -> None:
        self._texts = {}
        kinds: list[tuple[str, sa.engine.Dialect, Condition]] = [
            ("sqlite", _SQLITE, _member_sqlite),
            ("postgresql", _POSTGRES, _member_postgres),
        ]
        for name, dialect, member in kinds:
            compiled = build(member).compile(dialect=dialect)
            assert isinstance(compiled, SQLCompiler)
            order = [names.index(one) for one in compiled.positiontup or ()]
            self._texts[name] = (str(compiled), order)

    def __call__(self, tx: Tx, *values: Any) -> list[tuple[Any, ...]]:
        sql, order = self._texts[tx.dialect.name]
        return driver_select(tx, sql, tuple([values[i] for i in order]))


def _member_sqlite(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    each = sa.func.json_each(sa.bindparam(name)).table_valued("value")
    return column.in_(sa.select(each.c.value))


def _member_postgres(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    return column == sa.func.any(sa.bindparam(name))


def _members(tx: Tx, values: Iterable[str]) -> Any:
    """A list of texts as one parameter."""
    unique = sorted(set(values))
    return _json_encode(unique).decode() if tx.dialect.name == "sqlite" else unique


_OPEN: Final[sa.ColumnElement[str]] = sa.literal_column("'open'")


# --- slices: what is for sale --------------------------------------------------------------------------------------------

_SLICE_COLUMNS = (
    slices.c.id,
    slices.c.lot_id,
    slices.c.denomination_id,
    slices.c.face_minor,
    slices.c.mode,
    slices.c.expires_at,
    slices.c.head,
    slices.c.tail,
    slices.c.is_shared,
    lots.c.wrapped_key,
    lots.c.master_key,
    lots.c.cost_minor,
    lots.c.count,
    lots.c.cost_currency,
)


def _for_sale(member: Condition) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        member(slices.c.denomination_id, "ids"),
        slices.c.mode == sa.bindparam("mode"),
        slices.c.head < slices.c.tail,
        slices.c.is_frozen.is_(sa.false()),
        slices.c.expires_at > sa.bindparam("now"),
    )


def _open_slices(member: Condition) -> sa.Select[Any]:
    return (
        sa.select(*_SLICE_COLUMNS)
        .join(lots, lots.c.id == slices.c.lot_id)
        .where(*_for_sale(member), lots.c.state == _OPEN)
        .order_by(slices.c.id)
        .with_for_update(of=slices)
    )


def _enough_slices(member: Condition) -> sa.Select[Any]:
    """Of each denomination and face value, the first slices (in the order of taking) that together hold ``wanted`` codes."""
    inner = slices.alias("ranked")
    before = sa.func.sum(inner.c.tail - inner.c.head).over(
        partition_by=[inner.c.denomination_id, inner.c.face_minor],
        order_by=[inner.c.expires_at, inner.c.lot_id, inner.c.head],
        rows=(None, 0),
    ) - (inner.c.tail - inner.c.head)
    ranked = (
        sa.select(inner.c.id, before.label("before"))
        .where(
            member(inner.c.denomination_id, "ids"),
            inner.c.mode == sa.bindparam("mode"),
            inner.c.head < inner.c.tail,
            inner.c.is_frozen.is_(sa.false()),
            inner.c.expires_at > sa.bindparam("now"),
        )
        .subquery()
    )
    enough = sa.select(ranked.c.id).where(ranked.c.before < sa.bindparam("wanted"))
    return (
        sa.select(*_SLICE_COLUMNS)
        .join(lots, lots.c.id == slices.c.lot_id)
        .where(
            slices.c.id.in_(enough),
            slices.c.head < slices.c.tail,
            slices.c.is_frozen.is_(sa.false()),
            lots.c.state == _OPEN,
        )
        .order_by(slices.c.id)
        .with_for_update(of=slices)
    )


_read_open_slices = _Read(_open_slices, "ids", "mode", "now")
_read_enough_slices = _Read(_enough_slices, "ids", "mode", "now", "wanted")


def load_open_slices(
    tx: Tx, mode: Mode, denomination_ids: Iterable[str], *, limit: int = 0, now_micros: int = 0
) -> list[OpenSlice]:
    """The slices that codes of these denominations can be taken from, locked in the order of their ids.

    ``limit`` is a number of codes: of each denomination and face value enough slices are locked to take that many; 0 locks all.
    Slices that expired by ``now_micros`` are left out.
    """
    ids = _members(tx, denomination_ids)
    every = (ids, mode.value, now_micros)
    rows = _read_enough_slices(tx, *every, limit) if limit else _read_open_slices(tx, *every)
    return [
        OpenSlice(row[0], row[1], row[2], row[3], _MODES[row[4]], row[5], row[6], row[7], bool(row[8]), *row[9:]) for row in rows
    ]


_advance = Bulk(
    sa.update(slices)
    .where(slices.c.id == sa.bindparam("of"), slices.c.head == sa.bindparam("from_head"))
    .values(head=sa.bindparam("to_head")),
    ("to_head", "of", "from_head"),
)


def advance_heads(tx: Tx, moved: Sequence[tuple[int, str, int]]) -> None:
    """Move heads past the codes just taken: (new head, slice id, old head) each. Raises StockMoved if one is not where it was read."""
    if moved and _advance(tx, moved) != len(moved):
        raise StockMoved


def _counts(member: Condition) -> sa.Select[Any]:
    return (
        sa.select(
            slices.c.denomination_id,
            slices.c.face_minor,
            sa.cast(sa.func.sum(slices.c.tail - slices.c.head), sa.BigInteger),
        )
        .where(*_for_sale(member))
        .group_by(slices.c.denomination_id, slices.c.face_minor)
    )


_read_counts = _Read(_counts, "ids", "mode", "now")


def stock_counts(tx: Tx, mode: Mode, denomination_ids: Iterable[str], now_micros: int = 0) -> dict[tuple[str, int], int]:
    """Codes for sale by (denomination, face value); what expired by ``now_micros`` is not. A pair that has none is not in it."""
    rows = _read_counts(tx, _members(tx, denomination_ids), mode.value, now_micros)
    return {(denomination_id, face_minor): int(count) for denomination_id, face_minor, count in rows}


insert_slices = bulk_insert(
    slices, "id", "lot_id", "denomination_id", "face_minor", "mode", "expires_at", "head", "tail", "is_shared", "is_frozen"
)

_set_range = Bulk(
    sa.update(slices).where(slices.c.id == sa.bindparam("of")).values(head=sa.bindparam("to_head"), tail=sa.bindparam("to_tail")),
    ("to_head", "to_tail", "of"),
)


def set_range(tx: Tx, slice_id: str, head: int, tail: int) -> None:
    """Cut a slice that the caller has locked."""
    _set_range(tx, [(head, tail, slice_id)])


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A slice as it stands."""

    id: str
    expires_at: int
    head: int
    tail: int
    is_shared: bool
    is_frozen: bool


_LOT_SLICES = (
    sa.select(slices.c.id, slices.c.expires_at, slices.c.head, slices.c.tail, slices.c.is_shared, slices.c.is_frozen)
    .where(slices.c.lot_id == sa.bindparam("of"))
    .order_by(slices.c.id)
)


def load_lot_slices(tx: Tx, lot_id: str, *, lock: bool = False) -> list[SliceRow]:
    """All slices of a lot, the sold out too."""
    statement = _LOT_SLICES.with_for_update() if lock else _LOT_SLICES
    return [SliceRow(*row) for row in tx.execute(statement, {"of": lot_id})]


def delete_slices(tx: Tx, lot_id: str) -> None:
    tx.execute(sa.delete(slices).where(slices.c.lot_id == lot_id))


def set_frozen(tx: Tx, mode: Mode, *, is_frozen: bool) -> int:
    """Freeze or release all unsold slices of a mode (after a restore); returns how many."""
    changed = tx.execute(
        sa.update(slices)
        .where(slices.c.mode == mode.value, slices.c.head < slices.c.tail, slices.c.is_frozen.is_(not is_frozen))
        .values(is_frozen=is_frozen)
    )
    return changed.rowcount


def goes_on_sale_frozen(tx: Tx, mode: Mode) -> bool:
    """Whether what goes on sale now must wait for the release of a restored database."""
    return mode is Mode.LIVE and bool(open_restores(tx))


_UNSOLD_COST = (
    sa.select(lots.c.mode, lots.c.cost_currency, lots.c.cost_minor, lots.c.count, slices.c.head, slices.c.tail)
    .join(slices, slices.c.lot_id == lots.c.id)
    .where(lots.c.cost_minor > 0, slices.c.head < slices.c.tail, lots.c.state == _OPEN)
)


def unsold_cost(tx: Tx) -> dict[tuple[Mode, str], int]:
    """What the codes that are still in slices cost us, by mode and currency: what the ledger's stock accounts must say."""
    total: dict[tuple[Mode, str], int] = {}
    for mode, currency, cost, count, head, tail in tx.execute(_UNSOLD_COST):
        key = (_MODES[mode], currency)
        total[key] = total.get(key, 0) + share(cost, count, head, tail - head)
    return total


# --- codes ---------------------------------------------------------------------------------------------------------------


def _one_range(_member: Condition) -> sa.Select[Any]:
    return sa.select(codes.c.seq, codes.c.sealed).where(
        codes.c.lot_id == sa.bindparam("lot"), codes.c.seq >= sa.bindparam("first"), codes.c.seq < sa.bindparam("end")
    )


_read_range = _Read(_one_range, "lot", "first", "end")

Range = tuple[str, int, int]
"""(lot, first seq, count)."""


def merge_ranges(ranges: Iterable[Range]) -> list[tuple[str, int, int]]:
    """(lot, first, end) of the ranges, neighbours of a lot made one."""
    merged: list[tuple[str, int, int]] = []
    for lot_id, first, count in sorted(ranges):
        if merged and merged[-1][0] == lot_id and first <= merged[-1][2]:
            merged[-1] = (lot_id, merged[-1][1], max(merged[-1][2], first + count))
        else:
            merged.append((lot_id, first, first + count))
    return merged


def read_sealed(tx: Tx, allocations: Iterable[Allocation]) -> dict[tuple[str, int], bytes]:
    """The sealed record of each allocated code, by (lot, seq); neighbouring allocations of a lot are read together.

    Every seq of a shared lot has the record of its seq 0. Raises CodeMissing.
    """
    found: dict[tuple[str, int], bytes] = {}
    for lot_id, first, end in merge_ranges([(one.lot_id, one.first_seq, one.count) for one in allocations]):
        rows = _read_range(tx, lot_id, first, end)
        if len(rows) != end - first:
            rows = _shared_rows(tx, lot_id, first, end)
        for seq, sealed in rows:
            found[(lot_id, seq)] = sealed
    return found


def _shared_rows(tx: Tx, lot_id: str, first: int, end: int) -> list[tuple[Any, ...]]:
    lot = load_lot_keys(tx, [lot_id]).get(lot_id)
    secret = _read_range(tx, lot_id, 0, 1)
    if lot is None or not lot.is_shared or not secret:
        raise CodeMissing(lot_id=lot_id, first_seq=first, count=end - first)
    return [(seq, secret[0][1]) for seq in range(first, end)]


_insert_codes = bulk_insert(codes, "lot_id", "seq", "sealed", "fingerprint", "expires_at")
_COPY = "COPY codes (lot_id, seq, sealed, fingerprint, expires_at) FROM STDIN (FORMAT BINARY)"
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def insert_codes(
    tx: Tx,
    lot_id: str,
    first_seq: int,
    *,
    sealed: Sequence[bytes],
    fingerprints: Sequence[bytes],
    expires_at: Sequence[int],
) -> None:
    """Write neighbouring codes. On PostgreSQL by COPY, which takes them three times as fast as INSERT."""
    rows = zip(range(first_seq, first_seq + len(sealed)), sealed, fingerprints, expires_at, strict=True)
    if tx.dialect.name == "sqlite":
        # In the order of fingerprints the unique index is filled page by page; the table itself is one page range anyway.
        _insert_codes(tx, sorted([(lot_id, *row) for row in rows], key=_fingerprint_of))
        return
    lot = lot_id.encode()
    start = struct.pack(">hi", 5, len(lot)) + lot
    pack_head, pack_tail = struct.Struct(">iqi").pack, struct.Struct(">i16siq").pack
    body = b"".join(
        [start + pack_head(8, seq, len(one)) + one + pack_tail(16, mark, 8, expiry) for seq, one, mark, expiry in rows]
    )
    _copy(tx, _COPY_HEADER + body + b"\xff\xff")


def _fingerprint_of(row: tuple[Any, ...]) -> bytes:
    mark: bytes = row[3]
    return mark


def _copy(tx: Tx, data: bytes) -> None:
    driver: Any = tx.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write(data)
    except driver_errors(tx) as error:
        raise sa.exc.DBAPIError.instance(_COPY, None, error, tx.dialect.loaded_dbapi.Error) from error


_BY_FINGERPRINT = {
    size: sa.select(codes.c.fingerprint, codes.c.lot_id, codes.c.seq).where(
        codes.c.fingerprint.in_([sa.bindparam(f"f{i}", type_=sa.LargeBinary) for i in range(size)])
    )
    for size in (1, MEMBERS_MAX)
}
_BY_FINGERPRINT_SQLITE = {size: str(statement.compile(dialect=_SQLITE)) for size, statement in _BY_FINGERPRINT.items()}
_BY_FINGERPRINT_POSTGRES = str(
    sa.select(codes.c.fingerprint, codes.c.lot_id, codes.c.seq)
    .where(codes.c.fingerprint == sa.func.any(sa.bindparam("marks")))
    .compile(dialect=_POSTGRES)
)


def find_fingerprints(tx: Tx, marks: Sequence[bytes]) -> dict[bytes, tuple[str, int]]:
    """Which of these fingerprints the vault has, and where: (lot, seq)."""
    if tx.dialect.name != "sqlite":
        rows = driver_select(tx, _BY_FINGERPRINT_POSTGRES, (list(marks),))
        return {mark: (lot_id, seq) for mark, lot_id, seq in rows}
    found = {}
    for start in range(0, len(marks), MEMBERS_MAX):
        part = list(marks[start : start + MEMBERS_MAX])
        size = 1 if len(part) == 1 else MEMBERS_MAX
        part += part[:1] * (size - len(part))
        for mark, lot_id, seq in driver_select(tx, _BY_FINGERPRINT_SQLITE[size], tuple(part)):
            found[mark] = (lot_id, seq)
    return found


def delete_codes(tx: Tx, lot_id: str, below_seq: int) -> int:
    """Delete a lot's codes with a seq below the given one; returns how many."""
    return tx.execute(sa.delete(codes).where(codes.c.lot_id == lot_id, codes.c.seq < below_seq)).rowcount


def first_code(tx: Tx, lot_id: str) -> int | None:
    """The lowest seq that a lot still has."""
    found: int | None = tx.execute(sa.select(sa.func.min(codes.c.seq)).where(codes.c.lot_id == lot_id)).scalar()
    return found


@dataclass(frozen=True, slots=True)
class CodeRow:
    """What may be shown of a code."""

    lot_id: str
    seq: int
    expires_at: int


def load_code(tx: Tx, lot_id: str, seq: int) -> CodeRow | None:
    row = tx.execute(
        sa.select(codes.c.lot_id, codes.c.seq, codes.c.expires_at).where(codes.c.lot_id == lot_id, codes.c.seq == seq)
    ).first()
    return CodeRow(*row) if row is not None else None


def require_code(tx: Tx, lot_id: str, seq: int) -> CodeRow:
    """A code's row. Raises CodeNotFound."""
    found = load_code(tx, lot_id, seq)
    if found is None:
        raise CodeNotFound(lot_id=lot_id, seq=seq)
    return found


# --- exceptions ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodeException:
    """Something that happened to one code."""

    lot_id: str
    seq: int
    kind: str
    reason: str | None
    actor: str
    at: int


def read_exceptions(tx: Tx, ranges: Iterable[Range]) -> dict[tuple[str, int], list[CodeException]]:
    """What happened to the codes of these (lot, first, count), by (lot, seq). Most codes are not in it."""
    found: dict[tuple[str, int], list[CodeException]] = {}
    for lot_id, first, end in merge_ranges(ranges):
        for row in _read_exceptions(tx, lot_id, first, end):
            found.setdefault((row[0], row[1]), []).append(CodeException(*row))
    return found


def _exceptions(_member: Condition) -> sa.Select[Any]:
    return (
        sa.select(*code_exceptions.c)
        .where(
            code_exceptions.c.lot_id == sa.bindparam("lot"),
            code_exceptions.c.seq >= sa.bindparam("first"),
            code_exceptions.c.seq < sa.bindparam("end"),
        )
        .order_by(code_exceptions.c.seq, code_exceptions.c.at)
    )


_read_exceptions = _Read(_exceptions, "lot", "first", "end")

_EXCEPTION_COLUMNS = ("lot_id", "seq", "kind", "reason", "actor", "at")
_upsert = postgresql.insert(code_exceptions).values({name: sa.bindparam(name) for name in _EXCEPTION_COLUMNS})
write_exceptions = Bulk(
    _upsert.on_conflict_do_update(
        index_elements=["lot_id", "seq", "kind"],
        set_={name: _upsert.excluded[name] for name in ("reason", "actor", "at")},
    ),
    _EXCEPTION_COLUMNS,
)
"""Record exceptions: (lot, seq, kind, reason, actor, at) each. The same thing happening again replaces what was known of it."""


def delete_exception(tx: Tx, lot_id: str, seq: int, kind: str) -> bool:
    table = code_exceptions
    gone = tx.execute(sa.delete(table).where(table.c.lot_id == lot_id, table.c.seq == seq, table.c.kind == kind))
    return gone.rowcount == 1


# --- lots ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lot:
    """One purchase of codes."""

    id: str
    kind: LotKind
    state: LotState
    mode: Mode
    brand_id: str
    denomination_id: str
    face_minor: int
    supplier: str | None
    source: str | None
    cost_currency: str | None
    cost_minor: int
    count: int
    wrapped_key: bytes
    master_key: int
    created_by: str
    created_at: int

    @property
    def lot_cost_minor(self) -> int:
        """What the whole lot cost."""
        return self.cost_minor

    @property
    def lot_count(self) -> int:
        return self.count


_LOT_COLUMNS = tuple(column.name for column in lots.c)
_insert_lots = bulk_insert(lots, *_LOT_COLUMNS)


def insert_lot(tx: Tx, lot: Lot) -> None:
    values = [getattr(lot, name) for name in _LOT_COLUMNS]
    _insert_lots(tx, [tuple([str(value.value) if isinstance(value, (LotKind, LotState, Mode)) else value for value in values])])


def load_lot(tx: Tx, lot_id: str, *, lock: bool = False) -> Lot:
    """A lot; with ``lock`` nobody else makes or splits slices of it meanwhile. Raises LotNotFound."""
    statement = sa.select(*lots.c).where(lots.c.id == lot_id)
    row = tx.execute(statement.with_for_update() if lock else statement).first()
    if row is None:
        raise LotNotFound(lot_id=lot_id)
    return _lot(row)


def list_lots(tx: Tx, *, state: LotState | None = None, denomination_id: str | None = None, limit: int = 1_000) -> list[Lot]:
    """Lots, the newest first."""
    statement = sa.select(*lots.c).order_by(lots.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(lots.c.state == state.value)
    if denomination_id is not None:
        statement = statement.where(lots.c.denomination_id == denomination_id)
    return [_lot(row) for row in tx.execute(statement)]


def _lot(row: Any) -> Lot:
    lot_id, kind, state, mode, *rest = row
    return Lot(lot_id, LotKind(kind), LotState(state), Mode(mode), *rest)


def count_unsold(tx: Tx, lot_ids: Iterable[str]) -> dict[str, int]:
    """Codes still in slices, by lot."""
    rows = tx.execute(
        sa.select(slices.c.lot_id, sa.func.sum(slices.c.tail - slices.c.head))
        .where(slices.c.lot_id.in_(list(lot_ids)))
        .group_by(slices.c.lot_id)
    )
    return {lot_id: int(count) for lot_id, count in rows}


def _keys(member: Condition) -> sa.Select[Any]:
    return sa.select(lots.c.id, lots.c.wrapped_key, lots.c.master_key, lots.c.kind).where(member(lots.c.id, "ids"))


_read_keys = _Read(_keys, "ids")


def load_lot_keys(tx: Tx, lot_ids: Iterable[str]) -> dict[str, LotKey]:
    """What opening the codes of these lots needs."""
    rows = _read_keys(tx, _members(tx, lot_ids))
    return {row[0]: LotKey(row[1], row[2], row[3] == LotKind.SHARED.value) for row in rows}


def _whole_lots(member: Condition) -> sa.Select[Any]:
    return sa.select(*lots.c).where(member(lots.c.id, "ids"))


_read_lots = _Read(_whole_lots, "ids")


def load_lots(tx: Tx, lot_ids: Iterable[str]) -> dict[str, Lot]:
    """These lots, by id."""
    return {row[0]: _lot(row) for row in _read_lots(tx, _members(tx, lot_ids))}


_MOVE_STATE = (
    sa.update(lots)
    .where(lots.c.id == sa.bindparam("of"), lots.c.state == sa.bindparam("from_state"))
    .values(state=sa.bindparam("to_state"))
)


def move_lot_state(tx: Tx, lot_id: str, from_state: LotState, to_state: LotState) -> bool:
    """Compare and set; False if the lot was in another state."""
    values = {"of": lot_id, "from_state": from_state.value, "to_state": to_state.value}
    return tx.execute(_MOVE_STATE, values).rowcount == 1


_IS_LOADING = (
    sa.select(lots.c.id).where(lots.c.id == sa.bindparam("of"), lots.c.state == LotState.LOADING.value).with_for_update(read=True)
)


def is_loading(tx: Tx, lot_id: str) -> bool:
    """Whether the lot is still loading; it stays so until the transaction ends."""
    return tx.execute(_IS_LOADING, {"of": lot_id}).first() is not None


def delete_lot(tx: Tx, lot_id: str) -> None:
    tx.execute(sa.delete(lots).where(lots.c.id == lot_id))


_BOUND_LOT = (
    sa.select(lots.c.id, lots.c.wrapped_key, lots.c.master_key, lots.c.count)
    .where(
        lots.c.denomination_id == sa.bindparam("denomination"),
        lots.c.kind == LotKind.BOUND.value,
        lots.c.state == LotState.OPEN.value,
        lots.c.mode == sa.bindparam("in_mode"),
        lots.c.face_minor == sa.bindparam("face"),
        lots.c.brand_id == sa.bindparam("brand"),
        lots.c.source == sa.bindparam("from_source"),
    )
    .order_by(lots.c.id)
    .limit(1)
    .with_for_update()
)
_GROW = sa.update(lots).where(lots.c.id == sa.bindparam("of")).values(count=lots.c.count + sa.bindparam("by"))


def lock_bound_lot(
    tx: Tx, *, mode: Mode, brand_id: str, denomination_id: str, face_minor: int, source: str
) -> tuple[str, bytes, int, int] | None:
    """(id, wrapped key, master key, codes) of the day's lot of bound codes. Others who add to it wait."""
    values = {
        "denomination": denomination_id,
        "in_mode": mode.value,
        "face": face_minor,
        "brand": brand_id,
        "from_source": source,
    }
    row = tx.execute(_BOUND_LOT, values).first()
    return (row[0], row[1], row[2], row[3]) if row is not None else None


def grow_lot(tx: Tx, lot_id: str, by: int) -> None:
    """Count codes that were added to a lot, which the caller has locked or made."""
    tx.execute(_GROW, {"of": lot_id, "by": by})


def brand_ids(tx: Tx) -> list[str]:
    """The brands that the vault has lots of."""
    return list(tx.execute(sa.select(lots.c.brand_id).distinct()).scalars())


# --- keys ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MasterKeyRow:
    """A master key as the database knows it."""

    number: int
    check_value: bytes
    created_at: int
    retired_at: int | None


_CURRENT = (
    sa.select(master_keys.c.number)
    .where(master_keys.c.retired_at.is_(None))
    .order_by(master_keys.c.number.desc())
    .limit(1)
    .with_for_update(read=True)
)
_RETIRE = (
    sa.update(master_keys)
    .where(master_keys.c.number < sa.bindparam("below"), master_keys.c.retired_at.is_(None))
    .values(retired_at=sa.bindparam("now"))
)

_upsert_master_key = postgresql.insert(master_keys).values(
    {name: sa.bindparam(name) for name in ("number", "check_value", "created_at")}
)
insert_master_keys = Bulk(_upsert_master_key.on_conflict_do_nothing(), ("number", "check_value", "created_at"))
"""Register master keys: (number, check value, created at) each; those that are known stay as they are."""

_upsert_service_key = postgresql.insert(service_keys).values(
    {name: sa.bindparam(name) for name in ("name", "wrapped", "master_key")}
)
insert_service_key = Bulk(_upsert_service_key.on_conflict_do_nothing(), ("name", "wrapped", "master_key"))
"""Store a wrapped service key: (name, wrapped, master key number); if two make it at once, the first stays."""


def load_master_keys(tx: Tx) -> list[MasterKeyRow]:
    return [MasterKeyRow(*row) for row in tx.execute(sa.select(*master_keys.c).order_by(master_keys.c.number))]


def lock_current_number(tx: Tx) -> int | None:
    """The newest master key that is not retired; it cannot be retired before this transaction ends."""
    number: int | None = tx.execute(_CURRENT).scalar()
    return number


def retire_below(tx: Tx, number: int, at: int) -> None:
    tx.execute(_RETIRE, {"below": number, "now": at})


def delete_master_key(tx: Tx, number: int) -> None:
    tx.execute(sa.delete(master_keys).where(master_keys.c.number == number))


def load_service_key(tx: Tx, name: str) -> tuple[bytes, int] | None:
    row = tx.execute(sa.select(service_keys.c.wrapped, service_keys.c.master_key).where(service_keys.c.name == name)).first()
    return (bytes(row[0]), row[1]) if row is not None else None


def numbers_in_use(tx: Tx) -> set[int]:
    """The master keys that something is wrapped by."""
    used = sa.union(sa.select(lots.c.master_key), sa.select(service_keys.c.master_key))
    return set(tx.execute(used).scalars())


def count_wrapped(tx: Tx) -> dict[int, int]:
    """How many lots and service keys each master key wraps."""
    both = sa.union_all(sa.select(lots.c.master_key), sa.select(service_keys.c.master_key)).subquery()
    rows = tx.execute(sa.select(both.c.master_key, sa.func.count()).group_by(both.c.master_key))
    return {row[0]: row[1] for row in rows}


def lots_to_rewrap(tx: Tx, number: int, after: str, limit: int) -> list[tuple[str, bytes, int]]:
    """(id, wrapped key, master key) of lots past the id ``after`` that another key than ``number`` wraps, locked in their order."""
    rows = tx.execute(
        sa.select(lots.c.id, lots.c.wrapped_key, lots.c.master_key)
        .where(lots.c.master_key != number, lots.c.id > after)
        .order_by(lots.c.id)
        .limit(limit)
        .with_for_update()
    )
    return [(row[0], row[1], row[2]) for row in rows]


def service_keys_to_rewrap(tx: Tx, number: int) -> list[tuple[str, bytes, int]]:
    """(name, wrapped key, master key) of service keys that another key than ``number`` wraps."""
    rows = tx.execute(sa.select(*service_keys.c).where(service_keys.c.master_key != number).with_for_update())
    return [(row[0], row[1], row[2]) for row in rows]


rewrap_lots = Bulk(
    sa.update(lots)
    .where(lots.c.id == sa.bindparam("of"))
    .values(wrapped_key=sa.bindparam("wrapped"), master_key=sa.bindparam("number")),
    ("wrapped", "number", "of"),
)
rewrap_service_keys = Bulk(
    sa.update(service_keys)
    .where(service_keys.c.name == sa.bindparam("of"))
    .values(wrapped=sa.bindparam("to_wrapped"), master_key=sa.bindparam("number")),
    ("to_wrapped", "number", "of"),
)
