"""Who has little money left is told once, and again after he had enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.build import NODE, World, a_world, item

from cardrail.kernel import Mode, Money
from cardrail.ledger import By, set_balance_threshold, tell_low_balances
from cardrail.storage import Database, events, in_tx
from cardrail.vault import set_stock_threshold, tell_low_stock


def told(world: World, kind: str) -> list[Any]:
    with world.db.read() as tx:
        return list(tx.execute(sa.select(events).where(events.c.type == kind).order_by(events.c.id)))


def look(world: World) -> int:
    return in_tx(world.db, lambda tx: tell_low_balances(tx, world.clock.now()) + tell_low_stock(tx, world.clock.now()))


def test_a_low_balance_is_told_once_until_it_has_recovered(db: Database, tmp_path: Path) -> None:
    world = a_world(db, tmp_path)
    world.stock("TEA", 10)
    poor = world.a_partner("INR", "200.00")
    by = By(world.clock.now(), "test", world.audit, NODE)
    in_tx(db, lambda tx: set_balance_threshold(tx, by, poor.partner_id, Money.parse("110.00", "INR"), Mode.LIVE))
    assert look(world) == 0
    world.place(world.command(item("TEA"), buyer=poor))
    assert [look(world), look(world)] == [1, 0]
    world.credit(poor.partner_id, Money.parse("50.00", "INR"), Mode.LIVE)
    assert look(world) == 0  # recovered
    world.place(world.command(item("TEA"), buyer=poor))
    assert look(world) == 1
    events_told = told(world, "balance.low")
    assert [one.partner_id for one in events_told] == [poor.partner_id] * 2
    assert events_told[0].data == '{"currency":"INR","available_minor":10500,"threshold_minor":11000}'


def test_low_stock_is_told_once_until_it_was_restocked(db: Database, tmp_path: Path) -> None:
    world = a_world(db, tmp_path)
    world.stock("TEA", ["A-1", "A-2"])
    offer = world.catalog.current().offer("TEA")
    assert offer is not None
    in_tx(
        db,
        lambda tx: set_stock_threshold(tx, world.clock.now(), world.audit, offer.denomination_id, "TEA", 2, actor="test"),
    )
    assert look(world) == 0
    world.order("TEA")
    assert [look(world), look(world)] == [1, 0]
    world.stock("TEA", ["B-1", "B-2"])
    assert look(world) == 0
    world.order("TEA", 2)
    assert look(world) == 1
    assert [one.data for one in told(world, "stock.low")] == ['{"sku":"TEA","in_stock":1,"threshold":2}'] * 2
