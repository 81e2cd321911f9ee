"""FoxReload V1 as a supplier: our connector buys from our dialect over real HTTP, and from a server that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cardrail.access import SecretSealer
from cardrail.kernel import Mode, Money, PlainCode, Secret, to_micros
from cardrail.sourcing import (
    SUPPLY_VERSION,
    Accepted,
    Connector,
    CredentialsRefused,
    Delivered,
    InvalidSupplierConfig,
    LookupRequest,
    NewSupplier,
    NotFound,
    NotSupported,
    OddAnswer,
    PlaceRequest,
    RateLimited,
    RefusalKind,
    Refused,
    Setup,
    SupplierProduct,
    Unknown,
    create_supplier,
    put_mapping,
    put_product,
)
from cardrail.sourcing.connectors.foxreload_v1.connector import FoxReloadV1Supplier, key_of
from cardrail.storage import Database, bump_version
from tests.compat.build import CompatShop
from tests.compat.finperks.test_hub import Losing
from tests.sourcing.build import Supplied, of, states, supplied
from tests.webhooks.receiver import Receiver, a_receiver, status

NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """Each hub is tested on both databases elsewhere."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The supplier's V1 is in rupees."""
    path = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    path.write_text('[foxreload.v1]\ncurrency = "INR"\n')
    return {"dialect_profiles": path}


def connector(base_url: str, key: str, unit: str = "INR") -> FoxReloadV1Supplier:
    return FoxReloadV1Supplier(Setup("sup_1", Mode.LIVE, unit, {"base_url": base_url}, {"api_key": Secret(key)}))


@pytest.fixture
def upstream(shop: CompatShop) -> Iterator[FoxReloadV1Supplier]:
    made = connector(f"{shop.url}/compat/foxreload", shop.credential("foxreload")["api_key"])
    yield made
    made.close()


@pytest.fixture
def sandbox(shop: CompatShop) -> Iterator[FoxReloadV1Supplier]:
    made = connector(f"{shop.url}/compat/foxreload", shop.credential("foxreload", Mode.TEST)["api_key"])
    yield made
    made.close()


def a_request(sku: str = "TEA", quantity: int = 1, reference: str = "att_1", **facts: Any) -> PlaceRequest:
    return PlaceRequest(reference, sku, quantity, Money.parse("100", "INR"), Money.parse("10000", "INR"), **facts)


def about(request: PlaceRequest, order_id: str | None) -> LookupRequest:
    return LookupRequest(request, order_id, NOW)


# --- with our own dialect opposite --------------------------------------------------------------------------------------


def test_an_order_is_accepted_and_its_codes_are_fetched(shop: CompatShop, upstream: FoxReloadV1Supplier) -> None:
    before, request = shop.balance(), a_request("BOOKS", 7, "att_bought")
    accepted = upstream.place(request)
    assert isinstance(accepted, Accepted)
    delivered = upstream.lookup(about(request, accepted.supplier_order_id))
    assert isinstance(delivered, Delivered)
    assert len({one.code for one in delivered.codes}) == 7
    assert (delivered.cost, before - shop.balance()) == (Money.parse("225.12", "INR"), 22512)


def test_a_repeat_is_the_same_order_and_charged_once(shop: CompatShop, upstream: FoxReloadV1Supplier) -> None:
    before, request = shop.balance(), a_request(reference="att_again")
    first = upstream.place(request)
    assert upstream.place(request) == first
    assert before - shop.balance() == 9500
    conflict = upstream.place(a_request("BOOKS", reference="att_again"))
    assert isinstance(conflict, Unknown)
    assert before - shop.balance() == 9500


@pytest.mark.parametrize(
    ("sku", "quantity", "kind"),
    [
        ("SOLDOUT", 1, RefusalKind.OUT_OF_STOCK),
        ("NOTHING", 1, RefusalKind.CLOSED),
        ("TEA", 1_001, RefusalKind.INVALID),
    ],
)
def test_a_documented_no_is_a_no(
    shop: CompatShop, upstream: FoxReloadV1Supplier, sku: str, quantity: int, kind: RefusalKind
) -> None:
    before = shop.balance()
    refused = upstream.place(a_request(sku, quantity, f"att_{sku}"))
    assert isinstance(refused, Refused)
    assert (refused.kind, shop.balance()) == (kind, before)


def test_an_empty_wallet_and_a_wrong_key_are_told_apart(shop: CompatShop) -> None:
    poor = connector(f"{shop.url}/compat/foxreload", shop.credential("foxreload", partner_id=shop.a_partner("1.00"))["api_key"])
    wrong = connector(f"{shop.url}/compat/foxreload", "fr_live_wrong")
    no_funds, refused = poor.place(a_request()), wrong.place(a_request())
    assert isinstance(no_funds, Refused)
    assert isinstance(refused, Refused)
    assert (no_funds.kind, refused.kind) == (RefusalKind.NO_FUNDS, RefusalKind.BUSY)
    with pytest.raises(CredentialsRefused):
        wrong.balance()
    poor.close()
    wrong.close()


def test_a_failed_and_a_waiting_and_an_unknown_order(sandbox: FoxReloadV1Supplier) -> None:
    failed, waiting = a_request("TEST_REFUND", reference="att_f"), a_request("TEST_PENDING", reference="att_w")
    outcomes = [sandbox.place(failed), sandbox.place(waiting)]
    assert all(isinstance(one, Accepted) for one in outcomes)
    looked = [sandbox.lookup(about(one, out.supplier_order_id)) for one, out in zip((failed, waiting), outcomes, strict=True)]
    assert isinstance(looked[0], Refused)
    assert looked[0].kind is RefusalKind.FAILED
    assert isinstance(looked[1], Accepted)
    assert sandbox.lookup(about(failed, "ord_q7w2e9")) == NotFound()
    with pytest.raises(NotSupported):
        sandbox.lookup(about(failed, None))


def test_what_the_supplier_has_and_asks_for_it(upstream: FoxReloadV1Supplier) -> None:
    wares = {one.sku: one for one in upstream.catalog()}
    tea = wares["TEA"]
    assert (tea.currency, tea.face_minor, tea.cost, tea.countries) == ("INR", 10000, Money.parse("95", "INR"), ("IN",))
    assert (tea.is_available, wares["SOLDOUT"].is_available, wares["SOLDOUT"].stock) == (True, False, 0)
    assert upstream.stock(["TEA", "SOLDOUT", "NOTHING"]).keys() == {"TEA", "SOLDOUT"}
    assert upstream.price("BOOKS", Money.parse("33.33", "INR"), 7) == Money.parse("225.12", "INR")
    assert [one.currency.code for one in upstream.balance()] == ["INR"]


def test_the_statement_has_what_was_bought_oldest_first(shop: CompatShop) -> None:
    key = shop.credential("foxreload", partner_id=shop.a_partner())["api_key"]
    mine = connector(f"{shop.url}/compat/foxreload", key)
    for number in (1, 2):
        mine.place(a_request("TEA", number, f"att_s{number}"))
    now = datetime.now(UTC)
    lines = list(mine.statement(now - timedelta(hours=1), now + timedelta(hours=1)))
    assert [(one.reference, one.amount.amount) for one in lines] == [("att_s1", "95.00"), ("att_s2", "190.00")]
    assert list(mine.statement(now + timedelta(hours=1), now + timedelta(hours=2))) == []
    mine.close()


# --- with a server that answers as it is told ---------------------------------------------------------------------------


@pytest.fixture
def script() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one


def answering(script: Receiver, code: int, body: Any = None, **headers: str) -> FoxReloadV1Supplier:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    script.answer = status(code, raw, headers)
    return connector(f"http://127.0.0.1:{script.port}", "k", "USD")


def placed(one: FoxReloadV1Supplier, request: PlaceRequest | None = None) -> Any:
    try:
        return one.place(request or a_request())
    finally:
        one.close()


ORDER = {"order_id": "ord_q7w2e9", "status": "delivered", "unit_price_usd": "15.90", "wholesale_cost_usd": "15.90"}


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (500, {"error": "internal_error"}),
        (503, b""),
        (409, {"error": "something_new"}),
        (404, b"<html>not here</html>"),
        (422, {"error": "idempotency_conflict"}),
    ],
)
def test_what_is_no_documented_no_is_unknown(script: Receiver, code: int, body: Any) -> None:
    assert isinstance(placed(answering(script, code, body)), Unknown)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"order_id":"ord_1","sta', [], {"status": "delivered"}, {"order_id": 5}])
def test_half_an_answer_is_no_answer(script: Receiver, body: Any) -> None:
    with pytest.raises(OddAnswer):
        placed(answering(script, 201, body))


def test_a_limit_is_waited_for(script: Receiver) -> None:
    with pytest.raises(RateLimited) as limited:
        placed(answering(script, 429, {"error": "rate_limited"}, **{"Retry-After": "30"}))
    assert limited.value.facts["retry_after_seconds"] == 30


@pytest.mark.parametrize(
    ("delivery", "codes"),
    [
        ({"codes": [{"type": "redeem_code", "code": "A", "pin": "1"}]}, (PlainCode("A", "1"),)),
        ({"delivery_data": {"code": "B", "type": "redeem_code"}}, (PlainCode("B"),)),
        ({"delivery_data": "C", "codes": []}, (PlainCode("C"),)),
        ({"codes": [{"code": "A"}], "delivery_data": {"code": "B"}, "colour": "red"}, (PlainCode("A"),)),
    ],
)
def test_codes_are_read_wherever_they_are(script: Receiver, delivery: Any, codes: tuple[PlainCode, ...]) -> None:
    delivered = placed(answering(script, 201, ORDER | delivery))
    assert isinstance(delivered, Delivered)
    assert (delivered.codes, delivered.cost) == (codes, Money.parse("15.90", "USD"))


def test_a_delivery_without_codes_or_with_too_many_is_unknown(script: Receiver) -> None:
    for codes in ([], [{"code": "A"}, {"code": "B"}]):
        assert isinstance(placed(answering(script, 201, ORDER | {"codes": codes})), Unknown)
    half = answering(script, 201, ORDER | {"codes": [{"code": "A"}, {"code": ""}]})
    assert isinstance(placed(half, replace(a_request(), quantity=2)), Unknown)


def test_a_state_that_is_not_known_is_not_yet(script: Receiver) -> None:
    assert isinstance(placed(answering(script, 201, ORDER | {"status": "shipped"})), Accepted)


def test_the_key_is_a_uuid_of_version_4_and_the_same_for_the_same_reference(script: Receiver) -> None:
    placed(answering(script, 201, ORDER | {"status": "reserved"}), a_request(reference="att_x", fields={"player_id": "77"}))
    (came,) = script.received
    sent = {name.lower(): value for name, value in came.headers.items()}
    assert UUID(sent["idempotency-key"]).version == 4
    assert sent["idempotency-key"] == key_of("att_x") != key_of("att_y")
    assert sent["authorization"] == "Bearer k"
    wanted = {"sku": "TEA", "quantity": 1, "currency": "USD", "reference": "att_x", "note": {"player_id": "77"}}
    assert came.json == wanted


def test_pages_that_never_end_are_not_read_for_ever(script: Receiver) -> None:
    class Pages(FoxReloadV1Supplier):
        """GETs are answered from here."""

    made = Pages(Setup("s", Mode.LIVE, "USD", {"base_url": f"http://127.0.0.1:{script.port}"}, {"api_key": Secret("k")}))
    pages = iter(['{"data":[],"next_cursor":"a"}', '{"data":[],"next_cursor":"b"}', '{"data":[],"next_cursor":"a"}'] * 3)
    made._http.request = lambda *_, **__: _answer(next(pages))  # type: ignore[method-assign]  # the other side of the line
    with pytest.raises(OddAnswer):
        list(made.catalog())
    made.close()


def _answer(text: str) -> Any:
    from cardrail.sourcing.http import Answer

    return Answer(200, {}, text.encode())


@pytest.mark.parametrize(
    ("config", "secrets"), [({}, {"api_key": Secret("k")}), ({"base_url": "ftp://x"}, {}), ({"base_url": "https://x"}, {})]
)
def test_a_configuration_that_cannot_work_is_refused(config: dict[str, Any], secrets: dict[str, Secret]) -> None:
    with pytest.raises(InvalidSupplierConfig):
        FoxReloadV1Supplier(Setup("s", Mode.LIVE, "USD", config, secrets))


# --- a hub that buys from a hub -----------------------------------------------------------------------------------------


def hub(db: Database, folder: Path, buys_from: Connector) -> Supplied:
    """A shop without stock whose game card is the supplier's tea voucher."""
    world = supplied(db, folder)
    facts = NewSupplier("upstream", "foxreload_v1", Mode.LIVE, "INR", {"base_url": "https://x"})
    row = create_supplier(db, world.clock, world.audit, SecretSealer(b"s" * 32), facts, {"api_key": Secret("b")}, actor="test")
    world.connectors.put(row, buys_from)
    offer, now = world.catalog.current().offer("CARD"), to_micros(world.clock.now())
    assert offer is not None
    product = SupplierProduct("TEA", "Tea", "INR", face_minor=100_00, cost=Money.parse("95.00", "INR"))
    with db.transaction() as tx:
        put_product(tx, row.id, product, "INR", now)
        put_mapping(tx, offer.denomination_id, row.id, "TEA", is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    return world


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("losses", [0, 3])
def test_a_hub_buys_from_a_hub_once_though_answers_are_lost(
    shop: CompatShop, upstream: FoxReloadV1Supplier, db: Database, tmp_path: Path, losses: int
) -> None:
    before, losing = shop.balance(), Losing(upstream, losses)
    world = hub(db, tmp_path, losing)
    done = world.bought("CARD", 2)
    assert states(done) == ("FULFILLED", ["FULFILLED"])
    assert of(world.attempts(done)) == [("delivered", 2, 2)]
    assert all(code.startswith("TEA-") for code in world.shown(done))
    assert len(set(losing.placed)) == 1
    assert before - shop.balance() == 190_00
    assert world.findings() == []
