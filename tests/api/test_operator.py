"""What an operator's key is shown; and that no partner's key, nor anybody else's, comes near it."""

from __future__ import annotations

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
from cardrail.api.desk import OPERATION
from cardrail.api.v1 import ROUTES
from cardrail.catalog import import_catalog
from cardrail.kernel import FrozenClock, Mode, Money, to_micros
from cardrail.orders import procure_order
from cardrail.sourcing import SUPPLY_VERSION, NewSupplier, SupplierProduct, create_supplier, put_mapping, put_product
from cardrail.storage import bump_version
from tests.api.build import Served, assert_problem

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
        assert not any(word in found.text for word in ("secret-source", "86.42", "43.21", "4321", "8642", "sup_", "att_")), path


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
