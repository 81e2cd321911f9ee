"""Health as it is kept in rows: breakers that orders open and close, limits that are obeyed, balances that are told of in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from cardrail.access import SecretSealer
from cardrail.kernel import Money, currency, to_micros
from cardrail.sourcing import (
    InvalidSupplierConfig,
    SupplierError,
    change_supplier,
    get_supplier,
    poll_balances,
    set_balance_alert,
)
from cardrail.storage import events
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK, ScriptedSupplier


def told(shop: Supplied, name: str = "A") -> list[str]:
    """The events about a supplier."""
    query = sa.select(events.c.type).where(events.c.subject_id == shop.suppliers[name].id).order_by(events.c.subject_seq)
    with shop.db.read() as tx:
        return list(tx.execute(query).scalars())


def test_a_dead_supplier_is_given_up_and_taken_up_again_when_it_returns(shop: Supplied) -> None:
    dead = shop.supplier("A", *["unreached"] * 5)
    shop.supplier("B", cost="85.00")
    for _ in range(6):
        assert states(shop.bought())[0] == "FULFILLED"
    assert (len(dead.asked), shop.health().breaker, told(shop)) == (5, "open", ["supplier.down"])
    shop.frozen.advance(seconds=61)
    done = shop.bought()
    assert (of(shop.attempts(done)), dead.units, shop.health().breaker) == ([("delivered", 1, 1)], 1, "closed")
    assert (told(shop), shop.findings()) == (["supplier.down", "supplier.up"], [])


def test_too_many_requests_sends_orders_elsewhere_until_its_moment(shop: Supplied) -> None:
    busy = shop.supplier("A", "busy")
    other = shop.supplier("B", cost="85.00")
    shop.bought()
    shop.bought()
    assert (len(busy.asked), other.units, told(shop)) == (1, 2, [])
    shop.frozen.advance(seconds=4)
    shop.bought()
    assert busy.units == 1


def test_an_order_that_a_balance_does_not_cover_goes_elsewhere(shop: Supplied) -> None:
    poor = shop.supplier("A")
    other = shop.supplier("B", cost="85.00")
    shop.health(balance_minor=20_000)
    done = shop.bought("CARD", 3)
    assert (states(done)[0], poor.units, other.units, shop.health().balance_minor) == ("FULFILLED", 2, 1, 4_000)


def test_what_is_out_of_stock_is_not_asked_for_again_until_the_next_sync(shop: Supplied) -> None:
    empty = shop.supplier("A", "refuse:out_of_stock", stock=50)
    shop.supplier("B", cost="85.00")
    shop.bought()
    shop.bought()
    assert len(empty.asked) == 1


class Telling(ScriptedSupplier):
    """A supplier that tells our balance."""

    def balance(self) -> Sequence[Money]:
        word = self.script.popleft() if self.script else "50000"
        if word == "silent":
            raise SupplierError
        return [Money(1, currency("USD")), Money(int(word), currency("INR"))]


def test_balances_are_asked_for_and_told_of_before_they_run_dry(shop: Supplied) -> None:
    shop.supplier("A")
    fake = Telling("A", replace(QUICK, has_balance=True))
    shop.connectors.put(shop.suppliers["A"], fake)
    set_balance_alert(shop.db, shop.clock, shop.audit, shop.suppliers["A"].id, 60_000, actor="test")
    fake.script.extend(["70000", "50000", "50000", "silent"])
    for _ in range(3):
        assert poll_balances(shop.db, shop.clock, shop.connectors) == 1
    assert poll_balances(shop.db, shop.clock, shop.connectors) == 0
    health = shop.health()
    assert (health.balance_minor, health.balance_at, told(shop)) == (
        50_000,
        to_micros(shop.clock.now()),
        ["supplier.balance_low"],
    )


def test_a_balance_that_is_nonsense_keeps_no_other_from_being_read(shop: Supplied) -> None:
    for name, word in (("A", "nonsense"), ("B", "50000")):
        shop.supplier(name)
        fake = Telling(name, replace(QUICK, has_balance=True))
        fake.script.append(word)
        shop.connectors.put(shop.suppliers[name], fake)
    assert poll_balances(shop.db, shop.clock, shop.connectors) == 1
    assert (shop.health("A").balance_minor, shop.health("B").balance_minor) == (None, 50_000)


def test_an_operator_who_knows_a_supplier_better_sets_its_times(shop: Supplied) -> None:
    shop.supplier("A")
    sealer, known = SecretSealer(b"s" * 32), shop.suppliers["A"]
    changed = partial(change_supplier, shop.db, shop.clock, shop.audit, sealer, known.id, actor="test")
    for odd in (0, -1, "2", True, float("nan"), 10**9):
        with pytest.raises(InvalidSupplierConfig):
            changed(config={"call_seconds": odd})
    changed(config={"pretend": True, "call_seconds": 1.5, "breaker_seconds": 9})
    with shop.db.read() as tx:
        row = get_supplier(tx, known.id)
    shop.connectors.put(row, shop.fakes["A"])
    shop.fakes["A"].script.extend(["dropped"] * 5)
    found = shop.connectors.abilities(row)
    assert (found.call_seconds, found.settle_seconds, found.breaker_seconds) == (1.5, 10.0, 9.0)
    for _ in range(5):
        placed = shop.order("CARD")
        shop.visit(placed)
    health = shop.health("A")
    assert (health.breaker, health.retry_at) == ("open", to_micros(shop.clock.now()) + 9_000_000)
