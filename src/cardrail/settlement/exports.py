"""Exports: asked for, written by a job (or at once where they are small), offered by a signed link, deleted when their time is over.

A file lies in a folder of the data folder that only the service's user can read. Several nodes need that folder in common; otherwise the
node that wrote a file is the one that can send it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cardrail.catalog import load_snapshot
from cardrail.kernel import CardrailError, Clock, Mode, from_micros, is_id, new_id, to_micros
from cardrail.orders import count_orders
from cardrail.settlement.errors import (
    ExportGone,
    ExportNotFound,
    ExportNotReady,
    InvalidExport,
    InvalidLink,
    StatementNotFound,
)
from cardrail.settlement.formats import Format, write_file
from cardrail.settlement.sources import PARTNERS_OWN, ExportFilter, ExportKind, check_filter, columns_of, rows_of
from cardrail.settlement.store import load_statement
from cardrail.settlement.tables import exports
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx

KEEP: Final = timedelta(days=7)
"""How long an export's file is kept."""
LINK_SECONDS: Final = 900
SMALL: Final = 2_000
"""Orders up to which an export is made at once."""
UNFINISHED: Final = timedelta(hours=1)
"""How long an export that is not done counts as one that is being made."""
WAITING_MAX: Final = 10
"""Unfinished exports of one partner; more are refused."""


@dataclass(frozen=True, slots=True)
class Export:
    """One export, and how far it is."""

    id: str
    partner_id: str | None
    mode: Mode
    kind: ExportKind
    format: Format
    filters: ExportFilter
    state: str
    """waiting, running, done, failed, expired."""
    rows: int
    bytes: int
    problem: str | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime

    @property
    def file_name(self) -> str:
        """What it is called where it is saved, and in the folder."""
        return f"{self.kind.value}-{self.id}.{self.format.value}"


@dataclass(frozen=True, slots=True)
class ExportDesk:
    """What exports are made with."""

    db: Database
    clock: Clock
    audit: AuditLog
    folder: Path
    key: bytes
    """Signs links; a service key of the installation."""

    def path(self, one: Export) -> Path:
        return self.folder / one.file_name


# --- asking -----------------------------------------------------------------------------------------------------------

_e = exports.c
_INSERT: Final = sa.insert(exports)
_BY_ID: Final = sa.select(*_e).where(_e.id == sa.bindparam("of"))
_MOVE: Final = (
    sa.update(exports)
    .where(_e.id == sa.bindparam("of"), _e.state.in_(("waiting", "running")))
    .values(state=sa.bindparam("to_state"), problem=sa.bindparam("to_problem"), finished_at=sa.bindparam("at"))
)
_DONE: Final = (
    sa.update(exports)
    .where(_e.id == sa.bindparam("of"))
    .values(state="done", rows=sa.bindparam("count"), bytes=sa.bindparam("size"), finished_at=sa.bindparam("at"))
)
_PROGRESS: Final = (
    sa.update(exports)
    .where(_e.id == sa.bindparam("of"), _e.state.in_(("waiting", "running")))
    .values(state="running", rows=sa.bindparam("count"))
)
_UNFINISHED: Final = sa.select(sa.func.count()).where(
    _e.partner_id == sa.bindparam("partner"),
    _e.state.in_(("waiting", "running")),
    _e.created_at > sa.bindparam("since"),  # what a process that died left unfinished keeps nobody out for long
)
_OVER: Final = sa.select(*_e).where(_e.state != "expired", _e.expires_at <= sa.bindparam("now")).limit(500)
_EXPIRE: Final = sa.update(exports).where(_e.id == sa.bindparam("of")).values(state="expired")


def request_export(
    tx: Tx, desk: ExportDesk, kind: ExportKind, form: Format, filters: ExportFilter, *, actor: str, origin: str | None = None
) -> Export:
    """Write down what is wanted. The caller enqueues ``export_key``'s job in this transaction, or makes it at once.

    A partner gets what is his: his id is in the filter. Raises InvalidExport.
    """
    check_filter(kind, filters)
    if filters.partner_id is not None and kind not in PARTNERS_OWN and not actor.startswith("cli"):
        raise InvalidExport(field="kind", reason="this is the operator's own")
    now = desk.clock.now()
    if filters.partner_id is not None:
        waiting = int(tx.execute(_UNFINISHED, {"partner": filters.partner_id, "since": to_micros(now - UNFINISHED)}).scalar_one())
        if waiting >= WAITING_MAX:
            raise InvalidExport(reason="too many exports are being made already", max=WAITING_MAX)
    one = Export(
        id=new_id("exp"),
        partner_id=filters.partner_id,
        mode=filters.mode,
        kind=kind,
        format=form,
        filters=filters,
        state="waiting",
        rows=0,
        bytes=0,
        problem=None,
        created_by=actor,
        created_at=now,
        finished_at=None,
        expires_at=now + KEEP,
    )
    tx.execute(_INSERT, _row(one))
    details = {"kind": kind.value, "format": form.value, "filters": msgspec.to_builtins(filters)}
    entry = audit_entry(now, actor, "export.requested", one.id, partner_id=one.partner_id, origin=origin, details=details)
    desk.audit.append(tx, [entry])
    return one


def is_small(tx: Tx, kind: ExportKind, filters: ExportFilter) -> bool:
    """Whether the export can be made while somebody waits: by the orders in its period, or a statement's movements.

    Raises StatementNotFound.
    """
    if kind is ExportKind.STATEMENT:
        found = load_statement(tx, filters.statement_id or "", partner_id=filters.partner_id, mode=filters.mode)
        if found is None:
            raise StatementNotFound(statement_id=filters.statement_id)
        return found.movements <= SMALL
    if kind is ExportKind.STOCK:
        return False
    facts = {"partner_id": filters.partner_id, "mode": filters.mode, "since": filters.since, "until": filters.until}
    return count_orders(tx, **facts, most=SMALL + 1) <= SMALL  # type: ignore[arg-type]  # its own keywords


def get_export(tx: Tx, export_id: str, *, partner_id: str | None = None, mode: Mode | None = None) -> Export:
    """One export; of this partner and mode, where given. Raises ExportNotFound."""
    row = tx.execute(_BY_ID, {"of": export_id}).first() if is_id("exp", export_id) else None
    if row is None or partner_id not in (None, row.partner_id) or mode not in (None, Mode(row.mode)):
        raise ExportNotFound(export_id=export_id[:64])
    return _export(row)


def list_exports(tx: Tx, *, partner_id: str | None = None, mode: Mode | None = None, limit: int = 50) -> list[Export]:
    """Exports, newest first."""
    query = sa.select(*_e).order_by(_e.id.desc()).limit(limit)
    if partner_id is not None:
        query = query.where(_e.partner_id == partner_id)
    if mode is not None:
        query = query.where(_e.mode == mode.value)
    return [_export(row) for row in tx.execute(query)]


# --- making -----------------------------------------------------------------------------------------------------------


def make_export(desk: ExportDesk, export_id: str) -> Export:
    """Write the export's file; a repeat after a crash writes it anew, and what is done stays done.

    The file appears under its name when it is whole. A refusal becomes the export's problem instead of being raised.
    """
    with desk.db.read() as tx:
        one = get_export(tx, export_id)
    if one.state not in ("waiting", "running"):
        return one
    _move(desk, _PROGRESS, {"of": one.id, "count": 0})
    desk.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = desk.folder / f".{one.id}.part"
    try:
        rows = _write(desk, one, unfinished)
    except CardrailError as error:
        unfinished.unlink(missing_ok=True)
        _move(desk, _MOVE, {"of": one.id, "to_state": "failed", "to_problem": error.code, "at": to_micros(desk.clock.now())})
    else:
        unfinished.replace(desk.path(one))
        facts = {"of": one.id, "count": rows, "size": desk.path(one).stat().st_size, "at": to_micros(desk.clock.now())}
        _move(desk, _DONE, facts)
    with desk.db.read() as tx:
        return get_export(tx, export_id)


def _write(desk: ExportDesk, one: Export, path: Path) -> int:
    path.unlink(missing_ok=True)

    def progress(count: int) -> None:
        _move(desk, _PROGRESS, {"of": one.id, "count": count})

    with desk.db.read() as tx:
        catalog = load_snapshot(tx, desk.clock.now().date())
        rows = rows_of(tx, one.kind, one.filters, catalog)
        columns = columns_of(one.kind, one.filters)
        return write_file(path, one.format, columns, rows, title=one.kind.value.capitalize(), progress=progress)


def _move(desk: ExportDesk, statement: Any, facts: dict[str, Any]) -> None:
    in_tx(desk.db, lambda tx: tx.execute(statement, facts))


def sweep_exports(desk: ExportDesk) -> int:
    """Delete the files whose time is over, and what a process that died left unfinished; how many."""
    now = desk.clock.now()
    with desk.db.read() as tx:
        over = [_export(row) for row in tx.execute(_OVER, {"now": to_micros(now)})]
    for one in over:
        desk.path(one).unlink(missing_ok=True)
        (desk.folder / f".{one.id}.part").unlink(missing_ok=True)
        _move(desk, _EXPIRE, {"of": one.id})
    return len(over)


# --- links ------------------------------------------------------------------------------------------------------------


def sign_link(desk: ExportDesk, export_id: str) -> tuple[int, str]:
    """(expires, signature) of a link that gives the file to whoever has it, for a quarter of an hour."""
    expires = int(desk.clock.now().timestamp()) + LINK_SECONDS
    return expires, _signature(desk.key, export_id, expires)


def open_link(desk: ExportDesk, export_id: str, expires: int, signature: str) -> tuple[Export, Path]:
    """The export and its file. Raises InvalidLink, ExportNotFound, ExportNotReady, ExportGone."""
    is_ours = hmac.compare_digest(signature.encode(), _signature(desk.key, export_id, expires).encode())
    if not is_ours or expires < int(desk.clock.now().timestamp()):
        raise InvalidLink
    with desk.db.read() as tx:
        one = get_export(tx, export_id)
    return one, file_of(desk, one)


def file_of(desk: ExportDesk, one: Export) -> Path:
    """Where the finished file is. Raises ExportNotReady, ExportGone."""
    if one.state in ("waiting", "running"):
        raise ExportNotReady(state=one.state)
    if one.state != "done" or one.expires_at <= desk.clock.now() or not desk.path(one).is_file():
        raise ExportGone(state=one.state)
    return desk.path(one)


def _signature(key: bytes, export_id: str, expires: int) -> str:
    return hmac.new(key, f"export\0{export_id}\0{expires}".encode(), hashlib.sha256).hexdigest()


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(one: Export) -> dict[str, Any]:
    return {
        "id": one.id,
        "partner_id": one.partner_id,
        "mode": one.mode.value,
        "kind": one.kind.value,
        "format": one.format.value,
        "filters": msgspec.json.encode(one.filters).decode(),
        "state": one.state,
        "rows": one.rows,
        "bytes": one.bytes,
        "problem": one.problem,
        "created_by": one.created_by,
        "created_at": to_micros(one.created_at),
        "finished_at": None,
        "expires_at": to_micros(one.expires_at),
    }


def _export(row: sa.Row[Any]) -> Export:
    return Export(
        id=row.id,
        partner_id=row.partner_id,
        mode=Mode(row.mode),
        kind=ExportKind(row.kind),
        format=Format(row.format),
        filters=msgspec.json.decode(row.filters, type=ExportFilter),
        state=row.state,
        rows=row.rows,
        bytes=row.bytes,
        problem=row.problem,
        created_by=row.created_by,
        created_at=from_micros(row.created_at),
        finished_at=from_micros(row.finished_at) if row.finished_at is not None else None,
        expires_at=from_micros(row.expires_at),
    )
