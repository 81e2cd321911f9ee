"""Whatever is sent to whichever endpoint: never a fault, always the vendor's envelope, and nothing moves for a refusal."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardrail.api.dialects.starship import order_in
from cardrail.api.dialects.starship.reading import BodyFields
from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.shapes import problems
from tests.compat.starship import shapes
from tests.compat.starship.conftest import Asker, MakeAsker

EXAMPLES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

LISTS = ("products", "orders", "wallets", "transactions", "categories", "subcategories", "countries", "currencies")
POSTS = ("/auth/login", "/auth/refresh", "/api/v1/orders", "/api/v1/products/{id}/charges", "/api/v1/products/{id}/availability")
NAMES = (
    "page", "limit", "per_page", "sort", "category", "currency_id", "country_id", "status", "product_id", "type", "is_active",
    "transaction_type", "wallet_id", "search", "base_currency", "active_only", "denomination", "quantity", "ref", "email",
    "username", "password", "refresh_token", "input_data", "events", "url", "name",
)  # fmt: skip

texts = st.text(max_size=12) | st.sampled_from(
    ["", "0", "1", "-1", "1e5", "100", "PENDING", '{"field":"id"}', "USD", "null", "\x00"]
)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
bodies: Any = st.dictionaries(st.sampled_from(NAMES), values, max_size=6).map(json.dumps).map(str.encode) | st.binary(max_size=40)
segments = st.text(max_size=10) | st.integers().map(str) | st.sampled_from(["..", "%00", "%ff", "1", "9" * 40])


@pytest.fixture(scope="module")
def poor(asker: MakeAsker, shop: CompatShop) -> tuple[Asker, Asker]:
    """A client who can pay for nothing, in both generations."""
    partner = shop.a_partner(None)
    return asker(Mode.LIVE, partner_id=partner), asker(Mode.LIVE, partner_id=partner, generation=2)


def check(ask: Asker, method: str, path: str, **options: Any) -> None:
    answer = ask.http.request(method, path, **options)
    assert answer.status_code < 500, (method, path, options, answer.content)
    if answer.status_code >= 400:
        body = json.loads(answer.content)
        assert any(not problems(body, one) for one in (shapes.SHAPE_A, shapes.SHAPE_B, shapes.SHAPE_C)), body


@EXAMPLES
@given(st.sampled_from(LISTS), st.dictionaries(st.sampled_from(NAMES), texts, max_size=4), st.integers(0, 1))
def test_lists_take_any_query(poor: tuple[Asker, Asker], noun: str, query: dict[str, str], which: int) -> None:
    check(poor[which], "GET", f"/api/v1/{noun}", params=query)


@EXAMPLES
@given(st.sampled_from(LISTS), segments, st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]))
def test_any_path_and_method_is_answered(poor: tuple[Asker, Asker], noun: str, segment: str, method: str) -> None:
    check(poor[0], method, f"/api/v1/{noun}/{quote(segment, safe='%')}")


@EXAMPLES
@given(
    st.sampled_from(POSTS),
    bodies,
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
    st.integers(0, 1),
)
def test_any_body_and_key_is_answered_and_moves_nothing(
    poor: tuple[Asker, Asker], shop: CompatShop, path: str, body: bytes, key: str, which: int
) -> None:
    product = shop.cardrail.catalog.current().product_by_code("TEA")
    assert product is not None
    before = shop.rows()
    headers = {"Idempotency-Key": key.strip().encode("latin-1")}
    check(poor[which], "POST", path.replace("{id}", str(product.number)), content=body, headers=headers)
    assert shop.rows() == before


@EXAMPLES
@given(values, values, values, st.integers(0, 1))
def test_an_order_of_any_values_moves_nothing_for_who_cannot_pay(
    poor: tuple[Asker, Asker], shop: CompatShop, denomination: Any, quantity: Any, wallet: Any, which: int
) -> None:
    product = shop.cardrail.catalog.current().product_by_code("TEA")
    assert product is not None
    body = {"product_id": product.number, "denomination": denomination, "quantity": quantity, "wallet_id": wallet}
    before = shop.rows()
    check(poor[which], "POST", "/api/v1/orders", content=json.dumps(body).encode(), headers={"Idempotency-Key": "fuzz-fuzz"})
    assert shop.rows() == before


@EXAMPLES
@given(st.sampled_from(["Authorization", "X-API-Key", "X-API-Secret", "X-Signature"]), st.binary(max_size=30))
def test_any_credential_is_answered(asker: MakeAsker, poor: tuple[Asker, Asker], name: str, value: bytes) -> None:
    clean = bytes([one for one in value if one >= 32 and one != 127]).strip()
    check(poor[1], "GET", "/api/v1/wallets", headers={name: clean})


orders: Any = st.fixed_dictionaries(
    {
        "product_id": st.integers(-1, 9) | values,
        "denomination": st.integers(-1, 9) | st.floats() | texts,
        "quantity": st.integers(-1, 9),
    },
    optional={"wallet_id": st.integers(-1, 2**54), "ref": texts, "email": texts | st.just("a@b.example"), "input_data": values},
)


@EXAMPLES
@given(orders)
def test_an_order_that_is_read_at_one_go_is_what_a_closer_look_finds(body: Any) -> None:
    raw = json.dumps(body).encode()
    quick = order_in._at_one_go(raw, 20)
    if quick is not None:
        given_fields = {name: json.dumps(one) for name, one in body.items() if one is not None}
        fields = BodyFields(given_fields, loose=("denomination",))
        assert order_in._field_by_field(fields, 20) == quick
