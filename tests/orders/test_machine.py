"""A shop through anything in any order: what it does is compared with a model, and its books are verified after every step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cardrail.kernel import FrozenClock, OrderId, to_micros
from cardrail.ledger import InsufficientFunds
from cardrail.orders import (
    InvalidationPolicy,
    NotPayable,
    Order,
    OrderState,
    Outcome,
    OutOfStock,
    PlaceOrder,
    Refused,
    StockBooks,
    cancel_order,
    expire_unpaid,
    get_order,
)
from cardrail.storage import Database
from cardrail.vault import NEVER, block_code
from tests.build import NODE, World, a_world, item, the_order, the_refusal, the_repeated
from tests.orders.build import cancel, findings, in_test_mode, invalidate, refund, unseeing
from tests.postgres import Postgres

PRICE = 9_500
AT_ANY_TIME = InvalidationPolicy(window=timedelta(days=1_000), allow_revealed=False)
AT_OUR_COST = replace(AT_ANY_TIME, allow_revealed=True)
S = OrderState
CodeKey = tuple[str, int]
"""Lot and place in it."""


@dataclass
class Kept:
    """An order as the model has it."""

    id: OrderId
    state: OrderState
    quantity: int
    codes: list[CodeKey] = field(default_factory=list)
    refunded: int = 0
    is_seen: bool = False
    pay_until: int = 0

    @property
    def charged(self) -> int:
        return PRICE * len(self.codes) if self.state is not S.PLACED else 0


class ShopMachine(RuleBasedStateMachine):
    """One sku at 95.00, one partner. Each rule does a thing to the shop and the same thing to the model, or sees both refuse."""

    open_world: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).open_world()
        self.clock = self.world.clock
        assert isinstance(self.clock, FrozenClock)
        self.world.partner = self.world.a_partner("INR", "900.00")
        self.money, self.test_money = 90_000, 90_000
        self.free: dict[CodeKey, int] = {}
        self.blocked: set[CodeKey] = set()
        self.orders: dict[OrderId, Kept] = {}
        self.waiting: list[OrderId] = []
        self.keys: dict[str, tuple[PlaceOrder, OrderId]] = {}
        self.shown: dict[str, OrderId] = {}
        self.batches = 0

    @property
    def now(self) -> int:
        return to_micros(self.clock.now())

    def pick(self, data: st.DataObject, *states: OrderState) -> Kept:
        return data.draw(st.sampled_from([one for one in self.orders.values() if one.state in states]))

    def has(self, *states: OrderState) -> bool:
        return any(one.state in states for one in self.orders.values())

    # --- stock --------------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4), minutes=st.sampled_from([None, 15, 40]), cost=st.sampled_from([None, "80", "33.33"]))
    def bring_in(self, count: int, minutes: int | None, cost: str | None) -> None:
        self.batches += 1
        expires_at = self.now + minutes * 60_000_000 if minutes else NEVER
        self.world.stock("TEA", [f"{self.batches}-{n}" for n in range(count)], cost=cost, expires_at=expires_at)
        found = self.unsold()
        new = found.keys() - self.free.keys()
        assert [found[key] for key in new] == [expires_at] * count
        self.free |= dict.fromkeys(new, expires_at)

    @precondition(lambda self: self.free)
    @rule(data=st.data())
    def block(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.free)))
        books = StockBooks(self.clock, NODE)
        block_code(self.world.db, self.clock, self.world.audit, *key, actor="test", on_write_off=books.blocked)
        self.blocked.add(key)
        del self.free[key]

    @rule(minutes=st.integers(5, 20))
    def time_passes(self, minutes: int) -> None:
        self.world.frozen.advance(minutes=minutes)

    # --- orders -------------------------------------------------------------------------------------------------------

    @rule(
        quantity=st.integers(1, 4),
        part=st.booleans(),
        may_see=st.sampled_from([True, False, False]),
        key=st.sampled_from([None, "k1", "k2", "k3"]),
        later=st.sampled_from([False, False, False, True]),
    )
    def place(self, quantity: int, part: bool, may_see: bool, key: str | None, later: bool) -> None:
        buyer = self.world.partner if may_see else unseeing(self.world.partner)
        facts: dict[str, Any] = {"allow_partial": part, "pay_later": later}
        command = self.world.command(item("TEA", quantity), buyer=buyer, key=key, **facts)
        (outcome,) = self.world.place(command)
        if key in self.keys:
            first, order_id = self.keys[key]
            if first.fingerprint == command.fingerprint:
                assert the_repeated(outcome) == order_id
            else:
                assert getattr(the_refusal(outcome), "code", "") == "idempotency_conflict"
            return
        if later:
            kept = Kept(the_order(outcome).id, S.PLACED, quantity, pay_until=self.now + 30 * 60_000_000)
            self.orders[kept.id] = kept
        elif not self.sold(outcome, quantity, part=part, may_see=may_see):
            return
        if key is not None:
            self.keys[key] = (command, the_order(outcome).id)

    @precondition(lambda self: self.has(S.PLACED))
    @rule(data=st.data())
    def pay(self, data: st.DataObject) -> None:
        kept = self.pick(data, S.PLACED)
        outcome = self.world.pay(kept.id)
        if kept.pay_until <= self.now:
            assert isinstance(the_refusal(outcome), NotPayable)
        else:
            self.sold(outcome, kept.quantity, part=False, may_see=True)

    def sold(self, outcome: Outcome, quantity: int, *, part: bool, may_see: bool) -> bool:
        """Whether it was, as the model expects it to be."""
        good = sorted(expiry for expiry in self.free.values() if expiry > self.now)
        count = min(quantity, len(good))
        if isinstance(outcome, Refused):
            if not count or (count < quantity and not part):
                assert isinstance(outcome.error, OutOfStock)
            else:
                assert isinstance(outcome.error, InsufficientFunds)
                assert count * PRICE > self.money
            return False
        order = the_order(outcome)
        assert (order.items[0].delivered, order.charged_minor) == (count, count * PRICE)
        assert count == quantity or part
        self.money -= count * PRICE
        keys = [
            (one.lot_id, seq) for one in order.items[0].allocations for seq in range(one.first_seq, one.first_seq + one.count)
        ]
        assert [self.free.pop(key) for key in keys] == good[:count]
        self.orders[order.id] = Kept(order.id, order.state, quantity, keys, is_seen=may_see)
        if may_see:
            self.show(order)
        return True

    def show(self, order: Order) -> None:
        """A code that somebody saw is nobody else's, for ever."""
        codes = self.world.codes(order)
        assert len(codes) == len(set(codes)) == len(self.orders[order.id].codes)
        for code in codes:
            assert self.shown.setdefault(code, order.id) == order.id

    @precondition(lambda self: self.has(S.FULFILLED, S.PARTIALLY_FULFILLED))
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        kept = self.pick(data, S.FULFILLED, S.PARTIALLY_FULFILLED)
        self.show(self.world.reveal(kept.id))
        kept.is_seen = True

    @precondition(lambda self: self.has(S.PLACED))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        kept = self.pick(data, S.PLACED)
        cancel(self.world, kept.id)
        kept.state = S.CANCELLED

    @rule()
    def expire(self) -> None:
        overdue = [one for one in self.orders.values() if one.state is S.PLACED and one.pay_until <= self.now]
        assert expire_unpaid(self.world.db, self.clock) == len(overdue)
        for one in overdue:
            one.state = S.CANCELLED

    @precondition(lambda self: self.has(S.FULFILLED, S.PARTIALLY_FULFILLED))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        kept = self.pick(data, S.FULFILLED, S.PARTIALLY_FULFILLED)
        if kept.refunded < kept.charged:
            amount = data.draw(st.integers(1, kept.charged - kept.refunded))
            refund(self.world, kept.id, amount)
            kept.refunded += amount
            self.money += amount

    @precondition(lambda self: any(not one.is_seen for one in self.orders.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        found = [one for one in self.orders.values() if not one.is_seen and one.state in (S.FULFILLED, S.PARTIALLY_FULFILLED)]
        if found:
            kept = data.draw(st.sampled_from(found))
            expiries = self.expiries(kept)
            self.taken_back(kept, AT_ANY_TIME)
            self.free |= expiries

    @precondition(lambda self: self.has(S.FULFILLED, S.PARTIALLY_FULFILLED))
    @rule(data=st.data())
    def write_off(self, data: st.DataObject) -> None:
        kept = self.pick(data, S.FULFILLED, S.PARTIALLY_FULFILLED)
        if kept.is_seen:
            self.taken_back(kept, AT_OUR_COST)

    def taken_back(self, kept: Kept, policy: InvalidationPolicy) -> None:
        invalidate(self.world, kept.id, policy=policy)
        self.money += kept.charged - kept.refunded
        kept.refunded, kept.state = kept.charged, S.INVALIDATED

    def expiries(self, kept: Kept) -> dict[CodeKey, int]:
        order = get_order(self.world.db, self.world.partner, kept.id)
        ranges = order.items[0].allocations
        return {(one.lot_id, seq): one.expires_at for one in ranges for seq in range(one.first_seq, one.first_seq + one.count)}

    # --- test mode ----------------------------------------------------------------------------------------------------

    @rule(sku=st.sampled_from(["TEST_OK", "TEST_PENDING", "TEST_REFUND"]))
    def try_out(self, sku: str) -> None:
        (outcome,) = self.world.place(self.world.command(item(sku), buyer=in_test_mode(self.world.partner)))
        if self.test_money < 1_000:
            assert isinstance(the_refusal(outcome), InsufficientFunds)
            return
        self.test_money -= 1_000 if sku != "TEST_REFUND" else 0
        if sku == "TEST_PENDING":
            self.waiting.append(the_order(outcome).id)

    @precondition(lambda self: self.waiting)
    @rule()
    def give_up(self) -> None:
        cancel_order(self.world.db, self.clock, in_test_mode(self.world.partner), self.waiting.pop())
        self.test_money += 1_000

    # --- what is always true ------------------------------------------------------------------------------------------

    def unsold(self) -> dict[CodeKey, int]:
        """Each unsold code, and until when it is good."""
        with self.world.db.read() as tx:
            rows = tx.execute(sa.text("SELECT lot_id, head, tail, expires_at FROM slices")).all()
        return {(lot, seq): expires_at for lot, head, tail, expires_at in rows for seq in range(head, tail)}

    @invariant()
    def the_wallets_hold_what_the_model_says(self) -> None:
        assert self.world.balance() == f"{self.money // 100}.{self.money % 100:02}"
        test = in_test_mode(self.world.partner)
        assert self.world.balance(test) == f"{self.test_money // 100}.{self.test_money % 100:02}"
        assert self.money >= 0
        assert self.test_money >= 0

    @invariant()
    def every_code_is_in_one_place(self) -> None:
        assert self.unsold() == self.free
        owned = [key for one in self.orders.values() if one.state is not S.INVALIDATED for key in one.codes]
        assert len(owned) == len(set(owned))
        assert not set(owned) & (self.free.keys() | self.blocked)

    @invariant()
    def the_books_agree(self) -> None:
        assert findings(self.world) == []


def run(open_world: Callable[[], World], examples: int, steps: int) -> None:
    machine = type("Machine", (ShopMachine,), {"open_world": staticmethod(open_world)})
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=chosen)


def test_anything_in_any_order_on_sqlite(migrated_sqlite: Path, tmp_path: Path, full_counts: bool) -> None:
    opened: list[Database] = []

    def fresh() -> World:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        shutil.copyfile(migrated_sqlite, folder / "cardrail.db")
        if opened:
            opened[-1].close()
        opened.append(Database(f"sqlite:///{folder / 'cardrail.db'}"))
        return a_world(opened[-1], folder)

    run(fresh, 200 if full_counts else 15, 30)
    opened[-1].close()


@pytest.mark.postgres
def test_anything_in_any_order_on_postgres(postgres: Postgres, migrated_postgres: str, tmp_path: Path, full_counts: bool) -> None:
    opened: list[tuple[Database, str]] = []

    def fresh() -> World:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        drop_last()
        url = postgres.lend(migrated_postgres)
        opened.append((Database(url), url))
        return a_world(opened[-1][0], folder)

    def drop_last() -> None:
        if opened:
            opened[-1][0].close()
            postgres.give_back(opened[-1][1])

    run(fresh, 60 if full_counts else 4, 20)
    drop_last()
