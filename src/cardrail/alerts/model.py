"""Alerts as frozen facts, and the rules of them: what raises and ends one, where it goes, when nobody is to be woken. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cardrail.alerts.errors import InvalidAlertSetting
from cardrail.kernel import Secret


class AlertState(StrEnum):
    """How an alert stands."""

    OPEN = "open"
    """It is so, and nobody was told yet: it waits for its message to go out, for the end of the quiet period, or for a recipient."""
    NOTIFIED = "notified"
    """At least one message about it has gone out."""
    ACKNOWLEDGED = "acknowledged"
    """An operator knows, and is not reminded."""
    CLEARED = "cleared"
    """It is over."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of alert."""

    says: str
    """A sentence, with facts in braces; a fact that is missing is a question mark."""
    raised_by: tuple[str, ...]
    """Types of events."""
    ended_by: tuple[str, ...] = ()
    subject: str = ""
    """One word for all of the kind; empty: each subject of the events has its own."""
    per: str = ""
    """A fact of the event that is the subject."""
    ends_after: timedelta | None = None
    """Where nothing says that it is over: so long without another event."""
    tells_end: bool = False


_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(hours=24)

KINDS: Final[dict[str, Kind]] = {
    "balance.low": Kind("Partner {partner} has only {available} {currency} left; the mark is {threshold}.", ("balance.low",)),
    "stock.low": Kind("Only {in_stock} codes of {sku} are left; the mark is {threshold}.", ("stock.low",)),
    "supplier.balance_low": Kind("We have only {balance} {currency} left at {supplier}.", ("supplier.balance_low",)),
    "supplier.down": Kind(
        "Supplier {supplier} does not answer; nothing new is bought there.", ("supplier.down",), ("supplier.up",), tells_end=True
    ),
    "supplier.cost_held": Kind(
        "Costs of {supplier} jumped; {products} products wait for `cardrail supplier accept`.",
        ("supplier.cost_held",),
        ends_after=_DAY,
    ),
    "supplier.statement_differs": Kind(
        "Statements of {supplier} differ from our purchases: {differences} differences wait ({kinds}), {left_out} lines could not be "
        "taken. See `cardrail reconcile differences --state open`.",
        ("supplier.statement_differs",),
    ),
    "supplier.notice_held": Kind(
        "A webhook of {supplier} waits for a human: {because}. See `cardrail supplier webhook list --state review`.",
        ("supplier.notice_held",),
        ends_after=_DAY,
    ),
    "order.review": Kind("{orders} orders wait for your decision: {some}.", ("order.needs_review",), subject="orders"),
    "replacement.review": Kind(
        "Claims for bad codes wait for your decision, the newest of order {order_id}: `cardrail replacement list --state NEEDS_REVIEW`.",
        ("replacement.needs_review",),
        ends_after=_DAY,
        subject="replacements",
    ),
    "hold.overdue": Kind(
        "Money is held past its deadline, the newest for order {order_id}.", ("hold.overdue",), ends_after=_DAY, subject="holds"
    ),
    "endpoint.disabled": Kind("A webhook endpoint of partner {partner} was disabled: {reason}.", ("endpoint.disabled",)),
    "message.failed": Kind(
        "Messages by {channel} fail or come back; the newest is of order {order_id}.",
        ("message.failed", "message.bounced"),
        per="channel",
        ends_after=_HOUR,
    ),
    "books.drift": Kind(
        "The books do not agree: {findings} findings ({checks}). Run `cardrail verify`.", ("books.drift",), ("books.agree",)
    ),
}  # fmt: skip
"""Kind → what it says, and which events raise and end it. What ends it otherwise is looked up: a balance that is credited, say."""

RAISED: Final = {event: name for name, kind in KINDS.items() for event in kind.raised_by}
ENDED: Final = {event: name for name, kind in KINDS.items() for event in kind.ended_by}

HOLD: Final = timedelta(minutes=15)
"""What was told of, cleared and came back within this time is told of again when it has passed: a supplier that comes and goes."""
TEXT_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that the operator should know."""

    id: str
    kind: str
    subject: str
    state: AlertState
    count: int
    facts: Mapping[str, Any]
    opened_at: int
    last_at: int
    hold_until: int | None = None
    told_at: int | None = None
    tells: int = 0
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    cleared_at: int | None = None
    owes_end: bool = False

    @property
    def is_open(self) -> bool:
        return self.state is not AlertState.CLEARED


def sentence(alert: Alert) -> str:
    """What an alert says, on one line."""
    text = KINDS[alert.kind].says.format_map(_Facts({name: _word(value) for name, value in alert.facts.items()}))
    return " ".join(text.split())[:TEXT_MAX]


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _word(value: Any) -> str:
    return ", ".join([str(one) for one in value]) if isinstance(value, (list, tuple)) else str(value)


def is_due(alert: Alert, now: int, reminder: timedelta | None) -> bool:
    """Whether somebody is to be told of it now: for the first time, or once more."""
    if alert.state not in (AlertState.OPEN, AlertState.NOTIFIED) or (alert.hold_until or 0) > now:
        return False
    if alert.told_at is None:
        return True
    return reminder is not None and now - alert.told_at >= int(reminder.total_seconds() * 1_000_000)


# --- where they go ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """One recipient, and what he wants to know."""

    channel: str
    """email, telegram or webhook."""
    target: Secret
    """An address, a chat, a URL: the last may hold a key in its path."""
    kinds: frozenset[str] | None
    """None: every one."""

    @property
    def id(self) -> str:
        """Names the target without saying it."""
        return hashlib.sha256(f"{self.channel}\0{self.target.reveal()}".encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """For an operator's eyes: of a URL the host only."""
        text = self.target.reveal()
        return f"{urlsplit(text).scheme}://{urlsplit(text).hostname}/…" if self.channel == "webhook" else text

    def wants(self, kind: str) -> bool:
        return self.kinds is None or kind in self.kinds


_SCHEMES: Final = {"mailto:": "email", "telegram:": "telegram", "https://": "webhook", "http://": "webhook"}


def parse_routes(text: str) -> tuple[Route, ...]:
    """Blank-separated ``kinds=target``: kinds are comma-separated or ``*``, a target is mailto:…, telegram:… or https://….

    Raises InvalidAlertSetting, which does not repeat the target.
    """
    routes = []
    for number, one in enumerate(text.split(), 1):
        kinds, separator, target = one.partition("=")
        scheme = next((known for known in _SCHEMES if target.startswith(known)), None)
        if not separator or scheme is None or len(target) == len(scheme):
            raise InvalidAlertSetting(setting="alert_routes", entry=number, reason="kinds=target is expected")
        channel = _SCHEMES[scheme]
        bare = target if channel == "webhook" else target.removeprefix(scheme)
        wanted = None if kinds == "*" else check_kinds(kinds.split(","), "alert_routes")
        routes.append(Route(channel, Secret(bare), wanted))
    if len({one.id for one in routes}) != len(routes):
        raise InvalidAlertSetting(setting="alert_routes", reason="a target is named twice")
    return tuple(routes)


def check_kinds(kinds: Collection[str], setting: str) -> frozenset[str]:
    """The kinds, if all of them exist. Raises InvalidAlertSetting."""
    unknown = sorted(set(kinds) - KINDS.keys())
    if unknown:
        raise InvalidAlertSetting(setting=setting, unknown=unknown[0][:40], known=", ".join(KINDS))
    return frozenset(kinds)


# --- when nobody is to be woken ---------------------------------------------------------------------------------------

_QUIET: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9]) (\S+)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day in a time zone; from a later to an earlier one goes over midnight."""

    begin: time
    end: time
    zone: ZoneInfo

    def covers(self, moment: datetime) -> bool:
        """Whether it is quiet then."""
        local = moment.astimezone(self.zone).time()
        if self.begin <= self.end:
            return self.begin <= local < self.end
        return local >= self.begin or local < self.end


def parse_quiet(text: str) -> QuietHours | None:
    """``22:00-07:00 Europe/Berlin``, or nothing. Raises InvalidAlertSetting."""
    if not text.strip():
        return None
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        raise InvalidAlertSetting(setting="alert_quiet", reason="it is written like 22:00-07:00 Europe/Berlin")
    try:
        zone = ZoneInfo(found[5])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidAlertSetting(setting="alert_quiet", reason="there is no such time zone") from None
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begin == end:
        raise InvalidAlertSetting(setting="alert_quiet", reason="it begins and ends at the same time")
    return QuietHours(begin, end, zone)


# --- what to tell now -------------------------------------------------------------------------------------------------

RAISED_AGAIN: Final = "reminder"
FIRST: Final = "raised"
OVER: Final = "cleared"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator set."""

    routes: tuple[Route, ...] = ()
    quiet: QuietHours | None = None
    urgent: frozenset[str] = field(default_factory=frozenset)
    """Kinds that go out in the quiet period too."""
    reminder: timedelta | None = _DAY

    def may_go(self, kind: str, now: datetime) -> bool:
        return self.quiet is None or kind in self.urgent or not self.quiet.covers(now)


def what_to_tell(alerts: Sequence[Alert], policy: Policy, now: datetime, at: int) -> list[tuple[Alert, str]]:
    """(alert, raised | reminder | cleared) of those that somebody wants to know of and may be told of now."""
    found = []
    for one in alerts:
        if not any(route.wants(one.kind) for route in policy.routes) or not policy.may_go(one.kind, now):
            continue
        if one.owes_end and one.state is AlertState.CLEARED:
            found.append((one, OVER))
        elif is_due(one, at, policy.reminder):
            found.append((one, FIRST if one.told_at is None else RAISED_AGAIN))
    return found
