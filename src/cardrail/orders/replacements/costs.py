"""What replacing codes changed about what orders cost: the margin report's figures beside an order's own allocations and purchases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from cardrail.ledger import cost_changes
from cardrail.orders.replacements import store
from cardrail.orders.replacements.model import Replacement
from cardrail.sourcing import find_supplier
from cardrail.storage import Tx
from cardrail.vault import Lot, cost_of, load_lots


class ReplacementCost(NamedTuple):
    """A change of the cost of one line, in minor units; negative where it was written off or given back."""

    change_minor: int
    currency: str
    at: int
    """When what it is the cost of was bought, in microseconds."""
    supplier: str | None


def replacement_costs(tx: Tx, order_ids: Iterable[str]) -> dict[tuple[str, int], list[ReplacementCost]]:
    """By order and line: the codes that stock gave for bad ones, what the bad ones' loss took off, and what suppliers took or gave back."""
    found: dict[tuple[str, int], list[ReplacementCost]] = defaultdict(list)
    past = store.load_of_orders(tx, list(order_ids))
    if not past:
        return found
    lots = load_lots(tx, sorted({lot for one in past for lot in (one.lot_id, one.new_lot_id) if lot is not None}))
    for one in past:
        if one.source == "stock" and one.new_lot_id is not None and one.new_seq is not None:
            _add(found, one, lots[one.new_lot_id], cost_of(lots[one.new_lot_id], one.new_seq, 1))
    by_id, by_lot = {one.id: one for one in past}, {(str(one.order_id), one.lot_id): one for one in past}
    for moved in cost_changes(tx, {one.order_id for one in past}):
        of_supplier = by_id.get(moved.reference or "")
        of_lot = by_lot.get((moved.order_id, moved.reference or ""))
        if of_supplier is not None:
            seller = find_supplier(tx, of_supplier.supplier_id) if of_supplier.supplier_id is not None else None
            name = None if seller is None else seller.name
            cost = ReplacementCost(moved.change_minor, moved.currency, moved.created_at, name)
            found[of_supplier.order_id, of_supplier.line].append(cost)
        elif of_lot is not None:
            _add(found, of_lot, lots[of_lot.lot_id], moved.change_minor)
    return found


def _add(found: dict[tuple[str, int], list[ReplacementCost]], one: Replacement, lot: Lot, change_minor: int) -> None:
    if change_minor and lot.cost_currency is not None:
        found[one.order_id, one.line].append(ReplacementCost(change_minor, lot.cost_currency, lot.created_at, lot.supplier))
