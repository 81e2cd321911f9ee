"""Following events by position: a partner's own stream, in pages, and where in it a moment lies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import EventId, Mode, from_micros, to_micros
from cardrail.storage.database import Tx
from cardrail.storage.events import events
from cardrail.storage.schema import position_marks
from cardrail.storage.sequence import sequenced_through

EXAMINED_MAX: Final = 20_000
"""Events that one page looks at, so that a filter that nearly nothing passes costs a page what any other costs."""
MARK_MARGIN_MICROS: Final = 300 * 1_000_000
"""What the clocks of two processes may differ by, and a commit be late."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that became true."""

    id: EventId
    type: str
    partner_id: str | None
    mode: Mode
    subject_id: str
    subject_seq: int
    from_state: str | None
    to_state: str | None
    reason: str | None
    actor: str
    at: datetime
    data: dict[str, Any]
    position: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and how far was looked."""

    items: list[Event]
    through: int
    """The next page begins after this position."""
    has_more: bool
    """Whether there may be more by now."""


_EVENT: Final = sa.select(events)
_AFTER: Final = _EVENT.where(events.c.position > sa.bindparam("after"), events.c.mode == sa.bindparam("mode"))
_OWN: Final = events.c.partner_id == sa.bindparam("partner")
_FAR: Final = (
    sa.select(events.c.position)
    .where(_OWN, events.c.mode == sa.bindparam("mode"), events.c.position > sa.bindparam("after"))
    .order_by(events.c.position)
    .offset(EXAMINED_MAX - 1)
    .limit(1)
)
_BY_ID: Final = _EVENT.where(events.c.id.in_(sa.bindparam("ids", expanding=True)))


def read_events(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    after: int,
    *,
    types: Collection[str],
    shared: Collection[str] = (),
    is_narrowed: bool = False,
    since: datetime | None = None,
    limit: int = 50,
) -> EventPage:
    """The partner's events of these types after that position, oldest first, and of them the ``shared`` ones that name no partner.

    ``is_narrowed`` where many events may be of other types: then, as with ``since``, a page looks at a bounded number of them, so it may
    hold fewer than ``limit`` and still have more behind it.
    """
    end = sequenced_through(tx, "events")
    if since is not None:
        after = max(after, position_before(tx, "events", since))
    if is_narrowed or since is not None:
        found = tx.execute(_FAR, {"partner": partner_id, "mode": mode.value, "after": after}).scalar()
        end = end if found is None else min(end, int(found))
    statement = _AFTER.where(events.c.position <= end).order_by(events.c.position).limit(limit + 1)
    if since is not None:
        statement = statement.where(events.c.at >= to_micros(since))
    given = {"after": after, "mode": mode.value}
    own = tx.execute(statement.where(_OWN, events.c.type.in_(sorted(types))), given | {"partner": partner_id}).all()
    for_all = sorted(set(types) & set(shared))
    everybodys = tx.execute(statement.where(events.c.partner_id.is_(None), events.c.type.in_(for_all)), given).all()
    rows = list(merge(own, everybodys, key=lambda row: row.position))
    if len(rows) > limit:
        return EventPage([event_of(row) for row in rows[:limit]], rows[limit - 1].position, has_more=True)
    return EventPage([event_of(row) for row in rows], max(end, after), has_more=end < sequenced_through(tx, "events"))


_OF_TYPES: Final = _EVENT.where(
    events.c.position > sa.bindparam("after"),
    events.c.position <= sa.bindparam("through"),
    events.c.type.in_(sa.bindparam("types", expanding=True)),
    events.c.mode == sa.bindparam("mode"),
).order_by(events.c.position)


def read_types(tx: Tx, mode: Mode, after: int, types: Collection[str]) -> EventPage:
    """Everybody's events of these types after that position, oldest first: for the operator. It looks at a bounded number of events."""
    end = sequenced_through(tx, "events")
    through = min(end, after + EXAMINED_MAX)
    found = tx.execute(_OF_TYPES, {"after": after, "through": through, "types": sorted(types), "mode": mode.value})
    return EventPage([event_of(row) for row in found], max(through, after), has_more=through < end)


def load_events(tx: Tx, ids: Collection[str]) -> dict[str, Event]:
    """Events by id; one that is not there, or has no position yet, has position 0."""
    return {row.id: event_of(row) for row in tx.execute(_BY_ID, {"ids": list(ids)})}


def event_of(row: Any) -> Event:
    return Event(
        id=EventId(row.id),
        type=row.type,
        partner_id=row.partner_id,
        mode=Mode(row.mode),
        subject_id=row.subject_id,
        subject_seq=row.subject_seq,
        from_state=row.from_state,
        to_state=row.to_state,
        reason=row.reason,
        actor=row.actor,
        at=from_micros(row.at),
        data=msgspec.json.decode(row.data) if row.data else {},
        position=row.position or 0,
    )


# --- where a moment lies ----------------------------------------------------------------------------------------------

_MARK: Final = (
    postgresql.insert(position_marks)
    .values(name=sa.bindparam("of"), at=sa.bindparam("at"), position=sa.bindparam("place"))
    .on_conflict_do_nothing(index_elements=["name", "at"])
)
_MARK_BEFORE: Final = (
    sa.select(position_marks.c.position)
    .where(position_marks.c.name == sa.bindparam("of"), position_marks.c.at <= sa.bindparam("at"))
    .order_by(position_marks.c.at.desc())
    .limit(1)
)


def mark_position(tx: Tx, table: str, now: datetime) -> int:
    """Remember how far the table was sequenced at this moment; that position."""
    place = sequenced_through(tx, table)
    tx.execute(_MARK, {"of": table, "at": to_micros(now), "place": place})
    return place


def position_before(tx: Tx, table: str, moment: datetime) -> int:
    """A position that everything of that moment and later comes after: of the last mark well before it; 0 if there is none."""
    given = {"of": table, "at": to_micros(moment) - MARK_MARGIN_MICROS}
    return int(tx.execute(_MARK_BEFORE, given).scalar() or 0)
