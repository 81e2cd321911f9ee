"""Reading balances and transfers."""

from __future__ import annotations

from datetime import datetime

from cardrail.kernel import Mode, Page, TransferId, to_micros
from cardrail.ledger import store
from cardrail.ledger.errors import TransferNotFound
from cardrail.ledger.model import Balance, PlatformBalance, Transfer
from cardrail.storage import Tx


def balances(tx: Tx, partner_id: str, mode: Mode | None = None, *, at: datetime | None = None) -> list[Balance]:
    """A partner's wallets, by currency: now, or as the transfers up to and including the moment ``at`` make them."""
    if at is None:
        return store.load_balances(tx, partner_id, mode)
    return store.load_balances_at(tx, partner_id, mode, to_micros(at))


def platform_balances(tx: Tx) -> list[PlatformBalance]:
    """The operator's and the suppliers' accounts, each summed over the nodes that write it."""
    return store.load_platform_balances(tx)


def get_transfer(tx: Tx, transfer_id: TransferId, *, partner_id: str | None = None, mode: Mode | None = None) -> Transfer:
    """One transfer; of this partner and mode, where given. Raises TransferNotFound."""
    found = store.load_transfer(tx, transfer_id)
    if found is None or partner_id not in (None, found.partner_id) or mode not in (None, found.mode):
        raise TransferNotFound(transfer_id=transfer_id)
    return found


def list_transfers(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    *,
    currency: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[Transfer]:
    """A partner's transfers, newest first, from ``since`` to before ``until``; ``after`` is where the page before ended."""
    found = store.load_page(
        tx,
        partner_id,
        mode,
        currency=currency,
        since=to_micros(since) if since else None,
        until=to_micros(until) if until else None,
        before=after,
        limit=limit + 1,
    )
    page = found[:limit]
    return Page(page, page[-1].id if len(found) > limit else None)
