"""A shop's client of OneClickDz Flexy API v3, as its pages tell to write one: it polls, never repeats placeOrder by itself, and looks up
what got lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2

FINAL = ("FULFILLED", "PARTIALLY_FILLED", "REFUNDED")


class Refused(Exception):
    """The API said no; ``code`` is made from the status where there was no envelope."""

    def __init__(self, status: int, body: Any, retry_after: str | None) -> None:
        envelope = body if isinstance(body, dict) and isinstance(body.get("error"), dict) else {"error": {}}
        error: dict[str, Any] = envelope["error"]
        self.status = status
        self.code = error.get("code", f"HTTP_{status}")
        self.message = error.get("message", "")
        self.details = error.get("details")
        self.request_id = envelope.get("requestId")
        self.retry_after = retry_after
        super().__init__(f"{status} {self.code} {self.message}")


class Client:
    """One account, in the environment that its key selects."""

    def __init__(self, base_url: str, key: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.http = httpx2.Client(base_url=base_url, headers={"X-Access-Token": key} | dict(headers or {}), trust_env=False)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the nine calls -------------------------------------------------------------------------------------------------

    def ping(self) -> Any:
        return self._get("/v3/ping")["data"]

    def validate(self) -> Any:
        return self._get("/v3/validate")["data"]

    def balance(self) -> Decimal:
        return Decimal(self._get("/v3/account/balance")["data"]["balance"])

    def transactions(self, **query: Any) -> Any:
        return self._get("/v3/account/transactions", query)["data"]

    def catalog(self) -> list[Any]:
        """The products that may be offered, each with its category's title."""
        categories = self._get("/v3/gift-cards/catalog")["data"]["categories"]
        return [
            {**product, "category": category.get("title", category.get("name"))}
            for category in categories
            for product in category["products"]
            if product["enabled"]
        ]

    def check_product(self, product_id: str) -> Any:
        return self._get(f"/v3/gift-cards/checkProduct/{product_id}")["data"]

    def place_order(self, product_id: str, type_id: str, quantity: int, *, headers: Any = None, **more: Any) -> str:
        """The order's id. Sent once: what a lost answer hides is looked up, not bought again."""
        body = {"productId": product_id, "typeId": type_id, "quantity": quantity, **more}
        answer = self.http.post("/v3/gift-cards/placeOrder", json=body, headers=headers)
        return str(self._read(answer)["data"]["orderId"])

    def check_order(self, order_id: str) -> Any:
        return self._get(f"/v3/gift-cards/checkOrder/{order_id}")["data"]

    def orders(self, **query: Any) -> Any:
        return self._get("/v3/gift-cards/list", query)["data"]

    # --- what a shop makes of them --------------------------------------------------------------------------------------

    def find_type(self, title: str, name: str) -> tuple[str, Any]:
        """(product id, type) of a product's denomination."""
        (product,) = [one for one in self.catalog() if one["title"] == title]
        checked = self.check_product(product["id"])
        (found,) = [one for one in checked["types"] if one["name"] == name]
        return product["id"], found

    def wait_for(self, order_id: str, *, every: float = 0.05, tries: int = 1_200) -> Any:
        """Poll until the order is final; a failed poll says nothing about it."""
        for _ in range(tries):
            try:
                order = self.check_order(order_id)
            except Refused as refusal:
                if refusal.status in (401, 403, 404):
                    raise
            except httpx2.TransportError:
                pass
            else:
                if order["status"] in FINAL:
                    return order
            time.sleep(every)
        raise TimeoutError(order_id)

    def find_lost(self, product_id: str, type_id: str, quantity: int, since: datetime) -> list[str]:
        """Ids of orders that a placeOrder without an answer may have made, from the list and its dates."""
        span = {"from": since.isoformat(), "to": (since + timedelta(minutes=5)).isoformat()}
        wanted = (product_id, type_id, quantity)
        return [one["_id"] for one in self.all_orders(**span) if (one["product"], one["type"], one["quantity"]) == wanted]

    def all_orders(self, **query: Any) -> Iterator[Any]:
        """Every order, page by page."""
        page = 1
        while True:
            found = self.orders(page=page, pageSize=100, **query)
            yield from found["items"]
            if page >= found["pagination"]["totalPages"]:
                return
            page += 1

    # --- the wire -------------------------------------------------------------------------------------------------------

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._read(self.http.get(path, params=dict(query or {})))

    @staticmethod
    def _read(answer: httpx2.Response) -> Any:
        try:
            body = json.loads(answer.content, parse_float=Decimal)
        except ValueError:
            body = None
        if answer.status_code != 200 or not isinstance(body, dict) or body.get("success") is not True:
            raise Refused(answer.status_code, body, answer.headers.get("retry-after"))
        return body
