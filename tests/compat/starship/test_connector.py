"""The supplier's side of this protocol, against our own: over HTTP, in each way of knowing us."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from cardrail.kernel import ApiKeyId, Mode, Money, PartnerId, Secret, currency
from cardrail.sourcing import (
    Accepted,
    Delivered,
    InvalidSupplierConfig,
    LookupRequest,
    NotFound,
    OddAnswer,
    PlaceRequest,
    Refused,
    Setup,
    Unknown,
)
from cardrail.sourcing.connector import Outcome, RefusalKind
from cardrail.sourcing.connectors.starship import KIND
from cardrail.sourcing.connectors.starship.connector import StarshipSupplier
from cardrail.sourcing.connectors.starship.mapping import outcome_of, refusal_of
from cardrail.sourcing.connectors.starship.signing import sign
from cardrail.sourcing.connectors.starship.wire import OrderIn
from cardrail.sourcing.http import Answer
from tests.compat.build import CompatShop

INR = currency("INR")
NUMBERS = itertools.count(1)


def a_supplier(
    shop: CompatShop, auth_mode: str, mode: Mode = Mode.LIVE, partner_id: PartnerId | None = None, **config: Any
) -> StarshipSupplier:
    issued = shop.credential("starship", mode, partner_id=partner_id)
    secrets = {name: Secret(issued[name]) for name in ("password", "api_key", "api_secret", "signing_secret")}
    told = {"base_url": shop.url + "/compat/starship", "auth_mode": auth_mode, "username": issued["username"], **config}
    made = KIND.make(Setup("sup_1", mode, "INR", told, secrets))
    assert isinstance(made, StarshipSupplier)
    return made


@pytest.fixture(scope="module", params=["jwt", "api_key", "api_key_hmac"])
def supplier(shop: CompatShop, request: pytest.FixtureRequest) -> Iterator[StarshipSupplier]:
    made = a_supplier(shop, request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sandbox(shop: CompatShop) -> Iterator[StarshipSupplier]:
    made = a_supplier(shop, "jwt", Mode.TEST, partial_is_final="yes")
    yield made
    made.close()


def sku(supplier: StarshipSupplier, name: str) -> str:
    (found,) = [one for one in supplier.catalog() if one.name == name]
    return found.sku


def wanted(
    supplier: StarshipSupplier, name: str = "Tea voucher", quantity: int = 1, face: str = "100", most: str = "100000"
) -> PlaceRequest:
    reference = f"att_{next(NUMBERS):032d}"
    return PlaceRequest(reference, sku(supplier, name), quantity, Money.parse(face, INR), Money.parse(most, INR))


def about(request: PlaceRequest, supplier_order_id: str | None = None) -> LookupRequest:
    return LookupRequest(request, supplier_order_id, datetime.now(UTC) - timedelta(seconds=5))


def test_the_catalog_tells_every_denomination(supplier: StarshipSupplier) -> None:
    found = {one.name: one for one in supplier.catalog()}
    tea, shoes = found["Tea voucher"], found["Shoe voucher"]
    assert (tea.face_minor, tea.currency, tea.cost, tea.countries) == (10_000, "INR", Money(9_500, INR), ("IN",))
    assert (shoes.min_minor, shoes.max_minor, shoes.step_minor, shoes.cost_bps) == (10_000, 100_000, 100, 9_650)
    assert supplier.price(tea.sku, Money.parse("100", INR), 3) == Money(28_500, INR)
    assert supplier.price(found["Book voucher"].sku, Money.parse("33.33", INR), 7) == Money.parse("225.12", INR)


def test_an_order_is_delivered_with_its_cost(supplier: StarshipSupplier, shop: CompatShop) -> None:
    request, before = wanted(supplier, quantity=3), shop.balance()
    found = supplier.place(request)
    assert isinstance(found, Delivered)
    assert len({one.code for one in found.codes}) == 3
    assert found.cost is not None
    assert found.cost.minor == before - shop.balance() == 28_500
    assert supplier.lookup(about(request)) == found == supplier.lookup(about(request, found.supplier_order_id))


def test_a_lost_order_is_found_by_its_reference_and_one_that_never_was_is_not(supplier: StarshipSupplier) -> None:
    request = wanted(supplier, quantity=6)
    placed = supplier.place(request)
    found = supplier.lookup(about(request))
    assert isinstance(found, Delivered)
    assert len(found.codes) == 6
    assert isinstance(placed, (Accepted, Delivered))
    assert placed.supplier_order_id == found.supplier_order_id
    assert supplier.lookup(about(wanted(supplier))) == NotFound()


def test_the_same_reference_buys_once(supplier: StarshipSupplier, shop: CompatShop) -> None:
    request = wanted(supplier, quantity=2)
    first, after = supplier.place(request), shop.balance()
    assert supplier.place(request) == first
    assert shop.balance() == after


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"most": "94.99"}, RefusalKind.PRICE),
        ({"quantity": 1_001}, RefusalKind.NO_FUNDS),
        ({"face": "99"}, RefusalKind.CLOSED),
        ({"name": "Sold-out card", "face": "200"}, RefusalKind.OUT_OF_STOCK),
    ],
)
def test_a_no_is_final_and_costs_nothing(
    supplier: StarshipSupplier, shop: CompatShop, change: dict[str, Any], kind: RefusalKind
) -> None:
    before = shop.balance()
    found = supplier.place(wanted(supplier, **change))
    assert isinstance(found, Refused)
    assert found.kind is kind
    assert shop.balance() == before


def test_funds_that_are_short_are_a_no(shop: CompatShop) -> None:
    with closing(a_supplier(shop, "jwt", partner_id=shop.a_partner("10.00"))) as poor:
        found = poor.place(wanted(poor))
        assert isinstance(found, Refused)
        assert found.kind is RefusalKind.NO_FUNDS
        assert poor.balance() == [Money.parse("10.00", INR)]


def test_a_partial_order_is_polled_on_unless_the_supplier_leaves_it_so(shop: CompatShop, sandbox: StarshipSupplier) -> None:
    request = wanted(sandbox, "Test product TEST_PARTIAL", 4, "10")
    found = sandbox.place(request)
    assert isinstance(found, Delivered)
    assert (len(found.codes), found.cost) == (2, Money.parse("20", INR))
    with closing(a_supplier(shop, "jwt", Mode.TEST)) as patient:
        assert isinstance(patient.lookup(about(request)), Accepted)


def test_the_sandboxs_outcomes(sandbox: StarshipSupplier) -> None:
    failed = sandbox.place(wanted(sandbox, "Test product TEST_REFUND", 1, "10"))
    assert isinstance(failed, Refused)
    waiting = sandbox.place(wanted(sandbox, "Test product TEST_PENDING", 1, "10"))
    assert isinstance(waiting, Accepted)
    assert isinstance(sandbox.lookup(about(wanted(sandbox), waiting.supplier_order_id)), Accepted)


def test_a_statement_names_orders_and_references(supplier: StarshipSupplier) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    request = wanted(supplier, quantity=2)
    placed = supplier.place(request)
    assert isinstance(placed, Delivered)
    (line,) = [
        one for one in supplier.statement(since, datetime.now(UTC) + timedelta(seconds=2)) if one.reference == request.reference
    ]
    assert (line.amount, line.supplier_order_id, line.kind) == (Money(19_000, INR), placed.supplier_order_id, "order")


def test_a_token_that_ended_is_renewed(shop: CompatShop) -> None:
    with closing(a_supplier(shop, "jwt", partner_id=shop.a_partner())) as one:
        assert one.balance()
        part, issued = shop.cardrail, list(shop.made.values())[-1]
        part.sessions.end_all(part.audit, ApiKeyId(issued["key_id"]), shop.partner_id, None)
        assert one.balance()


def test_wrong_credentials_are_a_no(shop: CompatShop) -> None:
    setup = Setup(
        "sup_1", Mode.LIVE, "INR", {"base_url": shop.url + "/compat/starship", "username": "x"}, {"password": Secret("y")}
    )
    with closing(KIND.make(setup)) as one:
        found = one.place(PlaceRequest("r" * 36, "1:10", 1, Money.parse("10", INR), Money.parse("10", INR)))
    assert isinstance(found, Refused)
    assert found.kind is RefusalKind.CLOSED


def test_nobody_there_is_a_no_before_anything_is_sent() -> None:
    setup = Setup("sup_1", Mode.LIVE, "INR", {"base_url": "http://127.0.0.1:9", "auth_mode": "api_key"}, KEYS)
    with closing(KIND.make(setup)) as one:
        found = one.place(PlaceRequest("r" * 36, "1:10", 1, Money.parse("10", INR), Money.parse("10", INR)))
    assert isinstance(found, Refused)
    assert found.kind is RefusalKind.UNREACHABLE


KEYS = {name: Secret("x" * 10) for name in ("api_key", "api_secret", "signing_secret")}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "base_url"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "https://x.example", "auth_mode": "basic"}, "auth_mode"),
        ({"base_url": "https://x.example"}, "username"),
        ({"base_url": "https://x.example", "auth_mode": "api_key", "wallet_id": "x"}, "wallet_id"),
    ],
)
def test_a_setup_that_cannot_work_is_refused(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSupplierConfig) as refusal:
        KIND.make(Setup("sup_1", Mode.LIVE, "INR", config, KEYS))
    assert refusal.value.facts["field"] == field


ORDER = {"id": 5, "status": "DELIVERED", "quantity": 1, "vouchers": [{"card_number": "A", "expires_at": "2028-01-01T00:00:00Z"}]}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, Delivered),
        ({"status": "RECHARGED"}, Delivered),
        ({"vouchers": None, "items": [{"claim_url": "https://x.example"}]}, Delivered),
        ({"vouchers": []}, Accepted),
        ({"status": "PLACED"}, Accepted),
        ({"status": "processing"}, Accepted),
        ({"status": "partially_delivered"}, Accepted),
        ({"status": "failed"}, Refused),
        ({"status": "Cancelled"}, Refused),
        ({"status": "NEW_WORD"}, Unknown),
        ({"quantity": 2}, Unknown),
        ({"vouchers": [{"card_number": None}]}, Unknown),
    ],
)
def test_a_status_means_one_thing(change: dict[str, Any], kind: type[Outcome]) -> None:
    order = msgspec.convert(ORDER | change, OrderIn)
    assert isinstance(outcome_of(order, None, partial_is_final=False), kind)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":{"code":"INVALID_INPUT"}}', Refused),
        (400, b'{"error":"BadRequest","message":"no"}', Refused),
        (404, b'{"error":{"name":"NotFoundError"}}', Refused),
        (409, b'{"error":{"code":"IDEMPOTENCY_IN_PROGRESS"}}', Unknown),
        (400, b"<html>", Unknown),
        (500, b'{"error":{"code":"INTERNAL_SERVER_ERROR"}}', Unknown),
        (502, b"", Unknown),
    ],
)
def test_only_an_explicit_no_is_one(status: int, body: bytes, kind: type[Outcome]) -> None:
    assert isinstance(refusal_of(Answer(status, {}, body)), kind)


def test_what_cannot_be_read_is_no_price(supplier: StarshipSupplier) -> None:
    with pytest.raises(OddAnswer):
        supplier.price("x", Money.parse("1", INR), 1)
    with pytest.raises(OddAnswer):
        supplier.price("12:1", Money.parse("1", INR), 1)


def test_the_sheets_vectors_hold_here_too() -> None:
    secret, at = "whsec_T3stOnlyNotARealSecret0001", 1_767_225_600
    body = b'{"product_id":418,"denomination":40.00,"quantity":3,"ref":"LUMEN-77120"}'
    made = sign(secret, "POST", "/api/v1/orders", "", body, at)
    assert made == f"t={at},v1=e758a4b769804a8ab595a1186eb45472d7529b53e3840ed6c524dac9ab1ef12f"
    made = sign(secret, "GET", "/api/v1/orders", "status=PENDING&page=2&limit=25", b"", at)
    assert made == f"t={at},v1=7f33517c3cc3c44d6dbc533fbe755db6ff9b5d98c587638a8cab7ed82a0a3bac"
