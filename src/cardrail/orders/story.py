"""How an order came by its codes, for the operator: the route of each item, and each attempt with its story. Never a code."""

from __future__ import annotations

from dataclasses import dataclass

from cardrail.kernel import OrderId
from cardrail.sourcing import Attempt, Procurement, list_suppliers, load_attempts, load_procurements
from cardrail.storage import Database


@dataclass(frozen=True, slots=True)
class SupplyStory:
    """One item that waited for suppliers."""

    procurement: Procurement
    attempts: tuple[Attempt, ...]
    names: dict[str, str]
    """Of the suppliers, by id."""

    @property
    def told(self) -> list[tuple[int, str]]:
        """(microseconds, sentence) of the route and all attempts, in the order in which it happened."""
        steps = [*self.procurement.trace]
        for one in self.attempts:
            name = self.names.get(one.supplier_id, one.supplier_id)
            steps += [(at, f"attempt {one.n} at {name}: {sentence}") for at, sentence in one.story]
        return sorted(steps, key=lambda step: step[0])


def supply_story(db: Database, order_id: OrderId) -> list[SupplyStory]:
    """The items of the order that waited, or wait, for suppliers. Empty where all came from stock."""
    with db.read() as tx:
        procurements = load_procurements(tx, order_id)
        if not procurements:
            return []
        attempts = load_attempts(tx, order_id)
        names = {one.id: one.name for one in list_suppliers(tx, with_retired=True)}
    return [SupplyStory(one, tuple([a for a in attempts if a.line == one.line]), names) for one in procurements]
