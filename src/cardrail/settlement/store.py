"""Every statement about settlement statements and exports; rows ↔ model. (A supplier's side is in ``reconcile_store``.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import Mode, from_micros, is_id, to_micros
from cardrail.settlement.model import Statement, TaxRate
from cardrail.settlement.periods import Schedule
from cardrail.settlement.tables import settlement_settings, statements
from cardrail.storage import Tx

_json: Final = msgspec.json.Encoder(order="sorted")
_s = statements.c
_ALL: Final = sa.select(*_s)
_BY_ID: Final = _ALL.where(_s.id == sa.bindparam("of"))
_of_wallet: Final = (
    _s.partner_id == sa.bindparam("partner"),
    _s.currency == sa.bindparam("currency"),
    _s.mode == sa.bindparam("mode"),
)
_LAST: Final = _ALL.where(*_of_wallet).order_by(_s.number.desc()).limit(1)
_NUMBERED: Final = _ALL.where(*_of_wallet, _s.number == sa.bindparam("number"))
_IN_CHAINS: Final = _ALL.order_by(_s.partner_id, _s.currency, _s.mode, _s.number)
_CLOSE: Final = (
    postgresql.insert(statements)
    .on_conflict_do_nothing(index_elements=["partner_id", "currency", "mode", "number"])
    .returning(_s.id)
)


def insert_statement(tx: Tx, one: Statement) -> bool:
    """Write a closed statement; False if that number of the wallet exists: somebody closed it first."""
    assert one.hash is not None
    assert one.closed_at is not None
    row = {
        "id": one.id,
        "partner_id": one.partner_id,
        "currency": one.currency,
        "mode": one.mode.value,
        "number": one.number,
        "period_from": to_micros(one.period_from),
        "period_to": to_micros(one.period_to),
        "timezone": one.timezone,
        "schedule": one.schedule.value,
        "after_position": one.after_position,
        "through_position": one.through_position,
        "opening_minor": one.opening_minor,
        "opening_held_minor": one.opening_held_minor,
        "closing_minor": one.closing_minor,
        "closing_held_minor": one.closing_held_minor,
        "movements": one.movements,
        "totals": _json.encode(one.totals).decode(),
        "taxes": _json.encode(one.taxes).decode(),
        "previous_id": one.previous_id,
        "previous_hash": one.previous_hash,
        "hash": one.hash,
        "closed_at": to_micros(one.closed_at),
        "closed_by": one.closed_by,
    }
    return tx.execute(_CLOSE, row).first() is not None


def load_statement(tx: Tx, statement_id: str, *, partner_id: str | None, mode: Mode | None) -> Statement | None:
    """One closed statement; of this partner and mode, where given."""
    query = _BY_ID if partner_id is None else _BY_ID.where(_s.partner_id == partner_id)
    if mode is not None:
        query = query.where(_s.mode == mode.value)
    row = tx.execute(query, {"of": statement_id}).first() if is_id("stm", statement_id) else None
    return statement_of(row) if row else None


def load_last(tx: Tx, partner_id: str, currency: str, mode: Mode) -> Statement | None:
    """The wallet's newest closed statement."""
    row = tx.execute(_LAST, {"partner": partner_id, "currency": currency, "mode": mode.value}).first()
    return statement_of(row) if row else None


def load_numbered(tx: Tx, partner_id: str, currency: str, mode: Mode, number: int) -> Statement | None:
    row = tx.execute(_NUMBERED, {"partner": partner_id, "currency": currency, "mode": mode.value, "number": number}).first()
    return statement_of(row) if row else None


def load_page(
    tx: Tx,
    partner_id: str | None,
    mode: Mode | None,
    *,
    currency: str | None,
    since: int | None,
    until: int | None,
    before: str | None,
    limit: int,
) -> list[Statement]:
    """Closed statements, newest first, older than the id ``before``; those whose period touches [since, until)."""
    query = _ALL
    for given, condition in (
        (partner_id, _s.partner_id.__eq__),
        (mode.value if mode else None, _s.mode.__eq__),
        (currency, _s.currency.__eq__),
        (since, _s.period_to.__gt__),
        (until, _s.period_from.__lt__),
        (before, _s.id.__lt__),
    ):
        if given is not None:
            query = query.where(condition(given))
    return [statement_of(row) for row in tx.execute(query.order_by(_s.id.desc()).limit(limit))]


def chains(tx: Tx) -> sa.CursorResult[Any]:
    """Every closed statement's row, wallet by wallet, each wallet's in their order; streamed."""
    return tx.execute(_IN_CHAINS, execution_options={"yield_per": 500})


def statement_of(row: Any) -> Statement:
    """The statement of a row."""
    return Statement(
        id=row.id,
        partner_id=row.partner_id,
        currency=row.currency,
        mode=Mode(row.mode),
        number=row.number,
        period_from=from_micros(row.period_from),
        period_to=from_micros(row.period_to),
        timezone=row.timezone,
        schedule=Schedule(row.schedule),
        after_position=row.after_position,
        through_position=row.through_position,
        opening_minor=row.opening_minor,
        opening_held_minor=row.opening_held_minor,
        closing_minor=row.closing_minor,
        closing_held_minor=row.closing_held_minor,
        movements=row.movements,
        totals=msgspec.json.decode(row.totals, type=dict[str, int]),
        taxes=msgspec.json.decode(row.taxes, type=list[TaxRate]),
        previous_id=row.previous_id,
        previous_hash=row.previous_hash,
        hash=row.hash,
        closed_at=from_micros(row.closed_at),
        closed_by=row.closed_by,
    )


# --- settings ---------------------------------------------------------------------------------------------------------

_SCHEDULES: Final = sa.select(settlement_settings.c.partner_id, settlement_settings.c.schedule)
_set: Any = postgresql.insert(settlement_settings)
_SET_SCHEDULE: Final = _set.on_conflict_do_update(
    index_elements=["partner_id"], set_={"schedule": _set.excluded.schedule, "updated_at": _set.excluded.updated_at}
)


def load_schedules(tx: Tx, partner_ids: Sequence[str] | None = None) -> dict[str, Schedule]:
    """The partners' own schedules; whoever is absent has the default."""
    query = _SCHEDULES if partner_ids is None else _SCHEDULES.where(settlement_settings.c.partner_id.in_(partner_ids))
    return {partner_id: Schedule(schedule) for partner_id, schedule in tx.execute(query)}


def save_schedule(tx: Tx, partner_id: str, schedule: Schedule, now: int) -> None:
    tx.execute(_SET_SCHEDULE, {"partner_id": partner_id, "schedule": schedule.value, "updated_at": now})
