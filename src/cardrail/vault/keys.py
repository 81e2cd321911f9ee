"""Master keys: numbered, 32 bytes each, kept outside the database; they wrap the data keys of lots and the service keys, nothing else.

The database says which number is current (the highest that is not retired), so that a process that has not seen a rotation yet cannot
wrap with a key that is about to go. A keyring that came from a file reads it again when it meets a number that it does not know.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from cardrail.kernel import Clock, to_micros
from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.errors import (
    InvalidKeyText,
    KeyFileExists,
    KeyFileExposed,
    KeyFileUnreadable,
    KeyNumberTaken,
    MissingMasterKey,
    WrongMasterKey,
)

KEY_BYTES: Final = 32
FINGERPRINT_KEY: Final = "fingerprint"
"""The service key that fingerprints are made with."""
_CHECK: Final = b"cardrail master key check value."  # 32 bytes, wrapped: opens only with the same key
_HEADER: Final = (
    "# Cardrail master keys, number:base64, the highest is current.\n"
    "# Whoever has this file and the database can read every code; whoever loses it can read none. Keep a copy elsewhere.\n"
)


class MasterKeys(Protocol):
    """Where master keys live: here a key file or the environment; an adapter for a KMS has these three members and no more."""

    @property
    def numbers(self) -> frozenset[int]:
        """The keys at hand."""
        ...

    def wrap(self, number: int, key: bytes) -> bytes:
        """A data key, wrapped. Raises MissingMasterKey."""
        ...

    def unwrap(self, number: int, wrapped: bytes) -> bytes:
        """The data key. Raises MissingMasterKey, or WrongMasterKey where the wrapping does not open."""
        ...


class Keyring:
    """Master keys in this process's memory."""

    def __init__(self, keys: Mapping[int, bytes], path: Path | None = None) -> None:
        if not keys or any(len(key) != KEY_BYTES or number < 1 for number, key in keys.items()):
            raise InvalidKeyText
        self._keys = dict(keys)
        self.path = path
        """The file that the keys came from; None where they came from the environment."""

    def __repr__(self) -> str:
        return f"Keyring(numbers={sorted(self._keys)})"

    @classmethod
    def from_file(cls, path: Path) -> Keyring:
        """The keys of a key file. Raises KeyFileUnreadable, KeyFileExposed, InvalidKeyText."""
        return cls(_read_key_file(path), path)

    @classmethod
    def from_text(cls, text: str) -> Keyring:
        """The keys of "1:base64,2:base64" (the environment). Raises InvalidKeyText."""
        return cls(parse_keys(text.replace(",", "\n")))

    @property
    def numbers(self) -> frozenset[int]:
        """The keys at hand."""
        return frozenset(self._keys)

    @property
    def current(self) -> int:
        """The highest number at hand."""
        return max(self._keys)

    def wrap(self, number: int, key: bytes) -> bytes:
        return aes_key_wrap(self._key(number), key)

    def unwrap(self, number: int, wrapped: bytes) -> bytes:
        try:
            return aes_key_unwrap(self._key(number), wrapped)
        except (InvalidUnwrap, ValueError):
            raise WrongMasterKey(number=number) from None

    def add(self, number: int) -> None:
        """Make a new key; where the keys came from a file, it is on disk before this returns. Raises KeyNumberTaken, KeyFileUnreadable."""
        with self._latest() as keys:
            if number in keys or number in self._keys:
                raise KeyNumberTaken(number=number)
            self._write({**keys, number: os.urandom(KEY_BYTES)})

    def drop(self, number: int) -> None:
        """Forget a key, in the file too, and no other. Whether anything needs it, the caller has checked."""
        with self._latest() as keys:
            self._write({other: key for other, key in keys.items() if other != number})

    @contextmanager
    def _latest(self) -> Iterator[dict[int, bytes]]:
        """The keys as the file has them now; nobody else changes it before the block ends."""
        if self.path is None:
            yield self._keys
            return
        with _locked(self.path):
            yield _read_key_file(self.path)

    def _write(self, keys: dict[int, bytes]) -> None:
        if self.path is not None:
            _replace_key_file(self.path, keys)
        self._keys = keys

    def _key(self, number: int) -> bytes:
        key = self._keys.get(number)
        if key is None and self.path is not None:
            self._keys = _read_key_file(self.path)
            key = self._keys.get(number)
        if key is None:
            raise MissingMasterKey(number=number)
        return key


def open_keyring(path: Path, text: str | None) -> Keyring:
    """The keys of the environment where it gives any (``text``), else of the key file. Raises KeyProblem's kinds."""
    return Keyring.from_text(text) if text else Keyring.from_file(path)


# --- the key file ------------------------------------------------------------------------------------------------------


def create_key_file(path: Path) -> Keyring:
    """Make a key file with one new key, readable by its owner only. Raises KeyFileExists: an existing one is never overwritten."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise KeyFileExists(path=path) from None
    except OSError as error:
        raise KeyFileUnreadable(path=path, reason=error.strerror) from None
    keys = {1: os.urandom(KEY_BYTES)}
    _write_and_sync(handle, keys)
    _sync_folder(path.parent)
    return Keyring(keys, path)


def parse_keys(text: str) -> dict[int, bytes]:
    """Number → key, from lines of number:base64; blank lines and lines that begin with # are skipped. Raises InvalidKeyText."""
    keys: dict[int, bytes] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        number, colon, encoded = line.strip().partition(":")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidKeyText from None
        if not (colon and number.isascii() and number.isdigit() and len(key) == KEY_BYTES) or int(number) in keys:
            raise InvalidKeyText
        keys[int(number)] = key
    if not keys:
        raise InvalidKeyText
    return keys


def _read_key_file(path: Path) -> dict[int, bytes]:
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise KeyFileExposed(path=path, mode=f"{stat.S_IMODE(mode):04o}")
            text = file.read()
    except OSError as error:
        raise KeyFileUnreadable(path=path, reason=error.strerror) from None
    except UnicodeDecodeError:
        raise InvalidKeyText(path=path) from None
    return parse_keys(text)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One change of the key file at a time. The lock is a file beside it, because the key file itself is replaced."""
    try:
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise KeyFileUnreadable(path=path, reason=error.strerror) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # and with it the lock


def _replace_key_file(path: Path, keys: Mapping[int, bytes]) -> None:
    """Write the whole file anew beside the old one, then put it in its place: a crash leaves one of the two, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        _write_and_sync(handle, keys)
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise KeyFileUnreadable(path=path, reason=error.strerror) from None


def _write_and_sync(handle: int, keys: Mapping[int, bytes]) -> None:
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(_HEADER)
        for number in sorted(keys):
            file.write(f"{number}:{base64.b64encode(keys[number]).decode()}\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- the database's side -----------------------------------------------------------------------------------------------


def check_keys(tx: Tx, keyring: MasterKeys, clock: Clock | None = None) -> None:
    """Whether the keys at hand are the database's; the first run registers them. For start-up, before anything is served.

    Raises MissingMasterKey with the number that is needed, WrongMasterKey with the number that is not this database's.
    """
    registered = store.load_master_keys(tx)
    if not registered:
        at = to_micros(clock.now()) if clock is not None else 0
        register_keys(tx, keyring, sorted(keyring.numbers), at)
        return
    needed = {one.number for one in registered if one.retired_at is None} | store.numbers_in_use(tx)
    for one in registered:
        if one.number in keyring.numbers:
            if keyring.unwrap(one.number, one.check_value) != _CHECK:
                raise WrongMasterKey(number=one.number)
        elif one.number in needed:
            raise MissingMasterKey(number=one.number)


def register_keys(tx: Tx, keyring: MasterKeys, numbers: list[int], at: int) -> None:
    """Make the keys known to the database; the highest becomes current."""
    store.insert_master_keys(tx, [(number, keyring.wrap(number, _CHECK), at) for number in numbers])


def current_number(tx: Tx, keyring: MasterKeys) -> int:
    """The number to wrap new keys with: the database's newest that is not retired. It cannot be retired before this transaction ends."""
    number = store.lock_current_number(tx)
    if number is None:
        check_keys(tx, keyring)
        number = store.lock_current_number(tx)
    if number is None:
        raise MissingMasterKey
    return number


def service_key(tx: Tx, keyring: MasterKeys, name: str) -> bytes:
    """The installation's own key for a purpose (fingerprint, audit, cursor), made on first use. It never changes; its wrapping does."""
    found = store.load_service_key(tx, name)
    if found is None:
        number = current_number(tx, keyring)
        store.insert_service_key(tx, [(name, keyring.wrap(number, os.urandom(KEY_BYTES)), number)])
        found = store.load_service_key(tx, name)
        assert found is not None
    wrapped, number = found
    return keyring.unwrap(number, wrapped)
