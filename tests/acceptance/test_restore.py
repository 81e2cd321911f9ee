"""A backup is taken, a hundred more are sold, the backup is restored: none of the hundred is ever sold again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import Place, Proved
from tests.postgres import Postgres

pytestmark = [pytest.mark.prove]

STOCK = 300
SOLD_BEFORE = 10
SOLD_AFTER = 100


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the database to restore into: there is nothing in it yet."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'restored' / 'cardrail.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


def test_a_restored_shop_never_sells_again_what_it_has_forgotten(
    place: Place, empty_url: str, tmp_path: Path, proved: Proved
) -> None:
    codes = set(place.stock(STOCK))
    backup = tmp_path / "shop.backup"
    with place.serving() as server, server.buyer() as buyer:
        before = {code for turn in range(SOLD_BEFORE) for code in buyer.order(f"before-{turn}").codes}
        place.cli("backup", str(backup))
        after = {code for turn in range(SOLD_AFTER // 5) for code in buyer.order(f"after-{turn}", quantity=5).codes}
    assert (len(before), len(after)) == (SOLD_BEFORE, SOLD_AFTER)

    restored = place.elsewhere(tmp_path / "restored", empty_url)
    assert json.loads(restored.cli("restore", str(backup), "--json"))["is_frozen"] is True
    with restored.serving() as server, server.buyer() as buyer:
        frozen = buyer.order("while frozen")
        assert frozen.status in {409, 503}
        assert frozen.body["charged"] is False
    report = json.loads(restored.cli("restore-release", "--journal", str(place.home / "journal"), "--json"))
    assert (report["is_released"], report["codes_sold"], report["codes_withdrawn"]) == (True, SOLD_AFTER, SOLD_AFTER)

    rest = STOCK - SOLD_BEFORE - SOLD_AFTER
    with restored.serving() as server, server.buyer() as buyer:
        sold = [code for turn in range(rest // 10) for code in buyer.order(f"restored-{turn}", quantity=10).codes]
        assert buyer.order("one too many").status == 409
    assert set(sold) == codes - before - after
    assert len(sold) == rest
    restored.cli("verify", "--json")
    proved(f"{SOLD_AFTER} codes sold after the backup; frozen, then {len(sold)} others sold and none of the {SOLD_AFTER}")
