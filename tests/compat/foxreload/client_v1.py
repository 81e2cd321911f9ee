"""A shop's client of FoxReload's surface V1, written from the fact sheet (sections 1.2, 2.2, 3.2 and 4) and from nothing else."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx2

TOLERANCE_SECONDS = 300


class Refusal(Exception):
    """The supplier said no, with a code."""

    def __init__(self, status: int, code: str, message: str, retry_after: int | None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.retry_after = retry_after


class V1Client:
    """Catalog, orders, refunds, replacements, balance, webhooks. ``keys`` is the shop's table of reference → key."""

    def __init__(self, base_url: str, key: str, transport: httpx2.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self.http = httpx2.Client(base_url=base_url, headers=headers, timeout=60, transport=transport)
        self.keys: dict[str, str] = {}

    def catalog(self) -> Iterator[dict[str, Any]]:
        yield from self._pages("/v1/catalog", {"limit": "2"})

    def sku(self, sku_id: str) -> dict[str, Any]:
        return self._get(f"/v1/catalog/{sku_id}")

    def stock(self) -> dict[str, int]:
        return {one["sku_id"]: one["stock"] for one in self._get("/v1/catalog/inventory")["items"]}

    def available(self, currency: str = "USD") -> Decimal:
        balances = self._get("/v1/balance")["balances"]
        return next((Decimal(one["available"]) for one in balances if one["currency"] == currency), Decimal(0))

    def order(self, sku: str, quantity: int, reference: str) -> dict[str, Any]:
        """Buy. The key is kept before the first try and used for every further one."""
        key = self.keys.setdefault(reference, str(uuid4()))
        wanted = {"sku": sku, "quantity": quantity, "currency": "USD", "reference": reference}
        for _ in range(3):
            try:
                return self._read(self.http.post("/v1/orders", json=wanted, headers={"Idempotency-Key": key}))
            except httpx2.TransportError:
                continue
        raise TimeoutError("no answer in three tries")

    def state(self, order_id: str) -> dict[str, Any]:
        return self._get(f"/v1/orders/{order_id}")

    def wait(self, order: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """Ask until the order is delivered or failed."""
        until = time.monotonic() + seconds
        while order["status"] not in ("delivered", "failed") and time.monotonic() < until:
            order = self.state(order["order_id"])
            time.sleep(0.02)
        return order

    def history(self, **query: str) -> list[dict[str, Any]]:
        return list(self._pages("/v1/orders", {"limit": "2", **query}))

    def refund(self, order_id: str, amount: Decimal, reason: str) -> dict[str, Any]:
        wanted = {"order_id": order_id, "amount_usd": str(amount), "reason": reason}
        return self._read(self.http.post("/v1/refunds", json=wanted))

    def replace(self, order_id: str, code_index: int, reason: str, evidence: str) -> dict[str, Any]:
        wanted = {"reason": reason, "code_index": code_index, "evidence": evidence}
        return self._read(self.http.post(f"/v1/orders/{order_id}/replacement", json=wanted))

    def register(self, **wanted: Any) -> dict[str, Any]:
        return self._read(self.http.post("/v1/webhooks", json=wanted))

    def replay(self, webhook_id: str, **wanted: Any) -> dict[str, Any]:
        return self._read(self.http.post(f"/v1/webhooks/{webhook_id}/replay", json=wanted))

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        while True:
            page = self._get(path, **query)
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            query = query | {"cursor": page["next_cursor"]}

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._read(self.http.get(path, params=query))

    @staticmethod
    def _read(answer: httpx2.Response) -> dict[str, Any]:
        body: dict[str, Any] = answer.json()
        if answer.status_code not in (200, 201):
            wait = answer.headers.get("retry-after")
            raise Refusal(answer.status_code, body["error"], body.get("message", ""), int(wait) if wait else None)
        return body


def is_genuine(secret: str, header: str, body: bytes, now: float, *, accept_body_alone: bool = False) -> bool:
    """Whether a webhook was signed with the secret, not more than five minutes ago (section 4.4)."""
    parts = [one.split("=", 1) for one in header.split(",") if "=" in one]
    times = [value for name, value in parts if name == "t" and value.isdigit()]
    if not times or abs(now - int(times[0])) > TOLERANCE_SECONDS:
        return False
    signed = [times[0].encode() + b"." + body] + ([body] if accept_body_alone else [])
    expected = [hmac.new(secret.encode(), one, hashlib.sha256).hexdigest() for one in signed]
    return any(hmac.compare_digest(value, one) for name, value in parts if name == "v1" for one in expected)
