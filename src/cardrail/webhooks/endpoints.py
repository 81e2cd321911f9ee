"""Endpoints: made, changed, disabled, deleted; their secrets shown once, rolled over, and kept sealed.

Every change moves the version "webhooks" on in its own transaction, so that every sender knows at its next look.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cardrail.access import SecretSealer
from cardrail.kernel import Clock, Mode, PartnerId, Secret, from_micros, is_id, new_event_id, new_id, rfc3339, to_micros
from cardrail.storage import (
    AuditLog,
    Database,
    Tx,
    audit_entry,
    bump_version,
    in_tx,
    insert_events,
    read_events,
    sequenced_through,
)
from cardrail.webhooks import store
from cardrail.webhooks.addresses import AddressRules, check_url
from cardrail.webhooks.errors import (
    DeliveryNotFound,
    EndpointDisabled,
    EndpointNotFound,
    InvalidEndpoint,
    TooManyEndpoints,
    UnknownEventType,
    UnknownFormat,
)
from cardrail.webhooks.formats import FORMATS, Format
from cardrail.webhooks.model import (
    DISABLED_TYPE,
    STANDARD,
    TEST_TYPE,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointId,
    EndpointSecret,
    EndpointState,
)
from cardrail.webhooks.types import PARTNER_TYPES, SHARED_TYPES

ENDPOINTS_MAX: Final = 20
"""Of one partner in one mode."""
DESCRIPTION_MAX: Final = 500
SECRET_BYTES: Final = 32
RECOVER_ROWS: Final = 500
OVERLAP: Final = timedelta(hours=24)
VERSION: Final = "webhooks"


@dataclass(frozen=True, slots=True)
class Who:
    """On whose behalf an endpoint is changed."""

    actor: str
    origin: str | None = None


SYSTEM: Final = Who("system")


def new_secret() -> Secret:
    """A secret as Standard Webhooks writes it."""
    return Secret("whsec_" + base64.b64encode(os.urandom(SECRET_BYTES)).decode())


@dataclass(frozen=True, slots=True)
class EndpointBook:
    """What can be done with endpoints. ``partner_id`` scopes every query: another partner's endpoint does not exist."""

    db: Database
    clock: Clock
    audit: AuditLog
    sealer: SecretSealer
    rules: AddressRules
    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS, hash=False)
    endpoints_max: int = ENDPOINTS_MAX

    def create(
        self,
        partner_id: PartnerId,
        mode: Mode,
        *,
        url: str,
        who: Who,
        format: str = STANDARD,  # noqa: A002  # the word of the API
        events: Iterable[str] | None = None,
        description: str = "",
        with_codes: bool = False,
        labels: dict[str, Any] | None = None,
        secret: Secret | None = None,
        endpoints_max: int | None = None,
    ) -> tuple[Endpoint, Secret]:
        """A new endpoint, enabled, and its secret, which is not shown again. It gets events from now on.

        ``events`` are our types, whatever the format calls them; None: every one. ``secret`` where a dialect signs with one that the
        partner has already. Raises InvalidEndpoint, HttpsRequired, AddressForbidden, UnknownEventType, UnknownFormat, TooManyEndpoints.
        """
        if format not in self.formats:
            raise UnknownFormat(given=format)
        now = self.clock.now()
        endpoint = Endpoint(
            id=EndpointId(new_id("whe")),
            partner_id=partner_id,
            mode=mode,
            url=check_url(url, self.rules),
            description=_described(description),
            format=format,
            events=_known(events),
            with_codes=with_codes,
            labels=labels or {},
            state=EndpointState.ENABLED,
            reason=None,
            begins_after=0,
            failing_since=None,
            created_at=now,
            updated_at=now,
        )
        given = secret or new_secret()
        most = endpoints_max or self.endpoints_max

        def work(tx: Tx) -> None:
            bump_version(tx, VERSION)  # first: so two that are made at once count each other
            if len(store.load_endpoints(tx, partner_id, mode)) >= most:
                raise TooManyEndpoints(max=most)
            store.insert_endpoint(tx, replace(endpoint, begins_after=sequenced_through(tx, "events")))
            self._keep_secret(tx, endpoint.id, given, now)
            self._note(tx, endpoint, "webhook_endpoint.created", who, url=endpoint.url, format=format, with_codes=with_codes)

        in_tx(self.db, work)
        return endpoint, given

    def of_partner(self, partner_id: PartnerId, mode: Mode) -> list[Endpoint]:
        """The partner's endpoints, oldest first."""
        with self.db.read() as tx:
            return store.load_endpoints(tx, partner_id, mode)

    def everybodys(self) -> list[Endpoint]:
        """Everybody's: the operator's look."""
        with self.db.read() as tx:
            return store.load_all_endpoints(tx)

    def get(self, endpoint_id: str, partner_id: PartnerId | None = None, mode: Mode | None = None) -> Endpoint:
        """One endpoint; of this partner and mode, where given. Raises EndpointNotFound."""
        with self.db.read() as tx:
            return self.find(tx, endpoint_id, partner_id, mode)

    def find(
        self, tx: Tx, endpoint_id: str, partner_id: PartnerId | None = None, mode: Mode | None = None, *, lock: bool = False
    ) -> Endpoint:
        """``get`` in the caller's transaction. Raises EndpointNotFound."""
        found = store.load_endpoint(tx, endpoint_id, lock=lock) if is_id("whe", endpoint_id) else None
        if found is None or partner_id not in (None, found.partner_id) or mode not in (None, found.mode):
            raise EndpointNotFound(endpoint_id=endpoint_id[:64])
        return found

    def update(
        self,
        endpoint_id: str,
        partner_id: PartnerId | None = None,
        mode: Mode | None = None,
        *,
        who: Who,
        url: str | None = None,
        events: Iterable[str] | None = None,
        all_events: bool = False,
        description: str | None = None,
        with_codes: bool | None = None,
        enabled: bool | None = None,
        labels: dict[str, Any] | None = None,
    ) -> Endpoint:
        """Change what is given. Enabled again, it is sent what waited, and gets new events; what came between is for ``recover``.

        Raises EndpointNotFound, InvalidEndpoint, HttpsRequired, AddressForbidden, UnknownEventType.
        """
        changes: dict[str, Any] = {}
        if url is not None:
            changes["url"] = check_url(url, self.rules)
        if events is not None or all_events:
            changes["events"] = None if all_events else _known(events)
        if description is not None:
            changes["description"] = _described(description)
        if with_codes is not None:
            changes["with_codes"] = with_codes
        if labels is not None:
            changes["labels"] = labels
        if enabled is not None:
            changes |= {"state": EndpointState.ENABLED, "reason": None, "failing_since": None} if enabled else _switched_off()

        def work(tx: Tx) -> Endpoint:
            bump_version(tx, VERSION)
            endpoint = self.find(tx, endpoint_id, partner_id, mode, lock=True)
            if enabled and endpoint.state is not EndpointState.ENABLED:
                changes["begins_after"] = sequenced_through(tx, "events")
            changed = replace(endpoint, **changes, updated_at=self.clock.now())
            store.update_endpoint(tx, changed)
            self._note(tx, changed, "webhook_endpoint.updated", who, changed=sorted(changes), url=changed.url)
            return changed

        return in_tx(self.db, work)

    def delete(self, endpoint_id: str, partner_id: PartnerId | None = None, mode: Mode | None = None, *, who: Who) -> None:
        """Nothing more is sent, and its secrets are gone. Raises EndpointNotFound."""

        def work(tx: Tx) -> None:
            bump_version(tx, VERSION)
            endpoint = self.find(tx, endpoint_id, partner_id, mode, lock=True)
            store.delete_secrets(tx, endpoint.id)
            store.update_endpoint(tx, replace(endpoint, state=EndpointState.DELETED, updated_at=self.clock.now()))
            self._note(tx, endpoint, "webhook_endpoint.deleted", who)

        in_tx(self.db, work)

    def rotate(
        self,
        endpoint_id: str,
        partner_id: PartnerId | None = None,
        mode: Mode | None = None,
        *,
        who: Who,
        overlap: timedelta = OVERLAP,
        secret: Secret | None = None,
    ) -> Secret:
        """A new secret, shown once. For the overlap messages are signed with both. Raises EndpointNotFound."""
        given = secret or new_secret()

        def work(tx: Tx) -> None:
            bump_version(tx, VERSION)
            endpoint = self.find(tx, endpoint_id, partner_id, mode, lock=True)
            now = self.clock.now()
            store.end_secrets(tx, endpoint.id, to_micros(now + overlap))
            self._keep_secret(tx, endpoint.id, given, now)
            self._note(tx, endpoint, "webhook_endpoint.secret_rotated", who, overlap_seconds=int(overlap.total_seconds()))

        in_tx(self.db, work)
        return given

    def secrets(self, tx: Tx, endpoint_id: str) -> list[EndpointSecret]:
        """The endpoint's secrets that are valid now, the newest first."""
        now = self.clock.now()
        opened = [self.open_secret(row) for row in store.load_secrets(tx, endpoint_id)]
        return [one for one in opened if one.ends_at is None or one.ends_at > now]

    def open_secret(self, row: Any) -> EndpointSecret:
        """A row's secret."""
        ends_at = None if row.ends_at is None else from_micros(row.ends_at)
        return EndpointSecret(row.id, self.sealer.open(row.sealed, row.endpoint_id, row.id), from_micros(row.created_at), ends_at)

    def disable(self, tx: Tx, endpoint: Endpoint, because: str) -> bool:
        """What the sender does with an endpoint that is gone: disabled, with an event and a row in the audit log.

        False if somebody else was quicker. The caller has not locked it.
        """
        bump_version(tx, VERSION)
        found = store.load_endpoint(tx, endpoint.id, lock=True)
        if found is None or found.state is not EndpointState.ENABLED:
            return False
        now = self.clock.now()
        changed = replace(found, state=EndpointState.DISABLED, reason=because, updated_at=now)
        store.update_endpoint(tx, changed)
        self._tell(tx, changed, DISABLED_TYPE, now, because)
        self._note(tx, changed, "webhook_endpoint.disabled", SYSTEM, reason=because)
        return True

    def test(self, endpoint_id: str, partner_id: PartnerId | None = None, mode: Mode | None = None, *, who: Who) -> str:
        """Send a test event to this endpoint, signed like any other; the event's id. Raises EndpointNotFound, EndpointDisabled."""

        def work(tx: Tx) -> str:
            endpoint = self.find(tx, endpoint_id, partner_id, mode, lock=True)
            self._must_be_enabled(endpoint)
            now = self.clock.now()
            event_id = self._tell(tx, endpoint, TEST_TYPE, now)
            at = to_micros(now)
            store.insert_deliveries(tx, [(endpoint.id, event_id, TEST_TYPE, DeliveryState.PENDING.value, 0, at, at)])
            self._note(tx, endpoint, "webhook_endpoint.tested", who)
            return event_id

        return in_tx(self.db, work)

    def resend(
        self, endpoint_id: str, event_id: str, partner_id: PartnerId | None = None, mode: Mode | None = None, *, who: Who
    ) -> Delivery:
        """Send one event again, now, whatever came of it; its retries begin anew. Raises EndpointNotFound, EndpointDisabled,
        DeliveryNotFound.
        """

        def work(tx: Tx) -> Delivery:
            endpoint = self.find(tx, endpoint_id, partner_id, mode, lock=True)
            self._must_be_enabled(endpoint)
            if not is_id("evt", event_id):
                raise DeliveryNotFound(event_id=event_id[:64])
            store.ask_again(tx, endpoint.id, [event_id], to_micros(self.clock.now()))
            found = store.load_delivery(tx, endpoint.id, event_id)
            if found is None:
                raise DeliveryNotFound(event_id=event_id)
            self._note(tx, endpoint, "webhook_endpoint.resent", who, event_id=event_id)
            return found

        return in_tx(self.db, work)

    def recover(
        self, endpoint_id: str, since: datetime, partner_id: PartnerId | None = None, mode: Mode | None = None, *, who: Who
    ) -> int:
        """Send everything since then that has not arrived, also what came while the endpoint was disabled; how many.

        It is done in steps of their own transactions: cut short, it can be asked for again. Raises EndpointNotFound, EndpointDisabled.
        """
        endpoint = self.get(endpoint_id, partner_id, mode)
        self._must_be_enabled(endpoint)
        recovered, after = 0, 0
        while True:
            count, reached = in_tx(self.db, lambda tx, after=after: self._recover_some(tx, endpoint, since, after))  # type: ignore[misc]
            recovered += count
            if reached is None:
                break
            after = reached
        in_tx(
            self.db, lambda tx: self._note(tx, endpoint, "webhook_endpoint.recovered", who, since=rfc3339(since), count=recovered)
        )
        return recovered

    def _recover_some(self, tx: Tx, endpoint: Endpoint, since: datetime, after: int) -> tuple[int, int | None]:
        """A page of the endpoint's events: (how many are sent now, where the next page begins or None)."""
        page = read_events(
            tx,
            endpoint.partner_id,
            endpoint.mode,
            after,
            types=(PARTNER_TYPES if endpoint.events is None else endpoint.events) - {TEST_TYPE},
            shared=SHARED_TYPES,
            is_narrowed=endpoint.events is not None,
            since=since,
            limit=RECOVER_ROWS,
        )
        at = to_micros(self.clock.now())
        known = self.formats[endpoint.format].types
        wanted = [one for one in page.items if known is None or one.type in known]
        there = store.load_states(tx, endpoint.id, [one.id for one in wanted])
        missing = [one for one in wanted if one.id not in there]
        again = [one.id for one in wanted if there.get(one.id) == DeliveryState.FAILED.value]
        store.insert_missing(tx, [(endpoint.id, one.id, one.type, DeliveryState.PENDING.value, 0, at, at) for one in missing])
        store.ask_again(tx, endpoint.id, again, at)
        return len(missing) + len(again), page.through if page.has_more else None

    # --- the same in every one of them ---

    def _must_be_enabled(self, endpoint: Endpoint) -> None:
        if endpoint.state is not EndpointState.ENABLED:
            raise EndpointDisabled(reason=endpoint.reason)

    def _keep_secret(self, tx: Tx, endpoint_id: EndpointId, secret: Secret, at: datetime) -> None:
        secret_id = new_id("whs")
        store.insert_secret(tx, secret_id, endpoint_id, self.sealer.seal(secret, endpoint_id, secret_id), to_micros(at))

    def _note(self, tx: Tx, endpoint: Endpoint, action: str, who: Who, **details: Any) -> None:
        entry = audit_entry(
            self.clock.now(),
            who.actor,
            action,
            endpoint.id,
            partner_id=endpoint.partner_id,
            origin=who.origin,
            details={**details, "mode": endpoint.mode.value},
        )
        self.audit.append(tx, [entry])

    def _tell(self, tx: Tx, endpoint: Endpoint, event_type: str, at: datetime, because: str | None = None) -> str:
        """Append an event about the endpoint, whose row is locked."""
        event_id = new_event_id()
        row = (
            event_id,
            event_type,
            endpoint.partner_id,
            endpoint.mode.value,
            endpoint.id,
            store.next_step(tx, endpoint.id),
            None,
            None,
            because,
            "system",
            to_micros(at),
            None,
        )
        insert_events(tx, [row])
        return event_id


def _switched_off() -> dict[str, Any]:
    return {"state": EndpointState.DISABLED, "reason": "switched off"}


def _described(text: str) -> str:
    if len(text) > DESCRIPTION_MAX or "\x00" in text:
        raise InvalidEndpoint(field="description")
    return text


def _known(events: Iterable[str] | None) -> frozenset[str] | None:
    """The types, if an endpoint may ask for each. Raises UnknownEventType."""
    if events is None:
        return None
    asked = frozenset(events)
    unknown = asked - PARTNER_TYPES
    if unknown or not asked:
        raise UnknownEventType(given=", ".join(sorted(unknown))[:200])
    return asked
