"""The housekeeping of an installation: each chore is one use case and its times. Whoever works (`cardrail serve`) is given this list."""

from __future__ import annotations

from datetime import timedelta

from cardrail.access import purge_usage
from cardrail.bootstrap import Cardrail
from cardrail.delivery import deliver_waiting
from cardrail.jobs import Chore
from cardrail.ledger import overdue_holds, tell_low_balances
from cardrail.orders import expire_unpaid, wake_notices, wake_orders, wake_replacements
from cardrail.settlement import close_and_tell, fetch_yesterday, self_check, sweep_exports
from cardrail.sourcing import delete_ended_secrets, poll_balances, purge_notices, sync_suppliers
from cardrail.storage import anchor_heads, mark_position
from cardrail.vault import service_key, tell_low_stock
from cardrail.webhooks import purge_webhooks


def chores(cardrail: Cardrail) -> list[Chore]:
    """What is to be done from time to time. All of it may be done twice."""
    db, clock = cardrail.db, cardrail.clock

    def report_overdue_holds() -> int:
        with db.transaction() as tx:
            return len(overdue_holds(tx, clock.now()))

    def purge_limit_usage() -> int:
        with db.transaction() as tx:
            return purge_usage(tx, clock.now())

    def anchor_audit() -> str:
        """The anchor goes to the log too: kept there, it shows whether the whole database was set back."""
        with db.transaction() as tx:
            anchor = anchor_heads(tx, clock, service_key(tx, cardrail.keyring, "audit"))
        return f"{anchor.day} {anchor.hash}"

    def tell_what_runs_low() -> int:
        with db.transaction() as tx:
            return tell_low_balances(tx, clock.now()) + tell_low_stock(tx, clock.now())

    def mark_positions() -> int:
        with db.transaction() as tx:
            return mark_position(tx, "events", clock.now())

    def close_statements() -> str:
        """At the 12th minute of each hour: ten minutes after midnight somewhere."""
        return close_and_tell(db, clock, cardrail.audit)

    def check_books() -> int:
        return len(self_check(db, clock, cardrail.audit))

    def sync(*, whole: bool) -> int:
        jump_bps = cardrail.settings.supplier_cost_jump_percent * 100
        connectors, snapshot = cardrail.buying.connectors, cardrail.catalog.current()
        return sync_suppliers(db, clock, cardrail.audit, connectors, jump_bps=jump_bps, whole=whole, snapshot=snapshot)

    def purge_supplier_webhooks() -> int:
        """Those that wait for nobody, and secrets that were rotated out."""
        now = clock.now()
        before = int((now - timedelta(days=cardrail.settings.webhook_retain_days)).timestamp() * 1_000)
        with db.transaction() as tx:
            deleted = delete_ended_secrets(tx, now)
        while True:
            with db.transaction() as tx:
                count = purge_notices(tx, before)
            deleted += count
            if not count:
                return deleted

    retain_alerts = cardrail.settings.alert_retain_days
    return [
        Chore("close-statements", "12 * * * *", close_statements),
        Chore("check-books", "20 3 * * *", check_books),
        Chore("fetch-supplier-statements", "40 2 * * *", lambda: _fetch_statements(cardrail)),
        Chore("sweep-exports", "37 * * * *", lambda: sweep_exports(cardrail.exports)),
        Chore("expire-unpaid-orders", "* * * * *", lambda: expire_unpaid(db, clock)),
        Chore("deliver-orders", "*/10 * * * * *", lambda: deliver_waiting(cardrail.office)),
        Chore("wake-orders", "*/20 * * * * *", lambda: wake_orders(cardrail.jobs, cardrail.buying)),
        Chore("watch-alerts", "*/15 * * * * *", cardrail.alerts.watch),
        Chore("wake-notices", "*/30 * * * * *", lambda: wake_notices(cardrail.jobs, cardrail.buying)),
        Chore("wake-replacements", "*/15 * * * * *", lambda: wake_replacements(cardrail.replacements)),
        Chore("poll-supplier-balances", "*/5 * * * *", lambda: poll_balances(db, clock, cardrail.buying.connectors)),
        Chore("sync-supplier-stock", "3-59/10 * * * *", lambda: sync(whole=False)),
        Chore("sync-supplier-catalogs", "51 * * * *", lambda: sync(whole=True)),
        Chore("report-overdue-holds", "*/5 * * * *", report_overdue_holds),
        Chore("anchor-audit", "5 0 * * *", anchor_audit),
        Chore("tell-what-runs-low", "*/30 * * * * *", tell_what_runs_low),
        Chore("mark-positions", "*/10 * * * *", mark_positions),
        Chore(
            "purge-webhooks",
            "27 4 * * *",
            lambda: purge_webhooks(db, clock.now(), retain_days=cardrail.settings.webhook_retain_days),
        ),
        Chore("purge-alerts", "36 4 * * *", lambda: cardrail.alerts.purge(clock.now() - timedelta(days=retain_alerts))),
        Chore("purge-supplier-webhooks", "33 4 * * *", purge_supplier_webhooks),
        Chore("purge-limit-usage", "43 * * * *", purge_limit_usage),
    ]


def _fetch_statements(cardrail: Cardrail) -> int:
    if not cardrail.settings.supplier_statements_daily:
        return 0
    return fetch_yesterday(cardrail.db, cardrail.clock, cardrail.audit, cardrail.buying.connectors)
