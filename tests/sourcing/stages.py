"""Every connector on its stage: made, and its supplier brought into the situations. Fixtures for whoever asks all of them the same.

A new connector is a ``Stage`` here: how it is made, which of its requests buys, and what its supplier calls three of its products.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cardrail.catalog import import_catalog
from cardrail.kernel import CardrailError, Mode, Money, PartnerId, Secret, new_id, to_micros
from cardrail.orders import OrderState, find_orders, procure_order
from cardrail.sourcing import (
    SUPPLY_VERSION,
    Connector,
    Delivered,
    Lookup,
    LookupRequest,
    NewSupplier,
    NotSent,
    Outcome,
    PlaceRequest,
    RateLimited,
    Setup,
    SupplierProduct,
    Unknown,
    connector_kind,
    create_supplier,
    put_mapping,
    put_product,
)
from cardrail.sourcing.connectors.rest import EXAMPLE
from cardrail.storage import bump_version
from tests.compat.build import CompatShop
from tests.compat.conftest import shop as hub  # noqa: F401  # the served installation, under the name that it has here
from tests.sourcing.acme.connector import Acme
from tests.sourcing.acme.server import KEY, AcmeServer
from tests.sourcing.line import Buys, Line

DIALECTS = ("oneclickdz", "foxreload_v1", "foxreload_public", "finperks", "starship")
OVER_HTTP = (*DIALECTS, "rest", "acme")
EVERY = (*OVER_HTTP, "simulated")
DISTURBANCES = ("lost", "html", "wall", "fault", "half", "slow")

SHEET = b"""product_code,name,brand,category,kind,country,currency,denomination_type,face_values,discount_percent,sourcing
LATER,Later card,Tea house,Food,code,IN,INR,fixed,100,5,on_demand
"""


def inr(text: str) -> Money:
    return Money.parse(text, "INR")


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What is tested is the wire."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """FoxReload V1 in rupees."""
    path = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    path.write_text('[foxreload.v1]\ncurrency = "INR"\n')
    return {"dialect_profiles": path}


@dataclass
class Stage:
    """A connector, and the supplier behind it."""

    connector: Connector
    line: Line | None
    sku: Callable[[str], str]
    """Its sku of: tea (in stock, 100.00 for 95.00), later (accepted first), gone (sold out)."""
    finish: Callable[[], None]
    """What was accepted is delivered from now on."""
    spent: Callable[[], int]
    """What the supplier has charged so far, in minor units."""
    checks_price: bool = True
    looks_itself: bool = False
    """Its ``place`` may find out by itself what became of a payment that was answered with nonsense."""
    known_ids: set[str] = field(default_factory=set)
    """Of the orders that were found so far."""

    def place(self, what: str = "tea", quantity: int = 1, **facts: Any) -> tuple[PlaceRequest, Outcome]:
        request = PlaceRequest(new_id("att"), self.sku(what), quantity, inr("100"), inr("10000"))
        request = replace(request, **facts)
        return request, self.again(request)

    def again(self, request: PlaceRequest) -> Outcome:
        """What the core makes of a call: an exception that proves nothing is Unknown."""
        try:
            return self.connector.place(request)
        except (NotSent, RateLimited):
            raise
        except CardrailError as error:
            return Unknown(error.code)

    def known(self, request: PlaceRequest, outcome: Outcome) -> Any:
        """How the order stands, asked as its capabilities say."""
        order_id = getattr(outcome, "supplier_order_id", None)
        about = LookupRequest(request, order_id, datetime.now(UTC), frozenset(self.known_ids))
        able = self.connector.capabilities
        if order_id is None and able.lookup is Lookup.NONE:
            assert able.is_idempotent, "a lost answer can neither be looked up nor repeated"
            return self.again(request)
        return self.connector.lookup(about)

    def delivered(self, request: PlaceRequest, outcome: Any) -> Delivered:
        """Ask until it is delivered; a few times."""
        for _ in range(4):
            if isinstance(outcome, Delivered):
                self.known_ids.add(outcome.supplier_order_id or "")
                return outcome
            outcome = self.known(request, outcome)
        raise AssertionError(f"not delivered: {outcome}")


# --- the stages -------------------------------------------------------------------------------------------------------

BUYS: dict[str, Buys] = {
    "oneclickdz": lambda method, path: path.endswith("/placeOrder"),
    "foxreload_v1": lambda method, path: (method, path[-7:]) == ("POST", "/orders"),
    "foxreload_public": lambda method, path: path.endswith("/pay"),
    "finperks": lambda method, path: (method, path[-7:]) == ("POST", "/orders"),
    "starship": lambda method, path: (method, path[-7:]) == ("POST", "/orders"),
    "rest": lambda method, path: (method, path[-7:]) == ("POST", "/orders"),
    "acme": lambda method, path: (method, path[-7:]) == ("POST", "/orders"),
}
NAMES = {
    "oneclickdz": {"tea": "Tea voucher 100 INR", "later": "Later card 100 INR", "gone": "Sold-out card 200 INR"},
    "foxreload_public": {"tea": "Tea voucher 100 INR", "later": "Later card 100 INR", "gone": "Sold-out card 200 INR"},
    "finperks": {"tea": "Tea voucher", "later": "Later card", "gone": "Sold-out card"},
    "starship": {"tea": "Tea voucher", "later": "Later card", "gone": "Sold-out card"},
}
ROOTS = {
    "oneclickdz": "/compat/oneclickdz",
    "foxreload_v1": "/compat/foxreload",
    "foxreload_public": "/compat/foxreload/api",
    "finperks": "/compat/finperks/v1",
    "starship": "/compat/starship",
}


@pytest.fixture(name="later", scope="module")
def the_later_hub(hub: CompatShop) -> CompatShop:
    """The hub also sells what it has to buy first."""
    part = hub.cardrail
    import_catalog(part.db, part.clock, part.audit, SHEET, actor="test")
    part.catalog.refresh()
    new = NewSupplier("upstream", "simulated", Mode.LIVE, "INR", {"pretend": True})
    row = create_supplier(part.db, part.clock, part.audit, part.sealer, new, {}, actor="test")
    offer = part.catalog.current().offer("LATER")
    assert offer is not None
    now = to_micros(part.clock.now())
    with part.db.transaction() as tx:
        product = SupplierProduct("LATER", "Later", "INR", face_minor=100_00, cost=inr("10"), stock=1_000)
        put_product(tx, row.id, product, "INR", now)
        put_mapping(tx, offer.denomination_id, row.id, "LATER", is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    return hub


@pytest.fixture(name="acme", scope="module")
def the_acme() -> Iterator[AcmeServer]:
    made = AcmeServer()
    yield made
    made.close()


@pytest.fixture(name="lines", scope="module")
def the_lines() -> Iterator[Callable[[str, str], Line]]:
    """A line for each kind."""
    made: dict[str, Line] = {}

    def make(kind: str, target: str) -> Line:
        if kind not in made:
            made[kind] = Line(target, BUYS[kind])
        return made[kind]

    yield make
    for one in made.values():
        one.close()


def hub_stage(kind: str, hub: CompatShop, line: Line) -> Stage:
    """A connector to our own dialect, for an account of its own."""
    partner = hub.a_partner("10000.00")
    issued = hub.credential(kind.partition("_")[0], partner_id=partner)
    secrets = {name: Secret(value) for name, value in issued.items()}
    config = {"base_url": line.url + ROOTS[kind], "country": "IN", "auth_mode": "api_key_hmac"}
    config |= {name: issued[name] for name in ("client_id", "username") if name in issued}
    connector = connector_kind(kind).make(Setup("sup_1", Mode.LIVE, "INR", config, secrets))
    skus: dict[str, str] = {}

    def sku(what: str) -> str:
        if kind == "foxreload_v1":
            return {"tea": "TEA", "later": "LATER", "gone": "SOLDOUT"}[what]
        if not skus:
            skus.update({one.name: one.sku for one in connector.catalog()})
        return skus[NAMES[kind][what]]

    def finish() -> None:
        for order in find_orders(hub.cardrail.db, state=OrderState.PROCESSING, partner_id=partner, limit=10):
            procure_order(hub.cardrail.buying, order.id)

    checks = kind not in ("foxreload_v1", "finperks")  # these have no way to say what it may cost
    is_public = kind == "foxreload_public"
    return Stage(connector, line, sku, finish, lambda: 1_000_000 - hub.balance(PartnerId(partner)), checks, is_public)


def acme_stage(kind: str, acme: AcmeServer, line: Line, folder: Path) -> Stage:
    """The made-up supplier, by its file or by its connector."""
    connector: Connector
    if kind == "acme":
        connector = Acme(Setup("sup_1", Mode.LIVE, "INR", {"base_url": line.url + "/v2"}, {"api_key": Secret(KEY)}))
    else:
        path = folder / "acme.toml"
        path.write_text(EXAMPLE.replace("https://api.acme.example", line.url))
        connector = connector_kind("rest").make(Setup("sup_1", Mode.LIVE, "INR", {"file": str(path)}, {"key": Secret(KEY)}))
    before = acme.books.balance
    acme.books.script.clear()

    def sku(what: str) -> str:
        if what == "later":
            acme.books.script.append("accept")
        return {"tea": "TEA-100", "later": "TEA-100", "gone": "SOLDOUT"}[what]

    return Stage(connector, line, sku, acme.books.finish, lambda: before - acme.books.balance)


def simulated_stage() -> Stage:
    config = {"pretend": True, "slow_ms": 0, "unit_cost_minor": 9_500}
    connector = connector_kind("simulated").make(Setup("sup_1", Mode.LIVE, "INR", config, {}))
    skus = {"tea": "TEST_OK", "later": "TEST_SLOW", "gone": "TEST_SUPPLIER_REFUSES"}
    return Stage(connector, None, skus.__getitem__, lambda: None, itertools.count().__next__, checks_price=False)


@pytest.fixture(name="stage")
def the_stage(
    request: pytest.FixtureRequest, later: CompatShop, acme: AcmeServer, lines: Callable[[str, str], Line], tmp_path: Path
) -> Iterator[Stage]:
    kind = str(request.param)
    if kind == "simulated":
        made = simulated_stage()
    elif kind in DIALECTS:
        made = hub_stage(kind, later, lines(kind, later.url))
    else:
        made = acme_stage(kind, acme, lines(kind, acme.url), tmp_path)
    yield made
    made.connector.close()


def every(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stage", kinds or EVERY, indirect=True)
