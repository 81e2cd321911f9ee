"""Whatever is sent to surface P: an answer of the sheet's shape or its envelope, never a fault; and a refusal changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.foxreload.public import Api, Callers, furnish

CODES: Final = {
    "BALANCE_NOT_ENOUGH",
    "ORDER_ALREADY_EXISTS",
    "OFFER_PRICE_NOT_MATCHED",
    "ORDER_PAYMENT_NOT_POSSIBLE",
    "NOT_FOUND",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "VALIDATION_ERROR",
    "OUT_OF_STOCK",
}
"""All that section 1.3 knows, but for the limit of requests."""

a_few: Final = settings(max_examples=min(settings().max_examples, 400))
"""Requests of each kind; many of them are answered by writing to the database."""

MOVED: Final = ("orders", "order_items", "transfers", "holds", "allocations", "events")
"""Tables that a refusal must leave alone."""

texts = st.one_of(
    st.sampled_from(["", "tea", "true", "0", "-1", "999999999999999999999", "é€", "\x00", "a" * 300]), st.text(max_size=20)
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), texts
)
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "X-Currency": st.sampled_from(["usd", "INR", "zzz", "", "jpy", "$$$", "u" * 100]),
        "X-Language": st.sampled_from(["ru", "en", "xx", "", "../etc"]),
        "Idempotency-Key": st.just("x"),
        "Content-Type": st.sampled_from(["application/json", "text/plain", "multipart/form-data"]),
    },
)
PARAMETERS: Final = (
    "parent_id_or_slug",
    "category_id_or_slug",
    "categoryId",
    "parentId",
    "includeDescendants",
    "withStockOnly",
    "cursor",
    "limit",
    "offset",
    "depth",
    "query",
    "tag",
    "status",
    "createdFrom",
    "createdTo",
)
queries = st.lists(st.tuples(st.sampled_from(PARAMETERS), texts | st.sampled_from(["food", "active", "2026-01-01"])), max_size=4)
segments = st.lists(
    st.sampled_from(
        ["categories", "tree", "products", "search", "orders", "pay", "access", "me", "balances", "topups", "rates", "usd"]
    )
    | st.text(st.characters(codec="utf-8", exclude_characters="/?#"), min_size=1, max_size=12),
    max_size=4,
)


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def caller(shop: CompatShop) -> Iterator[Api]:
    furnish(shop)
    made = Callers(shop)
    yield made.of(Mode.LIVE)
    made.close()


@pytest.fixture(scope="module")
def known(caller: Api) -> dict[str, Any]:
    """What a near miss is made of."""
    return {slug: caller.product(slug)["id"] for slug in ("tea", "walletcard", "coins-100", "soldout")}


def checked(response: httpx2.Response) -> Any:
    """The body of an answer that is no fault, and in the envelope if it refuses."""
    assert response.status_code < 500, response.text
    body = response.json()
    if response.status_code >= 400:
        assert set(body) == {"code", "detail"}
        assert body["code"] in CODES
        assert isinstance(body["detail"], str)
    return body


def state(shop: CompatShop) -> tuple[int, dict[str, int]]:
    rows = shop.rows()
    return shop.balance(), {name: rows[name] for name in MOVED if name in rows}


@a_few
@given(path=segments, query=queries, sent=headers, slash=st.booleans())
def test_any_read(caller: Api, path: list[str], query: Any, sent: dict[str, str], slash: bool) -> None:
    url = "/" + "/".join([quote(one, safe="") for one in path]) + "/" * slash
    checked(caller.http.get(url, params=query, headers=sent))


@a_few
@given(
    path=st.sampled_from(["/categories", "/categories/tree", "/products", "/products/search", "/orders", "/products/tea"]),
    query=queries,
)
def test_any_query(caller: Api, path: str, query: Any) -> None:
    checked(caller.http.get(path, params=query))


@a_few
@given(data=st.data(), sent=headers)
def test_any_order(caller: Api, shop: CompatShop, known: dict[str, Any], data: st.DataObject, sent: dict[str, str]) -> None:
    products = st.sampled_from([*known.values(), "product_" + "0" * 26])
    note = st.fixed_dictionaries(
        {},
        optional={"player_id": scalars | st.just("7700123"), "server": texts | st.just("EU"), "mock_outcome": texts, "x": junk},
    )
    item = st.fixed_dictionaries(
        {"itemId": products | junk, "quantity": st.integers(1, 300) | junk},
        optional={"totalPrice": st.sampled_from(["95.00", 95, "1e400", "NaN", "-0"]) | junk, "note": note | junk},
    )
    order = st.fixed_dictionaries(
        {"items": st.lists(item | junk, max_size=12) | junk},
        optional={"isMock": st.booleans() | junk, "idempotencyKey": st.sampled_from(["k-1", "k-2"]) | junk, "more": junk},
    )
    body = data.draw(st.one_of(order.map(_json), junk.map(_json), st.binary(max_size=30)))
    _unmoved_if_refused(caller, shop, "/orders/", body, sent)


@a_few
@given(data=st.data(), known_order=st.booleans(), sent=headers)
def test_any_payment(caller: Api, shop: CompatShop, data: st.DataObject, known_order: bool, sent: dict[str, str]) -> None:
    order_id = caller.create(("tea", 1))["id"] if known_order else data.draw(st.text(st.characters(codec="ascii"), max_size=40))
    provider = st.fixed_dictionaries({}, optional={"paymentProvider": junk, "paymentReturnUrl": junk, "more": junk})
    body = data.draw(st.one_of(provider.map(_json), junk.map(_json), st.binary(max_size=30)))
    _unmoved_if_refused(caller, shop, f"/orders/{quote(order_id, safe='')}/pay", body, sent)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _unmoved_if_refused(caller: Api, shop: CompatShop, path: str, body: bytes, sent: dict[str, str]) -> None:
    before = state(shop)
    response = caller.http.post(path, content=body, headers=sent)
    checked(response)
    if response.status_code >= 400:
        assert state(shop) == before, response.text
