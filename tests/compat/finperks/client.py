"""A small Finperks client, written from the fact sheet alone: it knows nothing of who answers."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2


class Refused(Exception):
    """The API said no: decide on status and code, never on the text."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body
        self.error_class = body.get("error_class") or body.get("class")
        self.code = body.get("error_code") or body.get("code")
        super().__init__(f"{status} {self.error_class}/{self.code}")


def sign(secret: str, method: str, url: str, date: str, key: str, body: bytes) -> str:
    """Section 1.2: seven lines, HMAC-SHA256, lower-case hex."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    lines = [f"{parts.hostname}:{port}", method, parts.path, parts.query, date, key, hashlib.sha256(body).hexdigest()]
    return hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def http_date(moment: datetime) -> str:
    """RFC 7231."""
    return format_datetime(moment, usegmt=True)


class FinperksClient:
    """Signs, sends, and reads the answer leniently (section 1.3)."""

    def __init__(self, base_url: str, client_id: str, client_secret: str) -> None:
        self.base_url = base_url
        self.client_id = client_id
        self.secret = client_secret
        self.http = httpx2.Client(trust_env=False)

    def close(self) -> None:
        self.http.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        date: datetime | None = None,
        headers: dict[str, str] | None = None,
        signature: str | None = None,
    ) -> httpx2.Response:
        """One signed request, and whatever comes back."""
        url = self.base_url + path
        content = raw if raw is not None else b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        when = http_date(date or datetime.now(UTC))
        signed = signature or sign(self.secret, method, url, when, key or "", content)
        sent = {"Date": when, "Authorization": f"FP1-HMAC-SHA256 KeyId={self.client_id}, Signature={signed}"}
        if key is not None:
            sent["Idempotency-Key"] = key
        if content:
            sent["Content-Type"] = "application/json"
        return self.http.request(method, url, content=content, headers=sent | (headers or {}))

    def send_and_hang_up(self, path: str, body: Any, *, key: str) -> None:
        """A POST whose answer nobody reads: the connection is closed as soon as the request is out."""
        url, when = self.base_url + path, http_date(datetime.now(UTC))
        content = json.dumps(body, separators=(",", ":")).encode()
        signed = sign(self.secret, "POST", url, when, key, content)
        parts = urlsplit(url)
        head = [
            f"POST {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Date: {when}",
            f"Authorization: FP1-HMAC-SHA256 KeyId={self.client_id}, Signature={signed}",
            f"Idempotency-Key: {key}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
        ]
        with socket.create_connection((str(parts.hostname), parts.port or 80), timeout=60) as wire:
            wire.sendall("\r\n".join([*head, "", ""]).encode() + content)

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The answer's JSON. Raises Refused."""
        answer = self.send(method, path, body, key=key)
        if answer.status_code >= 400:
            raise Refused(answer.status_code, answer.json())
        return answer.json() if answer.content else None

    # --- what a shop does -------------------------------------------------------------------------------------------------

    def products(self) -> list[Any]:
        return self._list(self.ask("GET", "/products"))

    def available(self, currency: str) -> str:
        return str(self.ask("GET", f"/balances/{currency}")["available_amount"])

    def buy(self, product: Any, amount: str, key: str, **more: Any) -> Any:
        """One card. ``key`` was written down with the sale before (section 6.1)."""
        return self.ask("POST", "/orders", self.order_for(product, amount, **more), key=key)

    @staticmethod
    def order_for(product: Any, amount: str, **more: Any) -> dict[str, Any]:
        """The body of an order (section 2.1)."""
        order = {
            "product_code": product["code"],
            "customer": {"id": "shopper-9081"},
            "country": product["countries"][0],
            "face_value": {"currency": product["currency"], "amount": amount},
            "processing_mode": "sync",
            "delivery_method": {"type": product["delivery_methods"][0]},
        }
        return order | more

    def order(self, order_id: str) -> Any:
        return self.ask("GET", f"/orders/{order_id}")

    def wait_for(self, order_id: str, seconds: float = 60) -> Any:
        """Poll until processing is over."""
        until = time.monotonic() + seconds
        while (found := self.order(order_id))["state"] == "processing":
            if time.monotonic() > until:
                raise TimeoutError(order_id)
            time.sleep(0.05)
        return found

    def invalidate(self, order_id: str) -> Any:
        """Section 6.1, step 9: what is invalidated already is a success."""
        try:
            return self.ask("POST", f"/orders/{order_id}/actions/invalidate")
        except Refused as refusal:
            if refusal.code != "order_invalidated":
                raise
            return self.order(order_id)

    @staticmethod
    def _list(answer: Any) -> list[Any]:
        """Section 2.10: a bare array, or an object with one."""
        if isinstance(answer, list):
            return answer
        arrays = [value for value in answer.values() if isinstance(value, list)]
        assert len(arrays) == 1
        found: list[Any] = arrays[0]
        return found
