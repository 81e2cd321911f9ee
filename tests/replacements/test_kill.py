"""Real workers are killed with kill -9 while suppliers are asked for replacements: each bad code gets one good one, and is claimed once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardrail.jobs import Jobs
from cardrail.kernel import SystemClock
from cardrail.orders import find_replacements
from cardrail.storage import Database
from cardrail.vault import create_key_file
from tests.jobs.build import eventually
from tests.replacements.build import CLAIMING, Claims

CODES = 8
"""Of one order."""


@contextmanager
def worker(shop: Claims, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "started").unlink(missing_ok=True)
    url = shop.db.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.sourcing.worker_process", url, str(folder)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        assert eventually((folder / "started").exists)
        yield process
    finally:
        process.kill()
        process.wait()


def left(shop: Claims) -> int:
    return sum(one.is_open for one in find_replacements(shop.db, limit=1_000))


@pytest.mark.chaos
def test_workers_that_are_killed_while_they_claim_get_one_good_code_for_each_bad_one(
    db: Database, tmp_path: Path, full_counts: bool, proved: Callable[[str], None]
) -> None:
    orders, kills = (24, 8) if full_counts else (3, 1)
    shop = Claims(db, create_key_file(tmp_path / "master.keys"), SystemClock())
    shop.claimed_supplier(abilities=CLAIMING)
    claims = tmp_path / "claims"
    claims.mkdir()
    Jobs(db).prepare()
    sold = [shop.sold("CARD", CODES) for _ in range(orders)]
    bad = [code for order in sold for code in shop.shown(order)]
    for order in sold:
        shop.claim(order, *range(1, CODES + 1))
    for _ in range(kills):
        before = len([*claims.iterdir()])
        with worker(shop, tmp_path) as process:
            assert eventually(lambda: len([*claims.iterdir()]) > before)  # noqa: B023  # called before the next turn
            time.sleep(0.03)  # the claim is made, and its answer is on its way
            process.kill()
    with worker(shop, tmp_path):
        assert eventually(lambda: left(shop) == 0, seconds=180.0)
    found = find_replacements(shop.db, limit=1_000)
    shown = [code for order in sold for code in shop.shown(order)]
    assert {one.state.value for one in found} == {"REPLACED"}
    assert sorted(one.name for one in claims.iterdir()) == sorted(bad)
    assert sorted(shown) == sorted(one.read_text() for one in claims.iterdir())
    assert (len(set(shown)), shop.findings()) == (len(bad), [])
    looked = sum("the answer was lost" in [text for _, text in one.story] for one in found)
    proved(
        f"{len(bad)} claims, {kills} workers killed: {len(shown)} good codes, none twice; {looked} found by looking after them"
    )
