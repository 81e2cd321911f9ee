"""A partner's wallets as a list of entries: one for all that an order took, one for each refund, one for each credit or debit by hand.

For callers who know neither holds nor parts of a charge. An order's entry is pending while any of its money is set aside, completed once
what was charged is all there is, failed if everything was given back before it was charged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from cardrail.kernel import Mode, first_body
from cardrail.ledger.model import Phase, TransferPurpose
from cardrail.ledger.tables import transfers
from cardrail.storage import Tx

PENDING: Final = "pending"
COMPLETED: Final = "completed"
FAILED: Final = "failed"

SETTLED_MILLIS: Final = 3_600_000
"""A transfer that is older than this was committed, or never will be."""
TOTALS_KEPT_MAX: Final = 10_000
"""Partners whose totals are kept."""
PIECE: Final = 1_000
"""Entries, or orders, that are looked at with one statement."""
MOVED_MAX: Final = 20_000
"""Orders of one partner whose changes are looked at one by one."""
PIECES_MAX: Final = 10
"""Pieces that are looked through for a page by state, before all is added up instead."""

_t = transfers.c
_TAKEN_BY_ORDER: Final = [
    one.value
    for one in (TransferPurpose.SALE, TransferPurpose.FEE, TransferPurpose.TAX, TransferPurpose.HOLD, TransferPurpose.VOID)
]


class WalletEntry(NamedTuple):
    """One entry."""

    id: str
    """Of its first transfer."""
    order_id: str | None
    currency: str
    is_credit: bool
    amount_minor: int
    state: str
    purpose: str
    """ledger.model.TransferPurpose; of an order's own entry, "sale"."""
    created_at: int


def _sum(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, _t.amount_minor), else_=0)), 0)


_is_order: Final = sa.and_(_t.order_id.is_not(None), _t.purpose.in_(_TAKEN_BY_ORDER))
_is_refund: Final = sa.and_(_t.order_id.is_not(None), _t.purpose == TransferPurpose.REFUND.value)
_key: Final = sa.case((_is_order, _t.order_id), (_is_refund, _t.order_id + ":" + sa.cast(_t.created_at, sa.Text)), else_=_t.id)
_wallet_name: Final = _t.partner_id + ":wallet:" + _t.currency + ":" + _t.mode
_posted: Final = _sum(_t.phase == Phase.POSTED.value)
_held: Final = (
    _sum(_t.phase == Phase.PENDING.value)
    - _sum(_t.phase == Phase.VOID.value)
    - _sum(sa.and_(_t.phase == Phase.POSTED.value, _t.hold_id.is_not(None)))
)
_taken: Final = _sum(_t.phase == Phase.PENDING.value)
_state: Final = sa.case((_held > 0, PENDING), (_posted > 0, COMPLETED), else_=FAILED)
_amount: Final = sa.case((_held > 0, _posted + _held), (_posted > 0, _posted), else_=_taken)
_is_credit: Final = sa.func.max(sa.case((sa.and_(_t.phase == Phase.POSTED.value, _t.credit == _wallet_name), 1), else_=0))
_ENTRIES: Final = sa.select(
    sa.func.min(_t.id).label("id"),
    sa.func.max(_t.order_id).label("order_id"),
    sa.func.max(_t.currency).label("currency"),
    _is_credit.label("is_credit"),
    _amount.label("amount_minor"),
    _state.label("state"),
    sa.func.max(sa.case((_is_order, TransferPurpose.SALE.value), else_=_t.purpose)).label("purpose"),
    sa.func.min(_t.created_at).label("created_at"),
).group_by(_key)
_SORTS: Final = {"id": "id", "amount": "amount_minor", "created_at": "created_at"}


def slice_entries(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    *,
    currency: str | None = None,
    is_credit: bool | None = None,
    state: str | None = None,
    sort: str = "id",
    descending: bool = True,
    offset: int,
    limit: int,
) -> tuple[list[WalletEntry], int]:
    """A page of a partner's entries from the ``offset``-th on, and how many there are. ``sort``: id, amount or created_at.

    For callers who count pages. How many there are is kept, and only what moved in the last hours is added up anew (``EntryTotals``); a
    page by id near either end reads little more than itself. Pages by amount or time, and far ones by state, add up all transfers.
    """
    total = _totals.setdefault(tx.engine, EntryTotals()).count(tx, partner_id, mode, currency, is_credit, state)
    if offset >= total:
        return [], total
    own = [_t.partner_id == partner_id, _t.mode == mode.value]
    if currency is not None:
        own.append(_t.currency == currency)
    if sort == "id":
        found = _slice_by_id(tx, own, is_credit, state, descending, offset, limit)
        if found is not None:
            return found, total
    entries = _ENTRIES.where(*own).subquery()
    conditions: list[sa.ColumnElement[bool]] = []
    if is_credit is not None:
        conditions.append(entries.c.is_credit == int(is_credit))
    if state is not None:
        conditions.append(entries.c.state == state)
    by = entries.c[_SORTS[sort]]
    order = (by.desc(), entries.c.id.desc()) if descending else (by.asc(), entries.c.id.asc())
    rows = tx.execute(sa.select(entries).where(*conditions).order_by(*order).offset(offset).limit(limit))
    return [_entry(row) for row in rows], total


# --- pages by id ------------------------------------------------------------------------------------------------------

_o = transfers.alias("earlier").c
_is_same: Final = sa.or_(
    sa.and_(_is_order, _o.purpose.in_(_TAKEN_BY_ORDER)),
    sa.and_(_is_refund, _o.purpose == TransferPurpose.REFUND.value, _o.created_at == _t.created_at),
)
_is_first: Final = ~sa.exists().where(_o.order_id == _t.order_id, _o.id < _t.id, _is_same)
_takes_in: Final = sa.and_(_t.phase == Phase.POSTED.value, _t.credit == _wallet_name)
_FIRSTS: Final = sa.select(_t.id, _t.order_id).where(_is_first)
"""The first transfer of each entry, which has its id and its direction."""


def _slice_by_id(
    tx: Tx,
    own: Sequence[sa.ColumnElement[bool]],
    is_credit: bool | None,
    state: str | None,
    descending: bool,
    offset: int,
    limit: int,
) -> list[WalletEntry] | None:
    """The page; None where too many entries in other states lie before it."""
    query = _FIRSTS.where(*own).order_by(_t.id.desc() if descending else _t.id.asc())
    if is_credit is not None:
        query = query.where(_takes_in if is_credit else sa.not_(_takes_in))
    if state is None:
        return _entries_of(tx, own, tx.execute(query.offset(offset).limit(limit)).all(), descending)
    found: list[WalletEntry] = []
    for piece in range(PIECES_MAX):
        firsts = tx.execute(query.offset(piece * PIECE).limit(PIECE)).all()
        found += [one for one in _entries_of(tx, own, firsts, descending) if one.state == state]
        if len(found) >= offset + limit or len(firsts) < PIECE:
            return found[offset : offset + limit]
    return None


def _entries_of(tx: Tx, own: Sequence[sa.ColumnElement[bool]], firsts: Sequence[Any], descending: bool) -> list[WalletEntry]:
    """The entries that begin with these transfers."""
    orders = sorted({row.order_id for row in firsts if row.order_id is not None})
    single = [row.id for row in firsts if row.order_id is None]
    wanted = {row.id for row in firsts}
    both = [
        _t.order_id.in_(orders),
        sa.and_(_t.order_id.is_(None), _t.id.in_(single)),
    ]  # one by one: an OR reads all of the partner's
    beside = [
        _t.partner_id.is_not(None),
        *own[1:],
    ]  # an order is one partner's; named, his index would be taken, and all of it read
    found = [_entry(row) for whose in both for row in tx.execute(_ENTRIES.where(*beside, whose)) if row.id in wanted]
    return sorted(found, key=lambda one: one.id, reverse=descending)


# --- how many there are -----------------------------------------------------------------------------------------------

Kinds = Counter[tuple[str, bool, str]]
"""(currency, is credit, state) → entries."""


class EntryTotals:
    """How many entries partners have, by kind. What old transfers made of them is counted once and kept; with each look only the orders
    that moved since are counted, as they stand and as they stood. A transfer that is older than the time that one may take to be
    committed is not coming any more, whoever's clock made its id."""

    def __init__(self, settled_millis: int = SETTLED_MILLIS) -> None:
        self._settled = settled_millis
        self._known: dict[tuple[str, Mode], tuple[str, Kinds]] = {}

    def count(self, tx: Tx, partner_id: str, mode: Mode, currency: str | None, is_credit: bool | None, state: str | None) -> int:
        """How many of a partner's entries are of this currency, direction and state, where given."""
        return sum(
            count
            for (code, is_in, stands), count in self.kinds(tx, partner_id, mode).items()
            if currency in (None, code) and is_credit in (None, is_in) and state in (None, stands)
        )

    def kinds(self, tx: Tx, partner_id: str, mode: Mode) -> Kinds:
        """All of a partner's entries."""
        now = time.time_ns() // 1_000_000
        mark, kinds = self._known.get((partner_id, mode), ("", Kinds()))
        if mark > _first_id(now - self._settled):  # the clock was ahead then, and what it took for old is not
            mark, kinds = "", Kinds()
        if mark < _first_id(now - 2 * self._settled):
            settled = _first_id(now - self._settled)
            moved = _moved(tx, partner_id, mode, mark, settled)
            kinds = _sum_of(kinds, moved) if moved is not None else _kinds(tx, [*_own(partner_id, mode), _t.id < settled])
            mark = settled
            if len(self._known) >= TOTALS_KEPT_MAX:
                self._known.clear()
            self._known[partner_id, mode] = mark, kinds
        moved = _moved(tx, partner_id, mode, mark, None)
        return _sum_of(kinds, moved) if moved is not None else _kinds(tx, _own(partner_id, mode))


_totals: Final[WeakKeyDictionary[sa.Engine, EntryTotals]] = WeakKeyDictionary()


def _first_id(millis: int) -> str:
    return f"trf_{first_body(millis)}"


def _own(partner_id: str, mode: Mode) -> list[sa.ColumnElement[bool]]:
    return [_t.partner_id == partner_id, _t.mode == mode.value]


def _moved(tx: Tx, partner_id: str, mode: Mode, since: str, before: str | None) -> Kinds | None:
    """What the transfers from ``since`` to before ``before`` add to the numbers of entries, and take from them; None where so many orders
    moved that all of them are sooner counted."""
    own = _own(partner_id, mode)
    old = [*own, _t.id < before] if before is not None else own
    if not since:
        return _kinds(tx, old)
    fresh = [*old, _t.id >= since]
    touching = sa.select(_t.order_id).where(*fresh, _t.order_id.is_not(None)).distinct().limit(MOVED_MAX + 1)
    orders = tx.execute(touching).scalars().all()
    if len(orders) > MOVED_MAX:
        return None
    moved = _kinds(tx, [*fresh, _t.order_id.is_(None)])
    for start in range(0, len(orders), PIECE):
        touched = [_t.order_id.in_(orders[start : start + PIECE]), _t.partner_id.is_not(None), _t.mode == mode.value]
        moved.update(_kinds(tx, touched if before is None else [*touched, _t.id < before]))
        moved.subtract(_kinds(tx, [*touched, _t.id < since]))
    return moved


def _sum_of(one: Kinds, other: Kinds) -> Kinds:
    made = Kinds(one)
    made.update(other)  # a plus sign would drop what is taken away
    return made


def _kinds(tx: Tx, conditions: Sequence[sa.ColumnElement[bool]]) -> Kinds:
    entries = _ENTRIES.where(*conditions).subquery()
    kind = (entries.c.currency, entries.c.is_credit, entries.c.state)
    rows = tx.execute(sa.select(*kind, sa.func.count()).group_by(*kind))
    return Kinds({(code, bool(is_in), state): int(count) for code, is_in, state, count in rows})


def order_entry(tx: Tx, partner_id: str, mode: Mode, order_id: str) -> WalletEntry | None:
    """What an order of the partner took; None if nothing."""
    return _one(tx, [_t.order_id == order_id, _is_order, _t.partner_id == partner_id, _t.mode == mode.value])


def entries_between(tx: Tx, partner_id: str, mode: Mode, first: str, last: str) -> list[WalletEntry]:
    """The partner's entries whose id lies from ``first`` to before ``last``, but for those of what orders took."""
    own = (_t.partner_id == partner_id, _t.mode == mode.value)
    near = sa.select(_t.id, _t.order_id, _t.created_at, _is_refund.label("is_refund")).where(
        *own, _t.id >= first, _t.id < last, sa.not_(_is_order)
    )
    found: dict[str, WalletEntry] = {}
    for row in tx.execute(near.order_by(_t.id)):
        whose: Sequence[Any] = [_t.order_id == row.order_id, _t.created_at == row.created_at, _is_refund]
        entry = _one(tx, [*own, *(whose if row.is_refund else [_t.id == row.id])])
        if entry is not None and first <= entry.id < last:
            found[entry.id] = entry
    return list(found.values())


def _one(tx: Tx, conditions: Sequence[Any]) -> WalletEntry | None:
    row = tx.execute(_ENTRIES.where(*conditions)).first()
    return None if row is None else _entry(row)


def _entry(row: Any) -> WalletEntry:
    return WalletEntry(
        row.id, row.order_id, row.currency, bool(row.is_credit), int(row.amount_minor), row.state, row.purpose, row.created_at
    )
