"""What procurement stands on, and what it asks of suppliers: built once, in bootstrap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from cardrail.catalog import CatalogCache
from cardrail.kernel import Clock, Mode
from cardrail.orders.save import Books
from cardrail.sourcing import Connectors, Listing, Route, Supplier, SupplierState, simulated_listing
from cardrail.storage import BatchWriter, Database, GroupWriter, Journal, JournalAttempt, JournalEntry, Tx

T = TypeVar("T")
Request = TypeVar("Request")

PATIENCE_SECONDS: Final = 60.0
"""How long an item waits for suppliers that are only busy, before what they should have brought is given up."""


TOGETHER_MAX: Final = {"sqlite": 8, "postgresql": 16}
"""Suppliers' answers that are written down in one transaction: some ten milliseconds, for which the order lane may have to wait."""


@dataclass(frozen=True, slots=True)
class Buying:
    """One process's way to suppliers."""

    db: Database
    clock: Clock
    catalog: CatalogCache
    books: Books
    connectors: Connectors
    journal: Journal | None = None
    """Where what was bought and given out is kept outside the database. Its own file: the lane writes another."""
    route: Route = field(default_factory=Route)
    """Where nobody has set one."""
    patience_seconds: float = PATIENCE_SECONDS
    _journal_guard: threading.Lock = field(default_factory=threading.Lock)
    _writer: GroupWriter = field(init=False)
    _together: BatchWriter[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_writer", GroupWriter(self.db))
        object.__setattr__(self, "_together", BatchWriter(self._writer, TOGETHER_MAX[self.db.backend]))

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run a transaction of this work; on SQLite several threads' share a commit."""
        return self._writer.run(work)

    def write_together(self, key: str, request: Request, handler: Callable[[Tx, Sequence[Request]], Sequence[T]]) -> T:
        """The handler's outcome for this request, in one transaction with others that wait at that moment, each key once.

        There is one such handler.
        """
        outcome: T = self._together.run(key, request, handler)
        return outcome

    def write_journal(self, entries: Sequence[JournalEntry | JournalAttempt]) -> None:
        """Append lines; several threads buy at once."""
        if self.journal is not None and entries:
            with self._journal_guard:
                self.journal.append(entries)

    def close(self) -> None:
        """Let go of connections and of the journal's file."""
        self.connectors.close()
        if self.journal is not None:
            self.journal.close()


SIMULATED: Final = Supplier(
    id="sup_simulated",
    name="simulated",
    kind="simulated",
    mode=Mode.TEST,
    state=SupplierState.ACTIVE,
    currency="USD",
    config={},
    secrets=None,
    priority=100,
    weight=100,
    created_at=0,
    updated_at=0,
)
"""Who sells to test orders. It has no row: it costs nothing, and is always there."""


def simulated_ways(sku: str, currency: str) -> list[Listing]:
    """The one way to buy for a test order."""
    return [simulated_listing(SIMULATED, sku, currency)]
