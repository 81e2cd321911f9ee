"""A shop whose operator is told: recipients that keep what they were given, and jobs that are run by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from cardrail.alerts import Alert, AlertDesk, HookPost, Policy, list_alerts, parse_quiet, parse_routes, register_alerts
from cardrail.delivery import Letter, Sent
from cardrail.jobs import Jobs
from cardrail.kernel import FrozenClock, new_event_id, to_micros
from cardrail.storage import EVENT_SERIES, Sequencer, insert_events, metadata
from tests.build import World

ALL = "*=mailto:ops@shop.example"
URGENT = frozenset({"supplier.down", "order.review"})


@dataclass
class Postman:
    """A channel that does as it is told, and keeps what it was given."""

    outcomes: list[Sent] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    def send(self, letter: Letter) -> Sent:
        self.letters.append(letter)
        return self.outcomes.pop(0) if self.outcomes else Sent(True)


@dataclass
class Watched:
    """Short words for what tests do with alerts."""

    world: World
    routes: str = ALL
    quiet: str = ""
    reminder: timedelta | None = None
    hook: HookPost | None = None
    postman: Any = field(default_factory=Postman)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.world.db)
        policy = Policy(parse_routes(self.routes), parse_quiet(self.quiet), URGENT, self.reminder)
        channels = {"email": self.postman, "telegram": self.postman}
        self.desk = AlertDesk(
            self.world.db, self.clock, self.world.audit, self.jobs, policy, channels, self.hook, "Shop", jitter=lambda: 1.0
        )
        register_alerts(self.jobs, self.desk)
        self.steps: dict[str, int] = {}
        self.number()
        self.desk.watch()  # what was before is not told

    @property
    def clock(self) -> FrozenClock:
        assert isinstance(self.world.clock, FrozenClock)
        return self.world.clock

    def event(self, kind: str, subject: str, data: dict[str, Any] | None = None, *, mode: str = "live", **facts: Any) -> None:
        """Something that an operator should know, as the code that finds it writes it."""
        step = self.steps[subject] = self.steps.get(subject, 0) + 1
        text = msgspec.json.encode(data).decode() if data is not None else None
        row = (new_event_id(), kind, facts.get("partner_id"), mode, subject, step, None, None, facts.get("reason"), "system")
        with self.world.db.transaction() as tx:
            insert_events(tx, [(*row, to_micros(self.clock.now()), text)])

    def number(self) -> None:
        """Give new events their positions."""
        Sequencer(self.world.db, [EVENT_SERIES]).run_pass()

    def watch(self, **time: float) -> list[str]:
        """Some time later: a look, and all messages that are due sent; their subjects."""
        if time:
            self.clock.advance(**time)
        self.number()
        self.desk.watch()
        before = len(self.postman.letters)
        self.run()
        return [letter.subject for letter in self.postman.letters[before:]]

    def run(self) -> list[str]:
        """Run each message that waits once, whatever its delay; what became of them."""
        attempt = self.jobs._work.workflows["alert.send"]
        return [attempt(row.id, row.tries) for row in self.sends() if row.state == "waiting"]

    def sends(self) -> list[Any]:
        table = metadata.tables["alert_sends"]
        with self.world.db.read() as tx:
            return list(tx.execute(sa.select(table).order_by(table.c.id)))

    def alerts(self) -> list[Alert]:
        """All of them, the oldest first."""
        with self.world.db.read() as tx:
            return list_alerts(tx, everything=True, kind=None, limit=100)[::-1]

    def states(self) -> list[str]:
        return [one.state.value for one in self.alerts()]
