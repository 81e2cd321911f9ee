"""What replacements stand on: built once, in bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cardrail.kernel import Clock
from cardrail.orders.buying import Buying
from cardrail.orders.replacements.model import ReplacementPolicy
from cardrail.storage import AuditLog, Database, Tx
from cardrail.vault import CodeOpener


@dataclass(frozen=True, slots=True)
class ReplacementDesk:
    """One process's way to replace codes."""

    buying: Buying
    audit: AuditLog
    opener: CodeOpener
    """Opens the bad code for the supplier that is asked about it."""
    policy: ReplacementPolicy = field(default_factory=ReplacementPolicy)
    enqueue: Callable[[Tx, str, int, float], None] | None = None
    """(tx, id, round, seconds): has ``pursue_replacement`` called after that time; None: ``wake_replacements`` finds what is due."""

    @property
    def db(self) -> Database:
        return self.buying.db

    @property
    def clock(self) -> Clock:
        return self.buying.clock

    @property
    def node(self) -> str:
        return self.buying.books.node
