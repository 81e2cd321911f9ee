"""What every connector must get right, asked of all of them: against the dialect opposite it, or whoever plays its supplier."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cardrail.kernel import new_id
from cardrail.sourcing import (
    Accepted,
    Delivered,
    Lookup,
    LookupRequest,
    NotFound,
    PlaceRequest,
    RateLimited,
    RefusalKind,
    Refused,
    Unknown,
    within,
)
from tests.compat.conftest import shop as hub  # noqa: F401  # the served installation, under the name that it has here
from tests.sourcing.acme.server import AcmeServer
from tests.sourcing.stages import (  # noqa: F401  # fixtures
    DISTURBANCES,
    OVER_HTTP,
    Stage,
    every,
    inr,
    shop_backend,
    shop_settings,
    simulated_stage,
    the_acme,
    the_later_hub,
    the_lines,
    the_stage,
)

# --- what each must get right -----------------------------------------------------------------------------------------


@every()
def test_what_is_in_stock_is_delivered_at_its_price(stage: Stage) -> None:
    quantity = min(2, stage.connector.capabilities.quantity_max)
    request, outcome = stage.place(quantity=quantity)
    found = stage.delivered(request, outcome)
    assert len({one.code for one in found.codes}) == quantity
    assert found.cost == inr("95") * quantity
    assert stage.line is None or stage.spent() == 9_500 * quantity


@every()
def test_what_comes_later_is_accepted_and_then_polled_by_its_id(stage: Stage) -> None:
    request, outcome = stage.place("later")
    assert isinstance(outcome, Accepted)
    stage.finish()
    found = stage.known(request, outcome)
    assert isinstance(found, Delivered)
    assert (len(found.codes), found.supplier_order_id) == (1, outcome.supplier_order_id)


@every()
def test_what_is_sold_out_is_refused_and_costs_nothing(stage: Stage) -> None:
    _, outcome = stage.place("gone", face=inr("200"))
    assert isinstance(outcome, Refused)
    assert outcome.kind in (RefusalKind.OUT_OF_STOCK, RefusalKind.CLOSED)
    assert stage.line is None or stage.spent() == 0


@every()
def test_what_costs_more_than_it_may_is_refused_where_the_protocol_can_say_so(stage: Stage, acme: AcmeServer) -> None:
    if not stage.checks_price:
        assert not stage.connector.capabilities.obeys_max_cost or stage.line is None
        return
    sku = stage.sku("tea")
    acme.books.script.append("refuse:PRICE_CHANGED")
    request = PlaceRequest(new_id("att"), sku, 1, inr("100"), inr("94.99"))
    outcome = stage.again(request)
    acme.books.script.clear()
    assert isinstance(outcome, Refused)
    assert (outcome.kind, stage.spent()) == (RefusalKind.PRICE, 0)


@every(*OVER_HTTP)
def test_an_answer_that_says_nothing_is_unknown_and_the_order_is_found_again(stage: Stage) -> None:
    """After the request could have been acted upon: hung up, a page of HTML, a fault, half a body, no answer in time."""
    assert stage.line is not None
    sku = stage.sku("tea")
    for count, word in enumerate(DISTURBANCES, 1):
        stage.line.words.append(word)
        before = stage.line.bought
        with within(0.7 if word == "slow" else 10.0):
            request, outcome = stage.place(supplier_sku=sku)
        assert isinstance(outcome, Unknown) or (stage.looks_itself and isinstance(outcome, Delivered)), word
        assert not stage.line.words
        found = stage.delivered(request, outcome)
        assert (len(found.codes), stage.spent()) == (1, 9_500 * count), word
        assert stage.line.bought - before <= 2, word  # a repeat under the same reference buys nothing


@every(*OVER_HTTP)
def test_too_many_requests_are_said_with_the_time_to_wait(stage: Stage) -> None:
    assert stage.line is not None
    sku = stage.sku("tea")
    stage.line.words.append("busy")
    with pytest.raises(RateLimited) as caught:
        stage.place(supplier_sku=sku)
    assert caught.value.facts["retry_after_seconds"] == 7.0
    assert stage.spent() == 0


@every(*OVER_HTTP)
def test_an_order_that_never_was_is_not_found(stage: Stage) -> None:
    if stage.connector.capabilities.lookup is Lookup.NONE:
        assert stage.connector.capabilities.is_idempotent
        return
    request = PlaceRequest(new_id("att"), stage.sku("tea"), 7, inr("100"), inr("10000"))
    assert stage.connector.lookup(LookupRequest(request, None, datetime.now(UTC))) == NotFound()


def test_the_simulated_supplier_finds_what_was_bought_and_what_was_not() -> None:
    stage = simulated_stage()
    bought, lost = [stage.place(supplier_sku=sku) for sku in ("TEST_TIMEOUT", "TEST_TIMEOUT_LOST")]
    assert isinstance(bought[1], Unknown)
    assert isinstance(stage.known(*bought), Delivered)
    assert stage.known(*lost) == NotFound()


@every()
def test_its_balance_is_told(stage: Stage) -> None:
    assert stage.connector.capabilities.has_balance
    before = stage.connector.balance()
    assert [one.currency.code for one in before] == ["INR"]
    if stage.line is not None:
        request, outcome = stage.place()
        stage.delivered(request, outcome)
        assert before[0].minor - stage.connector.balance()[0].minor == 9_500


@every()
def test_its_catalog_names_what_can_be_ordered(stage: Stage) -> None:
    assert stage.connector.capabilities.has_catalog
    found = {one.sku: one for one in stage.connector.catalog()}
    tea = found[stage.sku("tea")]
    assert tea.currency == "INR"
    assert tea.face_minor is not None
    if tea.cost is not None:
        assert tea.cost == inr("95")
    if stage.connector.capabilities.has_stock:
        assert stage.connector.stock([tea.sku])[tea.sku] > 0


@every()
def test_its_statement_tells_what_was_charged_where_it_has_one(stage: Stage) -> None:
    if not stage.connector.capabilities.has_statement:
        assert stage.line is None or "finperks" in type(stage.connector).__module__
        return
    since = datetime.now(UTC)
    request, outcome = stage.place()
    found = stage.delivered(request, outcome)
    lines = list(stage.connector.statement(since.replace(microsecond=0), datetime(2999, 1, 1, tzinfo=UTC)))
    ours = [one for one in lines if one.supplier_order_id == found.supplier_order_id]
    assert [(one.amount, one.kind) for one in ours] == [(inr("95"), "order")]
