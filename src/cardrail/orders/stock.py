"""Stock bought and given back, in the books: the vault's imports meet the ledger here, one line above both."""

from __future__ import annotations

from collections.abc import Callable

from cardrail.kernel import from_micros
from cardrail.ledger import Purpose, TransferPurpose, book, supplier_account
from cardrail.storage import Tx
from cardrail.vault import Lot


def stock_in(node: str) -> Callable[[Tx, Lot], None]:
    """For ``vault.import_codes``: what the codes cost becomes stock, owed to their supplier, or paid from the bank if none is named."""

    def on_open(tx: Tx, lot: Lot) -> None:
        if lot.cost_minor and lot.cost_currency:
            paid_by = supplier_account(lot.supplier, lot.cost_currency, lot.mode) if lot.supplier else Purpose.BANK
            book(
                tx,
                debit=Purpose.STOCK,
                credit=paid_by,
                amount_minor=lot.cost_minor,
                currency=lot.cost_currency,
                mode=lot.mode,
                node=node,
                purpose=TransferPurpose.STOCK_IN,
                now=from_micros(lot.created_at),
                reference=lot.id,
            )

    return on_open
