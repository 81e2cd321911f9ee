"""From an order to a signed request, and what is kept of it."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from cardrail.webhooks import DeliveryState
from tests.webhooks.build import WHO, Hooks
from tests.webhooks.receiver import Receiver, in_turn, status


def test_an_order_is_told_of_in_a_signed_and_thin_message(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url)
    (order_id,) = hooks.order()
    assert hooks.send() == 1
    (request,) = receiver.received
    message = Webhook(secret.reveal()).verify(request.body, request.headers)
    assert message["type"] == "order.fulfilled"
    assert message["data"] == {"order_id": order_id, "step": 1, "state": "FULFILLED", "previous_state": None}
    assert message["id"] == request.headers["webhook-id"]
