"""Looking at deliveries and their attempts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from cardrail.kernel import is_id
from cardrail.storage import Tx, load_events
from cardrail.webhooks import store
from cardrail.webhooks.errors import DeliveryNotFound
from cardrail.webhooks.model import Attempt, Delivery, EndpointId, EndpointState
from cardrail.webhooks.tables import webhook_endpoints

BACKLOG_MAX: Final = 100_000
"""Where counting stops."""


def backlog(tx: Tx) -> tuple[int, datetime | None]:
    """Deliveries that wait at enabled endpoints (at most BACKLOG_MAX are counted), and when the oldest one's event was."""
    count, oldest = store.backlog(tx, BACKLOG_MAX)
    return count, load_events(tx, [oldest])[oldest].at if oldest is not None else None


_DISABLED: Final = sa.select(webhook_endpoints.c.id).where(webhook_endpoints.c.state == EndpointState.DISABLED.value)


def disabled_endpoints(tx: Tx) -> set[str]:
    """Endpoints that get nothing."""
    return set(tx.execute(_DISABLED).scalars())


def list_deliveries(
    tx: Tx,
    endpoint_id: EndpointId,
    *,
    before: str | None = None,
    state: str | None = None,
    event_type: str | None = None,
    limit: int = 50,
) -> list[Delivery]:
    """An endpoint's deliveries, newest event first; ``before`` is the event at which the page before ended."""
    return store.load_deliveries(tx, endpoint_id, before=before, state=state, event_type=event_type, limit=limit)


def load_delivery(tx: Tx, endpoint_id: EndpointId, event_id: str) -> tuple[Delivery, list[Attempt]]:
    """One delivery with its attempts, oldest first. Raises DeliveryNotFound."""
    found = store.load_delivery(tx, endpoint_id, event_id) if is_id("evt", event_id) else None
    if found is None:
        raise DeliveryNotFound(event_id=event_id[:64])
    return found, store.load_attempts(tx, endpoint_id, event_id)
