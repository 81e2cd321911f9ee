"""`cardrail order` as an operator meets it: beside a busy server, and after an answer that was lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from cardrail.cli import order as noun
from cardrail.cli.context import refusals
from tests.build import NODE, World
from tests.orders.build import moved, stands, unpaid, unseeing

Run = Callable[..., Result]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands on the test's shop."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with refusals():
            yield SimpleNamespace(db=world.db, clock=world.clock, audit=world.audit, settings=SimpleNamespace(node_name=NODE))

    monkeypatch.setattr(noun, "open_context", opened)
    return lambda *words: CliRunner().invoke(noun.app, list(words))


def test_a_refund_that_is_repeated_under_its_reference_moves_nothing(world: World, run: Run) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    words = ("refund", order.id, "--because", "late", "--amount", "5.00", "--reference", "t-1", "--yes")
    first, second, as_json = run(*words), run(*words), run(*words, "--json")
    assert first.stdout.startswith("Refunded 5.00 INR, as a rebate.")
    assert second.stdout.startswith("Refunded under t-1 before")
    assert (second.exit_code, json.loads(as_json.stdout)["refunded"]) == (0, "5.00")
    assert moved(world, order.id) == [("refund", "posted", 500), ("sale", "posted", 9_500)]


def test_a_refund_says_which_units_it_pays_back_and_asks_for_them(world: World, run: Run) -> None:
    world.stock("TEA", 5)
    order = world.order("TEA", 5)
    named = run("refund", order.id, "--because", "late", "--unit", "2", "--yes")
    asked = CliRunner().invoke(noun.app, ["refund", order.id, "--because", "late", "--quantity", "2"], input="y\n")
    assert "Refunded 95.00 INR: line 1, unit 2." in named.stdout
    assert f"Refund 190.00 INR of order {order.id}: line 1, units 4 to 5?" in asked.stderr
    again = run("refund", order.id, "--because", "late", "--unit", "1:2", "--yes")
    assert (again.exit_code != 0, run("refund", order.id, "--because", "late", "--unit", "x", "--yes").exit_code) == (True, 2)
    assert json.loads(run("show", order.id, "--json").stdout)["items"][0]["refunded_units"] == [2, 4, 5]
    rest = run("refund", order.id, "--because", "late", "--yes")
    assert "Refunded 190.00 INR: line 1, units 1, 3." in rest.stdout


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("verb", ["refund", "cancel", "invalidate"])
def test_a_command_outlasts_a_batch_that_holds_the_wallet_for_too_long(world: World, run: Run, verb: str) -> None:
    world.stock("TEA", 1)
    order = unpaid(world) if verb == "cancel" else world.order("TEA", buyer=unseeing(world.partner))
    words = [verb, order.id, "--yes", *([] if verb == "cancel" else ["--because", "late"])]
    with ThreadPoolExecutor(1) as pool:
        with world.db.transaction() as tx:
            tx.execute(sa.text("SELECT name FROM accounts FOR UPDATE"))
            done = pool.submit(run, *words)
            time.sleep(2.3)  # beyond the lock time-out
        assert done.result(60).exit_code == 0, done.result().output
    after = stands(world, order.id)
    assert (after.refunded_minor, after.state.value) == {
        "refund": (9_500, "FULFILLED"),
        "cancel": (0, "CANCELLED"),
        "invalidate": (9_500, "INVALIDATED"),
    }[verb]
