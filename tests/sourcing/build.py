"""A shop that buys on demand: suppliers in memory, and short words for what the tests do with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cardrail.access import SecretSealer
from cardrail.catalog import import_catalog
from cardrail.kernel import Mode, Money, OrderId, currency, to_micros
from cardrail.ledger import PlatformBalance, platform_balances
from cardrail.orders import Buying, Order, OrderState, Rest, all_checks, get_order, procure_order
from cardrail.sourcing import (
    SUPPLY_VERSION,
    Attempt,
    Capabilities,
    Connectors,
    NewSupplier,
    Procurement,
    Route,
    Supplier,
    SupplierProduct,
    create_supplier,
    load_attempts,
    load_health,
    load_procurements,
    put_mapping,
    put_product,
    put_route,
    save_health,
)
from cardrail.storage import Database, Finding, bump_version
from cardrail.vault import create_key_file
from tests.build import NODE, World
from tests.sourcing.fake import QUICK, ScriptedSupplier

SHEET = b"""product_code,name,brand,category,kind,country,currency,denomination_type,face_values,discount_percent,sourcing
CARD,Game card,Game house,Games,code,IN,INR,fixed,100,5,on_demand
MIX,Music card,Music house,Music,code,IN,INR,fixed,100,5,hybrid
"""


@dataclass
class Supplied(World):
    """A world with suppliers."""

    connectors: Connectors = field(default_factory=lambda: Connectors(SecretSealer(b"s" * 32)))
    fakes: dict[str, ScriptedSupplier] = field(default_factory=dict)
    suppliers: dict[str, Supplier] = field(default_factory=dict)

    def __post_init__(self) -> None:
        World.__post_init__(self)
        import_catalog(self.db, self.clock, self.audit, SHEET, actor="test")
        self.buying = Buying(self.db, self.clock, self.catalog, self.shop.books, self.connectors)

    def supplier(
        self,
        name: str = "A",
        *script: str,
        sku: str = "CARD",
        cost: str = "80.00",
        stock: int | None = None,
        abilities: Capabilities = QUICK,
        code: str = "INR",
        **facts: Any,
    ) -> ScriptedSupplier:
        """A supplier that sells ``sku``, and does what the script says."""
        unit = currency(code)
        fake = ScriptedSupplier(name, abilities, Money.parse(cost, unit), stock_left=stock)
        fake.script.extend(script)
        new = NewSupplier(name, "simulated", Mode.LIVE, code, {"pretend": True}, **facts)
        row = create_supplier(self.db, self.clock, self.audit, SecretSealer(b"s" * 32), new, {}, actor="test")
        self.connectors.put(row, fake)
        self.fakes[name], self.suppliers[name] = fake, row
        self.sells(name, sku, stock=stock)
        return fake

    def sells(self, name: str, sku: str, *, stock: int | None = None) -> None:
        """The supplier sells this sku too, under a name of its own."""
        offer = self.catalog.current().offer(sku)
        assert offer is not None
        row, fake = self.suppliers[name], self.fakes[name]
        product = SupplierProduct(
            f"{name}-{sku}", f"{sku} of {name}", "INR", face_minor=offer.face_minor, cost=fake.unit_cost, stock=stock
        )
        now = to_micros(self.clock.now())
        with self.db.transaction() as tx:
            put_product(tx, row.id, product, row.currency, now)
            put_mapping(tx, offer.denomination_id, row.id, product.sku, is_enabled=True, mapped_by="test", at=now)
            bump_version(tx, SUPPLY_VERSION)

    def route(self, policy: str, *, supplier: str | None = None, floor_bps: int = 0, key: str = "default") -> None:
        pinned = self.suppliers[supplier].id if supplier else None
        with self.db.transaction() as tx:
            put_route(tx, key, Route(policy, pinned, floor_bps), to_micros(self.clock.now()))

    def visit(self, order: Order | OrderId) -> Rest:
        """What a worker does for one order, once."""
        return procure_order(self.buying, order if isinstance(order, str) else order.id)

    def finish(self, order: Order, *, visits: int = 60) -> Order:
        """Visit until nothing is open, going on in time as the visits say."""
        for _ in range(visits):
            rest = self.visit(order)
            if rest.until is None:
                break
            self.frozen.advance(microseconds=max(0, rest.until - to_micros(self.clock.now())))
        return self.stands(order)

    def bought(self, sku: str = "CARD", quantity: int = 1, **facts: Any) -> Order:
        """An order, placed and finished."""
        return self.finish(self.order(sku, quantity, **facts))

    def stands(self, order: Order) -> Order:
        return get_order(self.db, self.owner(order), order.id)

    def owner(self, order: Order) -> Any:
        return replace(self.partner, mode=order.mode)

    def attempts(self, order: Order) -> list[Attempt]:
        with self.db.read() as tx:
            return load_attempts(tx, order.id)

    def procurements(self, order: Order) -> list[Procurement]:
        with self.db.read() as tx:
            return load_procurements(tx, order.id)

    def trace(self, order: Order) -> list[str]:
        return [sentence for one in self.procurements(order) for _, sentence in one.trace]

    def health(self, name: str = "A", **changes: Any) -> Any:
        with self.db.transaction() as tx:
            known = load_health(tx, self.suppliers[name].id)
            if changes:
                known = replace(known, **changes)
                save_health(tx, known)
            return known

    def shown(self, order: Order) -> list[str]:
        """The codes that the partner gets."""
        return self.codes(self.reveal(order.id, self.owner(order)))

    def platform(self) -> dict[tuple[str, str], int]:
        """(purpose, currency) → balance of the operator's accounts."""
        with self.db.read() as tx:
            return {(one.purpose.value, one.currency): one.balance_minor for one in platform_balances(tx)}

    def owed(self, code: str = "INR") -> int:
        """What all suppliers together have charged, by our books."""
        with self.db.read() as tx:
            found = platform_balances(tx)
        return -sum(one.balance_minor for one in found if (one.purpose.value, one.currency) == ("supplier", code))

    def findings(self) -> list[Finding]:
        with self.db.read() as tx:
            return [one for check in all_checks(self.audit) for one in check.run(tx)]


def supplied(db: Database, folder: Path) -> Supplied:
    """A shop with on-demand products, a partner who has INR 1,000,000.00, and no suppliers yet."""
    return Supplied(db, create_key_file(folder / "master.keys"))


def states(order: Order) -> tuple[str, list[str]]:
    return order.state.value, [one.state.value for one in order.items]


def of(attempts: Sequence[Attempt]) -> list[tuple[str, int, int]]:
    return [(one.state.value, one.quantity, one.delivered) for one in attempts]


__all__ = ["NODE", "OrderState", "PlatformBalance", "Supplied", "of", "states", "supplied"]
