"""What the tests of surfaces G and V1 share: a caller with a bearer key, and the error body."""

from __future__ import annotations

import atexit
from typing import Any

import httpx2

from cardrail.catalog import set_rate
from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.shapes import fits, parse

ERROR = {"error": str, "message": str}


class Caller:
    """Asks a surface, with a key or without, and reads what comes back without losing a digit."""

    def __init__(self, base_url: str, key: str | None) -> None:
        headers = {b"authorization": f"Bearer {key}".encode()} if key else {}
        self.http = httpx2.Client(base_url=base_url, headers=headers, timeout=60)

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, 200, params=query)

    def post(self, path: str, body: Any, status: int = 201, *, headers: dict[str, str] | None = None) -> Any:
        return self.ask("POST", path, status, json=body, headers=headers)

    def ask(self, method: str, path: str, status: int, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return parse(answer.content)

    def refused(self, method: str, path: str, status: int, code: str, **options: Any) -> Any:
        """A refusal in the surface's envelope, and its text."""
        body = self.ask(method, path, status, **options)
        fits(body, ERROR)
        assert body["error"] == code, body
        return body["message"]


def _open(base_url: str, key: str | None) -> Caller:
    """A caller whose connections are closed when the tests are over."""
    made = Caller(base_url, key)
    atexit.register(made.http.close)
    return made


def give_dollars(shop: CompatShop, amount: str | None = None) -> None:
    """A dollar is 80 rupees, and the partner has so many more of them, in both modes."""
    part = shop.cardrail
    set_rate(part.db, part.clock, part.audit, base="USD", quote="INR", rate_e10=80 * 10**10, source="test", actor="test")
    part.catalog.refresh()
    if amount is not None:
        for mode in Mode:
            shop.credit(amount, "USD", mode=mode)


def caller(shop: CompatShop, surface: str = "", mode: Mode = Mode.LIVE, *scopes: str, **options: Any) -> Caller:
    """Somebody with a key of this mode; ``surface`` is "" (G) or "/v1"."""
    key = shop.credential("foxreload", mode, *scopes, **options)["api_key"]
    return _open(f"{shop.url}/compat/foxreload{surface}", key)


def stranger(shop: CompatShop, surface: str = "", key: str | None = None) -> Caller:
    """Somebody whose key is no key of ours."""
    return _open(f"{shop.url}/compat/foxreload{surface}", key)
