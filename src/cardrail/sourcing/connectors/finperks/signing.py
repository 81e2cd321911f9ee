"""Signing requests with FP1-HMAC-SHA256 (specs/finperks.md, section 1.2). What is signed is inferred there, so it is here alone."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import urlsplit

from cardrail.kernel import Secret

SCHEME: Final = "FP1-HMAC-SHA256"


class Signer:
    """Signs for one base URL and client. ``with_port``: whether the host line has the port (section 7.4)."""

    def __init__(self, base_url: str, client_id: str, secret: Secret, *, with_port: bool = True) -> None:
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._host_line = f"{parts.hostname}:{port}" if with_port else str(parts.hostname)
        self._root = parts.path.rstrip("/")
        self._client_id = client_id
        self._secret = secret

    def headers(self, method: str, path: str, body: bytes, key: str | None, now: datetime) -> dict[str, str]:
        """The headers of a signed request; ``path`` is below the base URL and begins with a slash."""
        date = format_datetime(now.astimezone(UTC), usegmt=True)
        digest = hashlib.sha256(body).hexdigest()
        lines = [self._host_line, method, self._root + path, "", date, key or "", digest]
        signature = hmac.digest(self._secret.reveal().encode(), "\n".join(lines).encode(), "sha256").hex()
        found = {"date": date, "authorization": f"{SCHEME} KeyId={self._client_id}, Signature={signature}"}
        if key is not None:
            found["idempotency-key"] = key
        if body:
            found["content-type"] = "application/json"
        return found
