"""A hub buys from a hub through the public API, over HTTP: also when creating or paying is lost on the way, either way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cardrail.access import SecretSealer
from cardrail.kernel import FrozenClock, Mode, Secret, to_micros
from cardrail.sourcing import SUPPLY_VERSION, Connectors, NewSupplier, create_supplier, put_mapping, put_product
from cardrail.storage import Database, bump_version
from cardrail.vault import create_key_file
from tests.compat.build import CompatShop
from tests.compat.conftest import shop as hub  # noqa: F401  # the served installation, under the name that it has here
from tests.compat.conftest import shop_settings  # noqa: F401  # a fixture of the hub's
from tests.compat.foxreload.public import ROOT
from tests.sourcing.build import Supplied, of, states

SEALER = SecretSealer(b"s" * 32)
PASSED_ON = ("x-api-key", "x-currency", "content-type")


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """The buying hub is on both databases; where it buys is not what is tested."""
    return "sqlite"


class LossyLine:
    """Passes requests on, and loses the next answer, or the next request, of a kind that it is told."""

    def __init__(self, target: str) -> None:
        self.loses: list[tuple[str, str]] = []
        self.arrived: list[str] = []
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                kind = "pay" if self.path.endswith("/pay") else "create" if self.command == "POST" else "read"
                word = line.loses.pop(0)[1] if line.loses and line.loses[0][0] == kind else ""
                answer: httpx2.Response | None = None
                if word != "request":
                    headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
                    answer = httpx2.request(self.command, target + self.path, content=body, headers=headers, trust_env=False)
                    line.arrived += [kind] * (answer.status_code in (200, 201))
                if word or answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def paid(self) -> int:
        return self.arrived.count("pay")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def line(hub: CompatShop) -> Iterator[LossyLine]:
    """The line between the hubs."""
    made = LossyLine(hub.url)
    yield made
    made.close()


@pytest.fixture
def buyer(db: Database, tmp_path: Path, hub: CompatShop, line: LossyLine) -> Iterator[Supplied]:
    """A hub that sells CARD, and buys it as the other one's tea vouchers."""
    shop = Supplied(db, create_key_file(tmp_path / "master.keys"), FrozenClock(datetime.now(UTC)), connectors=Connectors(SEALER))
    key = hub.credential("foxreload", partner_id=hub.a_partner("10000.00"))["api_key"]
    new = NewSupplier("hub", "foxreload_public", Mode.LIVE, "INR", {"base_url": line.url + ROOT})
    row = create_supplier(shop.db, shop.clock, shop.audit, SEALER, new, {"api_key": Secret(key)}, actor="test")
    shop.suppliers["hub"] = row
    offer = shop.catalog.current().offer("CARD")
    assert offer is not None
    (product,) = [one for one in shop.connectors.of(row).catalog() if one.name == "Tea voucher 100 INR"]
    now = to_micros(shop.clock.now())
    with shop.db.transaction() as tx:
        put_product(tx, row.id, product, row.currency, now)
        put_mapping(tx, offer.denomination_id, row.id, product.sku, is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    yield shop
    shop.connectors.close()


def test_what_is_ordered_here_is_bought_there(buyer: Supplied, line: LossyLine) -> None:
    placed = buyer.order("CARD", 3)
    buyer.visit(placed)
    done = buyer.stands(placed)
    assert (states(done), done.charged_minor, line.paid) == (("FULFILLED", ["FULFILLED"]), 28_500, 1)
    assert len(set(buyer.shown(done))) == 3
    assert buyer.platform()["cost_of_goods", "INR"] == 28_500
    assert buyer.findings() == []


def test_a_creation_whose_answer_was_lost_is_found_at_once_and_paid_once(buyer: Supplied, line: LossyLine) -> None:
    line.loses.append(("create", "answer"))
    placed = buyer.order("CARD", 2)
    buyer.visit(placed)
    assert (states(buyer.stands(placed))[0], line.arrived.count("create"), line.paid) == ("FULFILLED", 1, 1)
    assert buyer.findings() == []


def test_a_creation_that_never_arrived_is_made_anew_once_that_is_certain(buyer: Supplied, line: LossyLine) -> None:
    line.loses.append(("create", "request"))
    placed = buyer.order("CARD", 2)
    buyer.visit(placed)
    assert of(buyer.attempts(placed)) == [("unknown", 2, 0)]
    done = buyer.finish(placed)
    assert (states(done)[0], of(buyer.attempts(placed))) == ("FULFILLED", [("absent", 2, 0), ("delivered", 2, 2)])
    assert (line.paid, len(set(buyer.shown(done))), buyer.findings()) == (1, 2, [])


def test_a_payment_whose_answer_was_lost_is_looked_up_and_not_made_again(buyer: Supplied, line: LossyLine) -> None:
    line.loses.append(("pay", "answer"))
    placed = buyer.order("CARD", 2)
    buyer.visit(placed)
    assert of(buyer.attempts(placed)) == [("unknown", 2, 0)]
    done = buyer.finish(placed)
    assert (states(done)[0], of(buyer.attempts(placed)), line.paid) == ("FULFILLED", [("delivered", 2, 2)], 1)
    assert (len(set(buyer.shown(done))), buyer.findings()) == (2, [])


def test_a_payment_that_may_still_arrive_is_waited_for_and_nothing_is_bought_elsewhere(buyer: Supplied, line: LossyLine) -> None:
    line.loses.append(("pay", "request"))
    placed = buyer.order("CARD", 2)
    for _ in range(4):
        rest = buyer.visit(placed)
        assert rest.until is not None
        buyer.frozen.advance(microseconds=max(0, rest.until - to_micros(buyer.clock.now())))
    assert (of(buyer.attempts(placed)), line.paid, line.arrived.count("create")) == ([("unknown", 2, 0)], 0, 1)
    assert buyer.findings() == []
