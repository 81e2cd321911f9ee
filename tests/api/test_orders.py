"""Orders over real HTTP: placed, read, paid, cancelled and taken back."""

from typing import Any

from tests.api.build import Served, assert_problem


def test_an_order_from_stock_is_final_in_its_own_answer(server: Served) -> None:
    placed = server.order("TEA", 2, reference="r-1", metadata={"shelf": "7"})
    assert placed["state"] == "FULFILLED"
    assert placed["total"] == placed["charged"] == {"amount": "190.00", "currency": "INR"}
    assert placed["metadata"] == {"shelf": "7"}
    (item,) = placed["items"]
    assert item["unit_price"] == {"amount": "95.00", "currency": "INR"}
    assert len({one["code"] for one in item["codes"]}) == 2


def test_the_same_key_again_is_the_same_order_with_the_same_codes(server: Served) -> None:
    body = {"items": [{"sku": "TEA", "quantity": 1}]}
    first = server.live.post("/v1/orders", json=body, headers={"Idempotency-Key": "k-1"})
    again = server.live.post("/v1/orders", json=body, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["items"] == again.json()["items"]
    assert again.headers["idempotency-replayed"] == "true"


def test_an_order_is_shown_with_its_history_and_without_its_codes(server: Served) -> None:
    placed = server.order()
    shown = server.live.get(f"/v1/orders/{placed['id']}").json()
    assert shown["items"][0]["codes"] is None
    assert [step["to_state"] for step in shown["history"]][-1] == "FULFILLED"


def test_codes_are_revealed_again_on_demand(server: Served) -> None:
    placed = server.order(quantity=2)
    revealed = server.live.get(f"/v1/orders/{placed['id']}/codes")
    shown = revealed.json()["items"][0]["codes"]
    assert [{name: one[name] for name in placed["items"][0]["codes"][0]} for one in shown] == placed["items"][0]["codes"]
    assert [(one["position"], one["state"], one["replacement_id"]) for one in shown] == [
        (1, "DELIVERED", None),
        (2, "DELIVERED", None),
    ]
    assert revealed.headers["cache-control"] == "no-store"


def test_a_key_that_may_not_see_codes_orders_without_them(server: Served) -> None:
    buyer = server.world.a_partner("INR", "500.00")
    client = server.client(server.a_key("orders:write", "orders:read", partner_id=buyer.partner_id))
    placed = client.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 1}]}).json()
    assert placed["state"] == "FULFILLED"
    assert placed["items"][0]["codes"] is None
    assert_problem(client.get(f"/v1/orders/{placed['id']}/codes"), 403, "scope_missing")


def test_the_list_goes_on_from_its_cursor_newest_first(server: Served) -> None:
    placed = [server.order(customer_id="c-1")["id"] for _ in range(5)]
    server.order(customer_id="c-2")
    seen: list[str] = []
    cursor = None
    while True:
        query: dict[str, Any] = {"customer_id": "c-1", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = server.live.get("/v1/orders", params=query).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == placed[::-1]


def test_a_cursor_from_elsewhere_is_refused(server: Served) -> None:
    for _ in range(3):
        server.order()
    cursor = server.live.get("/v1/orders", params={"limit": 1}).json()["next_cursor"]
    for client, path, query in (
        (server.live, "/v1/orders", {"state": "FAILED"}),
        (server.live, "/v1/transactions", {}),
        (server.test, "/v1/orders", {}),
        (server.stranger(), "/v1/orders", {}),
    ):
        assert_problem(client.get(path, params={**query, "cursor": cursor}), 400, "invalid_cursor")
    assert_problem(server.live.get("/v1/orders", params={"cursor": "ä"}), 400, "invalid_cursor")


def test_filters_narrow_the_list(server: Served) -> None:
    first = server.order(reference="a b")
    server.order()
    for query in (
        {"reference": "a b"},
        {"state": "FULFILLED", "until": "2001-01-01T00:00:00Z"},
        {"since": "2999-01-01T00:00:00Z"},
    ):
        found = [one["id"] for one in server.live.get("/v1/orders", params=query).json()["data"]]
        assert found == ([first["id"]] if "reference" in query else [])


def test_an_unpaid_order_is_paid_once(server: Served) -> None:
    placed = server.order(payment="later")
    assert (placed["state"], placed["charged"]["amount"]) == ("PLACED", "0.00")
    paid = server.live.post(f"/v1/orders/{placed['id']}/pay")
    again = server.live.post(f"/v1/orders/{placed['id']}/pay")
    assert paid.json()["state"] == again.json()["state"] == "FULFILLED"
    assert paid.json()["items"][0]["codes"] == again.json()["items"][0]["codes"] != []


def test_an_unpaid_order_is_cancelled_and_then_not_payable(server: Served) -> None:
    placed = server.order(payment="later")
    assert server.live.post(f"/v1/orders/{placed['id']}/cancel").json()["state"] == "CANCELLED"
    assert_problem(server.live.post(f"/v1/orders/{placed['id']}/pay"), 409, "not_payable")
    fulfilled = server.order()
    assert_problem(server.live.post(f"/v1/orders/{fulfilled['id']}/cancel"), 409, "not_cancellable")


def test_an_order_whose_codes_nobody_saw_is_taken_back(server: Served) -> None:
    revealed = server.order()
    buyer = server.world.a_partner("INR", "500.00")
    client = server.client(server.a_key("orders:write", partner_id=buyer.partner_id))
    placed = client.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 1}]}).json()
    taken = client.post(f"/v1/orders/{placed['id']}/invalidate", json={"reason": "a mistake"})
    assert taken.json()["state"] == "INVALIDATED"
    assert taken.json()["refunded"] == taken.json()["charged"]
    assert_problem(server.live.post(f"/v1/orders/{revealed['id']}/invalidate"), 409, "invalidation_refused")


def test_another_partners_ids_are_unknown(server: Served) -> None:
    placed = server.order()
    quote = server.live.post("/v1/quotes", json={"items": [{"sku": "TEA", "quantity": 1}]}).json()
    stranger = server.stranger()
    for client in (stranger, server.test):
        for verb, path in (("get", ""), ("get", "/codes"), ("post", "/cancel"), ("post", "/pay"), ("post", "/invalidate")):
            assert_problem(getattr(client, verb)(f"/v1/orders/{placed['id']}{path}"), 404, "order_not_found")
        assert_problem(client.get(f"/v1/quotes/{quote['id']}"), 404, "quote_not_found")
        assert client.get("/v1/orders").json()["data"] == []


def test_a_quote_holds_and_is_used_once(server: Served) -> None:
    body = {"items": [{"sku": "TEA", "quantity": 3}]}
    quote = server.live.post("/v1/quotes", json=body).json()
    assert quote["total"] == {"amount": "285.00", "currency": "INR"}
    placed = server.live.post("/v1/orders", json={**body, "quote_id": quote["id"]})
    assert placed.json()["quote_id"] == quote["id"]
    assert server.live.get(f"/v1/quotes/{quote['id']}").json()["order_id"] == placed.json()["id"]
    assert_problem(server.live.post("/v1/orders", json={**body, "quote_id": quote["id"]}), 409, "quote_used")


def test_every_reserved_test_sku_does_what_its_name_says(server: Served) -> None:
    def place(sku: str, quantity: int = 1) -> tuple[int, str]:
        response = server.test.post("/v1/orders", json={"items": [{"sku": sku, "quantity": quantity}]})
        answer = response.json()
        return response.status_code, answer.get("state") or answer["code"]

    assert place("TEST_OK") == (201, "FULFILLED")
    assert place("TEST_PARTIAL", 3) == (201, "PARTIALLY_FULFILLED")
    assert place("TEST_REFUND") == (201, "FAILED")
    assert place("TEST_PENDING") == (201, "PLACED")
    assert place("TEST_OUT_OF_STOCK") == (409, "out_of_stock")
    assert place("TEST_PRICE_CHANGED") == (409, "price_changed")
