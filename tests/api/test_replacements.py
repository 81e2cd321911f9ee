"""Bad codes over HTTP: claimed by position, looked at, shown beside their successors; and top-ups checked before they are ordered."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.catalog import import_catalog
from cardrail.orders import CodeAt, ReplacementDecision, pursue_replacement, refund_order, resolve_replacement
from tests.api.build import Served

CLAIM = {
    "codes": [{"line": 1, "position": 2}],
    "reason": "already_redeemed",
    "evidence": "it was used",
    "links": ["https://x.example/1"],
}


def claimed(server: Served, order: dict[str, Any], key: str | None = None, status: int = 201, **claim: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key is not None else {}
    answer = server.live.post(f"/v1/orders/{order['id']}/replacements", json=CLAIM | claim, headers=headers)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def decided(server: Served, one: dict[str, Any], decision: ReplacementDecision) -> None:
    resolve_replacement(server.cardrail.replacements, one["id"], decision, because="looked at it", actor="cli")


def test_a_claim_is_taken_looked_at_and_its_new_code_shown(server: Served) -> None:
    order = server.order("TEA", 2)
    old = [one["code"] for one in order["items"][0]["codes"]]
    (one,) = claimed(server, order)["data"]
    assert (one["state"], one["line"], one["position"], one["reason"]) == ("REQUESTED", 1, 2, "already_redeemed")
    decided(server, one, ReplacementDecision.STOCK)
    shown = server.live.get(f"/v1/replacements/{one['id']}").json()
    assert (shown["state"], shown["because"], shown["refunded"]) == ("REPLACED", "looked at it", None)
    codes = server.live.get(f"/v1/orders/{order['id']}/codes").json()["items"][0]["codes"]
    assert [(one["position"], one["state"]) for one in codes] == [(1, "DELIVERED"), (2, "REPLACED"), (2, "DELIVERED")]
    assert ([codes[0]["code"], codes[1]["code"]], codes[1]["replacement_id"], codes[2]["code"] in old) == (old, one["id"], False)


def test_a_refund_is_money_and_says_so(server: Served) -> None:
    order = server.order("TEA", 2)
    (one,) = claimed(server, order)["data"]
    decided(server, one, ReplacementDecision.REFUND)
    shown = server.live.get(f"/v1/replacements/{one['id']}").json()
    assert (shown["state"], shown["refunded"]) == ("REFUNDED", {"amount": "95.00", "currency": "INR"})
    codes = server.live.get(f"/v1/orders/{order['id']}/codes").json()["items"][0]["codes"]
    assert [(one["state"], one["replacement_id"]) for one in codes] == [("DELIVERED", None), ("REFUNDED", one["id"])]
    assert server.live.get(f"/v1/orders/{order['id']}").json()["refunded"]["amount"] == "95.00"


def test_a_unit_that_the_operator_refunded_shows_so_and_is_not_claimed(server: Served) -> None:
    order = server.order("TEA", 2)
    parts = server.cardrail
    facts: dict[str, Any] = {"node": "main", "because": "late", "actor": "cli", "units": [CodeAt(1, 2)]}
    refund_order(parts.db, parts.clock, parts.audit, order["id"], None, **facts)
    refused = claimed(server, order, status=409)
    assert (refused["code"], refused["line"], refused["position"]) == ("unit_refunded", 1, 2)
    assert server.live.get(f"/v1/orders/{order['id']}").json()["items"][0]["refunded_units"] == [2]
    codes = server.live.get(f"/v1/orders/{order['id']}/codes").json()["items"][0]["codes"]
    assert [(one["state"], one["replacement_id"]) for one in codes] == [("DELIVERED", None), ("REFUNDED", None)]


def test_a_key_binds_its_claims(server: Served) -> None:
    order = server.order("TEA", 2)
    first = claimed(server, order, "k-1")
    assert claimed(server, order, "k-1", 200) == first
    assert claimed(server, order, "k-1", 422, reason="expired")["code"] == "idempotency_conflict"
    assert claimed(server, order, "k-2", 409)["code"] == "replacement_open"


def test_claims_are_listed_newest_first_by_page(server: Served) -> None:
    order = server.order("TEA", 3)
    codes = [{"line": 1, "position": n} for n in (1, 2, 3)]
    made = [one["id"] for one in claimed(server, order, codes=codes)["data"]]
    page = server.live.get(f"/v1/orders/{order['id']}/replacements", params={"limit": 2}).json()
    rest = server.live.get(f"/v1/orders/{order['id']}/replacements", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [one["id"] for one in page["data"] + rest["data"]] == made[::-1]
    assert [one["id"] for one in server.live.get("/v1/replacements", params={"state": "REQUESTED"}).json()["data"]] == made[::-1]
    assert server.live.get("/v1/replacements", params={"state": "REPLACED"}).json()["data"] == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_cannot_be_claimed_is_refused_in_words(server: Served) -> None:
    order = server.order("TEA", 1)
    path = f"/v1/orders/{order['id']}/replacements"
    for body, status, code in (
        (CLAIM, 404, "code_position_not_found"),
        (CLAIM | {"codes": []}, 400, None),
        (CLAIM | {"reason": "ugly"}, 400, None),
        (CLAIM | {"links": ["javascript:alert(1)"]}, 400, None),
        (CLAIM | {"codes": [{"line": 1, "position": 1}, {"line": 1, "position": 1}]}, 422, "invalid_replacement"),
        (CLAIM | {"more": 1}, 400, "unknown_member"),
    ):
        answer = server.live.post(path, json=body)
        assert (answer.status_code, answer.json()["code"] if code else None) == (status, code), answer.text
    stranger = server.stranger()
    assert stranger.post(path, json=CLAIM).status_code == 404
    (one,) = claimed(server, order, codes=[{"line": 1, "position": 1}])["data"]
    assert stranger.get(f"/v1/replacements/{one['id']}").json()["code"] == "replacement_not_found"
    assert stranger.get(path).json()["code"] == "order_not_found"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_test_mode_shows_the_whole_story(server: Served) -> None:
    order = server.test.post("/v1/orders", json={"items": [{"sku": "TEST_BAD_CODE", "quantity": 1}]}).json()
    claim = CLAIM | {"codes": [{"line": 1, "position": 1}]}
    (one,) = server.test.post(f"/v1/orders/{order['id']}/replacements", json=claim).json()["data"]
    pursue_replacement(server.cardrail.replacements, one["id"])
    old, new = server.test.get(f"/v1/orders/{order['id']}/codes").json()["items"][0]["codes"]
    assert (old["state"], old["code"][:4], new["state"], new["code"][:5]) == ("REPLACED", "BAD-", "DELIVERED", "TEST-")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_top_up_is_checked_before_it_is_ordered(server: Served) -> None:
    sheet = (
        b"product_code,name,brand,category,kind,country,currency,denomination_type,face_values,required_fields\n"
        b"robi-50,50 BDT,Robi,Mobile,topup,BD,BDT,fixed,50,mobile_number\n"
    )
    part = server.cardrail
    import_catalog(part.db, part.clock, part.audit, sheet, actor="test")
    part.catalog.refresh()
    wrong = server.test.post("/v1/topups/validate", json={"sku": "robi-50", "fields": {"mobile_number": "12"}}).json()
    right = server.test.post("/v1/topups/validate", json={"sku": "robi-50", "fields": {"mobile_number": "01812345678"}}).json()
    unasked = server.live.post("/v1/topups/validate", json={"sku": "robi-50", "fields": {"mobile_number": "01812345678"}}).json()
    assert (wrong["is_valid"], wrong["field"], bool(wrong["pattern"])) == (False, "mobile_number", True)
    assert (right["is_valid"], right["supplier_check"], right["account_name"]) == (True, "valid", "Test account")
    assert (unasked["is_valid"], unasked["supplier_check"]) == (True, "not_offered")
    refused = server.live.post("/v1/topups/validate", json={"sku": "TEA", "fields": {}})
    assert (refused.status_code, refused.json()["code"]) == (422, "not_a_topup")
