"""Looking at deliveries and their attempts."""

from __future__ import annotations

from cardrail.storage import Tx
from cardrail.webhooks import store
from cardrail.webhooks.errors import DeliveryNotFound
from cardrail.webhooks.model import Attempt, Delivery, EndpointId


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
    found = store.load_delivery(tx, endpoint_id, event_id)
    if found is None:
        raise DeliveryNotFound(event_id=event_id)
    return found, store.load_attempts(tx, endpoint_id, event_id)
