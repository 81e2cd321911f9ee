"""Two installations over a faulty line: ``Seller`` sells from stock through every dialect, ``Reseller`` has nothing and buys it there."""

from __future__ import annotations

import io
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from cardrail.access import ALL_SCOPES, create_credential, create_key, create_partner
from cardrail.bootstrap import Cardrail
from cardrail.catalog import import_catalog
from cardrail.kernel import Mode, Money, PartnerId, Secret, currency
from cardrail.ledger import By, credit
from cardrail.orders import StockBooks
from cardrail.sourcing import NewSupplier, create_supplier, load_products, map_product, sync_supplier
from cardrail.storage import Database as Opened
from cardrail.storage import in_tx, metadata
from cardrail.vault import CodeOpener, ImportOptions, ImportTarget, PurchaseCost, import_codes
from tests.acceptance.server import Place, Server, new_codes
from tests.sourcing.hubs.faults import FaultyLine

Database = Callable[[str], str]
"""Makes the database of the hub of that name: its URL."""

FACES: Final = (10, 20, 30, 40)
FUNDS_MINOR: Final = 10**12
HEADER: Final = "product_code,name,brand,category,kind,country,currency,denomination_type,face_values,discount_percent,sourcing\n"
CALL_SECONDS: Final = 3.0

TIMES: Final[Mapping[str, float]] = {
    "call_seconds": CALL_SECONDS,
    "settle_seconds": 4.0,
    "look_seconds_max": 3.0,
    "poll_seconds": 0.2,
    "poll_seconds_max": 1.0,
    "breaker_seconds": 0.5,
}
"""Everything that waits is a tenth or less of what it is, so that a run takes minutes. What was sent arrives within ``settle_seconds``."""


@dataclass(frozen=True)
class Protocol:
    """A connector, and the dialect opposite it."""

    kind: str
    dialect: str
    path: str
    config: tuple[str, ...] = ()
    """What of a credential is no secret."""
    more: Mapping[str, Any] = field(default_factory=dict)
    tells_cost: bool = True
    hides: float = 0.0
    """The part of its orders whose cards the line never shows: they can only be killed. Where orders can be."""


PROTOCOLS: Final = {
    one.kind: one
    for one in (
        Protocol("oneclickdz", "oneclickdz", "/compat/oneclickdz"),
        Protocol("foxreload_v1", "foxreload", "/compat/foxreload"),
        Protocol("foxreload_public", "foxreload", "/compat/foxreload/api"),
        Protocol("finperks", "finperks", "/compat/finperks/v1", ("client_id",), {"country": "US"}, tells_cost=False, hides=0.1),
        Protocol("starship", "starship", "/compat/starship", ("username",), {"partial_is_final": "yes"}),
    )
}


def prefix(kind: str) -> str:
    """What the reseller's skus of this connector begin with."""
    return kind.upper().replace("_", "")


class Hub(Place):
    """An installation, and what its tables say."""

    def codes(self) -> dict[str, tuple[str, int]]:
        """Every code in the vault in plain: where it lies."""
        lots, codes = metadata.tables["lots"], metadata.tables["codes"]
        query = sa.select(
            codes.c.lot_id, codes.c.seq, codes.c.sealed, lots.c.denomination_id, lots.c.wrapped_key, lots.c.master_key
        ).join(lots, lots.c.id == codes.c.lot_id)
        with self.opened() as one, one.db.read() as tx:
            opener = CodeOpener(one.keyring)
            found = {}
            for row in tx.execute(query):
                plain = opener.open(row.lot_id, row.seq, row.denomination_id, row.wrapped_key, row.master_key, row.sealed)
                assert str(plain.code) not in found, "a code is in the vault twice"
                found[str(plain.code)] = (row.lot_id, row.seq)
            return found

    def holders(self) -> dict[tuple[str, int], str]:
        """Which order has the code that lies there."""
        columns = ("order_id", "lot_id", "first_seq", "code_count")
        rows = {
            (row.order_id, row.lot_id, row.first_seq, row.code_count)
            for table in ("order_items", "allocations")
            for row in self.rows(table, *columns)
            if row.lot_id is not None
        }
        return {(lot, first + i): order for order, lot, first, count in rows for i in range(count)}

    def a_partner(self, one: Cardrail, name: str) -> PartnerId:
        made = create_partner(one.db, one.clock, one.audit, name=name, currency="USD", actor="test")
        by = By(one.clock.now(), "test", one.audit, one.settings.node_name)
        in_tx(one.db, lambda tx: credit(tx, by, made.id, Money(FUNDS_MINOR, currency("USD")), Mode.LIVE))
        return made.id


class Seller(Hub):
    """It has four cards in stock, and a partner for each protocol."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"CARDRAIL_UNPAID_ORDER_MINUTES": "1", "CARDRAIL_INVALIDATE_REVEALED": "true"}

    partners: dict[str, PartnerId]
    credentials: dict[str, dict[str, str]]

    def _fill(self, one: Cardrail) -> None:
        self.price(one, 5)
        self.partners, self.credentials = {}, {}
        for kind, protocol in PROTOCOLS.items():
            self.partners[kind] = self.a_partner(one, kind)
            issued = create_credential(
                one.db,
                one.clock,
                one.audit,
                one.sealer,
                self.partners[kind],
                Mode.LIVE,
                protocol.dialect,
                name="test",
                scopes=ALL_SCOPES,
                actor="test",
                requests_per_minute=0,
            )
            self.credentials[kind] = {name: secret.reveal() for name, secret in issued.fields.items()}

    @staticmethod
    def price(one: Cardrail, discount: int, faces: Sequence[int] = FACES) -> None:
        """Sell these cards at so many percent off."""
        rows = [f"CARD{face},Card of {face},Acme,Gaming,code,US,USD,fixed,{face},{discount},stock\n" for face in faces]
        import_catalog(one.db, one.clock, one.audit, (HEADER + "".join(rows)).encode(), actor="test")

    def reprice(self, discount: int, *faces: int) -> None:
        with self.opened() as one:
            self.price(one, discount, faces)

    def restock(self, counts: Mapping[int, int]) -> None:
        """So many more of these cards."""
        with self.opened() as one:
            for face, count in counts.items():
                self._stock(one, face, count)

    def _stock(self, one: Cardrail, face: int, count: int) -> None:
        offer = one.catalog.refresh().offer(f"CARD{face}")
        assert offer is not None
        import_codes(
            one.db,
            one.clock,
            one.keyring,
            one.audit,
            io.BytesIO("\n".join(new_codes(count)).encode()),
            ImportTarget(offer.brand_id, offer.denomination_id, face * 100),
            ImportOptions(cost=PurchaseCost("USD", each_minor=face * 90), actor="test"),
            on_open=StockBooks(one.clock, one.settings.node_name).opened,
        )


class Reseller(Hub):
    """It sells the same cards under skus of its own, one for each protocol that it buys them through."""

    def _fill(self, one: Cardrail) -> None:
        rows = [
            f"{prefix(kind)}{face},{kind} card of {face},Acme,Gaming,code,US,USD,fixed,{face},2,on_demand\n"
            for kind in PROTOCOLS
            for face in FACES
        ]
        import_catalog(one.db, one.clock, one.audit, (HEADER + "".join(rows)).encode(), actor="test")
        self.partner_id = self.a_partner(one, "Buyer")
        _, token = create_key(
            one.db,
            one.clock,
            one.audit,
            self.partner_id,
            Mode.LIVE,
            name="t",
            scopes=ALL_SCOPES,
            actor="test",
        )
        self.token = token.reveal()
        self.suppliers: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"CARDRAIL_SUPPLIER_PATIENCE_SECONDS": "90"}

    def connect(self, seller: Seller, urls: Mapping[str, str], unknown_seconds: float) -> None:
        """Make the seller a supplier through each of these protocols, at that address, and map what it sells."""
        times = {**TIMES, "unknown_seconds": unknown_seconds, "accepted_seconds": unknown_seconds}
        with self.opened() as one:
            for kind, url in urls.items():
                self._connect(one, kind, seller.credentials[kind], {"base_url": url + PROTOCOLS[kind].path, **times})

    def _connect(self, one: Cardrail, kind: str, issued: Mapping[str, str], told: Mapping[str, Any]) -> None:
        protocol = PROTOCOLS[kind]
        config = {**told, **{name: issued[name] for name in protocol.config}, **protocol.more}
        sealed = {name: Secret(value) for name, value in issued.items() if name not in protocol.config}
        new = NewSupplier(kind, kind, Mode.LIVE, "USD", config)
        row = create_supplier(one.db, one.clock, one.audit, one.sealer, new, sealed, actor="test")
        self.suppliers[kind] = row.id
        sync_supplier(one.db, one.clock, one.audit, one.buying.connectors, row.id, jump_bps=10_000, actor="test")
        with one.db.read() as tx:
            theirs = {product.face_minor: product.supplier_sku for product in load_products(tx, row.id)}
        for face in FACES:
            pairs = [(theirs[face * 100], f"{prefix(kind)}{face}")]
            cost = None if protocol.tells_cost else Money(face * 95, currency("USD"))
            map_product(one.db, one.clock, one.audit, one.catalog.refresh(), row.id, pairs, actor="test", cost=cost)

    def sync(self, *kinds: str) -> None:
        """Ask these what they sell now, as a worker does every hour."""
        with self.opened() as one:
            for kind in kinds:
                supplier = self.suppliers[kind]
                sync_supplier(one.db, one.clock, one.audit, one.buying.connectors, supplier, jump_bps=10_000, actor="test")


class Running:
    """The reseller's process, which is killed now and then and started again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.server = Server(place)
        self.server.wait()
        self.kills = 0

    def kill(self) -> None:
        """kill -9, and start again."""
        self.server.kill()
        self.kills += 1
        self.server = Server(self._place)
        self.server.wait()

    def close(self) -> None:
        self.server.kill()


class Working(Running):
    """The reseller's server, which serves and no more, and two workers: one of them is killed now and then, and another takes its place."""

    def __init__(self, place: Place, *, is_quick: bool) -> None:
        self._place = place
        self._module = "tests.sourcing.hubs.quick_worker" if is_quick else "cardrail"
        self.server = Server(place, more=("--no-worker",))
        self.workers = [self._worker() for _ in range(2)]
        self.server.wait()
        self.kills = 0

    def kill(self) -> None:
        victim = self.workers.pop(0)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        self.kills += 1
        self.workers.append(self._worker())

    def close(self) -> None:
        for one in self.workers:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        self.server.kill()

    def _worker(self) -> subprocess.Popen[bytes]:
        with self._place.new_log().open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self._module, "worker"],
                env=self._place.environment,
                cwd=Path(__file__).parents[3],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


class Orders:
    """Customers who order until there are so many; at most ``open_max`` orders wait for suppliers at a time. Restarts are sat out."""

    def __init__(self, place: Reseller, running: Running, kinds: Sequence[str], each: int, *, open_max: int = 80) -> None:
        self.wanted: list[tuple[str, str, int]] = []
        drawn = random.Random(each)
        for kind in kinds:
            for _ in range(each):
                key = secrets.token_hex(8)
                self.wanted.append((key, f"{prefix(kind)}{drawn.choice(FACES)}", drawn.choice((1, 1, 2, 3))))
        drawn.shuffle(self.wanted)
        self.placed: dict[str, Any] = {}
        """By key, what was acknowledged."""
        self.refused: list[Any] = []
        self._place, self._running, self._open_max = place, running, open_max
        self._todo = iter(list(self.wanted))
        self._guard = threading.Lock()
        self._db = Opened(place.url, pool=2)
        self.threads = [threading.Thread(target=self._order, daemon=True) for _ in range(4)]

    @property
    def open(self) -> int:
        """How many lines wait for suppliers, and for no human."""
        with self._db.read() as tx:
            return int(tx.execute(sa.text("SELECT count(*) FROM procurements WHERE state IN ('waiting', 'buying')")).scalar_one())

    def start(self) -> None:
        for one in self.threads:
            one.start()

    @property
    def is_placing(self) -> bool:
        return any(one.is_alive() for one in self.threads)

    def close(self) -> None:
        self._db.close()

    def _order(self) -> None:
        while True:
            with self._guard:
                wanted = next(self._todo, None)
            if wanted is None:
                return
            while self.open >= self._open_max:
                time.sleep(0.1)
            self._place_one(*wanted)

    def _place_one(self, key: str, sku: str, quantity: int) -> None:
        """Until it is acknowledged: a lost answer is asked for again under the same key."""
        for _ in range(600):
            try:
                with self._running.server.buyer() as buyer:
                    answer = buyer.order(key, sku=sku, quantity=quantity, reference=key)
            except (OSError, HTTPException, ValueError):
                time.sleep(0.2)
                continue
            if answer.status in (200, 201, 202):
                with self._guard:
                    self.placed[key] = answer.body
                return
            if answer.status == 503:
                time.sleep(0.2)
                continue
            with self._guard:
                self.refused.append(answer.body)
            if answer.status != 409:
                raise AssertionError(answer)
            return
        raise AssertionError("the server did not come back")


@contextmanager
def trade(
    folder: Path,
    kinds: Sequence[str],
    database: Callable[[str], str],
    stock: Mapping[int, int],
    *,
    seed: int,
    unknown_seconds: float,
) -> Iterator[tuple[Seller, Reseller, dict[str, FaultyLine]]]:
    """Both hubs, the seller serving what it has in stock, and between them a line for each protocol, calm as yet."""
    places = []
    for name, made in (("seller", Seller), ("reseller", Reseller)):
        (folder / name).mkdir(mode=0o700)
        places.append(made(folder / name, database(name)))
    seller, reseller = places
    assert isinstance(seller, Seller)
    assert isinstance(reseller, Reseller)
    seller.restock(stock)
    lines: dict[str, FaultyLine] = {}
    with seller.serving() as server:
        try:
            for number, kind in enumerate(kinds):
                hides = PROTOCOLS[kind].hides
                target = ("127.0.0.1", server.port)
                lines[kind] = FaultyLine(target, seed=seed + number, patience=CALL_SECONDS, hides=hides)
            reseller.connect(seller, {kind: line.url for kind, line in lines.items()}, unknown_seconds)
            yield seller, reseller, lines
        finally:
            for line in lines.values():
                line.close()
