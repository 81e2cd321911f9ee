"""What orders refuse.

OrderError
├── OrderNotFound
├── InvalidOrder            TooManyUnits, AmountTooLarge, WrongCurrency, NotATopup
├── OutOfStock, PriceChanged
├── IdempotencyConflict     ReferenceUsed
├── InvalidTransition       NotCancellable, NotPayable
├── InvalidationRefused
├── RefundTooLarge
├── UnitRefunded
├── ReplacementNotFound
├── InvalidReplacement     CodePositionNotFound
├── ReplacementRefused      ReplacementOpen
├── NothingToReplaceWith
├── ImportedWhileFrozen
├── SupplierBeingAsked, SuppliersBusy
└── CredentialChanged
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class OrderError(CardrailError):
    """The order cannot be served."""

    code = "order_error"


class OrderNotFound(OrderError):
    """There is no such order."""

    code = "order_not_found"


class InvalidOrder(OrderError):
    """The order asks for something that cannot be sold."""

    code = "invalid_order"


class TooManyUnits(InvalidOrder):
    """The order asks for more units than one order may have."""

    code = "too_many_units"


class AmountTooLarge(InvalidOrder):
    """The order's total is more than an account can hold; nothing was charged."""

    code = "amount_too_large"


class WrongCurrency(InvalidOrder):
    """The amount is in another currency than the thing it is about."""

    code = "wrong_currency"


class NotATopup(InvalidOrder):
    """The product is no top-up: it gives a code, and there is no account to check."""

    code = "not_a_topup"


class OutOfStock(OrderError):
    """There is not enough stock; nothing was charged."""

    code = "out_of_stock"
    retryable = True


class PriceChanged(OrderError):
    """The price is above what the order allows; nothing was charged."""

    code = "price_changed"


class IdempotencyConflict(OrderError):
    """This idempotency key or reference belongs to an order with another content."""

    code = "idempotency_conflict"


class ReferenceUsed(OrderError):
    """An order with this reference exists already, placed under another idempotency key."""

    code = "reference_used"


class InvalidTransition(OrderError):
    """The order's state does not allow this."""

    code = "invalid_transition"


class NotCancellable(InvalidTransition):
    """Only an order that has not started can be cancelled."""

    code = "not_cancellable"


class NotPayable(InvalidTransition):
    """Only an unpaid order that has not expired can be paid."""

    code = "not_payable"


class InvalidationRefused(OrderError):
    """The order can no longer be invalidated: its window is over, or its codes were revealed."""

    code = "invalidation_refused"


class RefundTooLarge(OrderError):
    """More than the order's charge cannot be refunded."""

    code = "refund_too_large"


class UnitRefunded(OrderError):
    """This unit of the order was paid back already."""

    code = "unit_refunded"


class ReplacementNotFound(OrderError):
    """There is no such replacement."""

    code = "replacement_not_found"


class InvalidReplacement(OrderError):
    """The claim is not of the form that a replacement takes."""

    code = "invalid_replacement"


class CodePositionNotFound(InvalidReplacement):
    """The order has no code in this position."""

    code = "code_position_not_found"


class ReplacementRefused(OrderError):
    """This code cannot be claimed: `because` says why."""

    code = "replacement_refused"


class ReplacementOpen(ReplacementRefused):
    """A claim for this code is open already; wait for what comes of it."""

    code = "replacement_open"


class NothingToReplaceWith(OrderError):
    """There is no code in stock to replace this one with."""

    code = "nothing_to_replace_with"


class ImportedWhileFrozen(OrderError):
    """Codes were imported since the restore, and the journal knows sold codes of files that this database does not have: the same ones?

    Take those imports back (`cardrail codes undo`), release, and import the files without the sold codes, which a dry run names.
    """

    code = "imported_while_frozen"


class SuppliersBusy(OrderError):
    """Too many orders wait for suppliers already; nothing was taken. Ask again later."""

    code = "suppliers_busy"
    retryable = True


class SupplierBeingAsked(OrderError):
    """A supplier is being asked for this order right now, and its answer may end the matter; decide again after that."""

    code = "supplier_being_asked"
    retryable = True


class CredentialChanged(OrderError):
    """The credential changed while the order was waiting; authenticate again."""

    code = "credential_changed"
    retryable = True
