"""What the sheet leaves open, chosen otherwise by the operator; and the vendor's own paths at a host name of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from cardrail.api.compat import load_profiles
from cardrail.api.dialects import DIALECTS
from cardrail.api.dialects.oneclickdz.errors import words_of
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.errors import STATUS
from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.oneclickdz.conftest import Asker, MakeAsker

CHOSEN = """
[oneclickdz]
bad_keys_before_block = 0
has_request_id = false
order_has_meta = false
enveloped_unknown_routes = true
has_cors = false
duplicate_code = "DUPLICATED-REF"
no_balance_code = "NO_BALANCE"
no_stock_code = "NO_STOCK"
no_stock_status = 409
operators = { mobilis = "up" }
other_category = "Rest"
range_types_max = 2
quantity_max = 10
ref_length_max = 5
refuses_repeated_ref = false
sandbox_is_free = false
sandbox_handling_seconds = 60
sandbox_card = "S{n}"
increment = "IN"
"""

CODES = frozenset(
    {
        "MISSING_ACCESS_TOKEN", "INVALID_ACCESS_TOKEN", "ERR_AUTH", "IP_BLOCKED", "IP_NOT_ALLOWED", "API_DISABLED", "ERR_VALIDATION",
        "INSUFFICIENT_BALANCE", "ERR_STOCK", "DUPLICATED_REF", "NOT_FOUND", "PAYLOAD_TOO_LARGE", "RATE_LIMIT_EXCEEDED",
        "INTERNAL_ERROR", "SERVICE_UNAVAILABLE",
    }
)  # fmt: skip
"""The sheet's section 1.7, but for what no gift card can meet, and AUTH_UNAVAILABLE, which is told by when it happens."""


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    path.write_text(CHOSEN)
    return {"trusted_proxies": "127.0.0.0/8", "dialect_profiles": path, "dialect_hosts": "api.example.com=oneclickdz"}


def test_every_member_of_the_profile_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/compat/oneclickdz.md").read_text()
    assert [one.name for one in msgspec.structs.fields(Profile) if f"`{one.name}`" not in page] == []


def test_a_wrong_choice_is_refused(tmp_path: Path) -> None:
    for line in ("sandbox_handling_seconds = -1", "no_such = 1", 'operators = { mobilis = "maybe" }'):
        (tmp_path / "p.toml").write_text(f"[oneclickdz]\n{line}\n")
        with pytest.raises(Exception, match="oneclickdz"):
            load_profiles(tmp_path / "p.toml", DIALECTS)


def test_every_code_of_ours_has_a_word_of_the_vendors() -> None:
    words = words_of(Profile())
    assert words.keys() >= STATUS.keys()
    assert {code for _, code, _ in words.values()} == CODES
    assert {status for status, _, _ in words.values()} <= {400, 401, 403, 404, 413, 429, 500, 503}


def test_envelopes_as_chosen(ask: Asker) -> None:
    assert set(ask.get("/v3/account/balance")) == {"success", "data", "meta"}
    assert "access-control-allow-origin" not in ask.answer.headers
    assert ask.get("/v3/nope", 404)["error"]["code"] == "NOT_FOUND"
    assert ask.get("/v3/ping")["data"]["operators"]["mobilis"] == "up"


def test_codes_and_bounds_as_chosen(ask: Asker, asker: MakeAsker, shop: CompatShop) -> None:
    sold_out = ask.kind("Sold-out card", "200 INR")
    assert ask.place(sold_out | {"quantity": 1}, 409)["error"]["code"] == "NO_STOCK"
    assert ask.place(sold_out | {"quantity": 11}, 400)["error"]["code"] == "ERR_VALIDATION"
    assert ask.place(sold_out | {"quantity": 1, "ref": "123456"}, 400)["error"]["code"] == "ERR_VALIDATION"
    poor = asker(partner_id=shop.a_partner(None))
    assert poor.place(ask.kind("Tea voucher", "100 INR") | {"quantity": 1}, 403)["error"]["code"] == "NO_BALANCE"


def test_a_repeated_ref_may_be_the_same_order(ask: Asker) -> None:
    wanted = ask.kind("Tea voucher", "100 INR") | {"quantity": 1, "ref": "r-1"}
    assert ask.place(wanted)["data"] == ask.place(wanted)["data"]
    assert ask.place(wanted | {"quantity": 2}, 403)["error"]["code"] == "DUPLICATED-REF"


def test_nobody_is_blocked_where_that_is_chosen(asker: MakeAsker) -> None:
    stranger = asker(key="wrong")
    for _ in range(7):
        assert "details" not in stranger.get("/v3/validate", 401)["error"]


def test_a_range_shows_as_many_types_as_chosen(ask: Asker) -> None:
    types = ask.get(f"/v3/gift-cards/checkProduct/{ask.product('Shoe voucher')}")["data"]["types"]
    assert [(one["name"], one["quantity"] > 0) for one in types] == [("100 INR", False), ("250 INR", True)]


def test_a_sandbox_that_is_paid_takes_the_test_wallets_money_and_handles_a_while(asker: MakeAsker, shop: CompatShop) -> None:
    partner = shop.a_partner("100.00")
    tester = asker(Mode.TEST, partner_id=partner)
    order_id = tester.place({"productId": "p", "typeId": "t", "quantity": 3})["data"]["orderId"]
    body = tester.get(f"/v3/gift-cards/checkOrder/{order_id}")
    assert set(body) == {"success", "data"}
    assert body["data"]["status"] == "HANDLING"
    assert "cards" not in body["data"]
    assert tester.get("/v3/account/balance")["data"]["balance"] == 70
    assert [one["type"] for one in tester.get("/v3/account/transactions")["data"]["items"]] == ["ORDER", "DEPOSIT"]
    assert [one["operation"] for one in tester.get("/v3/account/transactions")["data"]["items"]] == ["DECREMENT", "IN"]


@pytest.fixture
def at_host(shop: CompatShop) -> Iterator[httpx2.Client]:
    """A client that knows the vendor's paths only, and a name of the operator's."""
    headers = {"Host": "api.example.com", "X-Access-Token": shop.credential("oneclickdz")["api_key"]}
    with httpx2.Client(base_url=shop.url, headers=headers, trust_env=False) as client:
        yield client


def test_a_host_name_has_the_vendors_own_paths(at_host: httpx2.Client) -> None:
    assert at_host.get("/v3/validate").json()["data"]["apiKey"]["type"] == "PRODUCTION"
    assert at_host.get("/v1/orders").json()["error"]["code"] == "NOT_FOUND"
    assert re.fullmatch(r"req_\w+", at_host.get("/v3/nope").json()["requestId"])
