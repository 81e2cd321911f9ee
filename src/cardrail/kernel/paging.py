"""Opaque cursors: a place in one list of one partner, sealed so that it works nowhere else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cardrail.kernel.errors import CardrailError

_TAG_BYTES: Final = 9

T = TypeVar("T")


class InvalidCursor(CardrailError):
    """The cursor was not made by this list with these filters; start again without one."""

    code = "invalid_cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and where the next ones start (None at the end)."""

    items: list[T]
    after: str | None


class CursorSealer:
    """Makes and opens cursors. ``scope`` is whatever the cursor must not survive a change of: partner, list, filters."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.blake2b(b"cursor", key=key[:64]).digest()

    def seal(self, scope: str, position: str) -> str:
        body = position.encode()
        return base64.urlsafe_b64encode(self._tag(scope, body) + body).decode().rstrip("=")

    def open(self, scope: str, cursor: str) -> str:
        """The position in the cursor. Raises InvalidCursor."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidCursor from None
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(scope, body)):
            raise InvalidCursor
        return body.decode()

    def _tag(self, scope: str, body: bytes) -> bytes:
        return hashlib.blake2b(scope.encode() + b"\0" + body, key=self._key, digest_size=_TAG_BYTES).digest()
