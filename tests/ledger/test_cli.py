"""`cardrail ledger` and `cardrail verify` as the operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cardrail.access import create_partner
from cardrail.cli import ledger, verify
from cardrail.cli.context import refusals
from cardrail.kernel import FrozenClock
from cardrail.storage import AuditLog, Database

AUDIT = AuditLog(b"a" * 32, "cli")


class Shell:
    """The commands on the test's database, and one partner to use them on."""

    def __init__(self, db: Database) -> None:
        self.clock = FrozenClock()
        self.db = db
        self.partner = create_partner(db, self.clock, AUDIT, name="A", currency="EUR", actor="cli").id

    def __call__(self, *words: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(ledger.app, list(words), input=answer)

    def json(self, *words: str) -> Any:
        done = self(*words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def run(db: Database, monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(db)

    @contextmanager
    def opened() -> Iterator[Any]:
        with refusals():
            yield SimpleNamespace(db=db, clock=shell.clock, audit=AUDIT)

    monkeypatch.setattr(ledger, "open_context", opened)
    monkeypatch.setattr(verify, "open_context", opened)
    return shell


def test_a_credit_is_seen_in_the_balance_and_in_the_list(run: Shell) -> None:
    made = run.json("credit", run.partner, "250.5", "--reference", "line 7")
    assert (made["amount"], made["balance_after"], made["is_new"]) == ("250.50", "250.50", True)
    assert run.json("balances", run.partner)["items"][0]["available"] == "250.50"
    assert [one["id"] for one in run.json("transactions", run.partner)["items"]] == [made["id"]]
    assert [one["account"] for one in run.json("balances")["items"]] == ["bank"]


def test_a_repeated_reference_says_that_nothing_was_changed(run: Shell) -> None:
    run("credit", run.partner, "10", "--reference", "line 7")
    again = run("credit", run.partner, "10", "--reference", "line 7")
    assert (again.exit_code, "nothing was changed" in again.stderr) == (0, True)
    assert run("credit", run.partner, "11", "--reference", "line 7").exit_code == 1
    assert run.json("balances", run.partner)["items"][0]["balance"] == "10.00"


def test_a_debit_asks_first(run: Shell) -> None:
    run("credit", run.partner, "10")
    refused = run("debit", run.partner, "4", answer="n\n")
    assert (refused.exit_code, run.json("balances", run.partner)["items"][0]["balance"]) == (1, "10.00")
    assert run("debit", run.partner, "4", answer="y\n").exit_code == 0
    assert run.json("debit", run.partner, "1", "--yes")["balance_after"] == "5.00"


def test_a_debit_beyond_the_balance_needs_allow_debt(run: Shell) -> None:
    run("credit", run.partner, "10")
    refused = run("debit", run.partner, "11", "--yes")
    assert (refused.exit_code, "does not cover" in refused.stderr) == (1, True)
    run("debit", run.partner, "11", "--yes", "--allow-debt")
    assert run.json("balances", run.partner)["items"][0]["debt"] == "1.00"


def test_a_credit_is_reversed_once(run: Shell) -> None:
    made = run.json("credit", run.partner, "10")["id"]
    assert run("reverse", made, answer="n\n").exit_code == 1
    assert run.json("reverse", made, "--yes")["reverses"] == made
    assert run("reverse", made, "--yes").exit_code == 1


def test_a_limit_is_available_at_once(run: Shell) -> None:
    assert run.json("limit", run.partner, "30")["items"][0]["available"] == "30.00"


def test_a_past_balance_shows_no_limit(run: Shell) -> None:
    run("credit", run.partner, "10")
    run.clock.advance(hours=1)
    run("credit", run.partner, "5")
    (then,) = run.json("balances", run.partner, "--at", "2026-01-01T12:30:00")["items"]
    assert then == {"currency": "EUR", "mode": "live", "balance": "10.00", "held": "0.00"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("balances", "par_0"), 3),
        (("transactions", "par_0"), 3),
        (("credit", "par_0", "1"), 3),
        (("debit", "par_0", "1", "--yes"), 3),
        (("reverse", "trf_0", "--yes"), 3),
        (("balances", "--at", "2026-01-01"), 2),
        (("credit", "PARTNER", "1.001"), 1),
        (("credit", "PARTNER", "ten"), 1),
        (("credit", "PARTNER", "0"), 1),
        (("credit", "PARTNER", "1", "--currency", "XXX"), 1),
        (("debit", "PARTNER", "1", "--yes"), 3),
    ],
)
def test_what_cannot_be_done_says_so_by_its_exit_code(run: Shell, words: tuple[str, ...], code: int) -> None:
    done = run(*[run.partner if word == "PARTNER" else word for word in words])
    assert done.exit_code == code, done.stderr
    assert done.stderr


@pytest.mark.parametrize(
    "words", [("balances", "PARTNER"), ("balances",), ("transactions", "PARTNER"), ("limit", "PARTNER", "0")]
)
def test_each_command_speaks_to_people_too(run: Shell, words: tuple[str, ...]) -> None:
    run("credit", run.partner, "10")
    done = run(*[run.partner if word == "PARTNER" else word for word in words])
    assert (done.exit_code, "10.00" in done.stdout) == (0, True)


def test_verify_is_silent_about_books_that_agree_and_loud_about_others(run: Shell) -> None:
    app = typer.Typer()
    app.command("verify")(verify.verify)
    app.callback()(lambda: None)
    run("credit", run.partner, "10")
    assert CliRunner().invoke(app, ["verify"]).exit_code == 0
    with run.db.transaction() as tx:
        tx.exec_driver_sql("UPDATE accounts SET credits_posted = credits_posted + 1 WHERE purpose = 'wallet'")
    assert CliRunner().invoke(app, ["verify"]).exit_code == 1
    loud = CliRunner().invoke(app, ["verify", "--json"])
    found = json.loads(loud.stdout)["findings"]
    assert loud.exit_code == 1
    assert {one["check"] for one in found} == {"balanced", "account_sums"}
