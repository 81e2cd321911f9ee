"""What must be true of the books after any misfortune: read from the tables, not from the code that writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from cardrail.kernel import FrozenClock
from cardrail.settlement import close_due, self_check, sequence_now
from tests.acceptance.server import Answer, Place


def check_books(place: Place, acknowledged: Mapping[str, Answer]) -> None:
    """Every acknowledged order (by its reference) is there once and paid once, no code was sold twice, and `cardrail verify` agrees."""
    orders = place.rows("orders", "id", "reference", "state", "charged_minor", "refunded_minor")
    by_reference = {row.reference: row for row in orders}
    assert len(by_reference) == len(orders), "an order is there twice"
    for reference, answer in acknowledged.items():
        row = by_reference.get(reference)
        assert row is not None, f"the acknowledged order {reference} is lost"
        assert (row.id, row.state) == (answer.body["id"], "FULFILLED")
    _check_money(place, {row.id: row.charged_minor for row in orders})
    _check_codes(place, acknowledged)
    place.cli("verify", "--json")
    with place.opened() as one:
        assert self_check(one.db, one.clock, one.audit) == [], "the daily self-check"


def close_books(place: Place) -> int:
    """Close the month as if it were over: every statement equals the ledger, and the daily self-check agrees; how many movements."""
    with place.opened() as one:
        sequence_now(one.db)
        later = FrozenClock(one.clock.now() + timedelta(days=40))
        done = close_due(one.db, later, one.audit)
        assert done.closed
        assert (done.waiting, done.failed) == (0, [])
        assert self_check(one.db, later, one.audit) == []
        return sum(statement.movements for statement in done.closed)


def _check_money(place: Place, charged: dict[str, int]) -> None:
    paid: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for row in place.rows("transfers", "order_id", "amount_minor", purpose="sale"):
        paid[row.order_id] += row.amount_minor
        times[row.order_id] += 1
    assert dict(paid) == charged, "an order is not paid, or a payment has no order"
    assert set(times.values()) <= {1}, "an order was paid twice"
    assert place.spent() == sum(charged.values()), "the wallet lost something else"


def _check_codes(place: Place, acknowledged: Mapping[str, Answer]) -> None:
    given = Counter(code for answer in acknowledged.values() for code in answer.codes)
    assert not given or max(given.values()) == 1, "two buyers were given the same code"
    allocation = ("lot_id", "first_seq", "code_count")
    ranges = [row for table in ("order_items", "allocations") for row in place.rows(table, *allocation) if row.lot_id is not None]
    sold = Counter((lot, first + i) for lot, first, count in ranges for i in range(count))
    assert not sold or max(sold.values()) == 1, "a code was sold twice"
    heads = {(row.lot_id, seq) for row in place.rows("slices") for seq in range(row.head)}
    assert set(sold) == heads, "a code was sold and is still in stock, or left the stock without an order"
