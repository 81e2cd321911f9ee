"""The operator's commands on webhooks, and what Prometheus is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cardrail.cli import app
from tests.webhooks.receiver import a_receiver

runner = CliRunner()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command on a fresh SQLite installation; its JSON."""
    monkeypatch.setenv("CARDRAIL_WEBHOOK_NETWORKS", "127.0.0.0/8")

    def ask(*words: str, status: int = 0) -> Any:
        done = runner.invoke(app, ["--data-dir", str(tmp_path), *words], catch_exceptions=False)
        assert done.exit_code == status, done.output
        return json.loads(done.stdout) if "--json" in words and status == 0 else done.output

    ask("init")
    return ask


def test_an_endpoint_from_its_making_to_its_end(run: Any) -> None:
    partner = run("partner", "create", "Shop", "--currency", "INR", "--json")["id"]
    with a_receiver() as receiver:
        made = run("webhook", "add", partner, receiver.url, "--event", "order.fulfilled", "--json")
        assert made["secret"].startswith("whsec_")
        endpoint = made["id"]
        (listed,) = run("webhook", "list", "--json")["items"]
        assert (listed["id"], listed["state"], "secret" in listed) == (endpoint, "enabled", False)
        event = run("webhook", "test", endpoint, "--json")["event_id"]
        assert run("webhook", "list", "--json")["waiting"] == 1
        assert run("webhook", "attempts", endpoint, event, "--json")["attempts"] == []
        assert run("webhook", "resend", endpoint, event, "--json")["state"] == "pending"
        assert run("webhook", "recover", endpoint, "2026-01-01", "--json")["count"] == 0
        assert run("webhook", "rotate", endpoint, "--json")["secret"] != made["secret"]
        assert run("webhook", "change", endpoint, "--all-events", "--json")["events"] is None
        assert run("webhook", "disable", endpoint, "--json")["state"] == "disabled"
        assert run("webhook", "enable", endpoint, "--json")["state"] == "enabled"
        assert run("webhook", "show", endpoint, "--json")["deliveries"][0]["event"] == event
        run("webhook", "delete", endpoint, "--yes")
    run("webhook", "show", endpoint, status=3)


def test_what_it_says_to_people_holds_no_secret_twice(run: Any) -> None:
    partner = run("partner", "create", "Shop", "--currency", "INR", "--json")["id"]
    said = run("webhook", "add", partner, "https://shop.example/hook")
    assert said.count("whsec_") == 1
    assert "whsec_" not in run("webhook", "list")
    assert "public internet" in run("webhook", "add", partner, "https://10.0.0.1/", status=1)


def test_thresholds_are_set_from_the_command_line(run: Any) -> None:
    partner = run("partner", "create", "Shop", "--currency", "INR", "--json")["id"]
    assert run("ledger", "threshold", partner, "100", "--json")["threshold"] == "100.00"
    run("codes", "threshold", "NOTHING", "5", status=3)
