"""The connector buys from whoever speaks the protocol: from ourselves over real HTTP, and from a supplier that answers oddly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cardrail.kernel import Mode, Money, Secret, new_id
from cardrail.sourcing import (
    Accepted,
    Connector,
    CredentialsRefused,
    Delivered,
    Invalidated,
    InvalidSupplierConfig,
    LookupRequest,
    NotFound,
    NotSent,
    OddAnswer,
    PlaceRequest,
    RateLimited,
    RefusalKind,
    Refused,
    Setup,
    Unknown,
    connector_kind,
)
from tests.compat.build import CompatShop


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


def connector(base_url: str, secrets: dict[str, str], mode: Mode = Mode.LIVE, **config: Any) -> Connector:
    facts = {"base_url": base_url, "client_id": secrets["client_id"], "country": "IN"} | config
    setup = Setup("sup_1", mode, "INR", facts, {"client_secret": Secret(secrets["client_secret"])})
    return connector_kind("finperks").make(setup)


@pytest.fixture
def supplier(shop: CompatShop) -> Iterator[Connector]:
    made = connector(shop.url + "/compat/finperks/v1", shop.credential("finperks"))
    yield made
    made.close()


@pytest.fixture
def sync(shop: CompatShop) -> Iterator[Connector]:
    made = connector(shop.url + "/compat/finperks/v1", shop.credential("finperks"), processing_mode="sync")
    yield made
    made.close()


@pytest.fixture
def sandbox(shop: CompatShop) -> Iterator[Connector]:
    made = connector(shop.url + "/compat/finperks/v1", shop.credential("finperks", Mode.TEST), Mode.TEST)
    yield made
    made.close()


def sku(supplier: Connector, name: str) -> str:
    return next(one.sku for one in supplier.catalog() if one.name == name)


def wanted(supplier_sku: str, face: str = "100.00", **facts: Any) -> PlaceRequest:
    request = PlaceRequest(new_id("att"), supplier_sku, 1, Money.parse(face, "INR"), Money.parse("10000.00", "INR"))
    return replace(request, **facts)


def about(request: PlaceRequest, order_id: str | None) -> LookupRequest:
    return LookupRequest(request, order_id, datetime.now(UTC))


# --- over real HTTP, from ourselves -----------------------------------------------------------------------------------


def test_it_reads_the_catalog(supplier: Connector) -> None:
    found = {(one.name, one.face_minor): one for one in supplier.catalog()}
    assert found["Tea voucher", 100_00].countries == ("IN",)
    assert len({one.sku for one in found.values()}) == len(found)
    shoes = found["Shoe voucher", None]
    assert (shoes.min_minor, shoes.max_minor, shoes.step_minor, shoes.currency) == (100_00, 1_000_00, 1_00, "INR")
    assert {face for name, face in found if name == "Game card"} == {500_00, 1_000_00}


def test_it_reads_the_balance(shop: CompatShop, supplier: Connector) -> None:
    assert [one.minor for one in supplier.balance()] == [shop.balance()]


def test_it_orders_and_then_fetches_the_card(shop: CompatShop, supplier: Connector) -> None:
    before, request = shop.balance(), wanted(sku(supplier, "Tea voucher"))
    accepted = supplier.place(request)
    assert isinstance(accepted, Accepted)
    found = supplier.lookup(about(request, accepted.supplier_order_id))
    assert isinstance(found, Delivered)
    assert (found.cost, found.supplier_order_id) == (Money.parse("95.00", "INR"), accepted.supplier_order_id)
    assert str(found.codes[0].code).startswith("TEA-")
    assert before - shop.balance() == 95_00


def test_synchronously_the_card_is_in_the_answer(sync: Connector) -> None:
    found = sync.place(wanted(sku(sync, "Shoe voucher"), "250.00"))
    assert isinstance(found, Delivered)
    assert str(found.codes[0].code).startswith("SHOES-")
    assert found.cost == Money.parse("241.25", "INR")


def test_placing_again_under_the_same_reference_gives_the_same_card(shop: CompatShop, sync: Connector) -> None:
    request, before = wanted(sku(sync, "Tea voucher")), shop.balance()
    first, again = sync.place(request), sync.place(request)
    assert isinstance(first, Delivered)
    assert first == again
    assert before - shop.balance() == 95_00


def test_what_was_not_seen_is_invalidated_and_not_charged(shop: CompatShop, supplier: Connector) -> None:
    before, request = shop.balance(), wanted(sku(supplier, "Tea voucher"))
    accepted = supplier.place(request)
    assert isinstance(accepted, Accepted)
    asked = about(request, accepted.supplier_order_id)
    assert [supplier.invalidate(asked), supplier.invalidate(asked)] == [Invalidated(), Invalidated()]
    assert shop.balance() == before
    found = supplier.lookup(asked)
    assert isinstance(found, Refused)
    assert isinstance(supplier.place(request), (Accepted, Refused))
    assert shop.balance() == before


def test_what_was_seen_stands(sync: Connector) -> None:
    request = wanted(sku(sync, "Tea voucher"))
    bought = sync.place(request)
    assert isinstance(bought, Delivered)
    assert isinstance(sync.invalidate(about(request, bought.supplier_order_id)), Refused)


@pytest.mark.parametrize(
    ("name", "face", "facts", "kind"),
    [
        ("Sold-out card", "200.00", {}, RefusalKind.OUT_OF_STOCK),
        ("Tea voucher", "99.00", {}, RefusalKind.INVALID),
        ("Tea voucher", "100.00", {"country": "DE"}, RefusalKind.INVALID),
        ("Tea voucher", "100.00", {"quantity": 2}, RefusalKind.INVALID),
    ],
)
def test_a_no_is_told_with_its_reason(
    shop: CompatShop, supplier: Connector, name: str, face: str, facts: Any, kind: RefusalKind
) -> None:
    before = shop.balance()
    refused = supplier.place(wanted(sku(supplier, name), face, **facts))
    assert isinstance(refused, Refused)
    assert refused.kind is kind
    assert shop.balance() == before


def test_without_money_there_it_says_so(shop: CompatShop) -> None:
    poor = connector(shop.url + "/compat/finperks/v1", shop.credential("finperks", partner_id=shop.a_partner("1.00")))
    refused = poor.place(wanted(sku(poor, "Tea voucher")))
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.NO_FUNDS
    poor.close()


def test_an_order_that_fails_or_lasts(sandbox: Connector) -> None:
    failed = wanted("TEST_REFUND", "10.00")
    accepted = sandbox.place(failed)
    assert isinstance(accepted, Accepted)
    found = sandbox.lookup(about(failed, accepted.supplier_order_id))
    assert isinstance(found, Refused)
    assert found.kind is RefusalKind.FAILED
    lasting = wanted("TEST_PENDING", "10.00")
    accepted = sandbox.place(lasting)
    assert isinstance(accepted, Accepted)
    asked = about(lasting, accepted.supplier_order_id)
    assert isinstance(sandbox.lookup(asked), Accepted)
    assert isinstance(sandbox.invalidate(asked), Unknown)


def test_an_order_that_is_not_there_is_not_found(supplier: Connector) -> None:
    assert supplier.lookup(about(wanted("x"), new_id("ord"))) == NotFound()


def test_a_secret_that_is_refused_proves_nothing_about_an_earlier_order(shop: CompatShop) -> None:
    stranger = connector(shop.url + "/compat/finperks/v1", shop.credential("finperks") | {"client_secret": "wrong"})
    refused = stranger.place(wanted("x"))
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.BUSY
    for ask in (stranger.balance, lambda: list(stranger.catalog())):
        with pytest.raises(CredentialsRefused):
            ask()
    stranger.close()


def test_nobody_there_is_not_sent() -> None:
    nobody = connector("http://127.0.0.1:9/v1", {"client_id": "a", "client_secret": "b"})
    with pytest.raises(NotSent):
        nobody.place(wanted("x"))
    nobody.close()


@pytest.mark.parametrize(
    "config", [{"base_url": "ftp://x"}, {"base_url": ""}, {"country": ""}, {"processing_mode": "later"}, {"host_line": "none"}]
)
def test_a_configuration_with_a_mistake_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidSupplierConfig):
        connector(config.pop("base_url", "http://x"), {"client_id": "a", "client_secret": "b"}, **config)


# --- from a supplier that answers oddly -------------------------------------------------------------------------------


@dataclass
class Odd:
    """A supplier that gives one answer to everything."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture(scope="module")
def odd() -> Iterator[Odd]:
    told = Odd()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            told.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def asking(odd: Odd) -> Iterator[Connector]:
    odd.status, odd.body, odd.headers = 200, b"{}", {}
    odd.asked.clear()
    made = connector(odd.url, {"client_id": "a", "client_secret": "b"}, client_partner="cp-1", customer_id="us")
    yield made
    made.close()


ERRORS = [
    (400, {"error": {"class": "invalid_state", "code": "order_not_allowed_for_product"}}, RefusalKind.CLOSED),
    (403, {"class": "forbidden", "code": "customer_amount_limit_exceeded"}, RefusalKind.INVALID),
    (403, {"error_code": "live_mode_disabled"}, RefusalKind.BUSY),
    (404, {"error_code": "path_not_found"}, RefusalKind.BUSY),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_a_code_is_found_wherever_the_envelope_has_it(
    odd: Odd, asking: Connector, status: int, body: Any, kind: RefusalKind
) -> None:
    odd.status, odd.body = status, json.dumps(body).encode()
    refused = asking.place(wanted("x"))
    assert isinstance(refused, Refused)
    assert refused.kind is kind


UNKNOWN: list[tuple[int, bytes]] = [
    (500, b"<html>"),
    (503, b""),
    (302, b""),
    (418, b"{}"),
    (400, b'{"error_code": "something_new"}'),
    (400, b'{"error_code": "reused_idempotency_key"}'),
    (201, b'{"id": "o1", "state": "completed"}'),
    (201, b'{"id": "o1", "state": "exploded"}'),
]


@pytest.mark.parametrize(("status", "body"), UNKNOWN)
def test_what_is_neither_yes_nor_no_is_unknown(odd: Odd, asking: Connector, status: int, body: bytes) -> None:
    odd.status, odd.body = status, body
    assert isinstance(asking.place(wanted("x")), Unknown)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": ""}', b'{"id": 3}', b'{"id": "o1", "sta', b"\xff"])
def test_an_answer_that_is_no_order_is_odd(odd: Odd, asking: Connector, body: bytes) -> None:
    odd.status, odd.body = 201, body
    with pytest.raises(OddAnswer):
        asking.place(wanted("x"))


def test_too_many_requests_are_turned_away_unread(odd: Odd, asking: Connector) -> None:
    odd.status, odd.headers = 429, {"Retry-After": "7"}
    with pytest.raises(RateLimited) as refusal:
        asking.place(wanted("x"))
    assert refusal.value.facts["retry_after_seconds"] == 7


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"code": "abc"}, ("abc", None, None, None)),
        ({"code": {"value": "abc", "pin": "1"}}, ("abc", "1", None, None)),
        (
            {"urls": [{"type": "card_pdf", "url": "http://p"}, {"type": "redeem", "url": "http://r"}]},
            (None, None, None, "http://r"),
        ),
    ],
)
def test_a_card_is_read_in_each_form(odd: Odd, asking: Connector, order: dict[str, Any], code: Any) -> None:
    odd.status, odd.body = 201, json.dumps({"id": "o1", "status": "completed"} | order).encode()
    found = asking.place(wanted("x"))
    assert isinstance(found, Delivered)
    assert (found.codes[0].fields(), found.cost) == (code, None)


def test_the_same_request_is_the_same_to_the_byte(odd: Odd, asking: Connector) -> None:
    request = wanted("a%2Fb/url#25.0", "25.00", customer_id="c", country="AT")
    odd.status = 500
    for _ in range(2):
        asking.place(request)
    (path, headers, body), (_, again, repeated) = odd.asked
    assert (path, body, headers["idempotency-key"]) == ("/v1/orders", repeated, again["idempotency-key"])
    assert json.loads(body) == {
        "product_code": "a/b",
        "customer": {"id": "c"},
        "country": "AT",
        "face_value": {"currency": "INR", "amount": "25.0"},
        "processing_mode": "async",
        "delivery_method": {"type": "url"},
        "client_partner": {"id": "cp-1"},
    }


PRODUCT = {"code": "c", "name": "N", "currency": "EUR", "countries": ["AT"]}


@pytest.mark.parametrize("wrapped", [lambda one: one, lambda one: {"data": one, "total": 3}])
def test_a_catalog_is_read_leniently(odd: Odd, asking: Connector, wrapped: Any) -> None:
    span = {"type": "range", "min": "10.0", "max": "20", "step": "0.5"}
    listed = [
        PRODUCT | {"face_value": span},
        PRODUCT | {"code": "d", "face_value": {"values": ["25.0"]}, "delivery_methods": ["url"]},
        PRODUCT | {"code": "e", "face_value": span, "delivery_methods": ["email"]},
        PRODUCT | {"code": "f", "face_value": "any"},
        PRODUCT | {"code": "g", "face_value": {"min": "ten", "max": "20"}},
        {"name": "nothing"},
        7,
    ]
    odd.body = json.dumps(wrapped(listed)).encode()
    found = list(asking.catalog())
    assert [(one.sku, one.min_minor, one.step_minor, one.face_minor, one.kind) for one in found] == [
        ("c", 1_000, 50, None, "code"),
        ("d/url#25.0", None, None, 2_500, "link"),
    ]


def test_a_list_that_is_none_is_odd(odd: Odd, asking: Connector) -> None:
    odd.body = b'{"a": [], "b": []}'
    for ask in (asking.balance, lambda: list(asking.catalog())):
        with pytest.raises(OddAnswer):
            ask()
