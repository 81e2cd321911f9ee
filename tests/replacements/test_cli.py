"""`cardrail replacement` as an operator meets it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cardrail.cli import replacement as noun
from cardrail.cli.context import refusals
from tests.replacements.build import Claims

Run = Callable[..., Result]


@pytest.fixture
def backend() -> str:
    """The commands only show and call what is tested on both databases."""
    return "sqlite"


@pytest.fixture
def run(shop: Claims, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands on the test's shop."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with refusals():
            yield SimpleNamespace(db=shop.db, clock=shop.clock, replacements=shop.desk)

    monkeypatch.setattr(noun, "open_context", opened)
    return lambda *words, **facts: CliRunner().invoke(noun.app, list(words), **facts)


def test_a_claim_is_listed_shown_and_decided(shop: Claims, run: Run) -> None:
    shop.stock("TEA", 2)
    one = shop.settle(shop.claim(shop.sold(), evidence="it [says] used", links=("https://x.example/1",)))
    (listed,) = json.loads(run("list", "--state", "NEEDS_REVIEW", "--json").stdout)
    shown = run("show", one.id).stdout
    assert (listed["id"], "it [says] used" in shown, "95.00 INR" in shown) == (one.id, True, True)
    done = json.loads(run("resolve", one.id, "--as", "stock", "--because", "looked at it", "--yes", "--json").stdout)
    assert (done["state"], done["source"], done["decided_by"], done["new_code"]["seq"]) == ("REPLACED", "stock", "cli", 1)
    assert "No such claims." in run("list", "--state", "NEEDS_REVIEW").stdout


def test_no_code_is_printed(shop: Claims, run: Run) -> None:
    codes = shop.stock("TEA", 2)
    one = shop.claim(shop.sold())
    run("resolve", one.id, "--as", "stock", "--because", "x", "--yes")
    printed = "".join(run(*words).stdout for words in (["list"], ["show", one.id], ["show", one.id, "--json"]))
    assert not [code for code in codes if code in printed]


def test_it_asks_first_and_a_no_changes_nothing(shop: Claims, run: Run) -> None:
    shop.stock("TEA", 2)
    one = shop.claim(shop.sold())
    asked = run("resolve", one.id, "--as", "refund", "--because", "x", input="n\n")
    assert ("Refund 95.00 INR for line 1, code 1" in asked.stderr, asked.exit_code, shop.now(one).state) == (True, 1, "REQUESTED")


def test_what_cannot_be_done_is_said(shop: Claims, run: Run) -> None:
    shop.stock("TEA", 1)
    one = shop.claim(shop.sold())
    for words in (["show", "rpl_nothing"], ["resolve", one.id, "--as", "stock", "--because", "x", "--yes"]):
        assert run(*words).exit_code != 0
    assert shop.now(one).is_open
