"""Every statement about suppliers' statements, their lines and differences; rows ↔ model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import Mode, new_id
from cardrail.settlement.match import Match, MatchKind, PurchaseState, TheirLine
from cardrail.settlement.tables import differences, reconciled, supplier_lines, supplier_statements
from cardrail.storage import Tx, bulk_insert

_json: Final = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class SupplierStatement:
    """One imported statement of a supplier, and what its last matching came to."""

    id: str
    supplier: str
    currency: str
    mode: Mode
    name: str
    content_hash: str
    state: str
    """loading, open, matched."""
    since: int | None
    until: int | None
    lines: int
    refused: int
    counts: dict[str, int]
    """Kind of match → how many."""
    imported_at: int
    imported_by: str
    matched_at: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Something on which the two sides do not agree."""

    id: str
    statement_id: str
    key: str
    kind: str
    reason: str
    order_id: str | None
    purchase_id: str | None
    line: int | None
    ours_minor: int | None
    theirs_minor: int | None
    gap_minor: int
    ours_state: str | None
    theirs_state: str | None
    state: str
    owner: str | None
    resolution: str | None
    note: str | None
    transfer_id: str | None
    created_at: int
    resolved_at: int | None
    resolved_by: str | None


# --- statements -------------------------------------------------------------------------------------------------------

_s = supplier_statements.c
_l = supplier_lines.c
_ALL: Final = sa.select(*_s)


def insert_statement(tx: Tx, one: SupplierStatement) -> None:
    row = {column.name: getattr(one, column.name) for column in supplier_statements.c}
    row |= {"mode": one.mode.value, "counts": None}
    tx.execute(sa.insert(supplier_statements), row)


def is_imported(tx: Tx, supplier: str, content_hash: str) -> bool:
    query = sa.select(sa.exists().where(_s.supplier == supplier, _s.content_hash == content_hash, _s.state != "loading"))
    return bool(tx.execute(query).scalar_one())


GONE: Final = "gone "
"""How the content of an import begins that does not go on, and whose lines are being taken away."""


def give_up_loading(tx: Tx, supplier: str, content_hash: str, statement_id: str | None = None) -> list[str]:
    """Say of unfinished imports of this content, or of this one, that they do not go on; those, and what earlier ones left of others."""
    whose = (_s.supplier == supplier, _s.state == "loading")
    which = _s.content_hash == content_hash if statement_id is None else _s.id == statement_id
    tx.execute(sa.update(supplier_statements).where(*whose, which).values(content_hash=GONE + _s.id))
    return list(tx.execute(sa.select(_s.id).where(*whose, _s.content_hash.startswith(GONE))).scalars())


def is_loading(tx: Tx, statement_id: str) -> bool:
    """Whether the import goes on; nobody gives it up before this transaction ends."""
    query = sa.select(_s.content_hash).where(_s.id == statement_id, _s.state == "loading").with_for_update()
    mark = tx.execute(query).scalar()
    return mark is not None and not mark.startswith(GONE)


def delete_given_up(tx: Tx, statement_id: str, most: int) -> bool:
    """Take away some lines of an import that was given up, in the end itself; whether there may be more."""
    some = sa.select(_l.key).where(_l.statement_id == statement_id).limit(most)
    if tx.execute(sa.delete(supplier_lines).where(_l.statement_id == statement_id, _l.key.in_(some))).rowcount:
        return True
    tx.execute(sa.delete(supplier_statements).where(_s.id == statement_id))
    return False


def open_statement(tx: Tx, statement_id: str, lines: int, refused: int) -> None:
    tx.execute(sa.update(supplier_statements).where(_s.id == statement_id).values(state="open", lines=lines, refused=refused))


def finish_matching(tx: Tx, statement_id: str, counts: dict[str, int], now: int) -> None:
    values = {"state": "matched", "counts": _json.encode(counts).decode(), "matched_at": now}
    tx.execute(sa.update(supplier_statements).where(_s.id == statement_id).values(values))


def load_statement(tx: Tx, statement_id: str) -> SupplierStatement | None:
    row = tx.execute(_ALL.where(_s.id == statement_id)).first()
    return _statement(row) if row else None


def list_statements(tx: Tx, *, supplier: str | None = None, limit: int = 50) -> list[SupplierStatement]:
    """Imported statements, newest first."""
    query = _ALL.where(_s.state != "loading").order_by(_s.id.desc()).limit(limit)
    if supplier is not None:
        query = query.where(_s.supplier == supplier)
    return [_statement(row) for row in tx.execute(query)]


def of_period(tx: Tx, supplier: str, since: int, until: int, actor: str) -> SupplierStatement | None:
    """What this actor imported of a supplier for exactly this period, the newest."""
    query = _ALL.where(
        _s.supplier == supplier, _s.since == since, _s.until == until, _s.imported_by == actor, _s.state != "loading"
    )
    row = tx.execute(query.order_by(_s.id.desc()).limit(1)).first()
    return _statement(row) if row else None


def _statement(row: Any) -> SupplierStatement:
    return SupplierStatement(
        id=row.id,
        supplier=row.supplier,
        currency=row.currency,
        mode=Mode(row.mode),
        name=row.name,
        content_hash=row.content_hash,
        state=row.state,
        since=row.since,
        until=row.until,
        lines=row.lines,
        refused=row.refused,
        counts=msgspec.json.decode(row.counts, type=dict[str, int]) if row.counts else {},
        imported_at=row.imported_at,
        imported_by=row.imported_by,
        matched_at=row.matched_at,
    )


# --- lines ------------------------------------------------------------------------------------------------------------

_LINE: Final = ("statement_id", "key", "line", "our_reference", "their_reference", "sku", "amount_minor", "state", "at")
_insert_lines: Final = bulk_insert(supplier_lines, *_LINE)
_LINES: Final = sa.select(*_l).where(_l.statement_id == sa.bindparam("of"))
_BY_KEY: Final = _LINES.where(_l.key.in_(sa.bindparam("keys", expanding=True)))
_NUMBERS: Final = sa.select(_l.key, _l.line).where(
    _l.statement_id == sa.bindparam("of"), _l.key.in_(sa.bindparam("keys", expanding=True))
)
_AFTER: Final = _LINES.where(_l.key > sa.bindparam("after")).order_by(_l.key).limit(sa.bindparam("most"))


def insert_lines(tx: Tx, statement_id: str, lines: Iterable[TheirLine]) -> None:
    _insert_lines(
        tx,
        [
            (
                statement_id,
                one.key,
                one.line,
                one.our_reference,
                one.their_reference,
                one.sku,
                one.amount_minor,
                one.state.value,
                one.at,
            )
            for one in lines
        ],
    )


def numbers_by_key(tx: Tx, statement_id: str, keys: Sequence[str]) -> dict[str, int]:
    """Which of these keys the statement has already, and in which line."""
    return {key: int(line) for key, line in tx.execute(_NUMBERS, {"of": statement_id, "keys": list(keys)})}


def lines_by_key(tx: Tx, statement_id: str, keys: Sequence[str]) -> dict[str, TheirLine]:
    return {row.key: _line(row) for row in tx.execute(_BY_KEY, {"of": statement_id, "keys": list(keys)})}


def lines_after(tx: Tx, statement_id: str, after: str, limit: int) -> list[TheirLine]:
    """Lines in the database's own order of keys."""
    return [_line(row) for row in tx.execute(_AFTER, {"of": statement_id, "after": after, "most": limit})]


def matches_by_theirs(tx: Tx, statement_id: str) -> bool:
    """Whether its lines are matched by the supplier's numbers rather than by our references."""
    row = tx.execute(_LINES.order_by(_l.key).limit(1), {"of": statement_id}).first()
    return row is not None and row.our_reference != row.key


def _line(row: Any) -> TheirLine:
    return TheirLine(
        key=row.key,
        line=row.line,
        amount_minor=row.amount_minor,
        state=PurchaseState(row.state),
        our_reference=row.our_reference,
        their_reference=row.their_reference,
        sku=row.sku,
        at=row.at,
    )


# --- differences ------------------------------------------------------------------------------------------------------

_d = differences.c
_new: Any = postgresql.insert(differences)
_FOUND: Final = (
    "kind",
    "reason",
    "order_id",
    "purchase_id",
    "line",
    "ours_minor",
    "theirs_minor",
    "gap_minor",
    "ours_state",
    "theirs_state",
)
_NEW: Final = _new.on_conflict_do_update(
    index_elements=["statement_id", "key"],
    set_={name: getattr(_new.excluded, name) for name in _FOUND},
    where=_d.state == "open",
)
"""What somebody looks after keeps its id and its owner."""
_r = reconciled.c
_reconcile: Any = postgresql.insert(reconciled)
_RECONCILE: Final = _reconcile.on_conflict_do_update(
    index_elements=["order_id", "purchase_id"],
    set_={
        "statement_id": _reconcile.excluded.statement_id,
        "is_settled": _reconcile.excluded.is_settled,
        "at": _reconcile.excluded.at,
    },
)
_RESOLVED: Final = sa.select(_d.key).where(
    _d.statement_id == sa.bindparam("of"), _d.state == "resolved", _d.key.in_(sa.bindparam("keys", expanding=True))
)


def forget_open(tx: Tx, statement_id: str, most: int) -> bool:
    """Take away some of what an earlier matching found, and nobody has resolved or looks after: the next one finds it again, if it is still
    so. Whether there may be more."""
    some = sa.select(_d.id).where(_d.statement_id == statement_id, _d.state == "open", _d.owner.is_(None)).limit(most)
    return tx.execute(sa.delete(differences).where(_d.id.in_(some))).rowcount > 0


def owned_keys(tx: Tx, statement_id: str) -> set[str]:
    """What somebody looks after and has not resolved."""
    query = sa.select(_d.key).where(_d.statement_id == statement_id, _d.state == "open", _d.owner.is_not(None))
    return set(tx.execute(query).scalars())


def forget_owned(tx: Tx, statement_id: str, keys: Collection[str]) -> None:
    """Take away what somebody looked after, and what is no longer so."""
    gone = (_d.statement_id == statement_id, _d.state == "open", _d.key == sa.bindparam("gone"))
    if keys:
        tx.execute(sa.delete(differences).where(*gone), [{"gone": key} for key in sorted(keys)])


def save_matches(tx: Tx, one: SupplierStatement, found: Sequence[Match], now: int) -> None:
    """Write differences, and how far each order's purchase is settled; what was resolved earlier stays so."""
    resolved = set(tx.execute(_RESOLVED, {"of": one.id, "keys": [match.key for match in found]}).scalars())
    rows = [
        _difference_row(one.id, match, now) for match in found if match.kind is not MatchKind.EQUAL and match.key not in resolved
    ]
    if rows:
        tx.execute(_NEW, rows)
    settled = [
        {
            "order_id": match.ours.order_id,
            "purchase_id": match.ours.purchase_id,
            "statement_id": one.id,
            "is_settled": match.kind is MatchKind.EQUAL or match.key in resolved,
            "at": now,
        }
        for match in found
        if match.ours is not None and match.ours.order_id is not None
    ]
    if settled:
        tx.execute(_RECONCILE, settled)


def _difference_row(statement_id: str, match: Match, now: int) -> dict[str, Any]:
    ours, theirs = match.ours, match.theirs
    return {
        "id": new_id("dif"),
        "statement_id": statement_id,
        "key": match.key,
        "kind": match.kind.value,
        "reason": match.reason,
        "order_id": ours.order_id if ours else None,
        "purchase_id": ours.purchase_id if ours else None,
        "line": theirs.line if theirs else None,
        "ours_minor": ours.amount_minor if ours else None,
        "theirs_minor": theirs.amount_minor if theirs else None,
        "gap_minor": match.gap_minor,
        "ours_state": ours.state.value if ours else None,
        "theirs_state": theirs.state.value if theirs else None,
        "state": "open",
        "created_at": now,
    }


def load_difference(tx: Tx, difference_id: str, *, lock: bool = False) -> Difference | None:
    query = sa.select(*_d).where(_d.id == difference_id)
    row = tx.execute(query.with_for_update() if lock else query).first()
    return _difference(row) if row else None


def list_differences(
    tx: Tx,
    statement_id: str | None = None,
    *,
    state: str | None = None,
    kind: str | None = None,
    after: str = "",
    limit: int = 1_000,
) -> list[Difference]:
    """Differences by id, behind ``after``."""
    query = sa.select(*_d).where(_d.id > after).order_by(_d.id).limit(limit)
    for given, column in ((statement_id, _d.statement_id), (state, _d.state), (kind, _d.kind)):
        if given is not None:
            query = query.where(column == given)
    return [_difference(row) for row in tx.execute(query)]


def open_counts(tx: Tx, supplier: str, mode: Mode) -> dict[str, int]:
    """Kind → how many differences with a supplier nobody has resolved, over all its statements."""
    query = (
        sa.select(_d.kind, sa.func.count())
        .join(supplier_statements, _s.id == _d.statement_id)
        .where(_s.supplier == supplier, _s.mode == mode.value, _d.state == "open")
        .group_by(_d.kind)
        .order_by(_d.kind)
    )
    return {kind: int(count) for kind, count in tx.execute(query)}


def left_out(tx: Tx, supplier: str, mode: Mode) -> int:
    """Lines of a supplier's newest statement that could not be taken."""
    query = sa.select(_s.refused).where(_s.supplier == supplier, _s.mode == mode.value, _s.state != "loading")
    return int(tx.execute(query.order_by(_s.id.desc()).limit(1)).scalar() or 0)


def set_owner(tx: Tx, difference_id: str, owner: str) -> None:
    tx.execute(sa.update(differences).where(_d.id == difference_id).values(owner=owner))


def resolve(tx: Tx, difference_id: str, resolution: str, note: str | None, transfer_id: str | None, now: int, actor: str) -> None:
    values = {
        "state": "resolved",
        "resolution": resolution,
        "note": note,
        "transfer_id": transfer_id,
        "resolved_at": now,
        "resolved_by": actor,
    }
    tx.execute(sa.update(differences).where(_d.id == difference_id).values(values))


def settle_purchase(tx: Tx, order_id: str, purchase_id: str) -> None:
    tx.execute(sa.update(reconciled).where(_r.order_id == order_id, _r.purchase_id == purchase_id).values(is_settled=True))


def _difference(row: Any) -> Difference:
    return Difference(**{name: getattr(row, name) for name in Difference.__slots__})
