"""Suppliers' webhooks as rows: written once however often they come, and kept until somebody knew what they were about."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql  # its upsert compiles for SQLite too

from cardrail.kernel import Clock, first_body, new_id, to_micros
from cardrail.sourcing.balance import tell_supplier
from cardrail.sourcing.errors import NoticeNotFound
from cardrail.sourcing.hooks import Notice
from cardrail.sourcing.model import Attempt
from cardrail.sourcing.store import load_attempt, load_health
from cardrail.sourcing.tables import attempts, supplier_notices, suppliers
from cardrail.storage import AuditLog, Database, Tx, audit_entry

WAITS_SECONDS: Final = (2, 10, 60, 300, 1_800, 7_200)
"""Between looks for the purchase that a notice is about: it may come before its order's number is written here. Then a human looks."""
PURGE_ROWS: Final = 500

_n = supplier_notices.c
_INSERT: Final = (
    postgresql.insert(supplier_notices)
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                "id",
                "supplier_id",
                "key",
                "event",
                "event_id",
                "supplier_order_id",
                "reference",
                "is_undone",
                "state",
                "due_at",
                "received_at",
            )
        }
    )
    .on_conflict_do_nothing(index_elements=["supplier_id", "key"])
    .returning(_n.id)
)
_BY_ID: Final = (
    sa.select(supplier_notices, suppliers.c.name.label("supplier"), suppliers.c.mode)
    .join(suppliers, suppliers.c.id == _n.supplier_id)
    .where(_n.id == sa.bindparam("of"))
)
_OVERDUE: Final = (
    sa.select(_n.id, _n.tries)
    .where(sa.literal_column("supplier_notices.state = 'waiting'"), _n.due_at <= sa.bindparam("before"))
    .order_by(_n.due_at)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)
_SAVE: Final = (
    sa.update(supplier_notices)
    .where(_n.id == sa.bindparam("of"), _n.state == sa.bindparam("from_state"))
    .values(
        state=sa.bindparam("to_state"),
        result=sa.bindparam("to_result"),
        attempt_id=sa.bindparam("to_attempt_id"),
        tries=sa.bindparam("to_tries"),
        due_at=sa.bindparam("to_due_at"),
        done_at=sa.bindparam("to_done_at"),
    )
)
_THEIR_ORDER: Final = (
    sa.select(attempts.c.id)
    .where(
        attempts.c.supplier_id == sa.bindparam("supplier"),
        attempts.c.supplier_order_id == sa.bindparam("theirs"),
        attempts.c.supplier_order_id.is_not(None),
    )
    .order_by(attempts.c.id.desc())
    .limit(1)
)
_OUR_REFERENCE: Final = sa.select(attempts.c.id).where(
    attempts.c.reference == sa.bindparam("ours"), attempts.c.supplier_id == sa.bindparam("supplier")
)
_WAITING: Final = sa.select(sa.func.count(_n.id), sa.func.min(_n.received_at)).where(
    sa.literal_column("supplier_notices.state = 'waiting'")
)
_REVIEW: Final = sa.select(sa.func.count(_n.id)).where(sa.literal_column("supplier_notices.state = 'review'"))


def keep_notice(tx: Tx, supplier_id: str, notice: Notice, now: int) -> str | None:
    """Write a notice; its id, or None where it is there already."""
    notice_id = new_id("ntc")
    written = tx.execute(
        _INSERT,
        {
            "id": notice_id,
            "supplier_id": supplier_id,
            "key": notice.key,
            "event": notice.event,
            "event_id": notice.event_id,
            "supplier_order_id": notice.supplier_order_id,
            "reference": notice.reference,
            "is_undone": notice.is_undone,
            "state": "waiting",
            "due_at": now,
            "received_at": now,
        },
    )
    return notice_id if written.first() is not None else None


def load_notice(tx: Tx, notice_id: str, *, lock: bool = False) -> Any:
    """Its row, with its supplier's name and mode. Raises NoticeNotFound."""
    row = tx.execute(_BY_ID.with_for_update(of=supplier_notices) if lock else _BY_ID, {"of": notice_id}).first()
    if row is None:
        raise NoticeNotFound(notice_id=notice_id)
    return row


def list_notices(
    tx: Tx, *, supplier_id: str | None = None, state: str | None = None, limit: int = 50, before: str | None = None
) -> list[Any]:
    """The newest first; those before an id."""
    query = sa.select(supplier_notices, suppliers.c.name.label("supplier")).join(suppliers, suppliers.c.id == _n.supplier_id)
    if supplier_id is not None:
        query = query.where(_n.supplier_id == supplier_id)
    if state is not None:
        query = query.where(_n.state == state)
    if before is not None:
        query = query.where(_n.id < before)
    return list(tx.execute(query.order_by(_n.id.desc()).limit(limit)))


def overdue_notices(tx: Tx, before: int, most: int) -> list[tuple[str, int]]:
    """(id, looks so far) of those whose look was due before that moment."""
    return [(row.id, row.tries) for row in tx.execute(_OVERDUE, {"before": before, "most": most})]


def notice_counts(tx: Tx) -> tuple[int, int | None, int]:
    """How many wait, since when the oldest of them does, and how many a human should look at."""
    waiting, oldest = tx.execute(_WAITING).one()
    return int(waiting), oldest, int(tx.execute(_REVIEW).scalar_one())


def attempt_of(tx: Tx, notice: Any) -> Attempt | None:
    """The purchase that a notice is about, of this supplier and no other, locked; None while nobody knows it."""
    found: str | None = None
    if notice.supplier_order_id is not None:
        found = tx.execute(_THEIR_ORDER, {"supplier": notice.supplier_id, "theirs": notice.supplier_order_id}).scalar()
    if found is None and notice.reference is not None:
        found = tx.execute(_OUR_REFERENCE, {"supplier": notice.supplier_id, "ours": notice.reference}).scalar()
    return load_attempt(tx, found) if found is not None else None


def end_notice(tx: Tx, notice: Any, state: str, result: str, now: int, attempt_id: str | None = None) -> None:
    """What came of it. What a human should look at becomes an event of the operator's, too."""
    _save(tx, notice, state=state, result=result, attempt_id=attempt_id, due_at=None, done_at=now)
    if state == "review":
        load_health(tx, notice.supplier_id, lock=True)  # the supplier's history has one writer at a time
        facts = {"notice_id": notice.id, "event": notice.event, "their_order": notice.supplier_order_id, "because": result}
        tell_supplier(tx, "supplier.notice_held", notice.supplier_id, notice.mode, now, facts)


def put_off(tx: Tx, notice: Any, due_at: int) -> None:
    """Its purchase is not known, or not answered yet: look again then."""
    _save(tx, notice, state="waiting", result=None, attempt_id=None, due_at=due_at, done_at=None)


def _save(
    tx: Tx, notice: Any, *, state: str, result: str | None, attempt_id: str | None, due_at: int | None, done_at: int | None
) -> None:
    tx.execute(
        _SAVE,
        {
            "of": notice.id,
            "from_state": notice.state,
            "to_state": state,
            "to_result": result,
            "to_attempt_id": attempt_id,
            "to_tries": notice.tries + 1,
            "to_due_at": due_at,
            "to_done_at": done_at,
        },
    )


def dismiss_notice(db: Database, clock: Clock, audit: AuditLog, notice_id: str, *, actor: str) -> None:
    """A human has looked at it. Raises NoticeNotFound for one that waits for nobody."""
    with db.transaction() as tx:
        row = load_notice(tx, notice_id, lock=True)
        if row.state != "review":
            raise NoticeNotFound(notice_id=notice_id)
        now = clock.now()
        _save(tx, row, state="dismissed", result=row.result, attempt_id=row.attempt_id, due_at=None, done_at=to_micros(now))
        audit.append(tx, [audit_entry(now, actor, "supplier.notice_dismissed", subject=row.supplier_id, details={"id": row.id})])


def purge_notices(tx: Tx, before_millis: int) -> int:
    """Delete some of those that are older and wait for nobody; how many."""
    old = (
        sa.select(_n.id)
        .where(_n.id < f"ntc_{first_body(before_millis)}", _n.state.in_(["done", "dismissed"]))
        .order_by(_n.id)
        .limit(PURGE_ROWS)
    )
    return tx.execute(sa.delete(supplier_notices).where(_n.id.in_(old))).rowcount
