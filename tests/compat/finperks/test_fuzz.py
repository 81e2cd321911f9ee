"""Whatever is sent, signed or not: the answer is the vendor's envelope, no fault, and a refusal has charged nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardrail.kernel import Mode, uuid_of
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import ERROR, client_of
from tests.compat.finperks.client import FinperksClient
from tests.compat.shapes import fits

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

ENDPOINTS = [
    ("GET", "/ping"),
    ("GET", "/products"),
    ("GET", "/balances"),
    ("GET", "/balances/{}"),
    ("POST", "/orders"),
    ("GET", "/orders/{}"),
    ("POST", "/orders/{}/actions/invalidate"),
    ("POST", "/orders/{}/actions/refund"),
    ("GET", "/settlements"),
    ("POST", "/client_partners"),
    ("GET", "/client_partners"),
    ("GET", "/client_partners/{}"),
    ("PATCH", "/client_partners/{}"),
    ("POST", "/client_partners/{}/actions/trigger_event"),
]

text = st.text(max_size=40)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
part = st.from_regex(r"[A-Za-z0-9_.~-]{1,40}", fullmatch=True) | st.binary(min_size=1, max_size=8).map(
    lambda raw: "".join(f"%{one:02X}" for one in raw)
)
header_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def clients(shop: CompatShop) -> Any:
    made = [client_of(shop), client_of(shop, Mode.TEST)]
    yield made
    for one in made:
        one.close()


def checked(answer: Any) -> int:
    """The status, of an answer that is the vendor's."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        fits(answer.json(), ERROR)
    return int(answer.status_code)


def orders_in(shop: CompatShop) -> tuple[int, int, int]:
    """What a refusal must not change: orders, and both wallets."""
    with shop.cardrail.db.read() as tx:
        count = sum(
            [
                tx.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()
                for name in ("orders", "transfers", "client_partners")
            ]
        )
    return int(count), shop.balance(), shop.balance(mode=Mode.TEST)


requests = st.tuples(
    st.sampled_from(ENDPOINTS), part, st.none() | anything, st.none() | header_text, st.text("ab=&%25+", max_size=12)
)
"""Endpoint, the name in its path, body, key, query."""


@quick
@given(requests, st.booleans())
def test_any_body_path_query_and_key(shop: CompatShop, clients: list[FinperksClient], request_: Any, is_test: bool) -> None:
    (method, path), name, body, key, query = request_
    before = orders_in(shop)
    where = path.format(name) + (f"?{query}" if query else "")
    raw = b"" if body is None else json.dumps(body).encode()
    if checked(clients[is_test].send(method, where, raw=raw, key=key)) >= 400:
        assert orders_in(shop) == before


def order_like(code: str) -> Any:
    """Bodies that are nearly right."""
    right: dict[str, Any] = {
        "product_code": code,
        "customer": {"id": "s"},
        "country": "IN",
        "face_value": {"currency": "INR", "amount": "100.0"},
        "processing_mode": "sync",
        "delivery_method": {"type": "code"},
    }
    names = st.sampled_from([*right, "client_partner"])
    values = anything | st.sampled_from(
        ["TEST_OK", "INR", "async", {"id": "x"}, {"currency": "JPY", "amount": "1.0"}, {"type": "url"}]
    )
    return st.dictionaries(names, values, min_size=1, max_size=2).map(lambda change: right | change)


@quick
@given(data=st.data())
def test_orders_that_are_nearly_right(shop: CompatShop, clients: list[FinperksClient], data: st.DataObject) -> None:
    offer = shop.cardrail.catalog.current().offer("TEA")
    assert offer is not None
    body = data.draw(order_like(uuid_of(offer.product_id)))
    before = orders_in(shop)
    status = checked(clients[data.draw(st.booleans())].send("POST", "/orders", body, key=data.draw(st.uuids()).hex))
    if status >= 400:
        assert orders_in(shop) == before
    else:
        assert orders_in(shop)[0] > before[0]


@quick
@given(
    st.sampled_from(ENDPOINTS),
    st.dictionaries(
        st.sampled_from(["Date", "Authorization", "Host", "Idempotency-Key", "Content-Type"]), header_text, min_size=1, max_size=3
    ),
)
def test_any_headers(shop: CompatShop, clients: list[FinperksClient], endpoint: Any, headers: dict[str, str]) -> None:
    method, path = endpoint
    before = orders_in(shop)
    answer = clients[0].send(method, path.format("x"), {}, headers=headers)
    if "Host" in headers and answer.headers.get("content-type", "").startswith("text/plain"):
        return  # no HTTP at all: the server's own refusal
    if checked(answer) >= 400:
        assert orders_in(shop) == before


@quick
@given(st.binary(max_size=200))
def test_any_bytes(shop: CompatShop, clients: list[FinperksClient], raw: bytes) -> None:
    before = orders_in(shop)
    assert checked(clients[0].send("POST", "/orders", raw=raw, key="fuzz")) >= 400
    assert orders_in(shop) == before
