"""Bad codes on surface V1 (specs/foxreload.md, sections 2.2, 2.5 and 3.5): claimed within 60 days, looked at, approved, denied, refunded;
and claimed by one hub at another, over real HTTP, with the answer lost on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cardrail.access import SecretSealer
from cardrail.catalog import set_rate
from cardrail.kernel import Mode, Money, Secret, to_micros
from cardrail.orders import (
    CallState,
    Replacement,
    ReplacementDecision,
    ReplacementState,
    find_replacements,
    pursue_replacement,
    resolve_replacement,
)
from cardrail.orders.replacements.store import erase_evidence
from cardrail.sourcing import (
    SUPPLY_VERSION,
    NewSupplier,
    NoAnswer,
    ReplaceOutcome,
    ReplaceRequest,
    Setup,
    SupplierProduct,
    create_supplier,
    put_mapping,
    put_product,
)
from cardrail.sourcing.connectors.foxreload_v1 import FoxReloadV1Supplier
from cardrail.storage import Database, bump_version
from tests.compat.build import CompatShop
from tests.compat.foxreload.bearer import Caller, caller, give_dollars
from tests.compat.shapes import Either, Only, fits
from tests.replacements.build import Claims, claims

CLAIM = {"reason": "already_redeemed", "code_index": 0, "evidence": "a screenshot"}
CODE = {"type": Only("redeem_code"), "code": str, "pin": Either(str, None)}
REPLACEMENT = {
    "replacement_id": re.compile("rpl_[0-9A-Za-z]+"),
    "order_id": re.compile("ord_[0-9A-Za-z]+"),
    "status": Only("under_review", "approved", "denied", "refunded"),
    "code_index": int,
    "evidence": Either(str, None),
    "reason": Either(str, None),
    "amount_usd": Either(re.compile(r"[0-9]+\.[0-9]{2}"), None),
    "codes": [CODE, 0],
}
D = ReplacementDecision


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What is written is tested on both databases elsewhere."""
    return "sqlite"


@pytest.fixture(scope="module", autouse=True)
def dollars(shop: CompatShop) -> None:
    give_dollars(shop, "1000.00")


@pytest.fixture(scope="module")
def live(shop: CompatShop) -> Caller:
    return caller(shop, "/v1")


def bought(caller: Caller, sku: str = "TEA", quantity: int = 1) -> dict[str, Any]:
    """A delivered order whose codes the shop has fetched."""
    order_id = caller.post("/orders", {"sku": sku, "quantity": quantity})["order_id"]
    order: dict[str, Any] = caller.get(f"/orders/{order_id}")
    assert order["status"] == "delivered"
    return order


def claimed(caller: Caller, order: dict[str, Any], **claim: Any) -> dict[str, Any]:
    one: dict[str, Any] = caller.post(f"/orders/{order['order_id']}/replacement", CLAIM | claim)
    fits(one, REPLACEMENT | ({"codes": [CODE]} if one["status"] == "approved" else {}))
    return one


def decided(shop: CompatShop, claim: dict[str, Any], decision: ReplacementDecision) -> None:
    resolve_replacement(shop.cardrail.replacements, claim["replacement_id"], decision, because="It was used by you.", actor="cli")


def later(now: Callable[[], datetime], **by: float) -> Callable[[], datetime]:
    return lambda: now() + timedelta(**by)


def test_a_claim_is_under_review_and_the_same_request_again_shows_how_it_stands(shop: CompatShop, live: Caller) -> None:
    order = bought(live, quantity=2)
    claim = claimed(live, order, code_index=1)
    assert (claim["status"], claim["order_id"], claim["code_index"], claim["codes"]) == ("under_review", order["order_id"], 1, [])
    assert claimed(live, order, code_index=1) == claim
    assert claimed(live, order, code_index=1, reason="other words")["replacement_id"] == claim["replacement_id"]


def test_an_approved_claim_has_the_new_code_which_stands_in_the_bad_ones_place(shop: CompatShop, live: Caller) -> None:
    order = bought(live, quantity=2)
    decided(shop, claimed(live, order, code_index=1), D.STOCK)
    claim = claimed(live, order, code_index=1)
    shown = live.get(f"/orders/{order['order_id']}")
    assert claim["status"] == "approved"
    assert claim["codes"] == [shown["codes"][1]]
    assert shown["codes"][0] == order["codes"][0]
    assert shown["codes"][1] != order["codes"][1]
    assert (shown["status"], shown["quantity"], len(shown["codes"])) == ("delivered", 2, 2)


def test_a_denied_claim_says_why_and_a_refunded_one_how_much(shop: CompatShop, live: Caller) -> None:
    order, before = bought(live, quantity=2), shop.balance(currency="USD")
    decided(shop, claimed(live, order, code_index=0), D.REFUSE)
    decided(shop, claimed(live, order, code_index=1), D.REFUND)
    denied, refunded = claimed(live, order, code_index=0), claimed(live, order, code_index=1)
    assert (denied["status"], denied["reason"], denied["codes"]) == ("denied", "It was used by you.", [])
    assert (refunded["status"], refunded["amount_usd"], shop.balance(currency="USD") - before) == ("refunded", "1.19", 119)
    assert live.get(f"/orders/{order['order_id']}")["status"] == "delivered"
    listed = live.get(f"/orders/{order['order_id']}/replacement")["data"]
    assert [one["status"] for one in listed] == ["refunded", "denied"]


def test_its_refusals_are_the_vendors(shop: CompatShop, live: Caller) -> None:
    test = caller(shop, "/v1", Mode.TEST)
    unseen = live.post("/orders", {"sku": "TEA", "quantity": 1})["order_id"]
    failed = test.post("/orders", {"sku": "TEST_REFUND", "quantity": 1})["order_id"]
    order = bought(live)["order_id"]
    before = shop.rows()
    live.refused("POST", f"/orders/{unseen}/replacement", 409, "replacement_not_allowed", json=CLAIM)
    test.refused("POST", f"/orders/{failed}/replacement", 409, "replacement_not_allowed", json=CLAIM)
    live.refused("POST", f"/orders/{failed}/replacement", 404, "not_found", json=CLAIM)
    live.refused("POST", f"/orders/{order}/replacement", 404, "not_found", json=CLAIM | {"code_index": 1})
    for wrong in ({"code_index": -1}, {"reason": 5}, {"evidence": "x" * 4_001}, {"reason": ""}):
        live.refused("POST", f"/orders/{order}/replacement", 400, "invalid_request", json=CLAIM | wrong)
    assert shop.rows() == before


def test_the_window_is_sixty_days_from_the_delivery(shop: CompatShop, live: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    order, clock = bought(live, quantity=2), shop.cardrail.clock
    monkeypatch.setattr(clock, "now", later(clock.now, days=59, hours=23))
    assert claimed(live, order)["status"] == "under_review"
    monkeypatch.undo()
    monkeypatch.setattr(clock, "now", later(clock.now, days=60, seconds=1))
    path = f"/orders/{order['order_id']}/replacement"
    live.refused("POST", path, 409, "replacement_not_allowed", json=CLAIM | {"code_index": 1})


def test_one_key_is_one_claim(shop: CompatShop, live: Caller) -> None:
    order = bought(live, quantity=2)
    path, key = f"/orders/{order['order_id']}/replacement", {"Idempotency-Key": "k-17"}
    first = live.post(path, CLAIM, headers=key)
    assert live.post(path, CLAIM, headers=key) == first
    live.refused("POST", path, 422, "idempotency_conflict", json=CLAIM | {"code_index": 1}, headers=key)


def test_another_partners_order_is_not_found(shop: CompatShop, live: Caller) -> None:
    order = bought(live)["order_id"]
    other = caller(shop, "/v1", partner_id=shop.a_partner("10.00", "USD"))
    other.refused("POST", f"/orders/{order}/replacement", 404, "not_found", json=CLAIM)
    other.refused("GET", f"/orders/{order}/replacement", 404, "not_found")


def test_the_sandbox_shows_a_bad_code_and_its_replacement(shop: CompatShop) -> None:
    test = caller(shop, "/v1", Mode.TEST)
    order = bought(test, "TEST_BAD_CODE")
    pursue_replacement(shop.cardrail.replacements, claimed(test, order)["replacement_id"])
    claim = claimed(test, order)
    assert (order["codes"][0]["code"][:4], claim["status"], claim["codes"][0]["code"][:5]) == ("BAD-", "approved", "TEST-")


# --- a hub that claims at a hub -----------------------------------------------------------------------------------------


class LosingClaims(FoxReloadV1Supplier):
    """The answers to the first claims are lost."""

    losses = 0
    asked = 0

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        self.asked += 1
        outcome = super().replace(request)
        if self.losses > 0:
            self.losses -= 1
            raise NoAnswer(because="ReadTimeout")
        return outcome


@pytest.fixture
def upstream(shop: CompatShop) -> Iterator[LosingClaims]:
    """The shop as a supplier of another hub, in dollars."""
    key = Secret(shop.credential("foxreload")["api_key"])
    made = LosingClaims(Setup("sup_1", Mode.LIVE, "USD", {"base_url": f"{shop.url}/compat/foxreload"}, {"api_key": key}))
    yield made
    made.close()


@pytest.fixture
def hub(db: Database, tmp_path: Path, upstream: LosingClaims) -> Claims:
    """A hub that buys its CARD there."""
    world = claims(db, tmp_path)
    set_rate(world.db, world.clock, world.audit, base="USD", quote="INR", rate_e10=80 * 10**10, source="test", actor="test")
    world.catalog.refresh()
    facts = {"base_url": "http://supplier.example"}
    new = NewSupplier("A", "foxreload_v1", Mode.LIVE, "USD", facts)
    row = create_supplier(
        world.db, world.clock, world.audit, SecretSealer(b"s" * 32), new, {"api_key": Secret("k")}, actor="test"
    )
    world.connectors.put(row, upstream)
    world.suppliers["A"] = row
    offer = world.catalog.current().offer("CARD")
    assert offer is not None
    product = SupplierProduct("TEA", "Tea", "INR", face_minor=100_00, cost=Money.parse("1.00", "USD"))
    now = to_micros(world.clock.now())
    with db.transaction() as tx:
        put_product(tx, row.id, product, "USD", now)
        put_mapping(tx, offer.denomination_id, row.id, "TEA", is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    return world


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("losses", [0, 1])
def test_a_hub_claims_at_a_hub_once_though_the_answer_is_lost(
    shop: CompatShop, upstream: LosingClaims, hub: Claims, losses: int
) -> None:
    upstream.losses = losses
    order = hub.sold("CARD", 2)
    bad, good = hub.shown(order)
    one = hub.claim(order, 1, evidence="the till said: used")
    hub.pursue(one)
    (theirs,) = [claim for claim in listed(shop) if one.id in (claim.evidence or "")]
    assert (hub.now(one).state, theirs.state, theirs.position) == (
        ReplacementState.ASKING_SUPPLIER,
        ReplacementState.REQUESTED,
        1,
    )
    resolve_replacement(shop.cardrail.replacements, theirs.id, D.STOCK, because="x", actor="cli")
    done = hub.settle(one)
    assert (done.state, done.source, upstream.asked) == (ReplacementState.REPLACED, "supplier", 1)
    assert (hub.shown(order)[1], hub.shown(order)[0] != bad) == (good, True)
    assert (hub.health("A").bad_codes, hub.findings()) == (1, [])


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("decision", "state"),
    [(D.REFUND, ReplacementState.REFUNDED), (D.REFUSE, ReplacementState.NEEDS_REVIEW)],
)
def test_what_the_other_hub_decides_is_passed_on(
    shop: CompatShop, hub: Claims, decision: ReplacementDecision, state: ReplacementState
) -> None:
    one = hub.claim(hub.sold("CARD"))
    hub.pursue(one)
    (theirs,) = [claim for claim in listed(shop) if one.id in (claim.evidence or "")]
    resolve_replacement(shop.cardrail.replacements, theirs.id, decision, because="x", actor="cli")
    assert (hub.settle(one).state, hub.findings()) == (state, [])


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_claim_that_does_not_tell_whose_it_is_is_not_taken_for_none(
    shop: CompatShop, upstream: LosingClaims, hub: Claims
) -> None:
    upstream.losses = 1
    one = hub.claim(hub.sold("CARD"))
    hub.pursue(one)
    (theirs,) = [claim for claim in listed(shop) if one.id in (claim.evidence or "")]
    with shop.cardrail.db.transaction() as tx:
        erase_evidence(tx, [theirs.order_id])  # as their erasure of a customer does
    hub.later(days=1)
    hub.pursue(one)
    assert (hub.now(one).call, hub.now(one).state, upstream.asked) == (CallState.UNKNOWN, ReplacementState.ASKING_SUPPLIER, 1)


def listed(shop: CompatShop) -> list[Replacement]:
    return find_replacements(shop.cardrail.db, limit=100)
