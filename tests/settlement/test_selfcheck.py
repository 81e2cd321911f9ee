"""The daily self-check: silent while everything agrees, loud and exact when something does not."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from structlog.testing import capture_logs

from cardrail.settlement import self_check
from cardrail.storage import events, metadata
from tests.settlement.build import Ledgers


def test_books_that_agree_are_not_talked_about(ledgers: Ledgers) -> None:
    ledgers.refund(ledgers.sell(quantity=2), 100)
    ledgers.until(2026, 2, 1, 1)
    ledgers.close()
    with capture_logs() as logs:
        assert self_check(ledgers.world.db, ledgers.clock, ledgers.world.audit) == []
    assert logs == []


def test_drift_is_an_alert_and_an_event_that_name_the_rows(ledgers: Ledgers) -> None:
    world = ledgers.world
    order = ledgers.sell()
    orders = metadata.tables["orders"]
    with world.db.transaction() as tx:
        tx.execute(sa.update(orders).where(orders.c.id == order.id).values(charged_minor=1))
    with capture_logs() as logs:
        found = self_check(world.db, ledgers.clock, world.audit)
        assert self_check(world.db, ledgers.clock, world.audit) == found  # the next day finds it again
    assert {one.subject for one in found} == {order.id}
    assert {(one["log_level"], one["subject"]) for one in logs} == {("error", order.id)}
    with world.db.read() as tx:
        told = tx.execute(sa.select(events).where(events.c.type == "books.drift").order_by(events.c.subject_seq)).all()
    assert [row.subject_seq for row in told] == [1, 2]
    data = msgspec.json.decode(told[0].data)
    assert (data["findings"], data["rows"][0]["subject"], told[0].partner_id) == (len(found), order.id, None)
