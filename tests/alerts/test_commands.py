"""The operator's commands on alerts and on suppliers' webhooks, and what Prometheus is told of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cardrail.alerts import Alert, AlertState, store
from cardrail.cli import app
from cardrail.kernel import new_id, to_micros
from cardrail.storage import Database
from tests.api.build import Served
from tests.api.conftest import server, settings  # noqa: F401  # fixtures
from tests.webhooks.receiver import a_receiver

runner = CliRunner()
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command on a fresh SQLite installation; its JSON, or what it printed."""

    def ask(*words: str, status: int = 0, typed: str = "") -> Any:
        done = runner.invoke(app, ["--data-dir", str(tmp_path), *words], input=typed, catch_exceptions=False)
        assert done.exit_code == status, done.output
        return json.loads(done.stdout) if "--json" in words and status == 0 else done.output

    ask("init")
    return ask


def an_alert(db: Database, at: int) -> Alert:
    one = Alert(new_id("alr"), "books.drift", "books", AlertState.OPEN, 1, {"findings": 2, "checks": ["x"]}, at, at)
    with db.transaction() as tx:
        store.insert_alert(tx, one)
    return one


def test_an_alert_is_listed_shown_and_acknowledged(run: Run, tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'cardrail.db'}")
    alert = an_alert(db, 1_790_000_000_000_000)
    db.close()
    (listed,) = run("alert", "list", "--json")["items"]
    assert (listed["id"], listed["state"], listed["text"]) == (
        alert.id,
        "open",
        "The books do not agree: 2 findings (x). Run `cardrail verify`.",
    )
    assert "Nobody is told" in run("alert", "list")
    assert run("alert", "ack", alert.id, "--json")["acknowledged_by"] == "cli"
    shown = run("alert", "show", alert.id, "--json")
    assert (shown["state"], shown["messages"]) == ("acknowledged", [])
    run("alert", "ack", "alr_none", status=3)
    run("alert", "show", "alr_none", status=3)
    run("alert", "test", status=1)


def test_a_test_reaches_a_url_and_the_exit_code_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_receiver() as receiver:
        monkeypatch.setenv("CARDRAIL_WEBHOOK_NETWORKS", "127.0.0.0/8")
        monkeypatch.setenv("CARDRAIL_ALERT_ROUTES", f"*={receiver.url}/KEY")
        assert "alert_webhook_secret" in run("alert", "test", status=1)  # refused at the start
        monkeypatch.setenv("CARDRAIL_ALERT_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        done = run("alert", "test", "--json")["items"]
        assert [(one["channel"], one["to"], one["sent"]) for one in done] == [("webhook", "http://127.0.0.1/…", True)]
        assert len(receiver.received) == 1
    said = run("alert", "test", status=1)
    assert "KEY" not in said


def test_a_suppliers_webhooks_are_set_rotated_shown_and_switched_off(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    base = ("supplier", "add", "foxreload_v1", "fox", "--currency", "USD", "-c", "base_url=https://fox.example")
    run(*base, "--secrets", str(tmp_path / "key"))
    run("supplier", "webhook", "show", "fox", status=3)
    made = run("supplier", "webhook", "set", "fox", "--secret", "-", "--json", typed="the-secret\n")
    assert (made["url"].startswith("/in/"), made["secrets"]) == (True, 1)
    (tmp_path / "new").write_text("another\n")
    rotated = run("supplier", "webhook", "rotate", "fox", "--secret", str(tmp_path / "new"), "--json")
    assert (rotated["url"], rotated["secrets"]) == (made["url"], 2)
    assert "the-secret" not in run("supplier", "webhook", "show", "fox")
    assert run("supplier", "webhook", "list", "--json") == {"items": [], "waiting": 0, "review": 0}
    run("supplier", "webhook", "dismiss", "ntc_none", status=3)
    run("supplier", "webhook", "off", "fox")
    run("supplier", "webhook", "rotate", "fox", "--secret", str(tmp_path / "new"), status=3)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_meters_tell_of_alerts_messages_and_suppliers_webhooks(server: Served) -> None:
    part = server.cardrail
    an_alert(part.db, to_micros(part.clock.now()))
    text = server.nobody.get("/metrics").text
    assert 'cardrail_alerts_open{kind="books.drift"} 1.0' in text
    assert 'cardrail_alerts_open{kind="stock.low"} 0.0' in text
    for name in ("messages_waiting", "messages_oldest_seconds", "supplier_webhooks_waiting", "supplier_webhooks_held"):
        assert f"cardrail_{name} 0.0" in text
