"""What the tests of this dialect ask with: plain HTTP, so that nothing is between the sheet and the wire."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.shapes import parse

ROOT = "/compat/starship"


class Asker:
    """One caller. Its address is its own, because a trusted proxy stands in front of the tests' server."""

    def __init__(self, shop: CompatShop, credential: dict[str, str], headers: dict[str, str], address: str) -> None:
        self.credential = credential
        self.http = httpx2.Client(
            base_url=shop.url + ROOT, headers={"X-Forwarded-For": address} | headers, trust_env=False, timeout=60
        )

    def __call__(self, method: str, path: str, status: int | None = 200, **options: Any) -> Any:
        """The answer's body; ``answer`` has the whole of it."""
        self.answer = self.http.request(method, path, **options)
        body = parse(self.answer.content) if self.answer.content else None
        assert status in (None, self.answer.status_code), (self.answer.status_code, body)
        return body

    def get(self, path: str, status: int | None = 200, **options: Any) -> Any:
        return self("GET", path, status, **options)

    def post(self, path: str, body: Any, status: int | None = 200, **options: Any) -> Any:
        return self("POST", path, status, json=body, **options)

    def order(self, body: Any, status: int | None = 200, **headers: str) -> Any:
        return self.post("/api/v1/orders", body, status, headers={name.replace("_", "-"): one for name, one in headers.items()})

    def product(self, name: str) -> Any:
        """A product of the list by its name."""
        (found,) = [one for one in self.get("/api/v1/products?limit=100") if one["name"] == name]
        return found

    def wanted(self, name: str = "Tea voucher", quantity: int = 1, **more: Any) -> dict[str, Any]:
        """The body of an order."""
        product = self.product(name)
        face = more.pop("denomination", float(product["available_denominations"][0]["min_value"]))
        return {"product_id": product["id"], "denomination": face, "quantity": quantity, **more}

    def wallet_amount(self) -> Any:
        return self.get("/api/v1/wallets")[0]["amount"]


MakeAsker = Callable[..., Asker]


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """The wire is the same on both databases; the stories run on each."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"trusted_proxies": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def asker(shop: CompatShop) -> Iterator[MakeAsker]:
    """Makes callers: of a generation and mode, with these scopes."""
    made: list[Asker] = []
    addresses = itertools.count(1)

    def make(mode: Mode = Mode.LIVE, *scopes: str, generation: int = 1, **options: Any) -> Asker:
        credential = shop.credential("starship", mode, *scopes, **options)
        headers = {"X-API-Key": credential["api_key"], "X-API-Secret": credential["api_secret"]} if generation == 2 else {}
        made.append(Asker(shop, credential, headers, f"10.0.0.{next(addresses)}"))
        if generation == 1:
            tokens = made[-1].post("/auth/login", {"username": credential["username"], "password": credential["password"]})
            made[-1].http.headers["Authorization"] = "Bearer " + tokens["access_token"]
        return made[-1]

    yield make
    for one in made:
        one.http.close()


@pytest.fixture(scope="module")
def ask(asker: MakeAsker) -> Asker:
    """A logged-in caller of the first generation with everything allowed."""
    return asker()


@pytest.fixture(scope="module")
def keyed(asker: MakeAsker) -> Asker:
    """The same client with key and secret: the second generation."""
    return asker(generation=2)


@pytest.fixture(scope="module")
def sandbox(asker: MakeAsker) -> Asker:
    """The same partner's sandbox, first generation."""
    return asker(Mode.TEST)
