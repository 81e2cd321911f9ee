"""A month of a million movements: every statement equals the ledger, all of them the platform; and what that takes."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from cardrail.kernel import FrozenClock
from cardrail.ledger import balances, platform_balances
from cardrail.settlement import STATEMENT_CHECKS, close_due
from cardrail.storage import AuditLog, Database
from tests.memory import memory_peak
from tests.settlement.past import Past

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)
_PURPOSES = {"sale": "sales", "refund": "sales", "tax": "tax", "credit": "bank", "debit": "bank"}

EXPORT = """
import sys, time
from pathlib import Path
from cardrail.catalog import load_snapshot
from cardrail.settlement import ExportFilter, ExportKind, Format, columns_of, rows_of, write_file
from cardrail.storage import Database
from tests.memory import memory_peak
db = Database(sys.argv[1], pool=2)
kind, given = ExportKind(sys.argv[3]), ExportFilter()
with db.read() as tx:
    load_snapshot(tx, __import__("datetime").date(2026, 2, 1))
before = memory_peak()
began, used = time.monotonic(), time.process_time()
with db.read() as tx:
    rows = rows_of(tx, kind, given, load_snapshot(tx, __import__("datetime").date(2026, 2, 1)))
    count = write_file(Path(sys.argv[2]), Format(sys.argv[4]), columns_of(kind, given), rows)
after = memory_peak()
print(count, round(time.monotonic() - began, 1), round(time.process_time() - used, 1), (after - before) // 1024)
"""


def export(db: Database, path: Path, kind: str, form: str) -> tuple[int, float, float, int]:
    """(rows, seconds, seconds of this process, MB above idle) of an export in a process of its own."""
    url = db.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, url, str(path), kind, form], capture_output=True, text=True, check=True, cwd=ROOT
    )
    rows, seconds, used, megabytes = done.stdout.split()
    return int(rows), float(seconds), float(used), int(megabytes)


@pytest.mark.prove
def test_a_month_of_many_movements_is_closed_exactly(
    db: Database, full_counts: bool, tmp_path: Path, proved: Callable[[str], None]
) -> None:
    movements, partners = (1_000_000, 200) if full_counts else (4_000, 12)
    past = Past(db, START, 31)
    past.write(partners, movements)
    if db.backend == "postgresql":
        with db.transaction() as tx:
            tx.execute(
                sa.text("ANALYZE")
            )  # the server under test never does it by itself, and plans then as if tables were empty
    clock, audit = FrozenClock(START + timedelta(days=31, hours=1)), AuditLog(b"a" * 32, "main/tasks")
    before = memory_peak(anew=True)
    began = time.process_time()
    done = close_due(db, clock, audit)
    closing_seconds = time.process_time() - began
    grown = (memory_peak() - before) // 1024
    assert (len(done.closed), done.waiting) == (partners, 0)
    assert sum(one.movements for one in done.closed) >= movements
    totals: dict[tuple[str, str], int] = defaultdict(int)
    with db.read() as tx:
        for one in done.closed:
            (balance,) = balances(tx, one.partner_id)
            assert one.closing_minor == balance.balance_minor == past.balances[f"{one.partner_id}:wallet:{one.currency}:live"]
            for kind, change in one.totals.items():
                totals[one.currency, _PURPOSES[kind]] += change
        books = {(one.currency, one.purpose.value): one.balance_minor for one in platform_balances(tx)}
        assert dict(totals) == books
        began = time.process_time()
        assert [fault for check in STATEMENT_CHECKS for fault in check.run(tx)] == []
        verify_seconds = time.process_time() - began
    rows, seconds, used, megabytes = export(db, tmp_path / "movements.csv", "movements", "csv")
    with (tmp_path / "movements.csv").open(newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == rows + 1 >= movements + 1
    if full_counts:
        assert used <= 30  # the machine may be busy with others
        assert megabytes <= 150
    proved(
        f"{db.backend}: {rows:,} movements of {partners} partners in 3 currencies: closed in "
        f"{closing_seconds:.1f} s of processor (+{grown} MB), "
        f"verified in {verify_seconds:.1f} s, CSV in {seconds} s ({used} s of processor) and {megabytes} MB above idle"
    )
