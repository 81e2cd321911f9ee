"""Whatever happens to wallets, in whatever order: statements add up, never change, and together are the platform's accounts."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cardrail.kernel import FrozenClock, Mode, Money
from cardrail.ledger import InsufficientFunds, Purpose, balances, platform_balances
from cardrail.orders import Buyer, Order, Placed
from cardrail.settlement import STATEMENT_CHECKS, Statement
from cardrail.storage import Database
from cardrail.vault import Keyring, create_key_file
from tests.build import World, item
from tests.settlement.build import START, Ledgers, check_file

OTHER_SIDE = {
    "sale": Purpose.SALES,
    "refund": Purpose.SALES,
    "fee": Purpose.FEES,
    "refund_fee": Purpose.FEES,
    "tax": Purpose.TAX,
    "refund_tax": Purpose.TAX,
    "credit": Purpose.BANK,
    "debit": Purpose.BANK,
    "reversal": Purpose.BANK,
}


class SettlementMachine(RuleBasedStateMachine):
    """Two partners who buy, get money back, are credited and corrected, while time passes and periods are closed."""

    database: Database
    keys: Keyring

    def __init__(self) -> None:
        super().__init__()
        with self.database.transaction() as tx:
            for name in ("transfers", "holds", "accounts", "events", "audit", "audit_heads", "statements", "sequences"):
                tx.exec_driver_sql(f"DELETE FROM {name}")
            for name in ("allocations", "order_items", "orders", "slices", "codes", "code_exceptions", "lots"):
                tx.exec_driver_sql(f"DELETE FROM {name}")
        self.ledgers = Ledgers(World(self.database, self.keys, FrozenClock(START)))
        world = self.ledgers.world
        self.partners = [world.partner, world.a_partner("INR", "500.00")]
        world.stock("TEA", 400, cost="80", supplier="acme")
        world.stock("BOOKS", 400, cost="20", supplier="acme")
        self.orders: list[tuple[Order, int]] = []
        self.credits: list[Any] = []
        self.closed: dict[str, tuple[Statement, bytes]] = {}

    def who(self, n: int) -> Buyer:
        return self.partners[n]

    @rule(n=st.integers(0, 1), tea=st.integers(0, 3), books=st.integers(0, 2), hours=st.integers(0, 400))
    def buy(self, n: int, tea: int, books: int, hours: int) -> None:
        items = [item(sku, count) for sku, count in (("TEA", tea), ("BOOKS", books)) if count]
        world = self.ledgers.world
        self.ledgers.clock.advance(hours=hours)
        if not items:
            return
        (outcome,) = world.place(world.command(*items, buyer=self.who(n)))
        if isinstance(outcome, Placed):
            self.orders.append((outcome.order, outcome.order.charged_minor))

    @precondition(lambda self: any(left for _, left in self.orders))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from([n for n, (_, left) in enumerate(self.orders) if left]))
        order, left = self.orders[place]
        amount = data.draw(st.integers(1, left))
        self.ledgers.refund(order, amount)
        self.orders[place] = order, left - amount

    @rule(n=st.integers(0, 1), amount=st.integers(1, 50_000))
    def credit(self, n: int, amount: int) -> None:
        world = self.ledgers.world
        world.credit(self.who(n).partner_id, Money(amount, Money.parse("0", "INR").currency), Mode.LIVE)

    @rule(n=st.integers(0, 1), amount=st.integers(1, 50_000), allow_debt=st.booleans())
    def correct(self, n: int, amount: int, allow_debt: bool) -> None:
        text = Money(amount, Money.parse("0", "INR").currency).amount
        try:
            self.credits.append(self.ledgers.take(text, self.who(n), allow_debt=allow_debt))
        except InsufficientFunds:
            assert not allow_debt

    @precondition(lambda self: self.credits)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        self.ledgers.undo(self.credits.pop(data.draw(st.integers(0, len(self.credits) - 1))), allow_debt=True)

    @rule(days=st.integers(0, 40))
    def close(self, days: int) -> None:
        self.ledgers.clock.advance(days=days)
        for one in self.ledgers.close(mode=Mode.LIVE).closed:
            self.closed[one.id] = one, self.ledgers.file(one)

    @invariant()
    def closed_statements_never_change(self) -> None:
        for one, data in self.closed.values():
            assert self.ledgers.file(one) == data

    def teardown(self) -> None:
        """Everything is closed at last: each file proves itself, and all of them together are the platform's accounts."""
        self.ledgers.clock.advance(days=40)
        self.close(0)
        self.closed_statements_never_change()
        totals: dict[Purpose, int] = defaultdict(int)
        last: dict[str, Statement] = {}
        for one, data in self.closed.values():
            list(check_file(data, one.hash))
            assert one.opening_minor + sum(one.totals.values()) == one.closing_minor
            for kind, change in one.totals.items():
                totals[OTHER_SIDE[kind]] += change
            if one.number > last.get(one.partner_id, one).number or one.partner_id not in last:
                last[one.partner_id] = one
        with self.database.read() as tx:
            books = {one.purpose: one.balance_minor for one in platform_balances(tx) if one.mode is Mode.LIVE}
            for buyer in self.partners:
                (balance,) = balances(tx, buyer.partner_id, Mode.LIVE)
                assert last[buyer.partner_id].closing_minor == balance.balance_minor
            assert [fault for check in STATEMENT_CHECKS for fault in check.run(tx)] == []
        for purpose in set(OTHER_SIDE.values()):
            assert totals[purpose] == books.get(purpose, 0), purpose


@pytest.mark.prove
def test_statements_add_up_whatever_happens(db: Database, full_counts: bool, tmp_path: Path) -> None:
    machine = type("Machine", (SettlementMachine,), {"database": db, "keys": create_key_file(tmp_path / "keys")})
    examples, steps = (1_000, 25) if full_counts else (6, 12)
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=quiet)
    )
