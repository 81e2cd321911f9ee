"""The allocation journal survives what a process and a disk may do to it, and never stops an order."""

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cardrail.kernel import to_micros
from cardrail.storage import Journal, JournalEntry, JournalReading, journal_files, newest_entry, read_journal

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = to_micros(NOON)


def an_entry(number: int, at: int = AT) -> JournalEntry:
    return JournalEntry(at, f"ord_{number}", "par_1", "live", "INR", 9_500, [("lot_1", number, 1)])


def read(folder: Path, since: datetime = NOON) -> tuple[list[JournalEntry], JournalReading]:
    reading = JournalReading()
    return list(read_journal(journal_files([folder], since), to_micros(since), reading)), reading


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal", "host:8000")
    yield opened
    opened.close()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk looks like to one process."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_what_is_appended_is_read_back_as_it_was(journal: Journal) -> None:
    entries = [an_entry(1), JournalEntry(AT, "ord_2", "par_2", "test", "JPY", 0, [("lot_2", 5, 100), ("lot_3", 0, 7)])]
    journal.append(entries)
    assert read(journal.folder) == (entries, JournalReading(files=1, entries=2))


def test_folder_and_file_are_for_their_owner_only(journal: Journal) -> None:
    journal.append([an_entry(1)])
    (file,) = journal.folder.iterdir()
    assert file.name == "host_8000-2026-11-21.jsonl"
    assert (stat.S_IMODE(journal.folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


def test_each_day_has_its_file(journal: Journal) -> None:
    for day in range(3):
        journal.append([an_entry(day, AT + day * 86_400_000_000)])
    assert [one.name[-16:-6] for one in sorted(journal.folder.iterdir())] == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert [one.order_id for one in read(journal.folder)[0]] == ["ord_0", "ord_1", "ord_2"]


def test_older_entries_and_files_are_left_out(journal: Journal) -> None:
    for day in range(5):
        journal.append([an_entry(day, AT + day * 86_400_000_000)])
    entries, reading = read(journal.folder, datetime(2026, 11, 24, tzinfo=UTC))
    assert [one.order_id for one in entries] == ["ord_3", "ord_4"]
    assert reading.files == 3  # one day earlier too: clocks and midnights differ


def test_a_line_that_broke_off_is_counted_and_the_next_one_is_whole(journal: Journal) -> None:
    journal.append([an_entry(1), an_entry(2)])
    (file,) = journal.folder.iterdir()
    os.truncate(file, file.stat().st_size - 10)
    assert read(journal.folder) == ([an_entry(1)], JournalReading(files=1, entries=1, torn=1))
    again = Journal(journal.folder, "host:8000")
    again.append([an_entry(3)])
    again.close()
    entries, reading = read(journal.folder)
    assert (entries, reading.torn, reading.damaged, reading.is_complete) == ([an_entry(1), an_entry(3)], 1, 0, True)


def test_a_line_that_was_tampered_with_makes_the_journal_incomplete(journal: Journal) -> None:
    journal.append([an_entry(1), an_entry(2)])
    (file,) = journal.folder.iterdir()
    file.write_bytes(file.read_bytes().replace(b'"ord_1"', b'"ord_1', 1))
    entries, reading = read(journal.folder)
    assert (entries, reading.damaged, reading.is_complete) == ([an_entry(2)], 1, False)


def test_a_full_disk_stops_nobody_and_loses_nothing_that_is_written_later(journal: Journal) -> None:
    journal.append([an_entry(1)])
    with no_file_larger_than(100):
        journal.append([an_entry(2), an_entry(3)])
        journal.append([an_entry(4)])
    assert journal.failures == 2
    journal.append([an_entry(5)])
    entries, reading = read(journal.folder)
    assert {one.order_id for one in entries} == {f"ord_{number}" for number in range(1, 6)}
    assert reading.is_complete


def test_what_no_longer_fits_into_memory_is_on_record(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardrail.storage.journal.BACKLOG_BYTES_MAX", 100)
    journal.append([an_entry(1)])
    with no_file_larger_than(0):
        for number in range(2, 6):
            journal.append([an_entry(number)])
    journal.append([an_entry(6)])
    entries, reading = read(journal.folder)
    assert {one.order_id for one in entries} == {"ord_1", "ord_2", "ord_6"}
    assert (reading.missing, journal.missing, reading.is_complete) == (3, 3, False)


def test_a_killed_process_leaves_its_lines_behind(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from cardrail.storage import Journal, JournalEntry
Journal(Path({str(tmp_path)!r}), "main").append([JournalEntry({AT}, "ord_1", "par_1", "live", "INR", 9_500, [("lot_1", 1, 1)])])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert read(tmp_path)[0] == [an_entry(1)]


def test_always_flushes_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: flushed.append(os.fstat(fd).st_size))
    journal = Journal(tmp_path, "main", flush="always")
    journal.append([an_entry(1)])
    assert flushed == [next(tmp_path.iterdir()).stat().st_size]
    journal.close()


def test_the_newest_line_is_found_from_the_end(journal: Journal) -> None:
    assert newest_entry(journal.folder) is None
    journal.append([an_entry(number, AT + number) for number in range(10_000)])
    assert newest_entry(journal.folder) == AT + 9_999
