"""A hub buys from a hub: a partner's order here becomes an order there, over HTTP; also when the answer is lost on the way."""

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
from cardrail.orders import OrderState
from cardrail.sourcing import (
    SUPPLY_VERSION,
    Connectors,
    NewSupplier,
    Supplier,
    create_supplier,
    put_mapping,
    put_product,
)
from cardrail.storage import Database, bump_version
from cardrail.vault import create_key_file
from tests.compat.build import CompatShop
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.oneclickdz.conftest import sku_named

SEALER = SecretSealer(b"s" * 32)
TEA = "Tea voucher 100 INR"


class LossyLine:
    """Passes requests on, and loses the answers (or the requests) of the next orders as it is told."""

    def __init__(self, target: str) -> None:
        self.loses: list[str] = []
        self.ordered = 0
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                word = line.loses.pop(0) if self.command == "POST" and line.loses else ""
                if word == "request":
                    self.close_connection = True
                    return
                headers = {name: self.headers[name] for name in ("x-access-token", "content-type") if name in self.headers}
                answer = httpx2.request(self.command, target + self.path, content=body, headers=headers, trust_env=False)
                line.ordered += self.command == "POST" and answer.status_code == 200
                if word == "answer":
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
    key = hub.credential("oneclickdz", partner_id=hub.a_partner("10000.00"))["api_key"]
    new = NewSupplier("hub", "oneclickdz", Mode.LIVE, "INR", {"base_url": line.url + "/compat/oneclickdz"})
    row = create_supplier(shop.db, shop.clock, shop.audit, SEALER, new, {"api_key": Secret(key)}, actor="test")
    shop.suppliers["hub"] = row
    sells(shop, row, "CARD", TEA)
    yield shop
    shop.connectors.close()


def sells(shop: Supplied, row: Supplier, sku: str, name: str) -> None:
    """Map a product of the supplier's to a sku of ours, as its catalog has it."""
    offer = shop.catalog.current().offer(sku)
    assert offer is not None
    connector = shop.connectors.of(row)
    (product,) = [one for one in connector.catalog() if one.name == name]
    assert product.sku == sku_named(connector, name)  # type: ignore[arg-type]  # the protocol's one connector
    now = to_micros(shop.clock.now())
    with shop.db.transaction() as tx:
        put_product(tx, row.id, product, row.currency, now)
        put_mapping(tx, offer.denomination_id, row.id, product.sku, is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)


def test_what_is_ordered_here_is_bought_there(buyer: Supplied, line: LossyLine) -> None:
    placed = buyer.order("CARD", 3)
    assert placed.state is OrderState.PROCESSING
    buyer.visit(placed)
    done = buyer.stands(placed)
    assert (states(done), done.charged_minor, line.ordered) == (("FULFILLED", ["FULFILLED"]), 28_500, 1)
    shown = buyer.shown(done)
    assert len(set(shown)) == 3
    assert all(code.startswith("TEA-") for code in shown)
    assert buyer.platform()["cost_of_goods", "INR"] == 28_500
    assert buyer.findings() == []


def test_an_order_whose_answer_was_lost_is_looked_up_and_not_bought_again(buyer: Supplied, line: LossyLine) -> None:
    line.loses.append("answer")
    placed = buyer.order("CARD", 2)
    buyer.visit(placed)
    assert (of(buyer.attempts(placed)), line.ordered) == ([("unknown", 2, 0)], 1)
    done = buyer.finish(placed)
    assert (states(done)[0], of(buyer.attempts(placed)), line.ordered) == ("FULFILLED", [("delivered", 2, 2)], 1)
    assert (len(set(buyer.shown(done))), buyer.findings()) == (2, [])


def test_an_order_that_never_arrived_is_bought_anew_once_that_is_certain(buyer: Supplied, line: LossyLine) -> None:
    line.loses.append("request")
    placed = buyer.order("CARD", 2)
    buyer.visit(placed)
    assert (of(buyer.attempts(placed)), line.ordered) == ([("unknown", 2, 0)], 0)
    done = buyer.finish(placed)
    assert (states(done)[0], of(buyer.attempts(placed))) == ("FULFILLED", [("absent", 2, 0), ("delivered", 2, 2)])
    assert (line.ordered, len(set(buyer.shown(done))), buyer.findings()) == (1, 2, [])


def test_two_lost_orders_that_are_alike_are_told_apart_one_after_the_other(buyer: Supplied, line: LossyLine) -> None:
    line.loses += ["answer", "answer"]
    first, second = buyer.order("CARD", 2), buyer.order("CARD", 2)
    for one in (first, second):
        buyer.visit(one)
    assert line.ordered == 1  # the second waits: two like it could not be told apart
    shown = [code for one in (first, second) for code in buyer.shown(buyer.finish(one))]
    assert (line.ordered, len(set(shown)), buyer.findings()) == (2, 4, [])
