"""A shop's client of the Starship API, as its pages tell to write one: it logs in or signs, renews its token before it ends, orders with
its own ref, and looks for what got lost before it orders again."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

FINAL = ("delivered", "partially_delivered", "failed", "cancelled")
EARLY = timedelta(minutes=5)


class Refused(Exception):
    """The API said no: ``code`` is the text or the object's code, whichever of its shapes came."""

    def __init__(self, status: int, body: Any, retry_after: str | None) -> None:
        error = body.get("error") if isinstance(body, dict) else None
        self.status = status
        self.code = (error.get("code") or error.get("name")) if isinstance(error, dict) else str(error)
        self.message = error.get("message", "") if isinstance(error, dict) else (body or {}).get("message", "")
        self.retry_after = retry_after
        super().__init__(f"{status} {self.code} {self.message}")


class Client:
    """One client of either generation; ``headers_of`` is what differs."""

    def __init__(self, base_url: str) -> None:
        self.base_path = urlsplit(base_url).path
        self.http = httpx2.Client(base_url=base_url, trust_env=False, timeout=60)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def headers_of(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        raise NotImplementedError

    # --- catalog ----------------------------------------------------------------------------------------------------------

    def products(self, **query: Any) -> Iterator[Any]:
        """All products, page by page, until the headers say that there are no more."""
        page = 1
        while True:
            answer = self.send("GET", "/api/v1/products", {"page": page, **query})
            yield from self.read(answer)
            if answer.headers["x-has-more"] != "true":
                return
            page += 1

    def find(self, name: str) -> Any:
        (found,) = [one for one in self.products(limit=4) if one["name"] == name]
        return self.get(f"/api/v1/products/{found['id']}")

    def is_available(self, product: Any, denomination: Decimal, quantity: int) -> bool:
        body = {"denomination": denomination, "quantity": quantity}
        return bool(self.post(f"/api/v1/products/{product['id']}/availability", body)["is_available"])

    def charges(self, product: Any, denomination: Decimal, quantity: int, **more: Any) -> Any:
        body = {"denomination": denomination, "quantity": quantity, **more}
        return self.post(f"/api/v1/products/{product['id']}/charges", body)

    # --- orders -----------------------------------------------------------------------------------------------------------

    def order(self, product: Any, denomination: Decimal, quantity: int, ref: str, **more: Any) -> Any:
        body = {"product_id": product["id"], "denomination": denomination, "quantity": quantity, "ref": ref, **more}
        return self.post("/api/v1/orders", body, {"Idempotency-Key": f"order-{ref}"})

    def order_for_certain(self, product: Any, denomination: Decimal, quantity: int, ref: str) -> Any:
        """Order until there is an answer; where the ref is taken, the first try got through: it is in the list."""
        for _ in range(5):
            try:
                return self.order(product, denomination, quantity, ref)
            except httpx2.TransportError:
                continue
            except Refused as refusal:
                if refusal.status >= 500:
                    continue
                found = self.find_order(ref)
                if found is None:
                    raise
                return self.details(found["id"])
        raise TimeoutError(ref)

    def find_order(self, ref: str) -> Any:
        """The order with our ref: there is no filter, so the list is looked through."""
        page = 1
        while True:
            rows = self.get("/api/v1/orders", {"page": page, "limit": 100})
            for one in rows:
                if one["reference_code"] == ref:
                    return one
            if len(rows) < 100:
                return None
            page += 1

    def details(self, order_id: int) -> Any:
        return self.get(f"/api/v1/orders/{order_id}")

    def wait_for(self, order_id: int, *, every: float = 0.05, tries: int = 1_200) -> Any:
        """Poll until the order is final, whatever the case of its status."""
        for _ in range(tries):
            found = self.details(order_id)
            if found["status"].lower() in FINAL:
                return found
            time.sleep(every)
        raise TimeoutError(order_id)

    # --- money ------------------------------------------------------------------------------------------------------------

    def balance(self) -> Decimal:
        return Decimal(self.get("/api/v1/wallets")[0]["amount"])

    def transaction(self, number: int) -> Any:
        return self.get(f"/api/v1/transactions/{number}")

    def transactions(self, **query: Any) -> Any:
        return self.get("/api/v1/transactions", query)

    # --- the wire ---------------------------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self.read(self.send("GET", path, query))

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self.read(self.send("POST", path, None, _encode(body), headers))

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        text = urlencode(query or {})
        mine = self.headers_of(method, path, text, body) | dict(headers or {})
        if body:
            mine["Content-Type"] = "application/json"
        return self.http.request(method, path + ("?" + text if text else ""), content=body, headers=mine)

    @staticmethod
    def read(answer: httpx2.Response) -> Any:
        try:
            body = json.loads(answer.content, parse_float=Decimal)
        except ValueError:
            body = None
        if answer.status_code != 200:
            raise Refused(answer.status_code, body, answer.headers.get("retry-after"))
        return body


class LoggedIn(Client):
    """First generation: a user name and a password for tokens."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        super().__init__(base_url)
        self._keep(self.http.post("/auth/login", json={"username": username, "password": password}))

    def headers_of(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        if datetime.now(UTC) > self.access_ends - EARLY:
            self.renew()
        return {"Authorization": f"Bearer {self.access}"}

    def renew(self) -> None:
        self._keep(self.http.post("/auth/refresh", json={"refresh_token": self.refresh}))

    def log_out(self) -> None:
        self.read(self.http.post("/auth/logout", headers={"Authorization": f"Bearer {self.access}"}))

    def _keep(self, answer: httpx2.Response) -> None:
        tokens = self.read(answer)
        tokens = tokens.get("data", tokens)
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]
        self.access_ends = datetime.fromisoformat(tokens["access_expires_at"])


class Keyed(Client):
    """Second generation: key and secret, and a signature on each call where a signing secret is given."""

    def __init__(self, base_url: str, key: str, secret: str, signing_secret: str | None = None) -> None:
        super().__init__(base_url)
        self.key, self.secret, self.signing_secret = key, secret, signing_secret

    def headers_of(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        headers = {"X-API-Key": self.key, "X-API-Secret": self.secret}
        if self.signing_secret is not None:
            now = int(time.time())
            pairs = "&".join(sorted(query.split("&"))) if query else ""
            lines = (method, self.base_path + path, pairs, hashlib.sha256(body).hexdigest(), str(now))
            signature = hmac.new(self.signing_secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
            headers["X-Signature"] = f"t={now},v1={signature}"
        return headers


def _encode(body: Any) -> bytes:
    """JSON in which an exact amount is a number of its own digits."""
    if isinstance(body, Mapping):
        return b"{" + b",".join([json.dumps(name).encode() + b":" + _encode(one) for name, one in body.items()]) + b"}"
    return str(body).encode() if isinstance(body, Decimal) else json.dumps(body).encode()
