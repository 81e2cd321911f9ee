"""How the operator is told: mail into a real SMTP server, a signed webhook through the guard; tried again, and nothing secret kept."""

from __future__ import annotations

import email
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from standardwebhooks.webhooks import Webhook

from cardrail.access import parse_networks
from cardrail.alerts import (
    HookPost,
    InvalidAlertSetting,
    Policy,
    check_kinds,
    check_routes,
    parse_quiet,
    parse_routes,
)
from cardrail.delivery import Mail, Sent
from cardrail.kernel import Secret
from cardrail.storage import metadata
from cardrail.webhooks import AddressRules
from tests.alerts.build import Postman, Watched
from tests.build import World
from tests.ports import KeptPort
from tests.waiting import PATIENCE_SECONDS
from tests.webhooks.receiver import Receiver, a_receiver, status

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = AddressRules(parse_networks(["127.0.0.0/8"]))


class Inbox:
    """What the server took."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        message = email.message_from_bytes(cast("bytes", envelope.content), policy=default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler = Inbox()
    port = KeptPort()  # the controller wants to know it beforehand
    server = Controller(handler, hostname="127.0.0.1", port=port.number, ready_timeout=PATIENCE_SECONDS)
    server.start()
    yield handler, port.number
    server.stop()
    port.close()


def drift(watched: Watched) -> None:
    watched.event("books.drift", "books", {"findings": 2, "checks": ["wallet_sums"]})


def test_an_alert_arrives_as_a_mail(world: World, inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    watched = Watched(world)
    watched.desk.channels["email"] = Mail(Secret(f"smtp://127.0.0.1:{port}"), "shop@shop.example", world.clock)  # type: ignore[index]  # a dict, behind its type
    drift(watched)
    watched.watch()
    (mail,) = handler.taken
    assert (mail["To"], mail["From"]) == ("ops@shop.example", "shop@shop.example")
    assert mail["Subject"].startswith("Shop: The books do not agree: 2 findings")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "cardrail alert ack" in body.get_content()
    assert watched.states() == ["notified"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one


def hooked(world: World, url: str, rules: AddressRules = LOOPBACK) -> Watched:
    return Watched(world, f"*={url}", hook=HookPost(Secret(WHSEC), rules))


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_webhook_is_signed_as_the_standard_says(world: World, receiver: Receiver) -> None:
    world.frozen.at = datetime.now(UTC)  # the library compares with its own clock
    watched = hooked(world, receiver.url)
    drift(watched)
    watched.watch()
    (got,) = receiver.received
    told = Webhook(WHSEC).verify(got.body, got.headers)
    (alert,) = told["data"]["alerts"]
    assert (alert["kind"], alert["what"], alert["state"]) == ("books.drift", "raised", "open")
    assert (watched.states(), [one.state for one in watched.sends()]) == (["notified"], ["sent"])


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_operators_url_may_not_lead_inside(world: World, receiver: Receiver) -> None:
    for round_, url in enumerate((receiver.url, f"https://localhost:{receiver.port}/x", "https://169.254.169.254/latest")):
        watched = hooked(world, url, AddressRules())
        watched.steps["books"] = 2 * round_
        drift(watched)
        watched.watch()
        (*_, sent) = watched.sends()
        assert (sent.state, "address_forbidden" in (sent.error or "")) == ("waiting", True), url
        watched.event("books.agree", "books")
        watched.watch(hours=1)
    assert receiver.received == []
    receiver.answer = status(302, headers={"Location": f"http://127.0.0.1:{receiver.port}/inside"})
    watched = hooked(world, receiver.url)
    assert [sent.error for _, sent in watched.desk.test()] == ["the receiver answered 302"]
    assert len(receiver.received) == 1


def test_a_failed_try_is_followed_by_the_next_until_the_last(world: World) -> None:
    down = Sent(False, error="the server could not be used (OSError)")
    watched = Watched(world, postman=Postman([down] * 99))
    drift(watched)
    assert len(watched.watch()) == 1
    assert [watched.run() for _ in range(6)] == [["waiting"]] * 4 + [["failed"], []]
    assert (watched.states(), watched.sends()[0].error) == (["open"], "the server could not be used (OSError)")
    assert watched.watch() == []  # it is told again at its reminder, and not before


def test_a_repeat_after_it_was_sent_sends_nothing_more(watched: Watched) -> None:
    drift(watched)
    watched.watch()
    attempt = watched.jobs._work.workflows["alert.send"]
    assert [attempt(watched.sends()[0].id, 0) for _ in range(2)] == ["sent", "sent"]
    assert len(watched.postman.letters) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_no_address_and_no_url_is_in_a_row(world: World, receiver: Receiver) -> None:
    watched = Watched(world, f"*=mailto:ops@shop.example *={receiver.url}/KEY-IN-PATH", hook=HookPost(Secret(WHSEC), LOOPBACK))
    drift(watched)
    watched.watch()
    with world.db.read() as tx:
        kept = " ".join([repr(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables])
    assert "KEY-IN-PATH" not in kept + repr(watched.desk.policy)
    assert "ops@shop.example" not in kept + repr(watched.desk.policy)
    assert WHSEC not in kept
    assert [one.shown for one in watched.desk.policy.routes] == ["ops@shop.example", "http://127.0.0.1/…"]


def test_a_recipient_that_is_not_set_any_more_gets_nothing(world: World) -> None:
    watched = Watched(world)
    drift(watched)
    watched.number()
    watched.desk.watch()
    changed = Watched(world, "*=mailto:other@shop.example")
    assert (changed.run(), changed.postman.letters) == (["failed"], [])


def test_a_test_goes_to_everybody_and_says_what_came_of_it(world: World) -> None:
    watched = Watched(
        world, "books.drift=mailto:a@shop.example *=telegram:42", postman=Postman([Sent(True), Sent(False, error="no")])
    )
    assert [(route.shown, sent.ok) for route, sent in watched.desk.test()] == [("a@shop.example", True), ("42", False)]
    assert watched.alerts() == []


def test_old_alerts_and_messages_are_deleted(watched: Watched) -> None:
    drift(watched)
    watched.watch()
    watched.event("books.agree", "books")
    watched.watch()
    watched.event("books.drift", "books", {"findings": 1, "checks": []})
    watched.watch(days=1)
    before = watched.clock.now()
    assert (watched.desk.purge(before), watched.states(), len(watched.sends())) == (2, ["notified"], 1)


# --- settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "mailto:a@b.example",
        "*=",
        "*=ftp://x",
        "stock.lo=mailto:a@b.example",
        "*=mailto:",
        "*=mailto:a@b.example *=mailto:a@b.example",
    ],
)
def test_a_route_that_cannot_be_read_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidAlertSetting) as refused:
        parse_routes(text)
    assert "@" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["22-7", "22:00-07:00", "22:00-22:00 UTC", "25:00-07:00 UTC", "22:00-07:00 Nowhere/Here", "22:00-07:00 ../etc"]
)
def test_quiet_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(InvalidAlertSetting):
        parse_quiet(text)


def test_quiet_hours_are_of_their_zone_also_when_its_clocks_change() -> None:
    quiet = parse_quiet("22:00-07:00 Europe/Berlin")
    assert quiet is not None
    summer, winter = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    assert [quiet.covers(summer.replace(hour=hour)) for hour in (4, 5, 19, 20)] == [True, False, False, True]
    assert [quiet.covers(winter.replace(hour=hour)) for hour in (5, 6, 20, 21)] == [True, False, False, True]
    midday = parse_quiet("12:00-13:00 UTC")
    assert midday is not None
    assert [midday.covers(summer.replace(hour=hour)) for hour in (11, 12, 13)] == [False, True, False]


def test_what_could_not_be_told_is_refused_at_the_start() -> None:
    hook = HookPost(Secret(WHSEC), AddressRules())
    channels: dict[str, Any] = {}
    for text, given in (("*=mailto:a@b.example", None), ("*=https://ops.example/x", None)):
        with pytest.raises(InvalidAlertSetting):
            check_routes(Policy(parse_routes(text)), channels, given, AddressRules())
    check_routes(Policy(parse_routes("*=https://ops.example/x")), channels, hook, AddressRules())
    for url in ("http://ops.example/x", "https://127.0.0.1/x", "https://user:pw@ops.example/"):
        with pytest.raises(Exception, match=r"address|https|taken"):
            check_routes(Policy(parse_routes(f"*={url}")), channels, hook, AddressRules())
    with pytest.raises(InvalidAlertSetting):
        HookPost(Secret("whsec_no base64!"), AddressRules())
    with pytest.raises(InvalidAlertSetting):
        check_kinds(["stock.lowish"], "alert_urgent")


def test_the_payload_of_a_test_says_so(world: World, receiver: Receiver) -> None:
    watched = hooked(world, receiver.url)
    assert [sent.ok for _, sent in watched.desk.test()] == [True]
    assert json.loads(receiver.received[0].body)["type"] == "alerts.test"
