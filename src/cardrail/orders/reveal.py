"""Opening an order's codes after the commit: plain text exists from here to the response."""

from __future__ import annotations

from cardrail.kernel import PlainCode
from cardrail.orders.model import OrderItem
from cardrail.vault import CodeOpener


def open_codes(opener: CodeOpener, item: OrderItem) -> list[tuple[PlainCode, int]]:
    """The item's codes in the order of their allocation, each with its expiry (microseconds, vault.NEVER for none)."""
    opened = []
    for unit in item.units:
        lot = unit.lot
        code = opener.open(unit.lot_id, unit.seq, item.denomination_id, lot.wrapped_key, lot.master_key, unit.sealed)
        opened.append((code, unit.expires_at))
    return opened
