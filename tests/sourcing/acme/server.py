"""Plays Acme (PAGE.md) on loopback, and does as it is told."""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "acme-key-1f2e3d"
PRICE = {"TEA-100": 9_500, "SOLDOUT": 19_800}
FACE = {"TEA-100": "100.00", "SOLDOUT": "200.00"}

Answered = tuple[int, dict[str, Any]]


@dataclass
class AcmeBooks:
    """What it sold. ``script``: what each new order does: deliver (also when empty), accept, short, odd, refuse:<CODE>."""

    script: deque[str] = field(default_factory=deque)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    balance: int = 10_000_000
    numbers: Any = field(default_factory=itertools.count)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def place(self, body: dict[str, Any]) -> Answered:
        self.bodies.append(body)
        known = next((one for one in self.orders.values() if one["ref"] == body["ref"]), None)
        if known is not None:
            return (200, known) if (known["sku"], known["count"]) == (body["sku"], body["count"]) else no(422, "REF_REUSED")
        word = self.script.popleft() if self.script else "deliver"
        if word.startswith("refuse:"):
            return no(409, word.partition(":")[2])
        if body["sku"] not in PRICE:
            return no(404, "NO_SUCH_SKU")
        if body["sku"] == "SOLDOUT":
            return no(409, "OUT_OF_STOCK")
        order_id = f"a/{next(self.numbers)}"  # with a slash: it must be quoted in a path
        order = {"id": order_id, "ref": body["ref"], "sku": body["sku"], "count": body["count"], "state": "queued"}
        self.orders[order_id] = order
        if word in ("deliver", "short"):
            self.deliver(order, short=word == "short")
        elif word == "odd":
            order["state"] = "on hold"
        return 201, order

    def deliver(self, order: dict[str, Any], *, short: bool = False) -> None:
        count = order["count"] - (1 if short else 0)
        cards = [{"number": f"ACME-{order['id']}-{i}", "pin": f"{i:04d}", "serial": f"S{i}"} for i in range(count)]
        cost = count * PRICE[order["sku"]]
        order |= {"state": "short" if short else "done", "cards": cards, "paid": money(cost)}
        if "account" in self.bodies[-1]:
            order["transaction"] = f"T-{order['id']}"
        self.balance -= cost
        self.note("sale", cost, order["id"], order["ref"])

    def finish(self) -> None:
        """What is queued is delivered from now on."""
        for order in self.orders.values():
            if order["state"] == "queued":
                self.deliver(order)

    def cancel(self, order: dict[str, Any]) -> Answered:
        if order["state"] not in ("queued", "cancelled"):
            return no(409, "TOO_LATE")
        order["state"] = "cancelled"
        return 200, order

    def note(self, kind: str, minor: int, order_id: str | None = None, ref: str | None = None, at: str | None = None) -> None:
        at = at or datetime.now(UTC).isoformat()
        self.lines.append({"at": at, "type": kind, "amount": money(minor), "order_id": order_id, "ref": ref})

    def read(self, path: str, query: dict[str, str]) -> Answered:
        if path == "/account":
            return 200, {"available": money(self.balance), "currency": "INR"}
        if path == "/products":
            page, size = int(query["page"]), 1  # its own limit: one a page
            return 200, {"items": [product(sku) for sku in PRICE][(page - 1) * size : page * size], "pages": len(PRICE)}
        if path.startswith("/products/"):
            sku = unquote(path.removeprefix("/products/"))
            return (200, product(sku)) if sku in PRICE else no(404, "NO_SUCH_SKU")
        if path == "/transactions":
            return 200, {"items": self.lines if query["page"] == "1" else []}
        if path == "/orders":
            return 200, {"items": [one for one in self.orders.values() if one["ref"] == query["ref"]]}
        order = self.orders.get(unquote(path.removeprefix("/orders/")))
        return (200, order) if order is not None else no(404, "NO_SUCH_ORDER")


class AcmeServer:
    """It, served."""

    def __init__(self) -> None:
        self.books = books = AcmeBooks()
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                seen.append({name.lower(): value for name, value in self.headers.items()})
                url = urlsplit(self.path)
                path, query = url.path.removeprefix("/v2"), {name: one[0] for name, one in parse_qs(url.query).items()}
                if self.headers.get("x-api-key") != KEY:
                    status, answer = no(401, "BAD_KEY")
                elif self.command == "GET":
                    status, answer = books.read(path, query)
                elif path == "/orders":
                    status, answer = books.place(json.loads(body))
                else:
                    status, answer = books.cancel(books.orders[unquote(path.removeprefix("/orders/").removesuffix("/cancel"))])
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

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


def no(status: int, code: str) -> Answered:
    return status, {"error": {"code": code}}


def money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def product(sku: str) -> dict[str, Any]:
    face, stock = {"amount": FACE[sku], "currency": "INR"}, 0 if sku == "SOLDOUT" else 900
    facts = {"sku": sku, "title": f"Card {sku}", "brand": "Tea house", "country": "IN", "face": face}
    return facts | {"price": money(PRICE[sku]), "stock": stock, "on_sale": True}
