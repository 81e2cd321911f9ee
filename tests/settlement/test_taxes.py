"""Tax on statements, by rate. The sums are worked by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cardrail.kernel import Mode
from cardrail.orders import CodeAt, SoldLine
from cardrail.settlement import TaxRate
from cardrail.settlement.model import by_rate
from tests.build import item
from tests.orders.build import taxed
from tests.settlement.build import Ledgers

# TEA: 100.00 less 5 % is 95.00, a fee of 2.50 on each unit.

LINES = st.lists(
    st.builds(
        SoldLine,
        order_id=st.just("ord_1"),
        line=st.integers(0, 9),
        sku=st.just("TEA"),
        name=st.just("Tea"),
        quantity=st.integers(1, 9),
        unit_price_minor=st.integers(0, 10_000),
        unit_fee_minor=st.integers(0, 300),
        tax_bps=st.sampled_from([0, 825, 1_900]),
        face_minor=st.just(1),
        face_currency=st.just("INR"),
        fx_rate_e10=st.none(),
    ),
    max_size=5,
)


def test_a_statement_shows_price_with_fees_and_tax_by_rate(ledgers: Ledgers) -> None:
    ledgers.sell()
    taxed(ledgers.world, fee_minor=250, tax_bps=1_900)
    ledgers.sell(quantity=3)
    ledgers.until(2026, 2, 1, 1)
    (one,) = [closed for closed in ledgers.close().closed if closed.mode is Mode.LIVE]
    assert one.taxes == [TaxRate(0, 9_500, 0), TaxRate(1_900, 28_500 + 750, 5_558)]  # 19 % of 292.50 is 55.575
    assert sum(rate.net_minor + rate.tax_minor for rate in one.taxes) == one.opening_minor + 100_000_000 - one.closing_minor


def test_what_is_refunded_is_taken_off_its_rate(ledgers: Ledgers) -> None:
    taxed(ledgers.world, fee_minor=250, tax_bps=1_900)
    ledgers.refund(ledgers.sell(quantity=3))
    ledgers.until(2026, 2, 1, 1)
    (one,) = [closed for closed in ledgers.close().closed if closed.mode is Mode.LIVE]
    assert (one.taxes, one.closing_minor) == ([TaxRate(1_900, 0, 0)], 100_000_000)


def test_a_unit_of_one_of_several_rates_is_taken_off_its_own(ledgers: Ledgers) -> None:
    world = ledgers.world
    tea = world.catalog.current().offer("TEA")
    assert tea is not None
    taxed(world, fee_minor=250, tax_bps=1_900, product_id=tea.product_id)
    world.stock("TEA", 2)
    world.stock("BOOKS", 1)
    both = world.place(world.command(item("TEA", 2), item("BOOKS", 1)))[0].order  # type: ignore[union-attr]
    ledgers.refund(both, units=[CodeAt(1, 2), CodeAt(2, 1)])
    ledgers.until(2026, 2, 1, 1)
    (one,) = [closed for closed in ledgers.close().closed if closed.mode is Mode.LIVE]
    assert one.taxes == [TaxRate(0, 0, 0), TaxRate(1_900, 9_750, 1_852)]  # 19 % of two times 97.50 is 37.05: 18.52 and 18.53


@given(st.sampled_from(["sale", "fee", "tax", "refund", "refund_fee", "refund_tax"]), st.integers(-(10**9), 10**9), LINES)
def test_the_parts_of_a_movement_always_sum_to_it(kind: str, amount: int, lines: list[SoldLine]) -> None:
    assert sum(part for _, part in by_rate(kind, amount, lines)) == amount
