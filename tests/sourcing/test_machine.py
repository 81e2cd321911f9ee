"""Orders against suppliers that do what they like, and a process that dies when it likes: whatever happens, nothing is bought twice, each
charge has its codes, and nothing is left unknown past its deadline without a human having been told."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from cardrail.kernel import from_micros, to_micros
from cardrail.orders import FINAL, Order, Placed
from cardrail.sourcing import Lookup, is_overdue
from cardrail.storage import Database
from tests.build import item
from tests.conftest import PROVE
from tests.sourcing.build import Supplied, supplied
from tests.sourcing.fake import QUICK, Died

WORDS = (
    *("deliver", "short", "accept", "refuse:out_of_stock", "refuse:invalid", "lost", "dropped", "unreached", "busy"),
    *("dies_before", "dies_after"),
)
LOOKS = ("truth", "silent", "hides", "died")
ABILITIES = {
    "A": QUICK,
    "B": replace(QUICK, lookup=Lookup.BY_MATCH),
    "C": replace(QUICK, lookup=Lookup.NONE, is_idempotent=True, quantity_max=2),
    "D": replace(QUICK, can_invalidate=True),
}
COSTS = {"A": "80.00", "B": "80.00", "C": "81.00", "D": "79.00"}


class Buying(RuleBasedStateMachine):
    """One shop, four suppliers of four kinds, orders that come and visits that are made."""

    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copyfile(self.migrated, self.folder / "cardrail.db")
        self.db = Database(f"sqlite:///{self.folder / 'cardrail.db'}")
        self.orders: list[Order] = []

    @initialize()
    def open(self) -> None:
        self.shop: Supplied = supplied(self.db, self.folder)
        for name, abilities in ABILITIES.items():
            self.shop.supplier(name, abilities=abilities, cost=COSTS[name], stock=6)

    @rule(name=st.sampled_from(sorted(ABILITIES)), words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    def script(self, name: str, words: list[str]) -> None:
        self.shop.fakes[name].script.extend(words)

    @rule(name=st.sampled_from(["A", "B", "D"]), words=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=3))
    def script_looks(self, name: str, words: list[str]) -> None:
        """A supplier that hides an order does so for a while only: within the settling time."""
        allowed = [one for one in words if one != "hides"]
        self.shop.fakes[name].looks.extend(allowed)

    @rule(quantity=st.integers(1, 5), partial=st.booleans())
    def order(self, quantity: int, partial: bool) -> None:  # what hypothesis draws
        (outcome,) = self.shop.place(self.shop.command(item("CARD", quantity), allow_partial=partial))
        if isinstance(outcome, Placed):
            self.orders.append(outcome.order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), seconds=st.sampled_from([0, 1, 5, 30, 600]))
    def visit(self, data: st.DataObject, seconds: int) -> None:
        """A worker comes by, and may die in it."""
        self.shop.frozen.advance(seconds=seconds)
        with suppress(Died):
            self.shop.visit(data.draw(st.sampled_from(self.orders)))

    @rule()
    def make_ready(self) -> None:
        for one in self.shop.fakes.values():
            one.ready()

    @invariant()
    def nothing_is_bought_for_nothing(self) -> None:
        if not self.orders:
            return
        findings = self.shop.findings()
        assert findings == [], findings

    def teardown(self) -> None:
        """In the end everybody answers: then every order is final, and what was bought is sold or in stock."""
        if self.orders:
            self.finish()
            sold = sorted(code for one in self.shop.fakes.values() for code in one.codes)
            given = [code for order in self.orders for code in self.shop.shown(order)]
            assert len(given) == len(set(given))
            assert len(sold) == len(given) + self.shop.in_stock("CARD"), (len(sold), len(given), self.shop.in_stock("CARD"))
            assert self.shop.findings() == []
        self.db.close()
        shutil.rmtree(self.folder)

    def finish(self) -> None:
        for one in self.shop.fakes.values():
            one.script.clear()
            one.looks.clear()
            one.ready()
        for _ in range(60):
            rests = [self.shop.visit(order).until for order in self.orders]
            left = [one for one in rests if one is not None]
            if not left:
                break
            now = to_micros(self.shop.clock.now())
            for order in self.orders:
                late = [one for one in self.shop.attempts(order) if is_overdue(one, now)]
                assert not late or self.shop.stands(order).state.value == "NEEDS_REVIEW"
            self.shop.frozen.at = from_micros(max(min(left), now))
        for order in self.orders:
            assert self.shop.stands(order).state in FINAL, self.shop.attempts(order)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_whatever_suppliers_and_processes_do_nothing_is_bought_twice(migrated_sqlite: Path, backend: str) -> None:
    Buying.migrated = migrated_sqlite
    examples = 400 if PROVE else 25
    run_state_machine_as_test(Buying, settings=settings(max_examples=examples, stateful_step_count=14, deadline=None))
