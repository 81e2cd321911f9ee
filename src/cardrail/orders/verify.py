"""The proof that orders, codes and money tell one story; and the list of all checks that `cardrail verify` runs.

What two packages know is read from each in the order of ids and compared as it comes: memory does not grow with the orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any, Final

import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.ledger import LEDGER_CHECKS, order_sums, stock_sums
from cardrail.orders.replacements.model import ReplacementState
from cardrail.orders.replacements.tables import replacements
from cardrail.orders.states import OrderState, outcome_of, state_of
from cardrail.orders.tables import allocations, order_items, orders, refunded_units
from cardrail.sourcing import ProcurementState, ProcurementSum, procurement_sums
from cardrail.storage import AuditLog, Check, Tx, all_restores
from cardrail.vault import (
    VAULT_CHECKS,
    ExceptionKind,
    LotKind,
    load_lots,
    lot_counts,
    read_exceptions,
    unsold_costs,
    unsold_spans,
)

Fault = tuple[str, str, str]
"""Subject, what was expected, what was found."""

S: Final = OrderState
_STREAM: Final = {"yield_per": 500}

# --- money ------------------------------------------------------------------------------------------------------------

_ORDERS: Final = sa.select(orders.c.id, orders.c.state, orders.c.charged_minor, orders.c.refunded_minor).order_by(orders.c.id)
_CLOSED: Final = frozenset({S.FULFILLED, S.PARTIALLY_FULFILLED, S.FAILED, S.CANCELLED, S.INVALIDATED})
_UNCHARGED: Final = frozenset({S.FAILED, S.CANCELLED, S.INVALIDATED})


def _charges(tx: Tx) -> Iterator[Fault]:
    moved = order_sums(tx)
    sums = next(moved, None)
    for row in tx.execute(_ORDERS, execution_options=_STREAM):
        while sums is not None and sums[0] < row.id:
            yield sums[0], "an order for the transfers that name it", "there is no such order"
            sums = next(moved, None)
        charged, refunded, held = 0, 0, 0
        if sums is not None and sums[0] == row.id:
            _, charged, refunded, held = sums
            sums = next(moved, None)
        if row.charged_minor != charged:
            yield row.id, f"a charge of {charged}, the sum of its transfers", f"a charge of {row.charged_minor}"
        if row.refunded_minor != refunded:
            yield row.id, f"refunds of {refunded}, the sum of its transfers", f"refunds of {row.refunded_minor}"
        if held and S(row.state) in _CLOSED:
            yield row.id, f"no money held, as it is {row.state}", f"{held} is held"
        if S(row.state) in _UNCHARGED and charged != refunded:
            yield row.id, f"everything given back, as it is {row.state}", f"{charged - refunded} is kept"
    while sums is not None:
        yield sums[0], "an order for the transfers that name it", "there is no such order"
        sums = next(moved, None)


# --- items ------------------------------------------------------------------------------------------------------------

_more: Final = (
    sa.select(allocations.c.order_id, allocations.c.line, sa.func.sum(allocations.c.code_count).label("codes"))
    .group_by(allocations.c.order_id, allocations.c.line)
    .subquery()
)
_ITEMS: Final = (
    sa.select(
        orders.c.id,
        orders.c.state.label("order_state"),
        orders.c.charged_minor.label("order_charged"),
        order_items.c.line,
        order_items.c.state,
        order_items.c.quantity,
        order_items.c.delivered,
        order_items.c.charged_minor,
        (order_items.c.code_count + sa.func.coalesce(_more.c.codes, 0)).label("codes"),
    )
    .select_from(
        orders.outerjoin(order_items, order_items.c.order_id == orders.c.id).outerjoin(
            _more, sa.and_(_more.c.order_id == order_items.c.order_id, _more.c.line == order_items.c.line)
        )
    )
    .order_by(orders.c.id, order_items.c.line)
)
_OUTCOMES: Final = frozenset({S.FULFILLED, S.PARTIALLY_FULFILLED, S.FAILED})


def _items(tx: Tx) -> Iterator[Fault]:
    for order_id, rows in groupby(tx.execute(_ITEMS, execution_options=_STREAM), key=lambda row: row.id):
        items = list(rows)
        if items[0].line is None:
            yield order_id, "at least one item", "none"
            continue
        for item in items:
            yield from _item(f"{order_id} line {item.line}", item)
        charged = sum(item.charged_minor for item in items)
        if charged != items[0].order_charged:
            yield order_id, f"a charge of {charged}, the sum of its items'", f"a charge of {items[0].order_charged}"
        state = S(items[0].order_state)
        derived = state_of([S(item.state) for item in items])
        if state not in (S.INVALIDATED, S.CANCELLED) and state is not derived:
            yield order_id, f"the state {derived.value}, as its items say", f"the state {state.value}"


def _item(subject: str, item: Any) -> Iterator[Fault]:
    state = S(item.state)
    if item.delivered != item.codes:
        yield subject, f"{item.delivered} codes allocated, as many as were delivered", f"{item.codes} codes allocated"
    if state in _OUTCOMES and state is not outcome_of(item.quantity, item.delivered):
        expected = outcome_of(item.quantity, item.delivered)
        yield subject, f"the state {expected.value}, as {item.delivered} of {item.quantity} came", f"the state {state.value}"
    if state in (S.PLACED, S.CANCELLED, S.FAILED) and item.charged_minor:
        yield subject, f"no charge, as it is {state.value}", f"a charge of {item.charged_minor}"


# --- codes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class _Span:
    """Codes of one lot that somebody has: an order's item, or a slice of unsold ones."""

    lot_id: str
    first: int
    end: int
    owner: str
    is_taken_back: bool = False
    """Of an invalidated order: its codes may be on sale, or sold, again."""


_FIRST_SPANS: Final = (
    sa.select(
        order_items.c.lot_id,
        order_items.c.first_seq,
        order_items.c.code_count,
        order_items.c.order_id,
        order_items.c.line,
        order_items.c.state,
    )
    .where(order_items.c.lot_id.is_not(None))
    .order_by(order_items.c.lot_id, order_items.c.first_seq)
)
_MORE_SPANS: Final = (
    sa.select(
        allocations.c.lot_id,
        allocations.c.first_seq,
        allocations.c.code_count,
        allocations.c.order_id,
        allocations.c.line,
        order_items.c.state,
    )
    .select_from(
        allocations.outerjoin(
            order_items, sa.and_(order_items.c.order_id == allocations.c.order_id, order_items.c.line == allocations.c.line)
        )
    )
    .order_by(allocations.c.lot_id, allocations.c.first_seq)
)


def _sold(tx: Tx, query: sa.Select[Any]) -> Iterator[_Span]:
    for lot_id, first, count, order_id, line, state in tx.execute(query, execution_options=_STREAM):
        yield _Span(lot_id, first, first + count, f"{order_id} line {line}", state == S.INVALIDATED.value)


_REPLACEMENT_SPANS: Final = (
    sa.select(replacements.c.new_lot_id, replacements.c.new_seq, replacements.c.id, orders.c.state)
    .select_from(replacements.outerjoin(orders, orders.c.id == replacements.c.order_id))
    .where(replacements.c.new_lot_id.is_not(None))
    .order_by(replacements.c.new_lot_id, replacements.c.new_seq)
)


def _given_for_bad_ones(tx: Tx) -> Iterator[_Span]:
    for lot_id, seq, replacement_id, state in tx.execute(_REPLACEMENT_SPANS, execution_options=_STREAM):
        yield _Span(lot_id, seq, seq + 1, replacement_id, state == S.INVALIDATED.value)


def _unsold(tx: Tx) -> Iterator[_Span]:
    for lot_id, first, end, slice_id in unsold_spans(tx):
        yield _Span(lot_id, first, end, slice_id)


def _allocations(tx: Tx) -> Iterator[Fault]:
    counts = lot_counts(tx)
    was_restored = bool(all_restores(tx))
    seen = set()
    owners = (_sold(tx, _FIRST_SPANS), _sold(tx, _MORE_SPANS), _given_for_bad_ones(tx), _unsold(tx))
    spans = merge(*owners, key=lambda one: (one.lot_id, one.first))
    for lot_id, of_lot in groupby(spans, key=lambda one: one.lot_id):
        seen.add(lot_id)
        if lot_id in counts:
            yield from _lot(tx, lot_id, of_lot, counts[lot_id], may_have_gaps=was_restored)
    for lot_id in sorted(counts.keys() - seen):
        yield from _lot(tx, lot_id, iter(()), counts[lot_id], may_have_gaps=was_restored)


def _lot(tx: Tx, lot_id: str, spans: Iterator[_Span], count: int, *, may_have_gaps: bool) -> Iterator[Fault]:
    """No code has two owners, none lies outside its lot, and none is without an owner unless something happened to it."""
    end, owner, covered = 0, "", 0
    for one in spans:
        if one.end > count:
            yield one.owner, f"codes below {count}, as {lot_id} has so many", f"codes {one.first} to {one.end - 1}"
        if one.is_taken_back:
            continue
        if one.first > covered and not may_have_gaps:
            yield from _gap(tx, lot_id, covered, one.first)
        covered = max(covered, one.end)
        if one.first < end:
            yield one.owner, f"codes of {lot_id} that nobody else has", f"code {one.first}, which {owner} has too"
        if one.end > end:
            end, owner = one.end, one.owner
    if covered < count and not may_have_gaps:
        yield from _gap(tx, lot_id, covered, count)


def _gap(tx: Tx, lot_id: str, first: int, end: int) -> Iterator[Fault]:
    """Codes that are neither sold nor for sale: each was blocked, or revoked with its order."""
    happened = read_exceptions(tx, [(lot_id, first, end - first)]).values()
    explained = sum(any(one.kind != ExceptionKind.RETURNED for one in facts) for facts in happened)
    if explained < end - first:
        yield lot_id, f"an owner or a reason for each of its codes {first} to {end - 1}", f"{end - first - explained} without"


def _stock_value(tx: Tx) -> Iterator[Fault]:
    unsold = unsold_costs(tx)
    for lot_id, currency, mode, value in stock_sums(tx):
        cost = unsold.pop((lot_id or "", currency, mode), 0)
        if value != cost:
            yield (
                lot_id or "stock",
                f"{cost} {currency} in stock, the cost of its unsold codes",
                f"{value} {currency} in the ledger",
            )
    for (lot_id, currency, _), cost in sorted(unsold.items(), key=_by_lot):
        if cost:
            yield lot_id, f"{cost} {currency} in stock, the cost of its unsold codes", "nothing in the ledger"


def _by_lot(one: tuple[tuple[str, str, Mode], int]) -> tuple[str, str]:
    return one[0][0], one[0][1]


# --- what suppliers brought -------------------------------------------------------------------------------------------

_SUPPLIED_ITEMS: Final = sa.select(
    order_items.c.order_id, order_items.c.line, order_items.c.state, order_items.c.quantity, order_items.c.delivered
).where(order_items.c.order_id.in_(sa.bindparam("ids", expanding=True)))
_PAGE: Final = 500


def _purchases(tx: Tx) -> Iterator[Fault]:
    sums = procurement_sums(tx)
    while page := list(islice(sums, _PAGE)):
        found = tx.execute(_SUPPLIED_ITEMS, {"ids": sorted({one.order_id for one in page})})
        items = {(row.order_id, row.line): row for row in found}
        for one in page:
            yield from _purchase(f"{one.order_id} line {one.line}", one, items.get((one.order_id, one.line)))


def _purchase(subject: str, one: ProcurementSum, item: Any) -> Iterator[Fault]:
    if item is None:
        yield subject, "an item for what suppliers are to bring", "there is no such item"
        return
    if one.delivered != one.bought:
        yield subject, f"{one.bought} units from suppliers, as its attempts say", f"{one.delivered} units"
    if item.delivered != item.quantity - one.quantity + one.delivered:
        expected = item.quantity - one.quantity + one.delivered
        yield subject, f"{expected} units delivered, from stock and suppliers together", f"{item.delivered} delivered"
    if one.delivered + one.open > one.quantity and S(item.state) in (S.PROCESSING, S.NEEDS_REVIEW):
        yield (
            subject,
            f"at most {one.quantity} units bought or being bought",
            f"{one.delivered} bought and {one.open} being bought",
        )
    waits = S(item.state) in (S.PROCESSING, S.NEEDS_REVIEW)
    if waits and one.state is ProcurementState.DONE:
        yield subject, f"somebody who works on it, as it is {item.state}", "nobody"
    if not waits and one.state in (ProcurementState.WAITING, ProcurementState.BUYING):
        yield subject, f"nothing more to be bought, as it is {item.state}", "more is being bought"


# --- codes that were bad ----------------------------------------------------------------------------------------------

_REPLACEMENTS: Final = (
    sa.select(
        replacements.c.id,
        replacements.c.state,
        replacements.c.lot_id,
        replacements.c.seq,
        replacements.c.new_lot_id,
        replacements.c.refunded_minor,
        orders.c.refunded_minor.label("order_refunded"),
        orders.c.charged_minor.label("order_charged"),
    )
    .select_from(replacements.outerjoin(orders, orders.c.id == replacements.c.order_id))
    .order_by(replacements.c.order_id, replacements.c.id)
)
_REPLACEMENTS_REFUNDED: Final = (
    sa.select(
        replacements.c.order_id,
        sa.func.sum(replacements.c.refunded_minor).label("by_replacements"),
        sa.func.max(orders.c.refunded_minor).label("by_order"),
    )
    .select_from(replacements.join(orders, orders.c.id == replacements.c.order_id))
    .where(replacements.c.refunded_minor > 0)
    .group_by(replacements.c.order_id)
    .order_by(replacements.c.order_id)
)


def _replacements(tx: Tx) -> Iterator[Fault]:
    rows = iter(tx.execute(_REPLACEMENTS, execution_options=_STREAM))
    while page := list(islice(rows, _PAGE)):
        happened = read_exceptions(tx, [(row.lot_id, row.seq, 1) for row in page])
        lots = load_lots(tx, sorted({row.lot_id for row in page}))
        for row in page:
            kinds = {one.kind for one in happened.get((row.lot_id, row.seq), [])}
            yield from _replacement(row, kinds, is_shared=lots[row.lot_id].kind is LotKind.SHARED)
    for order_id, by_replacements, by_order in tx.execute(_REPLACEMENTS_REFUNDED, execution_options=_STREAM):
        if by_replacements > by_order:
            yield order_id, f"refunds of {by_replacements}, as its replacements say", f"refunds of {by_order}"


def _replacement(row: Any, kinds: set[str], *, is_shared: bool) -> Iterator[Fault]:
    """A replaced code has one successor, a refunded one its refund, and each says so where codes are read; any other has neither."""
    if row.order_refunded is None:
        yield row.id, "an order for it", "there is no such order"
    state = ReplacementState(row.state)
    marks = {ReplacementState.REPLACED: ExceptionKind.REPLACED, ReplacementState.REFUNDED: ExceptionKind.REVOKED}
    wanted = marks.get(state)
    if wanted is not None and not is_shared and wanted not in kinds:
        yield row.id, f"its code marked {wanted.value}, as it is {state.value}", f"marks: {', '.join(sorted(kinds)) or 'none'}"
    if (state is ReplacementState.REPLACED) != (row.new_lot_id is not None):
        yield (
            row.id,
            "a new code where it is REPLACED, and only there",
            f"{state.value}, and a new code: {row.new_lot_id is not None}",
        )
    if state is ReplacementState.REFUNDED and not row.refunded_minor and row.order_charged:
        yield row.id, "money given back, as it is REFUNDED", "nothing"


# --- units that were paid back ----------------------------------------------------------------------------------------

_u = refunded_units.c
_UNITS: Final = (
    sa.select(
        _u.order_id,
        _u.line,
        _u.position,
        _u.amount_minor,
        _u.replacement_id,
        order_items.c.delivered,
        orders.c.refunded_minor,
        replacements.c.id.label("claim"),
    )
    .select_from(
        refunded_units.join(orders, orders.c.id == _u.order_id)
        .outerjoin(order_items, sa.and_(order_items.c.order_id == _u.order_id, order_items.c.line == _u.line))
        .outerjoin(
            replacements,
            sa.and_(
                replacements.c.order_id == _u.order_id,
                replacements.c.line == _u.line,
                replacements.c.position == _u.position,
                replacements.c.state == ReplacementState.REFUNDED.value,
            ),
        )
    )
    .order_by(_u.order_id, _u.line, _u.position)
)


def _refunded_units(tx: Tx) -> Iterator[Fault]:
    for order_id, rows in groupby(tx.execute(_UNITS, execution_options=_STREAM), key=lambda row: row.order_id):
        amount, refunded = 0, 0
        for row in rows:
            amount, refunded = amount + row.amount_minor, row.refunded_minor
            unit = f"{order_id} line {row.line} unit {row.position}"
            if row.delivered is None or row.position > row.delivered:
                yield unit, "a unit that was delivered", f"{row.delivered or 0} of its line were"
            if row.claim != row.replacement_id:
                yield (
                    unit,
                    f"paid back once, by {row.replacement_id or 'a refund'}",
                    f"paid back by {row.claim or 'no claim'} too",
                )
        if amount > refunded:
            yield order_id, f"refunds of {amount}, as its units say", f"refunds of {refunded}"


ORDER_CHECKS: Final = (
    Check("charges", "Every order's transfers explain its charge exactly", _charges),
    Check("items", "Every order is what its items came to, and every item what was allocated to it", _items),
    Check("allocations", "No code was given out twice, and none is lost", _allocations),
    Check("purchases", "What suppliers brought is what their attempts say, and nothing was bought twice", _purchases),
    Check("replacements", "Every bad code has one successor, its refund, or a no; and no code was given for two", _replacements),
    Check("refunded_units", "Every unit that was paid back was delivered, and is paid back once", _refunded_units),
    Check("stock_value", "Stock is worth what its unsold codes cost", _stock_value),
)
"""Where orders, codes and money meet."""


def audit_check(audit: AuditLog) -> Check:
    """The audit log's chains and anchors; its key is needed to read them."""

    def find(tx: Tx) -> Iterator[Fault]:
        for one in audit.verify(tx):
            yield f"{one.chain} {one.place}", "the log as it was written", one.problem

    return Check("audit", "The audit log is as it was written", find)


def all_checks(audit: AuditLog) -> tuple[Check, ...]:
    """Everything that `cardrail verify` runs, in its order."""
    return (*LEDGER_CHECKS, *VAULT_CHECKS, *ORDER_CHECKS, audit_check(audit))
