"""Odd requests for surfaces G and V1, and what every answer to one must keep to."""

from __future__ import annotations

from typing import Any

import httpx2
import sqlalchemy as sa
from hypothesis import strategies as st

from cardrail.kernel import Mode
from cardrail.orders.tables import orders
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import ERROR, Caller
from tests.compat.shapes import fits, parse

WORDS = ["sku", "sku_id", "quantity", "qty", "reference", "currency", "idempotency_key", "player", "note", "order_id"]
WORDS += ["amount_usd", "reason", "code_index", "evidence", "url", "events", "id", "rotate", "event_id", "x"]
SKUS = ["TEA", "SHOES", "SHOES:250", "SHOES:9" + "9" * 40, "SHOES:", ":", "SOLDOUT", "TEST_OK", "", "é", "TEA\x00"]

numbers = st.one_of(st.integers(-(2**70), 2**70), st.integers(-2, 1_002), st.floats(allow_nan=False, allow_infinity=False))
texts = st.one_of(st.sampled_from([*SKUS, "USD", "ord_01ARZ3NDEKTSV4RRFFQ69G5FAV", "1.19", "=1+1"]), st.text(max_size=300))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=8
)
bodies = st.one_of(st.dictionaries(st.sampled_from(WORDS), values, max_size=8), values)
raw = st.one_of(
    st.binary(max_size=200), st.sampled_from([b"", b"[" * 5_000, b'{"sku":"TEA","sku":"TEA"', b'{"a":1e400}', b"\xef\xbb\xbf{}"])
)
queries = st.dictionaries(
    st.sampled_from(["limit", "cursor", "region", "category", "from", "to", "format", "status", "x"]), texts, max_size=5
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=300).map(
    lambda text: text.strip().encode("latin-1")
)


def orders_and_money(shop: CompatShop, mode: Mode, currency: str) -> tuple[int, int]:
    """What no refusal may change."""
    with shop.cardrail.db.read() as tx:
        count = tx.execute(sa.select(sa.func.count()).select_from(orders)).scalar_one()
    return count, shop.balance(mode=mode, currency=currency)


def ask(caller: Caller, method: str, path: str, **options: Any) -> httpx2.Response:
    """The answer, which is no fault of ours and has the surface's envelope if it is a refusal."""
    answer = caller.http.request(method, path, **options)
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code >= 400:
        fits(parse(answer.content), ERROR)
    return answer
