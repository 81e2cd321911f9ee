"""Accounts, transfers and holds, and the rules that need no database.

An account row is the sum of the transfers that name it, and can be computed from them at any time. With ``hold_id`` set on every
transfer that takes, posts or voids a hold, and the sums running over the transfers that debit the account::

    debits_posted   =  sum(phase = posted)
    debits_pending  =  sum(phase = pending)  -  sum(phase = posted or void, hold_id is set)

and the same for credits: posted over the transfers that credit it, pending over those whose hold will credit it (a post may credit
another account than its hold: fees, tax). A wallet's balance is what was credited less what was debited; what it may
still spend is less what is held, more what it may owe::

    balance    =  credits_posted - debits_posted
    available  =  balance - debits_pending + credit_limit_minor
    debt_minor =  max(0, -available)

No sale or hold makes ``available`` negative. An approved correction may: what it takes beyond is the debt, and whatever raises
``available`` again (a credit, a refund, a void, a higher limit) repays it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from cardrail.kernel import HoldId, Mode, TransferId

AccountName = NewType("AccountName", str)
"""owner:purpose:currency:mode, with :node at the end for the platform's; an account is opened on first use."""

PLATFORM: Final = "platform"
"""The owner of the operator's own accounts."""

SUM_MAX: Final = 2**62
"""Where an account's sums stop: half of what 64 bits hold, because SQLite goes on in floating point beyond them."""


class Purpose(StrEnum):
    """What an account is for."""

    WALLET = "wallet"
    """A partner's prepaid balance: what we owe him."""
    SALES = "sales"
    """What codes were sold for."""
    FEES = "fees"
    """Fees on top of the price."""
    TAX = "tax"
    """Tax collected, owed to the state."""
    STOCK = "stock"
    """What the unsold codes cost us."""
    COST_OF_GOODS = "cost_of_goods"
    """What the sold codes cost us."""
    SUPPLIER = "supplier"
    """What a supplier holds of ours, or we owe him."""
    BANK = "bank"
    """Money that came from, or went to, outside."""
    FX_POSITION = "fx_position"
    """Where two currencies meet."""
    WRITE_OFFS = "write_offs"
    """What expired, blocked and lost codes cost us."""
    CLAIMS = "claims"
    """What suppliers charged and we demand back."""


class TransferPurpose(StrEnum):
    """Why a transfer was made."""

    SALE = "sale"
    """An order's price: wallet to sales."""
    FEE = "fee"
    """An order's fees: wallet to fees."""
    TAX = "tax"
    """An order's tax: wallet to tax."""
    COST_OF_SALE = "cost_of_sale"
    """What sold codes cost: cost of goods from stock; its reference is the lot."""
    PURCHASE = "purchase"
    """What codes bought on demand cost: cost of goods, or the FX position, from the supplier; its reference is the attempt."""
    EXCHANGE = "exchange"
    """A purchase's cost in the order's currency, at the day's rate: cost of goods from the FX position; its reference is the attempt."""
    REFUND = "refund"
    """Charge given back: sales, fees or tax to wallet."""
    CREDIT = "credit"
    """Money received: bank to wallet."""
    DEBIT = "debit"
    """An operator's correction or a payout: wallet to bank."""
    REVERSAL = "reversal"
    """A transfer undone: its sides swapped."""
    STOCK_IN = "stock_in"
    """Codes imported: stock from bank or supplier; its reference is the lot."""
    STOCK_RETURN = "stock_return"
    """An import undone, or codes back in stock from an invalidated order; its reference is the lot."""
    WRITE_OFF = "write_off"
    """Codes expired, blocked or lost: write-offs from stock; its reference is the lot."""
    RECONCILIATION = "reconciliation"
    """A difference to a supplier's statement, resolved: between supplier and write-offs, claims or cost of goods; its reference is the
    difference."""
    HOLD = "hold"
    """Money set aside for an order item (pending)."""
    VOID = "void"
    """What is left of a hold, given back."""


class Phase(StrEnum):
    """How far a transfer's money has moved."""

    PENDING = "pending"
    """Set aside by a hold."""
    POSTED = "posted"
    """Moved."""
    VOID = "void"
    """No longer set aside."""


REVERSIBLE: Final = frozenset({TransferPurpose.CREDIT, TransferPurpose.DEBIT})
"""What an operator made by hand, and so may undo by hand."""


@dataclass(slots=True)
class Wallet:
    """A partner's wallet as its row says; locked until the end of the transaction that loaded it."""

    name: AccountName
    currency: str
    debits_pending: int
    debits_posted: int
    credits_posted: int
    credit_limit_minor: int
    debt_minor: int

    @property
    def balance(self) -> int:
        """What was credited less what was debited; held money is still in it."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """What is neither spent nor held, with the credit limit; negative while there is debt."""
        return self.credits_posted - self.debits_posted - self.debits_pending + self.credit_limit_minor

    @property
    def spendable(self) -> int:
        """What a sale or a hold may take: nothing while there is debt."""
        return 0 if self.debt_minor else max(0, self.available)


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What an account's name says."""

    owner: str
    purpose: Purpose
    currency: str
    mode: Mode
    node: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One immutable debit-and-credit."""

    id: TransferId
    debit: AccountName
    credit: AccountName
    amount_minor: int
    currency: str
    mode: Mode
    phase: Phase
    purpose: TransferPurpose
    partner_id: str | None
    """Whose wallet it touches."""
    order_id: str | None
    hold_id: str | None
    """The hold that it takes, posts or voids."""
    reverses: str | None
    reference: str | None
    wallet_after_minor: int | None
    """The wallet's posted balance after it."""
    created_at: datetime

    @property
    def wallet_change_minor(self) -> int:
        """What it adds to the partner's posted balance; negative where it takes, 0 where it only holds or voids."""
        if self.phase is not Phase.POSTED or self.partner_id is None:
            return 0
        is_credit = self.credit == wallet(self.partner_id, self.currency, self.mode)
        return self.amount_minor if is_credit else -self.amount_minor


@dataclass(frozen=True, slots=True)
class NewHold:
    """Money to be set aside for one order item."""

    id: HoldId
    account: AccountName
    """The wallet."""
    credit: AccountName
    """The account that its posts will credit."""
    currency: str
    mode: Mode
    amount_minor: int
    partner_id: str
    order_id: str
    line: int
    deadline_at: int
    """Microseconds; past it somebody is told, and nothing else happens."""
    created_at: int
    wallet_after_minor: int | None = None
    """The wallet's posted balance, which a hold does not change; None if the caller does not know it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside, and what became of it so far."""

    id: HoldId
    account: AccountName
    credit: AccountName
    currency: str
    mode: Mode
    amount_minor: int
    posted_minor: int
    voided_minor: int
    partner_id: str
    order_id: str
    line: int
    deadline_at: datetime
    alerted_at: datetime | None
    created_at: datetime

    @property
    def rest_minor(self) -> int:
        """What is still set aside."""
        return self.amount_minor - self.posted_minor - self.voided_minor


@dataclass(frozen=True, slots=True)
class Movement:
    """What an operator's credit, debit or reversal came to."""

    transfer: Transfer
    is_new: bool
    """False where the reference was known: then this is the first transfer, and nothing was written."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One wallet of a partner, now or at a moment in the past (which knows no credit limit and no debt: both are 0 then)."""

    currency: str
    mode: Mode
    balance_minor: int
    held_minor: int
    credit_limit_minor: int
    debt_minor: int

    @property
    def available_minor(self) -> int:
        """What may be spent; negative while there is debt."""
        return self.balance_minor - self.held_minor + self.credit_limit_minor


@dataclass(frozen=True, slots=True)
class PlatformBalance:
    """One account of the operator, summed over all writing nodes."""

    purpose: Purpose
    owner: str
    currency: str
    mode: Mode
    debits_minor: int
    credits_minor: int

    @property
    def balance_minor(self) -> int:
        """Debits less credits: positive for stock, cost of goods and bank; negative for sales, fees, tax."""
        return self.debits_minor - self.credits_minor


def wallet(partner_id: str, currency: str, mode: Mode) -> AccountName:
    """The name of a partner's wallet."""
    return AccountName(f"{partner_id}:wallet:{currency}:{mode.value}")


def platform(purpose: Purpose, currency: str, mode: Mode, node: str) -> AccountName:
    """The name of one node's part of a platform account; its balance is the sum over the nodes."""
    return AccountName(f"{PLATFORM}:{purpose.value}:{currency}:{mode.value}:{node}")


def supplier_account(supplier: str, currency: str, mode: Mode) -> AccountName:
    """The name of the account that we keep for a supplier."""
    return AccountName(f"{supplier}:supplier:{currency}:{mode.value}")


def account_parts(name: AccountName) -> AccountParts:
    """What a name says. A node's name may hold colons itself; an owner's may not."""
    owner, purpose, currency, mode, *node = name.split(":", 4)
    return AccountParts(owner, Purpose(purpose), currency, Mode(mode), node[0] if node else "")


def debt_after(wallet: Wallet, amount_minor: int) -> int:
    """The debt that an approved debit of this amount leaves."""
    return max(0, amount_minor - wallet.available)
