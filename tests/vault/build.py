"""What the vault's tests are made of: a vault with keys, and short words for what is done with it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cardrail.kernel import FrozenClock, Mode, PlainCode, to_micros
from cardrail.storage import AuditLog, Database
from cardrail.vault import (
    Allocation,
    CodeOpener,
    ImportOptions,
    ImportReport,
    ImportTarget,
    Keyring,
    Stock,
    advance_heads,
    check_keys,
    import_codes,
    load_lot_keys,
    load_open_slices,
    read_sealed,
    stock_counts,
)

DENOMINATION = "den_TEA"
BRAND = "brd_TEA"
FACE = 500
TARGET = ImportTarget(BRAND, DENOMINATION, FACE)


def a_key(number: int = 1) -> bytes:
    return bytes([number]) * 32


@dataclass
class Vault:
    """One vault in a test."""

    db: Database
    keyring: Keyring = field(default_factory=lambda: Keyring({1: a_key()}))
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(datetime(2026, 6, 1, tzinfo=UTC)))
    audit: AuditLog = field(default_factory=lambda: AuditLog(b"a" * 32, "cli"))

    def __post_init__(self) -> None:
        with self.db.transaction() as tx:
            check_keys(tx, self.keyring, self.clock)
        self.opener = CodeOpener(self.keyring)

    @property
    def now(self) -> int:
        return to_micros(self.clock.now())

    def load(self, content: str | bytes, *, target: ImportTarget = TARGET, on_open: Any = None, **options: Any) -> ImportReport:
        """Import a file."""
        data = content.encode() if isinstance(content, str) else content
        return import_codes(
            self.db,
            self.clock,
            self.keyring,
            self.audit,
            io.BytesIO(data),
            target,
            ImportOptions(**options),
            on_open=on_open,
        )

    def lot(self, content: str | bytes, **options: Any) -> str:
        """Import a file; the new lot's id."""
        lot = self.load(content, **options).lot
        assert lot is not None
        return lot.id

    def take(self, count: int) -> list[Allocation]:
        """Sell codes as the order lane does."""
        with self.db.transaction() as tx:
            slices = load_open_slices(tx, Mode.LIVE, [DENOMINATION], limit=count, now_micros=self.now)
            stock = Stock(slices, self.now)
            taken = stock.take(DENOMINATION, FACE, count)
            advance_heads(tx, stock.moved())
        return taken

    def open(self, allocations: list[Allocation]) -> list[PlainCode]:
        """The plain codes of allocations, in their order."""
        with self.db.read() as tx:
            sealed = read_sealed(tx, allocations)
            keys = load_lot_keys(tx, {one.lot_id for one in allocations})
        return [
            self.opener.open(
                one.lot_id, seq, DENOMINATION, keys[one.lot_id].wrapped_key, keys[one.lot_id].master_key, sealed[one.lot_id, seq]
            )
            for one in allocations
            for seq in range(one.first_seq, one.first_seq + one.count)
        ]

    def sell(self, count: int) -> list[str | None]:
        """The texts of codes just sold."""
        return [one.code for one in self.open(self.take(count))]

    def available(self) -> int:
        with self.db.read() as tx:
            return stock_counts(tx, Mode.LIVE, [DENOMINATION], self.now).get((DENOMINATION, FACE), 0)
