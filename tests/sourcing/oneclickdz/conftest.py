"""A hub that sells over HTTP in the supplier's protocol, and a connector that buys from it; also one that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cardrail.kernel import Mode, Money, PartnerId, Secret
from cardrail.sourcing import PlaceRequest, Setup
from cardrail.sourcing.connectors.oneclickdz.connector import OneClickDzSupplier
from tests.compat.build import CompatShop
from tests.compat.conftest import shop as hub  # noqa: F401  # the served installation, under the name that it has here
from tests.compat.conftest import shop_settings  # noqa: F401  # a fixture of the hub's

MakeConnector = Callable[..., OneClickDzSupplier]
INR = "INR"


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What is tested is the wire between two hubs; each of them is tested on both databases elsewhere."""
    return "sqlite"


@pytest.fixture(scope="module")
def connector_of(hub: CompatShop) -> Iterator[MakeConnector]:
    """Makes connectors for accounts at the hub."""
    made: list[OneClickDzSupplier] = []

    def make(
        partner_id: PartnerId | None = None, *, key_mode: Mode = Mode.LIVE, mode: Mode = Mode.LIVE, key: str | None = None
    ) -> Any:
        key = key or hub.credential("oneclickdz", key_mode, partner_id=partner_id)["api_key"]
        setup = Setup("sup_1", mode, INR, {"base_url": hub.url + "/compat/oneclickdz"}, {"api_key": Secret(key)})
        made.append(OneClickDzSupplier(setup, sleep=lambda _: None))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def connector(connector_of: MakeConnector, hub: CompatShop) -> OneClickDzSupplier:
    """An account with 100,000.00 at the hub."""
    return connector_of(hub.a_partner("100000.00"))


def a_request(sku: str, quantity: int = 1, *, most: str = "1000.00", reference: str = "att_1", **facts: Any) -> PlaceRequest:
    return PlaceRequest(reference, sku, quantity, Money.parse("100", INR), Money.parse(most, INR), **facts)


def sku_named(connector: OneClickDzSupplier, name: str) -> str:
    """The supplier's sku of a product."""
    (found,) = [one.sku for one in connector.catalog() if one.name == name]
    return found


class Scripted:
    """A server that gives the next of its answers to each request, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: deque[tuple[int, bytes, dict[str, str]]] = deque()
        self.asked: list[str] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                script.asked.append(f"{self.command} {self.path.partition('?')[0]}")
                status, body, headers = script.answers.popleft()
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def says(self, body: Any, status: int = 200, **headers: str) -> None:
        """The next answer; status 0 hangs up without one."""
        self.answers.append((status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers))

    def says_yes(self, data: Any) -> None:
        self.says({"success": True, "data": data})

    def says_no(self, status: int, code: str) -> None:
        self.says({"success": False, "error": {"code": code, "message": "no"}, "requestId": "req_1"}, status)

    def sells(self, price: Any = 95, quantity: int = 9) -> None:
        """What is asked before an order: the key's kind, and the product."""
        self.says_yes({"username": "x", "apiKey": {"type": "PRODUCTION"}})
        self.says_yes(
            {"productId": "p", "productTitle": "P", "types": [{"id": "t", "name": "1 INR", "price": price, "quantity": quantity}]}
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A supplier that does as it is told."""
    made = Scripted()
    yield made
    made.close()


@pytest.fixture
def told(script: Scripted) -> Iterator[OneClickDzSupplier]:
    """A connector to it."""
    setup = Setup("sup_1", Mode.LIVE, INR, {"base_url": script.url}, {"api_key": Secret("key")})
    made = OneClickDzSupplier(setup, sleep=lambda _: None)
    yield made
    made.close()
