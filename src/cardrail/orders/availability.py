"""How many units could be had now: what the vault has, and what suppliers say that they have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import Mode
from cardrail.sourcing import supplied_counts
from cardrail.storage import Tx
from cardrail.vault import stock_counts

UNSAID: Final = 1_000
"""What a supplier is taken to have that does not say."""


def sellable_counts(
    tx: Tx, catalog: CatalogSnapshot, mode: Mode, denomination_ids: Iterable[str], now_micros: int
) -> dict[tuple[str, int], int]:
    """(denomination, face value) → units that an order could get, from stock and on demand. None of it is promised.

    Suppliers count for products that are not sold from stock only, and for face values that they name; a range has none to name.
    """
    ids = sorted(set(denomination_ids))
    counts = stock_counts(tx, mode, ids, now_micros)
    if mode is Mode.TEST:
        return counts
    offers = [catalog.denomination(one) for one in ids]
    wanted = [one.denomination_id for one in offers if one is not None and one.sourcing != "stock"]
    for (denomination_id, face_minor), count in supplied_counts(tx, wanted, unsaid=UNSAID).items():
        key = (denomination_id, face_minor)
        counts[key] = counts.get(key, 0) + count
    return counts
