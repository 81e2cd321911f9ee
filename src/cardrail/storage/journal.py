"""The allocation journal: what was sold, kept outside the database, so that a restored backup can be told what it does not know.

The order lane appends to it after the commit and before anybody is answered: one write() for a batch. A file per node and day,
``<node>-<date>.jsonl``, a line per order, never a code. What was written survives the end of the process, because it is in the page cache
of the system. A loss of power may lose what was not flushed: with ``second`` (the default) the last second's lines, with ``always``
nothing, at the price of a flush per batch. It matters only if power and database are lost together and an older backup is restored.

A journal that cannot be written (a full disk) stops no order: the commit is done, and whoever waits must get his codes. The lines wait
in memory for the next try, an error is logged, ``failures`` counts. If more is waiting than ``BACKLOG_BYTES_MAX``, the newest lines are
dropped, and the first line written after that says how many orders are missing and since when: a release then asks a human.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from cardrail.kernel import from_micros

Flush = Literal["always", "second"]

BACKLOG_BYTES_MAX: Final = 16 * 2**20
"""Unwritten lines that are kept in memory while the disk refuses them: some 100,000 orders."""

FLUSH_SECONDS: Final = 1.0

TORN: Final = b"~\n"
"""Ends a line that broke off, before the next one is written: a writer that died in the middle of it had answered nobody."""

_END_BYTES: Final = 262_144
_DAY_MICROS: Final = 86_400 * 1_000_000
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_ATTEMPT_LINE: Final = b'["attempt",'
_FILE: Final = re.compile(r".+-(\d{4}-\d{2}-\d{2})\.jsonl")
_encoder: Final = msgspec.json.Encoder()

log = structlog.get_logger("cardrail.journal")

Range = tuple[str, int, int]
"""(lot, first seq, count)."""


class JournalEntry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One order as the journal keeps it: a JSON array in this order."""

    at: int
    """Microseconds: when it was placed or paid."""
    order_id: str
    partner_id: str
    mode: str
    currency: str
    charged_minor: int
    ranges: list[Range]
    """The codes it got; empty where it got none yet."""


class JournalAttempt(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="attempt"):
    """A purchase from a supplier that was about to be made: a JSON array in this order, its first member "attempt"."""

    at: int
    """Microseconds: when the supplier was asked."""
    attempt_id: str
    order_id: str
    line: int
    supplier_id: str
    supplier_sku: str
    denomination_id: str
    face_minor: int
    quantity: int
    mode: str
    max_cost_minor: int
    expected_cost_minor: int
    cost_currency: str
    match_key: str | None = None
    """Where the supplier's orders are told apart by match only."""


class JournalGap(msgspec.Struct, array_like=True, frozen=True, tag="gap"):
    """A line that says: so many orders since this moment (microseconds) could not be written."""

    since: int
    orders: int


_decode_entry: Final = msgspec.json.Decoder(JournalEntry).decode
_decode_attempt: Final = msgspec.json.Decoder(JournalAttempt).decode
_decode_gap: Final = msgspec.json.Decoder(JournalGap).decode


class Journal:
    """Where one process writes what it sold. ``append`` is called by one thread; the flushing thread starts with the first line."""

    def __init__(self, folder: Path, node: str, *, flush: Flush = "second") -> None:
        self._folder = folder
        self._name = _UNSAFE.sub("_", node)
        self._flush = flush
        self._fd = -1
        self._day = -1
        self._backlog: list[bytes] = []
        self._backlog_bytes = 0
        self._gap_since = 0
        self._gap_orders = 0
        self._is_torn = False
        self._guard = threading.Lock()  # the descriptor, between the lane and the flushing thread
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._flusher: threading.Thread | None = None
        self.failures = 0
        """Batches that could not be written when they should have been."""
        self.missing = 0
        """Orders that no line will ever be written for: a gap."""

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def name(self) -> str:
        """What its files' names begin with: the node's name."""
        return self._name

    def append(self, entries: Sequence[JournalEntry | JournalAttempt]) -> None:
        """Write a line for each entry, all at once. Never raises: see the module's text."""
        if not entries:
            return
        data = _encoder.encode_lines(entries)
        try:
            if entries[0].at // _DAY_MICROS != self._day or self._fd < 0:
                self._open(entries[0].at // _DAY_MICROS)
            self._write(data)
        except Exception as error:  # the orders are committed: whatever is wrong here, their buyers must be answered
            self._keep(data, entries)
            _complain("journal not written", error, orders=len(entries), missing=self.missing)
            return
        if self._flush == "second":
            self._dirty.set()

    def close(self) -> None:
        """Try once more to write what is waiting, flush, and let go of the file."""
        self._closing.set()
        self._dirty.set()
        if self._flusher is not None:
            self._flusher.join()
        try:
            if self._backlog and self._fd >= 0:
                self._write(b"")
            self._sync()
        except OSError as error:
            _complain("journal not written at the end", error, bytes_waiting=self._backlog_bytes)
        with self._guard:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _open(self, day: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        date = from_micros(day * _DAY_MICROS).date().isoformat()
        path = self._folder / f"{self._name}-{date}.jsonl"
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(fd).st_size
        self._is_torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        if size == 0:
            _sync_folder(self._folder)
        with self._guard:
            old, self._fd, self._day = self._fd, fd, day
            if old >= 0:
                os.fsync(old)
                os.close(old)
        if self._flusher is None and self._flush == "second":
            self._flusher = threading.Thread(target=self._flush_each_second, name="journal", daemon=True)
            self._flusher.start()

    def _write(self, data: bytes) -> None:
        """The backlog, a gap if there is one, and the new lines, in one write.

        What got through only in part is written again with the next batch: a line that is there twice says no more than once.
        """
        if self._is_torn or self._backlog or self._gap_orders:
            gap = _encoder.encode_lines([JournalGap(self._gap_since, self._gap_orders)]) if self._gap_orders else b""
            data = b"".join([TORN if self._is_torn else b"", *self._backlog, gap, data])
        written = os.write(self._fd, data)
        if written < len(data):
            self._is_torn = data[written - 1 : written] != b"\n"
            raise OSError(28, "short write")
        self._is_torn = False
        self._backlog, self._backlog_bytes, self._gap_orders = [], 0, 0
        if self._flush == "always":
            os.fdatasync(self._fd)

    def _keep(self, data: bytes, entries: Sequence[JournalEntry | JournalAttempt]) -> None:
        self.failures += 1
        if self._gap_orders or self._backlog_bytes + len(data) > BACKLOG_BYTES_MAX:
            self._gap_since = self._gap_since if self._gap_orders else entries[0].at
            self._gap_orders += len(entries)
            self.missing += len(entries)
        else:
            self._backlog.append(data)
            self._backlog_bytes += len(data)

    def _flush_each_second(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            try:
                self._sync()
            except OSError as error:
                self.failures += 1
                _complain("journal not flushed", error)
            self._closing.wait(FLUSH_SECONDS)

    def _sync(self) -> None:
        with self._guard:
            fd = os.dup(self._fd) if self._fd >= 0 else -1
        if fd >= 0:
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)


@dataclass(slots=True)
class JournalReading:
    """What was met while reading, beside the entries."""

    files: int = 0
    entries: int = 0
    torn: int = 0
    """Lines that broke off: the process died before it answered anybody, or power was lost."""
    damaged: int = 0
    """Other lines that cannot be read."""
    missing: int = 0
    """Orders that the journal itself says it lacks."""

    @property
    def is_complete(self) -> bool:
        return not self.damaged and not self.missing


def journal_files(folders: Iterable[Path], since: datetime) -> list[Path]:
    """The files of all nodes that may hold entries of that moment or later, oldest day first."""
    first_day = (since.astimezone(UTC) - timedelta(days=1)).date().isoformat()
    found = []
    for folder in folders:
        for path in folder.glob("*.jsonl"):
            match = _FILE.fullmatch(path.name)
            if match and match[1] >= first_day:
                found.append((match[1], path))
    return [path for _, path in sorted(found)]


def read_journal(paths: Iterable[Path], since_micros: int, reading: JournalReading) -> Iterator[JournalEntry]:
    """The entries of that moment or later, streamed; what else is met is counted in ``reading``."""
    for path in paths:
        reading.files += 1
        with path.open("rb") as lines:
            for line in lines:
                entry = _entry_of(line, reading)
                if entry is not None and entry.at >= since_micros:
                    reading.entries += 1
                    yield entry


def read_attempts(paths: Iterable[Path], since_micros: int) -> Iterator[JournalAttempt]:
    """The purchases of that moment or later, streamed."""
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                if line.startswith(_ATTEMPT_LINE):
                    with suppress(msgspec.DecodeError):  # a torn line: counted by whoever reads the entries
                        attempt = _decode_attempt(line)
                        if attempt.at >= since_micros:
                            yield attempt


def _entry_of(line: bytes, reading: JournalReading) -> JournalEntry | None:
    if line == b"\n":
        return None
    try:
        return _decode_entry(line)
    except msgspec.DecodeError:
        pass
    if line.startswith(_ATTEMPT_LINE) and line.endswith(b"]\n"):
        return None
    try:
        reading.missing += _decode_gap(line).orders
    except msgspec.DecodeError:
        if line.endswith(b"\n") and not line.endswith(TORN):
            reading.damaged += 1
        else:
            reading.torn += 1
    return None


def _complain(event: str, error: Exception, **facts: object) -> None:
    """Log without a traceback (it comes with every batch), and without failing where the log itself is on the full disk."""
    with suppress(Exception):
        log.error(event, error=getattr(error, "strerror", None) or type(error).__name__, **facts)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def newest_entry(folder: Path, name: str | None = None) -> int | None:
    """When the newest line (of this ``Journal.name``'s files) was written for, looking only at the end of the newest day's files."""
    files = [
        (match[1], path)
        for path in folder.glob("*.jsonl")
        if (match := _FILE.fullmatch(path.name)) and name in (None, path.name[: match.start(1) - 1])
    ]
    newest_day = max((day for day, _ in files), default="")
    newest = []
    for _, path in (one for one in files if one[0] == newest_day):
        with path.open("rb") as lines:
            lines.seek(max(0, path.stat().st_size - _END_BYTES))
            entries = [entry for line in lines if (entry := _entry_of(line, JournalReading()))]
        newest += [max(entry.at for entry in entries)] if entries else []
    return max(newest, default=None)
