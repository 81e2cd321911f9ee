"""The housekeeping of an installation: each chore is one use case and its times. Whoever works (`cardrail serve`) is given this list."""

from __future__ import annotations

from cardrail.access import purge_usage
from cardrail.bootstrap import Cardrail
from cardrail.jobs import Chore
from cardrail.ledger import overdue_holds
from cardrail.orders import expire_unpaid, wake_orders
from cardrail.storage import anchor_heads
from cardrail.vault import service_key


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

    return [
        Chore("expire-unpaid-orders", "* * * * *", lambda: expire_unpaid(db, clock)),
        Chore("wake-orders", "*/20 * * * * *", lambda: wake_orders(cardrail.jobs, cardrail.buying)),
        Chore("report-overdue-holds", "*/5 * * * *", report_overdue_holds),
        Chore("anchor-audit", "5 0 * * *", anchor_audit),
        Chore("purge-limit-usage", "43 * * * *", purge_limit_usage),
    ]
