"""A worker to kill: `python -m tests.sourcing.worker_process URL FOLDER`. It buys from suppliers whose books are files in FOLDER/sold."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from cardrail.access import SecretSealer
from cardrail.catalog import CatalogCache
from cardrail.jobs import Chore, Jobs, Pace
from cardrail.kernel import Money, PlainCode, SystemClock, currency
from cardrail.orders import (
    Books,
    Buying,
    ReplacementDesk,
    register_jobs,
    register_replacements,
    replace_with,
    wake_orders,
    wake_replacements,
)
from cardrail.sourcing import (
    BaseConnector,
    Capabilities,
    Connectors,
    Delivered,
    Lookup,
    LookupOutcome,
    LookupRequest,
    NotFound,
    Outcome,
    PlaceRequest,
    ReplacementOutcome,
    ReplaceOutcome,
    ReplaceRequest,
    Unknown,
    list_suppliers,
)
from cardrail.storage import AuditLog, Database
from cardrail.vault import CodeOpener, Keyring

QUICK = Pace(chores_seconds=0.2, beat_seconds=0.2, silent_seconds=1.5, reap_cron="* * * * * *")


class FolderSupplier(BaseConnector):
    """An order is a file, made in one step: it is there or not, whoever dies. One answer in five is lost, and the call takes its time."""

    capabilities = Capabilities(
        lookup=Lookup.BY_REFERENCE,
        can_replace=True,
        tells_replacements=True,
        call_seconds=0.5,
        settle_seconds=0.2,
        unknown_seconds=600.0,
    )

    def __init__(self, folder: Path, *, loses: bool) -> None:
        self._sold = folder / "sold"
        self._claims = folder / "claims"
        self._loses = loses

    def place(self, request: PlaceRequest) -> Outcome:
        time.sleep(0.02)
        number = int.from_bytes(request.reference.encode()[-2:], "big")
        if self._loses and number % 7 == 0:
            return Unknown("the request was lost")
        with (self._sold / request.reference).open("x") as order:
            order.write(str(request.quantity))
        time.sleep(0.02)
        return Unknown("the answer was lost") if number % 5 == 0 else self._told(request)

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        known = (self._sold / about.placed.reference).exists()
        return self._told(about.placed) if known else NotFound()

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        """A claim is a file too, named by the bad code: a second one for the same code cannot be made."""
        time.sleep(0.02)
        with (self._claims / str(request.code.code)).open("x") as claim:
            claim.write(f"GOOD-{request.reference}")
        time.sleep(0.05)
        return Delivered((PlainCode(f"GOOD-{request.reference}"),))

    def replacement(self, about: ReplaceRequest, claim_id: str | None) -> ReplacementOutcome:
        claim = self._claims / str(about.code.code)
        return Delivered((PlainCode(claim.read_text()),)) if claim.exists() else NotFound()

    def _told(self, request: PlaceRequest) -> Delivered:
        codes = tuple([PlainCode(f"{request.reference}-{i}") for i in range(request.quantity)])
        return Delivered(codes, Money(8_000, currency("INR")) * request.quantity, f"f-{request.reference}")


def buying_of(db: Database, folder: Path) -> Buying:
    """The way to suppliers, as a process has it."""
    clock, keys = SystemClock(), Keyring.from_file(folder / "master.keys")
    books = Books("main", AuditLog(b"a" * 32, "main/lane"), keys)
    connectors = Connectors(SecretSealer(b"s" * 32))
    with db.read() as tx:
        for one in list_suppliers(tx):
            connectors.put(one, FolderSupplier(folder, loses=one.name == "A"))
    return Buying(db, clock, CatalogCache(db, clock), books, connectors)


def main(url: str, folder: Path) -> None:
    db = Database(url)
    buying = buying_of(db, folder)
    jobs = Jobs(db, pace=QUICK)
    register_jobs(jobs, buying)
    desk = ReplacementDesk(buying, buying.books.audit, CodeOpener(buying.books.keyring), enqueue=replace_with(jobs))
    register_replacements(jobs, desk)
    chores = [
        Chore("wake-orders", "*/2 * * * * *", lambda: wake_orders(jobs, buying)),
        Chore("wake-replacements", "* * * * * *", lambda: wake_replacements(desk)),
    ]
    jobs.start(chores)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    (folder / "started").touch()
    try:
        while True:
            time.sleep(0.1)
    finally:
        jobs.stop(0)
        db.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
