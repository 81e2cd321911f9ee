"""Seeing what the operator should know: events are followed by their positions, so no order waits for it.

A pass is one transaction. New events raise alerts or count up those that are open; what is over is cleared, because an event says so,
because the wallet, the stock, the supplier is all right again, or because nothing more has come for a while; and what may be told now is
gathered into one message for each recipient, whose first try is enqueued in the same transaction. So an alert is told once, however many
events stand behind it, and a hundred alerts of one moment are one message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from cardrail.access import PartnerNotFound, get_partner
from cardrail.alerts import store
from cardrail.alerts.model import ENDED, HOLD, KINDS, OVER, RAISED, Alert, AlertState, Policy, Route, what_to_tell
from cardrail.jobs import Jobs
from cardrail.kernel import Mode, PartnerId, currency, format_minor, new_id, to_micros
from cardrail.ledger import low_wallets
from cardrail.orders import still_in_review
from cardrail.settlement import differing_suppliers
from cardrail.sourcing import down_suppliers, dry_suppliers, find_supplier
from cardrail.storage import Database, Event, Tx, read_types, sequenced_through
from cardrail.vault import low_denominations
from cardrail.webhooks import disabled_endpoints

QUEUE: Final = "alerts"
ATTEMPT: Final = "alert.send"
TYPES: Final = frozenset(RAISED) | frozenset(ENDED)
PASSES_MAX: Final = 50
ORDERS_MAX: Final = 1_000
"""Orders in review that an alert names; those beyond are looked for again when these are decided."""
SHOWN: Final = 5
_HOLD_MICROS: Final = int(HOLD.total_seconds() * 1_000_000)

_STILL: Final[dict[str, Callable[[Tx], set[str]]]] = {
    "balance.low": low_wallets,
    "stock.low": low_denominations,
    "supplier.balance_low": dry_suppliers,
    "supplier.down": down_suppliers,
    "supplier.statement_differs": differing_suppliers,
    "endpoint.disabled": disabled_endpoints,
}
"""Kind → the subjects of which it is so now."""


def watch(db: Database, now: datetime, policy: Policy, jobs: Jobs) -> int:
    """Look through what is new, and see to what follows from it; how many alerts are to be told of. Run from time to time."""
    told = 0
    for _ in range(PASSES_MAX):
        with db.read() as tx:
            position = store.read_position(tx)
            if position is not None and sequenced_through(tx, "events") <= position and not store.load_open(tx):
                return told
        with db.transaction() as tx:
            pass_ = _Pass(tx, now, policy, jobs)
            more = pass_.run()
            told += pass_.told
        if not more:
            break
    return told


@dataclass(slots=True)
class _Pass:
    """One transaction."""

    tx: Tx
    now: datetime
    policy: Policy
    jobs: Jobs
    told: int = 0
    alerts: dict[tuple[str, str], Alert] = field(default_factory=dict)
    """Those that are not over, by kind and subject."""
    over: list[Alert] = field(default_factory=list)
    """Those that are, and of which that is to be told."""
    changed: dict[str, Alert] = field(default_factory=dict)

    @property
    def at(self) -> int:
        return to_micros(self.now)

    def run(self) -> bool:
        """Whether there may be more events to look at."""
        position = store.read_position(self.tx, lock=True)
        if position is None:  # the first time: what was before is not told of
            store.begin_at(self.tx, sequenced_through(self.tx, "events"))
            return False
        for one in store.load_open(self.tx, lock=True):
            if one.is_open:
                self.alerts[one.kind, one.subject] = one
            else:
                self.over.append(one)
        page = read_types(self.tx, Mode.LIVE, position, TYPES)
        for event in page.items:
            self._see(event)
        if page.through > position:
            store.move_to(self.tx, page.through)
        if not page.has_more:
            self._end_what_is_over()
            self._tell()
        for one in self.changed.values():
            store.save_alert(self.tx, one)
        return page.has_more

    def _put(self, one: Alert) -> None:
        self.changed[one.id] = one
        if one.is_open:
            self.alerts[one.kind, one.subject] = one
        else:
            self.alerts.pop((one.kind, one.subject), None)

    # --- what events say ---

    def _see(self, event: Event) -> None:
        if event.type in ENDED:
            known = self.alerts.get((ENDED[event.type], _subject(ENDED[event.type], event)))
            if known is not None:
                self._end(known)
            return
        kind = RAISED[event.type]
        subject = _subject(kind, event)
        known = self.alerts.get((kind, subject))
        at = to_micros(event.at)
        if known is not None:
            facts = self._facts(kind, event, known.facts)
            more = replace(known, count=known.count + 1, facts=facts, last_at=max(at, known.last_at))
            self._put(_told_anew(more) if _is_news(known, event) else more)
            return
        told = store.last_told(self.tx, kind, subject)
        hold = None if told is None or self.at >= told + _HOLD_MICROS else told + _HOLD_MICROS
        fresh = Alert(new_id("alr"), kind, subject, AlertState.OPEN, 1, self._facts(kind, event, {}), at, at, hold)
        store.insert_alert(self.tx, fresh)
        self._put(fresh)

    def _facts(self, kind: str, event: Event, known: Mapping[str, Any]) -> dict[str, Any]:
        """What the sentence is made of, in words that an operator reads: ids, names, figures."""
        facts = _with_amounts(event.data)
        if event.reason is not None:
            facts["reason"] = event.reason
        if event.partner_id is not None:
            facts |= {"partner_id": event.partner_id, "partner": _partner_name(self.tx, event.partner_id)}
        if kind.startswith("supplier."):
            supplier = find_supplier(self.tx, event.subject_id)
            facts["supplier"] = supplier.name if supplier is not None else event.subject_id
        if kind == "order.review":
            ids = [*known.get("order_ids", []), event.subject_id]
            return _orders(ids)
        return facts

    # --- what is over ---

    def _end_what_is_over(self) -> None:
        """Look at each that is open, kind by kind."""
        kinds = {kind for kind, _ in self.alerts}
        still = {kind: look(self.tx) for kind, look in _STILL.items() if kind in kinds}
        for one in list(self.alerts.values()):
            if one.kind == "order.review":
                self._look_at_orders(one)
            elif (one.kind in still and one.subject not in still[one.kind]) or self._has_faded(one):
                self._end(one)

    def _has_faded(self, one: Alert) -> bool:
        """Whether nothing more has come for so long that it is taken for over."""
        ends_after = KINDS[one.kind].ends_after
        if ends_after is None or self.at - one.last_at < int(ends_after.total_seconds() * 1_000_000):
            return False
        is_owed = one.state is AlertState.OPEN and one.told_at is None  # it came in the quiet period, say: nobody knows of it yet
        return not is_owed or not any(route.wants(one.kind) for route in self.policy.routes)

    def _look_at_orders(self, one: Alert) -> None:
        ids = one.facts.get("order_ids", [])
        still = still_in_review(self.tx, ids)
        if not still:
            self._end(one)
        elif len(still) < len(ids):
            self._put(replace(one, facts=_orders([order_id for order_id in ids if order_id in still])))

    def _end(self, one: Alert) -> None:
        owes = KINDS[one.kind].tells_end and one.tells > 0
        ended = replace(one, state=AlertState.CLEARED, cleared_at=self.at, owes_end=owes)
        self._put(ended)
        store.save_alert(self.tx, ended)  # at once: it may be raised again in this very pass, and one at a time is open
        if owes:
            self.over.append(ended)

    # --- what is told ---

    def _tell(self) -> None:
        """One message to each recipient that wants something of what may be told now."""
        alive = [*self.alerts.values(), *[self.changed.get(one.id, one) for one in self.over]]
        telling = what_to_tell(alive, self.policy, self.now, self.at)
        for route in self.policy.routes:
            about = [(one.id, what) for one, what in telling if route.wants(one.kind)]
            if about:
                enqueue_send(self.tx, self.jobs, route, about, self.at)
        for one, what in telling:
            if what == OVER:
                self.changed[one.id] = replace(one, owes_end=False)
            else:
                self._put(replace(one, told_at=self.at, tells=one.tells + 1))
        self.told = len(telling)


def enqueue_send(tx: Tx, jobs: Jobs, route: Route, about: Iterable[tuple[str, str]], at: int) -> str:
    """Write a message and its first try."""
    send_id = new_id("als")
    store.insert_send(tx, send_id, route.id, route.channel, list(about), at)
    if jobs.is_prepared:
        jobs.enqueue(tx, ATTEMPT, QUEUE, f"alert:{send_id}:0", send_id, 0)
    return send_id


def _subject(kind: str, event: Event) -> str:
    known = KINDS[kind]
    return known.subject or (str(event.data.get(known.per, "")) if known.per else event.subject_id)


def _is_news(known: Alert, event: Event) -> bool:
    """Whether whoever acknowledged an alert of many things cannot have known of this one."""
    if known.state is not AlertState.ACKNOWLEDGED or not KINDS[known.kind].subject:
        return False
    return event.subject_id not in known.facts.get("order_ids", [])


def _told_anew(one: Alert) -> Alert:
    """Open once more. It goes out when the last message about it is some time ago."""
    hold = None if one.told_at is None else one.told_at + _HOLD_MICROS
    return replace(one, state=AlertState.OPEN, told_at=None, hold_until=hold, acknowledged_at=None, acknowledged_by=None)


def _orders(ids: list[str]) -> dict[str, Any]:
    unique = list(dict.fromkeys(ids))[-ORDERS_MAX:]
    some = ", ".join(unique[-SHOWN:]) + (" and more" if len(unique) > SHOWN else "")
    return {"order_ids": unique, "orders": len(unique), "some": some}


def _with_amounts(data: Mapping[str, Any]) -> dict[str, Any]:
    """The event's facts, its amounts as people write them."""
    code = data.get("currency")
    if not isinstance(code, str):
        return dict(data)
    digits = currency(code).digits
    return {
        name.removesuffix("_minor"): format_minor(value, digits) if name.endswith("_minor") and isinstance(value, int) else value
        for name, value in data.items()
    }


def _partner_name(tx: Tx, partner_id: str) -> str:
    try:
        return get_partner(tx, PartnerId(partner_id)).name
    except PartnerNotFound:
        return partner_id
