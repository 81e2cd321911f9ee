"""Lots and slices under any sequence of imports, sales, blocks, returns and passing time: no code out twice, none lost, soonest first."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cardrail.kernel import FrozenClock, to_micros
from cardrail.storage import Database
from cardrail.vault import NEVER, Allocation, block_code, return_to_stock, unblock_code
from tests.vault.build import Vault

Code = tuple[str, int]
START = datetime.fromisoformat("2026-06-01T00:00:00+00:00")


def machine_on(db: Database) -> type[RuleBasedStateMachine]:  # noqa: C901  # its rules are its parts
    """The machine on one database; every run starts from an empty vault."""

    class VaultMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            with db.transaction() as tx:
                for table in ("code_exceptions", "slices", "codes", "lots"):
                    tx.exec_driver_sql(f"DELETE FROM {table}")
            self.vault = Vault(db, clock=FrozenClock(START))
            self.unsold: dict[Code, int] = {}  # → expiry
            self.sold: dict[Code, int] = {}
            self.blocked: dict[Code, int] = {}
            self.held: list[Allocation] = []
            self.made = 0

        @rule(days=st.lists(st.sampled_from([0, 3, 9, 27]), min_size=1, max_size=6))
        def load(self, days: list[int]) -> None:
            lines = []
            for day in days:
                self.made += 1
                expires = "" if day == 0 else (self.vault.clock.now() + timedelta(days=day)).isoformat()
                lines.append(f"C{self.made},{expires}")
            report = self.vault.load("code,expires_at\n" + "\n".join(lines))
            assert report.lot is not None
            seq = 0
            for expiry, count in report.expiries:
                self.unsold |= {(report.lot.id, seq + i): expiry for i in range(count)}
                seq += count

        @rule(count=st.integers(1, 7))
        def take(self, count: int) -> None:
            can = sorted(expiry for expiry in self.unsold.values() if expiry > self.vault.now)
            taken = self.vault.take(count)
            out = [((one.lot_id, seq), one.expires_at) for one in taken for seq in _seqs(one)]
            assert [expiry for _, expiry in out] == can[:count]
            for code, expiry in out:
                assert self.unsold.pop(code) == expiry
                self.sold[code] = expiry
            self.held += taken

        @precondition(lambda self: self.unsold)
        @rule(data=st.data())
        def block(self, data: st.DataObject) -> None:
            code = data.draw(st.sampled_from(sorted(self.unsold)))
            block_code(db, self.vault.clock, self.vault.audit, *code, actor="test")
            self.blocked[code] = self.unsold.pop(code)

        @precondition(lambda self: self.blocked)
        @rule(data=st.data())
        def unblock(self, data: st.DataObject) -> None:
            code = data.draw(st.sampled_from(sorted(self.blocked)))
            unblock_code(db, self.vault.clock, self.vault.audit, *code, actor="test")
            self.unsold[code] = self.blocked.pop(code)

        @precondition(lambda self: self.held)
        @rule(data=st.data())
        def give_back(self, data: st.DataObject) -> None:
            one = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            with db.transaction() as tx:
                spans = return_to_stock(tx, one, actor="test", at=self.vault.now)
                assert spans == [(one.first_seq, one.first_seq + one.count)]
            for seq in _seqs(one):
                self.unsold[(one.lot_id, seq)] = self.sold.pop((one.lot_id, seq))

        @rule(days=st.integers(1, 5))
        def time_passes(self, days: int) -> None:
            self.vault.clock.advance(days=days)

        @invariant()
        def every_code_is_in_one_place(self) -> None:
            with db.read() as tx:
                ranges = tx.exec_driver_sql("SELECT lot_id, head, tail, expires_at FROM slices").fetchall()
                stored = set(map(tuple, tx.exec_driver_sql("SELECT lot_id, seq FROM codes").fetchall()))
            in_slices = [(lot, seq) for lot, head, tail, _ in ranges for seq in range(head, tail)]
            assert len(in_slices) == len(set(in_slices))
            assert set(in_slices) == set(self.unsold)
            assert stored == self.unsold.keys() | self.sold.keys() | self.blocked.keys()
            assert self.vault.available() == sum(expiry > self.vault.now for expiry in self.unsold.values())

    return VaultMachine


def _seqs(one: Allocation) -> range:
    return range(one.first_seq, one.first_seq + one.count)


def test_no_code_is_out_twice_or_lost(db: Database, full_counts: bool) -> None:
    examples = 200 if full_counts else 12
    run_state_machine_as_test(
        machine_on(db),
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )


@pytest.mark.parametrize("expires_at", [NEVER])
def test_never_is_after_every_instant(expires_at: int) -> None:
    assert expires_at > to_micros(datetime.fromisoformat("9999-12-31T23:59:59+00:00"))
