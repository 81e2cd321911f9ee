"""A shop's client of FoxReload's generic surface, written from the fact sheet (sections 1.1, 2.1 and 5.2) and from nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2


class Refusal(Exception):
    """The supplier said no, with a code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code


class GenericClient:
    """Catalog, stock, price, order, state, balance, reconciliation."""

    def __init__(self, base_url: str, key: str, transport: httpx2.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self.http = httpx2.Client(base_url=base_url, headers=headers, timeout=60, transport=transport)

    def catalog(self) -> Iterator[dict[str, Any]]:
        """All skus, page after page."""
        yield from self._pages("/catalog", {"limit": "2"})

    def units(self, sku: str) -> int:
        """How many can be had at least."""
        return int(self._get(f"/stock/{sku}")["quantity_min"])

    def price(self, sku: str) -> Decimal:
        return Decimal(self._get(f"/prices/{sku}")["price"])

    def balance(self) -> Decimal:
        return Decimal(self._get("/balance")["balance"])

    def order(self, sku: str, quantity: int, reference: str) -> dict[str, Any]:
        """Buy. The reference is the customer's order, so the same call may be repeated when its answer is lost."""
        wanted = {"sku": sku, "quantity": quantity, "reference": reference}
        for _ in range(3):
            try:
                return self._read(self.http.post("/orders", json=wanted))
            except httpx2.TransportError:
                continue
        raise TimeoutError("no answer in three tries")

    def state(self, order_id: str) -> dict[str, Any]:
        return self._get(f"/orders/{order_id}")

    def wait(self, order: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """Ask until the order is no longer pending."""
        until = time.monotonic() + seconds
        while order["status"] == "pending" and time.monotonic() < until:
            time.sleep(0.05)
            order = self.state(order["order_id"])
        return order

    def reconciliation(self) -> list[dict[str, Any]]:
        return list(self._pages("/reconciliation", {"limit": "2"}))

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        while True:
            page = self._get(path, **query)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query = query | {"cursor": page["next_cursor"]}

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._read(self.http.get(path, params=query))

    @staticmethod
    def _read(answer: httpx2.Response) -> dict[str, Any]:
        body: dict[str, Any] = answer.json()
        if answer.status_code not in (200, 201):
            raise Refusal(answer.status_code, body["error"], body.get("message", ""))
        return body


def codes_of(order: dict[str, Any]) -> list[str]:
    """The codes that came; each slot stands for itself."""
    return [one["code"] for one in order["codes"] if one["code"] is not None]
