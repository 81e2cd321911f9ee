"""A shop on a database of its own: filled through the use cases, served by real processes, asked over HTTP.

``Place`` is the installation, ``Server`` one ``cardrail serve`` process of it, ``Buyer`` a partner's connection.
"""

from __future__ import annotations

import copy
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from typer.testing import CliRunner

from cardrail.access import ALL_SCOPES, create_key, create_partner
from cardrail.bootstrap import Cardrail, opened
from cardrail.catalog import import_catalog
from cardrail.cli import app
from cardrail.cli.bench.site import wait_for_port
from cardrail.cli.setup import prepare
from cardrail.config import Settings
from cardrail.kernel import Mode, Money, currency
from cardrail.ledger import By, credit
from cardrail.orders import StockBooks
from cardrail.storage import in_tx, metadata
from cardrail.vault import ImportOptions, ImportTarget, PurchaseCost, import_codes

SKU = "CARD-10"
PRICE_MINOR = 950
"""10.00 USD, less 5 %."""
COST_MINOR = 900
FUNDS_MINOR = 10**12

SHEET = (
    "product_code,name,brand,currency,denomination_type,face_values,discount_percent,sourcing\n"
    f"{SKU},Ten dollars,Acme,USD,fixed,10,5,stock\n"
)


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: Any

    @property
    def codes(self) -> list[str]:
        """The codes of an order, in its order."""
        return [one["code"] for item in self.body["items"] for one in item["codes"]]


Proved = Callable[[str], None]
"""The kind of the fixture `proved`."""


class Buyer:
    """A partner's keep-alive connection to one server. Not for several threads."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def order(self, key: str, *, sku: str = SKU, quantity: int = 1, **fields: Any) -> Answer:
        """Place an order under an Idempotency-Key."""
        body = json.dumps({"items": [{"sku": sku, "quantity": quantity}], **fields})
        return self._ask("POST", "/v1/orders", body, {"idempotency-key": key})

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Buyer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        try:
            self._connection.request(method, path, body, self._headers | (headers or {}))
            response = self._connection.getresponse()
            return Answer(response.status, json.loads(response.read() or b"null"))
        except (OSError, HTTPException):
            self._connection.close()
            raise


class Server:
    """A ``cardrail serve`` process."""

    def __init__(self, place: Place, *, wrap: Sequence[str] = (), more: Sequence[str] = ()) -> None:
        self.port = 0
        """Nobody listens there: who asks before `wait()` is refused, as by a server that is down."""
        self._place = place
        self._log = place.new_log()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrap, sys.executable, "-m", "cardrail", "serve", "--port", "0", *more],
                env=place.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it accepts requests. With it the port is known: it says so itself, in a log of its own."""
        self.port = wait_for_port(self.process, self._log)

    def buyer(self) -> Buyer:
        """A new connection of the partner."""
        return Buyer(self.port, self._place.token)

    def kill(self) -> None:
        """kill -9: it has no time for anything."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end, as an operator does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise


class Place:
    """An installation with one partner, who has money, and one sku."""

    def __init__(self, home: Path, database_url: str) -> None:
        self._settle(home, database_url)
        prepare(self.settings)
        with self.opened() as cardrail:
            self._fill(cardrail)

    def elsewhere(self, home: Path, database_url: str) -> Place:
        """The same partner and the same master keys, with another folder and database, where nothing is yet."""
        home.mkdir(mode=0o700)
        shutil.copy2(self.settings.key_path, home)
        other = copy.copy(self)
        other._settle(home, database_url)
        return other

    def _settle(self, home: Path, database_url: str) -> None:
        self.home = home
        self.url = database_url
        self.log = home / "server.log"
        """What its first server says."""
        given: dict[str, Any] = dict.fromkeys(("key_file", "master_keys", "node"))  # whatever the environment says
        self.settings = Settings(**given | {"data_dir": home, "database_url": database_url})

    def new_log(self) -> Path:
        """The log of the next server."""
        number = len(list(self.home.glob("server*.log")))
        return self.home / f"server-{number}.log" if number else self.log

    @property
    def environment(self) -> dict[str, str]:
        """For processes: the settings of this installation and no other."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARDRAIL_")}
        return inherited | {"CARDRAIL_DATA_DIR": str(self.home), "CARDRAIL_DATABASE_URL": self.url}

    @contextmanager
    def opened(self) -> Iterator[Cardrail]:
        """The installation, opened by this process beside its servers."""
        with opened(self.settings, chain="test") as cardrail:
            yield cardrail

    @contextmanager
    def serving(self, *, wrap: Sequence[str] = ()) -> Iterator[Server]:
        """A server for the length of the block, stopped kindly at its end."""
        server = Server(self, wrap=wrap)
        try:
            server.wait()
            yield server
            server.stop()
        finally:
            server.kill()

    def cli(self, *words: str, status: int = 0) -> str:
        """Run a command in this process, for one of its own takes long to start; its standard output. It must end with ``status``."""
        names = {name for name in (*os.environ, *self.environment) if name.startswith("CARDRAIL_")}
        done = CliRunner().invoke(app, list(words), env={name: self.environment.get(name) for name in names})
        assert done.exit_code == status, f"{words} ended with {done.exit_code}:\n{done.output}"
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.stdout

    def stock(self, codes: int | Iterable[str]) -> list[str]:
        """Import codes, fresh ones where only their number is given; returns them."""
        texts = new_codes(codes) if isinstance(codes, int) else list(codes)
        source = io.BytesIO("".join([f"{one}\n" for one in texts]).encode())
        with self.opened() as one:
            target = ImportTarget(*self._one(one, self._target()))
            options = ImportOptions(cost=PurchaseCost("USD", each_minor=COST_MINOR), actor="test")
            import_codes(
                one.db,
                one.clock,
                one.keyring,
                one.audit,
                source,
                target,
                options,
                on_open=StockBooks(one.clock, one.settings.node_name).opened,
            )
        return texts

    def rows(self, table: str, *columns: str, **where: Any) -> list[Any]:
        """Rows of a table, as they are now."""
        found = metadata.tables[table]
        query = sa.select(*[found.c[name] for name in columns]) if columns else sa.select(found)
        for name, value in where.items():
            query = query.where(found.c[name] == value)
        with self.opened() as one, one.db.read() as tx:
            return list(tx.execute(query).all())

    def spent(self) -> int:
        """Minor units that left the partner's wallet for good, and are not on their way."""
        (purse,) = self.rows("accounts", "debits_posted", "debits_pending", purpose="wallet", mode="live")
        assert purse.debits_pending == 0
        return int(purse.debits_posted)

    def _fill(self, one: Cardrail) -> None:
        import_catalog(one.db, one.clock, one.audit, SHEET.encode(), actor="test")
        partner = create_partner(one.db, one.clock, one.audit, name="Buyer", currency="USD", actor="test")
        by = By(one.clock.now(), "test", one.audit, one.settings.node_name)
        in_tx(one.db, lambda tx: credit(tx, by, partner.id, Money(FUNDS_MINOR, currency("USD")), Mode.LIVE))
        _, token = create_key(one.db, one.clock, one.audit, partner.id, Mode.LIVE, name="t", scopes=ALL_SCOPES, actor="test")
        self.partner_id, self.token = partner.id, token.reveal()

    def _target(self) -> sa.Select[Any]:
        products, denominations = metadata.tables["products"], metadata.tables["denominations"]
        columns = (products.c.brand_id, denominations.c.id, denominations.c.face_minor)
        return sa.select(*columns).join(products, products.c.id == denominations.c.product_id).where(denominations.c.sku == SKU)

    def _one(self, cardrail: Cardrail, query: sa.Select[Any]) -> Any:
        with cardrail.db.read() as tx:
            return tx.execute(query).one()


def new_codes(count: int) -> list[str]:
    """Codes that no other test has."""
    run = secrets.token_hex(6).upper()
    return [f"{run}-{number:07d}" for number in range(count)]
