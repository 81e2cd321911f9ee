"""Transport and signature (specs/finperks.md, sections 1.1, 1.2, 1.6): what is checked before anything is looked at."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from cardrail.access import revoke_key, suspend_partner
from cardrail.kernel import ApiKeyId, Mode
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import (
    Open,
    covers,
    key,
    refused,
)
from tests.compat.finperks.client import FinperksClient, http_date, sign


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


# --- transport and signature (1.1, 1.2, 1.6) --------------------------------------------------------------------------


@covers("GET /ping")
def test_a_signed_ping_is_answered(live: FinperksClient) -> None:
    answer = live.send("GET", "/ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_without_authorization_the_answer_names_the_scheme(shop: CompatShop) -> None:
    answer = httpx2.get(shop.url + "/compat/finperks/v1/ping", headers={"Date": http_date(datetime.now(UTC))})
    refused(answer, 401, "auth", "invalid_signature")
    assert answer.headers["www-authenticate"] == "FP1-HMAC-SHA256"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Bearer x", "invalid_signature"),
        ("FP1-HMAC-SHA256 KeyId=fp_live_0, Signature=00", "invalid_signature"),
        ("FP1-HMAC-SHA256 KeyId=fp_live_0, Signature=xyz", "invalid_signature_format"),
        ("FP1-HMAC-SHA256 KeyId=fp_live_0", "invalid_signature_format"),
    ],
)
def test_an_authorization_that_is_none_is_401(live: FinperksClient, authorization: str, code: str) -> None:
    answer = live.send("GET", "/ping", headers={"Authorization": authorization})
    refused(answer, 401, "auth", code)
    assert answer.headers["www-authenticate"] == "FP1-HMAC-SHA256"


def test_a_wrong_secret_another_body_or_another_key_do_not_match(shop: CompatShop, live: FinperksClient) -> None:
    with closing(FinperksClient(live.base_url, live.client_id, "another-secret")) as stranger:
        refused(stranger.send("GET", "/ping"), 401, "auth", "invalid_signature")
    when = datetime.now(UTC)
    url = live.base_url + "/orders"
    signed = sign(live.secret, "POST", url, http_date(when), "a", b"{}")
    for raw, used in ((b"{ }", "a"), (b"{}", "b")):
        answer = live.send("POST", "/orders", raw=raw, key=used, date=when, signature=signed)
        refused(answer, 401, "auth", "invalid_signature")
    assert live.send("POST", "/orders", raw=b"{}", key="a", date=when, signature=signed).status_code == 400


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_date_too_far_from_now_is_refused(live: FinperksClient, minutes: int) -> None:
    answer = live.send("GET", "/ping", date=datetime.now(UTC) + timedelta(minutes=minutes))
    refused(answer, 400, "transport", "invalid_date_header")


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_date_within_a_quarter_of_an_hour_is_taken(live: FinperksClient, minutes: int) -> None:
    assert live.send("GET", "/ping", date=datetime.now(UTC) + timedelta(minutes=minutes)).status_code == 200


def test_a_date_that_is_absent_or_malformed_is_refused(shop: CompatShop, live: FinperksClient) -> None:
    refused(live.send("GET", "/ping", headers={"Date": "yesterday"}), 400, "transport", "invalid_date_header")
    answer = httpx2.get(shop.url + "/compat/finperks/v1/ping", headers={"Authorization": "FP1-HMAC-SHA256 x"})
    refused(answer, 400, "transport", "invalid_date_header")


def test_a_host_that_is_none_is_refused(live: FinperksClient) -> None:
    refused(live.send("GET", "/ping", headers={"Host": "no host"}), 400, "transport", "invalid_host_header")


def test_a_mapped_host_is_signed_with_the_vendors_own_path_and_the_port_of_https(shop: CompatShop, live: FinperksClient) -> None:
    when = http_date(datetime.now(UTC))
    for line in ("https://api.fin.example", "https://api.fin.example:443", "http://api.fin.example:80"):
        signed = sign(live.secret, "GET", line + "/v1/ping?a=1", when, "", b"")
        authorization = f"FP1-HMAC-SHA256 KeyId={live.client_id}, Signature={signed.upper()}"
        headers = {"Host": "api.fin.example", "Date": when, "Authorization": authorization}
        assert httpx2.get(shop.url + "/v1/ping?a=1", headers=headers).json() == {"status": "ok"}


def test_the_path_and_query_are_signed_as_they_are_on_the_wire(live: FinperksClient) -> None:
    refused(live.send("GET", "/balances/%45%55R?x=%2F&y"), 404, "not_found", "entity_not_found")


def test_two_secrets_are_good_at_a_time_and_a_revoked_one_is_not(shop: CompatShop, open_client: Open) -> None:
    partner = shop.a_partner()
    old = open_client(partner_id=partner)
    new = open_client(partner_id=partner, requests_per_minute=1_000)
    assert [one.send("GET", "/ping").status_code for one in (old, new)] == [200, 200]
    part = shop.cardrail
    revoke_key(part.db, part.clock, part.audit, ApiKeyId(shop.credential("finperks", partner_id=partner)["key_id"]), actor="test")
    shop.cardrail.keys.refresh()
    refused(old.send("GET", "/ping"), 401, "auth", "invalid_signature")
    assert new.send("GET", "/ping").status_code == 200


def test_a_key_of_another_dialect_is_none_of_this_one(shop: CompatShop, live: FinperksClient) -> None:
    with closing(FinperksClient(live.base_url, shop.native_key(), "x")) as stranger:
        refused(stranger.send("GET", "/ping"), 401, "auth", "invalid_signature")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", ""),
        ("GET", "/orders"),
        ("DELETE", "/ping"),
        ("PUT", "/orders/x"),
        ("POST", "/retail_orders"),
        ("GET", "/retail_orders/x"),
        ("POST", "/stores"),
        ("GET", "/stores"),
        ("GET", "/ping/"),
        ("GET", "/products/x"),
        ("GET", "/orders/x/y/z"),
    ],
)
def test_what_is_not_there_is_told_to_those_who_signed(live: FinperksClient, method: str, path: str) -> None:
    refused(live.send(method, path), 404, "not_found", "path_not_found")
    refused(live.send(method, path, signature="00"), 401, "auth", "invalid_signature")


def test_beside_v1_there_is_nothing(shop: CompatShop, live: FinperksClient) -> None:
    with closing(FinperksClient(shop.url + "/compat/finperks", live.client_id, live.secret)) as outside:
        refused(outside.send("GET", "/ping"), 404, "not_found", "path_not_found")


def test_a_body_that_is_too_large_is_refused(live: FinperksClient) -> None:
    refused(live.send("POST", "/orders", raw=b" " * 20_001, key=key()), 413, "transport", "content_too_large")


def test_too_many_requests_say_when_to_come_back(shop: CompatShop, open_client: Open) -> None:
    client = open_client(partner_id=shop.a_partner(), requests_per_minute=2)
    answers = [client.send("GET", "/ping") for _ in range(3)]
    refused(answers[-1], 429, "rate_limit", "rate_limit_exceeded")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


def test_without_the_scope_the_action_is_forbidden(shop: CompatShop, open_client: Open) -> None:
    reader = open_client(Mode.LIVE, "catalog:read", partner_id=shop.a_partner())
    assert reader.send("GET", "/products").status_code == 200
    for method, path in (("GET", "/balances"), ("POST", "/orders"), ("GET", "/settlements"), ("GET", "/client_partners")):
        refused(reader.send(method, path), 403, "forbidden", "api_key_missing_required_scope")


def test_an_address_that_is_not_allowed_is_blocked(shop: CompatShop, open_client: Open) -> None:
    client = open_client(partner_id=shop.a_partner(), networks=("192.0.2.0/24",))
    refused(client.send("GET", "/ping"), 403, "forbidden", "request_blocked")


def test_a_suspended_client_may_not_use_live_and_is_blocked_in_the_sandbox(shop: CompatShop, open_client: Open) -> None:
    partner, part = shop.a_partner(), shop.cardrail
    live, sandbox = open_client(partner_id=partner), open_client(Mode.TEST, partner_id=partner)
    suspend_partner(part.db, part.clock, part.audit, partner, actor="test")
    part.keys.refresh()
    refused(live.send("GET", "/ping"), 403, "forbidden", "live_mode_disabled")
    refused(sandbox.send("GET", "/ping"), 403, "forbidden", "request_blocked")


def test_an_unknown_path_is_told_in_the_envelope_signed_or_not(live: FinperksClient, shop: CompatShop) -> None:
    assert (live.send("GET", "/nowhere").status_code, live.send("GET", "/nowhere").json()["error_code"]) == (
        404,
        "path_not_found",
    )
    for path in ("", "/v1", "/v1/nowhere"):
        answer = httpx2.get(f"{shop.url}/compat/finperks{path}", trust_env=False)
        assert answer.status_code < 500, answer.text
        assert "error_code" in answer.json()
