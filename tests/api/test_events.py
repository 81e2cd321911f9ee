"""The stream of events, as a partner pulls it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.kernel import Mode
from cardrail.storage import EVENT_SERIES, Sequencer, in_tx, mark_position, mark_restored, metadata
from tests.api.build import Served, assert_problem


@pytest.fixture
def stream(server: Served) -> Any:
    """Ask for a page, after everything that was committed has its position."""

    def ask(**params: Any) -> dict[str, Any]:
        Sequencer(server.cardrail.db, [EVENT_SERIES]).run_pass()
        response = server.live.get("/v1/events", params=params)
        assert response.status_code == 200, response.text
        page: dict[str, Any] = response.json()
        return page

    return ask


def test_an_order_is_in_the_stream_and_a_strangers_is_not(server: Served, stream: Any) -> None:
    placed = server.order()
    events = stream()["data"]
    assert [one["type"] for one in events if one["type"].startswith("order.")] == ["order.fulfilled"]
    (event,) = [one for one in events if one["type"] == "order.fulfilled"]
    assert event["data"]["order_id"] == placed["id"]
    seen = server.stranger().get("/v1/events", params={"types": "order.fulfilled"}).json()["data"]
    assert seen == []


def test_amounts_are_written_as_everywhere(stream: Any) -> None:
    (event,) = stream(types="balance.credited")["data"]
    assert event["data"]["amount"] == {"amount": "1000000.00", "currency": "INR"}
    assert "actor" not in event


def test_a_reader_who_keeps_the_cursor_misses_nothing_and_reads_nothing_twice(server: Served, stream: Any) -> None:
    page = stream(types="order.fulfilled")
    ids = []
    for _ in range(3):
        placed = [server.order()["id"] for _ in range(3)]
        page = stream(types="order.fulfilled", cursor=page["next_cursor"], limit=2)
        assert page["has_more"]
        more = stream(types="order.fulfilled", cursor=page["next_cursor"], limit=2)
        ids += [one["data"]["order_id"] for one in page["data"] + more["data"]]
        assert ids[-3:] == placed
        page = more
    assert not page["has_more"]
    assert len(set(ids)) == 9


def test_news_of_the_catalog_are_for_every_partner(server: Served, stream: Any) -> None:
    assert {one["type"] for one in stream(types="product.updated")["data"]} == {"product.updated"}
    stranger = server.stranger().get("/v1/events", params={"types": "product.updated"}).json()["data"]
    assert stranger == stream(types="product.updated")["data"]


def test_only_what_happened_since_a_moment(server: Served, stream: Any) -> None:
    server.order()
    in_tx(server.cardrail.db, lambda tx: mark_position(tx, "events", server.cardrail.clock.now()))
    last = server.order()
    found = stream(since=last["created_at"])["data"]
    assert [one["data"]["order_id"] for one in found] == [last["id"]]


def test_a_cursor_is_good_for_its_own_filters_only(server: Served, stream: Any) -> None:
    cursor = stream()["next_cursor"]
    refused = server.live.get("/v1/events", params={"cursor": cursor, "types": "order.failed"})
    assert_problem(refused, 400, "invalid_cursor")


def test_a_cursor_from_before_a_restore_is_refused_and_later_ones_are_good(server: Served, stream: Any) -> None:
    before, db, now = stream()["next_cursor"], server.cardrail.db, server.cardrail.clock.now()
    for hours in (1, 2):  # a second restore of the same backup is one more
        with db.transaction() as tx:
            tx.execute(sa.delete(metadata.tables["restores"]))
            mark_restored(tx, now, now + timedelta(hours=hours))
        assert_problem(server.live.get("/v1/events", params={"cursor": before}), 400, "invalid_cursor")
        before = stream()["next_cursor"]
        assert stream(cursor=before)["data"] == []
    with db.transaction() as tx:
        tx.execute(sa.delete(metadata.tables["restores"]))


def test_an_unknown_type_and_a_missing_scope_are_refused(server: Served) -> None:
    assert_problem(server.live.get("/v1/events", params={"types": "order.eaten"}), 422, "unknown_event_type")
    assert_problem(server.live.get("/v1/events", params={"types": "hold.overdue"}), 422, "unknown_event_type")
    weak = server.client(server.a_key("orders:read", partner_id=server.world.a_partner("INR").partner_id))
    assert_problem(weak.get("/v1/events"), 403, "scope_missing")


def test_live_and_test_have_their_own_streams(server: Served, stream: Any) -> None:
    server.order()
    stream()
    assert server.test.get("/v1/events", params={"types": "order.fulfilled"}).json()["data"] == []
    assert server.world.partner.mode is Mode.LIVE
