"""Every statement of alerts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql  # its upsert compiles for SQLite too

from cardrail.alerts.model import Alert, AlertState
from cardrail.alerts.tables import alert_cursors, alert_sends, alerts
from cardrail.storage import Tx

CURSOR: Final = "events"
_a, _s = alerts.c, alert_sends.c

_json = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(dict[str, Any]).decode
_about = msgspec.json.Decoder(list[tuple[str, str]]).decode

# Two statements, each of which its own partial index answers; their order is that of the index, and so everybody locks in the same one.
_OPEN: Final = sa.select(alerts).where(sa.literal_column("alerts.state <> 'cleared'")).order_by(_a.kind, _a.subject)
_OWING: Final = (
    sa.select(alerts).where(sa.literal_column("alerts.owes_end"), sa.literal_column("alerts.state = 'cleared'")).order_by(_a.id)
)
_BY_ID: Final = sa.select(alerts).where(_a.id.in_(sa.bindparam("ids", expanding=True)))
_LAST_TOLD: Final = sa.select(sa.func.max(_a.told_at)).where(
    _a.kind == sa.bindparam("kind"), _a.subject == sa.bindparam("subject")
)
_COUNTS: Final = sa.select(_a.kind, sa.func.count()).where(sa.literal_column("alerts.state <> 'cleared'")).group_by(_a.kind)
_NOTIFIED: Final = (
    sa.update(alerts)
    .where(_a.id.in_(sa.bindparam("ids", expanding=True)), _a.state == AlertState.OPEN.value)
    .values(state=AlertState.NOTIFIED.value)
)

_POSITION: Final = sa.select(alert_cursors.c.position).where(alert_cursors.c.name == CURSOR)
_LOCK_POSITION: Final = _POSITION.with_for_update()
_BEGIN: Final = (
    postgresql.insert(alert_cursors)
    .values(name=CURSOR, position=sa.bindparam("to"))
    .on_conflict_do_nothing(index_elements=["name"])
)
_MOVE: Final = sa.update(alert_cursors).where(alert_cursors.c.name == CURSOR).values(position=sa.bindparam("to"))


def read_position(tx: Tx, *, lock: bool = False) -> int | None:
    """How far events were looked through; None before the first time."""
    found = tx.execute(_LOCK_POSITION if lock else _POSITION).scalar()
    return None if found is None else int(found)


def begin_at(tx: Tx, position: int) -> None:
    tx.execute(_BEGIN, {"to": position})


def move_to(tx: Tx, position: int) -> None:
    tx.execute(_MOVE, {"to": position})


# --- alerts -----------------------------------------------------------------------------------------------------------


def load_open(tx: Tx, *, lock: bool = False) -> list[Alert]:
    """What is so, and what is over and was not told yet."""
    queries = [one.with_for_update() if lock else one for one in (_OPEN, _OWING)]
    return sorted([_alert(row) for query in queries for row in tx.execute(query)], key=lambda one: one.id)


def load_alerts(tx: Tx, ids: Collection[str]) -> dict[str, Alert]:
    return {row.id: _alert(row) for row in tx.execute(_BY_ID, {"ids": list(ids)})}


def list_alerts(tx: Tx, *, everything: bool, kind: str | None, limit: int, before: str | None = None) -> list[Alert]:
    """The newest first; those before an id."""
    query = sa.select(alerts)
    if not everything:
        query = query.where(sa.literal_column("alerts.state <> 'cleared'"))
    if kind is not None:
        query = query.where(_a.kind == kind)
    if before is not None:
        query = query.where(_a.id < before)
    return [_alert(row) for row in tx.execute(query.order_by(_a.id.desc()).limit(limit))]


def insert_alert(tx: Tx, one: Alert) -> None:
    tx.execute(sa.insert(alerts).values(_values(one)))


def save_alert(tx: Tx, one: Alert) -> None:
    tx.execute(sa.update(alerts).where(_a.id == one.id).values(_values(one)))


def last_told(tx: Tx, kind: str, subject: str) -> int | None:
    """When this was told of last, in whatever alert."""
    found = tx.execute(_LAST_TOLD, {"kind": kind, "subject": subject}).scalar()
    return None if found is None else int(found)


def note_notified(tx: Tx, ids: Collection[str]) -> None:
    """A message about them went out."""
    tx.execute(_NOTIFIED, {"ids": list(ids)})


def open_counts(tx: Tx) -> dict[str, int]:
    """Kind → alerts that are not over."""
    return {kind: int(count) for kind, count in tx.execute(_COUNTS)}


def _values(one: Alert) -> dict[str, Any]:
    names = [column.name for column in alerts.columns if column.name not in ("state", "facts")]
    return {name: getattr(one, name) for name in names} | {"state": one.state.value, "facts": _json(one.facts).decode()}


def _alert(row: Any) -> Alert:
    values = row._asdict() | {"state": AlertState(row.state), "facts": _facts(row.facts)}
    return Alert(**values)


# --- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """One message to one target."""

    id: str
    route: str
    channel: str
    about: Sequence[tuple[str, str]]
    state: str
    tries: int
    error: str | None
    created_at: int
    due_at: int | None
    sent_at: int | None


def insert_send(tx: Tx, send_id: str, route: str, channel: str, about: Sequence[tuple[str, str]], at: int) -> None:
    values = {"id": send_id, "route": route, "channel": channel, "about": _json(about).decode(), "state": "waiting", "tries": 0}
    tx.execute(sa.insert(alert_sends).values(**values, created_at=at, due_at=at))


def load_send(tx: Tx, send_id: str, *, lock: bool = False) -> Send | None:
    query = sa.select(alert_sends).where(_s.id == send_id)
    row = tx.execute(query.with_for_update() if lock else query).first()
    return None if row is None else Send(**(row._asdict() | {"about": _about(row.about)}))


def save_send(
    tx: Tx,
    send_id: str,
    state: str,
    tries: int,
    *,
    error: str | None = None,
    due_at: int | None = None,
    sent_at: int | None = None,
) -> None:
    values = {"state": state, "tries": tries, "error": error, "due_at": due_at, "sent_at": sent_at}
    tx.execute(sa.update(alert_sends).where(_s.id == send_id).values(**values))


def sends_about(tx: Tx, alert_id: str, limit: int = 20) -> list[Send]:
    """The newest messages about an alert."""
    query = sa.select(alert_sends).where(_s.about.contains(alert_id, autoescape=True), _s.id > f"als_{alert_id[4:]}")
    rows = tx.execute(query.order_by(_s.id.desc()).limit(limit))
    return [Send(**(row._asdict() | {"about": _about(row.about)})) for row in rows]


def overdue_sends(tx: Tx, before: int) -> list[tuple[str, int]]:
    """(id, tries) of messages whose next try should have been."""
    query = sa.select(_s.id, _s.tries).where(_s.state == "waiting", _s.due_at <= before).order_by(_s.id).limit(100)
    return [(row.id, row.tries) for row in tx.execute(query)]


def delete_old(tx: Tx, before: int, rows: int) -> int:
    """Some of the alerts that were over before that moment, and of the messages of that time; how many."""
    old = sa.select(_a.id).where(_a.state == AlertState.CLEARED.value, _a.cleared_at < before).limit(rows)
    count = tx.execute(sa.delete(alerts).where(_a.id.in_(old))).rowcount
    sent = sa.select(_s.id).where(_s.created_at < before).limit(rows)
    return count + tx.execute(sa.delete(alert_sends).where(_s.id.in_(sent))).rowcount
