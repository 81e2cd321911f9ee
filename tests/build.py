"""A shop in a box for tests: a catalog, a partner with money, codes in stock. Only what the test cares about is named in the test."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cardrail.access import Limits, create_partner
from cardrail.catalog import CatalogCache, import_catalog
from cardrail.kernel import Clock, FrozenClock, Mode, Money, OrderId, PartnerId, PlainCode, Reference, new_order_id
from cardrail.ledger import By, balances, credit
from cardrail.orders import (
    Books,
    Buyer,
    InvalidationPolicy,
    ItemRequest,
    Order,
    OrderRequest,
    Outcome,
    PayOrder,
    Placed,
    PlaceOrder,
    Refused,
    Repeated,
    Shop,
    StockBooks,
    open_codes,
    place_order_command,
    place_orders,
    reveal_order,
)
from cardrail.storage import AuditLog, Database
from cardrail.vault import (
    CodeOpener,
    ImportOptions,
    ImportTarget,
    Keyring,
    PurchaseCost,
    check_keys,
    create_key_file,
    import_codes,
    stock_counts,
)

HEADER = b"product_code,name,brand,category,kind,country,currency,"
HEADER += b"denomination_type,face_values,min_face_value,max_face_value,discount_percent\n"
SHEET = (
    HEADER
    + b"""\
TEA,Tea voucher,Tea house,Food,code,IN,INR,fixed,100,,,5
SHOES,Shoe voucher,Shoe shop,Fashion,code,IN,INR,range,,100,1000,3.5
BOOKS,Book voucher,Book shop,Books,code,IN,INR,fixed,33.33,,,3.5
"""
)

NODE = "main"
_lots = itertools.count()
"""So that no code is made up twice."""
POLICY = InvalidationPolicy(window=timedelta(hours=24), allow_revealed=False)


@dataclass
class World:
    """One installation in a test: what bootstrap builds, and short words for what tests do with it."""

    db: Database
    keys: Keyring
    clock: Clock = field(default_factory=FrozenClock)

    def __post_init__(self) -> None:
        with self.db.transaction() as tx:
            check_keys(tx, self.keys, self.clock)
        self.audit = AuditLog(b"a" * 32, "main/tasks")
        self.catalog = CatalogCache(self.db, self.clock)
        books = Books(NODE, AuditLog(b"a" * 32, "main/lane"), self.keys)
        self.shop = Shop(self.db, self.clock, self.catalog, books)
        self.opener = CodeOpener(self.keys)
        import_catalog(self.db, self.clock, self.audit, SHEET, actor="test")
        self.partner = self.a_partner("INR", "1000000.00")

    @property
    def frozen(self) -> FrozenClock:
        """The clock, to be moved; only where it stands still."""
        assert isinstance(self.clock, FrozenClock)
        return self.clock

    def a_partner(self, currency: str, balance: str | None = None, *, limits: Limits | None = None) -> Buyer:
        """A partner as the credential would name it, with money in both modes."""
        made = create_partner(self.db, self.clock, self.audit, name="Partner", currency=currency, limits=limits, actor="test")
        buyer = Buyer(made.id, Mode.LIVE, currency, "key_test", limits=limits)
        if balance is not None:
            self.credit(made.id, Money.parse(balance, currency), Mode.LIVE)
            self.credit(made.id, Money.parse(balance, currency), Mode.TEST)
        return buyer

    def credit(self, partner_id: PartnerId, amount: Money, mode: Mode) -> None:
        with self.db.transaction() as tx:
            credit(tx, By(self.clock.now(), "test", self.audit, NODE), partner_id, amount, mode)

    def stock(
        self,
        sku: str,
        codes: list[str] | int,
        *,
        face: str | None = None,
        cost: str | None = None,
        mode: Mode = Mode.LIVE,
        **options: Any,
    ) -> list[str]:
        """Put codes on sale (made up if only a number is given) and return them."""
        lot = next(_lots)
        texts = [f"{sku}-{n:06d}-{lot:04d}" for n in range(codes)] if isinstance(codes, int) else codes
        offer = self.catalog.current().offer(sku)
        assert offer is not None
        face_minor = self.catalog.current().face_of(offer, Money.parse(face, offer.currency).minor if face else None)
        paid = PurchaseCost("INR", each_minor=Money.parse(cost, "INR").minor) if cost else None
        import_codes(
            self.db,
            self.clock,
            self.keys,
            self.audit,
            io.BytesIO("\n".join(texts).encode()),
            ImportTarget(offer.brand_id, offer.denomination_id, face_minor),
            ImportOptions(mode=mode, cost=paid, **options),
            on_open=StockBooks(self.clock, NODE).opened,
        )
        return texts

    def command(self, *items: ItemRequest, buyer: Buyer | None = None, **facts: Any) -> PlaceOrder:
        return place_order_command(new_order_id(), buyer or self.partner, items, **facts)

    def place(self, *commands: OrderRequest) -> list[Outcome]:
        """One batch."""
        return place_orders(self.shop, commands)

    def order(self, sku: str = "TEA", quantity: int = 1, *, face: str | None = None, **facts: Any) -> Order:
        """An order that must be placed, with its sealed codes."""
        (outcome,) = self.place(self.command(item(sku, quantity, face), **facts))
        assert isinstance(outcome, Placed), outcome
        return outcome.order

    def refusal(self, *items: ItemRequest, **facts: Any) -> Exception:
        """Why an order was refused."""
        (outcome,) = self.place(self.command(*items, **facts))
        assert isinstance(outcome, Refused), outcome
        return outcome.error

    def pay(self, order_id: OrderId, buyer: Buyer | None = None) -> Outcome:
        return self.place(PayOrder(order_id, buyer or self.partner))[0]

    def codes(self, order: Order) -> list[str]:
        """The plain texts of an order's codes."""
        return [str(one.code) for one in self.plain(order)]

    def plain(self, order: Order) -> list[PlainCode]:
        return [code for one in order.items for code, _ in open_codes(self.opener, one)]

    def reveal(self, order_id: OrderId, buyer: Buyer | None = None) -> Order:
        return reveal_order(self.db, self.clock, self.audit, buyer or self.partner, order_id)

    def balance(self, buyer: Buyer | None = None) -> str:
        """What the partner may still spend."""
        who = buyer or self.partner
        with self.db.read() as tx:
            found = balances(tx, who.partner_id, who.mode)
        (one,) = [one for one in found if one.currency == who.currency]
        return Money.parse("0", who.currency).__class__(one.available_minor, Money.parse("0", who.currency).currency).amount

    def in_stock(self, sku: str) -> int:
        offer = self.catalog.current().offer(sku)
        assert offer is not None
        with self.db.read() as tx:
            return sum(stock_counts(tx, Mode.LIVE, [offer.denomination_id]).values())


def item(sku: str = "TEA", quantity: int = 1, face: str | None = None, **fields: str) -> ItemRequest:
    return ItemRequest(sku, quantity, Money.parse(face, "INR") if face else None, fields or None)


def a_world(db: Database, folder: Path) -> World:
    """A shop with a small catalog, a key file, and a partner who has INR 1,000,000.00."""
    return World(db, create_key_file(folder / "master.keys"))


def the_order(outcome: Outcome) -> Order:
    assert isinstance(outcome, Placed), outcome
    return outcome.order


def the_refusal(outcome: Outcome) -> Exception:
    assert isinstance(outcome, Refused), outcome
    return outcome.error


def the_repeated(outcome: Outcome) -> OrderId:
    assert isinstance(outcome, Repeated), outcome
    return outcome.order_id


__all__ = ["NODE", "POLICY", "Reference", "World", "a_world", "item", "the_order", "the_refusal", "the_repeated"]
