"""Limits: each refusal as a row of a table, the orders of a batch among themselves, and what is counted where."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.access.build import a_partner

from cardrail.access import (
    LimitExceeded,
    Limits,
    LimitsBook,
    OrderFigures,
    Partner,
    add_usage,
    check_limits,
    load_limits,
    load_usage,
    purge_usage,
)
from cardrail.access.limits import DAY, window_of
from cardrail.access.tables import limit_usage
from cardrail.kernel import FrozenClock, Mode, to_micros
from cardrail.storage import Database

ORDER = OrderFigures("INR", 5_000, (("A", 2), ("B", 3), ("A", 1)), "customer-7")

ROWS: list[tuple[Limits, dict[str, int], str | None]] = [
    (Limits(), {"orders": 10**9}, None),
    (Limits(order_amount_minor_max={"INR": 5_000}), {}, None),
    (Limits(order_amount_minor_max={"INR": 4_999}), {}, "order_amount"),
    (Limits(order_amount_minor_max={"EUR": 1}), {}, None),  # the order is paid from another wallet
    (Limits(amount_minor_per_day_max={"INR": 9_000}), {"amount:INR": 4_000}, None),
    (Limits(amount_minor_per_day_max={"INR": 9_000}), {"amount:INR": 4_001}, "amount_per_day"),
    (Limits(amount_minor_per_day_max={"INR": 9_000}), {"amount:EUR": 9_000}, None),
    (Limits(orders_per_day_max=3), {"orders": 2}, None),
    (Limits(orders_per_day_max=3), {"orders": 3}, "orders_per_day"),
    (Limits(orders_per_day_max=0), {}, "orders_per_day"),
    (Limits(quantity_per_sku_per_day_max=3), {}, None),  # A is there twice: 2 + 1
    (Limits(quantity_per_sku_per_day_max=2), {}, "quantity_per_sku_per_day"),
    (Limits(quantity_per_sku_per_day_max=3), {"sku:A": 1}, "quantity_per_sku_per_day"),
    (Limits(quantity_per_sku_per_day_max=3), {"sku:C": 3}, None),
    (Limits(quantity_per_customer_per_day_max=6), {}, None),
    (Limits(quantity_per_customer_per_day_max=5), {}, "quantity_per_customer_per_day"),
    (Limits(quantity_per_customer_per_day_max=6), {"customer:customer-7": 1}, "quantity_per_customer_per_day"),
    (Limits(quantity_per_customer_per_day_max=6), {"customer:customer-8": 6}, None),
]


@pytest.mark.parametrize(("limits", "usage", "refused"), ROWS)
def test_an_order_is_refused_beyond_a_limit_and_not_at_it(limits: Limits, usage: dict[str, int], refused: str | None) -> None:
    refusal = check_limits(limits, usage, ORDER)
    assert (refusal and refusal.facts["limit"]) == refused


def test_an_order_without_a_customer_is_not_counted_for_one() -> None:
    order = OrderFigures("INR", 1, (("A", 100),))
    assert check_limits(Limits(quantity_per_customer_per_day_max=1), {}, order) is None


def test_a_refusal_does_not_name_the_customer() -> None:
    refusal = check_limits(Limits(quantity_per_customer_per_day_max=1), {}, ORDER)
    assert "customer-7" not in str(refusal)


def test_orders_of_one_batch_see_one_another(db: Database) -> None:
    partner = a_partner(db, FrozenClock())
    limits = Limits(orders_per_day_max=2)
    book = LimitsBook()
    for _ in range(2):
        book.take(partner.id, Mode.LIVE, limits, ORDER)
    with pytest.raises(LimitExceeded):
        book.take(partner.id, Mode.LIVE, limits, ORDER)
    book.take(partner.id, Mode.TEST, limits, ORDER)
    assert [row[:3] + row[4:5] for row in book.rows()] == [
        (partner.id, "live", "orders", 2),
        (partner.id, "test", "orders", 1),
    ]


def place(db: Database, clock: FrozenClock, partner: Partner, limits: Limits, order: OrderFigures = ORDER) -> None:
    """What the order lane does of it."""
    with db.transaction() as tx:
        book = load_limits(tx, [(partner.id, Mode.LIVE, limits, order)], to_micros(clock.now()))
        book.take(partner.id, Mode.LIVE, limits, order)
        add_usage(tx, book.rows())


def test_use_is_kept_from_batch_to_batch_and_ends_with_the_utc_day(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    limits = Limits(amount_minor_per_day_max={"INR": 10_000}, quantity_per_sku_per_day_max=9)
    place(db, clock, partner, limits)
    place(db, clock, partner, limits)
    with pytest.raises(LimitExceeded):
        place(db, clock, partner, limits)
    clock.advance(hours=11, minutes=59)
    with pytest.raises(LimitExceeded):
        place(db, clock, partner, limits)
    clock.advance(minutes=1)
    place(db, clock, partner, limits)


def test_one_partners_use_is_not_anothers(db: Database) -> None:
    clock = FrozenClock()
    limits = Limits(orders_per_day_max=1)
    for partner in (a_partner(db, clock), a_partner(db, clock)):
        place(db, clock, partner, limits)


def test_without_counted_limits_nothing_is_asked_or_written(db: Database) -> None:
    clock = FrozenClock()
    place(db, clock, a_partner(db, clock), Limits(requests_per_minute=5, order_amount_minor_max={"INR": 5_000}))
    with db.read() as tx:
        assert tx.execute(sa.select(limit_usage)).all() == []


def test_many_counters_are_loaded_and_added_to_at_once(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    window = window_of(to_micros(clock.now()))
    rows = [(partner.id, "live", f"sku:{i:04}", window, i + 1, window + DAY) for i in range(2_500)]
    with db.transaction() as tx:
        add_usage(tx, rows)
        add_usage(tx, rows[:10])
        used = load_usage(tx, [row[:3] for row in rows] + [(partner.id, "live", "sku:none")], window)
    assert used == {row[:3]: (i + 1) * (2 if i < 10 else 1) for i, row in enumerate(rows)}


def test_old_counters_are_purged(db: Database) -> None:
    clock = FrozenClock()
    partner = a_partner(db, clock)
    place(db, clock, partner, Limits(orders_per_day_max=5))
    with db.transaction() as tx:
        assert purge_usage(tx, clock.now() + timedelta(hours=35)) == 0
        assert purge_usage(tx, clock.now() + timedelta(hours=37)) == 1


@given(
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from("AB"), st.integers(1, 5)), max_size=30),
    st.integers(0, 10),
    st.integers(0, 2_000),
    st.integers(0, 12),
)
def test_whatever_is_ordered_no_limit_is_passed(
    wanted: list[tuple[int, str, int]], orders: int, amount: int, quantity: int
) -> None:
    limits = Limits(orders_per_day_max=orders, amount_minor_per_day_max={"INR": amount}, quantity_per_sku_per_day_max=quantity)
    book, taken = LimitsBook(), []
    for total, sku, count in wanted:
        try:
            book.take("par_1", Mode.LIVE, limits, OrderFigures("INR", total, ((sku, count),)))  # type: ignore[arg-type]  # any text will do for an id
            taken.append((total, sku, count))
        except LimitExceeded:
            pass
    assert len(taken) <= orders
    assert sum(total for total, _, _ in taken) <= amount
    assert all(sum(count for _, sku, count in taken if sku == one) <= quantity for one in "AB")
    counted = {name: used for _, _, name, _, used, _ in book.rows()}
    assert counted.get("orders", 0) == len(taken)
