"""What the ledger's tests are made of: a desk at which money moves, one call a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cardrail.kernel import FrozenClock, HoldId, Mode, Money, currency, new_id, new_order_id, to_micros
from cardrail.ledger import (
    TRANSFER_COLUMNS,
    AccountName,
    By,
    Movement,
    NewHold,
    Phase,
    Purpose,
    TransferPurpose,
    Wallet,
    add_to_accounts,
    credit,
    debit,
    debit_wallets,
    insert_transfers,
    load_wallets,
    place_holds,
    platform,
    post_hold,
    refund,
    reverse,
    set_credit_limit,
    verify_ledger,
    void_hold,
    wallet,
)
from cardrail.storage import AuditLog, Database, Finding, Tx

T = TypeVar("T")
PARTNER = "par_A"
NODE = "main"
LIVE = Mode.LIVE
WALLET = wallet(PARTNER, "EUR", LIVE)
SALES = platform(Purpose.SALES, "EUR", LIVE, NODE)


def eur(minor: int) -> Money:
    return Money(minor, currency("EUR"))


class Desk:
    """One partner's wallet in EUR and everything that can be done to it."""

    def __init__(self, db: Database, clock: FrozenClock | None = None) -> None:
        self.db = db
        self.clock = clock or FrozenClock()

    @property
    def by(self) -> By:
        return By(self.clock.now(), "cli", AuditLog(b"a" * 32, "cli"), NODE)

    def do(self, work: Callable[[Tx], T]) -> T:
        with self.db.transaction() as tx:
            return work(tx)

    def credit(self, minor: int, reference: str | None = None) -> Movement:
        return self.do(lambda tx: credit(tx, self.by, PARTNER, eur(minor), LIVE, reference=reference))

    def debit(self, minor: int, reference: str | None = None, *, allow_debt: bool = False) -> Movement:
        return self.do(lambda tx: debit(tx, self.by, PARTNER, eur(minor), LIVE, reference=reference, allow_debt=allow_debt))

    def limit(self, minor: int) -> Wallet:
        return self.do(lambda tx: set_credit_limit(tx, self.by, PARTNER, eur(minor), LIVE))

    def reverse(self, transfer_id: Any, *, allow_debt: bool = False) -> Movement:
        return self.do(lambda tx: reverse(tx, self.by, transfer_id, allow_debt=allow_debt))

    def sell(self, minor: int, order_id: str | None = None) -> str:
        """Charge an order as the order lane does."""
        order = order_id or new_order_id()
        self.do(lambda tx: self.sell_in(tx, minor, order))
        return order

    def sell_in(self, tx: Tx, minor: int, order: str) -> None:
        now = to_micros(self.clock.now())
        debit_wallets(tx, [(minor, 0, WALLET)])
        facts = {
            "id": f"trf_{order[4:]}",
            "debit": WALLET,
            "credit": SALES,
            "amount_minor": minor,
            "currency": "EUR",
            "mode": "live",
            "phase": Phase.POSTED.value,
            "purpose": TransferPurpose.SALE.value,
            "partner_id": PARTNER,
            "order_id": order,
            "created_at": now,
        }
        insert_transfers(tx, [tuple(facts.get(name) for name in TRANSFER_COLUMNS)])
        add_to_accounts(tx, [(SALES, "platform", "sales", "EUR", "live", NODE, 0, minor, now)])

    def hold(self, minor: int, *, hours: int = 72) -> HoldId:
        now = to_micros(self.clock.now())
        hold_id = HoldId(new_id("hld"))
        deadline = now + hours * 3_600_000_000
        one = NewHold(hold_id, WALLET, SALES, "EUR", LIVE, minor, PARTNER, new_order_id(), 1, deadline, now)
        self.do(lambda tx: place_holds(tx, [one]))
        return hold_id

    def post(self, hold_id: HoldId, minor: int, *, credit: AccountName | None = None) -> None:  # the ledger's word
        self.do(lambda tx: post_hold(tx, hold_id, minor, now=self.clock.now(), credit=credit))

    def void(self, hold_id: HoldId, minor: int | None = None) -> None:
        self.do(lambda tx: void_hold(tx, hold_id, minor, now=self.clock.now()))

    def refund(self, order: str, sale: int, fee: int = 0, tax: int = 0) -> None:
        self.do(
            lambda tx: refund(
                tx,
                partner_id=PARTNER,
                currency="EUR",
                mode=LIVE,
                node=NODE,
                order_id=order,
                now=self.clock.now(),
                sale_minor=sale,
                fee_minor=fee,
                tax_minor=tax,
            )
        )

    def wallet(self) -> Wallet | None:
        with self.db.read() as tx:
            row = tx.exec_driver_sql(
                "SELECT name, currency, debits_pending, debits_posted, credits_posted, credit_limit_minor, debt_minor"
                f" FROM accounts WHERE name = '{WALLET}'"
            ).first()
        return Wallet(*row) if row else None

    def figures(self) -> tuple[int, int, int]:
        """(balance, available, debt) of the wallet."""
        found = self.wallet()
        return (found.balance, found.available, found.debt_minor) if found else (0, 0, 0)

    def lock(self) -> Wallet:
        return self.do(lambda tx: load_wallets(tx, [WALLET])[WALLET])

    def findings(self) -> list[Finding]:
        with self.db.read() as tx:
            return verify_ledger(tx)

    def count(self, table: str) -> int:
        with self.db.read() as tx:
            return int(tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
