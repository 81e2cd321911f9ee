"""``X-Signature``: HMAC-SHA256 over method, path, sorted query, hash of the body and time (specs/starship.md, section 1.4)."""

from __future__ import annotations

import hashlib
import hmac


def sign(secret: str, method: str, path: str, query: str, body: bytes, timestamp: int) -> str:
    """The header's value."""
    pairs = sorted([one for one in query.split("&") if one], key=lambda one: one.partition("=")[0])
    lines = (method, path, "&".join(pairs), hashlib.sha256(body).hexdigest(), str(timestamp))
    made = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={made}"
