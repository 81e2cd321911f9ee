"""What one transaction charges to holds and books between accounts, for any number of orders, in a fixed number of statements.

It is put together in memory and written at the end: the wallets are locked by the caller from the beginning, which keeps the holds still,
and the other accounts are locked last, all of them in the order of their names, so that two such transactions cannot lock each other out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from cardrail.kernel import HoldId, Mode, to_micros
from cardrail.ledger import store
from cardrail.ledger.book import booking
from cardrail.ledger.errors import AmountNotPositive, HoldExceeded, HoldNotFound
from cardrail.ledger.hold import ending
from cardrail.ledger.model import AccountName, Hold, Phase, Purpose, Transfer, TransferPurpose, Wallet
from cardrail.storage import Tx


@dataclass(slots=True)
class Postings:
    """Charges and bookings that are not written yet."""

    tx: Tx
    _wallets: Mapping[AccountName, Wallet]
    """As they were when they were locked."""
    _holds: dict[HoldId, Hold]
    _transfers: list[Transfer] = field(default_factory=list)
    _taken: dict[AccountName, int] = field(default_factory=dict)
    """By wallet, what was held and is spent."""
    _moved: dict[HoldId, int] = field(default_factory=dict)
    _promised: dict[AccountName, list[int]] = field(default_factory=dict)
    """By account: what is no longer pending, and how much of that it got."""
    _added: dict[AccountName, list[int]] = field(default_factory=dict)
    """By account: debits and credits."""

    @classmethod
    def of(cls, tx: Tx, wallets: Mapping[AccountName, Wallet], hold_ids: Iterable[str]) -> Postings:
        """For these holds, whose wallets the caller has locked and loaded in this transaction."""
        return cls(tx, wallets, {one.id: one for one in store.load_holds(tx, hold_ids)})

    def post_hold(
        self,
        hold_id: HoldId,
        amount_minor: int,
        *,
        now: datetime,
        purpose: TransferPurpose = TransferPurpose.SALE,
        credit: AccountName | None = None,
        reference: str | None = None,
    ) -> None:
        """Like ``ledger.post_hold``. Raises HoldNotFound, HoldExceeded, AmountNotPositive."""
        hold = self._holds.get(hold_id)
        if hold is None or hold.account not in self._wallets:
            raise HoldNotFound(hold_id=hold_id)
        if amount_minor <= 0:
            raise AmountNotPositive(amount_minor=amount_minor)
        if amount_minor > hold.rest_minor:
            raise HoldExceeded(hold_id=hold_id, amount_minor=amount_minor, rest_minor=hold.rest_minor)
        self._holds[hold_id] = replace(hold, posted_minor=hold.posted_minor + amount_minor)
        self._moved[hold_id] = self._moved.get(hold_id, 0) + amount_minor
        taken = self._taken[hold.account] = self._taken.get(hold.account, 0) + amount_minor
        earns = credit or hold.credit
        promised = self._promised.setdefault(hold.credit, [0, 0])
        promised[0] += amount_minor
        if earns == hold.credit:
            promised[1] += amount_minor
        else:
            self._add(earns, 0, amount_minor)
        balance = self._wallets[hold.account].balance - taken
        self._transfers.append(
            ending(hold, Phase.POSTED, amount_minor, now, balance=balance, purpose=purpose, credit=earns, reference=reference)
        )

    def book(
        self,
        *,
        debit: Purpose | AccountName,
        credit: Purpose | AccountName,
        amount_minor: int,
        currency: str,
        mode: Mode,
        node: str,
        purpose: TransferPurpose,
        now: datetime,
        reference: str | None = None,
        order_id: str | None = None,
    ) -> None:
        """Like ``ledger.book``. Raises AmountNotPositive."""
        one = booking(
            debit,
            credit,
            amount_minor,
            currency,
            mode,
            node=node,
            purpose=purpose,
            now=now,
            reference=reference,
            order_id=order_id,
        )
        self._transfers.append(one)
        self._add(one.debit, amount_minor, 0)
        self._add(one.credit, 0, amount_minor)

    def write(self) -> None:
        """Write all of it; afterwards there is nothing to write. Raises HoldExceeded if a hold was moved by somebody without its wallet."""
        if not self._transfers:
            return
        tx, now = self.tx, to_micros(max(one.created_at for one in self._transfers))
        store.move_holds(tx, self._moved)
        store.post_from_wallets(tx, self._taken)
        store.insert_transfers(tx, [store.transfer_row(one) for one in self._transfers])
        store.lock_accounts(tx, {*self._promised, *self._added})
        store.settle_promises(tx, [(name, amount, kept) for name, (amount, kept) in sorted(self._promised.items())])
        store.add_to_accounts(
            tx, store.account_rows([(name, debits, credits_) for name, (debits, credits_) in self._added.items()], now)
        )
        for pending in (self._transfers, self._moved, self._taken, self._promised, self._added):
            pending.clear()

    def _add(self, name: AccountName, debits: int, credits_: int) -> None:
        sums = self._added.setdefault(name, [0, 0])
        sums[0] += debits
        sums[1] += credits_
