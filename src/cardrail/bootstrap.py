"""Everything is built once, here: the one place that knows every part.

``open_cardrail`` opens the database and the keys and refuses to go on with the wrong ones; ``Cardrail.start`` begins to serve orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cardrail.access import AccessTokens, CredentialBook, KeyCache, RateLimiter, SecretSealer, Sessions, parse_networks
from cardrail.alerts import AlertDesk, HookPost, Policy, check_kinds, check_routes, parse_quiet, parse_routes, register_alerts
from cardrail.catalog import CatalogCache
from cardrail.config import Settings
from cardrail.delivery import Channel, LinkSigner, Mail, PostOffice, Telegram, register_messages
from cardrail.jobs import Jobs
from cardrail.kernel import CardrailError, Clock, CursorSealer, Secret, SystemClock
from cardrail.ledger import TRANSFER_SERIES
from cardrail.orders import (
    Books,
    Buying,
    OrderRequest,
    Outcome,
    ReplacementDesk,
    ReplacementPolicy,
    Shop,
    begin_with,
    catch_up,
    place_orders,
    register_jobs,
    register_notices,
    register_replacements,
    replace_with,
)
from cardrail.settlement import ExportDesk, register_settlement_jobs
from cardrail.sourcing import Connectors, Route
from cardrail.storage import EVENT_SERIES, AuditLog, Database, Journal, Lane, Sequencer
from cardrail.storage.migrations import current_revision, newest_revision
from cardrail.vault import CodeOpener, Keyring, check_keys, keys_are_registered, service_key
from cardrail.webhooks import AddressRules, EndpointBook, Sender, SenderPace, parse_schedule

_SERVICES: Final = ("audit", "cursor", "token", "credential", "claim", "export")


class SchemaOutdated(CardrailError):
    """The database's schema is not the one of this release; run `cardrail migrate`."""

    code = "schema_outdated"


@dataclass(frozen=True, slots=True)
class Cardrail:
    """One running installation: what the surfaces stand on."""

    settings: Settings
    db: Database
    clock: Clock
    keyring: Keyring
    audit: AuditLog
    """The chain of everything but the order lane."""
    catalog: CatalogCache
    keys: KeyCache
    opener: CodeOpener
    shop: Shop
    lane: Lane[OrderRequest, Outcome]
    cursors: CursorSealer
    links: LinkSigner
    """Makes claim links."""
    office: PostOffice
    """Sends messages to recipients."""
    sealer: SecretSealer
    """Seals what dialects sign with, and whatever else must be usable again."""
    credentials: CredentialBook
    rates: RateLimiter
    tokens: AccessTokens
    sessions: Sessions
    webhooks: EndpointBook
    journal: Journal
    buying: Buying
    """The way to suppliers."""
    replacements: ReplacementDesk
    """The way to another code for a bad one."""
    jobs: Jobs
    """Prepared or started by whoever serves."""
    alerts: AlertDesk
    """Tells the operator."""
    exports: ExportDesk
    """Makes exports, and signs their links."""
    sequencer: Sequencer
    """Started by whoever works: rows that readers follow have no place before."""
    sender: Sender
    """Likewise: what endpoints asked for is sent by workers."""

    def start(self) -> None:
        """Begin to serve orders, after the journal has what a process that died could not write."""
        catch_up(self.db, self.journal)
        self.lane.start()

    def close(self) -> None:
        """Finish the jobs at hand, serve what is waiting, then let go of the database."""
        with ExitStack() as last_to_first:
            last_to_first.callback(self.db.close)
            last_to_first.callback(self.journal.close)
            last_to_first.callback(self.buying.close)
            last_to_first.callback(self.sequencer.stop)  # after the last writer, so that little is left for the next start
            last_to_first.callback(self.lane.stop)
            last_to_first.callback(self.sender.stop)
            last_to_first.callback(self.jobs.stop)


def open_cardrail(settings: Settings, *, clock: Clock | None = None, chain: str = "tasks") -> Cardrail:
    """Open the database and the keys, and build the rest; nothing is started.

    Raises SchemaOutdated, and the vault's own errors for keys that are missing, wrong, or readable by others.
    """
    clock = clock or SystemClock()
    db = Database(settings.url, pool=settings.pool_size)
    try:
        return _build(settings, db, clock, chain)
    except BaseException:
        db.close()
        raise


def _build(settings: Settings, db: Database, clock: Clock, chain: str) -> Cardrail:
    if current_revision(db) != newest_revision():
        raise SchemaOutdated(database=current_revision(db), needed=newest_revision())
    given = settings.master_keys
    keyring = Keyring.from_text(given.get_secret_value()) if given is not None else Keyring.from_file(settings.key_path)
    audit_key, cursor_key, token_key, credential_key, claim_key, export_key = _service_keys(db, keyring, clock)
    node = settings.node_name
    catalog = CatalogCache(db, clock)
    keys = KeyCache(db, clock)
    sealer = SecretSealer(credential_key)
    opener = CodeOpener(keyring)
    audit = AuditLog(audit_key, f"{node}/{chain}")
    rules = AddressRules(parse_networks(settings.webhook_networks.split()))
    book = EndpointBook(db, clock, audit, sealer, rules)
    jobs = Jobs(db)
    books = Books(
        node=node,
        audit=AuditLog(audit_key, f"{node}/lane"),
        keyring=keyring,
        hold_deadline_micros=settings.hold_deadline_hours * 3_600 * 1_000_000,
        begin=begin_with(jobs),
    )
    journal = Journal(settings.data_dir / "journal", node, flush=settings.journal_fsync)
    shop = Shop(db, clock, catalog, books, settings.unpaid_order_minutes, journal)
    buying = Buying(
        db,
        clock,
        catalog,
        books,
        Connectors(sealer),
        Journal(settings.data_dir / "journal", f"{node}.supply", flush=settings.journal_fsync),
        Route(settings.routing_policy, None, settings.margin_floor_bps),
        settings.supplier_patience_seconds,
    )
    register_jobs(jobs, buying)
    replacing = ReplacementDesk(buying, audit, opener, _replacement_policy(settings), replace_with(jobs))
    register_replacements(jobs, replacing)
    register_notices(jobs, buying, audit, settings.supplier_cost_jump_percent * 100)

    exports = ExportDesk(db, clock, audit, settings.data_dir / "exports", export_key)
    register_settlement_jobs(jobs, exports)
    links = LinkSigner(claim_key)
    office = PostOffice(
        db,
        clock,
        audit,
        links,
        opener,
        jobs,
        _channels(settings, clock),
        settings.public_url or f"http://{settings.host}:{settings.port}",
        brand=settings.brand_name,
        codes_allowed=settings.messages_with_codes,
        catalog=catalog,
        colour=settings.brand_color,
    )
    register_messages(jobs, office)
    alerts = _alert_desk(settings, office, rules)
    register_alerts(jobs, alerts)

    def place(requests: Sequence[OrderRequest]) -> list[Outcome]:
        return place_orders(shop, requests)

    return Cardrail(
        settings=settings,
        db=db,
        clock=clock,
        keyring=keyring,
        audit=audit,
        catalog=catalog,
        keys=keys,
        opener=opener,
        shop=shop,
        lane=Lane(
            db,
            place,
            weigh=lambda request: request.units,
            batch_max=settings.lane_batch_max,
            weight_max=settings.lane_codes_max,
            queue_max=settings.lane_queue_max,
        ),
        cursors=CursorSealer(cursor_key),
        links=links,
        office=office,
        sealer=sealer,
        credentials=CredentialBook(db, sealer, keys),
        rates=RateLimiter(settings.rate_limit_storage),
        tokens=AccessTokens(token_key, clock, keys),
        sessions=Sessions(db, clock, token_key),
        webhooks=book,
        journal=journal,
        buying=buying,
        replacements=replacing,
        jobs=jobs,
        alerts=alerts,
        exports=exports,
        sequencer=Sequencer(db, [EVENT_SERIES, TRANSFER_SERIES]),
        sender=Sender(book, opener, _sender_pace(settings)),
    )


def _replacement_policy(settings: Settings) -> ReplacementPolicy:
    return ReplacementPolicy(
        window=timedelta(days=settings.replacement_window_days),
        unasked=settings.replacement_policy,
        patience=timedelta(hours=settings.replacement_patience_hours),
        per_unit_max=settings.replacement_claims_max,
        unasked_bps=settings.replacement_unasked_bps,
        unasked_least=settings.replacement_unasked_least,
    )


def _channels(settings: Settings, clock: Clock) -> dict[str, Channel]:
    """The ways to recipients that the operator has set up. Raises ChannelNotSet for one that is set up wrongly."""
    channels: dict[str, Channel] = {}
    if settings.smtp_url is not None:
        url = Secret(settings.smtp_url.get_secret_value())
        channels["email"] = Mail(url, settings.mail_from, clock, name=settings.brand_name)
    if settings.telegram_token is not None:
        channels["telegram"] = Telegram(Secret(settings.telegram_token.get_secret_value()), base_url=settings.telegram_url)
    return channels


def _alert_desk(settings: Settings, office: PostOffice, rules: AddressRules) -> AlertDesk:
    """Whom alerts go to. Raises InvalidAlertSetting, HttpsRequired, AddressForbidden for what cannot work."""
    hours, secret, given = settings.alert_reminder_hours, settings.alert_webhook_secret, settings.alert_routes
    policy = Policy(
        routes=parse_routes(given.get_secret_value() if given is not None else ""),
        quiet=parse_quiet(settings.alert_quiet),
        urgent=check_kinds(settings.alert_urgent.split(), "alert_urgent"),
        reminder=timedelta(hours=hours) if hours else None,
    )
    hook = HookPost(Secret(secret.get_secret_value()), rules) if secret is not None else None
    check_routes(policy, office.channels, hook, rules)
    return AlertDesk(office.db, office.clock, office.audit, office.jobs, policy, office.channels, hook, settings.brand_name)


def _sender_pace(settings: Settings) -> SenderPace:
    return SenderPace(
        schedule=parse_schedule(settings.webhook_retry_seconds),
        disable_after=timedelta(hours=settings.webhook_disable_hours),
        timeout_seconds=settings.webhook_timeout_seconds,
        concurrency=settings.webhook_concurrency,
        connections_max=settings.webhook_connections_max,
        rate_max=settings.webhook_rate_max,
        is_paused=settings.webhooks_paused,
    )


def _service_keys(db: Database, keyring: Keyring, clock: Clock) -> list[bytes]:
    """The installation's own keys, after the master keys proved to be the database's. Only the first opening writes: any other must
    wait for nobody who does."""
    with db.read() as tx:
        if keys_are_registered(tx, _SERVICES):
            check_keys(tx, keyring)
            return [service_key(tx, keyring, name) for name in _SERVICES]
    with db.transaction() as tx:
        check_keys(tx, keyring, clock)
        return [service_key(tx, keyring, name) for name in _SERVICES]


@contextmanager
def opened(settings: Settings, *, clock: Clock | None = None, chain: str = "tasks") -> Iterator[Cardrail]:
    """``open_cardrail`` for the length of a block."""
    cardrail = open_cardrail(settings, clock=clock, chain=chain)
    try:
        yield cardrail
    finally:
        cardrail.close()
