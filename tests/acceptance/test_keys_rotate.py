"""A new master key, with much stock: seconds, and every code still opens once the old key is gone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cardrail.vault import Allocation, CodeOpener, load_lot_keys, read_sealed
from tests.acceptance.server import Place, Proved

pytestmark = [pytest.mark.prove]

CHUNK = 5_000


def test_rotation_takes_seconds_and_every_code_opens_without_the_old_key(place: Place, full_counts: bool, proved: Proved) -> None:
    lots = [place.stock(250_000 if full_counts else 2_500) for _ in range(4)]
    key_file = place.home / "master.keys"
    old = key_file.read_text().strip()
    seconds, rotated = timed(place, "keys", "rotate")
    assert seconds < 10, "it wraps the lots' keys only: the stock does not matter"
    assert rotated["lots"] == len(lots)
    for number in rotated["retired"]:
        place.cli("keys", "drop", str(number), "--yes")
    assert old.partition(":")[2] not in key_file.read_text(), "the old key is still there"
    opened = open_all(place)
    assert opened == {code for lot in lots for code in lot}
    with place.serving() as server, server.buyer() as buyer:
        answer = buyer.order("after-rotation", quantity=10)
        assert set(answer.codes) <= opened
    proved(f"{len(opened)} codes in {len(lots)} lots: rotated in {seconds:.1f} s of processor; all open")


def timed(place: Place, *words: str) -> tuple[float, Any]:
    """How much of the processor a command takes, and its result."""
    start = time.process_time()
    result = json.loads(place.cli(*words, "--json"))
    return time.process_time() - start, result


def open_all(place: Place) -> set[str]:
    """Every code in stock, opened with the keys that are at hand now."""
    opened = set()
    with place.opened() as one, one.db.read() as tx:
        opener = CodeOpener(one.keyring)
        for lot_id, denomination_id, count in place.rows("lots", "id", "denomination_id", "count"):
            key = load_lot_keys(tx, [lot_id])[lot_id]
            for first in range(0, count, CHUNK):
                part = Allocation(lot_id, first, min(CHUNK, count - first), 0, False, denomination_id)
                for (_, seq), sealed in read_sealed(tx, [part]).items():
                    plain = opener.open(lot_id, seq, denomination_id, key.wrapped_key, key.master_key, sealed)
                    opened.add(str(plain.code))
    return opened
