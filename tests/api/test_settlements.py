"""Statements, their lines and files, and the reconciliation of a period, over HTTP."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from cardrail.kernel import FrozenClock, Mode
from cardrail.settlement import Statement, close_due, sequence_now
from tests.api.build import Served, assert_problem


@pytest.fixture
def closed(server: Served) -> Statement:
    """A statement over what the partner did until now, closed as if its month were over."""
    for n in range(3):
        server.order("TEA", 1, reference=f"=invoice-{n}")
    parts = server.cardrail
    sequence_now(parts.db)
    later = FrozenClock(datetime.now(UTC) + timedelta(days=40))
    done = close_due(parts.db, later, parts.audit, partner_id=server.partner_id, mode=Mode.LIVE)
    return done.closed[0]


PERIOD = {"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}


def test_a_closed_statement_is_listed_and_shown(server: Served, closed: Statement) -> None:
    (listed,) = [one for one in server.live.get("/v1/settlements").json()["data"] if one["number"] == 1]
    shown = server.live.get(f"/v1/settlements/{closed.id}").json()
    assert shown == listed
    assert (shown["state"], shown["closing"], shown["hash"]) == (
        "closed",
        {"amount": "999715.00", "currency": "INR"},
        closed.hash,
    )
    assert shown["totals"]["sale"]["amount"] == "-285.00"


def test_its_lines_come_in_pages(server: Served, closed: Statement) -> None:
    path, found, cursor = f"/v1/settlements/{closed.id}/lines", [], None
    while True:
        page = server.live.get(path, params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(one["n"], one["kind"]) for one in found] == [(1, "credit"), (2, "sale"), (3, "sale"), (4, "sale")]
    assert found[-1]["balance"]["amount"] == "999715.00"
    assert found[-1]["items"][0]["units"] == 1


def test_the_downloaded_file_hashes_to_what_the_statement_says(server: Served, closed: Statement) -> None:
    data = server.live.get(f"/v1/settlements/{closed.id}/file", params={"format": "jsonl"}).content
    assert hashlib.sha256(data).hexdigest() == closed.hash


def test_the_table_is_defused_and_ends_with_the_closing_balance(server: Served, closed: Statement) -> None:
    response = server.live.get(f"/v1/settlements/{closed.id}/file")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["reference"] for row in rows][2:5] == ["'=invoice-0", "'=invoice-1", "'=invoice-2"]
    assert (rows[0]["kind"], rows[-1]["kind"], rows[-1]["balance"]) == ("opening", "closing", "999715.00")


def test_the_draft_is_there_before_anything_is_closed(server: Served) -> None:
    server.order()
    sequence_now(server.cardrail.db)
    draft = server.live.get("/v1/settlements/draft").json()
    assert (draft["state"], draft["hash"], draft["closing"]["amount"]) == ("draft", None, "999905.00")
    assert len(server.live.get("/v1/settlements/draft/lines").json()["data"]) == 2
    assert server.live.get("/v1/settlements").json()["data"] == []
    assert_problem(server.live.get("/v1/settlements/draft", params={"currency": "EUR"}), 404, "statement_not_found")


def test_nobody_else_sees_a_statement(server: Served, closed: Statement) -> None:
    for path in ("", "/lines", "/file"):
        assert_problem(server.stranger().get(f"/v1/settlements/{closed.id}{path}"), 404, "statement_not_found")
        assert_problem(server.test.get(f"/v1/settlements/{closed.id}{path}"), 404, "statement_not_found")
    without = server.client(server.a_key("orders:read"))
    for path in ("/v1/settlements", f"/v1/settlements/{closed.id}", "/v1/reconciliation"):
        assert_problem(without.get(path, params=PERIOD if "recon" in path else {}), 403, "scope_missing")


def test_a_cursor_of_one_statement_opens_no_other(server: Served, closed: Statement) -> None:
    page = server.live.get(f"/v1/settlements/{closed.id}/lines", params={"limit": 1}).json()
    other = server.live.get("/v1/settlements/draft/lines", params={"limit": 1, "cursor": page["next_cursor"]})
    assert_problem(other, 400, "invalid_cursor")


def test_a_period_is_reconciled_in_json_and_csv(server: Served) -> None:
    placed = [server.order("TEA", 2, reference="a")["id"], server.order()["id"]]
    found = server.live.get("/v1/reconciliation", params=PERIOD)
    assert json.loads(found.content)["orders"][0]["charged"] == {"amount": "190.00", "currency": "INR"}
    assert [one["id"] for one in found.json()["orders"]] == placed
    (wallet,) = found.json()["wallets"]
    assert (wallet["opening"]["amount"], wallet["closing"]["amount"]) == ("0.00", "999715.00")
    rows = list(csv.DictReader(io.StringIO(server.live.get("/v1/reconciliation", params={**PERIOD, "format": "csv"}).text)))
    assert [(row["order_id"], row["charged"], row["settlement"]) for row in rows] == [
        (placed[0], "190.00", "settled"),
        (placed[1], "95.00", "settled"),
    ]


def test_a_period_without_orders_is_an_empty_list(server: Served) -> None:
    found = server.live.get("/v1/reconciliation", params={"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"})
    assert found.json()["orders"] == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "invalid_query"),
        ({"from": "2026-01-01T00:00:00Z"}, "invalid_query"),
        ({"from": "01.01.2026", "to": "2026-01-01T00:00:00Z"}, "invalid_query"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "invalid_period"),
        ({**PERIOD, "format": "pdf"}, "invalid_query"),
        ({**PERIOD, "page": "2"}, "invalid_query"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(still_server: Served, params: dict[str, str], code: str) -> None:
    assert_problem(still_server.live.get("/v1/reconciliation", params=params), 400, code)


# --- exports ----------------------------------------------------------------------------------------------------------


def test_a_small_export_is_done_at_once_and_its_link_needs_no_key(server: Served) -> None:
    placed = server.order("TEA", 2, reference="+1")["id"]
    asked = server.live.post("/v1/exports", json={"kind": "items", "format": "csv"})
    made = asked.json()
    assert (asked.status_code, made["state"], made["rows"]) == (202, "done", 1)
    response = server.nobody.get(made["download_url"])
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert (row["order_id"], row["reference"], row["charged"]) == (placed, "'+1", "190.00")
    assert f'filename="items-{made["id"]}.csv"' in response.headers["content-disposition"]
    assert server.live.get(f"/v1/exports/{made['id']}").json()["state"] == "done"
    assert [one["id"] for one in server.live.get("/v1/exports").json()["data"]] == [made["id"]]


def test_an_export_holds_nobody_elses_orders_and_is_nobody_elses(server: Served) -> None:
    server.order()
    made = server.stranger().post("/v1/exports", json={"kind": "orders"}).json()
    assert made["rows"] == 0
    assert_problem(server.live.get(f"/v1/exports/{made['id']}"), 404, "export_not_found")
    assert server.test.get("/v1/exports").json()["data"] == []


def test_a_link_that_was_touched_is_refused(server: Served) -> None:
    made = server.live.post("/v1/exports", json={"kind": "orders"}).json()
    touched = made["download_url"].replace("expires=1", "expires=2")
    assert_problem(server.nobody.get(touched), 403, "invalid_link")
    assert_problem(server.nobody.get(f"/v1/exports/{made['id']}/file"), 400, "invalid_query")


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"kind": "stock"}, "invalid_body", 400),
        ({"kind": "orders", "format": "pdf"}, "invalid_body", 400),
        ({"kind": "movements", "state": "FULFILLED"}, "invalid_export", 422),
        ({"kind": "statement"}, "invalid_export", 422),
        ({"kind": "orders", "since": "yesterday"}, "invalid_body", 400),
        ({"kind": "orders", "partner_id": "par_other"}, "unknown_member", 400),
    ],
)
def test_an_export_that_cannot_be_is_refused(still_server: Served, body: dict[str, str], code: str, status: int) -> None:
    assert_problem(still_server.live.post("/v1/exports", json=body), status, code)
