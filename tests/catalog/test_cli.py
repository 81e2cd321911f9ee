"""`cardrail catalog` as the operator types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cardrail.catalog import CatalogCache
from cardrail.cli import catalog
from cardrail.cli.context import refusals
from cardrail.storage import Database
from tests.catalog.build import AUDIT, CLOCK, SEVERAL, TOPUPS


@pytest.fixture
def run(db: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The commands on the test's database."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with refusals():
            yield SimpleNamespace(db=db, clock=CLOCK, audit=AUDIT, catalog=CatalogCache(db, CLOCK))

    monkeypatch.setattr(catalog, "open_context", opened)

    def call(*words: str, data: bytes | None = None) -> Result:
        return CliRunner().invoke(catalog.app, list(words), input=data)

    return call


def test_an_import_from_standard_input_and_its_list(run: Any) -> None:
    assert json.loads(run("import", "-", "--json", data=TOPUPS).stdout)["added"] == 50
    listed = json.loads(run("list", "--search", "8gb 89", "--json").stdout)["products"]
    assert [one["code"] for one in listed] == ["robi-1658"]


def test_a_bad_line_is_told_on_standard_error_with_exit_1(run: Any, tmp_path: Path) -> None:
    sheet = tmp_path / "bad.csv"
    sheet.write_bytes(SEVERAL.replace(b",1000,", b",ten,"))
    done = run("import", str(sheet))
    assert done.exit_code == 1
    assert "line 5, face_values" in done.stderr
    assert "nothing was written" in done.stdout


def test_a_diff_names_each_change(run: Any) -> None:
    run("import", "-", data=SEVERAL)
    done = run("import", "-", "--diff", data=SEVERAL.replace(b"|46,", b"|47,"))
    assert "GAME-EU-50.5, cost: 46.00 → 47.00" in done.stdout


def test_a_cost_in_euro_is_shown_as_a_price_in_taka_once_there_is_a_rate(run: Any) -> None:
    run("import", "-", data=TOPUPS)
    assert "No exchange rate" in run("show", "robi-1658", "--json").stdout
    run("rate", "set", "EUR", "BDT", "141.25", "--date", "2026-01-01")
    shown = json.loads(run("show", "robi-1658", "--json").stdout)
    assert shown["denominations"][0]["price"] == "155.73 BDT"


def test_price_rules_are_set_listed_and_removed(run: Any) -> None:
    run("import", "-", data=SEVERAL)
    made = json.loads(run("price", "set", "--sku", "SHOP-JP", "--fixed", "970 JPY", "--json").stdout)
    assert made["for"] == "sku SHOP-JP"
    assert "970 JPY" in run("price", "list").stdout
    assert run("price", "remove", made["id"]).exit_code == 0
    assert run("price", "remove", made["id"]).exit_code == 3


def test_what_is_retired_leaves_the_export_and_comes_back(run: Any) -> None:
    run("import", "-", data=SEVERAL)
    run("retire", "SHOP-JP")
    assert "SHOP-JP" not in run("export").stdout
    run("restore", "SHOP-JP")
    assert "SHOP-JP" in run("export").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "NOTHING"], 3),
        (["retire", "NOTHING"], 3),
        (["import", "/nowhere.csv"], 3),
        (["price", "set", "--sku", "NOTHING", "--discount", "5"], 3),
        (["price", "set"], 2),
        (["price", "set", "--discount", "100"], 1),
        (["rate", "set", "EUR", "INR", "much"], 1),
    ],
)
def test_refusals_have_exit_codes(run: Any, words: list[str], code: int) -> None:
    assert run(*words).exit_code == code
