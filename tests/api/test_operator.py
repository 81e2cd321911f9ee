"""What an operator's key is shown; and that no partner's key, nor anybody else's, comes near it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from cardrail.access import (
    ALL_SCOPES,
    OPERATOR_SCOPES,
    InvalidKeyRequest,
    UnknownScope,
    create_credential,
    create_key,
    create_operator_key,
    list_operator_keys,
    revoke_operator_key,
)
from cardrail.alerts import Alert, AlertState
from cardrail.alerts.store import insert_alert
from cardrail.api.desk import OPERATION
from cardrail.api.v1 import ROUTES
from cardrail.catalog import import_catalog
from cardrail.config import Settings
from cardrail.kernel import FrozenClock, Mode, Money, new_id, to_micros
from cardrail.orders import procure_order
from cardrail.sourcing import (
    SUPPLY_VERSION,
    NewSupplier,
    Notice,
    SupplierProduct,
    create_supplier,
    get_supplier,
    keep_notice,
    put_mapping,
    put_product,
)
from cardrail.storage import bump_version
from tests.api.build import Served, assert_problem
from tests.api.conftest import serving

SHEET = b"""product_code,name,brand,category,kind,country,currency,denomination_type,face_values,discount_percent,sourcing
LATER,Later card,Tea house,Food,code,IN,INR,fixed,100,5,on_demand
"""


@pytest.fixture
def backend() -> str:
    """Who is shown what does not depend on the database."""
    return "sqlite"


def operator(server: Served, **facts: Any) -> httpx2.Client:
    part = server.cardrail
    given = {"name": "dashboard", "scopes": OPERATOR_SCOPES, "actor": "test"} | facts
    _, token = create_operator_key(part.db, part.clock, part.audit, **given)
    return client(server, token.reveal())


def client(server: Served, token: str) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}, trust_env=False)


def bought(server: Served) -> str:
    """An order of the partner's that was bought from a supplier called secret-source."""
    part = server.cardrail
    import_catalog(part.db, part.clock, part.audit, SHEET, actor="test")
    part.catalog.refresh()
    new = NewSupplier("secret-source", "simulated", Mode.LIVE, "INR", {"pretend": True, "unit_cost_minor": 4_321})
    row = create_supplier(part.db, part.clock, part.audit, part.sealer, new, {}, actor="test")
    offer, now = part.catalog.current().offer("LATER"), to_micros(part.clock.now())
    assert offer is not None
    with part.db.transaction() as tx:
        product = SupplierProduct("L", "Later", "INR", face_minor=100_00, cost=Money.parse("43.21", "INR"))
        put_product(tx, row.id, product, "INR", now)
        put_mapping(tx, offer.denomination_id, row.id, "L", is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    order_id = server.live.post("/v1/orders", json={"items": [{"sku": "LATER", "quantity": 2}]}).json()["id"]
    procure_order(part.buying, order_id)
    return str(order_id)


def test_the_operator_is_told_in_words_how_an_order_was_bought(server: Served) -> None:
    order_id = bought(server)
    with operator(server) as asking:
        told = asking.get(f"/v1/operator/orders/{order_id}/trace")
        assert told.status_code == 200, told.text
        (line,) = told.json()["lines"]
        (attempt,) = line["attempts"]
        assert (attempt["supplier"], attempt["state"], attempt["cost"]) == (
            "secret-source",
            "delivered",
            {"amount": "86.42", "currency": "INR"},
        )
        assert any("secret-source" in step["text"] for step in line["steps"])
        codes = [one["code"] for item in server.live.get(f"/v1/orders/{order_id}/codes").json()["items"] for one in item["codes"]]
        assert len(codes) == 2
        assert not any(code in told.text for code in codes)
        stock = server.live.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 1}]}).json()["id"]
        assert asking.get(f"/v1/operator/orders/{stock}/trace").json()["lines"] == []
        for unknown in ("ord_01K0000000000000000000000", "x", "ord_%00"):
            assert_problem(asking.get(f"/v1/operator/orders/{unknown}/trace"), 404, "order_not_found")


def test_no_partner_s_credential_opens_it_and_nothing_of_a_partner_s_tells_suppliers(server: Served) -> None:
    part, order_id = server.cardrail, bought(server)
    path = f"/v1/operator/orders/{order_id}/trace"
    other = server.world.a_partner("INR", "100.00").partner_id
    _, whole = create_key(part.db, part.clock, part.audit, other, Mode.LIVE, name="x", scopes=ALL_SCOPES, actor="test")
    issued = create_credential(
        part.db, part.clock, part.audit, part.sealer, other, Mode.LIVE, "foxreload", name="x", scopes=ALL_SCOPES, actor="test"
    )
    for token in (whole.reveal(), issued.fields["api_key"].reveal(), "cr_op_" + "0" * 40, "x"):
        with client(server, token) as asking:
            assert_problem(asking.get(path), 401, "invalid_api_key")
    assert_problem(server.live.get(path), 401, "invalid_api_key")
    for path in (f"/v1/orders/{order_id}", f"/v1/orders/{order_id}/codes", "/v1/orders", "/v1/events", "/v1/transactions"):
        found = server.live.get(path)
        assert found.status_code == 200
        # Minor units as whole words: ids and moments hold such digits by chance.
        told = re.findall(r"secret-source|86\.42|43\.21|(?<!\w)(?:4321|8642)(?!\w)|sup_|att_", found.text)
        assert told == [], (path, found.text)


def test_the_scope_cannot_be_given_to_an_api_key_and_an_operator_s_key_opens_nothing_else(server: Served) -> None:
    part = server.cardrail
    assert not OPERATOR_SCOPES.keys() & ALL_SCOPES
    with pytest.raises(UnknownScope):
        create_key(
            part.db, part.clock, part.audit, server.partner_id, Mode.LIVE, name="x", scopes=["operator:read"], actor="test"
        )
    ended = datetime(2020, 1, 1, tzinfo=UTC)
    odd: list[dict[str, Any]] = [{"scopes": ["orders:read"]}, {"scopes": []}, {"name": " "}, {"expires_at": ended}]
    for facts in odd:
        with pytest.raises(InvalidKeyRequest):
            operator(server, **facts)
    paths = sorted(
        (method, path)
        for route in ROUTES
        if not (route.opt[OPERATION].is_operator or route.opt[OPERATION].is_public)
        for path in route.paths
        for method in route.http_methods
        if method in ("GET", "POST")
    )
    assert len(paths) > 20
    with operator(server) as asking:
        for method, path in paths[:12]:  # more would count as too many failures
            asked = asking.request(method, path.replace("{order_id:str}", "ord_1").replace(":str}", "}"))
            assert asked.status_code in (401, 429), path


def test_a_key_ends_when_it_is_revoked_or_over_or_elsewhere(server: Served) -> None:
    part, path = server.cardrail, "/v1/operator/orders/ord_1/trace"
    key, token = create_operator_key(part.db, part.clock, part.audit, name="a", scopes=OPERATOR_SCOPES, actor="test")
    with client(server, token.reveal()) as asking:
        assert asking.get(path).status_code == 404
        revoke_operator_key(part.db, part.clock, part.audit, key.id, actor="test")
        assert_problem(asking.get(path), 401, "api_key_revoked")
    past = FrozenClock(part.clock.now() - timedelta(days=2))
    over = past.now() + timedelta(days=1)
    _, token = create_operator_key(part.db, past, part.audit, name="b", scopes=OPERATOR_SCOPES, expires_at=over, actor="test")
    with client(server, token.reveal()) as asking:
        assert_problem(asking.get(path), 401, "api_key_expired")
    with operator(server, networks=["192.0.2.0/24"]) as asking:
        assert asking.get(path).status_code == 403
    with part.db.read() as tx:
        assert [one.revoked_at is not None for one in list_operator_keys(tx)] == [True, False, False]


def an_alert(server: Served) -> str:
    """The first thing that the operator should know."""
    part, now = server.cardrail, to_micros(server.cardrail.clock.now())
    one = Alert(new_id("alr"), "supplier.down", "sup_1", AlertState.OPEN, 2, {"supplier": "fox"}, now, now)
    with part.db.transaction() as tx:
        insert_alert(tx, one)
    return one.id


def test_alerts_are_listed_and_acknowledged_by_keys_that_may(server: Served) -> None:
    alert_id = an_alert(server)
    with operator(server) as asking, operator(server, scopes=["operator:alerts"]) as reader:
        (found,) = reader.get("/v1/operator/alerts").json()["data"]
        assert (found["id"], found["state"], found["count"]) == (alert_id, "open", 2)
        assert "Supplier fox does not answer" in found["text"]
        path = f"/v1/operator/alerts/{alert_id}/acknowledge"
        assert_problem(reader.post(path), 403, "scope_missing")
        first, again = asking.post(path), asking.post(path)
        assert (first.status_code, first.json()["state"], again.json()) == (200, "acknowledged", first.json())
        assert first.json()["acknowledged_by"].startswith("opk_")
        assert len(asking.get("/v1/operator/alerts", params={"state": "all", "kind": "stock.low"}).json()["data"]) == 0
        for unknown in ("alr_01K0000000000000000000000", "x", "alr_%00"):
            assert_problem(asking.post(f"/v1/operator/alerts/{unknown}/acknowledge"), 404, "alert_not_found")
    assert_problem(server.live.get("/v1/operator/alerts"), 401, "invalid_api_key")


def test_what_suppliers_webhooks_said_is_listed(server: Served) -> None:
    part = server.cardrail
    bought(server)
    with part.db.transaction() as tx:
        supplier = get_supplier(tx, "secret-source").id
        keep_notice(tx, supplier, Notice("id:1", "order.delivered", supplier_order_id="a-1"), 1)
    path = "/v1/operator/supplier-notices"
    with operator(server) as asking:
        (found,) = asking.get(path, params={"state": "waiting", "supplier_id": supplier}).json()["data"]
        assert (found["supplier"], found["event"], found["supplier_order_id"]) == ("secret-source", "order.delivered", "a-1")
        assert asking.get(path, params={"state": "review"}).json()["data"] == []
        assert_problem(asking.get(path, params={"state": "lost"}), 400, "invalid_query")
    assert_problem(server.live.get(path), 401, "invalid_api_key")


def test_an_operator_s_key_has_a_rate_limit_of_its_own(settings: Settings) -> None:
    with serving(settings.model_copy(update={"operator_requests_per_minute": 2})) as server, operator(server) as asking:
        answers = [asking.get("/v1/operator/alerts") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert answers[1].headers["ratelimit"].startswith('"requests";r=0;t=')
        assert 0 < int(answers[2].headers["retry-after"]) <= 60
        assert_problem(answers[2], 429, "too_many_requests")
        with operator(server) as other:
            assert other.get("/v1/operator/alerts").status_code == 200


def test_operator_lists_go_on_from_their_cursor(server: Served) -> None:
    part = server.cardrail
    bought(server)
    ids, now = [], to_micros(part.clock.now())
    with part.db.transaction() as tx:
        supplier = get_supplier(tx, "secret-source").id
        for number in range(5):
            keep_notice(tx, supplier, Notice(f"id:{number}", "order.delivered", supplier_order_id=f"a-{number}"), number + 1)
            one = Alert(new_id("alr"), "supplier.down", f"sup_{number}", AlertState.OPEN, 1, {"supplier": "fox"}, now, now)
            insert_alert(tx, one)
            ids.append(one.id)
    following: dict[str, str] = {}
    with operator(server) as asking:
        for path in ("/v1/operator/alerts", "/v1/operator/supplier-notices"):
            pages: list[list[str]] = []
            following = {}
            while True:
                page = asking.get(path, params={"limit": 2, **following}).json()
                pages.append([one["id"] for one in page["data"]])
                if page["next_cursor"] is None:
                    break
                following = {"cursor": page["next_cursor"]}
            assert [len(one) for one in pages] == [2, 2, 1]
            flat = [one for page in pages for one in page]
            assert flat == sorted(set(flat), reverse=True)
            if path.endswith("alerts"):
                assert flat == ids[::-1]
            assert_problem(
                asking.get(path, params={**following, "state": "all" if "alerts" in path else "done"}), 400, "invalid_cursor"
            )
            assert_problem(asking.get(path, params={"limit": 501}), 400, "invalid_query")
        assert_problem(asking.get("/v1/operator/alerts", params=following), 400, "invalid_cursor")
