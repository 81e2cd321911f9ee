"""A month that never was: orders and transfers of many partners, written straight into the tables as if they had happened."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cardrail.access import create_partner
from cardrail.kernel import FrozenClock, Mode, new_body, to_micros
from cardrail.ledger import TRANSFER_COLUMNS, Purpose, platform, wallet
from cardrail.storage import AuditLog, Bulk, Database, bulk_insert, in_tx, metadata

CHUNK: Final = 20_000
CURRENCIES: Final = ("EUR", "JPY", "KWD")
_ORDER: Final = (
    *("id", "partner_id", "mode", "state", "currency", "total_minor", "charged_minor", "refunded_minor", "reference"),
    *("fingerprint", "created_at", "updated_at"),
)
_ITEM: Final = (
    *("order_id", "line", "sku", "denomination_id", "name", "state", "quantity", "delivered", "face_minor", "face_currency"),
    *("unit_price_minor", "tax_bps", "total_minor", "charged_minor", "fx_rate_e10"),
)


def _bulk(table: str, columns: tuple[str, ...]) -> Bulk:
    return bulk_insert(metadata.tables[table], *columns)


@dataclass
class Past:
    """Writes movements until there are enough: sales with and without tax, full and partial refunds, credits and corrections."""

    db: Database
    start: datetime
    days: int
    partners: list[tuple[str, str]] = field(default_factory=list)
    """(id, currency)."""

    def write(self, partners: int, movements: int) -> None:
        clock, audit = FrozenClock(self.start), AuditLog(b"a" * 32, "main/tasks")
        for n in range(partners):
            code = CURRENCIES[n % len(CURRENCIES)]
            made = create_partner(self.db, clock, audit, name=f"Partner {n}", currency=code, actor="test")
            self.partners.append((made.id, code))
        self.sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.accounts: dict[str, tuple[str, str, str, str]] = {}
        self.balances: dict[str, int] = defaultdict(int)
        source = self._movements(movements)
        position = 0
        insert_orders, insert_items = _bulk("orders", _ORDER), _bulk("order_items", _ITEM)
        insert = _bulk("transfers", (*TRANSFER_COLUMNS, "position"))
        while True:
            orders: list[tuple[Any, ...]] = []
            items: list[tuple[Any, ...]] = []
            transfers: list[tuple[Any, ...]] = []
            for order, item, moved in source:
                if order is not None and item is not None:
                    orders.append(order)
                    items.append(item)
                for one in moved:
                    position += 1
                    transfers.append((*one, position))
                if len(transfers) >= CHUNK:
                    break
            if not transfers:
                break
            in_tx(
                self.db,
                lambda tx, a=orders, b=items, c=transfers: (insert_orders(tx, a), insert_items(tx, b), insert(tx, c)),  # type: ignore[misc]
            )
        self._finish(position)

    def _finish(self, position: int) -> None:
        tables, now = metadata.tables, to_micros(self.start)
        rows = [
            {
                "name": name,
                "owner": owner,
                "purpose": purpose,
                "currency": code,
                "mode": "live",
                "node": node,
                "debits_posted": self.sums[name][0],
                "credits_posted": self.sums[name][1],
                "created_at": now,
            }
            for name, (owner, purpose, code, node) in self.accounts.items()
        ]
        with self.db.transaction() as tx:
            tx.execute(sa.insert(tables["accounts"]), rows)
            tx.execute(sa.delete(tables["sequences"]).where(tables["sequences"].c.name == "transfers"))
            tx.execute(sa.insert(tables["sequences"]), [{"name": "transfers", "position": position}])

    def _movements(self, count: int) -> Iterator[tuple[tuple[Any, ...] | None, tuple[Any, ...] | None, list[tuple[Any, ...]]]]:
        """(order, item, transfers) in the order of time."""
        dice, made = random.Random(2026), 0
        step = timedelta(days=self.days) / count
        pending: list[tuple[str, str, str, int]] = []
        while made < count:
            at = to_micros(self.start + step * made)
            partner_id, code = dice.choice(self.partners)
            purse, what = wallet(partner_id, code, Mode.LIVE), dice.random()
            if what < 0.04 or self.balances[purse] < 2_000_000:
                moved = [self._one(purse, "bank", code, dice.randint(1, 9) * 1_000_000, "credit", None, at)]
            elif what < 0.05:
                moved = [self._one(purse, "bank", code, dice.randint(1, 900), "debit", None, at)]
            elif what < 0.10 and pending:
                partner_id, code, order_id, left = pending.pop(dice.randrange(len(pending)))
                amount = left if dice.random() < 0.5 else dice.randint(1, left)
                moved = [self._one(wallet(partner_id, code, Mode.LIVE), "sales", code, amount, "refund", order_id, at)]
            else:
                order_id, price, quantity = f"ord_{new_body()}", dice.randint(100, 9_999), dice.randint(1, 3)
                tax_bps = dice.choice((0, 0, 0, 1_800))
                net = price * quantity
                tax = (net * tax_bps + 5_000) // 10_000
                moved = [self._one(purse, "sales", code, net, "sale", order_id, at)]
                if tax:
                    moved.append(self._one(purse, "tax", code, tax, "tax", order_id, at))
                order = (order_id, partner_id, "live", "FULFILLED", code, net + tax, net + tax, 0, f"po-{made}", b"\x01x", at, at)
                item = (order_id, 1, "EXAMPLE-100", "den_x", "Example card 100", "FULFILLED", quantity, quantity, 10_000, "INR")
                if dice.random() < 0.1:
                    pending.append((partner_id, code, order_id, net))
                made += len(moved)
                yield order, (*item, price, tax_bps, net + tax, net + tax, 92_500_000_000), moved
                continue
            made += len(moved)
            yield None, None, moved

    def _one(
        self, purse: str, other: str, code: str, amount: int, purpose: str, order_id: str | None, at: int
    ) -> tuple[Any, ...]:
        """One transfer, added to both accounts."""
        counter = platform(Purpose(other), code, Mode.LIVE, "main")
        is_credit = purpose in ("credit", "refund")
        debit, credit = (counter, purse) if is_credit else (purse, counter)
        partner_id = purse.partition(":")[0]
        self.accounts.setdefault(purse, (partner_id, "wallet", code, ""))
        self.accounts.setdefault(counter, ("platform", other, code, "main"))
        self.sums[debit][0] += amount
        self.sums[credit][1] += amount
        self.balances[purse] += amount if is_credit else -amount
        row = (
            "trf_" + new_body(),
            debit,
            credit,
            amount,
            code,
            "live",
            "posted",
            purpose,
            partner_id,
            order_id,
            None,
            None,
            None,
        )
        return (*row, self.balances[purse], at)
