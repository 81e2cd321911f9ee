"""A fresh installation to measure: its own folder and database, one partner with money, a sku with codes, and a server process.

It is filled through the same functions that the commands use; only the past (``past.py``) is written straight into the tables.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cardrail.access import ALL_SCOPES, create_key, create_partner
from cardrail.bootstrap import Cardrail, open_cardrail
from cardrail.catalog import import_catalog
from cardrail.cli.bench.load import Ask, Plan, Result, get, post, run_load
from cardrail.cli.setup import prepare
from cardrail.config import Settings
from cardrail.kernel import Mode, Money, PartnerId, currency
from cardrail.ledger import By, credit
from cardrail.orders import StockBooks
from cardrail.storage import in_tx, metadata
from cardrail.vault import ImportOptions, ImportTarget, PurchaseCost, import_codes

SKU: Final = "BENCH-10"
RACE_SKU: Final = "RACE-10"
COST_MINOR: Final = 900
FUNDS_MINOR: Final = 10**14
START_SECONDS: Final = 180.0
_SERVING: Final = re.compile(rb"Serving on http://[^\s/]+:(\d+)\D")
"""What `cardrail serve` says once requests are accepted."""

_SHEET: Final = (
    "product_code,name,brand,currency,denomination_type,face_values,discount_percent,sourcing\n"
    f"{SKU},Bench card,Bench,USD,fixed,10,5,stock\n"
    f"{RACE_SKU},Race card,Race,USD,fixed,10,5,stock\n"
)


class Site:
    """One installation with its server. Made and removed by ``site()``."""

    def __init__(
        self,
        home: Path,
        database_url: str | None = None,
        *,
        count_statements: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.home = home
        self._more = dict(settings or {})
        given: dict[str, Any] = {
            "data_dir": home,
            "database_url": database_url,
            "key_file": None,
            "master_keys": None,
            "node": None,
            **self._more,
        }
        self.settings = Settings(**given)  # said outright, so that the environment's are not taken
        prepare(self.settings)
        self.cardrail: Cardrail = open_cardrail(self.settings, chain="bench")
        self.token = self._fill()
        self._process: subprocess.Popen[bytes] | None = None
        self._counts = home / "statements.json" if count_statements else None
        self.port = 0

    # --- what is in it --------------------------------------------------------------------------------------------

    def _fill(self) -> str:
        one = self.cardrail
        import_catalog(one.db, one.clock, one.audit, _SHEET.encode(), actor="bench")
        self.partner_id, token = self.partner("Bench")
        return token

    def partner(self, name: str) -> tuple[PartnerId, str]:
        """One more partner with money, and its key."""
        one = self.cardrail
        partner = create_partner(one.db, one.clock, one.audit, name=name, currency="USD", actor="bench")
        by = By(one.clock.now(), "bench", one.audit, one.settings.node_name)
        in_tx(one.db, lambda tx: credit(tx, by, partner.id, Money(FUNDS_MINOR, currency("USD")), Mode.LIVE))
        _, token = create_key(one.db, one.clock, one.audit, partner.id, Mode.LIVE, name="bench", scopes=ALL_SCOPES, actor="bench")
        return partner.id, token.reveal()

    def stock(self, count: int, sku: str = SKU) -> float:
        """Import so many codes; returns the seconds it took, the making of the file not counted."""
        one = self.cardrail
        source = io.BytesIO(new_codes(count))
        start = time.perf_counter()
        options = ImportOptions(cost=PurchaseCost("USD", each_minor=COST_MINOR), actor="bench")
        on_open = StockBooks(one.clock, one.settings.node_name).opened
        import_codes(one.db, one.clock, one.keyring, one.audit, source, self._target(sku), options, on_open=on_open)
        return time.perf_counter() - start

    def unsold(self, sku: str = SKU) -> int:
        """Codes that can still be sold."""
        slices = metadata.tables["slices"]
        left = sa.func.coalesce(sa.func.sum(slices.c.tail - slices.c.head), 0)
        with self.cardrail.db.read() as tx:
            return int(
                tx.execute(sa.select(left).where(slices.c.denomination_id == self._target(sku).denomination_id)).scalar_one()
            )

    def _target(self, sku: str) -> ImportTarget:
        products, denominations = metadata.tables["products"], metadata.tables["denominations"]
        columns = (products.c.brand_id, denominations.c.id, denominations.c.face_minor)
        query = sa.select(*columns).join(products, products.c.id == denominations.c.product_id).where(denominations.c.sku == sku)
        with self.cardrail.db.read() as tx:
            return ImportTarget(*tx.execute(query).one())

    def top_up(self, count: int, sku: str = SKU) -> None:
        """Import what is missing to so many unsold codes."""
        missing = count - self.unsold(sku)
        if missing > 0:
            self.stock(missing, sku)

    def count_rows(self) -> dict[str, int]:
        """Rows of every table."""
        with self.cardrail.db.read() as tx:
            return {
                table.name: int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
                for table in metadata.sorted_tables
            }

    # --- its server -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a server process and wait until it accepts requests."""
        log_path = self.home / "server.log"
        begin = log_path.stat().st_size if log_path.exists() else 0
        module = ["-m", "cardrail"] if self._counts is None else [str(Path(__file__).with_name("counting.py")), str(self._counts)]
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, *module, "serve", "--port", "0"],
                env=_environment(self.settings, self._more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop it
            )
        self.port = wait_for_port(self._process, log_path, begin)

    def stop(self) -> None:
        """Stop the server; what is in flight is answered."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self, **settings: Any) -> None:
        """Stop the server, and start it with these settings besides its own."""
        self.stop()
        self._more |= settings
        self.start()

    def close(self) -> None:
        """Stop the server and let go of the database."""
        self.stop()
        self.cardrail.close()

    def cpu_seconds(self) -> float:
        """Processor time that the server has used, all its threads together."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def statements(self) -> dict[str, int]:
        """What ``counting.py`` has counted so far."""
        assert self._counts is not None
        assert self._process is not None
        self._counts.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + START_SECONDS
        while not self._counts.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the counting server does not answer")
            time.sleep(0.01)
        return msgspec.json.decode(self._counts.read_bytes(), type=dict[str, int])

    # --- asking it ------------------------------------------------------------------------------------------------

    def order(self, quantity: int = 1, sku: str = SKU, *, token: str | None = None) -> Ask:
        """The request for an order, of the first partner or of the one with this key."""
        return post("/v1/orders", token or self.token, msgspec.json.encode({"items": [{"sku": sku, "quantity": quantity}]}))

    def load(self, asks: Sequence[Ask], **how: Any) -> tuple[Result, float]:
        """Run the load generator; returns what it found, and the server's processor time per answer in seconds.

        Raises RuntimeError if the server was not able to answer every request.
        """
        before = self.cpu_seconds()
        result = run_load(Plan(port=self.port, asks=list(asks), **how))
        return result, (self.cpu_seconds() - before) / max(result.answered, 1)

    def ask(self, path: str) -> Any:
        """GET and decode."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.token}"})
            return msgspec.json.decode(connection.getresponse().read())
        finally:
            connection.close()

    def page(self, path: str) -> Ask:
        """The request for a GET."""
        return get(path, self.token)


@contextmanager
def site(
    database_url: str | None = None, *, count_statements: bool = False, settings: Mapping[str, Any] | None = None
) -> Iterator[Site]:
    """A fresh installation, serving, for the length of the block; with these settings besides the defaults."""
    home = Path(tempfile.mkdtemp(prefix="cardrail-bench-"))
    try:
        made = Site(home, database_url, count_statements=count_statements, settings=settings)
        try:
            made.start()
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def new_codes(count: int) -> bytes:
    """A file of that many codes that were never used before: one a line, no header."""
    run = secrets.token_hex(5).upper()
    return "".join([f"{run}-{number:08d}\n" for number in range(count)]).encode()


def _environment(settings: Settings, more: Mapping[str, Any]) -> dict[str, str]:
    """Ours without settings of Cardrail, and with this installation's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARDRAIL_")}
    inherited["CARDRAIL_DATA_DIR"] = str(settings.data_dir)
    if settings.database_url:
        inherited["CARDRAIL_DATABASE_URL"] = settings.database_url
    return inherited | {f"CARDRAIL_{name.upper()}": str(value) for name, value in more.items()}


def wait_for_port(server: subprocess.Popen[bytes], log: Path, begin: int = 0) -> int:
    """Wait until a ``cardrail serve --port 0`` accepts requests; the port it says so of in its log, after ``begin`` bytes.

    A port chosen beforehand could be somebody else's by the time the server listens, and they would be asked instead.
    Raises RuntimeError with the end of the log if it ends or takes longer than START_SECONDS.
    """
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        said = _SERVING.search(log.read_bytes(), begin)
        if said is not None:
            return int(said[1])
        time.sleep(0.02)  # its log is looked at again
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-3_000:]}")
