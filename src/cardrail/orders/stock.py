"""What stock does to the books: the vault knows what codes cost, the ledger what accounts are; they meet here, one line above both."""

from __future__ import annotations

from dataclasses import dataclass

from cardrail.kernel import Clock
from cardrail.ledger import AccountName, Purpose, TransferPurpose, book, supplier_account
from cardrail.storage import Tx
from cardrail.vault import Lot

Side = Purpose | AccountName


@dataclass(frozen=True, slots=True)
class StockBooks:
    """Books imports, imports taken back, codes blocked and unblocked, each in the transaction of what it books."""

    clock: Clock
    node: str

    def opened(self, tx: Tx, lot: Lot) -> None:
        """Codes came in: stock, owed to their supplier, or paid from the bank where none is named."""
        self._book(tx, lot, lot.cost_minor, Purpose.STOCK, _seller(lot), TransferPurpose.STOCK_IN)

    def undone(self, tx: Tx, lot: Lot) -> None:
        """An import was taken back."""
        self._book(tx, lot, lot.cost_minor, _seller(lot), Purpose.STOCK, TransferPurpose.STOCK_RETURN)

    def blocked(self, tx: Tx, lot: Lot, cost_minor: int) -> None:
        """A code was taken off sale."""
        self._book(tx, lot, cost_minor, Purpose.WRITE_OFFS, Purpose.STOCK, TransferPurpose.WRITE_OFF)

    def unblocked(self, tx: Tx, lot: Lot, cost_minor: int) -> None:
        """A blocked code is on sale again."""
        self._book(tx, lot, cost_minor, Purpose.STOCK, Purpose.WRITE_OFFS, TransferPurpose.STOCK_RETURN)

    def _book(self, tx: Tx, lot: Lot, cost_minor: int, debit: Side, credit: Side, purpose: TransferPurpose) -> None:
        if not cost_minor or lot.cost_currency is None:
            return
        book(
            tx,
            debit=debit,
            credit=credit,
            amount_minor=cost_minor,
            currency=lot.cost_currency,
            mode=lot.mode,
            node=self.node,
            purpose=purpose,
            now=self.clock.now(),
            reference=lot.id,
        )


def _seller(lot: Lot) -> Side:
    if lot.supplier is None or lot.cost_currency is None:
        return Purpose.BANK
    return supplier_account(lot.supplier, lot.cost_currency, lot.mode)
