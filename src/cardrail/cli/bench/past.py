"""A past: orders that were never placed, written straight into the tables as if they had been.

Each has what a real one-item order has (order, item with its allocation, transfer, event), sells a code of the stock, and is paid from
the wallet, so that the books stay in balance; only the audit log knows nothing of it. Through HTTP a million would take minutes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import sqlalchemy as sa

from cardrail.cli.bench.site import SKU, Site
from cardrail.kernel import Mode, new_body, to_micros
from cardrail.ledger import TRANSFER_COLUMNS, Purpose, insert_transfers, platform, wallet
from cardrail.storage import EVENT_COLUMNS, Bulk, Tx, bulk_insert, in_tx, insert_events, metadata

CHUNK: Final = 20_000
PRICE_MINOR: Final = 950

_ORDER: Final = (
    *("id", "partner_id", "mode", "state", "currency", "total_minor", "charged_minor"),
    *("key_hash", "fingerprint", "api_key_id", "created_at", "updated_at"),
)
_ITEM: Final = (
    *("order_id", "line", "sku", "denomination_id", "name", "state", "quantity", "delivered", "face_minor", "face_currency"),
    *("unit_price_minor", "total_minor", "charged_minor", "lot_id", "first_seq", "code_count", "expires_at"),
)


@dataclass(frozen=True, slots=True)
class _Slice:
    """Codes that are for sale."""

    id: str
    lot_id: str
    denomination_id: str
    face_minor: int
    expires_at: int
    head: int
    tail: int


def write_past(site: Site, count: int, progress: Callable[[int], None] = lambda _done: None) -> None:
    """Make ``count`` past orders of the bench sku out of codes in stock; the server must not be selling meanwhile."""
    done = 0
    for one, take in _takes(_open_slices(site), count):
        for first in range(one.head, one.head + take, CHUNK):
            part = min(CHUNK, one.head + take - first)
            in_tx(site.cardrail.db, partial(_write, site=site, one=one, first=first, count=part))
            done += part
            progress(done)
    if done < count:
        raise ValueError(f"only {done} codes were in stock")


def _takes(slices: list[_Slice], count: int) -> Iterator[tuple[_Slice, int]]:
    for one in slices:
        take = min(count, one.tail - one.head)
        count -= take
        if take:
            yield one, take


def _open_slices(site: Site) -> list[_Slice]:
    slices = metadata.tables["slices"]
    columns = [slices.c[name] for name in ("id", "lot_id", "denomination_id", "face_minor", "expires_at", "head", "tail")]
    with site.cardrail.db.read() as tx:
        rows = tx.execute(sa.select(*columns).where(slices.c.head < slices.c.tail).order_by(slices.c.lot_id))
        return [_Slice(*row) for row in rows]


def _write(tx: Tx, site: Site, one: _Slice, first: int, count: int) -> None:
    orders, items, transfers, events = [], [], [], []
    now = to_micros(site.cardrail.clock.now())
    node = site.settings.node_name
    purse = wallet(site.partner_id, "USD", Mode.LIVE)
    sales = platform(Purpose.SALES, "USD", Mode.LIVE, node)
    paid = (PRICE_MINOR, PRICE_MINOR)
    for seq in range(first, first + count):
        body, order_id = _ids()
        marks = (secrets.token_bytes(32), secrets.token_bytes(33))
        orders.append((order_id, site.partner_id, "live", "FULFILLED", "USD", *paid, *marks, "bench", now, now))
        card = (order_id, 1, SKU, one.denomination_id, "Bench card", "FULFILLED", 1, 1, one.face_minor, "USD")
        items.append((*card, PRICE_MINOR, *paid, one.lot_id, seq, 1, one.expires_at))
        money = ("trf_" + body, purse, sales, PRICE_MINOR, "USD", "live", "posted", "sale")
        transfers.append((*money, site.partner_id, order_id, None, None, None, 0, now))
        event = (
            "evt_" + body,
            "order.fulfilled",
            site.partner_id,
            "live",
            order_id,
            1,
            None,
            "FULFILLED",
            None,
            "bench",
            now,
            None,
        )
        events.append(event)
    assert len(transfers[0]) == len(TRANSFER_COLUMNS)
    assert len(events[0]) == len(EVENT_COLUMNS)
    _insert_orders(tx, orders)
    _insert_items(tx, items)
    insert_transfers(tx, transfers)
    insert_events(tx, events)
    _move(tx, one, first, count, purse, sales)


def _ids() -> tuple[str, str]:
    body = new_body()
    return body, "ord_" + body


def _move(tx: Tx, one: _Slice, first: int, count: int, purse: str, sales: str) -> None:
    """The slice's head, and both accounts' sums."""
    slices, accounts = metadata.tables["slices"], metadata.tables["accounts"]
    moved = tx.execute(sa.update(slices).where(slices.c.id == one.id, slices.c.head == first).values(head=first + count))
    spent = tx.execute(
        sa.update(accounts).where(accounts.c.name == purse).values(debits_posted=accounts.c.debits_posted + count * PRICE_MINOR)
    )
    earned = tx.execute(
        sa.update(accounts).where(accounts.c.name == sales).values(credits_posted=accounts.c.credits_posted + count * PRICE_MINOR)
    )
    if (moved.rowcount, spent.rowcount, earned.rowcount) != (1, 1, 1):
        raise RuntimeError("somebody sold meanwhile, or nothing was sold before: there is no sales account yet")


def _bulk(table: str, columns: Sequence[str]) -> Bulk:
    return bulk_insert(metadata.tables[table], *columns)


_insert_orders: Final = _bulk("orders", _ORDER)
_insert_items: Final = _bulk("order_items", _ITEM)
