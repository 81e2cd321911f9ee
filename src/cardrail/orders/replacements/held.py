"""What an order holds now that some of its codes were replaced: read where its codes are shown, taken back, or written to the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cardrail.orders.model import Order
from cardrail.orders.replacements import store
from cardrail.orders.replacements.model import Replacement, ReplacementState, current_codes, successor_of
from cardrail.storage import Tx
from cardrail.vault import Allocation


def with_successors(tx: Tx, orders: Iterable[Order], *, keep_replaced: bool = False) -> dict[str, list[Replacement]]:
    """Put the newest code of each position into the items' allocations; with ``keep_replaced`` behind the ones that were replaced.

    Only for reading: an order that was changed so must not be written. Returns the replacements that gave a code, by order.
    """
    by_id: dict[str, Order] = {one.id: one for one in orders}
    found = store.load_replaced(tx, list(by_id)) if by_id else {}
    for order_id, replaced in found.items():
        for item in by_id[order_id].items:
            own = [one for one in replaced if one.line == item.line]
            if keep_replaced:
                item.allocations = [*item.allocations, *[successor_of(one, item) for one in own]]
            elif own:
                item.allocations = current_codes(item, own)
    return found


def codes_to_take_back(tx: Tx, order: Order) -> list[Allocation]:
    """The codes whose cost the order still bears: its own and the ones that replaced them, without those that were written off or
    credited with their replacement or refund. As ranges, for an order that is invalidated."""
    past = store.load_of_orders(tx, [order.id])
    settled = {
        (one.lot_id, one.seq)
        for one in past
        if one.state is ReplacementState.REFUNDED or (one.state is ReplacementState.REPLACED and one.source == "stock")
    }
    items = {item.line: item for item in order.items}
    spans = [one for item in order.items for one in item.allocations]
    if not past:
        return spans
    spans += [successor_of(one, items[one.line]) for one in past if one.state is ReplacementState.REPLACED]
    singles = [replace(one, first_seq=seq, count=1) for one in spans for seq in range(one.first_seq, one.first_seq + one.count)]
    return [one for one in singles if (one.lot_id, one.first_seq) not in settled]
