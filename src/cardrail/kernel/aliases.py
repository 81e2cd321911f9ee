"""The same id in another dress: what callers see who were built for ids of another shape (RFC 9562 UUIDs, 24 hex digits, numbers).

An id's body is a UUID in base 32, so a UUID and an id are the same thing, both ways. Its first 96 bits are its time and the counter
that a process moves on with each id, so 24 hex digits are one id of a partner, and name a range of ids to look it up by. A number has
53 bits, which is what every reader of JSON counts exactly; it is stored with what it names, because it does not lead back. Most are a
hash of the id; one that is made with its row, for thousands of rows a second, is a time instead, because then their index grows at its
end, and a batch of orders touches one page of it and not as many as it has orders.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from functools import lru_cache
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_RFC_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_RFC_PAIRS: Final = [a + b for a in _RFC_ALPHABET for b in _RFC_ALPHABET]
_SHIFTS: Final = tuple(range(120, -1, -10))
_AS_PYTHON: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # the digits that int() reads in base 32
_HEX24: Final = re.compile(r"[0-9a-f]{24}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOW_BITS: Final = (1 << 32) - 1

NUMBER_MAX: Final = 2**53 - 1

_TIMES_FROM: Final = 2**52
_EPOCH_NANOS: Final = 1_767_225_600_000_000_000  # 2026
_TICK_NANOS: Final = 500  # 52 bits of half microseconds last until 2097
_guard: Final = threading.Lock()
_newest = 0


@lru_cache(maxsize=8_192)
def uuid_of(own_id: str) -> str:
    """The id's body as a UUID, lower case with hyphens."""
    return str(UUID(int=_number_in(own_id)))


def id_of_uuid(prefix: str, uuid: str) -> str | None:
    """The id whose UUID this is; None for what has not the form of one (lower case, hyphens)."""
    text = uuid.lower()
    return f"{prefix}_{_body_of(UUID(text).int)}" if _UUID.fullmatch(text) else None


def base32_of(own_id: str) -> str:
    """The id's 128 bits as 26 characters of RFC 4648's base 32, without padding."""
    number = _number_in(own_id) << 2
    return "".join([_RFC_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


@lru_cache(maxsize=8_192)
def hex24_of(own_id: str) -> str:
    """24 lower-case hex digits: the first 96 bits of the id."""
    return f"{_number_in(own_id) >> 32:024x}"


@lru_cache(maxsize=8_192)
def ids_of_hex24(prefix: str, hex24: str) -> tuple[str, str] | None:
    """The first and the last id that these 24 hex digits can mean; None for what is not of that form."""
    if not _HEX24.fullmatch(hex24):
        return None
    first = int(hex24, 16) << 32
    return f"{prefix}_{_body_of(first)}", f"{prefix}_{_body_of(first | _LOW_BITS)}"


@lru_cache(maxsize=8_192)
def number_of(own_id: str, attempt: int = 0) -> int:
    """A number from 1 to 2^53 − 1 for the id, always the same; ``attempt`` gives another one if that is somebody else's."""
    digest = hashlib.blake2b(f"{own_id}\0{attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % NUMBER_MAX + 1


def new_number() -> int:
    """A number from 2^52 to 2^53 − 1: the time, moved on where this process gave it already, so that later ones are larger.

    It says when it was made and not how many there are. Another process may make the same one: whoever stores it must be able to do
    without (``number_of`` is another).
    """
    global _newest  # noqa: PLW0603  # one sequence for all threads of the process
    number = _TIMES_FROM + (time.time_ns() - _EPOCH_NANOS) // _TICK_NANOS
    with _guard:
        _newest = number = number if number > _newest else _newest + 1
    return number


def _number_in(own_id: str) -> int:
    return int(own_id[-26:].translate(_AS_PYTHON), 32)


def _body_of(number: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
