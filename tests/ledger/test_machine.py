"""Everything in any order, against a model that is obvious: four numbers and a list of holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.ledger.build import Desk

from cardrail.kernel import HoldId, TransferId
from cardrail.ledger import CreditInUse, HoldExceeded, InsufficientFunds, WalletOverdrawn
from cardrail.storage import Database
from cardrail.storage.migrations import migrate

AMOUNT = st.integers(1, 120)


class LedgerMachine(RuleBasedStateMachine):
    """One wallet. Each rule does a thing to the ledger and the same thing to the model, or sees both refuse."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        with self.database.transaction() as tx:
            for table in ("transfers", "holds", "accounts", "events", "audit", "audit_heads"):
                tx.exec_driver_sql(f"DELETE FROM {table}")
        self.desk = Desk(self.database)
        self.desk.credit(100)
        self.balance, self.limit, self.debt = 100, 0, 0
        self.holds: dict[HoldId, int] = {}
        self.orders: dict[str, int] = {}
        self.reversible: dict[TransferId, int] = {}

    @property
    def available(self) -> int:
        return self.balance - sum(self.holds.values()) + self.limit

    def settle(self) -> None:
        self.debt = max(0, -self.available)

    @rule(amount=AMOUNT)
    def credit(self, amount: int) -> None:
        self.reversible[self.desk.credit(amount).transfer.id] = amount
        self.balance += amount
        self.settle()

    @rule(amount=AMOUNT, allow_debt=st.booleans())
    def debit(self, amount: int, allow_debt: bool) -> None:
        if amount > max(0, self.available) and not allow_debt:
            with pytest.raises(InsufficientFunds):
                self.desk.debit(amount)
            return
        self.reversible[self.desk.debit(amount, allow_debt=allow_debt).transfer.id] = -amount
        self.balance -= amount
        self.settle()

    @rule(amount=AMOUNT)
    def sell(self, amount: int) -> None:
        if amount > self.available:
            with pytest.raises(WalletOverdrawn):
                self.desk.sell(amount)
            return
        self.orders[self.desk.sell(amount)] = amount
        self.balance -= amount

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        amount = data.draw(st.integers(1, self.orders[order]))
        self.desk.refund(order, amount)
        self.orders[order] -= amount
        if not self.orders[order]:
            del self.orders[order]
        self.balance += amount
        self.settle()

    @rule(amount=AMOUNT)
    def hold(self, amount: int) -> None:
        if amount > self.available:
            with pytest.raises(WalletOverdrawn):
                self.desk.hold(amount)
            return
        self.holds[self.desk.hold(amount)] = amount

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), amount=AMOUNT, is_post=st.booleans())
    def end_part_of_a_hold(self, data: st.DataObject, amount: int, is_post: bool) -> None:
        hold = data.draw(st.sampled_from(sorted(self.holds)))
        end = self.desk.post if is_post else self.desk.void
        if amount > self.holds[hold]:
            with pytest.raises(HoldExceeded):
                end(hold, amount)
            return
        end(hold, amount)
        self.holds[hold] -= amount
        self.balance -= amount if is_post else 0
        self.settle()

    @rule(limit=st.integers(0, 100))
    def set_limit(self, limit: int) -> None:
        if limit < self.limit and self.available - self.limit + limit < 0:
            with pytest.raises(CreditInUse):
                self.desk.limit(limit)
            return
        self.desk.limit(limit)
        self.limit = limit
        self.settle()

    @precondition(lambda self: self.reversible)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        made = data.draw(st.sampled_from(sorted(self.reversible)))
        amount = self.reversible.pop(made)
        before = self.balance
        self.desk.reverse(made, allow_debt=True)
        self.balance = before - amount
        self.settle()

    @invariant()
    def the_wallet_is_what_the_model_says(self) -> None:
        found = self.desk.wallet()
        assert found is not None
        held = sum(self.holds.values())
        assert (found.balance, found.debits_pending, found.credit_limit_minor) == (self.balance, held, self.limit)
        assert (found.available, found.debt_minor) == (self.available, self.debt)
        assert found.spendable == max(0, self.available)

    @invariant()
    def nothing_is_held_below_zero(self) -> None:
        with self.database.read() as tx:
            rests = tx.exec_driver_sql("SELECT id, amount_minor - posted_minor - voided_minor FROM holds").all()
        assert {hold: rest for hold, rest in rests if rest} == {hold: rest for hold, rest in self.holds.items() if rest}

    @invariant()
    def the_books_agree(self) -> None:
        assert self.desk.findings() == []
        with self.database.read() as tx:
            assert tx.exec_driver_sql("SELECT sum(debits_posted) - sum(credits_posted) FROM accounts").scalar() == 0


def _run(database: Database, examples: int) -> None:
    machine = type("Machine", (LedgerMachine,), {"database": database})
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=quiet)
    )


def test_the_ledger_does_what_the_model_does(db: Database, full_counts: bool) -> None:
    _run(db, 400 if full_counts else 12)


def test_the_model_notices_a_ledger_that_is_wrong(tmp_path: Path) -> None:
    """A wallet without its guard and its repayments: the machine must fail."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        database = Database(f"sqlite:///{folder}/broken.db")
        migrate(database)
        with database.transaction() as tx:
            tx.exec_driver_sql(
                "CREATE TRIGGER lose AFTER UPDATE OF debits_posted ON accounts WHEN NEW.debits_posted > 150 "
                "BEGIN UPDATE accounts SET debits_posted = debits_posted - 1 WHERE name = NEW.name; END"
            )
        with pytest.raises(AssertionError):
            _run(database, 60)
        database.close()
