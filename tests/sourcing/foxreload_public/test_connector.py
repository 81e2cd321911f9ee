"""The connector against our own dialect, over real HTTP; and against answers that only a supplier in trouble gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cardrail.kernel import Mode, Money, PartnerId, Secret
from cardrail.sourcing import (
    Accepted,
    Answer,
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
from cardrail.sourcing.connectors.foxreload_public import KIND, FoxReloadPublicSupplier
from cardrail.sourcing.connectors.foxreload_public.mapping import codes_of, product_of, refusal_of
from cardrail.sourcing.connectors.foxreload_public.wire import ProductIn
from tests.compat.build import CompatShop
from tests.compat.conftest import shop as hub  # noqa: F401  # the served installation, under the name that it has here
from tests.compat.conftest import shop_settings  # noqa: F401  # a fixture of the hub's
from tests.compat.foxreload.public import ROOT, furnish
from tests.sourcing.oneclickdz.conftest import Scripted

Make = Callable[..., FoxReloadPublicSupplier]
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What is tested is the wire between two hubs."""
    return "sqlite"


@pytest.fixture(scope="module")
def connector_of(hub: CompatShop) -> Iterator[Make]:
    """Makes connectors for accounts at the hub."""
    furnish(hub)
    made: list[FoxReloadPublicSupplier] = []

    def make(partner_id: PartnerId | None = None, *, mode: Mode = Mode.LIVE, url: str | None = None) -> FoxReloadPublicSupplier:
        key = hub.credential("foxreload", mode, partner_id=partner_id or hub.a_partner("100000.00"))["api_key"]
        made.append(a_supplier(url or hub.url + ROOT, key, mode))
        return made[-1]

    yield make
    for one in made:
        one.close()


def a_supplier(url: str, key: str = "key", mode: Mode = Mode.LIVE) -> FoxReloadPublicSupplier:
    return FoxReloadPublicSupplier(Setup("sup_1", mode, "INR", {"base_url": url}, {"api_key": Secret(key)}))


@pytest.fixture
def connector(connector_of: Make) -> FoxReloadPublicSupplier:
    """An account with 100,000.00 at the hub."""
    return connector_of()


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A supplier that does as it is told."""
    made = Scripted()
    yield made
    made.close()


@pytest.fixture
def told(script: Scripted) -> Iterator[FoxReloadPublicSupplier]:
    """A connector to it."""
    made = a_supplier(script.url)
    yield made
    made.close()


def inr(text: str) -> Money:
    return Money.parse(text, "INR")


def a_request(sku: str, quantity: int = 1, *, most: str = "10000.00", face: str = "100", **facts: Any) -> PlaceRequest:
    return PlaceRequest(f"att_{next(NUMBERS)}", sku, quantity, inr(face), inr(most), **facts)


def sku_of(connector: FoxReloadPublicSupplier, name: str) -> str:
    """The supplier's sku of a product."""
    (found,) = [one.sku for one in connector.catalog() if one.name == name]
    return found


def about(placed: PlaceRequest, order_id: str | None = None, *, known: Any = (), at: datetime | None = None) -> LookupRequest:
    return LookupRequest(placed, order_id, at or datetime.now(UTC), frozenset(known))


TEA, SOLDOUT, WALLET, COINS = "Tea voucher 100 INR", "Sold-out card 200 INR", "Wallet card", "Battle coins 100 INR"


# --- hub buys from hub -------------------------------------------------------------------------------------------------


def test_the_catalog_is_read_to_its_end(connector: FoxReloadPublicSupplier) -> None:
    found = {one.name: one for one in connector.catalog()}
    assert (found[TEA].face_minor, found[TEA].cost, found[TEA].currency) == (10_000, inr("95.00"), "INR")
    assert (found[WALLET].min_minor, found[WALLET].max_minor, found[WALLET].cost_bps) == (5_000, 500_000, 9_750)
    assert (found[SOLDOUT].stock, found[SOLDOUT].is_available) == (0, False)
    assert (found[COINS].kind, [one["name"] for one in found[COINS].fields]) == ("topup", ["player_id", "server"])


def test_what_is_in_stock_is_created_paid_and_delivered(connector: FoxReloadPublicSupplier) -> None:
    outcome = connector.place(a_request(sku_of(connector, TEA), 3))
    assert isinstance(outcome, Delivered)
    assert (outcome.cost, len({one.code for one in outcome.codes})) == (inr("285.00"), 3)
    assert connector.balance() == [inr("99715.00")]
    again = connector.lookup(about(a_request(sku_of(connector, TEA), 3), outcome.supplier_order_id))
    assert isinstance(again, Delivered)
    assert again.codes == outcome.codes


def test_an_order_is_found_by_what_it_is(connector: FoxReloadPublicSupplier) -> None:
    placed = a_request(sku_of(connector, TEA), 2)
    assert connector.lookup(about(placed)) == NotFound()
    outcome = connector.place(placed)
    assert isinstance(outcome, Delivered)
    found = connector.lookup(about(placed))
    assert isinstance(found, Delivered)
    assert found.codes == outcome.codes
    assert connector.lookup(about(placed, known=[outcome.supplier_order_id])) == NotFound()
    assert connector.lookup(about(replace(placed, quantity=1))) == NotFound()
    assert connector.lookup(about(placed, at=datetime.now(UTC) - timedelta(hours=1))) == NotFound()
    connector.place(replace(placed, reference="another"))
    assert isinstance(connector.lookup(about(placed)), Unknown)  # two that fit


def test_a_range_is_bought_by_its_amount(connector: FoxReloadPublicSupplier) -> None:
    sku = sku_of(connector, WALLET)
    outcome = connector.place(a_request(sku, 2))
    assert isinstance(outcome, Delivered)
    assert (outcome.cost, len(outcome.codes)) == (inr("195.00"), 2)
    assert connector.price(sku, inr("100"), 2) == inr("195.00")
    refused = connector.place(a_request(sku, face="100.50"))
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.INVALID


@pytest.mark.parametrize(
    ("name", "quantity", "facts", "kind"),
    [
        (SOLDOUT, 1, {}, RefusalKind.OUT_OF_STOCK),
        (TEA, 500, {"most": "100000.00"}, RefusalKind.OUT_OF_STOCK),
        (TEA, 3, {"most": "284.99"}, RefusalKind.PRICE),
        ("Unpriced card 77 INR", 1, {}, RefusalKind.CLOSED),
    ],
)
def test_a_no_is_a_no_and_costs_nothing(
    connector: FoxReloadPublicSupplier, name: str, quantity: int, facts: dict[str, Any], kind: RefusalKind
) -> None:
    outcome = connector.place(a_request(sku_of(connector, name), quantity, **facts))
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
    assert connector.balance() == [inr("100000.00")]


def test_an_account_without_money_is_told_so_and_its_order_is_never_paid(connector_of: Make, hub: CompatShop) -> None:
    poor = connector_of(hub.a_partner("50.00"))
    outcome = poor.place(a_request(sku_of(poor, TEA)))
    assert isinstance(outcome, Refused)
    assert (outcome.kind, poor.balance()) == (RefusalKind.NO_FUNDS, [inr("50.00")])
    assert outcome.supplier_order_id is not None
    assert isinstance(poor.lookup(about(a_request("x"), outcome.supplier_order_id)), Unknown)  # until its time is over


@pytest.mark.parametrize("sku", ["product_" + "0" * 26, "x", "", "../../orders", "%2e%2e/y", "x/amount"])
def test_a_product_that_is_not_known_is_closed(connector: FoxReloadPublicSupplier, sku: str) -> None:
    outcome = connector.place(a_request(sku))
    assert isinstance(outcome, Refused)
    assert outcome.kind in (RefusalKind.CLOSED, RefusalKind.INVALID, RefusalKind.BUSY)


def test_a_topup_takes_its_fields(connector_of: Make) -> None:
    test = connector_of(mode=Mode.TEST)
    sku, fields = sku_of(test, COINS), {"player_id": "7700123", "server": "EU"}
    assert isinstance(test.place(a_request(sku, fields=fields)), Delivered)
    refused = test.place(a_request(sku, fields={"player_id": "7700123"}))
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.INVALID


def test_stock_and_statement(connector: FoxReloadPublicSupplier, hub: CompatShop) -> None:
    tea, soldout, wallet = (sku_of(connector, name) for name in (TEA, SOLDOUT, WALLET))
    connector.place(a_request(tea, 2))
    stock = connector.stock([tea, soldout, wallet])
    assert (stock[soldout], stock[tea] > 0, wallet in stock) == (0, True, False)
    now = datetime.now(UTC)
    (line,) = connector.statement(now - timedelta(minutes=1), now + timedelta(minutes=1))
    assert (line.amount, line.kind) == (inr("190.00"), "order")
    assert list(connector.statement(now - timedelta(hours=2), now - timedelta(hours=1))) == []


def test_a_wrong_key_is_told(hub: CompatShop) -> None:
    wrong = a_supplier(hub.url + ROOT, "fr_live_wrong")
    with pytest.raises(CredentialsRefused):
        wrong.balance()
    outcome = wrong.place(a_request("product_x"))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.BUSY
    wrong.close()


# --- a supplier in trouble ---------------------------------------------------------------------------------------------

PRODUCT = {"id": "p", "price": "95.00", "currency": "inr", "quantity": None, "attributes": {"amount": 100, "currency": "INR"}}


def an_order(status: str, **facts: Any) -> dict[str, Any]:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    item = {
        "itemId": "p",
        "quantity": 1,
        **({"externalData": facts.pop("data")} if "data" in facts else {}),
        **facts.pop("item", {}),
    }
    return {"id": "o-1", "status": status, "createdAt": created, "price": "95.00", "currency": "inr", "items": [item], **facts}


def no(code: str) -> dict[str, str]:
    return {"code": code, "detail": "no"}


def test_the_happy_path_is_five_requests_at_most(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says(PRODUCT)
    script.says(an_order("active"), 201)
    script.says({"id": "pay_1"})
    script.says(an_order("processing"))
    assert told.place(a_request("p")) == Accepted("o-1")
    assert script.asked == ["GET /products/p", "POST /orders/", "POST /orders/o-1/pay", "GET /orders/o-1"]
    script.says(an_order("completed", data=["AAAA;11"]))
    found = told.lookup(about(a_request("p"), "o-1"))
    assert isinstance(found, Delivered)
    assert [(one.code, one.pin) for one in found.codes] == [("AAAA", "11")]


@pytest.mark.parametrize("trouble", [(0, b""), (500, b"{}"), (201, b"<html>"), (409, b'{"code": "ORDER_ALREADY_EXISTS"}')])
def test_a_creation_that_was_lost_is_found_and_paid_once(
    script: Scripted, told: FoxReloadPublicSupplier, trouble: tuple[int, bytes]
) -> None:
    script.says(PRODUCT)
    script.says(trouble[1], trouble[0])
    script.says({"items": [an_order("active"), an_order("cancelled", id="o-0")]})
    script.says({"id": "pay_1"})
    script.says(an_order("completed", data=["AAAA"]))
    assert isinstance(told.place(a_request("p")), Delivered)
    assert script.asked.count("POST /orders/") == script.asked.count("POST /orders/o-1/pay") == 1


@pytest.mark.parametrize("listed", [[], [{"id": "o-1"}, {"id": "o-2"}]])
def test_a_creation_that_was_lost_and_is_not_found_alone_is_unknown_and_not_paid(
    script: Scripted, told: FoxReloadPublicSupplier, listed: list[dict[str, str]]
) -> None:
    script.says(PRODUCT)
    script.says(b"", 0)
    script.says({"items": [an_order("active", **one) for one in listed]})
    outcome = told.place(a_request("p"))
    assert isinstance(outcome, Unknown)
    assert outcome.supplier_order_id is None
    assert not any(one.endswith("/pay") for one in script.asked)


@pytest.mark.parametrize("trouble", [(0, b""), (500, b"{}"), (502, b"<html>"), (400, b"{}"), (418, b"x")])
def test_a_payment_that_was_lost_is_unknown_with_its_order(
    script: Scripted, told: FoxReloadPublicSupplier, trouble: tuple[int, bytes]
) -> None:
    script.says(PRODUCT)
    script.says(an_order("active"), 201)
    script.says(trouble[1], trouble[0])
    outcome = told.place(a_request("p"))
    assert isinstance(outcome, Unknown)
    assert outcome.supplier_order_id == "o-1"


@pytest.mark.parametrize(
    ("status", "kind"), [("completed", Delivered), ("processing", Accepted), ("active", Refused), ("cancelled", Refused)]
)
def test_a_payment_that_is_not_possible_is_decided_by_the_order(
    script: Scripted, told: FoxReloadPublicSupplier, status: str, kind: type
) -> None:
    script.says(PRODUCT)
    script.says(an_order("active"), 201)
    script.says(no("ORDER_PAYMENT_NOT_POSSIBLE"), 400)
    script.says(an_order(status, data=["AAAA"]))
    assert isinstance(told.place(a_request("p")), kind)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BALANCE_NOT_ENOUGH", RefusalKind.NO_FUNDS),
        ("OUT_OF_STOCK", RefusalKind.OUT_OF_STOCK),
        ("OFFER_PRICE_NOT_MATCHED", RefusalKind.PRICE),
        ("VALIDATION_ERROR", RefusalKind.INVALID),
    ],
)
def test_a_documented_no_to_a_creation_is_a_no(
    script: Scripted, told: FoxReloadPublicSupplier, code: str, kind: RefusalKind
) -> None:
    script.says(PRODUCT)
    script.says(no(code), 409)
    assert told.place(a_request("p")) == Refused(code, kind)


def test_being_turned_away_proves_that_nothing_was_bought(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says(PRODUCT)
    script.says(an_order("active"), 201)
    script.says(no("RATE_LIMITED"), 429, **{"Retry-After": "7"})
    with pytest.raises(RateLimited):
        told.place(a_request("p"))
    nobody = a_supplier("http://127.0.0.1:9")
    with pytest.raises(NotSent):
        nobody.place(a_request("p"))
    nobody.close()


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        (an_order("failed"), Refused),
        (an_order("cancelled"), Refused),
        (an_order("canceled"), Refused),
        (an_order("completed", data=[]), Unknown),
        (an_order("completed", data=["A", "B"]), Unknown),
        (an_order("completed", data=[], item={"error": "no stock"}), Refused),
        (an_order("completed", data={"code": "A", "pin": "1"}), Delivered),
        (an_order("something new"), Accepted),
        (an_order("active"), Unknown),
        (an_order("active", paymentExpiresAt="2020-01-01T00:00:00Z"), Refused),
    ],
)
def test_what_an_order_says(script: Scripted, told: FoxReloadPublicSupplier, order: dict[str, Any], kind: type) -> None:
    script.says(order)
    assert isinstance(told.lookup(about(a_request("p"), "o-1")), kind)


def test_a_part_costs_its_part(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says(an_order("completed", data=["A", "B"], price="285.00", item={"quantity": 3, "error": "1 of 3"}))
    outcome = told.lookup(about(a_request("p", 3), "o-1"))
    assert isinstance(outcome, Delivered)
    assert (len(outcome.codes), outcome.cost) == (2, inr("190.00"))


def test_a_topup_without_a_code_is_whole_when_nothing_is_wrong(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says(an_order("completed", data=[]))
    outcome = told.lookup(about(a_request("p", fields={"player_id": "7"}), "o-1"))
    assert isinstance(outcome, Delivered)
    assert [one.code for one in outcome.codes] == ["o-1"]


def test_all_that_fit_were_stopped(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says({"items": [an_order("cancelled"), an_order("failed", id="o-2")]})
    outcome = told.lookup(about(a_request("p")))
    assert isinstance(outcome, Refused)


def test_where_the_price_cannot_be_looked_at_nothing_was_bought(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    for status, body in ((200, b"<html>"), (0, b""), (200, b'{"id": 7}')):
        script.says(body, status)
        found = told.place(a_request("sku"))
        assert isinstance(found, Refused)
        assert (found.kind, len(script.answers)) == (RefusalKind.UNREACHABLE, 0)
    assert not any(one.startswith("POST") for one in script.asked)


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_page_of_somebody_in_between_is_no_refusal(status: int) -> None:
    assert refusal_of(Answer(status, {}, b"<html>Just a moment</html>")) is None
    assert isinstance(refusal_of(Answer(status, {}, b'{"detail": "no"}')), Refused)


def test_questions_that_are_not_answered_raise(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says(b"<html>")
    with pytest.raises(OddAnswer):
        told.balance()
    script.says({}, 500)
    with pytest.raises(OddAnswer):
        list(told.catalog())
    script.says(b"", 0)
    with pytest.raises(NoAnswer):
        told.lookup(about(a_request("p"), "o-1"))
    for _ in range(2):
        script.says({"items": [], "nextCursor": "c"})
    with pytest.raises(OddAnswer):
        list(told.catalog())


def test_balances_have_several_names(script: Scripted, told: FoxReloadPublicSupplier) -> None:
    script.says([{"currency": "usd", "available": "1.50"}, {"currency": "inr", "amount": 2}, {"currency": "eur", "balance": "3"}])
    assert [str(one.amount) for one in told.balance()] == ["1.50", "2.00", "3.00"]


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (None, []),
        ("A;1", [("A", "1", None)]),
        (["A", {"code": "B", "pin": "2"}, {"codes": ["C"]}], [("A", None, None), ("B", "2", None), ("C", None, None)]),
        (["https://x.example/1"], [(None, None, "https://x.example/1")]),
        ([None, {}], []),
        (["A", "", 7], [("A", None, None), (None, None, None), (None, None, None)]),  # so that nobody takes it for whole
    ],
)
def test_codes_come_in_many_forms(data: Any, codes: list[tuple[str | None, str | None, str | None]]) -> None:
    assert [(one.code, one.pin, one.url) for one in codes_of(data)] == codes


@pytest.mark.parametrize("facts", [{}, {"currency": "zzz", "amount": 5}, {"amount": "x", "currency": "INR"}, {"currency": "INR"}])
def test_a_product_that_cannot_be_counted_is_left_out(facts: dict[str, Any]) -> None:
    assert product_of(ProductIn("p", attributes=facts, price=Decimal(1), currency="inr")) is None


def test_what_it_declares() -> None:
    assert FoxReloadPublicSupplier.capabilities.lookup is Lookup.BY_MATCH
    assert not FoxReloadPublicSupplier.capabilities.is_idempotent
    assert [one.name for one in KIND.fields] == ["base_url", "api_key"]


@pytest.mark.parametrize(
    ("config", "secrets"), [({}, {"api_key": Secret("k")}), ({"base_url": "x"}, {}), ({"base_url": "http://h"}, {})]
)
def test_a_wrong_setting_is_told(config: dict[str, Any], secrets: dict[str, Secret]) -> None:
    with pytest.raises(InvalidSupplierConfig):
        FoxReloadPublicSupplier(Setup("sup_1", Mode.LIVE, "INR", config, secrets))
