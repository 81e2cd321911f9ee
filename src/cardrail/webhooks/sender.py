"""The sender: what endpoints asked for is made into deliveries, claimed, posted, and its outcome written down.

One per worker. A pass over the rows is one transaction: outcomes are recorded, new events become deliveries, and what is due is claimed
until a moment; a new delivery at an endpoint where nothing waits is claimed as it is written. A worker that dies leaves claims that run
out, and then they are sent again: at least once. Events are made into deliveries only as fast as these can be sent: what waits for a
sender that is held back, or paused, waits in the stream of events and costs the orders nothing.

Between two passes messages are posted side by side on the sender's own event loop. How many go to one endpoint at a time is bounded, less
where it fails, and those that answer slowly have half of all connections between them: nobody waits for somebody else's dead server. A
pass is made at once when this process commits an event after a rest, or when most of what was claimed is sent; else five times a second.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import structlog
import uvloop

from cardrail.kernel import CardrailError, OrderId, PlainCode, Secret, new_id, to_micros
from cardrail.orders import Buyer, Order, find_orders, number_orders, open_codes, reveal_order
from cardrail.storage import Database, Event, Tx, event_of, load_events, read_version, sequenced_through
from cardrail.vault import CodeOpener
from cardrail.webhooks import store
from cardrail.webhooks.endpoints import VERSION, EndpointBook
from cardrail.webhooks.errors import EndpointNotFound
from cardrail.webhooks.formats import FORMATS, Facts, Format, Message
from cardrail.webhooks.model import TEST_TYPE, DeliveryState, Endpoint, EndpointSecret, Failure, Schedule
from cardrail.webhooks.post import Posted, Poster
from cardrail.webhooks.read import backlog
from cardrail.webhooks.types import SHARED_TYPES

T = TypeVar("T")

CURSOR: Final = "deliveries"
EVENTS_MAX: Final = 1_000
"""Events that one pass makes into deliveries."""
CLAIMS_MAX: Final = 500
"""Deliveries that one pass claims."""
AHEAD: Final = 4
"""Deliveries that are claimed for an endpoint that answers quickly, for each that is under way."""
QUICK_MILLIS: Final = 500
"""An endpoint whose answers take longer, on the whole, is a slow one."""
STREAK: Final = 4
"""Failures one after the other from which an endpoint is asked once at a time."""
PASS_SECONDS: Final = 0.1
"""Between two passes: each is a commit that orders may have to wait for, so what comes together is written together."""
QUIET_SECONDS: Final = 0.2
"""Between two looks while there is nothing to do."""
SENT_SHARE: Final = 8
"""When all but one of so many of a pass's deliveries are sent, the next pass need not wait."""
OUTAGE_SECONDS: Final = 1.0
STOP_SECONDS: Final = 5.0
GAUGE_SECONDS: Final = 5.0
SWEEP_SECONDS: Final = 5.0
AGENT: Final = "Cardrail-Webhooks/1"

log = structlog.get_logger("cardrail.webhooks")


@dataclass(frozen=True, slots=True)
class SenderPace:
    """How much and how often."""

    schedule: Schedule = field(default_factory=Schedule)
    disable_after: timedelta = timedelta(hours=120)
    timeout_seconds: float = 10.0
    concurrency: int = 8
    """At one endpoint at a time."""
    connections_max: int = 256
    """At all endpoints at a time."""
    rate_max: int = 0
    """Attempts a second; 0: no bound."""
    is_paused: bool = False
    """Nothing is sent, and nothing written either: what endpoints wait for is in the stream of events."""

    @property
    def claim_micros(self) -> int:
        """How long a claim lasts: what waits its turn and then takes all its time is done by then."""
        return int((3 * self.timeout_seconds + 5) * 1_000_000)


@dataclass(slots=True)
class _Job:
    """One claimed delivery."""

    endpoint: Endpoint
    event: Event
    tries: int
    claimed: int
    """Until when; it also says whose claim it is."""


@dataclass(slots=True)
class _Outcome:
    """What came of a job, to be written down."""

    job: _Job
    posted: Posted
    at: int
    has_codes: bool


@dataclass(slots=True)
class Counts:
    """What this process did, for the metrics."""

    delivered: int = 0
    failed: int = 0
    seconds: float = 0.0
    """That attempts took, all together."""
    disabled: int = 0
    waiting: int = 0
    """Deliveries at enabled endpoints, of all workers, as of a few seconds ago."""
    behind: int = 0
    """Events that nobody has made into deliveries yet."""
    oldest_at: datetime | None = None
    """When the oldest event was that waits in either way."""


@dataclass(slots=True)
class _Known:
    """Enabled endpoints and their secrets, as of a version."""

    version: int = -1
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    by_owner: dict[tuple[str, str], list[Endpoint]] = field(default_factory=dict)
    by_mode: dict[str, list[Endpoint]] = field(default_factory=dict)
    secrets: dict[str, list[EndpointSecret]] = field(default_factory=dict)
    failing: dict[str, datetime] = field(default_factory=dict)


class Sender:
    """Started by whoever works. ``run_pass`` and ``send_due`` do by hand what its thread does all the time."""

    def __init__(
        self, book: EndpointBook, opener: CodeOpener, pace: SenderPace | None = None, formats: Mapping[str, Format] = FORMATS
    ) -> None:
        self.pace = pace or SenderPace()
        self.counts = Counts()
        self._book = book
        self._db: Database = book.db
        self._clock = book.clock
        self._opener = opener
        self._formats = formats
        self._known = _Known()
        self._outcomes: deque[_Outcome] = deque()
        self._under_way: dict[str, int] = defaultdict(int)
        self._millis: dict[str, float] = {}
        self._fan = 1.0
        self._left = 0
        self._is_behind = False
        self._streaks: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], object] = lambda: None
        self._unhook: Callable[[], object] = lambda: None
        self._is_resting = False
        self._has_news = False
        self._gauge_at = 0.0
        self._allowance = 0.0
        self._allowed_at = time.monotonic()

    # --- its life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send."""
        self._stopping.clear()
        self._thread = threading.Thread(target=lambda: _run(self._serve), name="cardrail-webhooks", daemon=True)
        self._unhook = self._db.when("events written", self._on_event)
        self._thread.start()

    def stop(self) -> None:
        """Let what is under way end, for a few seconds, and write it down. The rest is sent again later. Harmless if not started."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._unhook()
            self._stopping.set()
            self._wake()
            thread.join()

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def send_due(self) -> int:
        """One pass, everything posted that it claimed, and the outcomes written down; how many. Not while the thread runs."""

        async def once() -> int:
            poster = self._poster()
            try:
                jobs = self.run_pass()
                await asyncio.gather(*[self._send(poster, job) for job in jobs])
                self.run_pass(claiming=False)
                return len(jobs)
            finally:
                await poster.close()

        return _run(once)

    async def _serve(self) -> None:
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def wake_up() -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(wake.set)

        self._wake = wake_up
        poster = self._poster()
        running: set[asyncio.Task[None]] = set()
        failing = False
        sweep_at = 0.0
        with ThreadPoolExecutor(1, thread_name_prefix="cardrail-webhook-rows") as rows:
            while not self._stopping.is_set():
                version, begun = self._known.version, time.monotonic()
                wake.clear()
                self._has_news = False
                try:
                    jobs = await loop.run_in_executor(rows, self.run_pass)
                except Exception as error:  # a database that is away comes back
                    if not failing:
                        log.warning("webhooks wait for the database", reason=_reason(error))
                    failing = True
                    await self._rest(wake, OUTAGE_SECONDS)
                    continue
                if failing:
                    log.info("webhooks are sent again")
                    failing = False
                if version != self._known.version:
                    await poster.forget_others(self._known.endpoints)
                if begun >= sweep_at:
                    poster.sweep()
                    sweep_at = begun + SWEEP_SECONDS
                self._left = len(jobs) - len(jobs) // SENT_SHARE
                for job in jobs:
                    task = asyncio.create_task(self._send(poster, job))
                    running.add(task)
                    task.add_done_callback(running.discard)
                await self._until_next(wake, begun, is_busy=bool(jobs or self._outcomes or self._is_behind))
            if running:
                await asyncio.wait(running, timeout=STOP_SECONDS)
            for task in list(running):
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await poster.close()
            try:
                await loop.run_in_executor(rows, lambda: self.run_pass(claiming=False))
            except Exception as error:
                log.warning("the last webhooks are sent again later", reason=_reason(error))

    async def _until_next(self, wake: asyncio.Event, begun: float, *, is_busy: bool) -> None:
        """Rest: while there is work for a tenth of a second or until most of it is sent, else until an event is committed.

        Where there is no endpoint no event wakes: a look with each order would cost the shop that has none.
        """
        if self.pace.is_paused:
            await self._rest(wake, GAUGE_SECONDS)
        elif is_busy:
            await self._rest(wake, begun + PASS_SECONDS - time.monotonic())
        elif not self._known.endpoints:
            await self._rest(wake, QUIET_SECONDS)
        else:
            self._is_resting = True
            if not self._has_news:
                await self._rest(wake, QUIET_SECONDS)
            self._is_resting = False

    def _on_event(self) -> None:
        """An event was committed, on whatever thread."""
        self._has_news = True
        if self._is_resting:
            self._is_resting = False
            self._wake()

    async def _rest(self, wake: asyncio.Event, seconds: float) -> None:
        if seconds <= 0 or self._stopping.is_set():
            return
        try:
            await asyncio.wait_for(wake.wait(), seconds)
        except TimeoutError:
            return

    def _poster(self) -> Poster:
        pace = self.pace
        return Poster(
            self._book.rules,
            timeout_seconds=pace.timeout_seconds,
            connections=pace.concurrency,
            connections_max=pace.connections_max,
        )

    # --- rows ---------------------------------------------------------------------------------------------------------

    def run_pass(self, *, claiming: bool = True) -> list[_Job]:
        """Write down outcomes, make deliveries of new events, claim what is due: one transaction, and none if there is nothing to do."""
        outcomes = list(self._outcomes)
        now = to_micros(self._clock.now())
        with self._db.read() as tx:
            self._refresh(tx)
            self._gauge(tx)
            if self.pace.is_paused:
                return []
            self._is_behind = bool(self._known.endpoints) and sequenced_through(tx, "events") > self._position(tx)
            due = store.due_endpoints(tx) if claiming and self._known.endpoints else {}
        waiting = {one for one, at in due.items() if at <= now}
        free = self._free() if claiming else 0
        # What waits and what is new share what can be sent; either gets what the other leaves.
        wanted = self._wanted(waiting, free - free // 2 if self._is_behind else free)
        share = free - sum(wanted.values())
        is_making = self._is_behind and share > 0
        if not outcomes and not is_making and not wanted:
            return []
        known, failing = self._known, dict(self._known.failing)
        try:
            with self._db.transaction() as tx:
                self._record(tx, outcomes)
                jobs = self._make_deliveries(tx, now, share, waiting) if is_making else []
                jobs += self._claim(tx, wanted, now)
        except BaseException:
            self._known, known.failing = known, failing  # what the transaction did not write is not known either
            raise
        for _ in outcomes:
            self._outcomes.popleft()
        for job in jobs:
            self._under_way[job.endpoint.id] += 1
        if self.pace.rate_max:
            self._allowance -= len(jobs)
        return jobs

    def _refresh(self, tx: Tx) -> None:
        """Know what changed since the last look."""
        version = read_version(tx, VERSION)
        if version == self._known.version:
            return
        known = _Known(version)
        for endpoint in store.load_enabled(tx):
            known.endpoints[endpoint.id] = endpoint
            known.by_owner.setdefault((endpoint.partner_id, endpoint.mode.value), []).append(endpoint)
            known.by_mode.setdefault(endpoint.mode.value, []).append(endpoint)
            if endpoint.failing_since is not None:
                known.failing[endpoint.id] = endpoint.failing_since
        for row in store.load_secrets(tx):
            if row.endpoint_id in known.endpoints:
                known.secrets.setdefault(row.endpoint_id, []).append(self._book.open_secret(row))
        self._known = known

    def _gauge(self, tx: Tx) -> None:
        """Now and then, see how much waits: deliveries, and events that are no deliveries yet."""
        if time.monotonic() < self._gauge_at:
            return
        self.counts.waiting, oldest_at = backlog(tx)
        position = self._position(tx) if self._known.endpoints else 0
        self.counts.behind = max(0, sequenced_through(tx, "events") - position) if self._known.endpoints else 0
        if self.counts.behind:
            first = event_of(store.new_events(tx, position, 1)[0]).at
            oldest_at = first if oldest_at is None else min(first, oldest_at)
        self.counts.oldest_at = oldest_at
        self._gauge_at = time.monotonic() + GAUGE_SECONDS

    def _position(self, tx: Tx) -> int:
        """How far events were made into deliveries; nothing is due of what came before the oldest endpoint."""
        begun = min(one.begins_after for one in self._known.endpoints.values())
        return max(store.read_cursor(tx, CURSOR) or 0, begun)

    def _make_deliveries(self, tx: Tx, now: int, share: int, waiting: Container[str]) -> list[_Job]:
        """A row for each endpoint that wants a new event, of about as many events as ``share`` deliveries are.

        Where nothing older waits at the endpoint and there is room, the row is written as claimed, and its job is returned.
        """
        at = store.lock_cursor(tx, CURSOR, self._position(tx))
        if at is None:
            return []
        most = max(1, min(EVENTS_MAX, int(share / max(self._fan, share / EVENTS_MAX))))
        found = store.new_events(tx, max(at, self._position(tx)), most)
        self._refresh(tx)  # after the events were read: whoever came before one of them is told of it
        room: dict[str, int] = {}
        rows: list[tuple[Any, ...]] = []
        jobs: list[_Job] = []
        until = now + self.pace.claim_micros
        for row in found:
            event = None
            for endpoint in self._listeners(row):
                if row.position <= endpoint.begins_after or not self._goes_to(row, endpoint):
                    continue
                left = room.get(endpoint.id)
                if left is None:
                    left = 0 if endpoint.id in waiting else self._room(endpoint.id) - self._under_way[endpoint.id]
                due = now
                if left > 0 and len(jobs) < share:
                    room[endpoint.id], due = left - 1, until
                    event = event or event_of(row)
                    jobs.append(_Job(endpoint, event, 0, until))
                else:
                    room[endpoint.id] = 0  # in their order: what comes after waits behind it
                rows.append((endpoint.id, row.id, row.type, DeliveryState.PENDING.value, 0, due, now))
        store.insert_missing(tx, rows)
        if found:
            store.move_cursor(tx, CURSOR, found[-1].position)
            self._fan += (len(rows) / len(found) - self._fan) * 0.3
        return jobs

    def _listeners(self, event: Any) -> Sequence[Endpoint]:
        if event.partner_id is not None:
            return self._known.by_owner.get((event.partner_id, event.mode), ())
        return self._known.by_mode.get(event.mode, ()) if event.type in SHARED_TYPES else ()

    def _goes_to(self, event: Any, endpoint: Endpoint) -> bool:
        if event.type == TEST_TYPE or not endpoint.wants(event.type):
            return False  # a test's delivery was made with its event
        known = self._formats[endpoint.format].types
        return known is None or event.type in known

    def _free(self) -> int:
        """How many deliveries this pass may take."""
        return max(0, min(CLAIMS_MAX, self.pace.connections_max * AHEAD - sum(self._under_way.values()), self._allowed()))

    def _wanted(self, due: set[str], free: int) -> dict[str, int]:
        """Endpoint → how many of its deliveries this worker takes now."""
        wanted: dict[str, int] = {}
        candidates = [one for one in due if one in self._known.endpoints]
        random.shuffle(candidates)  # so that the same ones do not come first each time
        for endpoint_id in candidates:
            room = min(self._room(endpoint_id) - self._under_way[endpoint_id], free)
            if room > 0:
                wanted[endpoint_id] = room
                free -= room
        return wanted

    def _room(self, endpoint_id: str) -> int:
        """How many of an endpoint's may be claimed at a time: one while nothing succeeds, more than can be under way while it is quick."""
        if self._streaks.get(endpoint_id, 0) >= STREAK:
            return 1
        millis = self._millis.get(endpoint_id)
        if millis is None or millis >= QUICK_MILLIS:
            return self.pace.concurrency
        return self.pace.concurrency * AHEAD

    def _is_slow(self, endpoint_id: str) -> bool:
        """Whether it is one of those that have half of the connections between them."""
        return self._millis.get(endpoint_id, 0.0) >= QUICK_MILLIS or self._streaks.get(endpoint_id, 0) >= STREAK

    def _allowed(self) -> int:
        """What the bound on the rate leaves."""
        if not self.pace.rate_max:
            return CLAIMS_MAX
        now = time.monotonic()
        self._allowance = min(self._allowance + (now - self._allowed_at) * self.pace.rate_max, max(1.0, self.pace.rate_max / 5))
        self._allowed_at = now
        return int(self._allowance)

    def _claim(self, tx: Tx, wanted: Mapping[str, int], now: int) -> list[_Job]:
        until = now + self.pace.claim_micros
        claimed = [
            (endpoint_id, event_id, tries)
            for endpoint_id, most in wanted.items()
            for event_id, tries in store.claim(tx, endpoint_id, now=now, until=until, most=most)
        ]
        about = load_events(tx, {event_id for _, event_id, _ in claimed}) if claimed else {}
        known = self._known.endpoints  # one that was disabled in this very transaction is not sent to
        return [_Job(known[one], about[event_id], tries, until) for one, event_id, tries in claimed if one in known]

    # --- outcomes -----------------------------------------------------------------------------------------------------

    def _record(self, tx: Tx, outcomes: Sequence[_Outcome]) -> None:
        """An attempt's row for each, and the delivery's next state."""
        delivered, retried, given_up = [], [], []
        for one in outcomes:
            job, posted = one.job, one.posted
            place = {"endpoint": job.endpoint.id, "event": job.event.id}
            if _succeeded(posted):
                delivered.append(place | {"at": one.at})
                self._note_success(tx, job.endpoint)
                continue
            wait = self._wait(job, posted)
            failed = place | {"claimed": job.claimed, "count": job.tries + 1}
            if wait is None:
                given_up.append(failed | {"at": one.at})
            else:
                retried.append(failed | {"due": one.at + int(wait * 1_000_000)})
            self._note_failure(tx, job.endpoint, posted, one.at)
        store.insert_attempts(tx, [_attempt_row(one) for one in outcomes])
        store.record_delivered(tx, delivered)
        store.record_retries(tx, retried)
        store.record_failed(tx, given_up)

    def _wait(self, job: _Job, posted: Posted) -> float | None:
        """Seconds to the next attempt; None: there is none."""
        if posted.status == 410:
            return None
        schedule = self._formats[job.endpoint.format].schedule or self.pace.schedule
        wait = schedule.wait(job.tries + 1, random.random())  # noqa: S311  # jitter, not a secret
        if wait is not None and posted.retry_after is not None and posted.status in (429, 503):
            wait = max(wait, min(posted.retry_after, 3_600.0))
        return wait

    def _note_success(self, tx: Tx, endpoint: Endpoint) -> None:
        if self._known.failing.pop(endpoint.id, None) is not None:
            store.mark_healthy(tx, endpoint.id)

    def _note_failure(self, tx: Tx, endpoint: Endpoint, posted: Posted, at: int) -> None:
        """Remember since when it fails, and disable what is gone or has failed for days."""
        now = self._clock.now()
        since = self._known.failing.get(endpoint.id)
        if since is None:
            self._known.failing[endpoint.id] = since = now
            store.mark_failing(tx, endpoint.id, at)
        because = None
        if posted.status == 410:
            because = "the receiver answered 410 Gone"
        elif now - since >= self.pace.disable_after:
            because = f"every attempt failed since {since:%Y-%m-%dT%H:%M:%SZ}"
        if because is not None and self._book.disable(tx, endpoint, because):
            self.counts.disabled += 1
            log.warning("webhook endpoint disabled", endpoint=endpoint.id, partner=endpoint.partner_id, reason=because)

    # --- messages -----------------------------------------------------------------------------------------------------

    async def _send(self, poster: Poster, job: _Job) -> None:
        """Build, post, and leave the outcome for the next pass."""
        endpoint_id, has_codes = job.endpoint.id, False
        try:
            async with poster.turn(endpoint_id, is_slow=self._is_slow(endpoint_id)):
                if to_micros(self._clock.now()) > job.claimed - int((self.pace.timeout_seconds + 1) * 1_000_000):
                    return  # it waited so long that its claim may end under way: it is claimed again
                if self._reads_for(job):
                    message, has_codes = await asyncio.to_thread(self._message, job)
                else:
                    message, has_codes = self._message(job)
                if message is None:
                    posted = Posted(None, Failure.UNBUILT, b"", 0)
                else:
                    posted = await poster.post(endpoint_id, job.endpoint.url, message.headers, message.body)
            self._outcomes.append(_Outcome(job, posted, to_micros(self._clock.now()), has_codes))
            self._count(endpoint_id, posted)
        finally:
            self._under_way[endpoint_id] -= 1
            self._left -= 1
            if self._left == 0:
                self._wake()

    def _reads_for(self, job: _Job) -> bool:
        """Whether its message needs more than the event: that waits for the database, which the event loop must not."""
        spoken, event_type = self._formats[job.endpoint.format], job.event.type
        return spoken.needs_order(event_type) or (job.endpoint.with_codes and spoken.has_codes(event_type))

    def _count(self, endpoint_id: str, posted: Posted) -> None:
        self.counts.seconds += posted.milliseconds / 1_000
        if _succeeded(posted):
            self.counts.delivered += 1
            self._streaks.pop(endpoint_id, None)
        else:
            self.counts.failed += 1
            self._streaks[endpoint_id] = self._streaks.get(endpoint_id, 0) + 1
        before = self._millis.get(endpoint_id, posted.milliseconds)
        self._millis[endpoint_id] = before + (posted.milliseconds - before) * 0.3

    def _message(self, job: _Job) -> tuple[Message | None, bool]:
        """The signed message, and whether codes are in it. A fault of ours is logged without what it was about."""
        try:
            return self._built(job)
        except Exception as error:
            log.warning("a webhook could not be built", endpoint=job.endpoint.id, event_id=job.event.id, reason=_reason(error))
            return None, False

    def _built(self, job: _Job) -> tuple[Message, bool]:
        endpoint = job.endpoint
        spoken = self._formats[endpoint.format]
        event, secrets = job.event, self._secrets(endpoint)
        if not secrets:
            raise EndpointNotFound  # deleted meanwhile: nothing is sent that nobody could verify
        order, codes = None, None
        if endpoint.with_codes and spoken.has_codes(event.type):
            order, codes = self._reveal(endpoint, event)
        elif spoken.needs_order(event.type):
            (order,) = find_orders(self._db, ids=[OrderId(event.subject_id)])
        if order is not None and spoken.needs_number:
            number_orders(self._db, [order])
        message = spoken.message(Facts(endpoint, event, secrets, self._clock.now(), order, codes))
        headers = {"Content-Type": "application/json", "User-Agent": AGENT, **message.headers}
        return Message(headers, message.body), codes is not None

    def _reveal(self, endpoint: Endpoint, event: Event) -> tuple[Order, list[list[tuple[PlainCode, int]]]]:
        """The order with its codes, opened for this one message; who got them is in the audit log."""
        buyer = Buyer(endpoint.partner_id, endpoint.mode, "", f"webhook:{endpoint.id}")
        order = reveal_order(self._db, self._clock, self._book.audit, buyer, OrderId(event.subject_id))
        return order, [open_codes(self._opener, item) for item in order.items]

    def _secrets(self, endpoint: Endpoint) -> list[Secret]:
        now = self._clock.now()
        return [one.secret for one in self._known.secrets.get(endpoint.id, []) if one.ends_at is None or one.ends_at > now]


def _run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def _succeeded(posted: Posted) -> bool:
    return posted.status is not None and 200 <= posted.status < 300


def _attempt_row(one: _Outcome) -> tuple[Any, ...]:
    answer = (
        one.posted.answer.decode("utf-8", "replace").replace("\x00", "\ufffd")
        if one.posted.answer and not one.has_codes
        else None
    )
    error = one.posted.error.value if one.posted.error is not None else None
    return (
        new_id("wha"),
        one.job.endpoint.id,
        one.job.event.id,
        one.at,
        one.posted.status,
        one.posted.milliseconds,
        error,
        answer,
    )


def _reason(error: BaseException) -> str:
    return error.code if isinstance(error, CardrailError) else type(error).__name__
