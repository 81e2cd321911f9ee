"""Whatever is sent: the vendor's envelope comes back, no fault, and a refusal has charged nothing and made no order."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compat.build import CompatShop
from tests.compat.oneclickdz.conftest import Asker
from tests.compat.shapes import Anything, Either, Number, Only, fits

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

ENVELOPE = Either(
    {"success": Only(True), "data": {"*": Anything}, "meta?": {"timestamp": str}, "requestId?": str, "totalCategories?": int,
     "totalProducts?": int},
    {"success": Only(False), "error": {"code": re.compile(r"[A-Z_]+"), "message": str, "details?": {"*": Either(str, Number)}},
     "requestId": str},
    {"message": re.compile(r"Route [A-Z]+:/.* not found", re.DOTALL), "error": Only("Not Found"), "statusCode": Only(404)},
)  # fmt: skip

PATHS = (
    "/v3/ping",
    "/v3/validate",
    "/v3/account/balance",
    "/v3/account/transactions",
    "/v3/gift-cards/catalog",
    "/v3/gift-cards/checkProduct/{}",
    "/v3/gift-cards/placeOrder",
    "/v3/gift-cards/checkOrder/{}",
    "/v3/gift-cards/list",
    "/v3/{}",
    "/{}",
)
text = st.text(max_size=30)
part = st.from_regex(r"[A-Za-z0-9_.~-]{1,40}", fullmatch=True) | st.binary(min_size=1, max_size=8).map(
    lambda raw: "".join([f"%{one:02X}" for one in raw])
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
header_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


def checked(asker: Asker) -> int:
    """The status of the last answer, which is the vendor's."""
    answer = asker.answer
    assert answer.status_code < 500, answer.text
    fits(answer.json(), ENVELOPE)
    return int(answer.status_code)


def state(shop: CompatShop) -> tuple[int, int, dict[str, int]]:
    """What a refusal must not change."""
    rows = shop.rows()
    return shop.balance(), len(rows), {name: rows[name] for name in ("orders", "order_items", "transfers", "holds", "events")}


requests = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), st.sampled_from(PATHS), part, st.text("ab=&%25+", max_size=12)
)
"""Method, path, the name in the path, query."""


@quick
@given(request_=requests, body=st.none() | anything, is_test=st.booleans())
def test_any_method_path_query_and_body(
    shop: CompatShop, ask: Asker, sandbox: Asker, request_: tuple[str, str, str, str], body: Any, is_test: bool
) -> None:
    method, path, name, query = request_
    caller, before = (sandbox if is_test else ask), state(shop)
    raw = b"" if body is None else json.dumps(body).encode()
    caller(method, path.format(name) + (f"?{query}" if query else ""), None, content=raw)
    if checked(caller) >= 400:
        assert state(shop) == before


@quick
@given(st.data())
def test_orders_that_are_nearly_right(shop: CompatShop, ask: Asker, sandbox: Asker, data: st.DataObject) -> None:
    right: dict[str, Any] = ask.kind("Tea voucher", "100 INR") | {"quantity": 1}
    values = anything | st.sampled_from([*right.values(), 2, "TEST_REFUND", "TEST_PARTIAL"]) | st.integers(-2, 3)
    change = data.draw(st.dictionaries(st.sampled_from(["productId", "typeId", "quantity", "ref"]), values, max_size=2))
    headers = {"Idempotency-Key": key} if (key := data.draw(st.none() | header_text)) is not None else {}
    caller, before = (sandbox if data.draw(st.booleans()) else ask), state(shop)
    caller.place(right | change, None, headers=headers)
    if checked(caller) >= 400:
        assert state(shop) == before


@quick
@given(
    st.sampled_from(["/v3/gift-cards/list", "/v3/account/transactions"]),
    st.dictionaries(
        st.sampled_from(["page", "pageSize", "from", "to"]),
        text | st.integers(-2, 10**12).map(str) | st.datetimes().map(lambda at: at.isoformat()) | st.dates().map(str),
        max_size=4,
    ),
)
def test_any_page_of_any_time(ask: Asker, path: str, query: dict[str, str]) -> None:
    ask.get(path, None, params=query)
    assert checked(ask) in (200, 400)


@quick
@given(st.dictionaries(st.sampled_from(["x-access-token", "x-request-id", "content-type", "accept", "origin"]), header_text))
def test_any_headers(shop: CompatShop, headers: dict[str, str]) -> None:
    caller = Asker(shop, None, "10.66.0.1")
    try:
        caller.get("/v3/account/balance", None, headers=headers)
        assert checked(caller) in (401, 403)
    finally:
        caller.http.close()
