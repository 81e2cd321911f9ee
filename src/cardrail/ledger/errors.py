"""What the ledger refuses.

LedgerError
├── InsufficientFunds        a sale, hold or correction beyond what is available
├── WalletOverdrawn          the guard in the UPDATE: a fault of the caller, who decides under the wallet's lock
├── WalletNotFound
├── TransferNotFound
├── TransferReferenceUsed    the same reference with another amount
├── NotReversible            what belongs to an order, a hold or a lot, and reversals themselves
├── AlreadyReversed
├── CreditInUse              a lower credit limit than what is used of it
├── AmountNotPositive
├── AccountFull              sums beyond 64 bits
├── HoldNotFound
└── HoldExceeded             more posted and voided than was held
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class LedgerError(CardrailError):
    """The ledger refused it."""

    code = "ledger_error"


class InsufficientFunds(LedgerError):
    """The partner's available balance does not cover this amount."""

    code = "insufficient_funds"


class WalletOverdrawn(LedgerError):
    """A wallet does not cover what was to be taken from it; nothing was written."""

    code = "wallet_overdrawn"


class WalletNotFound(LedgerError):
    """The partner has no wallet in this currency and mode."""

    code = "wallet_not_found"


class TransferNotFound(LedgerError):
    """There is no transfer with this id."""

    code = "transfer_not_found"


class TransferReferenceUsed(LedgerError):
    """The reference belongs to an earlier transfer of another amount."""

    code = "transfer_reference_used"


class NotReversible(LedgerError):
    """Only credits and debits made by an operator are reversed; what belongs to an order is refunded or invalidated."""

    code = "not_reversible"


class AlreadyReversed(LedgerError):
    """The transfer was reversed before; a transfer is undone once."""

    code = "already_reversed"


class CreditInUse(LedgerError):
    """The credit limit cannot be lower than what the partner has already used of it."""

    code = "credit_in_use"


class AmountNotPositive(LedgerError):
    """The amount must be more than zero; a credit limit may be zero."""

    code = "amount_not_positive"


class AccountFull(LedgerError):
    """The account's sums would become too large to be stored."""

    code = "account_full"


class HoldNotFound(LedgerError):
    """There is no hold with this id."""

    code = "hold_not_found"


class HoldExceeded(LedgerError):
    """The hold has less left than what was to be posted or voided."""

    code = "hold_exceeded"
