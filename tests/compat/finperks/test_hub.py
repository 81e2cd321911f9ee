"""A hub that buys from a hub: an order of ours is bought over HTTP through the Finperks protocol, and never twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardrail.access import SecretSealer
from cardrail.kernel import Mode, Money, Secret, to_micros
from cardrail.sourcing import (
    SUPPLY_VERSION,
    BaseConnector,
    Capabilities,
    Connector,
    LookupOutcome,
    LookupRequest,
    NewSupplier,
    NoAnswer,
    Outcome,
    PlaceRequest,
    SupplierProduct,
    create_supplier,
    put_mapping,
    put_product,
)
from cardrail.storage import Database, bump_version
from tests.compat.build import CompatShop
from tests.compat.finperks.test_connector import connector, sku
from tests.sourcing.build import Supplied, of, states, supplied


class Losing(BaseConnector):
    """The connector on a bad line: the first answers to ``place`` get lost, after the supplier has acted."""

    def __init__(self, inner: Connector, losses: int) -> None:
        self.inner = inner
        self.losses = losses
        self.placed: list[str] = []

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]  # the inner one's, when asked
        return self.inner.capabilities

    def place(self, request: PlaceRequest) -> Outcome:
        self.placed.append(request.reference)
        outcome = self.inner.place(request)
        if len(self.placed) <= self.losses:
            raise NoAnswer(because="the line broke", method="POST")
        return outcome

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        return self.inner.lookup(about)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(params=["sync", "async"])
def upstream(shop: CompatShop, request: Any) -> Iterator[Connector]:
    made = connector(shop.url + "/compat/finperks/v1", shop.credential("finperks"), processing_mode=request.param)
    yield made
    made.close()


def hub(db: Database, folder: Path, buys_from: Connector, supplier_sku: str) -> Supplied:
    """A shop without stock whose game card is the supplier's tea voucher."""
    world = supplied(db, folder)
    facts = NewSupplier("upstream", "finperks", Mode.LIVE, "INR", {"base_url": "http://x", "client_id": "a", "country": "IN"})
    secrets = {"client_secret": Secret("b")}
    row = create_supplier(db, world.clock, world.audit, SecretSealer(b"s" * 32), facts, secrets, actor="test")
    world.connectors.put(row, buys_from)
    offer, now = world.catalog.current().offer("CARD"), to_micros(world.clock.now())
    assert offer is not None
    product = SupplierProduct(supplier_sku, "Tea", "INR", face_minor=100_00, cost=Money.parse("95.00", "INR"))
    with db.transaction() as tx:
        put_product(tx, row.id, product, "INR", now)
        put_mapping(tx, offer.denomination_id, row.id, supplier_sku, is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    return world


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_order_is_bought_card_by_card(shop: CompatShop, upstream: Connector, db: Database, tmp_path: Path) -> None:
    before = shop.balance()
    world = hub(db, tmp_path, upstream, sku(upstream, "Tea voucher"))
    done = world.bought("CARD", 2)
    assert (states(done), of(world.attempts(done))) == (("FULFILLED", ["FULFILLED"]), [("delivered", 1, 1)] * 2)
    assert all(code.startswith("TEA-") for code in world.shown(done))
    assert len(set(world.shown(done))) == 2
    assert before - shop.balance() == 190_00 == -world.platform()["supplier", "INR"]
    assert world.findings() == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_lost_answers_are_asked_for_again_and_nothing_is_bought_twice(
    shop: CompatShop, upstream: Connector, db: Database, tmp_path: Path
) -> None:
    before, losing = shop.balance(), Losing(upstream, 3)
    world = hub(db, tmp_path, losing, sku(upstream, "Tea voucher"))
    done = world.bought("CARD", 1)
    assert states(done) == ("FULFILLED", ["FULFILLED"])
    assert len(losing.placed) == 4
    assert len(set(losing.placed)) == 1
    assert before - shop.balance() == 95_00
    assert world.findings() == []
