"""A small client of FoxReload's public API (surface P), written from the fact sheet alone: it knows nothing of who answers.

It does what the sheet asks of a connector: it decides on ``code``, keeps money as decimals, polls for results, and never repeats the
creation of an order before it has looked among its orders (section 5.6).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2

FINAL = ("completed", "cancelled", "failed")


class Refused(Exception):
    """The API said no."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body
        self.code = body.get("code") if isinstance(body, dict) else None
        super().__init__(f"{status} {self.code}")


class Unclear(Exception):
    """Nobody knows whether it happened."""


@dataclass
class Intent:
    """What is to be bought for one customer order, written down before the call."""

    reference: str
    items: list[dict[str, Any]]
    began: datetime
    order_id: str | None = None


@dataclass
class Bought:
    """What came of an intent."""

    order: dict[str, Any]
    codes: list[list[str]]
    errors: list[str | None]


@dataclass
class PublicClient:
    """One key of one account."""

    base_url: str
    key: str
    currency: str | None = None
    language: str | None = None
    transport: httpx2.BaseTransport | None = None
    intents: dict[str, Intent] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        headers = {"X-API-Key": self.key, "Accept": "application/json"}
        if self.currency is not None:
            headers["X-Currency"] = self.currency
        if self.language is not None:
            headers["X-Language"] = self.language
        self.http = httpx2.Client(
            base_url=self.base_url, headers=headers, timeout=60, trust_env=False, follow_redirects=False, transport=self.transport
        )

    def close(self) -> None:
        self.http.close()

    # --- reading (section 2.3) -------------------------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> Any:
        return self._answer(self.http.get(path, params=query))

    def categories(self) -> Iterator[dict[str, Any]]:
        """All of them, the ones on others too."""
        waiting: list[str | None] = [None]
        while waiting:
            parent = waiting.pop()
            for one in self._pages("/categories/", **({"parent_id_or_slug": parent} if parent else {})):
                waiting.append(one["id"])
                yield one

    def products(self) -> list[dict[str, Any]]:
        """The whole catalog, or nothing: pages to the end, and stop if a cursor repeats."""
        return list(self._pages("/products/", includeDescendants="true", limit=2))

    def _pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        while True:
            page = self.get(path, **query)
            yield from page["items"]
            cursor = page.get("nextCursor")
            if not cursor:
                return
            assert cursor not in seen, "the cursor repeats"
            seen.add(cursor)
            query["cursor"] = cursor

    def product(self, id_or_slug: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/products/{id_or_slug}")
        return found

    def available(self) -> Decimal:
        """What can be spent, in this client's currency."""
        (own,) = [one for one in self.get("/access/me/balances/") if self.currency in (None, one["currency"])][:1]
        return Decimal(own["available"])

    # --- buying (sections 5.6 and 4.6) -----------------------------------------------------------------------------------

    def buy(self, reference: str, items: list[dict[str, Any]], **facts: Any) -> Bought:
        """Product re-read, create, store the id, pay, poll, deliver. The same reference never buys twice."""
        intent = self.intents.get(reference) or Intent(reference, items, datetime.now(UTC))
        self.intents[reference] = intent
        if intent.order_id is None:
            intent.order_id = self._create(intent, facts)
        self.pay(intent.order_id)
        return self.deliver(self.poll(intent.order_id))

    def _create(self, intent: Intent, facts: dict[str, Any]) -> str:
        try:
            order = self.post("/orders/", {"items": intent.items, **facts})
        except Unclear:
            found = self._find(intent)
            if found is None:
                raise
            return found
        except Refused as refusal:
            if refusal.code != "ORDER_ALREADY_EXISTS":
                raise
            found = self._find(intent)
            assert found is not None
            return found
        return str(order["id"])

    def _find(self, intent: Intent) -> str | None:
        """The order of an intent whose answer was lost: same items, quantities and notes, made about then, bound to nothing else."""
        bound = {one.order_id for one in self.intents.values() if one is not intent}
        wanted = [(one["itemId"], one["quantity"], one.get("note")) for one in intent.items]
        since = (intent.began - timedelta(seconds=5)).isoformat()
        for order in self.get("/orders/", createdFrom=since)["items"]:
            found = [(one["itemId"], one["quantity"], one["note"]) for one in order["items"]]
            if found == wanted and order["id"] not in bound:
                return str(order["id"])
        return None

    def pay(self, order_id: str) -> None:
        """From the balance; if it is not possible, the order tells whether that matters."""
        try:
            self.post(f"/orders/{order_id}/pay", {"paymentProvider": None})
        except Unclear:
            if self.order(order_id)["status"] == "active":
                raise
        except Refused as refusal:
            is_paid = self.order(order_id)["status"] in ("paid", "processing", "completed")
            if refusal.code != "ORDER_PAYMENT_NOT_POSSIBLE" or not is_paid:
                raise

    def poll(self, order_id: str, *, at_most: float = 60) -> dict[str, Any]:
        """Ask until it is final, each time waiting somewhat longer."""
        wait, deadline = 0.05, time.monotonic() + at_most
        while True:
            order = self.order(order_id)
            if order["status"] in FINAL or time.monotonic() > deadline:
                return order
            self.waits.append(wait)
            time.sleep(wait)
            wait = min(wait * 1.5, 1.0)

    def order(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/orders/{order_id}")
        return found

    @staticmethod
    def deliver(order: dict[str, Any]) -> Bought:
        """The codes of each item, and what is wrong with it."""
        codes = [[str(one) for one in item.get("externalData") or []] for item in order["items"]]
        return Bought(order, codes, [item.get("error") for item in order["items"]])

    def post(self, path: str, body: Any) -> Any:
        """Never repeated by itself. Raises Unclear where the answer did not come."""
        try:
            response = self.http.post(path, json=body)
        except httpx2.TransportError as lost:
            raise Unclear from lost
        return self._answer(response)

    @staticmethod
    def _answer(response: httpx2.Response) -> Any:
        body = response.json()
        if response.status_code >= 400:
            raise Refused(response.status_code, body)
        return body
