"""Holds: money set aside for one order item. It ends by posts and voids, and with its item; a deadline alerts, it frees nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from cardrail.kernel import HoldId, TransferId, from_micros, new_event_id, new_transfer_id, to_micros
from cardrail.ledger import store
from cardrail.ledger.errors import AmountNotPositive, HoldExceeded, HoldNotFound
from cardrail.ledger.model import AccountName, Hold, NewHold, Phase, Transfer, TransferPurpose
from cardrail.storage import Tx, insert_events

ALERTS_MAX: Final = 500
"""Holds that one look for overdue ones tells of."""


def place_holds(tx: Tx, rows: Sequence[NewHold]) -> None:
    """Set money aside for each of ``rows``, four statements for any number of them.

    Raises WalletOverdrawn if a wallet does not cover its holds: then the transaction must not commit.
    """
    if not rows:
        return
    taken: dict[AccountName, int] = defaultdict(int)
    promised: dict[AccountName, int] = defaultdict(int)
    for one in rows:
        taken[one.account] += one.amount_minor
        promised[one.credit] += one.amount_minor
    store.debit_wallets(tx, [(0, amount, name) for name, amount in sorted(taken.items())])
    store.insert_holds(tx, rows)
    store.insert_transfers(tx, [store.transfer_row(_taking(one)) for one in rows])
    store.promise(tx, [(name, amount, rows[0].created_at) for name, amount in promised.items()])


def post_hold(
    tx: Tx,
    hold_id: HoldId,
    amount_minor: int,
    *,
    now: datetime,
    purpose: TransferPurpose = TransferPurpose.SALE,
    credit: AccountName | None = None,
    reference: str | None = None,
) -> Transfer:
    """Charge part of a hold, or all that is left of it; the rest stays set aside for the next post.

    ``credit`` is the account that earns it, where that is not the hold's own (fees, tax). Raises HoldNotFound, HoldExceeded.
    """
    hold = _moved(tx, hold_id, amount_minor, Phase.POSTED)
    balance = store.post_from_wallet(tx, hold.account, amount_minor)
    earns = credit or hold.credit
    transfer = ending(hold, Phase.POSTED, amount_minor, now, balance=balance, purpose=purpose, credit=earns, reference=reference)
    store.insert_transfers(tx, [store.transfer_row(transfer)])
    store.settle_promise(tx, hold.credit, amount_minor, kept=amount_minor if earns == hold.credit else 0)
    if earns != hold.credit:
        store.add_to_account(tx, earns, credits=amount_minor, now=to_micros(now))
    return transfer


def void_hold(tx: Tx, hold_id: HoldId, amount_minor: int | None = None, *, now: datetime) -> TransferId | None:
    """Give back part of a hold, or by default all that is left of it (None if nothing is). Raises HoldNotFound, HoldExceeded."""
    if amount_minor is None:
        amount_minor = _locked(tx, hold_id).rest_minor
        if not amount_minor:
            return None
    hold = _moved(tx, hold_id, amount_minor, Phase.VOID)
    balance = store.free_in_wallet(tx, hold.account, amount_minor)
    transfer = ending(hold, Phase.VOID, amount_minor, now, balance=balance, purpose=TransferPurpose.VOID, credit=hold.credit)
    store.insert_transfers(tx, [store.transfer_row(transfer)])
    store.settle_promise(tx, hold.credit, amount_minor, kept=0)
    return transfer.id


def overdue_holds(tx: Tx, now: datetime) -> list[Hold]:
    """Open holds past their deadline that nobody was told of yet, each with its event hold.overdue; a second call finds none of them."""
    at = to_micros(now)
    found = store.alert_overdue(tx, at, ALERTS_MAX)
    insert_events(
        tx,
        [
            (new_event_id(), "hold.overdue", None, one.mode.value, one.id, 1, None, None, "deadline", "system", at, _data(one))
            for one in found
        ],
    )
    return found


def _data(hold: Hold) -> str:
    facts = {"order_id": hold.order_id, "line": hold.line, "rest_minor": hold.rest_minor, "currency": hold.currency}
    return msgspec.json.encode(facts).decode()


def _locked(tx: Tx, hold_id: HoldId) -> Hold:
    """The hold, read again once its wallet is locked: whoever ends a hold holds that lock, so its sums stand still."""
    hold = store.load_hold(tx, hold_id)
    if hold is None:
        raise HoldNotFound(hold_id=hold_id)
    store.load_wallets(tx, [hold.account])
    return store.load_hold(tx, hold_id) or hold


def _moved(tx: Tx, hold_id: HoldId, amount_minor: int, phase: Phase) -> Hold:
    """The hold, its wallet locked and the amount taken off its rest."""
    if amount_minor <= 0:
        raise AmountNotPositive(amount_minor=amount_minor)
    hold = _locked(tx, hold_id)
    if not store.move_hold(tx, hold_id, amount_minor, phase):
        raise HoldExceeded(hold_id=hold_id, amount_minor=amount_minor, rest_minor=hold.rest_minor)
    return hold


def _taking(one: NewHold) -> Transfer:
    return Transfer(
        id=new_transfer_id(),
        debit=one.account,
        credit=one.credit,
        amount_minor=one.amount_minor,
        currency=one.currency,
        mode=one.mode,
        phase=Phase.PENDING,
        purpose=TransferPurpose.HOLD,
        partner_id=one.partner_id,
        order_id=one.order_id,
        hold_id=one.id,
        reverses=None,
        reference=None,
        wallet_after_minor=one.wallet_after_minor,
        created_at=from_micros(one.created_at),
    )


def ending(
    hold: Hold,
    phase: Phase,
    amount_minor: int,
    now: datetime,
    *,
    balance: int,
    purpose: TransferPurpose,
    credit: AccountName,
    reference: str | None = None,
) -> Transfer:
    """The transfer that posts or voids a part of the hold. Pure."""
    return Transfer(
        id=new_transfer_id(),
        debit=hold.account,
        credit=credit,
        amount_minor=amount_minor,
        currency=hold.currency,
        mode=hold.mode,
        phase=phase,
        purpose=purpose,
        partner_id=hold.partner_id,
        order_id=hold.order_id,
        hold_id=hold.id,
        reverses=None,
        reference=reference,
        wallet_after_minor=balance,
        created_at=now,
    )
