"""A shop whose partner buys, for tests that close the books."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cardrail.kernel import FrozenClock, Mode, Money
from cardrail.ledger import By, debit, reverse
from cardrail.orders import Buyer, Order, refund_order
from cardrail.settlement import (
    Closing,
    Statement,
    StatementLine,
    all_lines,
    canonical_bytes,
    close_due,
    sequence_now,
)
from tests.build import NODE, World

START = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@dataclass
class Ledgers:
    """Short words for what happens to the books of a world whose clock stands still until it is moved."""

    world: World

    @property
    def clock(self) -> FrozenClock:
        clock = self.world.clock
        assert isinstance(clock, FrozenClock)
        return clock

    def until(self, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> None:
        self.clock.at = datetime(year, month, day, hour, minute, tzinfo=UTC)

    def sell(self, sku: str = "TEA", quantity: int = 1, **facts: Any) -> Order:
        codes = [f"{sku}-{next(_numbers):09d}" for _ in range(quantity)]
        self.world.stock(sku, codes, cost="80", supplier="acme", face=facts.get("face"))
        return self.world.order(sku, quantity, **facts)

    def refund(self, order: Order, amount_minor: int | None = None, **wish: Any) -> None:
        world = self.world
        facts: dict[str, Any] = {"node": NODE, "because": "asked", "actor": "test", **wish}
        refund_order(world.db, world.clock, world.audit, order.id, amount_minor, **facts)

    def take(self, amount: str, buyer: Buyer | None = None, *, allow_debt: bool = False) -> str:
        who = buyer or self.world.partner
        with self.world.db.transaction() as tx:
            moved = debit(tx, self.by, who.partner_id, Money.parse(amount, who.currency), Mode.LIVE, allow_debt=allow_debt)
        return moved.transfer.id

    def undo(self, transfer_id: Any, *, allow_debt: bool = False) -> None:
        with self.world.db.transaction() as tx:
            reverse(tx, self.by, transfer_id, allow_debt=allow_debt)

    @property
    def by(self) -> By:
        return By(self.clock.now(), "test", self.world.audit, NODE)

    def close(self, **facts: Any) -> Closing:
        """Close what is due, after everything got its position."""
        sequence_now(self.world.db)
        return close_due(self.world.db, self.clock, self.world.audit, **facts)

    def lines(self, statement: Statement) -> list[StatementLine]:
        with self.world.db.read() as tx:
            return list(all_lines(tx, statement))

    def file(self, statement: Statement) -> bytes:
        with self.world.db.read() as tx:
            return b"".join(canonical_bytes(tx, statement))


_numbers = itertools.count(1)


def check_file(data: bytes, expected_hash: str | None) -> Iterator[dict[str, Any]]:
    """What docs/operating/closing-the-books.md tells a partner to do: hash, sums and balances, from the file alone."""
    assert hashlib.sha256(data).hexdigest() == expected_hash
    head, *lines, foot = [json.loads(line) for line in data.splitlines()]
    balance = head["opening_minor"]
    for n, line in enumerate(lines, 1):
        balance += line["change_minor"]
        assert (line["n"], line["balance_minor"]) == (n, balance)
        yield line
    assert (foot["closing_minor"], foot["movements"]) == (balance, len(lines))
