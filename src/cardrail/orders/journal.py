"""What the allocation journal keeps of orders: of a batch that was just committed, and of those that a dead process left out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cardrail.kernel import from_micros, to_micros
from cardrail.orders import journal_store, store
from cardrail.orders.decide import Plan
from cardrail.orders.model import Order
from cardrail.orders.replacements.held import with_successors
from cardrail.sourcing import Attempt
from cardrail.storage import (
    Database,
    Journal,
    JournalAttempt,
    JournalEntry,
    JournalReading,
    journal_files,
    newest_entry,
    read_journal,
)

CATCH_UP: Final = timedelta(minutes=2)
"""How far behind the newest order or journal line a starting process begins to compare: longer than any order waits."""

CATCH_UP_MAX: Final = timedelta(days=1)
"""How long a silent journal is filled up for."""


def journal_entries(plan: Plan) -> list[JournalEntry]:
    """A line for each order that the batch placed or paid. Pure."""
    return [journal_entry(sale.order, plan.facts.now) for sale in plan.sales]


def journal_attempt(one: Attempt) -> JournalAttempt:
    """The line of a purchase that is about to be made."""
    return JournalAttempt(
        one.asked_at,
        one.id,
        one.order_id,
        one.line,
        one.supplier_id,
        one.supplier_sku,
        one.denomination_id,
        one.face_minor,
        one.quantity,
        one.mode.value,
        one.max_cost_minor,
        one.expected_cost_minor,
        one.cost_currency,
        one.match_key,
    )


def catch_up(db: Database, journal: Journal) -> int:
    """Append the newest orders that the journal lacks; returns how many. To be called before the first batch.

    A process that died between a commit and its journal lines answered nobody. But its orders stand, and whoever asks again gets the
    codes: so the lines must be there before this node answers anybody. A node writes its lines in the order of its commits, so what it
    lacks is younger than the newest line of its own files; what other nodes wrote says nothing about that, and only spares writing an
    order twice. Where several nodes are up, one of the others may be asked for such an order before the node that sold it starts again;
    codes that were given for bad ones do not wait for that (``journal_left_behind``).
    """
    added = 0
    with db.read() as tx:
        newest = journal_store.newest_change(tx)
        if newest is None:
            return 0
        since = _begin(from_micros(newest), newest_entry(journal.folder, journal.name))
        known = _known_since(journal, since)
        for ids in journal_store.changed_orders(tx, since):
            found = store.load_orders(tx, [one for one in ids if one not in known])
            with_successors(tx, found, keep_replaced=True)
            journal.append([journal_entry(one, one.updated_at) for one in found])
            added += len(found)
        for ids in journal_store.replaced_orders(tx, since):  # their first lines may be there without the new codes
            found = store.load_orders(tx, ids)
            with_successors(tx, found, keep_replaced=True)
            journal.append([journal_entry(one, one.updated_at) for one in found])
    return added


def journal_entry(order: Order, at: int) -> JournalEntry:
    """The line of an order as it stands."""
    ranges = [(one.lot_id, one.first_seq, one.count) for item in order.items for one in item.allocations]
    return JournalEntry(at, order.id, order.partner_id, order.mode.value, order.currency, order.charged_minor, ranges)


def _begin(newest_order: datetime, newest_line: int | None) -> datetime:
    """From where to compare; a node that has written no line yet may have died over its first one, any time ago."""
    earliest = newest_order - CATCH_UP_MAX
    line = earliest if newest_line is None else from_micros(newest_line)
    return max(min(newest_order, line), earliest) - CATCH_UP


def _known_since(journal: Journal, since: datetime) -> set[str]:
    """Orders whose codes are in the journal; an order that was journalled unpaid is read again."""
    entries = read_journal(journal_files([journal.folder], since), to_micros(since), JournalReading())
    return {one.order_id for one in entries if one.ranges}
