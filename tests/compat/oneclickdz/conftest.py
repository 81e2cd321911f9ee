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

ROOT = "/compat/oneclickdz"


class Asker:
    """One caller. Its address is its own, because a trusted proxy stands in front of the tests' server."""

    def __init__(self, shop: CompatShop, key: str | None, address: str) -> None:
        headers = {"X-Forwarded-For": address} | ({"X-Access-Token": key} if key is not None else {})
        self.address = address
        self.http = httpx2.Client(base_url=shop.url + ROOT, headers=headers, trust_env=False)

    def __call__(self, method: str, path: str, status: int | None = 200, **options: Any) -> Any:
        """The answer's body; ``answer`` has the whole of it."""
        self.answer = self.http.request(method, path, **options)
        body = parse(self.answer.content) if self.answer.content else None
        assert status in (None, self.answer.status_code), (self.answer.status_code, body)
        return body

    def get(self, path: str, status: int | None = 200, **options: Any) -> Any:
        return self("GET", path, status, **options)

    def place(self, body: Any, status: int | None = 200, **options: Any) -> Any:
        return self("POST", "/v3/gift-cards/placeOrder", status, json=body, **options)

    def product(self, title: str) -> str:
        """The id of a product."""
        categories = self.get("/v3/gift-cards/catalog")["data"]["categories"]
        (found,) = [one for shelf in categories for one in shelf["products"] if one["title"] == title]
        return str(found["id"])

    def kind(self, title: str, name: str) -> dict[str, str]:
        """productId and typeId of a denomination."""
        product_id = self.product(title)
        types = self.get(f"/v3/gift-cards/checkProduct/{product_id}")["data"]["types"]
        (found,) = [one for one in types if one["name"] == name]
        return {"productId": product_id, "typeId": found["id"]}


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
    """Makes callers: of a mode, with these scopes, or with a key of their own (None: without any)."""
    made: list[Asker] = []
    addresses = itertools.count(1)

    def make(mode: Mode = Mode.LIVE, *scopes: str, **options: Any) -> Asker:
        key = options.pop("key") if "key" in options else shop.credential("oneclickdz", mode, *scopes, **options)["api_key"]
        made.append(Asker(shop, key, f"10.0.0.{next(addresses)}"))
        return made[-1]

    yield make
    for one in made:
        one.http.close()


@pytest.fixture(scope="module")
def ask(asker: MakeAsker) -> Asker:
    """A production caller with everything allowed."""
    return asker()


@pytest.fixture(scope="module")
def sandbox(asker: MakeAsker) -> Asker:
    """The same partner's sandbox."""
    return asker(Mode.TEST)
