"""`cardrail supplier`: from nothing to a supplier whose products are ours, without a secret on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cardrail.cli import app

runner = CliRunner()
SHEET = """product_code,name,brand,category,kind,country,currency,denomination_type,face_values,discount_percent,sourcing
CARD,Simulated TEST_OK,Game house,Games,code,IN,INR,fixed,10,5,on_demand
SLOW,Something else,Else,Games,code,IN,INR,fixed,10,5,stock
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Run a command on a fresh SQLite installation with a catalog; its JSON, or what it printed."""

    def ask(*words: str, status: int = 0, typed: str = "") -> Any:
        done = runner.invoke(app, ["--data-dir", str(tmp_path), *words], input=typed, catch_exceptions=False)
        assert done.exit_code == status, done.output
        return json.loads(done.stdout) if "--json" in words and status == 0 else done.output

    ask("init")
    (tmp_path / "sheet.csv").write_text(SHEET)
    ask("catalog", "import", str(tmp_path / "sheet.csv"))
    return ask


SIMULATED = ("supplier", "add", "simulated", "sim", "--currency", "INR", "-c", "pretend:=true", "-c", "unit_cost_minor:=800")


def test_a_first_supplier_in_five_commands(run: Any) -> None:
    made = run(*SIMULATED, "--json")
    assert (made["state"], made["config"]) == ("active", {"pretend": True, "unit_cost_minor": 800})
    assert {one["call"]: one["state"] for one in run("supplier", "test", "sim", "--json")["trials"]} == {
        "balance": "works",
        "catalog": "works",
        "stock": "works",
    }
    assert run("supplier", "sync", "sim", "--json")["counts"]["new"] == 4
    suggested = run("supplier", "map", "sim", "--suggest", "--take", "--json")
    assert (suggested["mapped"], suggested["items"][0]["supplier_sku"], suggested["items"][0]["sku"]) == (1, "TEST_OK", "CARD")
    assert "Sold from stock only" in run("supplier", "map", "sim", "TEST_SLOW", "SLOW")
    (listed,) = run("supplier", "list", "--json")["items"]
    assert (listed["products"], listed["mapped"], listed["health"]["breaker"]) == (4, 2, "closed")
    assert run("supplier", "products", "sim", "--unmapped", "--json")["count"] == 2
    run("supplier", "unmap", "sim", "TEST_SLOW")
    assert run("supplier", "products", "sim", "--find", "slow", "--json")["items"][0]["skus"] == []
    assert run("supplier", "balance", "sim", "--alert-below", "5.00", "--json")["alert_below"] == "5.00 INR"
    assert run("supplier", "health", "sim", "--json")["unresolved"] == []
    assert run("supplier", "disable", "sim", "--json")["state"] == "paused"
    assert run("supplier", "enable", "sim", "--json")["state"] == "active"
    assert run("supplier", "change", "sim", "--priority", "5", "-c", "latency_ms:=1", "--json")["config"]["latency_ms"] == 1


def test_secrets_come_from_files_or_standard_input_and_are_never_shown(run: Any, tmp_path: Path) -> None:
    words = ("supplier", "add", "foxreload_v1", "--currency", "USD", "-c", "base_url=http://127.0.0.1:1")
    run(*words, "one", typed="sk_first_secret\n")
    file = tmp_path / "secrets.json"
    file.write_text('{"api_key": "sk_second_secret"}')
    run(*words, "two", "--secrets", str(file))
    shown = run("supplier", "show", "one", "--json")
    assert shown["has_secrets"] is True
    said = "".join(
        [run("supplier", "show", "two"), run("supplier", "list"), run("audit", "list", "--json").__str__(), str(shown)]
    )
    assert "secret" in said
    assert "_secret" not in said.replace("has_secrets", "")
    assert "it is required" in run(*words, "three", status=1)
    refused = run(*words, "four", "-c", "api_key=sk_third_secret", status=1)
    assert "it is a secret" in refused
    assert "sk_third" not in refused
    assert "must be a JSON object" in run(*words, "five", "--secrets", "-", typed="{sk_fourth_secret", status=1)
    assert "_secret" not in run(*words, "five", "--secrets", "-", typed='{"sk_fifth_secret"', status=1)


def test_a_supplier_that_cannot_be_reached_fails_its_trial_in_words(run: Any) -> None:
    run("supplier", "add", "foxreload_v1", "fox", "--currency", "USD", "-c", "base_url=http://127.0.0.1:1", typed="sk\n")
    said = run("supplier", "test", "fox", status=1)
    assert "balance: fails" in said
    assert "there was no connection" in said
    run("supplier", "sync", "fox", status=1)
    run("supplier", "test", "nobody", status=3)


def test_pairs_of_a_file_are_mapped_all_or_none(run: Any, tmp_path: Path) -> None:
    run(*SIMULATED)
    run("supplier", "sync", "sim")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("# theirs,ours\nTEST_OK,CARD\nTEST_SLOW,NOPE\n")
    run("supplier", "map", "sim", "--file", str(pairs), status=3)
    assert run("supplier", "show", "sim", "--json")["mapped"] == 0
    pairs.write_text("TEST_OK,CARD\nTEST_SLOW,CARD\n")
    assert len(run("supplier", "map", "sim", "--file", str(pairs), "--json")["mapped"]) == 2
    run("supplier", "map", "sim", status=2)
    run("supplier", "accept", "sim", status=2)
    assert "No cost waits" in run("supplier", "accept", "sim", "--all")


def test_rules_and_routes_are_added_listed_and_taken_back(run: Any) -> None:
    run(*SIMULATED)
    run("supplier", "sync", "sim")
    made = run("supplier", "rule", "add", "sim", "CARD", "--name", "*test_ok", "--json")
    assert made["mapped"] == [{"supplier_sku": "TEST_OK", "sku": "CARD"}]
    assert (made["when"], made["product"]) == ({"name": "*test_ok"}, "CARD")
    assert run("supplier", "rule", "list", "sim", "--json")["items"][0]["count"] == 1
    assert "1 mappings are undone" in run("supplier", "rule", "remove", made["id"])
    assert "name its --currency" in run("supplier", "rule", "add", "sim", "CARD", "--name", "*", "--face", "10", status=2)
    set_ = run("route", "set", "CARD", "pinned", "--supplier", "sim", "--margin-floor", "2.5", "--json")
    assert (set_["supplier"], set_["margin_floor_percent"]) == ("sim", "2.50")
    assert [one["for"] for one in run("route", "list", "--json")["items"]] == ["CARD"]
    assert "no rule of its own" in run("route", "clear", "CARD")
    assert "No routing rule" in run("route", "clear", "CARD", status=3)
    assert "is retired" in run("supplier", "retire", "sim", "--yes")


def test_a_rest_supplier_begins_with_the_template(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    text = run("supplier", "template")
    path.write_text(text.replace("poll_seconds = 5 ", "poll_secs = 5 "))
    add = ("supplier", "add", "rest", "acme", "--currency", "INR", "-c", f"file={path}", "--secrets", "-")
    secret = json.dumps({"key": "k-very-secret"})
    line = next(n for n, one in enumerate(path.read_text().splitlines(), 1) if "poll_secs" in one)
    assert f"line={line}" in run(*add, status=1, typed=secret)
    path.write_text(text)
    assert "needs this secret" in run(*add, status=1, typed=json.dumps({}))
    run(*add, typed=secret)
    assert "k-very-secret" not in run("supplier", "show", "acme") + run("supplier", "test", "acme", status=1)
