"""Rotating the master key: the data keys of lots and the service keys are wrapped anew; no code is touched.

The new key is on disk before anything is wrapped by it. A rotation that was cut short is finished by the next one, without another key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cardrail.kernel import Clock, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx
from cardrail.vault import store
from cardrail.vault.errors import KeyInUse, MasterKeyNotFound, NoNewMasterKey
from cardrail.vault.keys import Keyring, check_keys, register_keys
from cardrail.vault.read_file import Progress

BATCH: Final = 1_000
"""Lots in one transaction."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    number: int
    """The key that wraps everything now."""
    retired: tuple[int, ...]
    """The keys that wrap nothing any more, and may be dropped."""
    lots: int
    service_keys: int


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A master key, as the database and this process know it."""

    number: int
    is_current: bool
    is_at_hand: bool
    wraps: int
    """Lots and service keys."""
    created_at: int | None
    retired_at: int | None


def rotate_master_key(
    db: Database, clock: Clock, keyring: Keyring, audit: AuditLog, *, actor: str, progress: Progress | None = None
) -> Rotation:
    """Make a new key current (a new one in the key file; the highest one given, where keys come from the environment).

    Raises NoNewMasterKey where the environment gives no new key, MissingMasterKey, WrongMasterKey; KeyNumberTaken, or one of the former
    two, where another rotation was quicker: nothing is wrapped then.
    """
    number = _prepare(db, keyring)

    def begin(tx: Tx) -> tuple[int, int]:
        register_keys(tx, keyring, [number], to_micros(clock.now()))
        check_keys(tx, keyring)  # somebody else may have registered that number first, with another key
        store.retire_below(tx, number, to_micros(clock.now()))
        keys = store.service_keys_to_rewrap(tx, number)
        rows = [(keyring.wrap(number, keyring.unwrap(old, wrapped)), number, name) for name, wrapped, old in keys]
        store.rewrap_service_keys(tx, rows)
        pending = sum(count for old, count in store.count_wrapped(tx).items() if old != number)
        details = {"number": number, "lots": pending, "service_keys": len(rows)}
        audit.append(tx, [audit_entry(clock.now(), actor, "master_key.rotated", str(number), details=details)])
        return len(rows), pending

    service_keys, pending = in_tx(db, begin)
    lots = _rewrap_lots(db, keyring, number, pending, progress)
    with db.read() as tx:
        retired = tuple(one.number for one in store.load_master_keys(tx) if one.retired_at is not None)
    return Rotation(number, retired, lots, service_keys)


def _prepare(db: Database, keyring: Keyring) -> int:
    """The number to rotate to; it is in the key file when this returns."""

    def look(tx: Tx) -> tuple[int, bool, int]:
        check_keys(tx, keyring)
        known = store.load_master_keys(tx)
        current = max(one.number for one in known if one.retired_at is None)
        is_unfinished = bool(store.numbers_in_use(tx) - {current})
        return current, is_unfinished, max(one.number for one in known)

    current, is_unfinished, highest = in_tx(db, look)
    if is_unfinished:
        return current
    if keyring.current > current:
        return keyring.current
    if keyring.path is None:
        raise NoNewMasterKey(current=current)
    number = max(highest, keyring.current) + 1
    keyring.add(number)
    return number


def _rewrap_lots(db: Database, keyring: Keyring, number: int, pending: int, progress: Progress | None) -> int:
    after, done = "", 0

    def batch(tx: Tx) -> list[tuple[str, bytes, int]]:
        found = store.lots_to_rewrap(tx, number, after, BATCH)
        rows = [(keyring.wrap(number, keyring.unwrap(old, wrapped)), number, lot_id) for lot_id, wrapped, old in found]
        store.rewrap_lots(tx, rows)
        return found

    while found := in_tx(db, batch):
        after = found[-1][0]
        done += len(found)
        if progress is not None:
            progress("wrapping", done, max(done, pending))
    return done


def drop_master_key(db: Database, clock: Clock, keyring: Keyring, audit: AuditLog, number: int, *, actor: str) -> None:
    """Delete a key that wraps nothing any more, from the key file too. Backups made before its rotation can then no longer be read.

    Raises KeyInUse, MasterKeyNotFound where nobody knows that number.
    """

    def write(tx: Tx) -> None:
        known = {one.number: one for one in store.load_master_keys(tx)}
        if number not in known and number not in keyring.numbers:
            raise MasterKeyNotFound(number=number)
        wraps = store.count_wrapped(tx).get(number, 0)
        current = max(one.number for one in known.values() if one.retired_at is None)
        if wraps or number >= current:
            raise KeyInUse(number=number, wraps=wraps, current=current)
        store.delete_master_key(tx, number)
        audit.append(tx, [audit_entry(clock.now(), actor, "master_key.dropped", str(number))])

    in_tx(db, write)
    keyring.drop(number)  # after the commit: a crash in between leaves a key too many, never one too few


def list_master_keys(tx: Tx, keyring: Keyring) -> list[KeyStatus]:
    """Every key that the database or the keyring knows."""
    known = {one.number: one for one in store.load_master_keys(tx)}
    wraps = store.count_wrapped(tx)
    current = max((one.number for one in known.values() if one.retired_at is None), default=None)
    return [
        KeyStatus(
            number,
            number == current,
            number in keyring.numbers,
            wraps.get(number, 0),
            known[number].created_at if number in known else None,
            known[number].retired_at if number in known else None,
        )
        for number in sorted(known.keys() | keyring.numbers)
    ]
