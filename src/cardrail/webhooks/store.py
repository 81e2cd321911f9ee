"""Every statement of webhooks, and how rows become models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import EventId, Mode, PartnerId, from_micros, to_micros
from cardrail.storage import Bulk, Tx, bulk_insert, driver_select, events
from cardrail.webhooks.model import Attempt, Delivery, DeliveryState, Endpoint, EndpointId, EndpointState
from cardrail.webhooks.tables import webhook_attempts, webhook_cursors, webhook_deliveries, webhook_endpoints, webhook_secrets

_encode = msgspec.json.Encoder(order="sorted").encode

# --- endpoints --------------------------------------------------------------------------------------------------------

_ENDPOINT: Final = sa.select(webhook_endpoints).where(webhook_endpoints.c.state != EndpointState.DELETED.value)
_OWN: Final = (webhook_endpoints.c.partner_id == sa.bindparam("partner"), webhook_endpoints.c.mode == sa.bindparam("mode"))
_ENDPOINT_BY_ID: Final = _ENDPOINT.where(webhook_endpoints.c.id == sa.bindparam("of"))
_ENDPOINTS_OF: Final = _ENDPOINT.where(*_OWN).order_by(webhook_endpoints.c.id)
_ALL_ENDPOINTS: Final = _ENDPOINT.order_by(webhook_endpoints.c.id)
_ENABLED: Final = _ENDPOINT.where(webhook_endpoints.c.state == EndpointState.ENABLED.value)
_SECRETS: Final = sa.select(webhook_secrets).order_by(webhook_secrets.c.id.desc())
_SECRETS_OF: Final = _SECRETS.where(webhook_secrets.c.endpoint_id == sa.bindparam("of"))
_DELETE_SECRETS: Final = sa.delete(webhook_secrets).where(webhook_secrets.c.endpoint_id == sa.bindparam("of"))
_END_SECRETS: Final = (
    sa.update(webhook_secrets)
    .where(webhook_secrets.c.endpoint_id == sa.bindparam("of"))
    .where(webhook_secrets.c.ends_at.is_(None) | (webhook_secrets.c.ends_at > sa.bindparam("at")))
    .values(ends_at=sa.bindparam("at"))
)
_DELETE_ENDED: Final = sa.delete(webhook_secrets).where(webhook_secrets.c.ends_at < sa.bindparam("before"))
_FAILING: Final = (
    sa.update(webhook_endpoints)
    .where(webhook_endpoints.c.id == sa.bindparam("of"), webhook_endpoints.c.failing_since.is_(None))
    .values(failing_since=sa.bindparam("at"))
)
_HEALTHY: Final = sa.update(webhook_endpoints).where(webhook_endpoints.c.id == sa.bindparam("of")).values(failing_since=None)

_LAST_STEP: Final = sa.select(sa.func.coalesce(sa.func.max(events.c.subject_seq), 0)).where(
    events.c.subject_id == sa.bindparam("of")
)


def next_step(tx: Tx, subject_id: str) -> int:
    """The place of the next event in a subject's history; the subject's row is locked by the caller."""
    return int(tx.execute(_LAST_STEP, {"of": subject_id}).scalar_one()) + 1


def insert_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    tx.execute(sa.insert(webhook_endpoints), _endpoint_row(endpoint))


def update_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    tx.execute(sa.update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id).values(_endpoint_row(endpoint)))


def load_endpoint(tx: Tx, endpoint_id: str, *, lock: bool = False) -> Endpoint | None:
    statement = _ENDPOINT_BY_ID.with_for_update() if lock else _ENDPOINT_BY_ID
    row = tx.execute(statement, {"of": endpoint_id}).one_or_none()
    return None if row is None else endpoint_of(row)


def load_endpoints(tx: Tx, partner_id: str, mode: Mode) -> list[Endpoint]:
    """A partner's, oldest first."""
    return [endpoint_of(row) for row in tx.execute(_ENDPOINTS_OF, {"partner": partner_id, "mode": mode.value})]


def load_all_endpoints(tx: Tx) -> list[Endpoint]:
    return [endpoint_of(row) for row in tx.execute(_ALL_ENDPOINTS)]


def load_enabled(tx: Tx) -> list[Endpoint]:
    return [endpoint_of(row) for row in tx.execute(_ENABLED)]


def insert_secret(tx: Tx, secret_id: str, endpoint_id: str, sealed: bytes, at: int) -> None:
    row = {"id": secret_id, "endpoint_id": endpoint_id, "sealed": sealed, "created_at": at, "ends_at": None}
    tx.execute(sa.insert(webhook_secrets), row)


def load_secrets(tx: Tx, endpoint_id: str | None = None) -> list[Any]:
    """Rows of secrets, newest first: of one endpoint, or all."""
    if endpoint_id is None:
        return list(tx.execute(_SECRETS))
    return list(tx.execute(_SECRETS_OF, {"of": endpoint_id}))


def end_secrets(tx: Tx, endpoint_id: str, at: int) -> None:
    """Let the secrets that are valid end at that moment."""
    tx.execute(_END_SECRETS, {"of": endpoint_id, "at": at})


def delete_secrets(tx: Tx, endpoint_id: str) -> None:
    tx.execute(_DELETE_SECRETS, {"of": endpoint_id})


def delete_ended_secrets(tx: Tx, before: int) -> int:
    return tx.execute(_DELETE_ENDED, {"before": before}).rowcount


def mark_failing(tx: Tx, endpoint_id: str, at: int) -> None:
    """Note the first failure after a success."""
    tx.execute(_FAILING, {"of": endpoint_id, "at": at})


def mark_healthy(tx: Tx, endpoint_id: str) -> None:
    tx.execute(_HEALTHY, {"of": endpoint_id})


def _endpoint_row(one: Endpoint) -> dict[str, Any]:
    return {
        "id": one.id,
        "partner_id": one.partner_id,
        "mode": one.mode.value,
        "url": one.url,
        "description": one.description,
        "format": one.format,
        "events": None if one.events is None else _encode(sorted(one.events)).decode(),
        "with_codes": one.with_codes,
        "labels": _encode(one.labels).decode() if one.labels else None,
        "state": one.state.value,
        "reason": one.reason,
        "begins_after": one.begins_after,
        "failing_since": None if one.failing_since is None else to_micros(one.failing_since),
        "created_at": to_micros(one.created_at),
        "updated_at": to_micros(one.updated_at),
    }


def endpoint_of(row: Any) -> Endpoint:
    return Endpoint(
        id=EndpointId(row.id),
        partner_id=PartnerId(row.partner_id),
        mode=Mode(row.mode),
        url=row.url,
        description=row.description,
        format=row.format,
        events=None if row.events is None else frozenset(msgspec.json.decode(row.events, type=list[str])),
        with_codes=bool(row.with_codes),
        labels=msgspec.json.decode(row.labels) if row.labels else {},
        state=EndpointState(row.state),
        reason=row.reason,
        begins_after=row.begins_after,
        failing_since=None if row.failing_since is None else from_micros(row.failing_since),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


# --- deliveries -------------------------------------------------------------------------------------------------------

_DELIVERY_COLUMNS: Final = ("endpoint_id", "event_id", "type", "state", "tries", "due_at", "created_at")
insert_deliveries: Final = bulk_insert(webhook_deliveries, *_DELIVERY_COLUMNS)
"""New deliveries: one tuple each, in the order of the columns. The caller knows that they are new."""

_INSERT_MISSING: Final = Bulk(
    postgresql.insert(webhook_deliveries)
    .values({name: sa.bindparam(name) for name in _DELIVERY_COLUMNS})
    .on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"]),
    _DELIVERY_COLUMNS,
)
_THIS: Final = (
    webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint"),
    webhook_deliveries.c.event_id == sa.bindparam("event"),
)
_DELIVERY: Final = sa.select(webhook_deliveries)
_DELIVERY_BY_ID: Final = _DELIVERY.where(*_THIS)

# Endpoints with something due, and when: one index look each, however many deliveries wait.
_DUE: Final = sa.text(
    "WITH RECURSIVE waiting(endpoint_id) AS ("
    " SELECT (SELECT min(endpoint_id) FROM webhook_deliveries WHERE due_at IS NOT NULL)"
    " UNION ALL SELECT (SELECT min(d.endpoint_id) FROM webhook_deliveries d"
    " WHERE d.due_at IS NOT NULL AND d.endpoint_id > waiting.endpoint_id) FROM waiting WHERE waiting.endpoint_id IS NOT NULL)"
    " SELECT endpoint_id, (SELECT min(d.due_at) FROM webhook_deliveries d"
    " WHERE d.due_at IS NOT NULL AND d.endpoint_id = waiting.endpoint_id) AS due_at FROM waiting WHERE endpoint_id IS NOT NULL"
)
_FIRST_DUE: Final = (
    sa.select(webhook_deliveries.c.event_id)
    .where(
        webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint"),
        webhook_deliveries.c.due_at.is_not(None),
        webhook_deliveries.c.due_at <= sa.bindparam("now"),
    )
    .order_by(webhook_deliveries.c.due_at, webhook_deliveries.c.event_id)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    sa.update(webhook_deliveries)
    .where(webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint"), webhook_deliveries.c.event_id.in_(_FIRST_DUE))
    .values(due_at=sa.bindparam("until"))
    .returning(webhook_deliveries.c.event_id, webhook_deliveries.c.tries)
)
_DONE: Final = (
    sa.update(webhook_deliveries)
    .where(*_THIS)
    .values(state=DeliveryState.DELIVERED.value, due_at=None, tries=webhook_deliveries.c.tries + 1, done_at=sa.bindparam("at"))
)
_again: Final = sa.update(webhook_deliveries).where(*_THIS, webhook_deliveries.c.due_at == sa.bindparam("claimed"))
_RETRY: Final = _again.values(due_at=sa.bindparam("due"), tries=sa.bindparam("count"))
_GIVE_UP: Final = _again.values(
    due_at=None, tries=sa.bindparam("count"), state=DeliveryState.FAILED.value, done_at=sa.bindparam("at")
)
_ASK_AGAIN: Final = (
    sa.update(webhook_deliveries)
    .where(*_THIS)
    .values(state=DeliveryState.PENDING.value, tries=0, due_at=sa.bindparam("at"), done_at=None)
)


# Many rows in one statement on PostgreSQL, where a statement a row costs a round of planning each.
_DELIVERED_TOGETHER: Final = (
    "UPDATE webhook_deliveries AS d SET state = 'delivered', due_at = NULL, tries = d.tries + 1, done_at = o.at"
    " FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS o(endpoint_id, event_id, at)"
    " WHERE d.endpoint_id = o.endpoint_id AND d.event_id = o.event_id RETURNING 1"
)
_MISSING_TOGETHER: Final = (
    f"INSERT INTO webhook_deliveries ({', '.join(_DELIVERY_COLUMNS)})"  # noqa: S608  # our own columns
    " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])"
    " ON CONFLICT (endpoint_id, event_id) DO NOTHING RETURNING 1"
)


def insert_missing(tx: Tx, rows: Sequence[tuple[Any, ...]]) -> None:
    """Deliveries that may exist already: those stay as they are."""
    if rows and tx.dialect.name == "postgresql":
        driver_select(tx, _MISSING_TOGETHER, _columns(rows))
    else:
        _INSERT_MISSING(tx, rows)


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple([list(column) for column in zip(*rows, strict=True)])


def due_endpoints(tx: Tx) -> dict[str, int]:
    """Endpoint → when its next attempt falls due, for all that have one."""
    return {row.endpoint_id: row.due_at for row in tx.execute(_DUE)}


def claim(tx: Tx, endpoint_id: str, *, now: int, until: int, most: int) -> list[tuple[str, int]]:
    """Take the endpoint's next deliveries until that moment: (event, tries so far) of each."""
    given = {"endpoint": endpoint_id, "now": now, "until": until, "most": most}
    return [(event_id, tries) for event_id, tries in tx.execute(_CLAIM, given)]


def record_delivered(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of endpoint, event, at; no delivery twice."""
    if rows and tx.dialect.name == "postgresql":
        driver_select(tx, _DELIVERED_TOGETHER, _columns([(one["endpoint"], one["event"], one["at"]) for one in rows]))
    elif rows:
        tx.execute(_DONE, list(rows))


def record_retries(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of endpoint, event, claimed, count, due. One that was claimed by another worker meanwhile, or asked for anew, stays as it is."""
    if rows:
        tx.execute(_RETRY, list(rows))


def record_failed(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of endpoint, event, claimed, count, at."""
    if rows:
        tx.execute(_GIVE_UP, list(rows))


def ask_again(tx: Tx, endpoint_id: str, event_ids: Sequence[str], at: int) -> None:
    """Let the schedule begin anew, now."""
    if event_ids:
        tx.execute(_ASK_AGAIN, [{"endpoint": endpoint_id, "event": one, "at": at} for one in event_ids])


_STATES: Final = sa.select(webhook_deliveries.c.event_id, webhook_deliveries.c.state).where(
    webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint"),
    webhook_deliveries.c.event_id.in_(sa.bindparam("ids", expanding=True)),
)


def load_states(tx: Tx, endpoint_id: str, event_ids: Sequence[str]) -> dict[str, str]:
    """Event → state of its delivery to this endpoint, of those that have one."""
    return {row.event_id: row.state for row in tx.execute(_STATES, {"endpoint": endpoint_id, "ids": list(event_ids)})}


def load_delivery(tx: Tx, endpoint_id: str, event_id: str) -> Delivery | None:
    row = tx.execute(_DELIVERY_BY_ID, {"endpoint": endpoint_id, "event": event_id}).one_or_none()
    return None if row is None else delivery_of(row)


def load_deliveries(
    tx: Tx, endpoint_id: str, *, before: str | None, state: str | None, event_type: str | None, limit: int
) -> list[Delivery]:
    """An endpoint's, by event, newest first."""
    statement = _DELIVERY.where(webhook_deliveries.c.endpoint_id == endpoint_id)
    if before is not None:
        statement = statement.where(webhook_deliveries.c.event_id < before)
    if state is not None:
        statement = statement.where(webhook_deliveries.c.state == state)
    if event_type is not None:
        statement = statement.where(webhook_deliveries.c.type == event_type)
    return [delivery_of(row) for row in tx.execute(statement.order_by(webhook_deliveries.c.event_id.desc()).limit(limit))]


def delivery_of(row: Any) -> Delivery:
    return Delivery(
        endpoint_id=EndpointId(row.endpoint_id),
        event_id=EventId(row.event_id),
        type=row.type,
        state=DeliveryState(row.state),
        tries=row.tries,
        due_at=None if row.due_at is None else from_micros(row.due_at),
        created_at=from_micros(row.created_at),
        done_at=None if row.done_at is None else from_micros(row.done_at),
    )


# --- attempts ---------------------------------------------------------------------------------------------------------

insert_attempts: Final = bulk_insert(
    webhook_attempts, "id", "endpoint_id", "event_id", "at", "status", "milliseconds", "error", "answer"
)
_ATTEMPTS_OF: Final = (
    sa.select(webhook_attempts)
    .where(
        webhook_attempts.c.endpoint_id == sa.bindparam("endpoint"),
        webhook_attempts.c.event_id == sa.bindparam("event"),
    )
    .order_by(webhook_attempts.c.id)
)
_OLD_ATTEMPTS: Final = (
    sa.select(webhook_attempts.c.id)
    .where(webhook_attempts.c.id < sa.bindparam("before"))
    .order_by(webhook_attempts.c.id)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)
_DELETE_ATTEMPTS: Final = sa.delete(webhook_attempts).where(webhook_attempts.c.id.in_(_OLD_ATTEMPTS))
_OLD_DELIVERIES: Final = (
    sa.select(webhook_deliveries.c.event_id)
    .where(
        webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint"),
        webhook_deliveries.c.event_id < sa.bindparam("before"),
    )
    .order_by(webhook_deliveries.c.event_id)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)
_DELETE_DELIVERIES: Final = sa.delete(webhook_deliveries).where(
    webhook_deliveries.c.endpoint_id == sa.bindparam("endpoint"), webhook_deliveries.c.event_id.in_(_OLD_DELIVERIES)
)
_ALL_IDS: Final = sa.select(webhook_endpoints.c.id, webhook_endpoints.c.state)


def load_attempts(tx: Tx, endpoint_id: str, event_id: str) -> list[Attempt]:
    """Of one delivery, oldest first."""
    return [
        Attempt(row.id, from_micros(row.at), row.status, row.milliseconds, row.error, row.answer)
        for row in tx.execute(_ATTEMPTS_OF, {"endpoint": endpoint_id, "event": event_id})
    ]


def delete_attempts(tx: Tx, before: str, most: int) -> int:
    """Attempts with older ids."""
    return tx.execute(_DELETE_ATTEMPTS, {"before": before, "most": most}).rowcount


def delete_deliveries(tx: Tx, endpoint_id: str, before: str, most: int) -> int:
    """Deliveries of events with older ids."""
    return tx.execute(_DELETE_DELIVERIES, {"endpoint": endpoint_id, "before": before, "most": most}).rowcount


def endpoint_ids(tx: Tx) -> dict[str, str]:
    """Every endpoint there ever was, and its state."""
    return {row.id: row.state for row in tx.execute(_ALL_IDS)}


# --- events, and how far they were followed ---------------------------------------------------------------------------

_OPEN_CURSOR: Final = (
    postgresql.insert(webhook_cursors)
    .values(name=sa.bindparam("of"), position=sa.bindparam("at"))
    .on_conflict_do_nothing(index_elements=["name"])
)
_CURSOR: Final = sa.select(webhook_cursors.c.position).where(webhook_cursors.c.name == sa.bindparam("of"))
_CURSOR_LOCKED: Final = _CURSOR.with_for_update(skip_locked=True)
_MOVE_CURSOR: Final = (
    sa.update(webhook_cursors).where(webhook_cursors.c.name == sa.bindparam("of")).values(position=sa.bindparam("to"))
)
_NEW_EVENTS: Final = (
    sa.select(events)
    .where(events.c.position > sa.bindparam("after"))
    .order_by(events.c.position)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)
_WAITING: Final = (
    sa.select(webhook_deliveries.c.event_id)
    .join(webhook_endpoints, webhook_endpoints.c.id == webhook_deliveries.c.endpoint_id)
    .where(webhook_deliveries.c.due_at.is_not(None), webhook_endpoints.c.state == EndpointState.ENABLED.value)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
    .subquery()
)
_BACKLOG: Final = sa.select(sa.func.count(), sa.func.min(_WAITING.c.event_id))


def read_cursor(tx: Tx, name: str) -> int | None:
    """How far it has come; None before it began."""
    return tx.execute(_CURSOR, {"of": name}).scalar()


def lock_cursor(tx: Tx, name: str, begin_at: int) -> int | None:
    """How far it has come, locked; None while another process has it. It begins at that position."""
    found = tx.execute(_CURSOR_LOCKED, {"of": name}).scalar()
    if found is not None:
        return int(found)
    if read_cursor(tx, name) is None and tx.execute(_OPEN_CURSOR, {"of": name, "at": begin_at}).rowcount:
        return begin_at
    return None


def move_cursor(tx: Tx, name: str, to: int) -> None:
    tx.execute(_MOVE_CURSOR, {"of": name, "to": to})


def new_events(tx: Tx, after: int, most: int) -> list[Any]:
    """Their rows, by position."""
    return list(tx.execute(_NEW_EVENTS, {"after": after, "most": most}))


def backlog(tx: Tx, most: int) -> tuple[int, str | None]:
    """Deliveries that wait at enabled endpoints, counted up to a bound, and the oldest one's event."""
    count, oldest = tx.execute(_BACKLOG, {"most": most}).one()
    return int(count), oldest
