"""Messages to recipients as durable jobs: one attempt is one job, and the next attempt is another, due later.

What an order's partner wished (``delivery`` of POST /v1/orders) is done when the order is final: links are made, a message for each channel
is written and its first attempt enqueued, in one transaction. A job's arguments are ids; address, link and code are read when it runs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog

from cardrail.catalog import CatalogCache, Product
from cardrail.delivery import store
from cardrail.delivery.barcodes import draw
from cardrail.delivery.channels import Channel, Letter, Sent
from cardrail.delivery.claims import DELIVERED, NewClaim, claims_in
from cardrail.delivery.colours import readable_on
from cardrail.delivery.errors import ChannelNotSet, InvalidDelivery, MessageNotFound
from cardrail.delivery.model import LinkSigner, Wish, check_wish
from cardrail.delivery.words import MESSAGES, RIGHT_TO_LEFT, message_language
from cardrail.jobs import Jobs, Queue
from cardrail.kernel import Clock, OrderId, PlainCode, Unavailable, new_event_id, new_id, to_micros
from cardrail.orders import (
    FINAL,
    Buyer,
    Order,
    OrderItem,
    OrderState,
    deliveries_waiting,
    end_delivery,
    find_orders,
    get_order,
    open_codes,
    reveal_part,
)
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx, insert_events
from cardrail.vault import CodeOpener

QUEUE: Final = "messages"
ATTEMPT: Final = "message.attempt"
BACKOFF_SECONDS: Final = (30, 300, 1_800, 7_200, 21_600, 86_400)
"""Between attempts; after the last the message has failed."""
BATCH: Final = 100
MESSAGES_MAX: Final = 20
"""Of an order, that its partner can have sent: the operator's mail server is no toy. The operator himself is not bound."""
PICTURES_MAX: Final = 20
"""Drawings in one message."""
_wish: Final = msgspec.json.Decoder(dict[str, Any])

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PostOffice:
    """What sending stands on. Built once, in bootstrap."""

    db: Database
    clock: Clock
    audit: AuditLog
    signer: LinkSigner
    opener: CodeOpener
    jobs: Jobs
    channels: Mapping[str, Channel]
    """email, telegram: those that the operator has set up."""
    public_url: str
    brand: str = ""
    codes_allowed: bool = False
    """Whether a code may stand in a message at all."""
    catalog: CatalogCache | None = None
    """For what products are called in the recipient's language, and how they are redeemed."""
    colour: str = "#1d4ed8"
    backoff: tuple[int, ...] = BACKOFF_SECONDS
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.9, 1.1))  # noqa: S311  # spreads load, guards nothing
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Attempts of this process, by channel and what came of them."""


def register_messages(jobs: Jobs, office: PostOffice) -> None:
    """Tell the worker how a message is sent."""
    jobs.add_queue(Queue(QUEUE, worker_concurrency=8, polling_seconds=0.5))
    send = jobs.step("message.send")(lambda message_id: msgspec.to_builtins(_send(office, message_id)))
    settle = jobs.tx_step("message.settle")(
        lambda tx, message_id, attempt, outcome: _settle(office, tx, message_id, attempt, msgspec.convert(outcome, Sent))
    )

    @jobs.workflow(ATTEMPT)
    def attempt(message_id: str, number: int) -> str:
        state: str = settle(message_id, number, send(message_id))
        return state


# --- what was wished --------------------------------------------------------------------------------------------------


def check_channels(office: PostOffice, wish: Wish) -> None:
    """Refuse a wish that no channel of ours can fulfil. Raises ChannelNotSet."""
    for channel, address in (("email", wish.email), ("telegram", wish.telegram)):
        if address is not None and channel not in office.channels:
            raise ChannelNotSet(field=channel, pointer=f"/delivery/{channel}")


def deliver_waiting(office: PostOffice) -> int:
    """Deliver what is final and waits; returns how many orders that were. Done again it does nothing."""
    with office.db.read() as tx:
        waiting = deliveries_waiting(tx, BATCH)
    delivered = 0
    for order_id in waiting:
        try:
            delivered += deliver_order(office, order_id) is not None
        except Unavailable:
            raise
        except Exception as fault:  # one order that cannot be delivered must not keep back the others
            log.exception("an order could not be delivered", order_id=order_id, error=type(fault).__name__)
    return delivered


def deliver_order(office: PostOffice, order_id: OrderId) -> list[NewClaim] | None:
    """Make the order's links and messages if it is final; None while it is not, or where there is nothing to deliver."""
    found = find_orders(office.db, ids=[order_id])
    if not found or (found[0].state not in FINAL and found[0].state is not OrderState.PARTIALLY_FULFILLED):
        return None
    order = found[0]
    wish = wish_of(order)

    def work(tx: Tx) -> list[NewClaim] | None:
        if not end_delivery(tx, order_id) or wish is None or order.state not in DELIVERED:
            return None
        made = claims_in(tx, office.clock.now(), office.audit, office.signer, order, wish)
        _write_messages(office, tx, order, wish)
        return made

    return in_tx(office.db, work)


def wish_of(order: Order) -> Wish | None:
    """What its partner wished, as it was kept with the order."""
    details = _wish.decode(order.details) if order.details else {}
    given = details.get("delivery")
    if given is None and details.get("email"):  # a dialect that knows an address, and nothing more of a delivery
        given = {"email": details["email"]}
    return msgspec.convert(given, Wish) if given is not None else None


def _write_messages(office: PostOffice, tx: Tx, order: Order, wish: Wish) -> None:
    now = to_micros(office.clock.now())
    due = max(wish.deliver_at or now, now)
    rows = [
        _row(new_id("msg"), order, channel, address, message_language(wish.language), wish.include_codes, due, now)
        for channel, address in (("email", wish.email), ("telegram", wish.telegram))
        if address is not None
    ]
    if not rows:
        return
    store.insert_messages(tx, rows)
    for row in rows:
        _enqueue(office, tx, str(row[0]), 0, (due - now) / 1_000_000)


def _row(  # noqa: PLR0917  # the table's columns
    message_id: str, order: Order, channel: str, address: str, language: str, with_codes: bool, due: int, now: int
) -> tuple[Any, ...]:
    place = (message_id, order.id, order.partner_id, order.mode.value, channel, address, language, with_codes)
    return (*place, "waiting", 0, None, None, due, None, now)


def _enqueue(office: PostOffice, tx: Tx, message_id: str, attempt: int, delay: float) -> None:
    office.jobs.enqueue(tx, ATTEMPT, QUEUE, f"message:{message_id}:{attempt}", message_id, attempt, delay=delay)


def resend_message(
    office: PostOffice,
    message_id: str,
    *,
    actor: str,
    buyer: Buyer | None = None,
    address: str | None = None,
    origin: str | None = None,
) -> Any:
    """Send a message once more, now, where ``address`` says or else where it went; returns the new one's row.

    With a buyer only his own message, and no more than MESSAGES_MAX to an order. Raises MessageNotFound, InvalidDelivery, ChannelNotSet.
    """

    def work(tx: Tx) -> Any:
        row = store.load_message(tx, message_id)
        if row is None or (buyer is not None and (row.partner_id, row.mode) != (buyer.partner_id, buyer.mode.value)):
            raise MessageNotFound
        if address is None and row.address is None:  # erased with the recipient
            raise MessageNotFound
        if address is not None:
            check_wish(msgspec.structs.replace(Wish(), **{row.channel: address}))
        if row.channel not in office.channels:
            raise ChannelNotSet(field=row.channel)
        if buyer is not None and len(store.load_messages(tx, row.order_id)) >= MESSAGES_MAX:
            raise InvalidDelivery(field="messages", maximum=MESSAGES_MAX)
        now = to_micros(office.clock.now())
        new = new_id("msg")
        values = row._asdict() | {
            "id": new,
            "state": "waiting",
            "address": address or row.address,
            "tries": 0,
            "error": None,
            "provider_id": None,
            "due_at": now,
            "sent_at": None,
            "created_at": now,
        }
        store.insert_messages(tx, [tuple(values[column] for column in row._fields)])
        insert_events(tx, [_event("message.resent", row, 1, now, actor, {"of": message_id}, subject=new)])
        details = {"of": message_id, "channel": row.channel, "elsewhere": address is not None and address != row.address}
        moment = office.clock.now()
        entry = audit_entry(moment, actor, "message.resent", new, partner_id=row.partner_id, origin=origin, details=details)
        office.audit.append(tx, [entry])
        _enqueue(office, tx, new, 0, 0.0)
        return store.load_message(tx, new)

    return in_tx(office.db, work)


def own_messages(db: Database, buyer: Buyer, order_id: OrderId) -> list[Any]:
    """``list_messages`` for the order's partner. Raises OrderNotFound."""
    get_order(db, buyer, order_id)
    return list_messages(db, order_id)


def list_messages(db: Database, order_id: OrderId) -> list[Any]:
    """The rows of an order's messages, the oldest first."""
    with db.read() as tx:
        return list(store.load_messages(tx, order_id))


def note_bounce(office: PostOffice, message_id: str, *, actor: str) -> None:
    """Note that a message came back after it was sent. ``message_id`` is ours, or the Message-ID of the mail. Raises MessageNotFound."""

    def work(tx: Tx) -> None:
        own = message_id if message_id.startswith("msg_") else store.find_by_provider(tx, message_id)
        row = store.load_message(tx, own, lock=True) if own is not None else None
        if row is None:
            raise MessageNotFound
        if row.state == "bounced":
            return
        store.set_outcome(tx, row.id, "bounced", row.tries, error="it came back")
        insert_events(tx, [_event("message.bounced", row, 3, to_micros(office.clock.now()), actor)])

    in_tx(office.db, work)


# --- one attempt ------------------------------------------------------------------------------------------------------


def _send(office: PostOffice, message_id: str) -> Sent:
    """Try once: what is foreign and slow. A message that is not waiting any more is not sent again."""
    with office.db.read() as tx:
        row = store.load_message(tx, message_id)
    if row is None or row.state != "waiting" or row.address is None:
        return Sent(False, error="it was called off", is_final=True)
    channel = office.channels.get(row.channel)
    if channel is None:
        return Sent(False, error="the channel is not set up")
    letter = _letter(office, row)
    if letter is None:
        return Sent(False, error="there is nothing to claim any more", is_final=True)
    return channel.send(letter)


def _letter(office: PostOffice, row: Any) -> Letter | None:
    with office.db.read() as tx:
        made = store.load_claims(tx, row.order_id)
    now = to_micros(office.clock.now())
    claims = [one for one in made if one.state(now) in {"UNCLAIMED", "CLAIMED"}]
    order = find_orders(office.db, ids=[OrderId(row.order_id)])[0]
    if not claims or order.state is OrderState.INVALIDATED:
        return None
    words = MESSAGES[row.language]
    product = ", ".join(dict.fromkeys([_name(office, item, row.language) for item in order.items if item.delivered]))
    greeting = [words["hello"].format(name=claims[0].recipient)] if claims[0].recipient else []
    links = [f"{office.public_url.rstrip('/')}/c/{office.signer.token(one.id)}" for one in claims]
    may_show = (
        row.with_codes and office.codes_allowed and len(claims) == len(made)
    )  # what was withdrawn is not sent by another way
    opened = _opened(office, row) if may_show else []
    after = [words["pin"]] if claims[0].pin_hash is not None else []
    if order.mode.value == "test":
        after.append(words["test"])
    subject = words["subject"].format(product=product)
    return Letter(
        message_id=row.id,
        address=row.address,
        language=row.language,
        is_right_to_left=row.language in RIGHT_TO_LEFT,
        subject=" ".join((f"{office.brand}: {subject}" if office.brand else subject).split()),
        lines=(*greeting, words["ready"].format(product=product), words["codes"] if opened else words["open"]),
        button=words["button"],
        link=links[0],
        after=(*after, words["keep"]),
        secrets=tuple([_one_line(code) for _, code in opened]),
        others=tuple(links[1:]),
        how=tuple(_how(office, order, row.language)) if opened else (),
        pictures=tuple(_pictures(office, opened, words["picture"])) if row.channel == "email" else (),
        brand=office.brand,
        colour=office.colour,
        on_colour=readable_on(office.colour),
    )


def _product(office: PostOffice, item: OrderItem) -> Product | None:
    if office.catalog is None:
        return None
    snapshot = office.catalog.current()
    offer = snapshot.denomination(item.denomination_id)
    return snapshot.product(offer.product_id) if offer is not None else None


def _name(office: PostOffice, item: OrderItem, language: str) -> str:
    product = _product(office, item)
    texts = product.translations.get(language) if product is not None else None
    return texts.name if texts is not None and texts.name else item.name


def _how(office: PostOffice, order: Order, language: str) -> list[str]:
    """How its products are redeemed, and their terms, each once, in the recipient's language or else in English."""
    found = []
    for item in order.items:
        product = _product(office, item) if item.delivered else None
        if product is None:
            continue
        texts = [product.translations[one] for one in (language, "en") if one in product.translations]
        found += [one.instructions for one in texts if one.instructions][:1]
        found += [one.terms for one in texts if one.terms][:1]
    return list(dict.fromkeys(found))


def _pictures(office: PostOffice, opened: Sequence[tuple[OrderItem, PlainCode]], words: str) -> Iterator[tuple[int, str, bytes]]:
    """What a till scans, of the products that want it: at most PICTURES_MAX, because a message has its limits."""
    for place, (item, code) in enumerate(opened[:PICTURES_MAX]):
        product = _product(office, item)
        drawn = (
            draw(product.barcode, code.code or code.url or "") if product is not None and product.barcode is not None else None
        )
        if drawn is not None:
            yield place, words, drawn.png()


def _opened(office: PostOffice, row: Any) -> list[tuple[OrderItem, PlainCode]]:
    """The order's codes for a message that may hold them: opened and noted in the audit log while it is written, kept nowhere."""

    def work(tx: Tx) -> Order:
        return reveal_part(tx, office.audit, OrderId(row.order_id), now=office.clock.now(), actor=row.id, origin=None)

    order = in_tx(office.db, work)
    return [(item, code) for item in order.items for code, _ in open_codes(office.opener, item)]


def _one_line(code: PlainCode) -> str:
    return " · ".join([one for one in (code.code, code.pin, code.url) if one])


def _settle(office: PostOffice, tx: Tx, message_id: str, attempt: int, sent: Sent) -> str:
    """Write how an attempt went, and enqueue the next one where that can help: one transaction with the attempt's being done."""
    row = store.load_message(tx, message_id, lock=True)
    if row is None or row.state != "waiting":
        return "gone" if row is None else str(row.state)
    now = to_micros(office.clock.now())
    tries = attempt + 1
    office.counts[row.channel, "sent" if sent.ok else "failed"] += 1
    if sent.ok:
        store.set_outcome(tx, message_id, "sent", tries, provider_id=sent.provider_id, sent_at=now)
        insert_events(tx, [_event("message.sent", row, 2, now, "system")])
        return "sent"
    if sent.is_final or attempt >= len(office.backoff):
        state = "bounced" if sent.is_final and sent.error and "recipient" in sent.error else "failed"
        store.set_outcome(tx, message_id, state, tries, error=sent.error)
        insert_events(tx, [_event(f"message.{state}", row, 2, now, "system", {"error": sent.error})])
        return state
    store.set_outcome(tx, message_id, "waiting", tries, error=sent.error)
    delay = max(office.backoff[attempt] * office.jitter(), sent.retry_after or 0)
    _enqueue(office, tx, message_id, tries, delay)
    return "waiting"


def _event(  # an event's own members
    kind: str, row: Any, seq: int, at: int, actor: str, data: dict[str, Any] | None = None, *, subject: str | None = None
) -> tuple[Any, ...]:
    facts = {"order_id": row.order_id, "channel": row.channel} | (data or {})
    text = msgspec.json.encode(facts).decode()
    return (new_event_id(), kind, row.partner_id, row.mode, subject or row.id, seq, row.state, None, None, actor, at, text)
