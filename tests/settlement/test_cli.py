"""`cardrail settle`, `reconcile` and `export` as the operator types them, on a real installation."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cardrail.cli import app
from cardrail.kernel import Mode
from tests.settlement.build import Ledgers
from tests.settlement.test_reconcile import GOOD, HEADER, MAPPING

Run = Callable[..., Result]


@pytest.fixture
def run(ledgers: Ledgers, tmp_path: Path, db_url: str) -> Run:
    """A command on the world's database; its keys lie in the same folder."""

    def work(*words: str) -> Result:
        return CliRunner().invoke(app, ["--data-dir", str(tmp_path), "--database-url", db_url, *words])

    return work


def answer(run: Run, *words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def wrong(run: Run) -> set[str]:
    """The checks that find something; the world writes its audit log with a key of its own, which the command has not."""
    found = json.loads(run("verify", "--json").stdout)["findings"]
    return {one["check"] for one in found} - {"audit"}


def test_statements_are_closed_listed_shown_and_exported(ledgers: Ledgers, run: Run, tmp_path: Path) -> None:
    """The world's clock stands in January; the command line's own is the machine's, so all months since are over."""
    ledgers.sell(quantity=2, reference="=1+1")
    partner = ledgers.world.partner.partner_id
    draft = answer(run, "settle", "show", "draft", "--partner", partner)
    assert (draft["state"], draft["closing"], len(draft["lines"])) == ("draft", "999810.00 INR", 2)
    closed = answer(run, "settle", "close", "--partner", partner, "--mode", "live")["closed"]
    assert closed[0]["closing"] == "999810.00 INR"
    assert answer(run, "settle", "close", "--partner", partner)["closed"] != closed
    listed = answer(run, "settle", "list", "--partner", partner, "--until", "2026-02-01")["items"]
    assert [one["id"] for one in listed] == [closed[0]["id"]]
    for form in ("jsonl", "csv", "xlsx", "parquet"):
        out = tmp_path / f"statement.{form}"
        assert run("settle", "export", closed[0]["id"], "--format", form, "--out", str(out)).exit_code == 0
        assert out.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha256((tmp_path / "statement.jsonl").read_bytes()).hexdigest() == closed[0]["hash"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "statement.csv").read_text())))
    assert (rows[2]["reference"], rows[2]["change"]) == ("'=1+1", "-190.00")
    assert run("settle", "export", closed[0]["id"], "--out", str(tmp_path / "statement.csv")).exit_code == 2
    assert run("settle", "show", "stm_none").exit_code == 3


def test_a_schedule_is_set_and_shown(ledgers: Ledgers, run: Run) -> None:
    partner = ledgers.world.partner.partner_id
    assert answer(run, "settle", "schedule", partner)["schedule"] == "monthly"
    assert answer(run, "settle", "schedule", partner, "weekly")["schedule"] == "weekly"
    assert answer(run, "settle", "schedule", partner)["schedule"] == "weekly"
    assert run("settle", "schedule", "par_none", "weekly").exit_code == 3


def test_a_suppliers_statement_is_imported_matched_and_resolved(ledgers: Ledgers, run: Run, tmp_path: Path) -> None:
    file, mapping = tmp_path / "theirs.csv", tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    file.write_text(HEADER + GOOD + "A2,r2,2026-01-10,1;5,completed\n")
    words = ("reconcile", "import", str(file), "--supplier", "acme", "--currency", "INR", "--mapping", str(mapping))
    refused = run(*words)
    assert refused.exit_code == 1
    assert "line 3, column Total: '1;5' is not an amount in INR" in refused.stderr
    taken = answer(run, *words, "--on-error", "list")
    assert (taken["lines"], taken["refused"]) == (1, 1)
    assert answer(run, "reconcile", "run", taken["id"])["counts"]["only_theirs"] == 1
    (found,) = answer(run, "reconcile", "differences", taken["id"])["items"]
    assert answer(run, "reconcile", "assign", found["id"], "anna")["owner"] == "anna"
    done = answer(run, "reconcile", "resolve", found["id"], "claim", "--note", "asked them")
    assert (done["resolution"], done["note"], done["gap_minor"]) == ("claim", "asked them", 1250)
    assert run("reconcile", "resolve", found["id"], "claim").exit_code == 1
    assert wrong(run) == set()
    assert "acme" in run("reconcile", "list").stdout


def test_an_export_is_written_to_a_file(ledgers: Ledgers, run: Run, tmp_path: Path) -> None:
    ledgers.sell(quantity=2)
    done = answer(run, "export", "margin", "--out", str(tmp_path / "m.csv"), "--by", "supplier", "--base-currency", "INR")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "m.csv").read_text()))
    assert (done["rows"], row["supplier"], row["revenue"], row["cost"], row["base_margin"]) == (
        1,
        "acme",
        "190.00",
        "160.00",
        "30.00",
    )
    assert run("export", "orders", "--out", str(tmp_path / "o.csv"), "--since", "yesterday").exit_code == 1
    assert run("export", "movements", "--out", str(tmp_path / "o.csv"), "--state", "FULFILLED").exit_code == 1


def test_a_customer_is_erased_and_the_books_stay(ledgers: Ledgers, run: Run) -> None:
    world = ledgers.world
    order = ledgers.sell(customer_id="anna@example.com", details={"metadata": {"name": "Anna"}, "country": "IN"})
    other = ledgers.sell(customer_id="ben")
    ledgers.until(2026, 2, 1, 1)
    (one,) = [found for found in ledgers.close().closed if found.mode is Mode.LIVE]
    before = ledgers.file(one)
    assert answer(run, "partner", "erase-customer", world.partner.partner_id, "anna@example.com", "--yes") == {"orders": 1}
    assert answer(run, "partner", "erase-customer", world.partner.partner_id, "anna@example.com", "--yes") == {"orders": 0}
    with world.db.read() as tx:
        text = " ".join(
            str(row)
            for table in ("orders", "order_items", "events", "audit", "limit_usage")
            for row in tx.exec_driver_sql(f"SELECT * FROM {table}")
        )
    assert "anna" not in text.lower()
    assert "ben" in text
    assert '{"country":"IN"}' in text
    assert (ledgers.file(one), order.id in text, other.id in text) == (before, True, True)
    assert wrong(run) == set()
