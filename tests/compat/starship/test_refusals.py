"""Log-in and log-out, and whatever is refused: each in the shape that its page documents, and nothing of it charged."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import httpx2
import jwt
import pytest

from cardrail.access import Credential, revoke_key, suspend_partner
from cardrail.api.dialects.starship.errors import TABLE, answer_b, words_of
from cardrail.api.errors import STATUS
from cardrail.kernel import ApiKeyId, CardrailError, Mode, PartnerId, all_error_types
from tests.compat.build import CompatShop
from tests.compat.shapes import fits
from tests.compat.starship import shapes
from tests.compat.starship.conftest import Asker, MakeAsker

REFUSED_TOKEN = {"error": "Unauthorized", "message": "Invalid or expired token"}


def login(ask: Asker, **changes: Any) -> dict[str, Any]:
    body = {"username": ask.credential["username"], "password": ask.credential["password"]} | changes
    return {name: value for name, value in body.items() if value is not None}


@pytest.fixture
def fresh(asker: MakeAsker, shop: CompatShop) -> Asker:
    """A client whose sessions are nobody else's."""
    return asker(partner_id=shop.a_partner())


# --- 1.3 log-in -------------------------------------------------------------------------------------------------------


def test_a_log_in_gives_two_tokens_with_their_ends(ask: Asker) -> None:
    tokens = ask.post("/auth/login", login(ask))
    fits(tokens, shapes.TOKENS)
    for name in ("access_token", "refresh_token"):
        assert jwt.get_unverified_header(tokens[name]) == {"alg": "HS256", "typ": "JWT"}
    assert ask.post("/auth/login", login(ask))["client_id"] == tokens["client_id"]
    named = login(ask, username=None, email=ask.credential["username"])
    assert ask.post("/auth/login", named)["client_id"] == tokens["client_id"]


@pytest.mark.parametrize(
    "change", [{"username": None}, {"password": None}, {"username": ""}, {"password": 5}, {"username": "\n"}]
)
def test_a_log_in_needs_both(ask: Asker, change: dict[str, Any]) -> None:
    refused = ask.post("/auth/login", login(ask, **change), 400)
    assert refused == {"error": "validation_error", "message": "Username and password are required"}


@pytest.mark.parametrize("change", [{"username": "nobody"}, {"password": "wrong"}])
def test_a_wrong_name_and_a_wrong_password_look_the_same(ask: Asker, change: dict[str, Any]) -> None:
    assert ask.post("/auth/login", login(ask, **change), 401) == {"error": "unauthorized", "message": "Invalid credentials"}


def test_an_inactive_client_cannot_log_in_and_its_tokens_end(asker: MakeAsker, shop: CompatShop) -> None:
    part = shop.cardrail
    partner = shop.a_partner()
    one = asker(partner_id=partner)
    suspend_partner(part.db, part.clock, part.audit, partner, actor="test")
    part.keys.refresh()
    assert one.post("/auth/login", login(one), 401)["message"] == "Invalid credentials"
    assert one.get("/api/v1/wallets", 403) == {"error": "Forbidden", "message": "Insufficient permissions"}


def test_a_revoked_credential_ends_both_generations(asker: MakeAsker, shop: CompatShop) -> None:
    part = shop.cardrail
    partner: PartnerId = shop.a_partner()
    first, second = asker(partner_id=partner), asker(partner_id=partner, generation=2)
    revoke_key(part.db, part.clock, part.audit, ApiKeyId(first.credential["key_id"]), actor="test")
    part.keys.refresh()
    assert first.get("/api/v1/wallets", 401) == REFUSED_TOKEN
    assert second.get("/api/v1/wallets", 401)["error"]["code"] == "E_UNAUTHORIZED_ACCESS"


def test_renewal_rotates_and_an_old_token_ends_the_session(fresh: Asker) -> None:
    tokens = fresh.post("/auth/login", login(fresh))
    renewed = fresh.post("/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    fits(renewed, shapes.TOKENS)
    bearer = {"Authorization": "Bearer " + renewed["access_token"]}
    fresh.get("/api/v1/wallets", headers=bearer)
    refused = fresh.post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}, 401)
    assert refused == {"error": "unauthorized", "message": "Invalid refresh token"}
    assert fresh.get("/api/v1/wallets", 401, headers=bearer) == REFUSED_TOKEN
    fresh.post("/auth/refresh", {"refresh_token": renewed["refresh_token"]}, 401)


def test_a_renewal_needs_a_refresh_token(fresh: Asker) -> None:
    tokens = fresh.post("/auth/login", login(fresh))
    missing = {"error": "validation_error", "message": "Refresh token is required"}
    assert fresh.post("/auth/refresh", {}, 400) == missing
    for wrong in ("x", "a.b.c", tokens["access_token"]):
        assert fresh.post("/auth/refresh", {"refresh_token": wrong}, 401)["message"] == "Invalid refresh token"


def test_a_log_out_ends_all_sessions_of_the_client(fresh: Asker) -> None:
    other = fresh.post("/auth/login", login(fresh))
    assert fresh("POST", "/auth/logout") == {"message": "Successfully logged out"}
    assert fresh("POST", "/auth/logout", 401) == {"error": "unauthorized", "message": "Authentication required"}
    assert fresh.get("/api/v1/wallets", 401, headers={"Authorization": "Bearer " + other["access_token"]}) == REFUSED_TOKEN
    fresh.post("/auth/refresh", {"refresh_token": other["refresh_token"]}, 401)


def test_log_ins_are_throttled(asker: MakeAsker, shop: CompatShop) -> None:
    one = asker(partner_id=shop.a_partner(), requests_per_minute=None)
    found = [one.post("/auth/login", login(one), None) for _ in range(11)][-1]
    assert found == {"error": "Too Many Requests", "message": "Too many login attempts. Please try again later."}
    assert one.answer.status_code == 429
    assert 0 < int(one.answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize("own_limit", [None, 0, 100_000])
def test_log_ins_are_throttled_by_neighbourhood_whatever_the_clients_own_limit(
    asker: MakeAsker, shop: CompatShop, own_limit: int | None, hashed: list[str]
) -> None:
    one = asker(partner_id=shop.a_partner(), requests_per_minute=own_limit)
    hashed.clear()
    network = f"2001:db8:1:{own_limit or 1:x}" if own_limit != 100_000 else "2001:db8:1:ffff"
    tries = [login_from(one, f"{network}::{n + 1:x}", password="wrong").status_code for n in range(12)]
    assert (tries, len(hashed)) == ([401] * 10 + [429] * 2, 10)
    assert login_from(one, f"{network}::ff").status_code == 429
    assert login_from(one, "2001:db8:2::1").status_code == 200


def test_a_neighbourhood_with_too_many_failures_is_refused_before_a_password_is_hashed(
    asker: MakeAsker, shop: CompatShop, hashed: list[str]
) -> None:
    one = asker(partner_id=shop.a_partner())
    for n in range(30):
        assert login_from(one, f"2001:db8:3::{n + 1:x}", username=f"nobody-{n}").status_code == 401
    hashed.clear()
    for password in ("wrong", one.credential["password"]):
        refused = login_from(one, "2001:db8:3::ff", password=password)
        assert (refused.status_code, refused.json()["error"]) == (429, "Too Many Requests")
    assert login_from(one, "2001:db8:3::ff", username="nobody").status_code == 429
    assert hashed == []


def test_passwords_that_are_being_checked_hold_up_nobody_who_reads(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr("cardrail.api.dialects.starship.auth.waste_time_on_password", lambda _: over.wait(60))
    with ThreadPoolExecutor(30) as many:
        tries = [many.submit(login_from, ask, f"2001:db8:4:{n:x}::1", username="nobody") for n in range(30)]
        try:
            done, _ = wait(tries, 60, return_when="FIRST_COMPLETED")
            ask.get("/api/v1/wallets", timeout=30)
            ask.get("/api/v1/orders", timeout=30)
        finally:
            over.set()
    refused = [one.result() for one in tries if one.result().status_code == 503]
    assert done
    assert len(refused) >= 15
    assert (refused[0].json()["error"], refused[0].headers["retry-after"]) == ("unavailable", "1")
    assert {one.result().status_code for one in tries} == {401, 503}


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed; those for unknown names take no time."""
    seen: list[str] = []
    real = Credential.has_password

    def noted(self: Credential, password: str) -> bool:
        seen.append(password)
        return password != "wrong" and real(self, password)

    monkeypatch.setattr(Credential, "has_password", noted)
    monkeypatch.setattr("cardrail.api.dialects.starship.auth.waste_time_on_password", seen.append)
    return seen


def login_from(ask: Asker, address: str, **changes: Any) -> httpx2.Response:
    return ask.http.post("/auth/login", json=login(ask, **changes), headers={"X-Forwarded-For": address})


# --- who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer \xff.\xff.\xff"])
def test_without_a_token_of_ours_nobody_is_let_in(ask: Asker, authorization: str) -> None:
    header = {b"Authorization": authorization.encode("latin-1")}
    assert ask.http.get("/api/v1/orders", headers=header).json() == REFUSED_TOKEN


def test_a_native_token_is_no_token_here_nor_the_other_way_round(ask: Asker, shop: CompatShop) -> None:
    ask.get("/api/v1/orders", 401, headers={"Authorization": "Bearer " + shop.native_key()})
    mine = ask.http.headers["Authorization"]
    assert ask.http.get(shop.url + "/v1/me", headers={"Authorization": mine}).json()["code"] == "invalid_access_token"


@pytest.mark.parametrize(
    "change", [{"X-API-Key": "sk_live_x"}, {"X-API-Secret": "x"}, {"X-API-Secret": ""}, {"X-API-Secret": "\xff"}]
)
def test_key_and_secret_must_both_be_right(keyed: Asker, change: dict[str, str]) -> None:
    answer = keyed.http.get("/api/v1/orders", headers={name.encode(): value.encode("latin-1") for name, value in change.items()})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "E_UNAUTHORIZED_ACCESS")


def test_another_dialects_key_is_no_key_here(keyed: Asker, shop: CompatShop) -> None:
    theirs = shop.credential("foxreload")["api_key"]
    keyed.get("/api/v1/orders", 401, headers={"X-API-Key": theirs})


def test_an_address_that_is_not_listed_is_refused_as_its_generation_does(asker: MakeAsker, shop: CompatShop) -> None:
    partner = shop.a_partner()
    second = asker(partner_id=partner, generation=2, networks=("192.0.2.0/24",))
    assert second.get("/api/v1/wallets", 401)["error"]["code"] == "E_UNAUTHORIZED_ACCESS"
    refused = second.post("/auth/login", login(second), 403)
    assert refused == {"error": "Forbidden", "message": "IP address not authorized"}
    near = {"X-Forwarded-For": "192.0.2.9"}
    tokens = second.post("/auth/login", login(second), headers=near)
    bearer = {"Authorization": "Bearer " + tokens["access_token"]}
    http = second.http
    del http.headers["X-API-Key"]
    assert second.get("/api/v1/wallets", headers=near | bearer) is not None
    refused = second.get("/api/v1/wallets", 403, headers=bearer)
    assert (refused["error"]["code"], refused["error"]["message"]) == ("FORBIDDEN", "IP address not authorized")


def test_a_scope_that_is_missing_is_forbidden(asker: MakeAsker, shop: CompatShop) -> None:
    partner = shop.a_partner()
    first = asker(Mode.LIVE, "catalog:read", partner_id=partner)
    second = asker(Mode.LIVE, "catalog:read", partner_id=partner, generation=2)
    assert first.get("/api/v1/orders", 403) == {"error": "Forbidden", "message": "Insufficient permissions"}
    assert second.get("/api/v1/orders", 403)["error"]["code"] == "FORBIDDEN"


def test_another_clients_order_wallet_and_transaction_are_unknown(ask: Asker, fresh: Asker) -> None:
    created = ask.order(ask.wanted())
    wallet = ask.get("/api/v1/wallets")[0]["id"]
    credit = ask.get("/api/v1/transactions?transaction_type=CREDIT")[0]["id"]
    for path in (f"orders/{created['id']}", f"wallets/{wallet}", f"transactions/{created['id']}", f"transactions/{credit}"):
        assert fresh.get(f"/api/v1/{path}", 404)["error"]["code"] == "NOT_FOUND"
    assert fresh.get("/api/v1/orders") == []
    assert fresh.order(fresh.wanted(wallet_id=wallet), 404)["error"]["code"] == "NOT_FOUND"


def test_requests_are_limited_by_their_kind(asker: MakeAsker, shop: CompatShop) -> None:
    one = asker(Mode.LIVE, partner_id=shop.a_partner("0.01"), generation=2, requests_per_minute=None)
    body = [one.order({}, None, Idempotency_Key=f"limited-{n}") for n in range(61)][-1]
    assert one.answer.status_code == 429
    assert body["error"]["code"] == "TOO_MANY_REQUESTS"
    assert 0 < int(one.answer.headers["retry-after"]) <= 60
    one.get("/api/v1/wallets")


# --- orders that are refused --------------------------------------------------------------------------------------------


REFUSALS: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("no product", {"product_id": None}, 400, "E_VALIDATION_FAILURE", "product_id"),
    ("a text for a product", {"product_id": "12"}, 400, "E_VALIDATION_FAILURE", "product_id"),
    ("an unknown product", {"product_id": 12}, 400, "NOT_FOUND", None),
    ("no denomination", {"denomination": None}, 400, "E_VALIDATION_FAILURE", "denomination"),
    ("another denomination", {"denomination": 101}, 400, "NOT_FOUND", None),
    ("too fine a denomination", {"denomination": 100.001}, 400, "NOT_FOUND", None),
    ("a negative denomination", {"denomination": -100}, 400, "E_VALIDATION_FAILURE", "denomination"),
    ("no quantity", {"quantity": None}, 400, "E_VALIDATION_FAILURE", "quantity"),
    ("quantity 0", {"quantity": 0}, 400, "E_VALIDATION_FAILURE", "quantity"),
    ("half a unit", {"quantity": 0.5}, 400, "E_VALIDATION_FAILURE", "quantity"),
    ("over the bulk limit", {"quantity": 1001}, 400, "BAD_REQUEST", None),
    ("a huge quantity", {"quantity": 10**40}, 400, "E_VALIDATION_FAILURE", "quantity"),
    ("another's wallet", {"wallet_id": 12}, 404, "NOT_FOUND", None),
    ("a long ref", {"ref": "x" * 256}, 400, "E_VALIDATION_FAILURE", "ref"),
    ("a ref with a line break", {"ref": "x\n"}, 400, "E_VALIDATION_FAILURE", "ref"),
    ("a ref that is a number", {"ref": 5}, 400, "E_VALIDATION_FAILURE", "ref"),
    ("no address", {"email": "pat"}, 400, "E_VALIDATION_FAILURE", "email"),
    ("a long address", {"email": "x" * 250 + "@b.example"}, 400, "E_VALIDATION_FAILURE", "email"),
    ("input for a product that takes none", {"input_data": {"phone": "1"}}, 400, "E_VALIDATION_FAILURE", None),
    ("input that is no object", {"input_data": "x"}, 400, "E_VALIDATION_FAILURE", "input_data"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "status", "code", "field"), [one[1:] for one in REFUSALS], ids=[one[0] for one in REFUSALS])
def test_a_refused_order_says_why_and_changes_nothing(
    ask: Asker, shop: CompatShop, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    body = {name: value for name, value in (ask.wanted() | change).items() if value is not None}
    before = shop.rows(), shop.balance()
    answer = ask.order(body, status)
    fits(answer, shapes.SHAPE_B)
    assert answer["error"]["code"] == code
    assert set(answer["error"].get("messages", {})) == ({field} if field else set())
    assert (shop.rows(), shop.balance()) == before


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "SYNTAX_ERROR"),
        (b"{", "SYNTAX_ERROR"),
        (b"product_id=1", "SYNTAX_ERROR"),
        (b'{"product_id": 1}{}', "SYNTAX_ERROR"),
        (b"[" * 100_000, "E_VALIDATION_FAILURE"),
        (b'{"x":' * 1_000, "SYNTAX_ERROR"),
        (b"[]", "E_VALIDATION_FAILURE"),
        (b"null", "E_VALIDATION_FAILURE"),
        (b'{"ref": "\xff"}', "SYNTAX_ERROR"),
        (b'{"ref": "\\ud800"}', "SYNTAX_ERROR"),
        (b'{"denomination": 1e9999}', "E_VALIDATION_FAILURE"),
    ],
)
def test_a_broken_body_is_refused(ask: Asker, content: bytes, code: str) -> None:
    body = ask("POST", "/api/v1/orders", 400, content=content)
    fits(body, shapes.SHAPE_B)
    assert body["error"]["code"] == code


def test_a_body_that_is_too_large_is_refused(ask: Asker) -> None:
    body = ask("POST", "/api/v1/orders", 413, content=b" " * 3_000_000)
    fits(body, shapes.SHAPE_B)


def test_a_ref_serves_one_order(ask: Asker, shop: CompatShop) -> None:
    body = ask.wanted(quantity=1, ref="ONCE-1")
    ask.order(body)
    before = shop.balance()
    for again in (body, body | {"quantity": 2}):
        refused = ask.order(again, 400)
        assert (refused["error"]["code"], refused["error"]["name"]) == ("BAD_REQUEST", "BadRequestError")
    assert shop.balance() == before
    found = [one for one in ask.get("/api/v1/orders?limit=100") if one["reference_code"] == "ONCE-1"]
    assert len(found) == 1


def test_a_key_of_the_first_generation_is_taken_where_it_is_given(ask: Asker, shop: CompatShop) -> None:
    body = ask.wanted(quantity=1)
    created = ask.order(body, Idempotency_Key="first-generation-key")
    before = shop.balance()
    assert ask.order(body, Idempotency_Key="first-generation-key") == created
    assert shop.balance() == before


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "IDEMPOTENCY_KEY_REQUIRED"),
        ("", "IDEMPOTENCY_KEY_REQUIRED"),
        ("1234567", "IDEMPOTENCY_KEY_TOO_SHORT"),
        ("x" * 257, "IDEMPOTENCY_KEY_TOO_LONG"),
    ],
)
def test_the_second_generation_wants_a_key_of_8_to_256_characters(keyed: Asker, key: str | None, code: str) -> None:
    body = keyed.order(keyed.wanted(), 400, **({} if key is None else {"Idempotency_Key": key}))
    fits(body, shapes.SHAPE_C)
    assert body["error"]["code"] == code


@pytest.mark.parametrize("key", ["12345678", "x" * 256])
def test_a_key_gives_the_same_order_again_and_another_content_is_refused(keyed: Asker, shop: CompatShop, key: str) -> None:
    body = keyed.wanted(quantity=1, ref=f"ref-{len(key)}")
    created = keyed.order(body, Idempotency_Key=key)
    before = shop.balance()
    assert keyed.order(body, Idempotency_Key=key) == created
    reused = keyed.order(body | {"quantity": 2}, 409, Idempotency_Key=key)
    fits(reused, shapes.SHAPE_C)
    assert reused["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert keyed.order(body, 400, Idempotency_Key="another-" + key[:8])["error"]["code"] == "BAD_REQUEST"
    assert shop.balance() == before


def test_funds_and_stock_that_are_short_refuse_the_order(asker: MakeAsker, shop: CompatShop, ask: Asker) -> None:
    poor = asker(partner_id=shop.a_partner("10.00"))
    assert poor.order(poor.wanted(), 400)["error"] == {
        "name": "BadRequestError",
        "code": "BAD_REQUEST",
        "message": "Insufficient balance.",
    }
    assert poor.wallet_amount() == 10
    assert ask.order(ask.wanted("Sold-out card"), 400)["error"]["code"] == "INVALID_INPUT"


# --- nothing of ours leaks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "shape"),
    [
        ("GET", "/", 404, shapes.SHAPE_B),
        ("GET", "", 404, shapes.SHAPE_B),
        ("GET", "/api/v1/payouts", 404, shapes.SHAPE_B),
        ("POST", "/api/v1/beneficiaries", 404, shapes.SHAPE_B),
        ("PUT", "/api/v1/orders", 405, shapes.SHAPE_B),
        ("DELETE", "/api/v1/products/5", 405, shapes.SHAPE_B),
        ("GET", "/auth/login", 405, shapes.SHAPE_A),
        ("GET", "/auth/nowhere", 404, shapes.SHAPE_A),
    ],
)
def test_an_unknown_path_and_a_wrong_method_have_the_vendors_envelope(
    ask: Asker, method: str, path: str, status: int, shape: Any
) -> None:
    fits(ask(method, path, status), shape)


def test_every_code_that_reaches_partners_has_the_vendors_words() -> None:
    assert set(TABLE) >= set(STATUS)
    kinds = {one.code: one for one in all_error_types() if one.code in STATUS and one.__init__ is CardrailError.__init__}
    for kind in kinds.values():
        error = kind()
        words = words_of(error)
        answer = answer_b(error, words)
        assert answer.status == words.status
        assert words.name.endswith(("Error", "Exception"))
        assert (words.status >= 500) == (STATUS[kind.code] >= 500), kind.code
        if kind.code not in words.code.lower():
            assert kind.code.encode() not in answer.body


def test_a_fault_of_ours_looks_like_the_vendors(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr("cardrail.api.dialects.starship.orders.slice_orders", broken)
    body = ask.get("/api/v1/orders", 500)
    assert body == {
        "error": {"name": "InternalServerError", "code": "INTERNAL_SERVER_ERROR", "message": "Internal server error."}
    }
