"""The audit log: who did what, to what, from where; append-only, each row with a keyed hash over itself and the row before.

A writer has its own chain, because one chain for all would make them wait for each other. Whoever can write to the database but has not
the key cannot change a row, take one out, put one in or cut off the end without ``verify_audit`` finding it. Who kept an older copy of a
chain's head could set the chain back to it: that is what the daily anchors are for, and an anchor that is also kept outside the database
shows that not even the whole of it was set back.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cardrail.kernel import Clock, InvalidCursor, Page, from_micros, to_micros
from cardrail.storage.audit_tables import audit, audit_anchors, audit_heads
from cardrail.storage.bulk import Bulk, bulk_insert, driver_select
from cardrail.storage.database import Tx

GENESIS: Final = bytes(32)
"""The end of a chain, or of the anchors, before the first one."""

BREAKS_MAX: Final = 1_000
"""Where a verification stops collecting: with the wrong key every row is a break."""

_STREAM: Final = 2_000
_json = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did."""

    at: datetime
    actor: str
    """A key's, operator's or partner's id, "cli" or "system"."""
    action: str
    """Dotted, past tense: code.revealed, key.created."""
    subject: str | None = None
    """The id of what it was done to."""
    partner_id: str | None = None
    origin: str | None = None
    """The address it came from."""
    details: dict[str, Any] | None = None
    """Ids and figures. A Secret or a PlainCode in it raises TypeError: neither can be encoded."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it was written."""

    chain: str
    seq: int
    entry: AuditEntry


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to list; None means any."""

    partner_id: str | None = None
    action: str | None = None
    """The whole action, or its first part with a dot at the end: "key."."""
    subject: str | None = None
    """The subject's id, or an id named in the details: the codes that an order's batch revealed are found by the order's id."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditBreak:
    """A place where the log is not what was written."""

    chain: str
    """The chain, or "anchors"."""
    place: str
    """The row's number in its chain, or the anchor's day."""
    problem: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The heads of all chains on one day, under one keyed hash."""

    day: str
    hash: str
    """In hex. Kept outside the database, it shows whether the whole log was set back."""


def audit_entry(
    at: datetime,
    actor: str,
    action: str,
    subject: str | None = None,
    *,
    partner_id: str | None = None,
    origin: str | None = None,
    details: dict[str, Any] | None = None,
) -> AuditEntry:
    """An entry for ``AuditLog.append``."""
    return AuditEntry(at, actor, action, subject, partner_id, origin, details)


class AuditLog:
    """One writer's chain. ``key`` is the installation's audit key; ``chain`` names the writer: "main/lane", "cli"."""

    def __init__(self, key: bytes, chain: str) -> None:
        self._key = key
        self.chain = chain

    def append(self, tx: Tx, entries: Sequence[AuditEntry]) -> None:
        """Write the entries in the caller's transaction, three statements for any number of them.

        Locks the chain's head until the commit, so call it late: after the wallets and the codes.
        """
        if not entries:
            return
        seq, end = self._lock_head(tx)
        rows = []
        for entry in entries:
            seq += 1
            row = _row_of(self.chain, seq, entry)
            row_hash = _row_hash(self._key, end, row)
            end = _end(self._key, row_hash)
            rows.append((*row, row_hash))
        _insert_rows(tx, rows)
        _move_head(tx, [(seq, end, self.chain)])

    def verify(self, tx: Tx, kept: Anchor | None = None) -> list[AuditBreak]:
        """``verify_audit`` with this log's key: all chains, not this one only."""
        return verify_audit(tx, self._key, kept=kept)

    def anchor(self, tx: Tx, clock: Clock) -> Anchor:
        """``anchor_heads`` with this log's key: all chains, not this one only."""
        return anchor_heads(tx, clock, self._key)

    def _lock_head(self, tx: Tx) -> tuple[int, bytes]:
        sql = _LOCK_HEAD[tx.dialect.name]
        found = driver_select(tx, sql, (self.chain,))
        if not found:
            # Two first uses at once: the second insert waits for the first one's commit, then writes nothing.
            _open_head(tx, [(self.chain, 0, GENESIS)])
            found = driver_select(tx, sql, (self.chain,))
        seq, end = found[0]
        return int(seq), bytes(end)


def verify_audit(tx: Tx, key: bytes, *, kept: Anchor | None = None) -> list[AuditBreak]:
    """Walk every chain and the anchors; the breaks found (at most BREAKS_MAX), none for a log that is as it was written.

    Rows are streamed: memory does not grow with the log. ``kept`` is an anchor that was stored elsewhere: it must still be there.
    Run it inside ``db.read()``, so that nothing is appended between the rows and the heads.
    """
    heads = {chain: (int(seq), bytes(end)) for chain, seq, end in tx.execute(_ALL_HEADS)}
    anchored: dict[str, dict[int, list[tuple[str, str]]]] = {}
    breaks = list(_check_anchors(tx, key, kept, anchored))
    walked = set()
    with tx.execute(_ALL_ROWS) as rows:
        for chain, of_chain in groupby(rows, key=lambda row: row[0]):
            walked.add(chain)
            found = _check_chain(chain, of_chain, key, heads.get(chain), anchored.get(chain, {}))
            breaks += islice(found, BREAKS_MAX)
            if len(breaks) >= BREAKS_MAX:
                return breaks[:BREAKS_MAX]
    for chain in sorted((heads.keys() | anchored.keys()) - walked):
        breaks += _check_chain(chain, iter(()), key, heads.get(chain), anchored.get(chain, {}))
    return breaks[:BREAKS_MAX]


def anchor_heads(tx: Tx, clock: Clock, key: bytes) -> Anchor:
    """Anchor the heads of all chains for today (UTC); the day's anchor if it is there already."""
    day = f"{clock.now().astimezone(UTC):%Y-%m-%d}"
    before = tx.execute(_ANCHOR_BEFORE, {"of": day}).scalar()
    heads = {chain: [seq, _anchored_end(key, bytes(end))] for chain, seq, end in tx.execute(_ALL_HEADS)}
    text = _json.encode(heads).decode()
    _insert_anchor(tx, [(day, text, _anchor_hash(key, bytes(before or GENESIS), day, text))])
    return Anchor(day, bytes(tx.execute(_ANCHOR_OF, {"of": day}).scalar_one()).hex())


def list_audit(tx: Tx, filters: AuditFilter, after: str | None = None, limit: int = 50) -> Page[AuditRow]:
    """Entries, newest first, from the place ``after`` on. Raises InvalidCursor.

    Reads the log from its end and looks into the details as text: fit for an operator's question, not for a busy page.
    """
    c = audit.c
    statement = sa.select(*_COLUMNS).order_by(c.at.desc(), c.chain.desc(), c.seq.desc()).limit(limit + 1)
    if filters.partner_id:
        statement = statement.where(c.partner_id == filters.partner_id)
    if filters.action:
        whole = not filters.action.endswith(".")
        statement = statement.where(c.action == filters.action if whole else c.action.startswith(filters.action, autoescape=True))
    if filters.subject:
        named = c.details.contains(f'"{filters.subject}"', autoescape=True)
        statement = statement.where(sa.or_(c.subject == filters.subject, named))
    if filters.since:
        statement = statement.where(c.at >= to_micros(filters.since))
    if filters.until:
        statement = statement.where(c.at < to_micros(filters.until))
    if after is not None:
        statement = statement.where(sa.tuple_(c.at, c.chain, c.seq) < sa.tuple_(*_place(after)))
    rows = [_audit_row(row) for row in tx.execute(statement)]
    page = rows[:limit]
    more = len(rows) > limit
    return Page(page, f"{to_micros(page[-1].entry.at)}/{page[-1].seq}/{page[-1].chain}" if more else None)


# --- rows and hashes ---------------------------------------------------------------------------------------------------

Row = tuple[str, int, int, str, str, str | None, str | None, str | None, str | None]
"""A row in the order of _COLUMNS: all that its hash covers."""


def _row_of(chain: str, seq: int, entry: AuditEntry) -> Row:
    details = None if entry.details is None else _json.encode(entry.details).decode()
    at = to_micros(entry.at)
    return (chain, seq, at, entry.actor, entry.action, entry.subject, entry.partner_id, entry.origin, details)


def _audit_row(row: Any) -> AuditRow:
    chain, seq, at, actor, action, subject, partner_id, origin, details = row
    facts = None if details is None else msgspec.json.decode(details)
    return AuditRow(chain, seq, AuditEntry(from_micros(at), actor, action, subject, partner_id, origin, facts))


def _row_hash(key: bytes, end: bytes, row: Sequence[Any]) -> bytes:
    """Over the chain's end before it and the row as a JSON array, which no two different rows share."""
    return hmac.digest(key, end + _json.encode(row), hashlib.sha256)


def _end(key: bytes, row_hash: bytes) -> bytes:
    """What the head says when this row is the last one.

    Not the row's own hash: that stands in the table, and whoever cuts off the rows after it could write it into the head.
    """
    return hmac.digest(key, b"end" + row_hash, hashlib.sha256)


def _anchored_end(key: bytes, end: bytes) -> str:
    """What an anchor says of a head: hashed once more, so that no anchor tells what to write into one."""
    return hmac.digest(key, b"anchored" + end, hashlib.sha256).hex()


def _anchor_hash(key: bytes, before: bytes, day: str, heads: str) -> bytes:
    return hmac.digest(key, before + _json.encode(["anchor", day, heads]), hashlib.sha256)


def _place(after: str) -> tuple[int, str, int]:
    at, _, rest = after.partition("/")
    seq, _, chain = rest.partition("/")
    if not (at.isdecimal() and seq.isdecimal()):
        raise InvalidCursor
    return int(at), chain, int(seq)


# --- verification ------------------------------------------------------------------------------------------------------


def _check_chain(
    chain: str,
    rows: Iterator[Any],
    key: bytes,
    head: tuple[int, bytes] | None,
    anchored: dict[int, list[tuple[str, str]]],
) -> Iterator[AuditBreak]:
    """The breaks of one chain. After a break the walk goes on from what is there, so that each place is named once."""
    last, end = 0, GENESIS
    for *row, stored_hash in rows:
        seq, stored = row[1], bytes(stored_hash)
        if seq != last + 1:
            yield AuditBreak(chain, str(last + 1), f"rows {last + 1} to {seq - 1} are missing")
        elif not hmac.compare_digest(stored, _row_hash(key, end, row)):
            yield AuditBreak(chain, str(seq), "the row is not as it was written")
        last, end = seq, _end(key, stored)
        for day, wanted in anchored.get(seq, ()):
            if _anchored_end(key, end) != wanted:
                yield AuditBreak(chain, str(seq), f"the row is not the one that was anchored on {day}")
    if head is None:
        yield AuditBreak(chain, str(last), "the chain's head is missing")
    elif head != (last, end):
        yield AuditBreak(chain, str(last), f"the chain should end with row {head[0]}, as its head says")
    for seq in sorted(anchored):
        if seq > last:
            yield AuditBreak(
                chain,
                str(last),
                f"the chain was anchored at row {seq} on {anchored[seq][0][0]}; its end was cut off",
            )


def _check_anchors(
    tx: Tx, key: bytes, kept: Anchor | None, anchored: dict[str, dict[int, list[tuple[str, str]]]]
) -> Iterator[AuditBreak]:
    """The breaks of the anchors themselves. Fills ``anchored``: chain → row number → (day, hash in hex)."""
    before, kept_found = GENESIS, kept is None
    for day, heads, stored_hash in tx.execute(_ALL_ANCHORS):
        stored = bytes(stored_hash)
        if not hmac.compare_digest(stored, _anchor_hash(key, before, day, heads)):
            yield AuditBreak("anchors", day, "the anchor is not as it was written, or the one before it is missing")
        else:
            for chain, (seq, end) in msgspec.json.decode(heads).items():
                if seq:
                    anchored.setdefault(chain, {}).setdefault(seq, []).append((day, end))
        kept_found = kept_found or (kept is not None and (day, stored.hex()) == (kept.day, kept.hash))
        before = stored
    if kept is not None and not kept_found:
        yield AuditBreak(
            "anchors",
            kept.day,
            "the anchor that was kept elsewhere is not in the log: it was set back or rewritten",
        )


# --- statements --------------------------------------------------------------------------------------------------------

_COLUMNS = [column for column in audit.c if column.name != "hash"]

_ALL_ROWS = sa.select(*audit.c).order_by(audit.c.chain, audit.c.seq).execution_options(yield_per=_STREAM)
_ALL_HEADS = sa.select(audit_heads.c.chain, audit_heads.c.seq, audit_heads.c.hash)
_ALL_ANCHORS = sa.select(*audit_anchors.c).order_by(audit_anchors.c.day)
_ANCHOR_BEFORE = (
    sa.select(audit_anchors.c.hash).where(audit_anchors.c.day < sa.bindparam("of")).order_by(audit_anchors.c.day.desc()).limit(1)
)
_ANCHOR_OF = sa.select(audit_anchors.c.hash).where(audit_anchors.c.day == sa.bindparam("of"))

_HEAD = sa.select(audit_heads.c.seq, audit_heads.c.hash).where(audit_heads.c.chain == sa.bindparam("of")).with_for_update()
_LOCK_HEAD = {
    "sqlite": str(_HEAD.compile(dialect=sqlite.dialect(paramstyle="qmark"))),
    "postgresql": str(_HEAD.compile(dialect=postgresql.dialect(paramstyle="format"))),  # type: ignore[no-untyped-call]  # its __init__ has no annotations
}

_insert_rows = bulk_insert(audit, *[column.name for column in audit.c])
_move_head = Bulk(
    sa.update(audit_heads)
    .where(audit_heads.c.chain == sa.bindparam("of"))
    .values(seq=sa.bindparam("to_seq"), hash=sa.bindparam("to_hash")),
    ("to_seq", "to_hash", "of"),
)
_open_head = Bulk(
    postgresql.insert(audit_heads)
    .values(chain=sa.bindparam("chain"), seq=sa.bindparam("seq"), hash=sa.bindparam("hash"))
    .on_conflict_do_nothing(),
    ("chain", "seq", "hash"),
)
_insert_anchor = Bulk(
    postgresql.insert(audit_anchors)
    .values(day=sa.bindparam("day"), heads=sa.bindparam("heads"), hash=sa.bindparam("hash"))
    .on_conflict_do_nothing(),
    ("day", "heads", "hash"),
)
