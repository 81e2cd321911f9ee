"""The connector against our own dialect, over real HTTP; and against answers that only a supplier in trouble gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cardrail.kernel import Mode, Money, Secret
from cardrail.sourcing import (
    Accepted,
    Capabilities,
    CredentialsRefused,
    Delivered,
    InvalidSupplierConfig,
    Lookup,
    LookupRequest,
    NoAnswer,
    NotFound,
    NotSent,
    OddAnswer,
    PlaceRequest,
    RateLimited,
    RefusalKind,
    Refused,
    Setup,
    Unknown,
)
from cardrail.sourcing.connectors.oneclickdz.connector import OneClickDzSupplier
from cardrail.sourcing.connectors.oneclickdz.mapping import face_of
from tests.compat.build import CompatShop
from tests.sourcing.oneclickdz.conftest import MakeConnector, Scripted, a_request, sku_named

TEA = "Tea voucher 100 INR"
P_T = "p/t"


def inr(text: str) -> Money:
    return Money.parse(text, "INR")


def about(placed: PlaceRequest, asked_at: datetime, order_id: str | None = None, known: Any = ()) -> LookupRequest:
    return LookupRequest(placed, order_id, asked_at, frozenset(known))


# --- hub buys from hub -------------------------------------------------------------------------------------------------


def test_its_lookup_is_by_match() -> None:
    assert OneClickDzSupplier.capabilities.lookup is Lookup.BY_MATCH
    assert not OneClickDzSupplier.capabilities.is_idempotent
    assert isinstance(OneClickDzSupplier.capabilities, Capabilities)


def test_what_is_in_stock_is_delivered_at_once(connector: OneClickDzSupplier) -> None:
    outcome = connector.place(a_request(sku_named(connector, TEA), 3))
    assert isinstance(outcome, Delivered)
    assert outcome.cost == inr("285.00")
    assert len({one.code for one in outcome.codes}) == 3
    assert connector.balance() == [inr("99715.00")]


def test_part_of_it_is_delivered_and_its_price_is_the_part_s(connector: OneClickDzSupplier, hub: CompatShop) -> None:
    hub.world.stock("SOLDOUT", 2)
    outcome = connector.place(a_request(sku_named(connector, "Sold-out card 200 INR"), 5))
    assert isinstance(outcome, Delivered)
    assert (len(outcome.codes), outcome.cost) == (2, inr("396.00"))
    again = connector.place(a_request(sku_named(connector, "Sold-out card 200 INR"), 1))
    assert isinstance(again, Refused)
    assert again.kind is RefusalKind.OUT_OF_STOCK


def test_what_costs_more_than_allowed_is_not_ordered(connector: OneClickDzSupplier) -> None:
    outcome = connector.place(a_request(sku_named(connector, TEA), 3, most="284.99"))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.PRICE
    assert connector.balance() == [inr("100000.00")]


def test_an_account_without_money_is_told_so(connector_of: MakeConnector, hub: CompatShop) -> None:
    poor = connector_of(hub.a_partner("50.00"))
    outcome = poor.place(a_request(sku_named(poor, TEA)))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.NO_FUNDS


def test_a_key_of_the_other_environment_buys_nothing(connector_of: MakeConnector) -> None:
    for key_mode, mode in ((Mode.TEST, Mode.LIVE), (Mode.LIVE, Mode.TEST)):
        outcome = connector_of(key_mode=key_mode, mode=mode).place(a_request("65f0a1b2c3d4e5f60718293a/x"))
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.CLOSED


def test_a_product_that_is_not_known_is_closed(connector: OneClickDzSupplier) -> None:
    for sku in ("65f0a1b2c3d4e5f60718293a/x", "x", "../../v1/orders/x", "", "%2e%2e/y"):
        outcome = connector.place(a_request(sku))
        assert isinstance(outcome, Refused), sku
        assert outcome.kind is RefusalKind.CLOSED


def test_a_lost_order_is_found_by_what_was_ordered_and_when(connector: OneClickDzSupplier) -> None:
    placed, asked_at = a_request(sku_named(connector, TEA), 4), datetime.now(UTC)
    assert connector.lookup(about(placed, asked_at)) == NotFound()
    bought = connector.place(placed)
    assert isinstance(bought, Delivered)
    assert connector.lookup(about(placed, asked_at)) == bought
    assert connector.lookup(about(placed, asked_at, bought.supplier_order_id)) == bought
    for other in (replace(placed, quantity=3), replace(placed, supplier_sku=sku_named(connector, "Book voucher 33.33 INR"))):
        assert connector.lookup(about(other, asked_at)) == NotFound()
    assert connector.lookup(about(placed, asked_at + timedelta(hours=1))) == NotFound()
    assert connector.lookup(about(placed, asked_at, known={bought.supplier_order_id})) == NotFound()


def test_of_two_orders_that_could_be_it_none_is_taken(connector: OneClickDzSupplier) -> None:
    placed, asked_at = a_request(sku_named(connector, TEA), 2), datetime.now(UTC)
    first, second = connector.place(placed), connector.place(placed)
    assert isinstance(first, Delivered)
    assert isinstance(connector.lookup(about(placed, asked_at)), Unknown)
    assert connector.lookup(about(placed, asked_at, known={first.supplier_order_id})) == second


def test_an_order_id_that_the_supplier_does_not_know_is_not_found(connector: OneClickDzSupplier) -> None:
    placed = a_request("p/t")
    assert connector.lookup(about(placed, datetime.now(UTC), "69a1c0de77b1f40012ab34cc")) == NotFound()


def test_the_sandbox_sells_to_test_orders(connector_of: MakeConnector) -> None:
    sandbox = connector_of(key_mode=Mode.TEST, mode=Mode.TEST)
    outcome = sandbox.place(a_request(sku_named(sandbox, TEA), 2, mode=Mode.TEST))
    assert isinstance(outcome, Delivered)
    assert [one.code for one in outcome.codes] == ["SANDBOX-CARD-1", "SANDBOX-CARD-2"]


def test_the_catalog_has_costs_faces_and_stock(connector: OneClickDzSupplier, hub: CompatShop) -> None:
    found = {one.name: one for one in connector.catalog()}
    tea = found[TEA]
    assert (tea.face_minor, tea.currency, tea.cost, tea.category, tea.countries) == (10_000, "INR", inr("95.00"), "Food", ("IN",))
    assert (tea.stock, tea.is_available) == (hub.world.in_stock("TEA"), True)
    assert found["Book voucher 33.33 INR"].face_minor == 3_333
    assert not found["Game card 500 INR"].is_available
    assert connector.stock([tea.sku, found["Game card 500 INR"].sku, "unknown/x"]) == {
        tea.sku: tea.stock,
        found["Game card 500 INR"].sku: 0,
    }
    assert connector.price(tea.sku, inr("100"), 7) == inr("665.00")


def test_the_statement_is_the_suppliers_ledger_oldest_first(connector: OneClickDzSupplier) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    bought = connector.place(a_request(sku_named(connector, TEA), 2))
    assert isinstance(bought, Delivered)
    lines = list(connector.statement(since, datetime.now(UTC) + timedelta(seconds=1)))
    assert [(one.kind, one.amount) for one in lines] == [("topup", inr("-100000.00")), ("order", inr("190.00"))]
    assert (lines[1].supplier_order_id, lines[0].supplier_order_id) == (bought.supplier_order_id, None)


def test_a_wrong_key_is_told_apart(connector_of: MakeConnector) -> None:
    with pytest.raises(CredentialsRefused):
        connector_of(key="0b7c1f52-5c8e-4a7b-9d10-2f6a3e9b7711").balance()
    outcome = connector_of(key="0b7c1f52-5c8e-4a7b-9d10-2f6a3e9b7711").place(a_request(P_T))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.CLOSED


# --- a supplier in trouble ---------------------------------------------------------------------------------------------

PLACED = {"orderId": "o-1"}
ORDER = {"_id": "o-1", "quantity": 1, "product": "p", "type": "t", "time": "2026-02-03T09:20:00.498Z"}
DONE = ORDER | {"status": "FULFILLED", "fulfilled_quantity": 1, "fulfilled_amount": 95, "cards": [{"value": "C"}]}


def placing(told: OneClickDzSupplier, script: Scripted) -> Any:
    """What came of an order before which everything was well."""
    return told.place(a_request(P_T))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ERR_STOCK", RefusalKind.OUT_OF_STOCK),
        (409, "NO_STOCK", RefusalKind.OUT_OF_STOCK),
        (403, "NO_BALANCE", RefusalKind.NO_FUNDS),
        (403, "INSUFFICIENT_BALANCE", RefusalKind.NO_FUNDS),
        (400, "ERR_VALIDATION", RefusalKind.INVALID),
        (404, "NOT_FOUND", RefusalKind.CLOSED),
        (401, "ERR_AUTH", RefusalKind.CLOSED),
        (403, "IP_BLOCKED", RefusalKind.BUSY),
        (503, "AUTH_UNAVAILABLE", RefusalKind.BUSY),
        (400, "SOMETHING_NEW", RefusalKind.INVALID),
        (418, "SOMETHING_ELSE", RefusalKind.FAILED),
    ],
)
def test_an_explicit_no_is_final(told: OneClickDzSupplier, script: Scripted, status: int, code: str, kind: RefusalKind) -> None:
    script.sells()
    script.says_no(status, code)
    outcome = placing(told, script)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.reason) == (kind, f"{status} {code}")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"success": False, "error": {"code": "INTERNAL_ERROR", "message": ""}}),
        (503, {"success": False, "error": {"code": "SERVICE_UNAVAILABLE", "message": ""}}),
        (403, {"success": False, "error": {"code": "DUPLICATED_REF", "message": ""}}),
        (403, b"<html>Forbidden by the CDN</html>"),
        (502, b"<html>Bad gateway</html>"),
        (404, b"{}"),
        (302, b""),
        (200, b""),
        (200, b"<html></html>"),
        (200, {"success": True}),
        (200, {"success": True, "data": {}}),
        (200, {"success": True, "data": {"orderId": 7}}),
        (200, {"success": False, "error": {"code": "ERR_STOCK", "message": ""}}),
    ],
)
def test_what_is_neither_yes_nor_no_is_unknown(told: OneClickDzSupplier, script: Scripted, status: int, body: Any) -> None:
    script.sells()
    script.says(body, status)
    assert isinstance(placing(told, script), Unknown)
    assert [one for one in script.asked if one.startswith("POST")] == ["POST /v3/gift-cards/placeOrder"]


def test_a_route_that_the_suppliers_router_does_not_know_is_a_no(told: OneClickDzSupplier, script: Scripted) -> None:
    script.sells()
    script.says({"message": "Route POST:/v3/gift-cards/placeOrder not found", "error": "Not Found", "statusCode": 404}, 404)
    assert isinstance(placing(told, script), Refused)


def test_a_line_that_breaks_after_the_order_was_sent_proves_nothing(told: OneClickDzSupplier, script: Scripted) -> None:
    script.sells()
    script.says(b"", 0)
    with pytest.raises(NoAnswer):
        placing(told, script)


def test_being_turned_away_unread_is_said_as_such(told: OneClickDzSupplier, script: Scripted) -> None:
    script.sells()
    script.says_no(429, "RATE_LIMIT_EXCEEDED")
    with pytest.raises(RateLimited):
        placing(told, script)


@pytest.mark.parametrize("trouble", [(500, b""), (0, b""), (429, b"{}"), (404, b"<html>"), (401, b"{}"), (200, b"[]")])
def test_once_there_is_an_order_trouble_makes_no_refusal_of_it(
    told: OneClickDzSupplier, script: Scripted, trouble: tuple[int, bytes]
) -> None:
    script.sells()
    script.says_yes(PLACED)
    script.says(trouble[1], trouble[0])
    assert placing(told, script) == Accepted("o-1")


@pytest.mark.parametrize("trouble", [(500, b""), (0, b""), (502, b"<html>")])
def test_trouble_before_anything_was_ordered_is_a_refusal_for_now(
    told: OneClickDzSupplier, script: Scripted, trouble: tuple[int, bytes]
) -> None:
    script.says(trouble[1], trouble[0])
    outcome = placing(told, script)
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.UNREACHABLE


@pytest.mark.parametrize(
    ("order", "outcome"),
    [
        (ORDER | {"status": "HANDLING"}, Accepted("o-1")),
        (ORDER | {"status": "REFUNDED", "fulfilled_quantity": 0, "cards": []}, Refused),
        (ORDER | {"status": "CANCELLED"}, Unknown),
        (DONE | {"cards": []}, Unknown),
        (DONE | {"cards": None}, Unknown),
        (DONE | {"quantity": 2, "fulfilled_quantity": 2}, Unknown),
        (DONE | {"fulfilled_amount": 95.001}, Unknown),
        (DONE, Delivered),
        (DONE | {"cards": [{"value": "C", "serial": ""}], "extra": 1}, Delivered),
    ],
)
def test_each_status_has_its_outcome(told: OneClickDzSupplier, script: Scripted, order: Any, outcome: Any) -> None:
    script.sells()
    script.says_yes(PLACED)
    script.says_yes(order)
    found = placing(told, script)
    assert found == outcome if not isinstance(outcome, type) else isinstance(found, outcome)
    if isinstance(found, Delivered):
        assert (found.codes[0].code, found.codes[0].serial) == ("C", None)


def test_pages_that_disagree_are_read_alike(told: OneClickDzSupplier, script: Scripted) -> None:
    script.says_yes({"categories": [{"name": "Steam", "products": [{"id": "p", "title": "P", "enabled": True, "x": 1}]}]})
    kind = {"id": "t", "name": "50 TRY", "price": 295.5, "quantity": 2, "cost": 1, "available": True}
    script.says_yes({"_id": "p", "types": [kind, kind | {"id": "u", "name": "Gold", "price": 0}]})
    steam, gold = told.catalog()
    assert (steam.category, steam.face_minor, steam.currency, steam.cost) == ("Steam", 5_000, "TRY", inr("295.50"))
    assert (gold.face_minor, gold.currency, gold.cost, gold.is_available) == (None, "INR", None, False)


def test_looks_wait_where_there_were_too_many(told: OneClickDzSupplier, script: Scripted) -> None:
    script.says_yes({"categories": [{"title": "S", "products": [{"id": "p", "title": "P"}]}]})
    script.says({}, 429, **{"Retry-After": "7"})
    script.says_yes({"types": []})
    assert list(told.catalog()) == []


def test_a_list_without_an_end_is_odd(told: OneClickDzSupplier, script: Scripted) -> None:
    for _ in range(21):
        script.says_yes({"items": [], "pagination": {"page": 1, "pageSize": 100, "totalPages": 99, "totalResults": 9_900}})
    with pytest.raises(OddAnswer):
        told.lookup(about(a_request(P_T), datetime.now(UTC)))


def test_nobody_there_is_not_sent() -> None:
    setup = Setup("sup_1", Mode.LIVE, "INR", {"base_url": "http://127.0.0.1:1"}, {"api_key": Secret("k")})
    nobody = OneClickDzSupplier(setup)
    with pytest.raises(NotSent):
        nobody.balance()
    outcome = nobody.place(a_request(P_T))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.UNREACHABLE
    nobody.close()


@pytest.mark.parametrize(
    ("config", "key"), [({}, "k"), ({"base_url": "ftp://x"}, "k"), ({"base_url": 7}, "k"), ({"base_url": "https://x"}, "a\nb")]
)
def test_a_configuration_that_cannot_work_is_refused(config: Any, key: str) -> None:
    with pytest.raises(InvalidSupplierConfig):
        OneClickDzSupplier(Setup("sup_1", Mode.LIVE, "INR", config, {"api_key": Secret(key)}))


@pytest.mark.parametrize(
    ("name", "face"),
    [
        ("50 TRY", (5_000, "TRY")),
        ("1,000.50 INR", (100_050, "INR")),
        ("500 JPY", (500, "JPY")),
        ("10 USDT", None),
        ("10.001 USD", None),
        ("Gold pass", None),
        ("5 XYZ", None),
    ],
)
def test_a_types_name_tells_its_face_value(name: str, face: Any) -> None:
    assert face_of(name) == face


def test_a_page_of_somebody_in_between_does_not_end_the_product(script: Scripted, told: OneClickDzSupplier) -> None:
    script.says(b"<html>Just a moment</html>", 403)
    found = told.place(a_request("p/t"))
    assert isinstance(found, Refused)
    assert (found.kind, script.asked) == (RefusalKind.UNREACHABLE, ["GET /v3/validate"])
