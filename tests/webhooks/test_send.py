"""From an order to a signed request, and what is kept of it."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from functools import partial

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from cardrail.kernel import Mode, Secret
from cardrail.storage import Tx
from cardrail.webhooks import DeliveryState, Endpoint, EndpointState
from tests.waiting import PATIENCE_SECONDS, wait_until
from tests.webhooks.build import WHO, Hooks
from tests.webhooks.receiver import Answer, Receiver, a_gigabyte, a_receiver, in_turn, reset, slow, status


def verified(secret: Secret, receiver: Receiver) -> list[str]:
    """The ids of the messages, each verified with the published library."""
    return [Webhook(secret.reveal()).verify(one.body, one.headers)["id"] for one in receiver.received]


def states(hooks: Hooks, endpoint: Endpoint) -> list[str]:
    return [one.state.value for one in hooks.deliveries(endpoint)]


def test_an_order_is_told_of_in_a_signed_and_thin_message(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url)
    (order_id,) = hooks.order()
    assert hooks.send() == 1
    (request,) = receiver.received
    message = Webhook(secret.reveal()).verify(request.body, request.headers)
    assert message["type"] == "order.fulfilled"
    assert message["data"] == {"order_id": order_id, "step": 1, "state": "FULFILLED", "previous_state": None}
    assert message["id"] == request.headers["webhook-id"]


def test_what_was_delivered_is_not_sent_again(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = hooks.endpoint(receiver.url)
    hooks.order(3)
    assert [hooks.send(), hooks.send()] == [3, 0]
    assert states(hooks, endpoint) == ["delivered"] * 3


def test_an_endpoint_gets_what_it_asked_for_and_nobody_elses(hooks: Hooks, receiver: Receiver) -> None:
    hooks.endpoint(receiver.url, events=["balance.credited"])
    stranger = hooks.world.a_partner("INR", "10.00")
    hooks.number()
    hooks.book.create(stranger.partner_id, Mode.LIVE, url=receiver.url + "/stranger", who=WHO)
    hooks.order()
    hooks.send()
    assert receiver.received == []


def test_live_and_test_do_not_meet(hooks: Hooks, receiver: Receiver) -> None:
    hooks.book.create(hooks.world.partner.partner_id, Mode.TEST, url=receiver.url, who=WHO)
    hooks.order()
    hooks.send()
    assert receiver.received == []


def test_an_endpoint_gets_nothing_of_the_time_before_it(hooks: Hooks, receiver: Receiver) -> None:
    hooks.order()
    hooks.send()
    hooks.endpoint(receiver.url)
    hooks.order()
    hooks.send()
    assert len(receiver.received) == 1


@pytest.mark.parametrize("how", ["created", "enabled again"])
def test_an_endpoint_that_comes_between_a_passes_look_and_its_rows_is_told(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    hooks.endpoint(receiver.url + "/old", events=["order.fulfilled"])
    late, _ = hooks.endpoint(receiver.url + "/late", events=["order.fulfilled"])
    if how == "enabled again":
        hooks.book.update(late.id, who=WHO, enabled=False)
    else:
        hooks.book.delete(late.id, who=WHO)
    hooks.order()
    hooks.number()
    transaction = hooks.world.db.transaction

    def after_it_came() -> AbstractContextManager[Tx]:
        monkeypatch.undo()
        if how == "enabled again":
            hooks.book.update(late.id, who=WHO, enabled=True)
        else:
            hooks.endpoint(receiver.url + "/late", events=["order.fulfilled"])
        hooks.order()
        hooks.number()
        return transaction()

    monkeypatch.setattr(hooks.world.db, "transaction", after_it_came)
    hooks.sender.send_due()
    assert sorted(one.path[-4:] for one in receiver.received) == ["/old", "/old", "late"]


def test_while_secrets_are_rotated_messages_carry_both_signatures(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, old = hooks.endpoint(receiver.url)
    new = hooks.book.rotate(endpoint.id, who=WHO)
    hooks.order()
    hooks.send()
    assert verified(old, receiver) == verified(new, receiver) == receiver.ids
    hooks.pass_time(hours=25)
    hooks.order()
    hooks.send()
    last = receiver.received[-1]
    assert len(last.headers["webhook-signature"].split(" ")) == 1


def test_a_message_that_was_changed_or_signed_with_another_secret_is_not_believed(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url)
    hooks.order()
    hooks.send()
    (request,) = receiver.received
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.reveal()).verify(request.body.replace(b"FULFILLED", b"CANCELLED"), request.headers)
    _, other = hooks.endpoint(receiver.url)
    with pytest.raises(WebhookVerificationError):
        Webhook(other.reveal()).verify(request.body, request.headers)


# --- receivers that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "noted"),
    [
        (status(500, b"no"), (500, None)),
        (status(302, headers={"Location": "http://127.0.0.1:1/"}), (302, None)),
        (reset, (None, "connection_failed")),
        (slow(1.2), (None, "timeout")),
    ],
    ids=["500", "redirect", "reset", "slow"],
)
def test_a_receiver_that_fails_and_comes_back_is_served(
    hooks: Hooks, answer: Answer, noted: tuple[int | None, str | None]
) -> None:
    if noted[1] == "timeout":
        hooks.give_up_after(0.3)
    with a_receiver(in_turn(answer, status(204))) as receiver:
        endpoint, secret = hooks.endpoint(receiver.url)
        hooks.order()
        hooks.send()
        (first,) = hooks.attempts(endpoint)
        assert (first.status, first.error) == noted
        hooks.give_up_after(PATIENCE_SECONDS)
        hooks.pass_time(seconds=6)
        hooks.send()
        assert states(hooks, endpoint) == ["delivered"]
        assert len(set(verified(secret, receiver))) == 1  # the same id both times


def test_of_a_gigabyte_sixty_four_kilobytes_are_read_and_one_is_kept(hooks: Hooks) -> None:
    written: list[int] = []
    with a_receiver(partial(a_gigabyte, wrote=written.append)) as receiver:
        endpoint, _ = hooks.endpoint(receiver.url)
        hooks.order()
        hooks.send()
        (attempt,) = hooks.attempts(endpoint)
        assert (attempt.status, attempt.answer) == (200, "x" * 1_024)
    assert sum(written) < 1 << 26, "what fits between two sockets may be under way"


def test_nobody_listens(hooks: Hooks) -> None:
    with a_receiver() as receiver:
        url = receiver.url
    endpoint, _ = hooks.endpoint(url)
    hooks.order()
    hooks.send()
    assert [one.error for one in hooks.attempts(endpoint)] == ["connection_failed"]


def test_an_endpoint_that_answers_410_is_disabled_with_an_event(hooks: Hooks) -> None:
    with a_receiver(status(410)) as receiver, a_receiver() as other:
        endpoint, _ = hooks.endpoint(receiver.url)
        hooks.endpoint(other.url, events=["endpoint.disabled"])
        hooks.order(2)
        hooks.send()
        found = hooks.book.get(endpoint.id)
        assert (found.state, found.reason) == (EndpointState.DISABLED, "the receiver answered 410 Gone")
        hooks.order()
        hooks.send()
        assert len(receiver.received) <= 2
        assert other.types() == ["endpoint.disabled"]


def test_the_whole_schedule_and_then_no_more(hooks: Hooks) -> None:
    waits = (5, 300, 1_800, 7_200, 18_000, 36_000, 86_400, 172_800)
    with a_receiver(status(503)) as receiver:
        endpoint, _ = hooks.endpoint(receiver.url)
        hooks.order()
        hooks.send()
        for tried, seconds in enumerate(waits, 1):
            (delivery,) = hooks.deliveries(endpoint)
            assert delivery.due_at is not None
            wait = (delivery.due_at - hooks.clock.now()).total_seconds()
            assert seconds <= wait <= seconds * 1.1
            assert hooks.send() == 0  # not before its time
            hooks.clock.at = delivery.due_at
            assert (hooks.send(), len(receiver.received)) == (1, tried + 1)
        (delivery,) = hooks.deliveries(endpoint)
        assert (delivery.state, delivery.due_at, delivery.tries) == (DeliveryState.FAILED, None, 9)


def test_an_endpoint_where_everything_fails_for_five_days_is_disabled(hooks: Hooks) -> None:
    with a_receiver(status(500)) as receiver:
        endpoint, _ = hooks.endpoint(receiver.url)
        hooks.order()
        hooks.send()
        hooks.pass_time(days=5, hours=1)
        hooks.order()
        hooks.send()
        assert hooks.book.get(endpoint.id).state is EndpointState.DISABLED


def test_one_success_and_the_five_days_begin_anew(hooks: Hooks) -> None:
    with a_receiver(in_turn(status(500), status(200), status(500))) as receiver:
        endpoint, _ = hooks.endpoint(receiver.url)
        for days in (4, 4, 0):
            hooks.order()
            hooks.send()
            hooks.pass_time(days=days)
        assert hooks.book.get(endpoint.id).state is EndpointState.ENABLED


# --- asking again -----------------------------------------------------------------------------------------------------


def test_one_delivery_can_be_asked_for_again(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = hooks.endpoint(receiver.url)
    hooks.order()
    hooks.send()
    (delivery,) = hooks.deliveries(endpoint)
    hooks.book.resend(endpoint.id, delivery.event_id, who=WHO)
    hooks.send()
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def test_what_was_missed_since_a_time_can_be_recovered(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = hooks.endpoint(receiver.url)
    hooks.order()
    hooks.send()
    hooks.book.update(endpoint.id, who=WHO, enabled=False)
    since = hooks.clock.now()
    hooks.order(2)
    hooks.send()
    hooks.book.update(endpoint.id, who=WHO, enabled=True)
    assert hooks.book.recover(endpoint.id, since, who=WHO) == 2
    hooks.send()
    assert len(set(receiver.ids)) == 3


def test_a_test_event_comes_to_its_endpoint_only(hooks: Hooks) -> None:
    with a_receiver() as one, a_receiver() as other:
        endpoint, secret = hooks.endpoint(one.url)
        hooks.endpoint(other.url)
        event_id = hooks.book.test(endpoint.id, who=WHO)
        hooks.send()
        assert (verified(secret, one), one.types(), other.received) == ([event_id], ["endpoint.test"], [])


# --- the thread -------------------------------------------------------------------------------------------------------


def test_a_dead_endpoint_and_a_slow_one_delay_nobody(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardrail.webhooks.sender.STOP_SECONDS", 0.1)
    with a_receiver(slow(1)) as late, a_receiver(slow(60)) as dead, a_receiver() as healthy:
        hooks.give_up_after(50)  # which is what a healthy one may take on a busy machine
        for one in (dead, late, healthy):
            hooks.endpoint(one.url)
        hooks.order(40)
        hooks.send_on_its_own()
        try:
            wait_until(lambda: len(healthy.received) == 40, 45)
        finally:
            hooks.stop()


def test_the_sender_outlives_an_outage(hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks.endpoint(receiver.url)
    away = threading.Event()
    away.set()
    read = hooks.world.db.read

    def flaky() -> object:
        if away.is_set():
            raise OSError("the database is away")
        return read()

    monkeypatch.setattr(hooks.world.db, "read", flaky)
    monkeypatch.setattr("cardrail.webhooks.sender.OUTAGE_SECONDS", 0.01)
    hooks.sender.start()
    try:
        time.sleep(0.05)
        away.clear()
        hooks.order()
        hooks.number()
        wait_until(lambda: len(receiver.received) == 1)
    finally:
        hooks.stop()


def test_a_claim_that_was_never_answered_is_sent_again_when_it_ends(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = hooks.endpoint(receiver.url)
    hooks.order()
    hooks.number()
    assert len(hooks.sender.run_pass()) == 1  # the worker dies here
    hooks.restart()
    assert hooks.send() == 0
    hooks.pass_time(seconds=60)
    assert hooks.send() == 1
    assert states(hooks, endpoint) == ["delivered"]
