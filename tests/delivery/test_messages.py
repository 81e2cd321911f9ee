"""Messages to recipients: written when the order is final, sent by jobs, tried again, and never with a code that nobody allowed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.catalog import import_catalog
from cardrail.delivery import (
    ChannelNotSet,
    InvalidDelivery,
    Letter,
    MessageNotFound,
    PostOffice,
    Sent,
    Wish,
    check_channels,
    deliver_order,
    deliver_waiting,
    note_bounce,
    register_messages,
    resend_message,
    revoke_claim,
)
from cardrail.delivery.messages import MESSAGES_MAX
from cardrail.delivery.words import MESSAGES
from cardrail.jobs import Jobs
from cardrail.orders import Order, invalidate_order
from cardrail.storage import Database, metadata
from tests.build import NODE, POLICY
from tests.delivery.build import ClaimWorld


class Postman:
    """A channel that does as it is told, and keeps what it was given."""

    def __init__(self, *outcomes: Sent) -> None:
        self.outcomes = list(outcomes)
        self.letters: list[Letter] = []

    def send(self, letter: Letter) -> Sent:
        self.letters.append(letter)
        return self.outcomes.pop(0) if self.outcomes else Sent(True, provider_id=f"<{letter.message_id}@shop.example>")


class Post:
    """An office with a postman, whose jobs are run by hand."""

    def __init__(self, world: ClaimWorld, *outcomes: Sent, **options: Any) -> None:
        self.world = world
        self.jobs = Jobs(world.db)
        self.jobs.prepare()
        self.postman = Postman(*outcomes)
        self.office = PostOffice(
            world.db,
            world.clock,
            world.audit,
            world.signer,
            world.opener,
            self.jobs,
            {"email": self.postman},
            "https://gifts.example",
            jitter=lambda: 1.0,
            **options,
        )
        register_messages(self.jobs, self.office)

    def order(self, **wish: Any) -> Order:
        """An order for one TEA that is to be delivered."""
        asked = {"email": "ann@example.org"} | wish
        buyer = replace(self.world.partner, may_reveal=False)
        return self.world.order("TEA", 1, buyer=buyer, details={"delivery": asked})

    def run(self) -> list[str]:
        """Run each enqueued attempt once, whatever its delay; returns what became of them."""
        attempt = self.jobs._work.workflows["message.attempt"]
        return [attempt(row.id, row.tries) for row in self.rows() if row.state == "waiting"]

    def rows(self) -> list[Any]:
        with self.world.db.read() as tx:
            return list(tx.execute(sa.select(metadata.tables["messages"]).order_by(metadata.tables["messages"].c.id)))

    def enqueued(self) -> list[str]:
        """The ids of the jobs that exist."""
        return enqueued(self.world.db)


def enqueued(db: Database) -> list[str]:
    table = "dbos.workflow_status" if not db.is_sqlite else "workflow_status"
    with db.read() as tx:
        found = tx.execute(sa.text(f"SELECT workflow_uuid FROM {table} ORDER BY 1")).scalars()  # a constant
        return [str(one) for one in found]


def test_a_final_order_is_delivered_once(world: ClaimWorld) -> None:
    post = Post(world)
    order = post.order(recipient="Ann")
    made = deliver_order(post.office, order.id)
    assert made is not None
    assert (deliver_order(post.office, order.id), deliver_waiting(post.office)) == (None, 0)
    (row,) = post.rows()
    assert post.enqueued() == [f"message:{row.id}:0"]
    assert post.run() == ["sent"]
    (letter,) = post.postman.letters
    assert letter.address == "ann@example.org"
    assert letter.link == f"https://gifts.example/c/{world.signer.token(made[0].claim.id)}"
    assert letter.lines[0] == "Hello Ann,"
    assert world.open(made[0].claim)[0] not in repr(letter.lines + letter.after)


def test_the_chore_finds_what_nobody_delivered(world: ClaimWorld) -> None:
    post = Post(world)
    post.order()
    post.order()
    assert deliver_waiting(post.office) == 2
    assert len(post.rows()) == 2


def test_an_order_that_cannot_be_delivered_keeps_no_other_back(world: ClaimWorld) -> None:
    post = Post(world)
    post.order(per=5)
    post.order()
    assert deliver_waiting(post.office) == 1


def test_a_failed_attempt_is_followed_by_the_next_until_the_last(world: ClaimWorld) -> None:
    refused = Sent(False, error="the server answered 451")
    post = Post(world, *[refused] * 9, backoff=(30, 300))
    deliver_order(post.office, post.order().id)
    assert [post.run() for _ in range(4)] == [["waiting"], ["waiting"], ["failed"], []]
    (row,) = post.rows()
    assert (row.state, row.tries, row.error) == ("failed", 3, "the server answered 451")
    assert post.enqueued() == [f"message:{row.id}:{n}" for n in range(3)]
    assert world.count("events", type="message.failed") == 1


def test_a_refused_recipient_is_not_tried_again(world: ClaimWorld) -> None:
    post = Post(world, Sent(False, error="the server refused the recipient (550)", is_final=True))
    deliver_order(post.office, post.order().id)
    assert post.run() == ["bounced"]
    assert world.count("events", type="message.bounced") == 1


def test_a_repeat_after_it_was_sent_sends_nothing_more(world: ClaimWorld) -> None:
    post = Post(world)
    deliver_order(post.office, post.order().id)
    (row,) = post.rows()
    attempt = post.jobs._work.workflows["message.attempt"]
    assert [attempt(row.id, 0), attempt(row.id, 0)] == ["sent", "sent"]
    assert len(post.postman.letters) == 1


def test_a_message_of_an_order_that_was_taken_back_is_called_off(world: ClaimWorld) -> None:
    post = Post(world)
    order = post.order()
    deliver_order(post.office, order.id)
    invalidate_order(world.db, world.clock, world.audit, world.partner, order.id, POLICY, node=NODE, because="test")
    assert post.run() == ["failed"]
    assert post.postman.letters == []


@pytest.mark.parametrize(("allowed", "asked"), [(False, True), (True, False), (True, True)])
def test_codes_are_in_the_message_only_if_the_operator_and_the_partner_want_that(
    world: ClaimWorld, allowed: bool, asked: bool
) -> None:
    post = Post(world, codes_allowed=allowed)
    order = post.order(include_codes=asked)
    deliver_order(post.office, order.id)
    post.run()
    (letter,) = post.postman.letters
    assert bool(letter.secrets) == (allowed and asked)
    assert world.count("audit", action="code.revealed", actor=letter.message_id) == int(allowed and asked)


def test_no_code_is_in_a_job_or_a_row(world: ClaimWorld) -> None:
    post = Post(world, codes_allowed=True)
    order = post.order(include_codes=True)
    (made,) = deliver_order(post.office, order.id) or []
    post.run()
    (code,) = world.open(made.claim)
    with world.db.read() as tx:
        kept = " ".join([repr(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables])
    assert code not in kept


def test_a_message_can_wait_for_its_day(world: ClaimWorld) -> None:
    post = Post(world)
    at = int(world.clock.now().timestamp() * 1_000_000) + 86_400_000_000
    deliver_order(post.office, post.order(deliver_at=at).id)
    (row,) = post.rows()
    assert row.due_at == at


def test_a_partner_cannot_mail_an_orders_recipient_without_end_and_the_operator_can(world: ClaimWorld) -> None:
    post = Post(world)
    deliver_order(post.office, post.order().id)
    (row,) = post.rows()
    for _ in range(MESSAGES_MAX - 1):
        resend_message(post.office, row.id, actor="key", buyer=world.partner)
    with pytest.raises(InvalidDelivery):
        resend_message(post.office, row.id, actor="key", buyer=world.partner, address="ann@example.org")
    assert resend_message(post.office, row.id, actor="cli").state == "waiting"


def test_a_message_is_sent_again_and_a_bounce_is_noted_once(world: ClaimWorld) -> None:
    post = Post(world)
    deliver_order(post.office, post.order().id)
    post.run()
    (row,) = post.rows()
    for name in (row.id, row.provider_id):
        note_bounce(post.office, name, actor="cli")
    assert world.count("events", type="message.bounced") == 1
    new = resend_message(post.office, row.id, actor="cli").id
    assert post.run() == ["sent"]
    assert [one.state for one in post.rows() if one.id == new] == ["sent"]
    with pytest.raises(MessageNotFound):
        resend_message(post.office, "msg_none", actor="cli")


def test_a_channel_that_is_not_set_up_is_refused_before_the_order(world: ClaimWorld) -> None:
    post = Post(world)
    check_channels(post.office, Wish(email="ann@example.org"))
    with pytest.raises(ChannelNotSet):
        check_channels(post.office, Wish(telegram="42"))


def test_every_language_has_every_word() -> None:
    for words in MESSAGES.values():
        assert words.keys() == MESSAGES["en"].keys()


def test_a_link_that_is_over_is_not_sent(world: ClaimWorld) -> None:
    post = Post(world)
    deliver_order(post.office, post.order(expires_days=1).id)
    world.frozen.advance(days=2)
    assert (post.run(), post.postman.letters) == (["failed"], [])


def test_what_was_withdrawn_is_not_sent_as_a_code(world: ClaimWorld) -> None:
    post = Post(world, codes_allowed=True)
    order = world.order(
        "TEA",
        2,
        buyer=replace(world.partner, may_reveal=False),
        details={"delivery": {"email": "ann@example.org", "per": "unit", "include_codes": True}},
    )
    made = deliver_order(post.office, order.id) or []
    revoke_claim(world.db, world.clock, world.audit, world.partner, made[0].claim.id)
    post.run()
    (letter,) = post.postman.letters
    assert letter.secrets == ()
    assert world.signer.token(made[0].claim.id) not in repr([letter.link, letter.after])


def test_a_message_with_codes_says_how_to_redeem_them_in_the_recipient_s_language(world: ClaimWorld) -> None:
    german, english = (
        {"name": "Teegutschein", "instructions": "An der Kasse zeigen."},
        {"instructions": "Show it.", "terms": "No cash."},
    )
    texts = json.dumps({"de": german, "en": english})
    head = "product_code,name,brand,country,currency,denomination_type,face_values,barcode,translations\n"
    cells = texts.replace('"', '""')
    sheet = f'{head}TEA,Tea voucher,Tea house,IN,INR,fixed,100,QR,"{cells}"\n'
    import_catalog(world.db, world.clock, world.audit, sheet.encode(), actor="test")
    world.catalog.refresh()
    post = Post(world, codes_allowed=True, catalog=world.catalog)
    deliver_order(post.office, post.order(include_codes=True, language="de").id)
    deliver_order(post.office, post.order(language="de").id)
    post.run()
    full, plain = post.postman.letters
    assert full.subject == "Teegutschein für Sie"
    assert full.how == ("An der Kasse zeigen.", "No cash.")
    assert [(place, words, png[:4]) for place, words, png in full.pictures] == [(0, "Der Code zum Scannen", b"\x89PNG")]
    assert (plain.how, plain.pictures, plain.secrets) == ((), (), ())


def test_a_message_goes_elsewhere_if_the_address_was_mistyped(world: ClaimWorld) -> None:
    post = Post(world)
    deliver_order(post.office, post.order(email="ann@exmaple.org").id)
    (row,) = post.rows()
    new = resend_message(post.office, row.id, actor="cli", address="ann@example.org")
    assert (new.address, new.state) == ("ann@example.org", "waiting")
    assert world.count("audit", action="message.resent", subject=new.id) == 1
    with pytest.raises(InvalidDelivery):
        resend_message(post.office, row.id, actor="cli", address="ann")
    with pytest.raises(MessageNotFound):
        resend_message(post.office, row.id, actor="key", buyer=world.a_partner("INR"))
