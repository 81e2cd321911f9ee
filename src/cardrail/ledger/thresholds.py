"""Low balances: the operator sets a threshold for a wallet, and an event tells once that less than that may be spent.

It is looked at from time to time and not by the sale, which has better things to do. What was told is remembered until the wallet has
recovered: so there is one event for each time that it falls below.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import Mode, Money, new_event_id, to_micros
from cardrail.ledger import store
from cardrail.ledger.adjust import By, open_wallet
from cardrail.ledger.errors import AmountNotPositive
from cardrail.ledger.tables import accounts, balance_thresholds
from cardrail.storage import Tx, audit_entry, insert_events

_t = balance_thresholds.c
_SET: Final = postgresql.insert(balance_thresholds).values(
    name=sa.bindparam("of"), threshold_minor=sa.bindparam("threshold"), is_low=sa.false(), changed_at=sa.bindparam("at")
)
_SET_OR_CHANGE: Final = _SET.on_conflict_do_update(
    index_elements=["name"], set_={"threshold_minor": _SET.excluded.threshold_minor, "changed_at": _SET.excluded.changed_at}
)
_DELETE: Final = sa.delete(balance_thresholds).where(_t.name == sa.bindparam("of"))
_AVAILABLE: Final = (
    accounts.c.credits_posted - accounts.c.debits_posted - accounts.c.debits_pending + accounts.c.credit_limit_minor
)
_CROSSED: Final = (
    sa.select(
        accounts.c.name, accounts.c.owner, accounts.c.currency, accounts.c.mode, _AVAILABLE.label("available"), _t.threshold_minor
    )
    .join(balance_thresholds, _t.name == accounts.c.name)
    .order_by(accounts.c.name)
)
_FALLEN: Final = _CROSSED.where(_t.is_low.is_(sa.false()), _t.threshold_minor > _AVAILABLE)
_RECOVERED: Final = _CROSSED.where(_t.is_low.is_(sa.true()), _t.threshold_minor <= _AVAILABLE)
_LOW: Final = sa.select(_t.name).where(_t.is_low.is_(sa.true()))
_MARK: Final = (
    sa.update(balance_thresholds)
    .where(_t.name == sa.bindparam("of"), _t.is_low != sa.bindparam("low"))
    .values(is_low=sa.bindparam("low"), changed_at=sa.bindparam("at"))
)


def set_balance_threshold(tx: Tx, by: By, partner_id: str, threshold: Money, mode: Mode) -> None:
    """Tell when less than this may be spent of the wallet; 0 takes the threshold away. Raises AmountNotPositive for a negative one."""
    if threshold.minor < 0:
        raise AmountNotPositive(threshold_minor=threshold.minor)
    name = open_wallet(tx, partner_id, threshold.currency.code, mode, by.at).name
    if threshold.minor:
        tx.execute(_SET_OR_CHANGE, {"of": name, "threshold": threshold.minor, "at": to_micros(by.at)})
    else:
        tx.execute(_DELETE, {"of": name})
    facts = {"currency": threshold.currency.code, "mode": mode.value, "threshold_minor": threshold.minor}
    entry = audit_entry(by.at, by.actor, "ledger.threshold_set", name, partner_id=partner_id, origin=by.origin, details=facts)
    by.audit.append(tx, [entry])


def tell_low_balances(tx: Tx, now: datetime) -> int:
    """Write an event for each wallet that has fallen below its threshold since the last look; how many."""
    at = to_micros(now)
    for row in tx.execute(_RECOVERED).all():
        tx.execute(_MARK, {"of": row.name, "low": False, "at": at})
    told = 0
    for row in tx.execute(_FALLEN).all():
        if tx.execute(_MARK, {"of": row.name, "low": True, "at": at}).rowcount:
            insert_events(tx, [_event(tx, row, at)])
            told += 1
    return told


def low_wallets(tx: Tx) -> set[str]:
    """The wallets that were below their threshold at the last look."""
    return set(tx.execute(_LOW).scalars())


def _event(tx: Tx, row: Any, at: int) -> tuple[object, ...]:
    """The wallet is locked first: its history has one writer at a time."""
    store.load_wallets(tx, [row.name])
    facts = {"currency": row.currency, "available_minor": row.available, "threshold_minor": row.threshold_minor}
    step = store.next_step(tx, row.name)
    data = msgspec.json.encode(facts).decode()
    return (new_event_id(), "balance.low", row.owner, row.mode, row.name, step, None, None, None, "system", at, data)
