"""Balances, transactions, who one is, tokens, and the sandbox's wallet."""

from __future__ import annotations

import httpx2

from tests.api.build import Served, assert_problem


def test_the_balance_falls_by_what_an_order_charged(server: Served) -> None:
    before = server.live.get("/v1/balances").json()["data"]
    server.order("TEA", 2)
    (after,) = server.live.get("/v1/balances").json()["data"]
    assert before[0]["available"]["amount"] == "1000000.00"
    assert after["available"] == {"amount": "999810.00", "currency": "INR"}


def test_the_balance_of_a_past_moment_can_be_asked_for(server: Served) -> None:
    moment = server.order()["created_at"]
    server.order()
    (then,) = server.live.get("/v1/balances", params={"at": moment}).json()["data"]
    assert then["balance"]["amount"] == "999905.00"


def test_transactions_explain_the_balance(server: Served) -> None:
    placed = server.order("TEA", 2)
    newest, first = server.live.get("/v1/transactions").json()["data"]
    assert (newest["direction"], newest["amount"]["amount"], newest["order_id"]) == ("debit", "190.00", placed["id"])
    assert (first["direction"], first["balance_after"]["amount"]) == ("credit", "1000000.00")
    page = server.live.get("/v1/transactions", params={"limit": 1}).json()
    (second,) = server.live.get("/v1/transactions", params={"limit": 1, "cursor": page["next_cursor"]}).json()["data"]
    assert second == first


def test_transactions_of_one_order(server: Served) -> None:
    placed = server.order()
    server.order()
    found = server.live.get("/v1/transactions", params={"order_id": placed["id"]}).json()["data"]
    assert {one["order_id"] for one in found} == {placed["id"]}
    assert server.stranger().get("/v1/transactions", params={"order_id": placed["id"]}).json()["data"] == []


def test_me_names_partner_key_and_scopes(server: Served) -> None:
    me = server.live.get("/v1/me").json()
    assert (me["partner_id"], me["mode"], me["currency"]) == (server.partner_id, "live", "INR")
    assert "orders:write" in me["scopes"]
    assert server.test.get("/v1/me").json()["mode"] == "test"


def test_a_token_does_what_its_key_may_and_no_more(server: Served) -> None:
    made = server.live.post("/v1/tokens", json={"scopes": ["balances:read"], "expires_in": 60}).json()
    client = server.client(made["token"])
    assert client.get("/v1/balances").status_code == 200
    assert_problem(client.get("/v1/orders"), 403, "scope_missing")
    assert_problem(client.post("/v1/tokens"), 401, "invalid_access_token")


def test_a_key_can_be_sent_in_its_own_header(server: Served) -> None:
    assert server.nobody.get("/v1/me", headers={"X-API-Key": server.key}).json()["mode"] == "live"


def test_the_test_wallet_can_be_set_and_the_real_one_cannot(server: Served) -> None:
    for amount in ("5.00", "1234.50", "0.00", "0.00"):
        wanted = {"balance": {"amount": amount, "currency": "INR"}}
        assert server.test.put("/v1/sandbox/balance", json=wanted).json()["available"]["amount"] == amount
    refused = server.test.post("/v1/orders", json={"items": [{"sku": "TEST_OK", "quantity": 1}]})
    assert_problem(refused, 402, "insufficient_funds")
    body = {"balance": {"amount": "1.00", "currency": "INR"}}
    assert_problem(server.live.put("/v1/sandbox/balance", json=body), 403, "test_key_required")
    assert server.live.get("/v1/balances").json()["data"][0]["available"]["amount"] == "1000000.00"


def test_a_test_wallet_holds_no_more_than_a_million_million(server: Served) -> None:
    def put(amount: str) -> httpx2.Response:
        return server.test.put("/v1/sandbox/balance", json={"balance": {"amount": amount, "currency": "INR"}})

    assert put("10000000000.00").status_code == 200
    assert assert_problem(put("10000000000.01"), 400, "invalid_amount")["maximum"] == "10000000000.00"
    assert put("0.00").status_code == 200
