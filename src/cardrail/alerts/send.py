"""Telling the operator: by e-mail, Telegram or a signed webhook, as durable jobs. A job's arguments are ids; what is said is read when it
runs, and says no code, no key and no address.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec
from standardwebhooks.webhooks import Webhook

from cardrail.alerts import store
from cardrail.alerts.errors import AlertNotFound, InvalidAlertSetting
from cardrail.alerts.model import FIRST, OVER, RAISED_AGAIN, Alert, AlertState, Policy, Route, sentence
from cardrail.alerts.watch import ATTEMPT, QUEUE, watch
from cardrail.delivery import Channel, Letter, Sent
from cardrail.jobs import Jobs, Queue
from cardrail.kernel import CardrailError, Clock, Secret, from_micros, new_id, rfc3339, to_micros
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx
from cardrail.webhooks import AddressRules, Poster, check_url

BACKOFF_SECONDS: Final = (30, 120, 600, 3_600, 21_600)
"""Between tries; after the last the message has failed, and the alert is told of again at its reminder."""
LINES_MAX: Final = 50
"""Alerts that a message tells one by one."""
OVERDUE_MICROS: Final = 60 * 1_000_000
TIMEOUT_SECONDS: Final = 10.0
PURGE_ROWS: Final = 500
_encode: Final = msgspec.json.Encoder().encode

_MARKS: Final = {FIRST: "", RAISED_AGAIN: "Still so: ", OVER: "Over: "}


@dataclass(frozen=True, slots=True)
class Note:
    """What one message tells."""

    id: str
    at: datetime
    items: Sequence[tuple[Alert, str]]
    is_test: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        if self.is_test:
            return ("This is a test of Cardrail's alerts. Nothing is wrong.",)
        said = [_line(alert, what) for alert, what in self.items[:LINES_MAX]]
        rest = len(self.items) - LINES_MAX
        return (*said, f"And {rest} more: `cardrail alert list`.") if rest > 0 else tuple(said)


class HookPost:
    """The way to an operator's own URL: Standard Webhooks 1.0, through the guard that partners' endpoints have."""

    def __init__(self, secret: Secret, rules: AddressRules) -> None:
        try:
            base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)  # the library passes over what is no base64
            self._signer = Webhook(secret.reveal())
        except (ValueError, RuntimeError):
            raise InvalidAlertSetting(setting="alert_webhook_secret", reason="whsec_ and base64") from None
        self._rules = rules

    def send(self, url: str, note: Note) -> Sent:
        """Post once; whatever is not 2xx may be tried again, but for 410."""
        body = _encode(_payload(note))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Cardrail-Alerts/1",
            "webhook-id": note.id,
            "webhook-timestamp": str(int(note.at.timestamp())),
            "webhook-signature": self._signer.sign(note.id, note.at, body.decode()),
        }

        async def once() -> Sent:
            poster = Poster(self._rules, timeout_seconds=TIMEOUT_SECONDS, connections=1, connections_max=1)
            try:
                posted = await poster.post("alerts", url, headers, body)
            finally:
                await poster.close()
            if posted.status is not None and 200 <= posted.status < 300:
                return Sent(True)
            why = f"the receiver answered {posted.status}" if posted.error is None else f"no answer ({posted.error.value})"
            return Sent(False, error=why, is_final=posted.status == 410)

        return asyncio.run(once())


@dataclass(frozen=True, slots=True)
class AlertDesk:
    """What alerts stand on. Built once, in bootstrap."""

    db: Database
    clock: Clock
    audit: AuditLog
    jobs: Jobs
    policy: Policy
    channels: Mapping[str, Channel]
    """email, telegram: those that are set up."""
    hook: HookPost | None = None
    brand: str = ""
    backoff: tuple[int, ...] = BACKOFF_SECONDS
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.9, 1.1))  # noqa: S311  # spreads load, guards nothing

    def watch(self) -> int:
        """See what is new, and take up messages whose chain broke. Run from time to time."""
        now = self.clock.now()
        told = watch(self.db, now, self.policy, self.jobs)
        with self.db.read() as tx:
            late = store.overdue_sends(tx, to_micros(now) - OVERDUE_MICROS)
        if late and self.jobs.is_prepared:
            with self.db.transaction() as tx:
                for send_id, tries in late:
                    key = f"alert:{send_id}:{tries}:{to_micros(now) // OVERDUE_MICROS}"
                    self.jobs.enqueue(tx, ATTEMPT, QUEUE, key, send_id, tries)
        return told

    def test(self) -> list[tuple[Route, Sent]]:
        """Send a test to every recipient, now; what came of each."""
        note = Note(new_id("als"), self.clock.now(), (), is_test=True)
        return [(route, self._deliver(route, note)) for route in self.policy.routes]

    def acknowledge(self, alert_id: str, *, actor: str) -> Alert:
        """Somebody knows: no more reminders until it is over and comes back. Raises AlertNotFound."""
        now = self.clock.now()

        def work(tx: Tx) -> Alert:
            one = next((known for known in store.load_open(tx, lock=True) if known.id == alert_id and known.is_open), None)
            if one is None:
                raise AlertNotFound(alert_id=alert_id[:64])
            if one.state is AlertState.ACKNOWLEDGED:
                return one
            changed = _acknowledged(one, to_micros(now), actor)
            store.save_alert(tx, changed)
            details = {"kind": one.kind, "subject": one.subject}
            self.audit.append(tx, [audit_entry(now, actor, "alert.acknowledged", subject=one.id, details=details)])
            return changed

        return in_tx(self.db, work)

    def purge(self, before: datetime) -> int:
        """Delete what was over before that moment; how many rows."""
        deleted = 0
        while True:
            with self.db.transaction() as tx:
                count = store.delete_old(tx, to_micros(before), PURGE_ROWS)
            deleted += count
            if not count:
                return deleted

    # --- one try ---

    def try_once(self, send_id: str) -> Sent:
        """What is foreign and slow. A message that is not waiting any more is not sent again."""
        with self.db.read() as tx:
            send = store.load_send(tx, send_id)
            known = store.load_alerts(tx, [one for one, _ in send.about]) if send is not None else {}
        if send is None or send.state != "waiting":
            return Sent(False, error="it was called off", is_final=True)
        route = next((one for one in self.policy.routes if one.id == send.route), None)
        if route is None:
            return Sent(False, error="this recipient is not set any more", is_final=True)
        items = [(known[alert_id], what) for alert_id, what in send.about if alert_id in known]
        return self._deliver(route, Note(send.id, self.clock.now(), items))

    def settle(self, tx: Tx, send_id: str, attempt: int, sent: Sent) -> str:
        """Write how a try went, and enqueue the next where that can help."""
        send = store.load_send(tx, send_id, lock=True)
        if send is None or send.state != "waiting":
            return "gone" if send is None else send.state
        at, tries = to_micros(self.clock.now()), attempt + 1
        if sent.ok:
            store.save_send(tx, send_id, "sent", tries, sent_at=at)
            store.note_notified(tx, [one for one, what in send.about if what != OVER])
            return "sent"
        if sent.is_final or attempt >= len(self.backoff):
            store.save_send(tx, send_id, "failed", tries, error=sent.error)
            return "failed"
        delay = max(self.backoff[attempt] * self.jitter(), sent.retry_after or 0)
        store.save_send(tx, send_id, "waiting", tries, error=sent.error, due_at=at + int(delay * 1_000_000))
        if self.jobs.is_prepared:
            self.jobs.enqueue(tx, ATTEMPT, QUEUE, f"alert:{send_id}:{tries}", send_id, tries, delay=delay)
        return "waiting"

    def _deliver(self, route: Route, note: Note) -> Sent:
        try:
            if route.channel == "webhook":
                if self.hook is None:
                    return Sent(False, error="there is no secret to sign with", is_final=True)
                return self.hook.send(route.target.reveal(), note)
            channel = self.channels.get(route.channel)
            if channel is None:
                return Sent(False, error="the channel is not set up")
            return channel.send(self._letter(route, note))
        except CardrailError as error:
            return Sent(False, error=error.code)

    def _letter(self, route: Route, note: Note) -> Letter:
        lines = note.lines
        first = lines[0].rstrip(".") if len(lines) == 1 else f"{len(note.items)} alerts"
        return Letter(
            message_id=note.id,
            address=route.target.reveal(),
            language="en",
            is_right_to_left=False,
            subject=" ".join(f"{self.brand or 'Cardrail'}: {first}".split())[:150],
            lines=lines,
            button="",
            link="",
            after=() if note.is_test else ("Once you know: `cardrail alert ack ID`. What is over clears by itself.",),
        )


def register_alerts(jobs: Jobs, desk: AlertDesk) -> None:
    """Tell the worker how alerts are sent."""
    jobs.add_queue(Queue(QUEUE, worker_concurrency=4, polling_seconds=0.5))
    send = jobs.step("alert.try")(lambda send_id: msgspec.to_builtins(desk.try_once(send_id)))
    settle = jobs.tx_step("alert.settle")(
        lambda tx, send_id, attempt, outcome: desk.settle(tx, send_id, attempt, msgspec.convert(outcome, Sent))
    )

    @jobs.workflow(ATTEMPT)
    def attempt(send_id: str, number: int) -> str:
        state: str = settle(send_id, number, send(send_id))
        return state


def check_routes(policy: Policy, channels: Mapping[str, Channel], hook: HookPost | None, rules: AddressRules) -> None:
    """Refuse recipients that could not be told anything. Raises InvalidAlertSetting and what ``check_url`` raises."""
    for number, route in enumerate(policy.routes, 1):
        if route.channel == "webhook":
            check_url(route.target.reveal(), rules)
            if hook is None:
                raise InvalidAlertSetting(setting="alert_webhook_secret", reason="it is needed to sign what goes to a URL")
        elif route.channel not in channels:
            raise InvalidAlertSetting(setting="alert_routes", entry=number, reason=f"{route.channel} is not set up")


def _acknowledged(one: Alert, at: int, actor: str) -> Alert:
    return replace(one, state=AlertState.ACKNOWLEDGED, acknowledged_at=at, acknowledged_by=actor)


def _line(alert: Alert, what: str) -> str:
    times = f" ({alert.count} times)" if alert.count > 1 and what != OVER and alert.kind != "order.review" else ""
    over = " It is over meanwhile." if what != OVER and not alert.is_open else ""
    return f"{_MARKS[what]}{sentence(alert)}{times}{over} [{alert.id}]"


def _payload(note: Note) -> dict[str, Any]:
    alerts = [
        {
            "id": alert.id,
            "kind": alert.kind,
            "subject": alert.subject,
            "what": what,
            "state": alert.state.value,
            "text": sentence(alert),
            "count": alert.count,
            "opened_at": rfc3339(from_micros(alert.opened_at)),
            "last_at": rfc3339(from_micros(alert.last_at)),
        }
        for alert, what in note.items[:LINES_MAX]
    ]
    kind = "alerts.test" if note.is_test else "alerts"
    return {"id": note.id, "type": kind, "timestamp": rfc3339(note.at), "data": {"alerts": alerts, "count": len(note.items)}}
