"""``X-Signature`` of the second generation: HMAC-SHA256 over five lines (specs/starship.md, section 1.4)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

_SIGNATURE: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


class Signed(NamedTuple):
    """What of a request is signed."""

    method: str
    paths: tuple[str, ...]
    """Below the dialect's root, and as it was sent: the caller's base URL may have a path of its own."""
    query: str
    body: bytes


def canonical(method: str, path: str, query: str, body: bytes, timestamp: int) -> bytes:
    """What is signed: method, path, query sorted by key, hash of the body, time; one line each, without an end of line at the end."""
    pairs = sorted([one for one in query.split("&") if one], key=lambda one: one.partition("=")[0])
    lines = (method.upper(), path, "&".join(pairs), hashlib.sha256(body).hexdigest(), str(timestamp))
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def sign(secret: str, method: str, path: str, query: str, body: bytes, timestamp: int) -> str:
    """``v1`` of a request."""
    return hmac.new(secret.encode(), canonical(method, path, query, body, timestamp), hashlib.sha256).hexdigest()


def is_signed(header: str | None, secret: str, signed: Signed, now: float, tolerance: int) -> bool:
    """Whether the header signs the request, by one of the paths that the caller may take for its own, no longer ago than allowed."""
    found = _SIGNATURE.fullmatch(header or "")
    if found is None:
        return False
    timestamp = int(found.group(1))
    if abs(now - timestamp) > tolerance:
        return False
    made = [sign(secret, signed.method, path, signed.query, signed.body, timestamp) for path in signed.paths]
    return any(hmac.compare_digest(one, found.group(2)) for one in made)
