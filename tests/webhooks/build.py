"""A shop with endpoints, a sender driven by hand, and a clock that can be moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cardrail.access import SecretSealer, parse_networks
from cardrail.kernel import FrozenClock, Secret
from cardrail.storage import EVENT_SERIES, Sequencer
from cardrail.webhooks import AddressRules, Attempt, Delivery, Endpoint, EndpointBook, Sender, SenderPace, Who
from cardrail.webhooks import store as rows
from tests.build import World

WHO = Who("test")
LOOPBACK = AddressRules(parse_networks(["127.0.0.0/8"]))


@dataclass
class Hooks:
    """Short words for what tests do with webhooks."""

    world: World
    book: EndpointBook
    sender: Sender

    @property
    def clock(self) -> FrozenClock:
        assert isinstance(self.world.clock, FrozenClock)
        return self.world.clock

    def endpoint(self, url: str, **facts: Any) -> tuple[Endpoint, Secret]:
        return self.book.create(self.world.partner.partner_id, self.world.partner.mode, url=url, who=WHO, **facts)

    def order(self, count: int = 1) -> list[str]:
        """Orders from stock; their ids."""
        return [self.world.order("TEA").id for _ in range(count)]

    def send(self) -> int:
        """What is due is sent, and its outcome is written down; how many attempts."""
        self.number()
        return self.sender.send_due()

    def number(self) -> None:
        """Give new events their positions."""
        Sequencer(self.world.db, [EVENT_SERIES]).run_pass()

    def restart(self) -> None:
        """Another worker, that knows nothing of this one."""
        self.sender = Sender(self.book, self.world.opener, self.sender.pace)

    def send_on_its_own(self) -> None:
        """Let the sender's thread do it."""
        self.number()
        self.sender.start()

    def give_up_after(self, seconds: float) -> None:
        """Another time-out."""
        self.sender.pace = replace(self.sender.pace, timeout_seconds=seconds)

    def stop(self) -> None:
        self.sender.stop()

    def pass_time(self, **time: float) -> None:
        self.clock.advance(**time)

    def deliveries(self, endpoint: Endpoint) -> list[Delivery]:
        """Oldest first."""
        with self.world.db.read() as tx:
            return rows.load_deliveries(tx, endpoint.id, before=None, state=None, event_type=None, limit=10_000)[::-1]

    def attempts(self, endpoint: Endpoint) -> list[Attempt]:
        with self.world.db.read() as tx:
            return [
                one for delivery in self.deliveries(endpoint) for one in rows.load_attempts(tx, endpoint.id, delivery.event_id)
            ]


def hooks_of(world: World, *, rules: AddressRules = LOOPBACK, **pace: Any) -> Hooks:
    assert isinstance(world.clock, FrozenClock)
    world.clock.at = datetime.now(UTC)  # receivers compare a message's time with their own
    world.stock("TEA", 300)
    Sequencer(world.db, [EVENT_SERIES]).run_pass()  # what came before the endpoints
    book = EndpointBook(world.db, world.clock, world.audit, SecretSealer(b"s" * 32), rules)
    return Hooks(world, book, Sender(book, world.opener, SenderPace(**pace)))
