"""What a partner's finance is given for any two moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cardrail.kernel import Mode
from cardrail.settlement import InvalidPeriod, Reconciliation, reconciliation
from tests.settlement.build import START, Ledgers


def of_january(ledgers: Ledgers, **facts: Any) -> Reconciliation:
    world = ledgers.world
    january, february = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    return reconciliation(world.db, world.partner.partner_id, Mode.LIVE, january, february, **facts)


def test_orders_stand_with_their_charges_and_refunds(ledgers: Ledgers) -> None:
    kept, back = ledgers.sell(quantity=2, reference="a"), ledgers.sell()
    ledgers.refund(back)
    found = of_january(ledgers)
    assert [(one.order_id, one.settlement, one.charged_minor, one.refunded_minor) for one in found.orders] == [
        (kept.id, "settled", 19000, 0),
        (back.id, "refunded", 9500, 9500),
    ]
    assert (found.orders[0].reference, found.orders[0].items[0].quantity) == ("a", 2)


def test_the_period_opens_and_closes_with_the_balances_of_its_moments(ledgers: Ledgers) -> None:
    ledgers.sell()
    world = ledgers.world
    found = reconciliation(world.db, world.partner.partner_id, Mode.LIVE, START, START + timedelta(hours=1))
    (wallet,) = found.wallets
    assert (wallet.opening_minor, wallet.closing_minor) == (0, 99990500)
    assert wallet.totals == {"credit": 100000000, "sale": -9500}
    (later,) = reconciliation(
        world.db, world.partner.partner_id, Mode.LIVE, START + timedelta(hours=1), START + timedelta(hours=2)
    ).wallets
    assert (later.opening_minor, later.closing_minor, later.totals) == (99990500, 99990500, {})


def test_its_orders_come_page_by_page_and_its_sums_with_the_first(ledgers: Ledgers) -> None:
    placed = [ledgers.sell().id for _ in range(3)]
    first = of_january(ledgers, limit=2)
    rest = of_january(ledgers, limit=2, after=first.after)
    assert [one.order_id for one in first.orders + rest.orders] == placed
    assert (len(first.wallets), rest.wallets, rest.after) == (1, [], None)


def test_a_period_that_ends_before_it_begins_is_refused(ledgers: Ledgers) -> None:
    with pytest.raises(InvalidPeriod):
        reconciliation(ledgers.world.db, ledgers.world.partner.partner_id, Mode.LIVE, START, START)
