"""Odd bodies, queries, headers and paths on surface V1: no fault, always its envelope, and nothing charged by a refusal."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller, stranger
from tests.compat.foxreload.fuzz import ask, bodies, header_values, orders_and_money, queries, raw, texts

POSTS = st.sampled_from(
    ["/orders", "/refunds", "/orders/ord_01ARZ3NDEKTSV4RRFFQ69G5FAV/replacement", "/webhooks", "/webhooks/x/replay"]
)


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """These are about the wire."""
    return "sqlite"


@pytest.fixture(scope="module")
def test(shop: CompatShop) -> Caller:
    shop.credit("1000.00", "USD", mode=Mode.TEST)
    return caller(shop, "/v1", Mode.TEST)


@given(path=POSTS, body=bodies)
def test_any_json(shop: CompatShop, test: Caller, path: str, body: Any) -> None:
    before = orders_and_money(shop, Mode.TEST, "USD")
    answer = ask(test, "POST", path, json=body)
    assert answer.status_code < 300 or orders_and_money(shop, Mode.TEST, "USD") == before


@given(path=POSTS, body=raw)
def test_any_bytes(shop: CompatShop, test: Caller, path: str, body: bytes) -> None:
    before = orders_and_money(shop, Mode.TEST, "USD")
    assert ask(test, "POST", path, content=body).status_code >= 400
    assert orders_and_money(shop, Mode.TEST, "USD") == before


@given(path=st.sampled_from(["/catalog", "/catalog/inventory", "/orders", "/balance"]), query=queries)
def test_any_query(test: Caller, path: str, query: dict[str, str]) -> None:
    ask(test, "GET", path, params=query)


@given(query=st.binary(max_size=40).map(lambda raw: quote(raw, safe="%&=+;")))
def test_any_query_string(test: Caller, query: str) -> None:
    ask(test, "GET", "/catalog?" + query)


@settings(max_examples=40)
@given(
    folder=st.sampled_from(["/catalog/", "/orders/", "/webhooks/", "/"]),
    name=texts,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
)
def test_any_path(test: Caller, folder: str, name: str, method: str) -> None:
    ask(test, method, folder + quote(name[:80], safe=""))


@settings(max_examples=30)
@given(key=header_values, idempotency=header_values)
def test_any_header(shop: CompatShop, test: Caller, key: bytes, idempotency: bytes) -> None:
    before = orders_and_money(shop, Mode.TEST, "USD")
    wrong = {b"idempotency-key": idempotency, b"content-type": key}
    assert ask(test, "POST", "/orders", json={}, headers=wrong).status_code == 400
    assert ask(nobody(shop), "GET", "/balance", headers={b"authorization": key}).status_code in (401, 429)
    assert orders_and_money(shop, Mode.TEST, "USD") == before


def nobody(shop: CompatShop) -> Caller:
    """Without a key, the same one each time."""
    found = _NOBODIES.get(shop.url)
    if found is None:
        found = _NOBODIES[shop.url] = stranger(shop, "/v1")
    return found


_NOBODIES: dict[str, Caller] = {}
