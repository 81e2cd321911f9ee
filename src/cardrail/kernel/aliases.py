"""The same id in another dress: what callers see who were built for ids of another shape (RFC 9562 UUIDs, 24 hex digits, numbers).

An id's body is a UUID in base 32, so a UUID and an id are the same thing, both ways. Its first 96 bits are its time and the counter
that a process moves on with each id, so 24 hex digits are one id of a partner, and name a range of ids to look it up by. A number has
53 bits, which is what every reader of JSON counts exactly; it is stored with what it names, because it does not lead back.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_SHIFTS: Final = tuple(range(120, -1, -10))
_AS_PYTHON: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # the digits that int() reads in base 32
_HEX24: Final = re.compile(r"[0-9a-f]{24}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOW_BITS: Final = (1 << 32) - 1

NUMBER_MAX: Final = 2**53 - 1


@lru_cache(maxsize=8_192)
def uuid_of(own_id: str) -> str:
    """The id's body as a UUID, lower case with hyphens."""
    return str(UUID(int=_number_in(own_id)))


def id_of_uuid(prefix: str, uuid: str) -> str | None:
    """The id whose UUID this is; None for what has not the form of one (lower case, hyphens)."""
    text = uuid.lower()
    return f"{prefix}_{_body_of(UUID(text).int)}" if _UUID.fullmatch(text) else None


@lru_cache(maxsize=8_192)
def base32_of(own_id: str) -> str:
    """The id's 128 bits as 26 characters of RFC 4648's base 32, without padding."""
    return base64.b32encode(_number_in(own_id).to_bytes(16)).decode().rstrip("=")


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


def _number_in(own_id: str) -> int:
    return int(own_id[-26:].translate(_AS_PYTHON), 32)


def _body_of(number: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
