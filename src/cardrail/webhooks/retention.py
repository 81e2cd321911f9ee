"""What of webhooks is deleted, and when. Events stay: an order's history is its events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cardrail.kernel import first_body, to_micros
from cardrail.storage import Database
from cardrail.webhooks import store
from cardrail.webhooks.model import EndpointState

BATCH: Final = 500
"""Rows to a transaction: on SQLite the order lane waits while it runs."""


def purge_webhooks(db: Database, now: datetime, *, retain_days: int) -> int:
    """Delete attempts and deliveries that are older than so many days, all of deleted endpoints, and secrets that ended; how many rows.

    Ids are time-ordered, so the age of a row is in its id. What still waits after so long waits at a disabled endpoint.
    """
    before = first_body(to_micros(now - timedelta(days=retain_days)) // 1_000)
    deleted = 0
    with db.transaction() as tx:
        store.delete_ended_secrets(tx, to_micros(now))
        endpoints = store.endpoint_ids(tx)
    while True:
        with db.transaction() as tx:
            count = store.delete_attempts(tx, f"wha_{before}", BATCH)
        deleted += count
        if count < BATCH:
            break
    for endpoint_id, state in endpoints.items():
        floor = "evt_~" if state == EndpointState.DELETED.value else f"evt_{before}"
        while True:
            with db.transaction() as tx:
                count = store.delete_deliveries(tx, endpoint_id, floor, BATCH)
            deleted += count
            if count < BATCH:
                break
    return deleted
